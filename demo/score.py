"""How right the labels were, by the truth that only the demo knows, and how soon they came. Pure."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from demo.labels import Arrival
from schemas import LabelEvent, ModelCard
from signals import IntArray
from signals.grid import point_time_ns
from trainer.evaluate import balanced_accuracy, class_scores, confusion_matrix

LEAST_SHARE = 0.8
"""Least share of one true state in a window that is scored; a window across a change has no single truth."""

TruthOf = Callable[[str, int, ModelCard], str | None]
"""True state of (device, window index, card); None where it has none."""


@dataclass(frozen=True, slots=True)
class ClassRow:
    """How one class was met."""

    name: str
    precision: float
    recall: float
    support: int


@dataclass(frozen=True, slots=True)
class Score:
    """What the table shows of one model.

    Attributes
    ----------
    n_windows : int
        Labels that arrived, incomplete ones included.
    n_scored : int
        Of those, the ones with a truth and an answer.
    windows_per_s : float
        Windows that were answered, over the time from the first message to the last answer.
    latency_p50_ms, latency_p99_ms : float
        From publishing the message with the last sample of a window to the arrival of its label; NaN where none was
        measured.
    """

    pipeline: str
    head: str
    n_windows: int
    n_scored: int
    states: dict[str, int]
    accuracy: float
    balanced_accuracy: float
    per_class: tuple[ClassRow, ...]
    windows_per_s: float
    latency_p50_ms: float
    latency_p99_ms: float
    model_bytes: int

    def as_dict(self) -> dict[str, object]:
        """The keys of ``--json``; a latency that was not measured is null."""
        return {
            "pipeline": self.pipeline,
            "head": self.head,
            "n_windows": self.n_windows,
            "n_scored": self.n_scored,
            "states": self.states,
            "accuracy": round(self.accuracy, 4),
            "balanced_accuracy": round(self.balanced_accuracy, 4),
            "per_class": {
                row.name: {"precision": round(row.precision, 4), "recall": round(row.recall, 4), "support": row.support}
                for row in self.per_class
            },
            "windows_per_s": round(self.windows_per_s, 1),
            "latency_ms": {"p50": _number(self.latency_p50_ms), "p99": _number(self.latency_p99_ms)},
            "model_bytes": self.model_bytes,
        }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 2)


class SentLog:
    """When each message left, so that a label can be traced back to the message that completed its window."""

    def __init__(self) -> None:
        self._newest_ns: dict[str, list[int]] = {}
        self._sent_ns: dict[str, list[int]] = {}

    def note(self, device: str, newest_ns: int, sent_ns: int) -> None:
        """One message with samples up to ``newest_ns`` left at ``sent_ns`` of the monotonic clock."""
        self._newest_ns.setdefault(device, []).append(newest_ns)
        self._sent_ns.setdefault(device, []).append(sent_ns)

    def sent_ns(self, device: str, last_sample_ns: int) -> int | None:
        """When the first message that reaches a time left; None if none did.

        Examples
        --------
        >>> log = SentLog()
        >>> log.note("a", 10, 1000)
        >>> log.note("a", 20, 2000)
        >>> log.sent_ns("a", 11), log.sent_ns("a", 21)
        (2000, None)
        """
        times = self._newest_ns.get(device, [])
        position = bisect_left(times, last_sample_ns)
        return self._sent_ns[device][position] if position < len(times) else None


def majority(class_indices: IntArray, n_classes: int, *, least_share: float = LEAST_SHARE) -> int:
    """The class that has at least ``least_share`` of the labelled entries, which are at least half of all; else -1.

    Examples
    --------
    >>> majority(np.array([1, 1, 1, 1, 0]), 2), majority(np.array([1, 0]), 2), majority(np.array([1, -1, -1]), 2)
    (1, -1, -1)
    """
    labelled = class_indices[class_indices >= 0]
    if not len(labelled) or 2 * len(labelled) < len(class_indices):
        return -1
    counts = np.bincount(labelled, minlength=n_classes)
    best = int(counts.argmax())
    return best if counts[best] >= least_share * len(labelled) else -1


class WindowTimes(NamedTuple):
    """First and last grid point of a window and the end of its half-open interval, nanoseconds since the epoch."""

    start_ns: int
    last_ns: int
    end_ns: int


def window_times(card: ModelCard, index: int) -> WindowTimes:
    """When a window of a model is.

    Raises
    ------
    ValueError
        If the model has no sampling rate.

    Examples
    --------
    >>> from schemas.card import example_card
    >>> window_times(example_card(), 2)
    WindowTimes(start_ns=500000000, last_ns=875000000, end_ns=1000000000)
    """
    rate = card.sampling_rate_hz
    if rate is None:
        raise ValueError(f"{card.ref}: a model with a sampling rate expected")
    first = index * card.hop_length
    points = (first, first + card.window_length - 1, first + card.window_length)
    return WindowTimes(*(point_time_ns(point, rate) for point in points))


def score(
    arrivals: Iterable[Arrival],
    card: ModelCard,
    truth_of: TruthOf,
    sent: SentLog,
    *,
    pipeline: str,
    model_bytes: int,
    began_ns: int,
) -> Score:
    """The score of one model over the labels that arrived.

    Parameters
    ----------
    arrivals : iterable of Arrival
        Labels of this model.
    card : ModelCard
        Its card.
    truth_of : callable
        The true state of a window.
    sent : SentLog
        When the messages left.
    pipeline : str
        Name of the pipeline.
    model_bytes : int
        Size of the model file.
    began_ns : int
        When the first message left, monotonic clock.
    """
    arrivals = list(arrivals)
    position = {name: index for index, name in enumerate(card.classes)}
    true: list[int] = []
    answered: list[int] = []
    states: dict[str, int] = {}
    latencies: list[float] = []
    for event, at_ns in arrivals:
        states[event.state] = states.get(event.state, 0) + 1
        if event.label is None:
            continue
        truth = truth_of(event.device, event.window.index, card)
        if truth in position:
            true.append(position[truth])
            answered.append(position[event.label])
        latency = _latency_ms(event, at_ns, card, sent)
        if latency is not None:
            latencies.append(latency)
    confusion = confusion_matrix(np.array(true, np.int64), np.array(answered, np.int64), len(card.classes))
    precision, recall, _ = class_scores(confusion)
    support = confusion.sum(axis=1)
    n_scored = len(true)
    return Score(
        pipeline=pipeline,
        head=card.head.kind,
        n_windows=len(arrivals),
        n_scored=n_scored,
        states=states,
        accuracy=float(np.trace(confusion)) / n_scored if n_scored else 0.0,
        balanced_accuracy=float(balanced_accuracy(confusion)),
        per_class=tuple(
            ClassRow(name, float(precision[index]), float(recall[index]), int(support[index]))
            for index, name in enumerate(card.classes)
        ),
        windows_per_s=_rate(arrivals, began_ns),
        latency_p50_ms=percentile(latencies, 50.0),
        latency_p99_ms=percentile(latencies, 99.0),
        model_bytes=model_bytes,
    )


def _rate(arrivals: Sequence[Arrival], began_ns: int) -> float:
    # A window with holes waits for its deadline, long after the last message: that is patience, not slowness.
    answered = [at_ns for event, at_ns in arrivals if event.label is not None]
    return len(answered) * 1e9 / max(1, max(answered) - began_ns) if answered else 0.0


def _latency_ms(event: LabelEvent, at_ns: int, card: ModelCard, sent: SentLog) -> float | None:
    # A window with holes waited for its deadline on purpose: that says nothing about how fast the agent is.
    if event.window.quality.present < 1.0:
        return None
    last_ns = window_times(card, event.window.index).last_ns
    # Half a grid period early: the sample that fills the last point may stand a little before it.
    slack_ns = round(5e8 / (card.sampling_rate_hz or 1.0)) if card.grid.policy == "nearest" else 0
    sent_ns = sent.sent_ns(event.device, last_ns - slack_ns)
    return None if sent_ns is None else (at_ns - sent_ns) / 1e6


def percentile(values: Sequence[float], share: float) -> float:
    """The percentile of some values; NaN without any.

    Examples
    --------
    >>> percentile([1.0, 3.0], 50.0)
    2.0
    """
    return float(np.percentile(values, share)) if values else math.nan
