"""The metrics as Prometheus reads them: the last snapshot of the loop, under the names of docs/operation.md.

Names follow https://prometheus.io/docs/practices/naming/. Label values come from the configuration, from models
and from fixed lists of reasons, never from a device or a topic; above 100 of one label the rest is summed under
``other``.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from edge_agent.operation.board import Board
from schemas import AgentInfo, AgentMetrics
from schemas.status import Histogram

MAX_VALUES = 100

_OUTCOMES = {"ok": "labelled"}


class Row(NamedTuple):
    """One field of `AgentMetrics` and its name here; ``label`` is what the keys of a dict field mean."""

    field: str
    name: str
    kind: Literal["counter", "gauge"]
    label: str
    meaning: str


ROWS = (
    Row("uptime_s", "telltale_uptime_seconds", "gauge", "", "since the agent started, or was replaced by a reload"),
    Row("messages_received", "telltale_messages_received", "counter", "", "sensor messages, also refused ones"),
    Row("messages_rejected", "telltale_messages_rejected", "counter", "reason", "sensor messages refused"),
    Row("samples", "telltale_samples", "counter", "", "values that found their place in a window"),
    Row("samples_dropped", "telltale_samples_dropped", "counter", "reason", "samples not used"),
    Row("gaps", "telltale_sample_gaps", "counter", "", "gap events: windows that can have no label, declared"),
    Row("windows", "telltale_windows", "counter", "outcome", "windows closed"),
    Row("labels_accepted", "telltale_labels_accepted", "counter", "", "labels that the broker acknowledged"),
    Row("labels_retried", "telltale_labels_retried", "counter", "", "further tries of labels"),
    Row("captures_accepted", "telltale_captures_accepted", "counter", "", "captures that the broker acknowledged"),
    Row("labels_dropped", "telltale_outbox_dropped", "counter", "reason", "labels given up"),
    Row("outbox", "telltale_outbox_messages", "gauge", "", "messages waiting for the broker's word"),
    Row("outbox_bytes", "telltale_outbox_bytes", "gauge", "", "payload bytes of these messages"),
    Row("devices", "telltale_devices", "gauge", "", "devices with an open state"),
    Row("messages_of_others", "telltale_messages_of_others", "counter", "", "messages left to another worker"),
    Row("devices_evicted", "telltale_devices_evicted", "counter", "", "devices let go because there were too many"),
    Row("unacknowledged", "telltale_unacknowledged_messages", "gauge", "", "sensor messages held back until labelled"),
    Row(
        "acknowledged_early",
        "telltale_acknowledged_early",
        "counter",
        "",
        "sensor messages acknowledged before their windows were labelled",
    ),
    Row("reconnects", "telltale_mqtt_reconnects", "counter", "", "connections after the first"),
    Row("connected", "telltale_mqtt_connected", "gauge", "", "1 while the broker is there"),
    Row(
        "last_window_ts",
        "telltale_last_window_timestamp_seconds",
        "gauge",
        "",
        "end of the newest window that was answered",
    ),
    Row("reloads", "telltale_reloads", "counter", "kind", "reloads: models swapped, or the agent replaced"),
    Row("reloads_refused", "telltale_reloads_refused", "counter", "", "reloads refused: the agent went on as it was"),
    Row("spool_labels", "telltale_spool_labels", "gauge", "", "labels on disk that the broker has not accepted"),
    Row("journal_messages", "telltale_journal_messages", "gauge", "", "sensor messages in the journal"),
    Row("journal_again", "telltale_journal_again", "counter", "", "messages delivered again that were in the journal"),
    Row("journal_skipped", "telltale_journal_skipped", "counter", "", "messages that could not be journalled"),
    Row("broker_dropped", "telltale_broker_dropped", "counter", "", "messages that the broker says it dropped"),
    Row("self_test", "telltale_self_test_passed", "gauge", "", "1 once what this agent publishes came back"),
    Row("alarms", "telltale_alarm", "gauge", "code", "1 while this alarm is on"),
    Row("state_free_bytes", "telltale_state_free_bytes", "gauge", "", "free space where the state folder is"),
)

HISTOGRAMS = (
    Row(
        "inference_seconds", "telltale_inference_duration_seconds", "gauge", "", "a forward pass over a burst's windows"
    ),
    Row(
        "latency_seconds",
        "telltale_label_latency_seconds",
        "gauge",
        "",
        "from the message that closed a window to its answer handed to the broker",
    ),
    Row(
        "confirmed_seconds",
        "telltale_label_confirmed_seconds",
        "gauge",
        "",
        "from the message that closed a window to the PUBACK of its label",
    ),
)

TOLD_OTHERWISE = frozenset({"schema_version", "gateway", "ts", "pipelines"})
"""Fields of `AgentMetrics` that are no number of their own."""


class SnapshotCollector(Collector):
    """Turns the last snapshot into metric families; nothing is exposed before the loop has turned once.

    Parameters
    ----------
    board : Board
    """

    def __init__(self, board: Board) -> None:
        self._board = board

    def collect(self) -> Iterator[Metric]:
        """Every family of the snapshot; called in the thread of a visitor."""
        status, refreshed_s = self._board.status, self._board.refreshed_s
        if status is None:
            return
        yield from _infos(status.info)
        yield GaugeMetricFamily(
            "telltale_snapshot_age_seconds",
            "since the loop last showed these numbers; above a few seconds it stands still",
            value=max(0.0, time.monotonic() - refreshed_s),
        )
        healthy = GaugeMetricFamily("telltale_healthy", "1 while edge-agent status would say ok")
        healthy.add_metric([], float(status.health.state == "ok"))
        yield healthy
        for row in ROWS:
            yield from _family(row, getattr(status.metrics, row.field))
        for row in HISTOGRAMS:
            value: Histogram | None = getattr(status.metrics, row.field)
            if value is not None:
                yield _histogram(row, value)
        yield from _pipelines(status.metrics)


def build_registry(board: Board) -> CollectorRegistry:
    """A registry with the snapshot and what the operating system says of this process."""
    registry = CollectorRegistry()
    registry.register(SnapshotCollector(board))
    ProcessCollector(registry=registry)
    return registry


def _family(row: Row, value: float | str | list[str] | Mapping[str, float] | None) -> Iterator[Metric]:
    if value is None:
        return
    if isinstance(value, str):
        value = float(value == "passed")
    elif isinstance(value, list):
        value = dict.fromkeys(value, 1.0)
    kind = CounterMetricFamily if row.kind == "counter" else GaugeMetricFamily
    if isinstance(value, Mapping):
        family = kind(row.name, row.meaning, labels=[row.label])
        named = {_OUTCOMES.get(key, key): count for key, count in value.items()} if row.label == "outcome" else value
        for key, count in _bounded(named):
            family.add_metric([key], count)
    else:
        family = kind(row.name, row.meaning)
        family.add_metric([], float(value))
    yield family


def _bounded(values: Mapping[str, float]) -> Iterable[tuple[str, float]]:
    """At most 100 of the values, and the sum of the rest under ``other``."""
    items = sorted(values.items())
    if len(items) <= MAX_VALUES:
        return items
    return [*items[:MAX_VALUES], ("other", sum(count for _, count in items[MAX_VALUES:]))]


def _histogram(row: Row, value: Histogram) -> Metric:
    total, buckets = 0, list[tuple[str, float]]()
    for bound, count in zip([*map(str, value.bounds), "+Inf"], value.counts, strict=True):
        total += count
        buckets.append((bound, total))
    family = HistogramMetricFamily(row.name, row.meaning)
    family.add_metric([], buckets=buckets, sum_value=value.sum)
    return family


def _infos(info: AgentInfo) -> Iterator[Metric]:
    build = InfoMetricFamily("telltale_build", "version of the agent", labels=["gateway"])
    build.add_metric([info.gateway], {"version": info.agent_version})
    yield build
    models = InfoMetricFamily("telltale_model", "model of each pipeline", labels=["pipeline"])
    for pipeline in info.pipelines[:MAX_VALUES]:
        name, _, version = pipeline.model.partition("@")
        models.add_metric([pipeline.name], {"model": name, "version": version, "sha256": pipeline.digest})
    yield models


def _pipelines(metrics: AgentMetrics) -> Iterator[Metric]:
    messages = CounterMetricFamily(
        "telltale_pipeline_messages", "messages on the topics of a pipeline", labels=["pipeline"]
    )
    devices = GaugeMetricFamily("telltale_pipeline_devices", "devices of a pipeline", labels=["pipeline"])
    labels = CounterMetricFamily("telltale_labels", "labels of a pipeline", labels=["pipeline", "label"])
    for name, pipeline in sorted(metrics.pipelines.items())[:MAX_VALUES]:
        messages.add_metric([name], pipeline.messages)
        devices.add_metric([name], pipeline.devices)
        for label, count in _bounded(pipeline.labels):
            labels.add_metric([name, label], count)
    yield from (messages, devices, labels)
