"""A view of an agent as its status socket answers it, made up for tests."""

import time
from typing import Any

from schemas import AgentHealth, AgentInfo, AgentMetrics, DeviceView, TopView, format_timestamp
from schemas.status import PipelineInfo


def make_device(name: str = "pump-1", **changed: Any) -> DeviceView:
    fields: dict[str, Any] = {
        "pipeline": "pump",
        "device": name,
        "channels": ["x", "y"],
        "label": "pumping",
        "confidence": 0.75,
        "novelty": 0.25,
        "state": "ok",
        "ts": format_timestamp(time.time_ns() - 3_000_000_000),
        "rate_hz": 200.0,
        "latency_ms": 1.5,
        "signal": [[float(n % 7) for n in range(64)], [None] * 32 + [1.0] * 32],
    }
    return DeviceView.model_validate({**fields, **changed})


def make_view(devices: list[DeviceView], uptime_s: float = 100.0, messages: int = 1000, **health: Any) -> TopView:
    pipeline = PipelineInfo(
        name="pump",
        topics=["plant/{device}/v"],
        model="pump@1",
        digest="0" * 64,
        classes=["idle", "pumping"],
        channels=["x", "y"],
        sampling_rate_hz=200.0,
        window_length=200,
        hop_length=100,
    )
    info = AgentInfo(
        gateway="pi4-kitchen",
        agent_version="0.1.0",
        protocol="MQTT 5",
        started="2026-11-21T08:00:00.000000Z",
        config_sha256="0" * 64,
        pipelines=[pipeline],
        libraries={},
    )
    metrics = AgentMetrics(
        gateway="pi4-kitchen",
        ts="2026-11-21T08:01:40.000000Z",
        uptime_s=uptime_s,
        messages_received=messages,
        messages_rejected={"not_json": 2},
        samples=10_000,
        samples_dropped={},
        windows={"ok": 90, "unsure": 10},
        labels_accepted=messages // 10,
        labels_retried=0,
        labels_dropped={},
        gaps=0,
        devices=len(devices),
        devices_evicted=0,
        unacknowledged=120,
        reconnects=0,
    )
    healthy = {"state": "ok", "connected": True, "broker": "127.0.0.1:1883", "unacknowledged_limit": 60_000}
    return TopView(
        info=info,
        metrics=metrics,
        health=AgentHealth.model_validate({**healthy, **health}),
        devices=devices,
        latencies_ms=[1.0, 2.0, 4.0],
    )
