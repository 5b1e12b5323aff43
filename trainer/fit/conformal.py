"""Thresholds whose error rate is stated, and holds for people and machines that were not in training.

Scores of one person resemble each other, so ten thousand windows of twenty people are twenty observations rather than
ten thousand. Rates here are those of a *group* that is met next: each group counts alike, and each is judged by a
threshold that it had no part in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from signals import IntArray

FloatArray = NDArray[np.float64]

_N_HALVINGS = 24
_COVERAGE = 0.9
# Confidences that are tried, evenly spread over the windows.
_N_STEPS = 50


@dataclass(frozen=True, slots=True)
class Threshold:
    """A threshold with the rate at which familiar scores of a new group cross it.

    Attributes
    ----------
    value : float
        Scores above it are called novel.
    rate : float
        Expected share of windows above it, in a group that was not there, > 0.
    low, high : float
        90 % interval of that expectation; as few groups as there are, the rate is not known better.
    n_groups, n_scores : int
        What it was found from.
    """

    value: float
    rate: float
    low: float
    high: float
    n_groups: int
    n_scores: int


def conformal_threshold(scores: FloatArray, rate: float, groups: IntArray | None = None) -> Threshold:
    """Return the threshold that familiar scores of a new group cross at the stated rate, on average over groups.

    Parameters
    ----------
    scores : ndarray of shape (n_scores,)
        Each by a model that had not seen its group.
    rate : float
        Between 0 and 1.
    groups : ndarray of shape (n_scores,), int, optional
        None = each score stands for itself.

    Raises
    ------
    ValueError
        If there are no scores, one is not finite, shapes differ, or the rate is not between 0 and 1.

    Notes
    -----
    With groups: the level of the group-weighted quantile is moved until the groups, each judged by the quantile of the
    *others*, cross it at the rate. The plain quantile of all scores is crossed more often by a new group than by those
    it was taken from; the bound that holds in the worst case (Dunn, Wasserman & Ramdas, JASA 2022; Lee, Barber &
    Willett, arXiv:2306.06342) promises nothing below 1 / (n_groups + 1) and is crossed far too seldom to be a stated
    rate. This one is an estimate: unbiased for n_groups - 1 groups, with the interval of a Student distribution over
    groups. Without groups, or with a single one: split conformal prediction, the ``ceil((n + 1) (1 - rate))``-th
    smallest, or the largest and the rate ``1 / (n + 1)`` (Vovk, Gammerman & Shafer, section 4.1), with the
    interval of the Beta distribution that the rate of such a threshold follows (Vovk 2012).

    Examples
    --------
    >>> conformal_threshold(np.arange(1.0, 100.0), 0.1).value
    90.0
    """
    values, units = _checked(scores, groups)
    if not 0.0 < rate < 1.0:
        raise ValueError(f"rate: a number between 0 and 1 expected, got {rate}")
    n, n_groups = len(values), int(units.max()) + 1
    if n_groups in {1, n}:
        rank = min(int(np.ceil((n + 1) * (1.0 - rate))), n)
        low, high = stats.beta.interval(_COVERAGE, n + 1 - rank, rank)
        stated = rate if rank < n or rate >= 1.0 / (n + 1) else 1.0 / (n + 1)
        return Threshold(float(np.sort(values)[rank - 1]), float(stated), float(low), float(high), n_groups, n)
    order = np.argsort(values, kind="stable")
    values, units = values[order], units[order]
    lowest, highest = 0.0, 1.0
    for _ in range(_N_HALVINGS):
        level = (lowest + highest) / 2.0
        if float(_left_out_rates(values, units, level).mean()) > rate:
            lowest = level
        else:
            highest = level
    rates = _left_out_rates(values, units, highest)
    sizes = np.bincount(units)
    reached = int(np.searchsorted(np.cumsum(1.0 / sizes[units]) / n_groups, highest - 1e-12))
    value = float(values[min(reached, n - 1)])
    # No rate below what so many groups could show, and none above what these windows themselves do.
    own = float(np.mean(np.bincount(units, values > value) / sizes))
    expected = max(float(rates.mean()), own, 1.0 / (n + 1))
    half = float(stats.t.ppf(0.5 + _COVERAGE / 2.0, n_groups - 1)) * float(rates.std(ddof=1)) / np.sqrt(n_groups)
    high = max(expected + half, 1.0 - (1.0 - _COVERAGE) ** (1.0 / n_groups) if own == 0.0 else 0.0)
    return Threshold(value, expected, max(0.0, expected - half), min(1.0, high), n_groups, n)


def _left_out_rates(values: FloatArray, units: IntArray, level: float) -> FloatArray:
    """Share of each group's scores above the group-weighted quantile of the others; values are sorted."""
    n_groups = int(units.max()) + 1
    sizes = np.bincount(units)
    weights = 1.0 / sizes[units] / (n_groups - 1)
    total = np.cumsum(weights)
    rates = np.empty(n_groups)
    for group in range(n_groups):
        own = units == group
        others = total - np.cumsum(np.where(own, weights, 0.0))
        position = min(int(np.searchsorted(others, level - 1e-12)), len(values) - 1)
        rates[group] = float(np.mean(values[own] > values[position]))
    return rates


def conformal_p_values(calibration: FloatArray, scores: FloatArray) -> FloatArray:
    """Return, for each score, the chance that a familiar one is as large: uniform or larger if it is exchangeable.

    ``(1 + number of calibration scores that are at least as large) / (n + 1)``; Vovk, Gammerman & Shafer, section 2.2.

    Parameters
    ----------
    calibration : ndarray of shape (n_calibration,)
    scores : ndarray of shape (n_scores,)

    Raises
    ------
    ValueError
        If there are no calibration scores, or one is not finite.

    Examples
    --------
    >>> conformal_p_values(np.array([1.0, 2.0, 3.0]), np.array([0.0, 2.5, 9.0])).tolist()
    [1.0, 0.5, 0.25]
    """
    ranked = np.sort(_checked(calibration, None)[0])
    below = np.searchsorted(ranked, scores, side="left")
    return np.asarray((1.0 + len(ranked) - below) / (len(ranked) + 1.0), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class ConfidenceBound:
    """The confidence below which a label is called unsure, and what may be said of the others.

    Attributes
    ----------
    value : float
        Between 0 and 1. Labels at or above it are ``ok``.
    wrong_at_most : float
        Upper bound on the share of wrong labels among them.
    share_ok : float
        Of the calibration windows.
    holds : bool
        Whether the bound asked for is kept; if not, no confidence keeps it, and the one with the lowest bound stands.
    """

    value: float
    wrong_at_most: float
    share_ok: float
    holds: bool


def unsure_below(
    probabilities: FloatArray,
    class_indices: IntArray,
    *,
    wrong_at_most: float = 0.05,
    doubt: float = 0.1,
    groups: IntArray | None = None,
) -> ConfidenceBound:
    """Return the confidence from which on labels are wrong at most so often, found wrongly with at most this doubt.

    Parameters
    ----------
    probabilities : ndarray of shape (n_windows, n_classes)
        Of windows that the model was not fitted on.
    class_indices : ndarray of shape (n_windows,), int
    wrong_at_most : float
        Share of wrong labels among those called ``ok``, between 0 and 1.
    doubt : float
        Probability that the bound does not hold, between 0 and 1.
    groups : ndarray of shape (n_windows,), int, optional
        None = each window stands for itself.

    Raises
    ------
    ValueError
        If there are no windows, shapes differ, or a share is not between 0 and 1.

    Notes
    -----
    Fixed-sequence testing of confidences from strict to lax, Angelopoulos, Bates, Candès, Jordan & Lei, *Learn then
    Test* (2021), section 3: the last one before the first that cannot be shown to hold. Each is tested by the bound of
    Clopper & Pearson; with groups on the effective number of windows (Korn & Graubard, Survey Methodology 24 (1998)
    193), which is an approximation for few groups. The sequence starts where so many windows are accepted that an
    error-free answer would pass, which the errors have no part in.

    Examples
    --------
    >>> confidence = np.repeat([0.6, 0.99], 200)
    >>> bound = unsure_below(np.stack([confidence, 1.0 - confidence], axis=1), np.repeat([1, 0], 200))
    >>> bound.value, bound.share_ok, bound.holds
    (0.99, 0.5, True)
    """
    for name, share in (("wrong_at_most", wrong_at_most), ("doubt", doubt)):
        if not 0.0 < share < 1.0:
            raise ValueError(f"{name}: a number between 0 and 1 expected, got {share}")
    confidence, units = _checked(probabilities.max(axis=1), groups)
    if class_indices.shape != confidence.shape:
        raise ValueError(f"class_indices: shape {confidence.shape} expected, got {class_indices.shape}")
    is_wrong = probabilities.argmax(axis=1) != class_indices
    n = len(confidence)
    least = int(np.ceil(np.log(doubt) / np.log1p(-wrong_at_most)))
    numbers = np.unique(np.linspace(min(least, n), n, _N_STEPS).astype(np.int64))
    best: ConfidenceBound | None = None
    passed: ConfidenceBound | None = None
    is_open = True
    for candidate in np.unique(np.sort(confidence)[n - numbers])[::-1]:
        is_ok = confidence >= candidate
        bound = ConfidenceBound(
            0.0 if is_ok.all() else float(candidate),
            _upper_bound(is_wrong[is_ok], units[is_ok], doubt),
            float(is_ok.mean()),
            holds=True,
        )
        is_open = is_open and bound.wrong_at_most <= wrong_at_most
        if is_open:
            passed = bound
        if best is None or bound.wrong_at_most < best.wrong_at_most:
            best = bound
    if passed is not None:
        return passed
    # There is at least one candidate, since there is at least one window.
    chosen = best if best is not None else ConfidenceBound(1.0, 1.0, 0.0, holds=False)
    return ConfidenceBound(chosen.value, chosen.wrong_at_most, chosen.share_ok, holds=False)


def _upper_bound(is_wrong: NDArray[np.bool_], units: IntArray, doubt: float) -> float:
    """Upper Clopper-Pearson bound on a share, on the number of windows that dependent ones are worth."""
    n = len(is_wrong)
    share = float(is_wrong.mean())
    _, members = np.unique(units, return_inverse=True)
    n_groups = int(members.max()) + 1
    n_effective = float(n)
    if 1 < n_groups < n and 0.0 < share < 1.0:
        sums = np.bincount(members, is_wrong - share)
        variance = n_groups / (n_groups - 1) * float((sums**2).sum()) / n**2
        n_effective = min(n_effective, max(share * (1.0 - share) / variance, 1.0)) if variance > 0.0 else n_effective
    wrong = share * n_effective
    return 1.0 if share == 1.0 else float(stats.beta.ppf(1.0 - doubt, wrong + 1.0, n_effective - wrong))


def _checked(scores: FloatArray, groups: IntArray | None) -> tuple[FloatArray, IntArray]:
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ValueError(
            f"scores: finite scores of shape (n,) expected, got shape {values.shape} with "
            f"{int(np.sum(~np.isfinite(values)))} not finite"
        )
    if groups is None:
        return values, np.arange(len(values))
    if np.shape(groups) != values.shape:
        raise ValueError(f"groups: shape {values.shape} expected, got {np.shape(groups)}")
    return values, np.unique(groups, return_inverse=True)[1].reshape(-1).astype(np.int64)
