"""Several workers on a real broker: the labels of one, whoever dies, and whatever their number was before."""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.edge_agent.gateway import DEADLINE_S, AgentProcess, Consumer, Publisher, wait_until, write_config
from tests.edge_agent.test_delivery import HOP_LENGTH, STEP_MS, WINDOW_LENGTH, Plant, covered_windows
from tests.mosquitto import Mosquitto

pytestmark = pytest.mark.fault

_T0_MS = 1_700_000_000_000


def states(consumer: Consumer, leaf: str = "gw/availability") -> list[str]:
    return [message["state"] for message in consumer.of(leaf)]


def children(agent: AgentProcess) -> list[psutil.Process]:
    return [child for child in psutil.Process(agent.pid).children() if "edge_agent" in " ".join(child.cmdline())]


def facts(label: dict[str, Any]) -> tuple[Any, ...]:
    return label["label"], label["window"]["n_samples"], label["probabilities"], label["novelty"], label["state"]


def labels_of(start_broker: Callable[..., Mosquitto], folder: Path, n_workers: int) -> dict[tuple[str, int], Any]:
    folder.mkdir()
    broker = start_broker()
    config = write_config(folder, broker.port)
    n_samples = 4 * WINDOW_LENGTH
    with (
        Consumer(broker.port) as consumer,
        Publisher(broker.port) as publisher,
        AgentProcess(config, "--workers", str(n_workers)) as agent,
    ):
        wait_until(lambda: states(consumer)[-1:] == ["online"], "all workers")
        for n in range(n_samples):
            for device in range(6):
                publisher.sample(f"pump-{device}", _T0_MS + n * STEP_MS, 0.1 * ((7 * n + device) % 13) - 0.6)
        n_windows = (n_samples - WINDOW_LENGTH) // HOP_LENGTH + 1
        wait_until(
            lambda: sum(label["state"] == "ok" for label in consumer.labels().values()) >= 6 * n_windows, "labels"
        )
        if n_workers > 1:
            wait_until(lambda: "messages_received" in str(consumer.of("gw/metrics")), "the sum of the counters")
            wait_until(
                lambda: consumer.of("gw/metrics")[-1]["messages_received"] == 6 * n_samples, "all of them counted"
            )
            total = consumer.of("gw/metrics")[-1]
            assert total["messages_of_others"] == (n_workers - 1) * 6 * n_samples
            assert total["devices"] == 6
        assert agent.stop() == 0
        return {key: facts(label) for key, label in consumer.labels().items() if label["state"] == "ok"}


def test_three_workers_give_the_labels_of_one(start_broker: Callable[..., Mosquitto], tmp_path: Path) -> None:
    alone = labels_of(start_broker, tmp_path / "one", 1)
    shared = labels_of(start_broker, tmp_path / "three", 3)
    assert len(alone) > 30
    assert shared == alone


@contextmanager
def running_plant(port: int, n_devices: int) -> Iterator[Publisher]:
    """Devices that publish while whatever is in the block happens."""
    is_over = threading.Event()
    with Publisher(port) as publisher:
        plant = Plant(publisher, n_devices)

        def run() -> None:
            while not is_over.wait(0.005):  # the pace of the plant
                plant.advance()

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield publisher
        finally:
            is_over.set()
            thread.join()
        wait_until(lambda: publisher.n_pending == 0, "the broker to accept every sample")


def subscribe(consumer: Consumer, config: Path, n_workers: int) -> None:
    """Start and stop once: from now on the broker keeps what is published, and says so to the publisher."""
    with AgentProcess(config, "--workers", str(n_workers)) as agent:
        wait_until(lambda: states(consumer)[-1:] == ["online"], "the subscriptions")
        assert agent.stop() == 0, agent.log


def declared(consumer: Consumer) -> set[tuple[str, int]]:
    """Every window that has a label, of however many samples, or stands in a declared gap."""
    gaps = {(gap["device"], k) for gap in consumer.of("/gap") for k in range(gap["first_index"], gap["last_index"] + 1)}
    return gaps | set(consumer.labels())


def run_in_turn(consumer: Consumer, config: Path, *counts: int) -> None:
    for n_workers in counts:
        n_states, n_labels = len(states(consumer)), len(consumer.labels())
        with AgentProcess(config, "--workers", str(n_workers)) as agent:

            def is_online(n: int = n_states) -> bool:
                return states(consumer)[n:][-1:] == ["online"]

            def has_more(n: int = n_labels) -> bool:
                return len(consumer.labels()) > n + 20

            wait_until(is_online, f"{n_workers} workers", 2 * DEADLINE_S)
            wait_until(has_more, "labels")
            assert agent.stop() == 0, agent.log


def test_nothing_is_lost_silently_while_the_number_of_workers_changes(broker: Mosquitto, tmp_path: Path) -> None:
    config = write_config(tmp_path, broker.port)
    with Consumer(broker.port) as consumer:
        subscribe(consumer, config, 2)
        with running_plant(broker.port, 8) as publisher:
            run_in_turn(consumer, config, 2, 3, 1)
        expected = covered_windows(publisher.accepted)
        n_states = len(states(consumer))
        with AgentProcess(config) as agent:
            wait_until(lambda: "online" in states(consumer)[n_states:], "a start")
            wait_until(lambda: expected <= declared(consumer), "a label or a gap for each window", 5 * DEADLINE_S)
            assert agent.stop() == 0
        labels = consumer.labels()
        whole = {key for key in expected if key in labels and labels[key]["window"]["n_samples"] == WINDOW_LENGTH}
        # Two changes: at each of them a device may lose what was open, a window and the one that overlaps it.
        assert len(expected - whole) <= 8 * 2 * (WINDOW_LENGTH // HOP_LENGTH + 1)
        assert len(expected) > 200
    state = tmp_path / "state"
    assert json.loads((state / "workers.json").read_text())["workers"] == 1
    assert (state / "watermark.json").exists()
    assert not [*state.glob("w[0-9]*"), *state.glob("handover.json*")]


@pytest.mark.parametrize("cut", ["before", "decided"])
def test_a_hand_over_that_was_cut_off_is_begun_again_or_finished(broker: Mosquitto, tmp_path: Path, cut: str) -> None:
    config = write_config(tmp_path, broker.port)
    with Consumer(broker.port) as consumer:
        subscribe(consumer, config, 2)
        with running_plant(broker.port, 6) as publisher:
            run_in_turn(consumer, config, 2)
            with AgentProcess(config, "--workers", "3") as agent:
                if cut == "before":
                    wait_until(lambda: "handing over" in agent.log, "the hand-over to begin")
                else:
                    wait_until(
                        lambda: json.loads((tmp_path / "state/workers.json").read_text())["workers"] == 3, "it done"
                    )
                agent.kill()
            if cut == "decided":  # what a power failure between the two writes leaves
                merged: dict[str, Any] = {"schema": "workers/1", "before": 2, "workers": 3, "pipelines": {}}
                for folder in (tmp_path / "state").glob("w[0-9]"):
                    kept = json.loads((folder / "watermark.json").read_text())["pipelines"]
                    for name, pipeline in kept.items():
                        there = merged["pipelines"].setdefault(name, {**pipeline, "devices": {}})
                        there["devices"].update(pipeline["devices"])
                (tmp_path / "state/handover.json").write_text(json.dumps(merged))
                (tmp_path / "state/workers.json").write_text(json.dumps({"schema": "workers/1", "workers": 2}))
            run_in_turn(consumer, config, 3)
        expected = covered_windows(publisher.accepted)
        n_states = len(states(consumer))
        with AgentProcess(config, "--workers", "3") as agent:
            wait_until(lambda: "online" in states(consumer)[n_states:], "a start")
            wait_until(lambda: expected <= declared(consumer), "a label or a gap for each window", 5 * DEADLINE_S)
            assert agent.stop() == 0
        assert len(expected) > 100


def test_a_worker_that_is_killed_is_started_again_and_nothing_is_lost(broker: Mosquitto, tmp_path: Path) -> None:
    config = write_config(tmp_path, broker.port)
    with (
        Consumer(broker.port) as consumer,
        AgentProcess(config, "--workers", "2") as agent,
    ):
        wait_until(lambda: states(consumer)[-1:] == ["online"], "both workers")
        with running_plant(broker.port, 6) as publisher:
            wait_until(lambda: len(consumer.labels()) > 20, "labels")
            victim = children(agent)[0]
            n_said = len(states(consumer))
            os.kill(victim.pid, signal.SIGKILL)
            wait_until(lambda: states(consumer)[n_said:] == ["offline", "online"], "not whole, then whole again")
            assert len(children(agent)) == 2
            n = len(consumer.labels())
            wait_until(lambda: len(consumer.labels()) > n + 20, "labels go on")
        expected = covered_windows(publisher.accepted)

        def whole() -> set[tuple[str, int]]:
            found = consumer.labels().items()
            return {key for key, label in found if label["window"]["n_samples"] == WINDOW_LENGTH}

        wait_until(lambda: expected <= whole(), "a whole label for each window", 5 * DEADLINE_S)
        workers = children(agent)
        assert agent.stop() == 0
        assert not any(worker.is_running() for worker in workers), "the supervisor ended after all of them"
        assert "ended with signal 9" in agent.log
        wait_until(lambda: states(consumer)[-1] == "offline", "the goodbye")


def test_workers_end_with_a_supervisor_that_was_killed(broker: Mosquitto, tmp_path: Path) -> None:
    config = write_config(tmp_path, broker.port)
    with Consumer(broker.port) as consumer, AgentProcess(config, "--workers", "2") as agent:
        wait_until(lambda: states(consumer)[-1:] == ["online"], "both workers")
        workers = children(agent)
        assert len(workers) == 2
        agent.kill()
        wait_until(lambda: states(consumer)[-1] == "offline", "the last will of the gateway")
        wait_until(lambda: not any(worker.is_running() for worker in workers), "the end of its workers")


def test_a_wrong_configuration_ends_all_with_78(broker: Mosquitto, tmp_path: Path) -> None:
    config = write_config(tmp_path, broker.port)
    (tmp_path / "small.onnx").write_bytes(b"no model")
    with AgentProcess(config, "--workers", "2") as agent:
        wait_until(lambda: not agent.is_running, "the end")
        assert "no usable model file" in agent.log
        assert agent.stop() == 78
