"""95 % intervals: Wilson's for independent windows, a bootstrap over groups where windows share a person or a run."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from signals import IntArray
from trainer.evaluate.confusion import balanced_accuracy, macro_f1

Interval = tuple[float, float]

Z_95 = 1.959963984540054
"""Two-sided 95 % quantile of the normal distribution."""

_N_RESAMPLES = 1000
_LEAST_GROUPS = 5


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
    generator = np.random.default_rng(seed)
    by_group = _confusion_by_group(class_indices, predicted, n_classes, groups)
    is_grouped = by_group is not None
    if by_group is None:
        cells = np.bincount(class_indices * n_classes + predicted, minlength=n_classes * n_classes)
        drawn = generator.multinomial(len(class_indices), cells / cells.sum(), size=_N_RESAMPLES)
        confusions: NDArray[Any] = drawn.reshape(_N_RESAMPLES, n_classes, n_classes)
    else:
        n_groups = len(by_group)
        times = generator.multinomial(n_groups, np.full(n_groups, 1.0 / n_groups), size=_N_RESAMPLES)
        confusions = np.tensordot(times, by_group, axes=1)
    right = np.trace(confusions, axis1=1, axis2=2)
    if is_grouped:
        accuracy = _percentiles(right / confusions.sum(axis=(1, 2)))
    else:
        accuracy = wilson_interval(int((class_indices == predicted).sum()), len(class_indices))
    return {
        "accuracy": accuracy,
        "balanced_accuracy": _percentiles(balanced_accuracy(confusions)),
        "macro_f1": _percentiles(macro_f1(confusions)),
    }


def _percentiles(values: NDArray[Any]) -> Interval:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def _confusion_by_group(
    class_indices: IntArray, predicted: IntArray, n_classes: int, groups: IntArray | None
) -> NDArray[np.int64] | None:
    """Counts of shape (n_groups, n_classes, n_classes), or None where windows are to count as independent."""
    if groups is None or not np.any(groups >= 0):
        return None
    names, members = np.unique(groups, return_inverse=True)
    if len(names) < _LEAST_GROUPS:
        return None
    counts = np.zeros((len(names), n_classes, n_classes), np.int64)
    np.add.at(counts, (members.reshape(-1), class_indices, predicted), 1)
    return counts
