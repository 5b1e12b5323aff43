"""How many groups there are: what each number of them has for and against itself, and the choice that follows."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from signals import IntArray
from trainer.cluster.agreement import adjusted_rand
from trainer.cluster.models import GroupModel, GroupSetting, fit_groups
from trainer.cluster.options import Method
from trainer.cluster.units import random_halves, resampling_units, spaced_rows
from trainer.data import WindowedData
from trainer.learn import ConvergenceWarning

Places = NDArray[np.float64]
Report = Callable[[str, int, int], None]

N_SPLITS = 6
"""Random halves by which stability is measured."""

_MOST_SILHOUETTE_ROWS = 1000
_MOST_ROWS = 2500
"""With more windows the evidence is taken from so many, drawn at random; the groups themselves from all."""

_N_REFERENCES = 5
_STABLE_ENOUGH = 0.05
"""Numbers of groups whose stability is this much below the best, or one standard error, count as equally stable."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one number of groups has for and against itself; NaN where a figure cannot be had.

    Attributes
    ----------
    n_groups : int
    silhouette : float
        Mean over windows that share no samples, -1 to 1: how much nearer a window is to its own group than to the next.
    gap, gap_error : float
        How much tighter the groups are than in uniform noise, in nats, and its standard error. k-means only.
    bic : float
        Bayesian information criterion, smaller is better. Mixtures only.
    stability, stability_error : float
        Mean adjusted Rand index between the groupings found in two random halves and in all, and its standard error.
    smallest_share : float
        Of the windows, in the smallest group.
    """

    n_groups: int
    silhouette: float
    gap: float
    gap_error: float
    bic: float
    stability: float
    stability_error: float
    smallest_share: float

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; what cannot be had is null."""
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in asdict(self).items()
        }


@dataclass(frozen=True, slots=True)
class Choice:
    """The number of groups that the evidence speaks for, and why, in a sentence or two."""

    n_groups: int
    reasons: tuple[str, ...]


def gather_evidence(
    data: WindowedData, places: Places, candidates: Sequence[int], setting: GroupSetting, report: Report
) -> tuple[Evidence, ...]:
    """The evidence for each of these numbers of groups, in their order.

    Parameters
    ----------
    data : WindowedData
        Says which windows belong together; labels are not looked at.
    places : ndarray of shape (n_windows, n_components)
    candidates : sequence of int
    setting : GroupSetting
    report : callable
        Called with (what, done, of).

    Notes
    -----
    Silhouette: Rousseeuw, J. Computational and Applied Mathematics 20 (1987) 53. Gap: Tibshirani, Walther & Hastie,
    JRSS B 63 (2001) 411, references drawn in the box of the principal components. Stability: Ben-Hur, Elisseeff &
    Guyon, PSB 2002, with halves that share no group (person, device) and no samples.
    """
    seed = setting.seed
    rows = _some_rows(len(data), _MOST_ROWS, seed)
    data, places = data.take(rows), places[rows]
    units, _ = resampling_units(data)
    spaced = spaced_rows(data, _MOST_SILHOUETTE_ROWS, np.random.default_rng(seed))
    halves = list(random_halves(data, units, N_SPLITS, np.random.default_rng(seed)))
    found = []
    for number, n_groups in enumerate(candidates):
        report("evidence for the number of groups", number, len(candidates))
        with warnings.catch_warnings():
            # A fit that stops a little early still tells how many groups there are; the final one speaks up.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = fit_groups(places, n_groups, setting, n_init=5)
            labels = model.predict(places)
            stability, stability_error = _stability(places, labels, halves, n_groups, setting)
            gap, gap_error = (
                gap_statistic(places, n_groups, seed) if setting.method == "kmeans" else (float("nan"), float("nan"))
            )
        found.append(
            Evidence(
                n_groups=n_groups,
                silhouette=silhouette(places[spaced], labels[spaced]),
                gap=gap,
                gap_error=gap_error,
                bic=model.bic(places),
                stability=stability,
                stability_error=stability_error,
                smallest_share=float(np.bincount(labels, minlength=n_groups).min()) / len(labels),
            )
        )
    return tuple(found)


def choose(evidence: Sequence[Evidence], method: Method, unit: str) -> Choice:
    """The number of groups to take: among the most stable ones the clearest.

    Equally stable are those within one standard error (or 0.05) of the best; of them the one with the largest
    silhouette is taken, of mixtures the one with the smallest BIC.

    Parameters
    ----------
    evidence : sequence of Evidence
        One of them may be of a single group: it is never chosen, but it tells whether there are groups at all.
    method : {"kmeans", "mixture"}
    unit : str
        What the halves were made of, for the sentence.

    Examples
    --------
    >>> def of(k, silhouette, stability):
    ...     return Evidence(k, silhouette, 0.5, 0.01, float("nan"), stability, 0.01, 0.1)
    >>> choose([of(2, 0.4, 0.99), of(3, 0.6, 0.98), of(4, 0.7, 0.6)], "kmeans", "device").n_groups
    3
    """
    several = [item for item in evidence if item.n_groups > 1]
    measured = [item for item in several if math.isfinite(item.stability)]
    reasons = []
    candidates = several
    if measured:
        best = max(measured, key=lambda item: item.stability)
        bar = best.stability - max(best.stability_error, _STABLE_ENOUGH)
        candidates = [item for item in measured if item.stability >= bar]
        listed = ", ".join(str(item.n_groups) for item in candidates)
        reasons.append(f"most stable between halves that share no {unit}: {listed} groups")
    else:
        reasons.append(f"stability unknown: all windows are of one {unit}")
    if method == "mixture":
        chosen = min(candidates, key=lambda item: item.bic)
        reasons.append(f"{chosen.n_groups} groups: the least BIC of these")
    else:
        # NaN (a silhouette of one group) sorts below every number.
        chosen = max(candidates, key=lambda item: item.silhouette if math.isfinite(item.silhouette) else -2.0)
        reasons.append(f"{chosen.n_groups} groups: the largest silhouette of these")
    return Choice(chosen.n_groups, (*reasons, *doubts(chosen, evidence)))


def doubts(chosen: Evidence, evidence: Sequence[Evidence]) -> tuple[str, ...]:
    """What speaks against this number of groups; empty if nothing does."""
    found = []
    single = next((item for item in evidence if item.n_groups == 1), None)
    if single is not None and math.isfinite(chosen.gap) and chosen.gap - chosen.gap_error <= single.gap:
        found.append("the gap statistic sees no groups at all: one cloud would explain these windows as well")
    if chosen.stability < 0.5:
        found.append(f"weak evidence: halves of the data agree on these groups with {chosen.stability:.2f} only")
    if chosen.silhouette < 0.1:
        found.append(f"weak evidence: the groups lie close together (silhouette {chosen.silhouette:.2f})")
    return tuple(found)


def silhouette(places: Places, labels: IntArray) -> float:
    """The mean silhouette of all rows, -1 to 1; NaN unless there are two groups or more.

    Parameters
    ----------
    places : ndarray of shape (n_windows, n_components)
        At most a few thousand rows: all distances are held at once.
    labels : ndarray of shape (n_windows,), int

    Examples
    --------
    >>> round(silhouette(np.array([[0.0], [1.0], [10.0], [11.0]]), np.array([0, 0, 1, 1])), 4)
    0.8997
    """
    names, members = np.unique(labels, return_inverse=True)
    if len(names) < 2:
        return float("nan")
    squared = (places**2).sum(axis=1)
    distances = np.sqrt(np.maximum(squared[:, None] + squared - 2.0 * places @ places.T, 0.0))
    np.fill_diagonal(distances, 0.0)
    is_member = np.eye(len(names))[members]
    counts = is_member.sum(axis=0)
    sums = distances @ is_member
    own_count = counts[members]
    own = sums[np.arange(len(places)), members] / np.maximum(own_count - 1.0, 1.0)
    means = sums / counts
    means[np.arange(len(places)), members] = np.inf
    nearest = means.min(axis=1)
    largest = np.maximum(own, nearest)
    # A window alone in its group counts 0, by convention of the paper; so do windows that all coincide.
    is_defined = (own_count > 1) & (largest > 0.0)
    values = np.where(is_defined, (nearest - own) / np.where(largest > 0.0, largest, 1.0), 0.0)
    return float(values.mean())


def gap_statistic(places: Places, n_groups: int, seed: int) -> tuple[float, float]:
    """How much lower log(inertia) is than in uniform noise of the same box, and the standard error of that.

    Parameters
    ----------
    places : ndarray of shape (n_windows, n_components)
        Along principal components, so that the box is that of the paper's second, better variant.
    n_groups : int
    seed : int

    Examples
    --------
    >>> clouds = np.concatenate([np.linspace(0.0, 0.1, 20), np.linspace(5.0, 5.1, 20)])[:, None]
    >>> two, one = gap_statistic(clouds, 2, seed=0)[0], gap_statistic(clouds, 1, seed=0)[0]
    >>> two > one + 2.0
    True
    """
    # The same noise for every number of groups, so that their gaps can be compared.
    generator = np.random.default_rng(seed)
    low, high = places.min(axis=0), places.max(axis=0)
    logs = [_log_inertia(generator.uniform(low, high, size=places.shape), n_groups, seed) for _ in range(_N_REFERENCES)]
    error = float(np.std(logs)) * math.sqrt(1.0 + 1.0 / _N_REFERENCES)
    return float(np.mean(logs)) - _log_inertia(places, n_groups, seed), error


def _log_inertia(places: Places, n_groups: int, seed: int) -> float:
    inertia = fit_groups(places, n_groups, GroupSetting("kmeans", "full", seed), n_init=2).inertia(places)
    return math.log(max(inertia, np.finfo(np.float64).tiny))


def _stability(
    places: Places, labels: IntArray, halves: Sequence[tuple[IntArray, IntArray]], n_groups: int, setting: GroupSetting
) -> tuple[float, float]:
    """Mean adjusted Rand index of the groups as each half would draw them and as all draw them; its standard error."""
    if n_groups == 1 or not halves:
        return float("nan"), float("nan")
    values = []
    for halved in halves:
        drawn: list[GroupModel] = []
        for rows in halved:
            try:
                drawn.append(fit_groups(places[rows], n_groups, setting, n_init=2))
            except ValueError:
                # A half with fewer different windows than groups cannot show these groups: it disagrees.
                break
        if len(drawn) < len(halved):
            values.append(0.0)
            continue
        first, second = (one.predict(places) for one in drawn)
        # With the groups of all windows too: halves may agree with each other on something else than is handed out.
        pairs = ((first, second), (first, labels), (second, labels))
        values.append(sum(adjusted_rand(one, other) for one, other in pairs) / len(pairs))
    return float(np.mean(values)), float(np.std(values) / math.sqrt(max(len(values) - 1, 1)))


def _some_rows(n_rows: int, at_most: int, seed: int) -> IntArray:
    if n_rows <= at_most:
        return np.arange(n_rows)
    return np.sort(np.random.default_rng(seed).choice(n_rows, at_most, replace=False))
