"""The whole agent against a real broker: what it does with what it should not get, and that live = replay."""

import asyncio
import json
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.edge_agent.gateway import DEADLINE_S, ROOT, AgentProcess, Consumer, Publisher, wait_until, write_config
from tests.mosquitto import Mosquitto, free_port

HOSTILE = [
    b"",
    b"\x00",
    b"\xff\xfe\xfd",
    b"null",
    b"[]",
    b"{}",
    b'{"t": 1}',
    b'{"t": "yesterday", "x": 1, "y": 1}',
    b'{"t": 1e300, "x": 1, "y": 1}',
    b'{"t": -9223372036854775808, "x": 1, "y": 1}',
    b'{"t": 9e18, "x": 1, "y": 1}',
    b'{"t": 1, "x": NaN, "y": 1}',
    b'{"t": 1, "x": 1e999, "y": 1}',
    b'{"t": 1, "x": {"y": []}, "y": 1}',
    b"[" * 50_000,
    b'{"t": 1, "x": ' + b"9" * 5_000 + b', "y": 1}',
    b"A" * 200_000,
]


def test_no_message_ends_the_agent_and_every_refusal_is_counted(broker: Mosquitto, tmp_path: Path) -> None:
    with (
        Consumer(broker.port) as consumer,
        Publisher(broker.port) as publisher,
        AgentProcess(write_config(tmp_path, broker.port)) as agent,
    ):
        wait_until(lambda: consumer.of("/availability"), "the agent")
        for payload in HOSTILE:
            publisher.raw("plant/pump/v", payload)
            publisher.raw("plant/ /v", payload)
        publisher.raw("plant/pump/v", b'{"t": 1, "x": 1, "y": 1}', retain=True)
        publisher.raw("telltale/v1/gw/barrier", b"rubbish")
        publisher.raw("telltale/v1/gw/barrier", b'{"run": "other", "monotonic_ns": 99999999999999999}')
        now_ms = int(time.time() * 1000) // 10 * 10
        for step in range(40):
            publisher.sample("pump", now_ms + 10 * step, 1.0)
        wait_until(
            lambda: [label for label in consumer.of("/label") if label["state"] == "ok"], "labels after all that"
        )
        wait_until(
            lambda: sum(consumer.of("/metrics")[-1]["messages_rejected"].values()) >= 20, "refusals to be counted"
        )
        rejected = consumer.of("/metrics")[-1]["messages_rejected"]
        assert rejected["too_large"] == 2
        assert rejected["not_json"] > 2
        assert "internal" not in rejected
        assert agent.is_running
        assert "Traceback" not in agent.log
        wait_until(lambda: consumer.of("/metrics")[-1]["unacknowledged"] < 100, "refused messages to be acknowledged")


def test_info_says_what_runs_and_is_retained(broker: Mosquitto, tmp_path: Path) -> None:
    with Consumer(broker.port) as first, AgentProcess(write_config(tmp_path, broker.port)):
        wait_until(lambda: first.of("/info"), "the info")
        with Consumer(broker.port, ["telltale/v1/gw/info"], name="late") as late:
            wait_until(lambda: late.messages, "the retained info")
            _, info, is_retained = late.messages[0]
    assert is_retained
    assert (info["gateway"], info["protocol"]) == ("gw", "MQTT 5")
    (pipeline,) = info["pipelines"]
    assert (pipeline["model"], pipeline["classes"], pipeline["window_length"]) == ("small@1", ["low", "high"], 10)


def test_event_topic_carries_changes_only(broker: Mosquitto, tmp_path: Path) -> None:
    with Consumer(broker.port) as consumer, Publisher(broker.port) as publisher:
        with AgentProcess(write_config(tmp_path, broker.port)):
            wait_until(lambda: consumer.of("/availability"), "the agent")
            start_ms = int(time.time() * 1000) // 50 * 50
            for step in range(300):
                publisher.sample("pump", start_ms + 10 * step, 1.0 if step < 150 else -1.0)
            wait_until(lambda: len(consumer.of("/label")) >= 58, "the labels")
            wait_until(lambda: len([e for e in consumer.of("/event") if e["state"] == "ok"]) >= 2, "the events")
        changes = [event["label"] for event in consumer.of("/event") if event["state"] == "ok"]
    assert changes == ["high", "low"]


def test_live_labels_equal_those_of_replay(broker: Mosquitto, tmp_path: Path) -> None:
    n_samples = 400
    chance = np.random.default_rng(5)
    values = np.cumsum(chance.standard_normal((n_samples, 2)), axis=0).astype(np.float32)
    start_ms = int(time.time() * 1000) // 10 * 10
    times_ms = start_ms + 10 * np.arange(n_samples)
    recording = tmp_path / "recording.npz"
    np.savez(
        recording,
        X=values,
        t=times_ms / 1000,
        run=np.zeros(n_samples, int),
        channels=["x", "y"],
        fs=100.0,
        run_names=["pump"],
    )
    config = write_config(tmp_path, broker.port)
    command = [sys.executable, "-m", "edge_agent", "replay", str(tmp_path / "small.onnx"), str(recording)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    replayed = {event["window"]["index"]: event for event in map(json.loads, done.stdout.splitlines())}
    whole = [index for index, event in replayed.items() if event["window"]["n_samples"] == 10]
    with Consumer(broker.port) as consumer, Publisher(broker.port) as publisher, AgentProcess(config):
        wait_until(lambda: consumer.of("/availability"), "the agent")
        for t_ms, (x, y) in zip(times_ms.tolist(), values.tolist(), strict=True):
            publisher.sample("pump", t_ms, x, y)
        wait_until(lambda: all(("pump", index) in consumer.labels() for index in whole), "every label")
        live = consumer.labels()
    assert len(whole) >= 78
    for index in whole:
        for key in ("id", "ts", "window", "label", "confidence", "probabilities", "novelty", "state", "model"):
            assert live["pump", index][key] == replayed[index][key], (index, key)


def test_windows_of_a_hold_pipeline_survive_a_kill(broker: Mosquitto, tmp_path: Path) -> None:
    """Report on change: the window after the restart builds on a value that was sent before it."""
    config = write_config(
        tmp_path, broker.port, grid={"policy": "hold", "max_age_s": 60.0}, sampling_rate_hz=10.0, min_present=0.5
    )
    agent = AgentProcess(config)
    with Consumer(broker.port) as consumer, Publisher(broker.port) as publisher, agent:
        wait_until(lambda: consumer.of("/availability"), "the agent")
        start_ms = int(time.time() * 1000) // 1000 * 1000 - 20_000
        for step in range(40):  # x falls silent after 2 s, y goes on: x must be held
            payload = {"t": start_ms + 250 * step, "y": 1.0} | ({"x": 1.0} if step < 8 else {})
            publisher.raw("plant/pump/v", json.dumps(payload).encode())
        wait_until(lambda: [label for label in consumer.of("/label") if label["label"] == "high"], "labels")
        watermark = tmp_path / "state" / "watermark.json"
        wait_until(lambda: watermark.exists() and '"pump"' in watermark.read_text(), "the watermark")
        agent.kill()
        agent.start()
        for step in range(40, 80):
            publisher.raw("plant/pump/v", json.dumps({"t": start_ms + 250 * step, "y": 1.0}).encode())
        last = (start_ms + 250 * 79) // 100 // 5 - 4
        wait_until(lambda: ("pump", last) in consumer.labels(), "the labels after the restart")
        labels = consumer.labels()
    first = min(index for (_, index), label in labels.items() if label["label"] == "high")
    for index in range(first, last + 1):
        assert labels["pump", index]["label"] == "high", index


class EmbeddedBroker:
    """amqtt in a thread: MQTT 3.1.1 only, no redelivery."""

    def __init__(self) -> None:
        self.port = free_port()
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(DEADLINE_S)

    def _run(self) -> None:
        from amqtt.broker import Broker

        asyncio.set_event_loop(self._loop)
        listener = {"type": "tcp", "bind": f"127.0.0.1:{self.port}", "max_connections": 100}
        plugins = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
        self._broker = Broker({"listeners": {"default": listener}, "plugins": plugins}, loop=self._loop)
        self._loop.run_until_complete(self._broker.start())
        self._ready.set()
        self._loop.run_forever()

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._broker.shutdown(), self._loop).result(DEADLINE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE_S)
        self._loop.close()


@pytest.fixture
def embedded_broker() -> Iterator[EmbeddedBroker]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # amqtt's own deprecations are not ours to fix
        broker = EmbeddedBroker()
        yield broker
        broker.stop()


def test_broker_without_mqtt_5_gets_labels_over_3_1_1_and_a_warning(
    embedded_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    port = embedded_broker.port
    with (
        Consumer(port, protocol="3.1.1") as consumer,
        Publisher(port, protocol="3.1.1") as publisher,
        AgentProcess(write_config(tmp_path, port)) as agent,
    ):
        wait_until(lambda: consumer.of("/availability"), "the agent")
        start_ms = int(time.time() * 1000) // 10 * 10
        for step in range(200):
            publisher.sample("pump", start_ms + 10 * step, 1.0)
        wait_until(lambda: len([label for label in consumer.of("/label") if label["state"] == "ok"]) >= 30, "labels")
        assert agent.log.count("cannot promise delivery") == 1
        assert consumer.of("/info")[-1]["protocol"] == "MQTT 3.1.1"
        assert agent.stop() == 0
