"""How far two groupings of the same windows agree, whatever their groups are called."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from signals import IntArray

Counts = NDArray[np.float64]


def contingency(one: IntArray, other: IntArray) -> Counts:
    """How many windows are in each pair of groups, shape (n groups of one, n groups of the other).

    Raises
    ------
    ValueError
        If the two are not of one length, or empty.
    """
    if one.shape != other.shape or one.ndim != 1 or not len(one):
        raise ValueError(f"two groupings of the same windows expected, got shapes {one.shape} and {other.shape}")
    _, rows = np.unique(one, return_inverse=True)
    _, columns = np.unique(other, return_inverse=True)
    counts = np.zeros((rows.max() + 1, columns.max() + 1))
    np.add.at(counts, (rows, columns), 1.0)
    return counts


def adjusted_rand(one: IntArray, other: IntArray) -> float:
    """The adjusted Rand index: 1 for the same grouping, about 0 for one drawn at random.

    Parameters
    ----------
    one, other : ndarray of shape (n_windows,), int
        Any numbers; equal ones are one group.

    Notes
    -----
    Hubert & Arabie, *Comparing Partitions*, Journal of Classification 2 (1985) 193, eq. 5.

    Examples
    --------
    >>> adjusted_rand(np.array([0, 0, 1, 1]), np.array([7, 7, 3, 3]))
    1.0
    >>> round(adjusted_rand(np.array([0, 0, 1, 2]), np.array([0, 0, 1, 1])), 4)
    0.5714
    """
    counts = contingency(one, other)
    n = float(counts.sum())

    def pairs(values: Counts) -> float:
        return float((values * (values - 1.0)).sum()) / 2.0

    together, in_one, in_other = pairs(counts), pairs(counts.sum(axis=1)), pairs(counts.sum(axis=0))
    by_chance = in_one * in_other / (n * (n - 1.0) / 2.0) if n > 1 else 0.0
    most = (in_one + in_other) / 2.0
    # Both are one group, or both are all singles: they are the same then.
    return 1.0 if most == by_chance else (together - by_chance) / (most - by_chance)


def normalised_mutual_information(one: IntArray, other: IntArray) -> float:
    """Mutual information over the mean of the two entropies: 1 for the same grouping, 0 for independent ones.

    Notes
    -----
    Vinh, Epps & Bailey, JMLR 11 (2010), table 2, "NMI sum".

    Examples
    --------
    >>> normalised_mutual_information(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]))
    0.0
    """
    share = contingency(one, other) / len(one)
    rows, columns = share.sum(axis=1), share.sum(axis=0)

    def entropy(values: Counts) -> float:
        return float(-(values[values > 0.0] * np.log(values[values > 0.0])).sum())

    either = entropy(rows) + entropy(columns)
    mutual = either - entropy(share.ravel())
    return 1.0 if either == 0.0 else max(0.0, 2.0 * mutual / either)


def matched(counts: Counts) -> IntArray:
    """For every row of a square table the column it goes with: the largest counts first, every column once.

    Examples
    --------
    >>> matched(np.array([[5.0, 9.0], [0.0, 8.0]])).tolist()
    [1, 0]
    """
    left = counts.astype(np.float64).copy()
    partner = np.full(len(left), -1, np.int64)
    for _ in range(len(left)):
        row, column = np.unravel_index(int(left.argmax()), left.shape)
        partner[row] = column
        left[row, :] = -1.0
        left[:, column] = -1.0
    return partner
