"""Snapshots as an agent would make them, for tests of what is shown of them."""

from typing import Any

from schemas import AgentHealth, AgentInfo, AgentMetrics, AgentStatus
from schemas.status import Histogram, PipelineInfo, PipelineMetrics


def metrics(**changes: Any) -> AgentMetrics:
    """Metrics with every field set to something of its own."""
    facts: dict[str, Any] = {
        "gateway": "gw",
        "ts": "2026-01-01T00:00:00.000000Z",
        "uptime_s": 90_061.5,
        "messages_received": 1_000,
        "messages_rejected": {"not_json": 3, "too_large": 2},
        "samples": 1_990,
        "samples_dropped": {"late": 4, "duplicate": 6, "retained": 0},
        "windows": {"ok": 90, "unsure": 5, "novel": 3, "incomplete": 2, "failed": 1},
        "labels_accepted": 97,
        "labels_retried": 8,
        "labels_dropped": {"no_subscriber": 7},
        "captures_accepted": 11,
        "gaps": 12,
        "devices": 13,
        "messages_of_others": 31,
        "devices_evicted": 14,
        "unacknowledged": 15,
        "acknowledged_early": 16,
        "reconnects": 17,
        "connected": True,
        "outbox": 18,
        "outbox_bytes": 20_000,
        "last_window_ts": 1_767_225_600.5,
        "inference_seconds": Histogram(bounds=[0.001, 0.01], counts=[3, 2, 1], sum=0.5),
        "latency_seconds": Histogram(bounds=[0.1, 1.0], counts=[10, 20, 30], sum=60.25),
        "confirmed_seconds": Histogram(bounds=[0.1, 1.0], counts=[1, 2, 3], sum=6.5),
        "pipelines": {
            "pump": PipelineMetrics(
                devices=13, messages=998, rejected={"not_json": 3}, labels={"low": 40, "high": 55}, gaps=12
            )
        },
        "reloads": {"swapped": 21, "replaced": 22},
        "reloads_refused": 23,
        "state_free_bytes": 24_000_000_000,
        "self_test": "passed",
        "spool_labels": 25,
        "journal_messages": 26,
        "journal_again": 27,
        "journal_skipped": 28,
        "broker_dropped": 29,
        "alarms": ["disk_low"],
    }
    return AgentMetrics.model_validate(facts | changes)


def info(**changes: Any) -> AgentInfo:
    """What runs: one pipeline with a model, one that collects."""
    pump = PipelineInfo(
        name="pump",
        topics=["plant/{device}/v"],
        model="pump@7",
        digest="d" * 64,
        classes=["low", "high"],
        channels=["x", "y"],
        sampling_rate_hz=100.0,
        window_length=10,
        hop_length=5,
    )
    facts: dict[str, Any] = {
        "gateway": "gw",
        "agent_version": "1.2.3",
        "protocol": "MQTT 5",
        "started": "2026-01-01T00:00:00.000000Z",
        "config_sha256": "c" * 64,
        "pipelines": [pump, pump.model_copy(update={"name": "room", "model": "capture", "digest": "", "classes": []})],
        "libraries": {"numpy": "2.4.6"},
    }
    return AgentInfo.model_validate(facts | changes)


def status(*problems: str, **changes: Any) -> AgentStatus:
    """A whole status; ``changes`` are those of its metrics."""
    health = AgentHealth(
        state="degraded" if problems else "ok",
        connected=True,
        broker="127.0.0.1:1883",
        problems=list(problems),
        outbox=18,
        outbox_limit=2_000,
        unacknowledged_limit=60_000,
    )
    return AgentStatus(
        info=info(),
        metrics=metrics(**changes),
        health=health,
        errors=["2026-01-01T00:00:00.000000Z warning: message refused"],
        messages_hz=12.5,
        pipelines_hz={"pump": 12.25},
    )
