"""No window is ever judged by a model that saw one of its samples, its group, or nothing of its class."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.data import WindowedData, overlapping, plan_folds, plan_groups
from trainer.data.examples import example_windows
from trainer.errors import DatasetError


def shares_a_sample(data: WindowedData, one: int, other: int) -> bool:
    """The definition, spelled out."""
    same = bool(data.recordings[one] == data.recordings[other])
    return same and abs(int(data.starts[one] - data.starts[other])) < data.window_length


def check(data: WindowedData, seed: int = 0, *, is_complete: bool = True) -> None:
    plan = plan_folds(data, seed)
    held_out = np.concatenate([fold.held_out for fold in plan.folds]).tolist()
    assert len(set(held_out)) == len(held_out)
    n_left = len(data) - len(held_out)
    assert not (n_left and is_complete)
    assert any(remark.startswith(f"{n_left} windows could not be judged") for remark in plan.remarks) is bool(n_left)
    for fold in plan.folds:
        assert not set(fold.fitted.tolist()) & set(fold.held_out.tolist())
        assert not set(plan.units[fold.fitted].tolist()) & set(plan.units[fold.held_out].tolist())
        for row in fold.held_out.tolist():
            assert not any(shares_a_sample(data, row, other) for other in fold.fitted.tolist())


def test_groups_stay_whole() -> None:
    data = example_windows(n_recordings=12)
    data = replace(data, groups=data.groups // 2)
    check(data)
    plan = plan_folds(data, 0)
    assert plan.name == "grouped 5-fold cross-validation"
    for fold in plan.folds:
        assert not set(data.groups[fold.fitted].tolist()) & set(data.groups[fold.held_out].tolist())
        assert len(np.unique(data.class_indices[fold.fitted])) == 2


def test_few_groups_give_as_many_folds() -> None:
    data = example_windows(n_recordings=6)
    assert len(plan_folds(replace(data, groups=data.groups // 2), 0).folds) == 3


def test_a_group_that_alone_holds_a_class_is_taken_apart_and_it_is_said() -> None:
    data = example_windows(n_recordings=8)
    by_class = replace(data, groups=data.class_indices.copy())
    plan = plan_folds(by_class, 0)
    assert all(len(np.unique(data.class_indices[fold.fitted])) == 2 for fold in plan.folds)
    assert any("occurs in one device only" in remark for remark in plan.remarks)
    check(by_class)


def test_one_recording_is_split_into_blocks_of_time_and_purged() -> None:
    data = example_windows(n_recordings=1, windows_per_recording=40)
    halves = np.arange(40) // 20
    data = replace(data, class_indices=halves.astype(np.int64))
    check(data)
    plan = plan_folds(data, 0)
    assert any(len(fold.fitted) + len(fold.held_out) < len(data) for fold in plan.folds)
    assert all(len(np.unique(halves[fold.fitted])) == 2 for fold in plan.folds)


def test_windows_without_groups_and_overlap_are_spread_by_class() -> None:
    data = example_windows(n_recordings=50, windows_per_recording=1)
    plan = plan_folds(replace(data, group_key=None, groups=np.full(50, -1)), 3)
    assert plan.name == "5-fold cross-validation"
    assert [np.bincount(data.class_indices[fold.held_out]).tolist() for fold in plan.folds] == [[5, 5]] * 5


def test_rows_of_unknown_group_do_not_become_one_group() -> None:
    data = example_windows(n_recordings=10)
    groups = np.where(data.recordings < 5, data.recordings, -1)
    check(replace(data, groups=groups))
    assert len(np.unique(plan_folds(replace(data, groups=groups), 0).units)) == 10


def test_the_seed_decides_and_only_the_seed() -> None:
    data = example_windows(n_recordings=20)
    one, same, other = (plan_folds(data, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a.held_out, b.held_out) for a, b in zip(one.folds, same.folds, strict=True))
    assert any(not np.array_equal(a.held_out, b.held_out) for a, b in zip(one.folds, other.folds, strict=True))


def test_a_class_with_one_window_is_refused_by_name() -> None:
    data = example_windows(n_recordings=2, windows_per_recording=3)
    with pytest.raises(DatasetError, match="at least 2 windows of every class expected, got 'slow' \\(1\\)"):
        plan_folds(data.take(np.array([0, 3, 4, 5])), 0)


@given(st.integers(1, 6), st.integers(4, 12), st.integers(1, 3), st.integers(0, 5))
def test_no_fold_shares_a_sample_whatever_the_data(
    n_recordings: int, n_windows: int, per_group: int, seed: int
) -> None:
    data = example_windows(n_recordings=n_recordings, windows_per_recording=n_windows)
    labels = np.random.default_rng(seed).permutation(np.arange(len(data)) % 2).astype(np.int64)
    shuffled = replace(data, groups=data.groups // per_group, class_indices=labels)
    try:
        check(shuffled, seed, is_complete=False)
    except DatasetError:
        # Labels that change from window to window of one recording leave nothing to fit on once the neighbours are
        # purged.
        assert n_recordings <= per_group


@given(st.lists(st.booleans(), min_size=12, max_size=12))
def test_overlapping_is_what_its_definition_says(chosen: list[bool]) -> None:
    data = example_windows(n_recordings=2, windows_per_recording=6)
    data = replace(data, starts=data.starts // 2)
    found = overlapping(data, np.array(chosen))
    rows = range(len(data))
    expected = [any(chosen[other] and shares_a_sample(data, row, other) for other in rows) for row in rows]
    assert found.tolist() == expected


def test_every_group_is_held_out_alone_where_that_is_asked() -> None:
    data = example_windows(n_recordings=8)
    data = replace(data, groups=data.groups // 2 + 10, group_key="run group")
    plan = plan_groups(data, 0)
    assert plan.name == "leave-one-run-group-out cross-validation"
    held_out = [np.unique(data.groups[fold.held_out]).tolist() for fold in plan.folds]
    assert sorted(held_out) == [[10], [11], [12], [13]]
    assert all(not set(data.groups[fold.fitted]) & set(data.groups[fold.held_out]) for fold in plan.folds)


def test_more_groups_than_fifty_are_held_out_a_few_at_a_time() -> None:
    data = example_windows(n_recordings=60, windows_per_recording=4)
    data = replace(data, groups=data.groups % 60, class_indices=np.arange(len(data)) % 2)
    plan = plan_groups(data, 0)
    assert (len(plan.folds), plan.name) == (50, "grouped 50-fold cross-validation")


def test_without_groups_none_can_be_held_out() -> None:
    data = example_windows()
    with pytest.raises(DatasetError, match=r"--folds groups: at least 2 groups .* expected, got none"):
        plan_groups(replace(data, group_key=None), 0)
    with pytest.raises(DatasetError, match=r"got 1$"):
        plan_groups(replace(data, groups=np.zeros(len(data), np.int64)), 0)


def test_where_every_group_was_taken_apart_nothing_is_called_grouped() -> None:
    data = example_windows(n_recordings=4)
    # Each class in one group only, each window a recording of its own.
    apart = replace(
        data,
        groups=data.class_indices.copy(),
        recordings=np.arange(len(data)),
        starts=np.zeros(len(data), np.int64),
    )
    assert plan_folds(apart, 0).name == "5-fold cross-validation"
