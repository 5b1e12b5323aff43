"""Every window that accepted samples cover has a label, whoever is killed: the promise of DESIGN decision 4."""

import os
import random
import time
from collections import defaultdict
from pathlib import Path

import pytest

from tests.edge_agent.gateway import AgentProcess, Consumer, Publisher, wait_until, write_config
from tests.mosquitto import Mosquitto

pytestmark = pytest.mark.fault

RATE_HZ = 100
WINDOW_LENGTH, HOP_LENGTH = 10, 5
STEP_MS = 1000 // RATE_HZ

KILLS = int(os.environ.get("TELLTALE_KILLS", "3"))
MESSAGES_PER_S = int(os.environ.get("TELLTALE_MESSAGES_PER_S", "1000"))


class Plant:
    """Devices that sample at 100 Hz on the grid, one message a sample, in step with the clock."""

    def __init__(self, publisher: Publisher, n_devices: int) -> None:
        self._publisher = publisher
        self._devices = [f"pump-{number}" for number in range(n_devices)]
        self.start_ms = int(time.time() * 1000) // STEP_MS * STEP_MS
        self._started_s = time.monotonic()
        self._next = 0

    def advance(self) -> None:
        """Publish what is due by now."""
        due = int((time.monotonic() - self._started_s) * RATE_HZ)
        while self._next < due:
            for number, device in enumerate(self._devices):
                x = 1.0 if (self._next // 50 + number) % 2 else -1.0
                self._publisher.sample(device, self.start_ms + self._next * STEP_MS, x)
            self._next += 1

    def run_until(self, moment_s: float) -> None:
        while time.monotonic() < moment_s:
            self.advance()
            time.sleep(0.002)  # the pace of the plant, not a wait for anything


def covered_windows(accepted: set[tuple[str, int]]) -> set[tuple[str, int]]:
    """(device, index) of every window all of whose samples the broker has accepted."""
    points: dict[str, set[int]] = defaultdict(set)
    for device, t_ms in accepted:
        points[device].add(t_ms // STEP_MS)
    windows = set()
    for device, there in points.items():
        for index in range(min(there) // HOP_LENGTH, max(there) // HOP_LENGTH + 1):
            first = index * HOP_LENGTH
            if all(point in there for point in range(first, first + WINDOW_LENGTH)):
                windows.add((device, index))
    return windows


def assert_all_labelled(publisher: Publisher, consumer: Consumer, log: str = "") -> None:
    wait_until(lambda: publisher.n_pending == 0, "the broker to accept every sample")
    expected = covered_windows(publisher.accepted)
    assert expected, "the test published nothing"

    def missing() -> list[tuple[str, int]]:
        labels = consumer.labels()
        return sorted(
            key for key in expected if key not in labels or labels[key]["window"]["n_samples"] < WINDOW_LENGTH
        )

    try:
        wait_until(lambda: not missing(), "a whole label for every covered window")
    except AssertionError:
        labels = consumer.labels()
        lost = {key: labels[key]["window"]["n_samples"] if key in labels else None for key in missing()}
        raise AssertionError(
            f"{len(lost)} of {len(expected)} windows without a whole label; samples in the label, if any: {lost}; "
            f"windows of each device: {min(expected)} to {max(expected)}; gaps: {consumer.of('/gap')}; "
            f"metrics: {consumer.of('/metrics')[-1:]}\n{log}"
        ) from None
    for label in consumer.labels().values():
        if label["window"]["n_samples"] == WINDOW_LENGTH:
            assert label["state"] == "ok"


def assert_nothing_silent(publisher: Publisher, consumer: Consumer) -> None:
    """Every covered window has a label, if only of a part of its samples, or lies in a gap that was declared.

    After a restart of mosquitto no more can be asked: its PUBACK does not mean that a message is on disk, and a
    publisher that comes back may send what it held after newer samples, too late for the deadline.
    """
    wait_until(lambda: publisher.n_pending == 0, "the broker to accept every sample")
    expected = covered_windows(publisher.accepted)
    assert expected, "the test published nothing"

    def silent() -> set[tuple[str, int]]:
        declared = {
            (gap["device"], index)
            for gap in consumer.of("/gap")
            for index in range(gap["first_index"], gap["last_index"] + 1)
        }
        return expected - set(consumer.labels()) - declared

    wait_until(lambda: not silent(), "a label or a declared gap for every covered window")
    whole = [label for label in consumer.labels().values() if label["window"]["n_samples"] == WINDOW_LENGTH]
    assert len(whole) >= 0.9 * len(expected), "a restart costs a few windows, not the stream"


def test_agent_killed_in_mid_stream_leaves_no_window_without_a_label(broker: Mosquitto, tmp_path: Path) -> None:
    chance = random.Random(7)
    agent = AgentProcess(write_config(tmp_path, broker.port))
    with Consumer(broker.port) as consumer, Publisher(broker.port) as publisher, agent:
        wait_until(lambda: consumer.of("/availability"), "the agent")
        plant = Plant(publisher, n_devices=MESSAGES_PER_S // RATE_HZ)
        for _ in range(KILLS):
            plant.run_until(time.monotonic() + chance.uniform(0.7, 1.8))
            agent.kill()
            plant.run_until(time.monotonic() + 0.2)
            agent.start()
        plant.run_until(time.monotonic() + 2.0)
        assert_all_labelled(publisher, consumer, agent.log)
        wait_until(
            lambda: consumer.of("/metrics")[-1]["unacknowledged"] < MESSAGES_PER_S / 10, "acknowledgements to catch up"
        )


def test_broker_restart_while_the_agent_lives_loses_nothing_silently(broker: Mosquitto, tmp_path: Path) -> None:
    with (
        Consumer(broker.port) as consumer,
        Publisher(broker.port) as publisher,
        AgentProcess(write_config(tmp_path, broker.port)) as agent,
    ):
        wait_until(lambda: consumer.of("/availability"), "the agent")
        plant = Plant(publisher, n_devices=2)
        plant.run_until(time.monotonic() + 1.0)
        broker.stop()
        plant.run_until(time.monotonic() + 0.3)
        broker.start()
        plant.run_until(time.monotonic() + 2.0)
        assert_nothing_silent(publisher, consumer)
        assert agent.is_running
        births = [payload["state"] for payload in consumer.of("/availability")]
        assert births[-1] == "online"
        assert births.count("online") >= 2, "the birth is said on every connect"


def test_agent_that_starts_before_the_broker_finds_it(broker: Mosquitto, tmp_path: Path) -> None:
    broker.stop()
    with AgentProcess(write_config(tmp_path, broker.port)) as agent:
        wait_until(lambda: "cannot reach the broker" in agent.log, "the agent to notice")
        broker.start()
        with Consumer(broker.port) as consumer, Publisher(broker.port) as publisher:
            wait_until(lambda: consumer.of("/availability"), "the agent")
            plant = Plant(publisher, n_devices=1)
            plant.run_until(time.monotonic() + 1.0)
            assert_all_labelled(publisher, consumer, agent.log)


def test_labels_wait_for_the_first_consumer(broker: Mosquitto, tmp_path: Path) -> None:
    with (
        Publisher(broker.port) as publisher,
        Consumer(broker.port, ["telltale/v1/+/metrics"], name="watcher") as watcher,
        AgentProcess(write_config(tmp_path, broker.port)) as agent,
    ):
        wait_until(lambda: watcher.of("/metrics"), "the agent")
        plant = Plant(publisher, n_devices=2)
        plant.run_until(time.monotonic() + 2.0)
        wait_until(lambda: watcher.of("/metrics")[-1]["labels_retried"] > 0, "labels to be tried again")
        with Consumer(broker.port) as consumer:
            assert_all_labelled(publisher, consumer, agent.log)


def test_labels_are_let_go_and_counted_when_nobody_comes(broker: Mosquitto, tmp_path: Path) -> None:
    config = write_config(tmp_path, broker.port)
    agent = AgentProcess(config, "--set", "delivery.consumer_patience_s=0.3")
    with (
        Publisher(broker.port) as publisher,
        Consumer(broker.port, ["telltale/v1/+/metrics"], name="watcher") as watcher,
        agent,
    ):
        wait_until(lambda: watcher.of("/metrics"), "the agent")
        plant = Plant(publisher, n_devices=1)
        plant.run_until(time.monotonic() + 3.0)
        wait_until(
            lambda: watcher.of("/metrics")[-1]["labels_dropped"].get("no_subscriber", 0) > 10, "labels to be let go"
        )
        wait_until(lambda: watcher.of("/metrics")[-1]["unacknowledged"] < 100, "acknowledgements to go on")
        with Consumer(broker.port, ["telltale/v1/gw/pump-0/label"], name="late") as late:
            wait_until(lambda: late.messages, "the retained label")
            assert late.messages[0][2], "a late subscriber finds the newest label as the retained one"


def test_stop_is_orderly(broker: Mosquitto, tmp_path: Path) -> None:
    with Consumer(broker.port) as consumer, Publisher(broker.port) as publisher:
        agent = AgentProcess(write_config(tmp_path, broker.port))
        agent.start()
        wait_until(lambda: consumer.of("/availability"), "the agent")
        plant = Plant(publisher, n_devices=1)
        plant.run_until(time.monotonic() + 3.0)
        wait_until(lambda: consumer.of("/label"), "labels")
        assert agent.stop() == 0
        wait_until(lambda: consumer.of("/availability")[-1] == {"state": "offline"}, "the word offline")
        assert (tmp_path / "state" / "watermark.json").exists()
        assert not (tmp_path / "state" / "watermark.json.tmp").exists()


def test_last_will_says_offline_for_a_killed_agent(broker: Mosquitto, tmp_path: Path) -> None:
    with Consumer(broker.port) as consumer, AgentProcess(write_config(tmp_path, broker.port)) as agent:
        wait_until(lambda: consumer.of("/availability"), "the agent")
        agent.kill()
        wait_until(lambda: consumer.of("/availability")[-1] == {"state": "offline"}, "the last will")
        assert not agent.is_running
