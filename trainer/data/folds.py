"""Splits that never let a window see its neighbours: by group, by recording, by blocks of time only where they must."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from signals import IntArray
from trainer.data.windowed import WindowedData
from trainer.errors import DatasetError

MAX_FOLDS = 5

MAX_GROUPS = 50
"""More groups than this are held out a few at a time."""


class Fold(NamedTuple):
    """Rows to fit on and rows to judge by, each sorted; together they may be fewer than all (purged rows)."""

    fitted: IntArray
    held_out: IntArray


@dataclass(frozen=True, slots=True)
class FoldPlan:
    """The folds, the unit that stays whole, and the sentence for the model card.

    Attributes
    ----------
    folds : tuple of Fold
    units : ndarray of shape (n_windows,), int64
        Rows of one unit are held out together.
    name : str
        For example ``grouped 5-fold cross-validation``.
    remarks : tuple of str
    """

    folds: tuple[Fold, ...]
    units: IntArray
    name: str
    remarks: tuple[str, ...]


def plan_folds(data: WindowedData, seed: int, max_folds: int = MAX_FOLDS) -> FoldPlan:
    """Folds in which whole groups are held out, every class (where it can be) fitted and judged, and no sample shared.

    The unit that stays whole is the group where groups are known, else the recording. A unit that alone holds a class
    is taken apart into its recordings, and a recording that alone holds a class into blocks of consecutive windows,
    since else that class could not be judged at all. Training windows that share samples with a held-out window are
    purged.

    Parameters
    ----------
    data : WindowedData
        Labelled windows only.
    seed : int
        Decides between equally good places for a unit.
    max_folds : int
        At most this many; fewer where there are fewer units.

    Raises
    ------
    DatasetError
        If there are fewer than two windows of some class: it could not be fitted and judged.
    """
    counts = data.rows_per_class()
    rare = [f"{name!r} ({count})" for name, count in counts.items() if count < 2]
    if rare:
        raise DatasetError(f"{data.name}: y: at least 2 windows of every class expected, got {', '.join(rare)}")
    grouped = data.group_key is not None and len(np.unique(data.groups)) > 1
    # Rows whose group is unknown stand for themselves: their recording is the least they share.
    units = (
        np.where(data.groups >= 0, data.groups, data.groups.max() + 1 + data.recordings) if grouped else data.recordings
    )
    units = _renumber(units)
    remarks: list[str] = []
    if grouped:
        units, taken_apart = _refine(data, units, _renumber(data.recordings))
        remarks += _remark(taken_apart, f"in one {data.group_key} only: its recordings are split instead")
    units, taken_apart = _refine(data, units, _time_blocks(data, max_folds))
    remarks += _remark(taken_apart, "in one recording only: its windows are split by blocks of time")
    fold_of_unit = _assign(data, units, min(max_folds, int(units.max()) + 1), seed)
    folds = _folds(data, fold_of_unit[units])
    n_left = len(data) - sum(len(fold.held_out) for fold in folds)
    if n_left:
        remarks.append(
            f"{n_left} windows could not be judged: without their neighbours there is nothing of two classes to fit on"
        )
    kind = "" if len(np.unique(units)) == len(data) else "blocked "
    if grouped and _keeps_a_group_whole(data, units):
        kind = "grouped "
    return FoldPlan(tuple(folds), units, f"{kind}{len(folds)}-fold cross-validation", tuple(remarks))


def plan_groups(data: WindowedData, seed: int) -> FoldPlan:
    """Folds in which every group is held out alone; with more than 50 groups, a few groups at a time.

    The other rules are those of `plan_folds`: where a group alone holds a class, its recordings are split.

    Raises
    ------
    DatasetError
        If fewer than two groups are known, or a class has fewer than two windows.
    """
    n_groups = len(np.unique(data.groups[data.groups >= 0])) if data.group_key is not None else 0
    if n_groups < 2:
        raise DatasetError(
            f"{data.name}: --folds groups: at least 2 groups (people, devices, runs) expected, got {n_groups or 'none'}"
        )
    plan = plan_folds(data, seed, min(n_groups, MAX_GROUPS))
    held_out = [np.unique(data.groups[fold.held_out]) for fold in plan.folds]
    if len(plan.folds) == n_groups and all(len(groups) == 1 for groups in held_out):
        return replace(plan, name=f"leave-one-{str(data.group_key).replace(' ', '-')}-out cross-validation")
    return plan


def _keeps_a_group_whole(data: WindowedData, units: IntArray) -> bool:
    """Whether some group is held out as one; where all were taken apart, nothing is grouped any more."""
    for group in np.unique(data.groups[data.groups >= 0]):
        inside = data.groups == group
        if len(np.unique(units[inside])) == 1:
            return True
    return False


def _remark(names: list[str], what: str) -> list[str]:
    return [f"each of {', '.join(repr(name) for name in names)} occurs {what}"] if names else []


def _renumber(values: IntArray) -> IntArray:
    return np.unique(values, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _refine(data: WindowedData, units: IntArray, finer: IntArray) -> tuple[IntArray, list[str]]:
    """Units in which those that alone hold a class are replaced by finer ones, and the names of these classes."""
    apart: set[int] = set()
    names = []
    for index, name in enumerate(data.classes):
        holders = np.unique(units[data.class_indices == index])
        if len(holders) == 1:
            inside = units == holders[0]
            if len(np.unique(finer[inside & (data.class_indices == index)])) > 1:
                apart.add(int(holders[0]))
                names.append(name)
    if not apart:
        return units, []
    chosen = np.isin(units, sorted(apart))
    return _renumber(np.where(chosen, units.max() + 1 + finer, units)), names


def _time_blocks(data: WindowedData, n_blocks: int) -> IntArray:
    """Blocks of consecutive windows of one class in one recording, as equal in number of windows as can be."""
    blocks = np.zeros(len(data), np.int64)
    order = np.lexsort((data.rows, data.starts, data.recordings, data.class_indices))
    keys = np.stack([data.class_indices[order], data.recordings[order]], axis=1)
    edges = np.flatnonzero(np.any(np.diff(keys, axis=0) != 0, axis=1)) + 1
    number = 0
    for rows in np.split(order, edges):
        parts = np.array_split(rows, min(n_blocks, len(rows)))
        for part in parts:
            blocks[part] = number
            number += 1
    return blocks


def _assign(data: WindowedData, units: IntArray, n_folds: int, seed: int) -> IntArray:
    """The fold of each unit: largest first, each to the fold where it keeps the classes most even."""
    n_units, n_classes = int(units.max()) + 1, len(data.classes)
    counts = np.zeros((n_units, n_classes))
    np.add.at(counts, (units, data.class_indices), 1.0)
    # Each class counts alike, however many windows it has, so that a rare one is spread as well.
    shares = counts / counts.sum(axis=0)
    generator = np.random.default_rng(seed)
    order = generator.permutation(n_units)
    order = order[np.argsort(-counts[order].max(axis=1), kind="stable")]
    filled = np.zeros((n_folds, n_classes))
    sizes = np.zeros(n_folds)
    fold_of_unit = np.zeros(n_units, np.int64)
    for unit in order:
        # The sum of squares of the shares grows least where this unit's classes are still rare; then the smallest fold.
        growth = 2.0 * filled @ shares[unit]
        best = int(np.lexsort((np.arange(n_folds), sizes, np.round(growth, 12)))[0])
        fold_of_unit[unit] = best
        filled[best] += shares[unit]
        sizes[best] += counts[unit].sum()
    return fold_of_unit


def _folds(data: WindowedData, fold_of_row: IntArray) -> list[Fold]:
    folds = []
    for number in range(int(fold_of_row.max()) + 1):
        is_held_out = fold_of_row == number
        if not is_held_out.any() or is_held_out.all():
            continue
        fitted = ~is_held_out & ~overlapping(data, is_held_out)
        if len(np.unique(data.class_indices[fitted])) > 1:
            folds.append(Fold(np.flatnonzero(fitted), np.flatnonzero(is_held_out)))
    if not folds:
        raise DatasetError(
            f"{data.name}: at least 2 separate groups, recordings or blocks of windows expected, got too few to split"
        )
    return folds


def overlapping(data: WindowedData, chosen: np.typing.NDArray[np.bool_]) -> np.typing.NDArray[np.bool_]:
    """Which windows share at least one sample with a chosen window (the chosen ones among them).

    Examples
    --------
    >>> from trainer.data.examples import example_windows
    >>> data = example_windows(n_recordings=1, windows_per_recording=5)  # hop = half a window
    >>> overlapping(data, np.array([False, False, True, False, False])).tolist()
    [False, True, True, True, False]
    """
    # On one axis: recordings lie so far apart that no window reaches into the next.
    spread = int(data.starts.max() - data.starts.min()) + 2 * data.window_length if len(data) else 1
    position = _renumber(data.recordings) * spread + (data.starts - data.starts.min(initial=0))
    taken = np.sort(position[chosen])
    if not len(taken):
        return np.zeros(len(data), bool)
    after = np.searchsorted(taken, position)
    to_next = np.where(after < len(taken), taken[np.minimum(after, len(taken) - 1)] - position, data.window_length)
    to_last = np.where(after > 0, position - taken[np.maximum(after - 1, 0)], data.window_length)
    near: np.typing.NDArray[np.bool_] = (to_next < data.window_length) | (to_last < data.window_length)
    return near
