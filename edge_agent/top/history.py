"""What was counted over the last minutes, as rates."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from schemas import AgentMetrics, TopView

POINTS = 240


class Rates(NamedTuple):
    """Per second, between two looks."""

    messages: float
    windows: float
    answers: float
    rejected: float


class _Counts(NamedTuple):
    started: str
    uptime_s: float
    messages: int
    windows: int
    answers: int
    rejected: int


class History:
    """Rates between successive views of one run of an agent; it begins anew where the agent did.

    The agent's own clock decides how much time lies between two views, so that a slow terminal shows the same rates.
    """

    def __init__(self) -> None:
        self.rates: deque[Rates] = deque(maxlen=POINTS)
        self._before: _Counts | None = None

    def add(self, view: TopView) -> None:
        """Take the next view."""
        now, before = _counts(view.info.started, view.metrics), self._before
        if before is not None and before.started != now.started:
            self.rates.clear()
            before = None
        if before is None:
            self._before = now
            return
        passed_s = now.uptime_s - before.uptime_s
        if passed_s <= 0.0:
            return  # the same snapshot as before
        self._before = now
        pairs = zip(now[2:], before[2:], strict=True)
        self.rates.append(Rates(*(max(0.0, (int(later) - int(earlier)) / passed_s) for later, earlier in pairs)))

    @property
    def newest(self) -> Rates | None:
        """The last rates; None before the second view."""
        return self.rates[-1] if self.rates else None


def _counts(started: str, metrics: AgentMetrics) -> _Counts:
    return _Counts(
        started,
        metrics.uptime_s,
        metrics.messages_received,
        sum(metrics.windows.values()),
        metrics.labels_accepted + metrics.captures_accepted,
        sum(metrics.messages_rejected.values()),
    )
