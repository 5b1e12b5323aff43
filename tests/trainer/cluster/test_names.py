"""Names that a person gives to groups, and what cannot be one."""

import numpy as np
import pytest

from trainer.cluster.names import all_groups, named_groups, parse_names
from trainer.errors import DatasetError


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["idle"], "--name: GROUP=NAME such as 3=idle expected, got 'idle'"),
        (["=idle"], "got '=idle'"),
        (["3="], "got '3='"),
        (["-1=idle"], "got '-1=idle'"),
        (["x=idle"], "got 'x=idle'"),
        (["²=idle"], "got '²=idle'"),
        (["3=a", "3=b"], "one name a group expected, got two for group 3"),
        (["3=" + "a" * 129], "a name of at most 128 characters expected, got 129"),
    ],
)
def test_what_is_no_name_is_refused(texts: list[str], message: str) -> None:
    with pytest.raises(DatasetError) as caught:
        parse_names(texts)
    assert message in str(caught.value)


def test_an_equals_sign_may_stand_in_a_name() -> None:
    assert parse_names(["1=load = 3 A"]) == {1: "load = 3 A"}


def test_groups_that_share_a_name_are_one_class() -> None:
    named = named_groups({2: "idle", 0: "on", 3: "idle"}, 4)
    assert named.classes == ("on", "idle")
    assert named.class_indices(np.array([0, 1, 2, 3])).tolist() == [0, -1, 1, 1]
    every = all_groups({2: "idle", 0: "on", 3: "idle"}, 4)
    assert every.classes == ("on", "group 1", "idle")
    assert every.class_of_group == (0, 1, 2, 2)


def test_a_group_that_is_not_there_cannot_be_named() -> None:
    with pytest.raises(DatasetError, match="--name 99=x: a group from 0 to 3 expected"):
        named_groups({99: "x"}, 4)


def test_a_name_cannot_be_what_another_group_is_called() -> None:
    with pytest.raises(DatasetError, match="'group 1' is what the unnamed group 1 is called"):
        all_groups({0: "group 1"}, 2)
    assert all_groups({0: "group 0"}, 2).classes == ("group 0", "group 1")
