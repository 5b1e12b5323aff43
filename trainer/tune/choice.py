"""Between models that were measured: which are on the front, which is best, which is simple and as good."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trainer.tune.trial import Trial


class Accuracy(NamedTuple):
    """A share of right labels, its standard error, and of how many windows."""

    value: float
    standard_error: float
    n_windows: int


def accuracy_with_error(is_right: npt.NDArray[np.bool_], units: npt.NDArray[np.integer]) -> Accuracy:
    """Return the share of right labels with its standard error over units.

    Parameters
    ----------
    is_right : ndarray of shape (n_windows,), bool
    units : ndarray of shape (n_windows,), int
        Windows of one unit (person, device, recording) are not independent of each other; units are.

    Raises
    ------
    ValueError
        If there are no windows.

    Notes
    -----
    The share is a ratio of sums over units; its variance is ``u / (u - 1) * sum (right_u - share * n_u)^2 / n^2``
    (Cochran, *Sampling Techniques*, 3rd ed., eq. 2.46 with equal weights). Where every window is its own unit that is
    the binomial ``share (1 - share) / (n - 1)``. With one unit nothing can be said of others: its windows are taken
    to be independent.

    Examples
    --------
    >>> accuracy_with_error(np.array([True, True, False, True]), np.array([0, 0, 1, 1]))
    Accuracy(value=0.75, standard_error=0.25, n_windows=4)
    """
    n_windows = len(is_right)
    if not n_windows:
        raise ValueError("is_right: at least one window expected, got none")
    share = float(is_right.mean())
    numbers = np.unique(units, return_inverse=True)[1].reshape(-1)
    if numbers.max() == 0:
        numbers = np.arange(n_windows)
    n_units = int(numbers.max()) + 1
    if n_units == 1:
        return Accuracy(share, 0.0, n_windows)
    excess = np.bincount(numbers, weights=is_right - share)
    variance = n_units / (n_units - 1) * float((excess**2).sum()) / n_windows**2
    return Accuracy(share, variance**0.5, n_windows)


def pareto_front(trials: Sequence[Trial]) -> list[Trial]:
    """Return the judged trials that no other one beats in accuracy, time, size and memory together; most right first.

    Costs are compared as far as they can be told apart: time to two digits, memory in whole MiB. Of trials that are
    equal in all four the one tried first stands for them.
    """
    judged = [trial for trial in trials if trial.accuracy is not None and trial.cost is not None]
    figures = [_figures(trial) for trial in judged]
    front = [
        trial
        for position, (trial, own) in enumerate(zip(judged, figures, strict=True))
        if not any(other != own and all(a <= b for a, b in zip(other, own, strict=True)) for other in figures)
        and own not in figures[:position]
    ]
    return sorted(front, key=lambda trial: (-(trial.accuracy or 0.0), *_simplicity(trial)))


def best_trial(trials: Sequence[Trial]) -> Trial:
    """Return the most accurate judged trial; of equals the simplest.

    Raises
    ------
    ValueError
        If none was judged.
    """
    judged = [trial for trial in trials if trial.accuracy is not None and trial.cost is not None]
    if not judged:
        raise ValueError("trials: at least one that was judged expected, got none")
    return min(judged, key=lambda trial: (-(trial.accuracy or 0.0), *_simplicity(trial)))


def one_standard_error(trials: Sequence[Trial]) -> Trial:
    """Return the simplest judged trial within one standard error of the best.

    Simplest is the one with the fewest numbers in its graph, which no noise moves; of equals the fastest, then the most
    right.

    Raises
    ------
    ValueError
        If none was judged.

    Notes
    -----
    Breiman, Friedman, Olshen & Stone, *Classification and Regression Trees* (1984), section 3.4.3; Hastie, Tibshirani &
    Friedman, *The Elements of Statistical Learning*, section 7.10.
    """
    best = best_trial(trials)
    least = (best.accuracy or 0.0) - (best.standard_error or 0.0)
    # Ten significant digits: a sum of shares in another order is no worse model.
    good = [t for t in trials if t.accuracy is not None and t.cost is not None and t.accuracy >= least - 1e-10]
    return min(good, key=lambda trial: (*_simplicity(trial), -(trial.accuracy or 0.0)))


def _simplicity(trial: Trial) -> tuple[float, float]:
    if trial.cost is None:
        raise ValueError("trial: a measured cost expected, got none")
    return (trial.cost.n_parameters, trial.cost.us_per_window_batch_1)


def _figures(trial: Trial) -> tuple[float, ...]:
    """What is better when it is less."""
    if trial.cost is None or trial.accuracy is None:
        raise ValueError("trial: a measured cost and an accuracy expected, got none")
    cost = trial.cost
    return (-trial.accuracy, float(f"{cost.us_per_window_batch_1:.1e}"), cost.kib, round(cost.rss_mib))
