"""95 % intervals: Wilson's for independent windows, a bootstrap over groups where windows share a person or a run."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from signals import IntArray
from trainer.evaluate.confusion import ClassCounts

Interval = tuple[float, float]

Z_95 = 1.959963984540054
"""Two-sided 95 % quantile of the normal distribution."""

_N_RESAMPLES = 1000
_LEAST_GROUPS = 5
_MOST_COUNTS = 2_000_000


def wilson_interval(n_right: int, n_windows: int, z: float = Z_95) -> Interval:
    """The score interval of a share, inside [0, 1] for any count.

    Notes
    -----
    Wilson, *Probable inference, the law of succession, and statistical inference*, JASA 22 (1927), 209-212.

    Raises
    ------
    ValueError
        If there are no windows.

    Examples
    --------
    >>> low, high = wilson_interval(9, 10)
    >>> round(low, 4), round(high, 4)
    (0.5958, 0.9821)
    """
    if n_windows < 1:
        message = f"n_windows: at least 1 expected, got {n_windows}"
        raise ValueError(message)
    share = n_right / n_windows
    spread = z * np.sqrt(share * (1.0 - share) / n_windows + z * z / (4.0 * n_windows * n_windows))
    centre = share + z * z / (2.0 * n_windows)
    scale = 1.0 + z * z / n_windows
    return max(0.0, float((centre - spread) / scale)), min(1.0, float((centre + spread) / scale))


def metric_intervals(
    class_indices: IntArray, predicted: IntArray, n_classes: int, *, groups: IntArray | None, seed: int
) -> dict[str, Interval]:
    """95 % intervals of accuracy, balanced accuracy and macro F1.

    With at least 5 groups whole groups are drawn (cluster bootstrap, percentiles): 100 overlapping windows of one
    person say little more than one. Else windows count as independent: Wilson for accuracy, a bootstrap over windows
    for the others.

    Parameters
    ----------
    class_indices, predicted : ndarray of shape (n_windows,), int
    n_classes : int
    groups : ndarray of shape (n_windows,), int, or None
        -1 = unknown, which is a group of its own.
    seed : int

    Notes
    -----
    Davison and Hinkley, *Bootstrap Methods and their Application*, section 3.8.
    """
    is_grouped = n_independent_groups(groups) > 0
    drawn = _drawn_counts(class_indices, predicted, n_classes, groups, seed)
    if is_grouped:
        accuracy = _percentiles(drawn.accuracy())
    else:
        accuracy = wilson_interval(int((class_indices == predicted).sum()), len(class_indices))
    return {
        "accuracy": accuracy,
        "balanced_accuracy": _percentiles(drawn.balanced_accuracy()),
        "macro_f1": _percentiles(drawn.macro_f1()),
    }


@dataclass(frozen=True, slots=True)
class ClassIntervals:
    """95 % intervals of one class; None where there is nothing to take a share of."""

    precision: Interval | None
    recall: Interval | None
    f1: Interval | None


def class_intervals(
    class_indices: IntArray, predicted: IntArray, n_classes: int, *, groups: IntArray | None, seed: int
) -> tuple[ClassIntervals, ...]:
    """95 % intervals of precision, recall and F1 of each class.

    Precision and recall are shares of windows: Wilson. With at least 5 groups the percentiles of a cluster bootstrap
    widen that, and never narrow it: where every group is right a bootstrap claims certainty, and five groups cannot
    give it. F1 is bootstrapped, over groups or over windows.

    Parameters
    ----------
    class_indices, predicted : ndarray of shape (n_windows,), int
    n_classes : int
    groups : ndarray of shape (n_windows,), int, or None
    seed : int

    Examples
    --------
    >>> y, answers = np.array([0] * 10 + [1] * 10), np.array([0] * 9 + [1] * 11)
    >>> low, high = class_intervals(y, answers, 2, groups=None, seed=0)[0].recall
    >>> round(low, 4), round(high, 4)
    (0.5958, 0.9821)
    """
    drawn = _drawn_counts(class_indices, predicted, n_classes, groups, seed)
    precision, recall, f1 = drawn.scores()
    is_grouped = n_independent_groups(groups) > 0
    found = []
    for index in range(n_classes):
        is_true, is_answered = class_indices == index, predicted == index
        n_true, n_answered, n_right = int(is_true.sum()), int(is_answered.sum()), int((is_true & is_answered).sum())
        # A resample without this class says nothing about it.
        has_true, has_answered = drawn.true[:, index] > 0, drawn.answered[:, index] > 0
        of_precision = wilson_interval(n_right, n_answered) if n_answered else None
        of_recall = wilson_interval(n_right, n_true) if n_true else None
        of_f1 = _percentiles(f1[has_true | has_answered, index]) if n_true or n_answered else None
        if is_grouped and of_precision is not None:
            of_precision = _hull(of_precision, _percentiles(precision[has_answered, index]))
        if is_grouped and of_recall is not None:
            of_recall = _hull(of_recall, _percentiles(recall[has_true, index]))
        found.append(ClassIntervals(of_precision, of_recall, of_f1))
    return tuple(found)


def mean_interval(values: NDArray[np.floating[Any]], *, groups: IntArray | None, seed: int) -> Interval:
    """95 % interval of the mean of one value a window: percentiles of a bootstrap over groups, or over windows.

    Parameters
    ----------
    values : ndarray of shape (n_windows,)
        For example the log-loss of each window, or 1 where the answer was right.
    groups : ndarray of shape (n_windows,), int, or None
    seed : int

    Examples
    --------
    >>> mean_interval(np.full(50, 0.25), groups=None, seed=0)
    (0.25, 0.25)
    """
    columns = np.stack([np.asarray(values, np.float64), np.ones(len(values))], axis=1)
    sums = _drawn_sums(columns, groups, seed)
    return _percentiles(sums[:, 0] / sums[:, 1])


def ece_interval(
    probabilities: NDArray[np.floating[Any]],
    class_indices: IntArray,
    *,
    groups: IntArray | None,
    seed: int,
    n_bins: int = 15,
) -> Interval:
    """95 % interval of the expected calibration error: bias-corrected percentiles of a bootstrap.

    The plain percentiles would lie too high: a sum of absolute gaps grows with every resampling, so that the interval
    could miss the very value it belongs to.

    Parameters
    ----------
    probabilities : ndarray of shape (n_windows, n_classes)
    class_indices : ndarray of shape (n_windows,), int
    groups : ndarray of shape (n_windows,), int, or None
    seed : int
    n_bins : int

    Notes
    -----
    Efron and Tibshirani, *An Introduction to the Bootstrap*, section 14.3, with acceleration 0.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    bins = np.clip(np.ceil(confidence * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    columns = np.zeros((len(confidence), n_bins + 1))
    columns[np.arange(len(confidence)), bins] = (probabilities.argmax(axis=1) == class_indices) - confidence
    columns[:, n_bins] = 1.0
    sums = _drawn_sums(columns, groups, seed)
    drawn = np.abs(sums[:, :n_bins]).sum(axis=1) / sums[:, n_bins]
    whole = columns.sum(axis=0)
    value = float(np.abs(whole[:n_bins]).sum() / whole[n_bins])
    below = float(np.clip((drawn < value).mean(), 1.0 / len(drawn), 1.0 - 1.0 / len(drawn)))
    normal = NormalDist()
    shift = 2.0 * normal.inv_cdf(below)
    low, high = np.quantile(drawn, [normal.cdf(shift - Z_95), normal.cdf(shift + Z_95)])
    return min(float(low), value), max(float(high), value)


def n_independent_groups(groups: IntArray | None) -> int:
    """How many groups intervals are taken over; 0 where windows are to count as independent.

    Examples
    --------
    >>> n_independent_groups(np.arange(5)), n_independent_groups(np.arange(4)), n_independent_groups(None)
    (5, 0, 0)
    """
    if groups is None or not np.any(groups >= 0):
        return 0
    n_groups = len(np.unique(groups))
    return n_groups if n_groups >= _LEAST_GROUPS else 0


def _hull(one: Interval, other: Interval) -> Interval:
    return min(one[0], other[0]), max(one[1], other[1])


def _percentiles(values: NDArray[Any]) -> Interval:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def _drawn_counts(
    class_indices: IntArray, predicted: IntArray, n_classes: int, groups: IntArray | None, seed: int
) -> ClassCounts:
    """The counts of a thousand resamples of groups, or of windows, each of shape ``(1000, n_classes)``.

    Whole matrices are never made: those of a thousand classes would fill 8 GB.
    """
    generator = np.random.default_rng(seed)
    if groups is not None and n_independent_groups(groups):
        names, members = np.unique(groups, return_inverse=True)
        size = (len(names), n_classes)
        parts = _counts(members.reshape(-1), class_indices, predicted, np.ones(len(class_indices), np.int64), size)
        times = generator.multinomial(len(names), np.full(len(names), 1.0 / len(names)), size=_N_RESAMPLES)
        return ClassCounts(*(times @ part for part in parts))
    # Windows of one cell of the confusion matrix are the same to every score; most of many cells are empty.
    cells, n_inside = np.unique(class_indices * n_classes + predicted, return_counts=True)
    drawn = generator.multinomial(len(class_indices), n_inside / n_inside.sum(), size=_N_RESAMPLES)
    draw, cell = np.nonzero(drawn)
    size = (_N_RESAMPLES, n_classes)
    return ClassCounts(*_counts(draw, cells[cell] // n_classes, cells[cell] % n_classes, drawn[draw, cell], size))


def _counts(
    rows: IntArray, class_indices: IntArray, predicted: IntArray, weights: IntArray, size: tuple[int, int]
) -> tuple[IntArray, IntArray, IntArray]:
    """How often each class was right, there, and answered in each row, each of shape ``(n_rows, n_classes)``."""
    is_right = class_indices == predicted

    def table(chosen: IntArray, columns: IntArray, counted: IntArray) -> IntArray:
        sums = np.bincount(chosen * size[1] + columns, counted, minlength=size[0] * size[1])
        return np.rint(sums).astype(np.int64).reshape(size)

    return (
        table(rows[is_right], class_indices[is_right], weights[is_right]),
        table(rows, class_indices, weights),
        table(rows, predicted, weights),
    )


def _drawn_sums(columns: NDArray[np.float64], groups: IntArray | None, seed: int) -> NDArray[np.float64]:
    """Sums of the columns in a thousand resamples of groups, or of windows, shape ``(1000, n_columns)``."""
    generator = np.random.default_rng(seed)
    units = columns
    if groups is not None and n_independent_groups(groups):
        names, members = np.unique(groups, return_inverse=True)
        units = np.zeros((len(names), columns.shape[1]))
        np.add.at(units, members.reshape(-1), columns)
    n_units = len(units)
    sums = np.empty((_N_RESAMPLES, columns.shape[1]))
    # In portions: a thousand times as many counts as windows would not fit everywhere.
    portion = max(1, _MOST_COUNTS // n_units)
    for start in range(0, _N_RESAMPLES, portion):
        size = min(portion, _N_RESAMPLES - start)
        times = generator.multinomial(n_units, np.full(n_units, 1.0 / n_units), size=size)
        sums[start : start + size] = times @ units
    return sums
