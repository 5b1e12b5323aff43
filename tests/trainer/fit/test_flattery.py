"""Both numbers are told where a random split would have flattered, and nothing where it would not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from trainer.data import WindowedData
from trainer.data.examples import example_windows
from trainer.fit import FitOptions, FitResult, fit
from trainer.fit.flattery import Flattery, random_folds


def silent(_what: str, _done: int, _of: int) -> None:
    """Report to nobody."""


def people(*, own: float = 1.0) -> WindowedData:
    """Two classes of ten people; each shows each in a way of his own, which says nothing of the next person's."""
    data = example_windows(n_recordings=10, windows_per_recording=30)
    generator = np.random.default_rng(3)
    halves = (np.arange(len(data)) // 15 % 2).astype(np.int64)
    shapes = generator.standard_normal((10, 2, 2, 32))
    common = generator.standard_normal((2, 2, 32))
    noise = generator.standard_normal(data.windows.shape)
    windows = noise + own * shapes[data.groups, halves] + 0.3 * common[halves]
    return replace(data, windows=windows.astype(np.float32), class_indices=halves, group_key="person")


@pytest.fixture(scope="module", params=["logistic", "ridge"])
def flattered(request: pytest.FixtureRequest) -> FitResult:
    return fit(people(), FitOptions(features="raw", head=request.param), silent)


def test_a_random_split_that_flatters_is_told_with_both_numbers(flattered: FitResult) -> None:
    found = flattered.flattery
    assert found is not None
    assert found.flatters
    assert found.grouped == flattered.evaluation.accuracy
    assert found.at_random > found.grouped + 0.1
    assert 0.0 < found.difference[0] < found.difference[1]
    assert found.sentence() == (
        f"A random split of windows would have said {found.at_random:.3f} instead of {found.grouped:.3f}: "
        "windows of one person resemble each other."
    )
    assert found.as_dict()["flatters"] is True


def test_where_people_are_alike_nothing_is_told() -> None:
    result = fit(people(own=0.0), FitOptions(features="raw", head="ridge"), silent)
    assert result.flattery is not None
    assert not result.flattery.flatters


def test_where_every_window_stands_for_itself_there_is_nothing_to_compare() -> None:
    data = people()
    alone = replace(
        data,
        groups=np.full(len(data), -1),
        group_key=None,
        recordings=np.arange(len(data)),
        starts=np.zeros(len(data), np.int64),
    )
    assert fit(alone, FitOptions(features="raw", head="ridge"), silent).flattery is None


def test_a_network_is_stood_in_for_and_that_is_said() -> None:
    result = fit(people(), FitOptions(features="raw", head="mlp", hidden_layer_sizes=(4,)), silent)
    assert result.flattery is not None
    assert result.flattery.stands_in == "ridge"
    assert "(measured with a ridge head)" in result.flattery.sentence()
    assert result.flattery.as_dict()["measured_with"] == "ridge"


def test_random_folds_hold_out_a_fifth_of_each_class() -> None:
    y = np.repeat([0, 1, 2], [100, 25, 5])
    folds = random_folds(y, seed=1)
    assert len(folds) == 5
    assert sorted(np.concatenate([fold.held_out for fold in folds]).tolist()) == list(range(130))
    for fold in folds:
        assert np.bincount(y[fold.held_out]).tolist() == [20, 5, 1]
        assert not set(fold.fitted) & set(fold.held_out)


def test_of_many_windows_one_part_is_enough() -> None:
    folds = random_folds(np.zeros(2_500, np.int64), seed=0)
    assert [len(fold.held_out) for fold in folds] == [500, 500]


def test_a_sentence_names_what_windows_share() -> None:
    found = Flattery(0.9, 0.7, (0.1, 0.3), 100, flatters=True, unit="run")
    assert found.sentence().endswith("windows of one run resemble each other.")
