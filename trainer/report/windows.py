"""Windows worth looking at (the most confidently wrong), and how familiar the windows are."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from signals import FloatArray, IntArray
from trainer.evaluate import Interval, wilson_interval
from trainer.report.judged import Judged

MAX_WORST = 12
MAX_OF_A_KIND = 4
MAX_POINTS = 400
"""Of a drawn line; more are not seen at the width of a page."""


@dataclass(frozen=True, slots=True, eq=False)
class DrawnWindow:
    """One window with what it was, what it was taken for, and where it came from.

    Attributes
    ----------
    values : ndarray of shape (n_channels, window_length), float32
        NaN = missing.
    true, predicted : str
    confidence, true_probability, novelty : float
    place : str
        Group, recording and row in words.
    ranges : tuple of (low, high)
        Of each channel, the 1st and 99th percentile over the windows of the two classes.
    """

    values: FloatArray
    true: str
    predicted: str
    confidence: float
    true_probability: float
    novelty: float
    place: str
    ranges: tuple[Interval, ...]


@dataclass(frozen=True, slots=True, eq=False)
class WorstFacts:
    """The most confidently wrong windows, worst first, and how many were named wrongly altogether."""

    windows: tuple[DrawnWindow, ...]
    n_wrong: int


def worst_facts(judged: Judged, classes: tuple[str, ...], limit: int = MAX_WORST) -> WorstFacts:
    """The windows named wrongly with the highest confidence; equal ones in the order of the data.

    Of one kind of mistake at most 4 are taken, and no two that share samples: twelve pictures of one event say no more
    than one.
    """
    wrong = np.flatnonzero(~judged.is_right)
    order = wrong[np.argsort(-judged.confidence[wrong], kind="stable")]
    return WorstFacts(tuple(_drawn(judged, row, classes) for row in _different(judged, order, limit)), len(wrong))


def _different(judged: Judged, order: IntArray, limit: int) -> list[int]:
    data, chosen = judged.data, list[int]()
    kinds: Counter[tuple[int, int]] = Counter()
    for row in order.tolist():
        kind = (int(data.class_indices[row]), int(judged.predicted[row]))
        near = [
            other
            for other in chosen
            if data.recordings[other] == data.recordings[row]
            and abs(int(data.starts[other]) - int(data.starts[row])) < data.window_length
        ]
        if kinds[kind] < MAX_OF_A_KIND and not near:
            chosen.append(row)
            kinds[kind] += 1
        if len(chosen) == limit:
            break
    return chosen


def _drawn(judged: Judged, row: int, classes: tuple[str, ...]) -> DrawnWindow:
    data, predicted = judged.data, judged.predicted
    alike = np.isin(data.class_indices, [data.class_indices[row], predicted[row]])
    return DrawnWindow(
        values=data.windows[row],
        true=classes[int(data.class_indices[row])],
        predicted=classes[int(predicted[row])],
        confidence=float(judged.confidence[row]),
        true_probability=float(judged.probabilities[row, data.class_indices[row]]),
        novelty=float(judged.novelty[row]),
        place=place_of(judged, row),
        ranges=tuple(_range(data.windows[alike, index]) for index in range(len(data.channels))),
    )


def _range(values: FloatArray) -> Interval:
    present = values[np.isfinite(values)]
    if not present.size:
        return 0.0, 1.0
    low, high = np.quantile(present, [0.01, 0.99])
    return float(low), float(high)


def place_of(judged: Judged, row: int) -> str:
    """Where a window came from: group, and row of the file or recording and start in seconds."""
    data, parts = judged.data, []
    if data.group_key is not None and data.groups[row] >= 0:
        parts.append(f"{data.group_key} {int(data.groups[row])}")
    if data.is_stream:
        start = int(data.starts[row])
        at = f"{start / data.sampling_rate_hz:.1f} s" if data.sampling_rate_hz else f"sample {start}"
        parts.append(f"recording {int(data.recordings[row])}, at {at}")
    else:
        parts.append(f"row {int(data.rows[row])}")
    return ", ".join(parts)


def line_points(
    values: NDArray[np.floating], limit: int = MAX_POINTS
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places and values of a line that looks like the signal: of a long one the lowest and highest of each stretch.

    Parameters
    ----------
    values : ndarray of shape (n_samples,)
        NaN = missing, which leaves a gap.
    limit : int
        At most this many points.

    Examples
    --------
    >>> at, values = line_points(np.array([0.0, 5.0, 1.0, 1.0, -3.0, 1.0, 1.0, 1.0]), limit=4)
    >>> at.tolist(), values.tolist()
    ([0.0, 1.0, 4.0, 5.0], [0.0, 5.0, -3.0, 1.0])
    """
    n_samples = len(values)
    if n_samples <= limit:
        return np.arange(n_samples, dtype=np.float64), values.astype(np.float64)
    chosen: list[int] = []
    for stretch in np.array_split(np.arange(n_samples), limit // 2):
        part = values[stretch]
        if np.isnan(part).all():
            chosen.append(int(stretch[0]))
            continue
        chosen += sorted({int(stretch[np.nanargmin(part)]), int(stretch[np.nanargmax(part)])})
    at = np.array(chosen)
    return at.astype(np.float64), values[at].astype(np.float64)


@dataclass(frozen=True, slots=True)
class NoveltyShares:
    """How novel windows are that should be familiar.

    Attributes
    ----------
    counts : tuple of int
        Of the novelty in bins of equal width from 0 to ``edge``; the last bin holds all beyond.
    edge : float
        Upper end of the histogram.
    n_novel : int
        Windows above 1.
    share : float
    interval : (low, high)
        Wilson.
    stated_rate : float
        Expected share by the card.
    is_more_than_stated : bool
        Whether even the lower end of the interval lies above twice the stated rate.
    """

    counts: tuple[int, ...]
    edge: float
    n_novel: int
    share: float
    interval: Interval
    stated_rate: float
    is_more_than_stated: bool


N_NOVELTY_BINS = 40


def novelty_shares(novelty: NDArray[np.float64], stated_rate: float) -> NoveltyShares:
    """Histogram of the novelty and the share of windows above the threshold.

    Parameters
    ----------
    novelty : ndarray of shape (n_windows,)
        0 = typical, 1 = at the threshold.
    stated_rate : float
        False-alarm rate of the card.

    Examples
    --------
    >>> found = novelty_shares(np.array([0.1, 0.2, 0.4, 1.5]), stated_rate=0.01)
    >>> found.n_novel, found.share, sum(found.counts)
    (1, 0.25, 4)
    """
    edge = float(max(1.5, min(4.0, np.quantile(novelty, 0.995))))
    bins = np.clip((novelty / edge * N_NOVELTY_BINS).astype(np.int64), 0, N_NOVELTY_BINS - 1)
    n_novel = int((novelty > 1.0).sum())
    interval = wilson_interval(n_novel, len(novelty))
    return NoveltyShares(
        counts=tuple(int(count) for count in np.bincount(bins, minlength=N_NOVELTY_BINS)),
        edge=edge,
        n_novel=n_novel,
        share=n_novel / len(novelty),
        interval=interval,
        stated_rate=stated_rate,
        is_more_than_stated=interval[0] > 2.0 * stated_rate,
    )
