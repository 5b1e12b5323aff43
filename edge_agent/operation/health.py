"""Whether an agent does its work: from what it counted, one word and what a person should know."""

from __future__ import annotations

from collections import deque
from typing import Literal, NamedTuple

from edge_agent.config import AgentConfig
from schemas import AgentHealth, AgentMetrics

LOOK_BACK_S = 60.0
"""A loss makes the agent degraded for so long."""

LOW_DISK_BYTES = 32 * 1024 * 1024
_EVERY_S = 1.0
_RATE_S = 10.0


class _Past(NamedTuple):
    """What is remembered of a moment: far less than its metrics."""

    now_s: float
    messages: int
    pipelines: dict[str, int]
    losses: dict[str, int]


State = Literal["starting", "ok", "degraded", "stopping"]


class HealthBook:
    """Remembers the counters of the last minute, and says what went wrong in it.

    Parameters
    ----------
    config : AgentConfig
    """

    def __init__(self, config: AgentConfig) -> None:
        self._config = config
        self._past: deque[_Past] = deque()

    def judge(
        self,
        metrics: AgentMetrics,
        troubles: list[str],
        now_s: float,
        *,
        unacknowledged_limit: int,
        is_starting: bool = False,
        is_stopping: bool = False,
    ) -> AgentHealth:
        """The health at this moment.

        Parameters
        ----------
        metrics : AgentMetrics
            Of this moment.
        troubles : list of str
            What holds right now, one line each, found by whoever knows.
        now_s : float
            Monotonic time.
        unacknowledged_limit : int
            Sensor messages held back at most.
        is_starting, is_stopping : bool
            Not yet, or no longer, at work: told instead of ``degraded``.
        """
        while len(self._past) > 1 and now_s - self._past[1].now_s >= LOOK_BACK_S:
            self._past.popleft()
        problems = [*troubles, *self._losses(metrics), *_shortages(metrics)]
        self._remember(metrics, now_s)
        state: State = "degraded" if problems else "ok"
        if is_starting:
            state = "starting"
        if is_stopping:
            state = "stopping"
        mqtt = self._config.mqtt
        return AgentHealth(
            state=state,
            connected=metrics.connected,
            broker=f"{mqtt.host}:{mqtt.port}",
            problems=problems,
            outbox=metrics.outbox,
            outbox_limit=self._config.limits.outbox_labels,
            unacknowledged_limit=unacknowledged_limit,
        )

    def rates(self, metrics: AgentMetrics, now_s: float) -> tuple[float, dict[str, float]]:
        """Messages a second over the last 10 s, of the agent and of each pipeline; 0 before anything is remembered."""
        before = next((past for past in self._past if now_s - past.now_s <= _RATE_S), None)
        if before is None or now_s <= before.now_s:
            return 0.0, {}
        passed_s = now_s - before.now_s
        pipelines = {
            name: round(max(0, counts.messages - before.pipelines[name]) / passed_s, 3)
            for name, counts in metrics.pipelines.items()
            if name in before.pipelines
        }
        return round(max(0, metrics.messages_received - before.messages) / passed_s, 3), pipelines

    def _remember(self, metrics: AgentMetrics, now_s: float) -> None:
        past = self._past
        if not past or now_s - past[-1].now_s >= _EVERY_S:
            pipelines = {name: counts.messages for name, counts in metrics.pipelines.items()}
            past.append(_Past(now_s, metrics.messages_received, pipelines, _loss_counts(metrics)))

    def _losses(self, now: AgentMetrics) -> list[str]:
        """What the counters of the last minute say was lost."""
        since = self._past[0].losses if self._past else {}
        return [
            f"{lost} {what} in the last minute"
            for what, count in _loss_counts(now).items()
            if (lost := count - since.get(what, 0)) > 0
        ]


def _loss_counts(metrics: AgentMetrics) -> dict[str, int]:
    return {
        "windows were not answered by their model": metrics.windows.get("failed", 0),
        "labels were given up": sum(metrics.labels_dropped.values()),
        "messages were acknowledged before their windows were labelled": metrics.acknowledged_early,
        "messages failed inside the agent": metrics.messages_rejected.get("internal", 0),
        "devices were let go, there are too many": metrics.devices_evicted,
    }


def _shortages(metrics: AgentMetrics) -> list[str]:
    free = metrics.state_free_bytes
    if free is not None and free < LOW_DISK_BYTES:
        return [f"{free // 1_048_576} MiB are free where the state folder is; {LOW_DISK_BYTES // 1_048_576} expected"]
    return []
