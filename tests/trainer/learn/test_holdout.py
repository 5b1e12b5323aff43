from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer import MLPClassifier
from trainer.learn import mlp
from trainer.learn.arrays import IntArray
from trainer.learn.holdout import hold_out


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 6)), min_size=2, max_size=60),
    st.floats(0.05, 0.6),
    st.integers(0, 2**32),
)
def test_no_group_is_split_and_no_class_is_lost(rows: list[tuple[int, int]], fraction: float, seed: int) -> None:
    y, groups = np.array(rows).T
    y = np.unique(y, return_inverse=True)[1]
    try:
        fitted, held_out = hold_out(y, groups, fraction, np.random.default_rng(seed))
    except ValueError:
        # Right to refuse only if every group has the only rows of some class.
        assert all(set(y[groups == group]) - set(y[groups != group]) for group in set(groups))
        return
    assert sorted([*fitted, *held_out]) == list(range(len(y)))
    assert len(held_out) > 0
    assert not set(groups[fitted]) & set(groups[held_out])
    assert set(y[fitted]) == set(y)


def test_the_share_held_out_is_about_the_fraction() -> None:
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), generator.integers(200, 300, size=30))
    y = np.arange(len(groups)) % 6
    shares = [len(hold_out(y, groups, 0.2, np.random.default_rng(seed))[1]) / len(y) for seed in range(20)]
    assert 0.16 < min(shares) <= max(shares) <= 0.2


def test_without_groups_every_class_is_held_out_in_proportion() -> None:
    y = np.repeat([0, 1, 2], [100, 40, 2])
    fitted, held_out = hold_out(y, None, 0.1, np.random.default_rng(0))
    assert np.bincount(y[held_out]).tolist() == [10, 4, 1]
    assert np.bincount(y[fitted]).tolist() == [90, 36, 1]


def test_another_seed_holds_out_other_groups() -> None:
    y, groups = np.arange(100) % 2, np.arange(100) // 5
    chosen = {tuple(hold_out(y, groups, 0.2, np.random.default_rng(seed))[1]) for seed in range(10)}
    assert len(chosen) > 5


@pytest.mark.parametrize(
    ("groups", "reason"), [(None, "every class has a single row"), ([7, 7, 7], r"each of the 1 group\(s\)")]
)
def test_nothing_to_hold_out_is_said(groups: list[int] | None, reason: str) -> None:
    y = np.arange(3)
    with pytest.raises(ValueError, match=f"nothing can be held out, {reason}.*early_stopping=False"):
        hold_out(y, None if groups is None else np.array(groups), 0.1, np.random.default_rng(0))


def test_early_stopping_hands_the_groups_to_the_hold_out(monkeypatch: pytest.MonkeyPatch) -> None:
    splits: list[tuple[IntArray, IntArray]] = []

    def spy(*arguments: Any) -> tuple[IntArray, IntArray]:
        splits.append(hold_out(*arguments))
        return splits[-1]

    monkeypatch.setattr(mlp, "hold_out", spy)
    groups = np.repeat(["anna", "ben", "carl", "dora"], 10)
    X, y = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2
    MLPClassifier((4,), max_epochs=1, validation_fraction=0.25, random_state=0).fit(X, y, groups)
    ((fitted, held_out),) = splits
    assert len(set(groups[held_out])) == 1
    assert not set(groups[fitted]) & set(groups[held_out])
