"""Where the loop leaves what it wants to show, and where the servers find it: values that no longer change."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from dataclasses import dataclass, field

from edge_agent.shell.tally import Seen
from schemas import AgentHealth, AgentStatus, DeviceView, TopView, format_timestamp

STANDSTILL_S = 10.0
"""A snapshot this old means that the loop has stopped turning."""

WATCHED_S = 10.0
"""The devices are looked at for so long after somebody asked for them."""

MAX_LINES = 10
_FIRST_WAIT_S = 2.0


@dataclass(slots=True)
class Board:
    """What is shown. The loop writes whole values, the servers read them: no lock is needed.

    Attributes
    ----------
    status : AgentStatus or None
        As of ``refreshed_s``, a monotonic time; None = the loop has not turned yet.
    seen : list of Seen
        Devices, most recent first.
    latencies_ms : list of float
    asked_s : float
        When somebody last asked for the devices; written by the server.
    is_shown : Event
        Set once there is a status.
    """

    status: AgentStatus | None = None
    refreshed_s: float = 0.0
    seen: list[Seen] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)
    asked_s: float = float("-inf")
    is_shown: threading.Event = field(default_factory=threading.Event)

    def show(self, status: AgentStatus, now_s: float) -> None:
        """Replace what is shown."""
        self.status, self.refreshed_s = status, now_s
        self.is_shown.set()

    def is_watched(self, now_s: float) -> bool:
        """Whether somebody asked for the devices within the last 10 s."""
        return now_s - self.asked_s < WATCHED_S

    def answer_status(self) -> AgentStatus | None:
        """The status, with a word on a loop that stands still; waits 2 s for the first one, None if none comes."""
        self.is_shown.wait(_FIRST_WAIT_S)
        status, age_s = self.status, time.monotonic() - self.refreshed_s
        if status is None or age_s < STANDSTILL_S:
            return status
        problem = f"the loop has not turned for {age_s:.0f} s"
        health = AgentHealth.model_validate(
            {**status.health.model_dump(), "state": "degraded", "problems": [problem, *status.health.problems]}
        )
        return status.model_copy(update={"health": health})

    def answer_top(self) -> TopView | None:
        """The status and the devices; None while there is none."""
        self.asked_s = time.monotonic()
        status = self.answer_status()
        if status is None:
            return None
        return TopView(
            info=status.info,
            metrics=status.metrics,
            health=status.health,
            errors=status.errors,
            messages_hz=status.messages_hz,
            pipelines_hz=status.pipelines_hz,
            devices=[_view(seen) for seen in self.seen],
            latencies_ms=self.latencies_ms,
        )


class RecentLines(logging.Handler):
    """Keeps the last warnings and errors of the log, for the status page."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._lines: deque[str] = deque(maxlen=MAX_LINES)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one line."""
        text = " ".join(record.getMessage().split())[:300]
        self._lines.append(f"{format_timestamp(int(record.created * 1e9))} {record.levelname.lower()}: {text}")

    @property
    def lines(self) -> list[str]:
        """Newest last."""
        return list(self._lines)


def _view(seen: Seen) -> DeviceView:
    signal = [[round(value, 6) if math.isfinite(value) else None for value in row] for row in seen.signal.tolist()]
    return DeviceView.model_validate(
        {
            "pipeline": seen.pipeline,
            "device": seen.device,
            "channels": list(seen.channels),
            "label": seen.label,
            "confidence": seen.confidence,
            "novelty": seen.novelty,
            "state": seen.state,
            "ts": format_timestamp(int(seen.end_s * 1e9)),
            "rate_hz": round(seen.rate_hz, 3),
            "latency_ms": seen.latency_ms,
            "signal": signal,
        }
    )
