"""What is counted of the windows on their way out, beside their state: for the metrics and for ``edge-agent top``.

A window costs a few additions here. What is kept of single devices, their last signal, is kept only while somebody
looks (:attr:`Tally.is_watched`), and for at most 200 of them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, OrderedDict, deque
from collections.abc import Sequence
from itertools import repeat
from typing import NamedTuple

from edge_agent.engine import WindowReady
from schemas.status import Histogram
from signals import FloatArray, WindowSpec

MAX_DEVICES = 200
MAX_LATENCIES = 512
MAX_POINTS = 64

INFERENCE_BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
LATENCY_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Spread:
    """How often a duration fell between two bounds.

    Examples
    --------
    >>> spread = Spread((0.1, 1.0))
    >>> spread.add(0.1)
    >>> spread.add(5.0, times=2)
    >>> spread.value.counts, spread.value.sum
    ([1, 0, 2], 10.1)
    """

    def __init__(self, bounds_s: tuple[float, ...]) -> None:
        self._bounds_s = bounds_s
        self._counts = [0] * (len(bounds_s) + 1)
        self._sum_s = 0.0

    def add(self, duration_s: float, times: int = 1) -> None:
        """Count a duration; a bound belongs to the durations below it, as in Prometheus."""
        self._counts[bisect_left(self._bounds_s, duration_s)] += times
        self._sum_s += duration_s * times

    @property
    def value(self) -> Histogram:
        """The counts so far, as a value that does not change."""
        return Histogram(bounds=list(self._bounds_s), counts=list(self._counts), sum=self._sum_s)


class Seen(NamedTuple):
    """The newest window of a device; nothing in it changes any more.

    Attributes
    ----------
    end_s : float
        End of the window, seconds since the Unix epoch.
    rate_hz : float
        Samples a second, over this window.
    signal : ndarray of shape (n_channels, n_points), n_points <= 64
        NaN = missing.
    """

    pipeline: str
    device: str
    channels: tuple[str, ...]
    label: str | None
    confidence: float | None
    novelty: float | None
    state: str
    end_s: float
    rate_hz: float
    latency_ms: float
    signal: FloatArray


class Tally:
    """Counters of the windows that went out.

    Attributes
    ----------
    labels : dict of Counter
        Pipeline -> label -> count.
    gaps : Counter
        Pipeline -> gap events.
    rejected : dict of Counter
        Pipeline -> reason -> messages.
    inference, latency, confirmed : Spread
        A forward pass over the windows of a burst; from the message that closed a window to its answer handed to the
        broker; and to its PUBACK. A burst counts from its first message: none of its windows took longer.
    latencies_ms : deque of float
        The newest 512 of them.
    last_window_s : float or None
        End of the newest window, seconds since the Unix epoch.
    is_watched : bool
        Whether the devices are looked at now.
    """

    def __init__(self) -> None:
        self.labels: dict[str, Counter[str]] = {}
        self.gaps: Counter[str] = Counter()
        self.rejected: dict[str, Counter[str]] = {}
        self.inference = Spread(INFERENCE_BOUNDS_S)
        self.latency = Spread(LATENCY_BOUNDS_S)
        self.confirmed = Spread(LATENCY_BOUNDS_S)
        self.latencies_ms: deque[float] = deque(maxlen=MAX_LATENCIES)
        self.last_window_s: float | None = None
        self.is_watched = False
        self._seen: OrderedDict[tuple[str, str], Seen] = OrderedDict()
        self._fresh: list[tuple[str, str]] = []

    def windows(self, pipeline: str, spec: WindowSpec, newest_index: int, labels: Sequence[str | None]) -> None:
        """Count the windows of a burst whose answers are about to go out; None = a window without a label."""
        counts = self.labels.get(pipeline)
        if counts is None:
            counts = self.labels[pipeline] = Counter()
        counts.update(filter(None, labels))
        end_s = _end_s(spec, newest_index)
        if self.last_window_s is None or end_s > self.last_window_s:
            self.last_window_s = end_s

    def window(
        self,
        event: WindowReady,
        spec: WindowSpec,
        answer: tuple[str | None, str, float | None, float | None],
    ) -> None:
        """Keep a window for whoever looks: call it while :attr:`is_watched`.

        Parameters
        ----------
        event : WindowReady
        spec : WindowSpec
        answer : tuple of (label, state, confidence, novelty)
        """
        label, state, confidence, novelty = answer
        self._look(
            Seen(
                event.pipeline,
                event.device,
                spec.channels,
                label,
                confidence,
                novelty,
                state,
                _end_s(spec, event.window.index),
                event.window.n_samples * spec.sampling_rate_hz / spec.window_length,
                0.0,
                event.window.values[:, -MAX_POINTS:].copy(),
            )
        )

    def gap(self, pipeline: str) -> None:
        """Count a gap event."""
        self.gaps[pipeline] += 1

    def refusal(self, pipeline: str | None, reason: str) -> None:
        """Count a refused message, if it belongs to a pipeline."""
        if pipeline is not None:
            self.rejected.setdefault(pipeline, Counter())[reason] += 1

    def handed_over(self, latency_s: float, n_labels: int) -> None:
        """So many labels of one burst were handed to the broker, so long after its first message."""
        latency_s = max(0.0, latency_s)
        self.latency.add(latency_s, n_labels)
        latency_ms = round(1000.0 * latency_s, 3)
        self.latencies_ms.extend(repeat(latency_ms, min(n_labels, MAX_LATENCIES)))
        for key in self._fresh:
            if (seen := self._seen.get(key)) is not None:
                self._seen[key] = seen._replace(latency_ms=latency_ms)
        self._fresh.clear()

    def look(self) -> list[Seen]:
        """The devices seen last, most recent first; nothing while nobody looks."""
        if not self.is_watched:
            self._seen.clear()
        return list(reversed(self._seen.values()))

    def _look(self, seen: Seen) -> None:
        key = (seen.pipeline, seen.device)
        self._seen[key] = seen
        self._seen.move_to_end(key)
        if len(self._seen) > MAX_DEVICES:
            self._seen.popitem(last=False)
        if len(self._fresh) < MAX_LATENCIES:
            self._fresh.append(key)


def _end_s(spec: WindowSpec, index: int) -> float:
    return (index * spec.hop_length + spec.window_length) / spec.sampling_rate_hz
