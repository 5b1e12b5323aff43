"""Reloads of a real agent while a thousand samples a second come in: no window is lost, none is numbered anew."""

import gc
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge_agent.operation.gateway import Gateway
from edge_agent.shell.mqtt_link import MqttLink
from tests.edge_agent.gateway import DEADLINE_S, AgentProcess, Consumer, Publisher, status_of, wait_until, write_config
from tests.edge_agent.small_model import write_model
from tests.mosquitto import Mosquitto

DEVICES = ("pump-1", "pump-2", "pump-3", "pump-4", "pump-5", "pump-6", "pump-7", "pump-8", "pump-9", "pump-10")
STEP_MS = 10  # the small model wants 100 Hz: ten devices make 1,000 messages a second
LENGTH, HOP = 10, 5
STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@contextmanager
def stream(publisher: Publisher) -> Iterator[list[int]]:
    """Samples of ten devices at 100 Hz each until the block ends; gives a list with the first and the newest time."""
    start_ms = int(time.time() * 1000) // 50 * 50
    times, is_over = [start_ms, start_ms - STEP_MS], threading.Event()

    def publish() -> None:
        while not is_over.wait(0.02):
            while times[1] + STEP_MS <= time.time() * 1000:
                times[1] += STEP_MS
                for device in DEVICES:
                    publisher.sample(device, times[1], 1.0)

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield times
    finally:
        is_over.set()
        thread.join()


def expected_windows(times: list[int]) -> set[tuple[str, int]]:
    """Every window that lies whole between the first and the newest sample."""
    first, last = times[0] // STEP_MS, times[1] // STEP_MS
    indices = range(-(-first // HOP), (last - LENGTH + 1) // HOP + 1)
    return {(device, index) for device in DEVICES for index in indices}


def declared(consumer: Consumer) -> set[tuple[str, int]]:
    gaps = consumer.of("/gap")
    return {(gap["device"], index) for gap in gaps for index in range(gap["first_index"], gap["last_index"] + 1)}


def reload_and_wait(agent: AgentProcess, socket: Path, kind: str) -> None:
    def count() -> int:
        metrics = status_of(socket).metrics
        return metrics.reloads_refused if kind == "refused" else metrics.reloads[kind]

    before = count()
    os.kill(agent.pid, signal.SIGHUP)
    wait_until(lambda: count() > before, f"a reload to be {kind}; the log says:\n{agent.log}")


def newest_versions(consumer: Consumer) -> set[str]:
    return {label["model"]["version"] for label in consumer.of("/label")[-20:]}


@pytest.mark.fault
@pytest.mark.slow
def test_ten_swaps_of_the_model_and_five_of_the_configuration_lose_no_window(broker: Mosquitto, tmp_path: Path) -> None:
    # Windows are whole here, however long the sender of a busy machine pauses between two samples.
    config, socket = write_config(tmp_path, broker.port, deadline_s=30.0), tmp_path / "state" / "status.sock"
    text = config.read_text()
    with Consumer(broker.port) as consumer, Publisher(broker.port) as publisher, AgentProcess(config) as agent:
        wait_until(lambda: consumer.of("/availability"), "the agent")
        with stream(publisher) as times:
            for round_ in range(1, 6):
                for part in (0, 1):
                    write_model(tmp_path / "small.onnx", version=f"{round_}.{part}")
                    reload_and_wait(agent, socket, "swapped")
                    version = f"{round_}.{part}"
                    wait_until(lambda version=version: newest_versions(consumer) == {version}, f"labels of {version}")  # type: ignore[misc]
                config.write_text(text.replace("deadline_s = 30.0", f"deadline_s = 30.{round_}"))
                reload_and_wait(agent, socket, "replaced")
                n_labels = len(consumer.of("/label"))
                wait_until(lambda n=n_labels: len(consumer.of("/label")) > n + 100, "labels of the next agent")  # type: ignore[misc]
        wanted = expected_windows(times)
        wait_until(lambda: wanted <= consumer.labels().keys() | declared(consumer), "every window", 5 * DEADLINE_S)
        labels, status = consumer.labels(), status_of(socket)

        assert status.metrics.reloads == {"swapped": 10, "replaced": 5}
        assert status.metrics.reloads_refused == 0
        # Nothing was lost at all, so nothing was declared: the broker delivered what was not labelled.
        assert declared(consumer) == set()
        assert min(labels[window]["window"]["n_samples"] for window in wanted) == LENGTH
        # No window has a number of its own making: all lie between the first and the last sample, partly at the ends.
        first, last = min(index for _, index in wanted), max(index for _, index in wanted)
        assert {index for _, index in labels} <= set(range(first - 2, last + 3))
        assert [said["state"] for said in consumer.of("/availability")] == ["online"] * 6
        versions = [info["pipelines"][0]["model"] for info in consumer.of("/info")]
        assert versions[-1] == "small@5.1"
        assert agent.stop() == 0


def test_file_watch_takes_up_a_model_and_refuses_a_half_written_one_in_one_line(
    broker: Mosquitto, tmp_path: Path
) -> None:
    config = write_config(tmp_path, broker.port, extra="[reload]\nwatch = true")
    model, socket = tmp_path / "small.onnx", tmp_path / "state" / "status.sock"
    with Consumer(broker.port) as consumer, AgentProcess(config) as agent:
        wait_until(lambda: consumer.of("/info"), "the agent")
        whole = write_model(tmp_path / "next.onnx", version="2").read_bytes()

        model.write_bytes(whole[: len(whole) // 2])
        wait_until(lambda: status_of(socket).metrics.reloads_refused == 1, "the refusal")
        refused = status_of(socket)
        assert refused.info.pipelines[0].model == "small@1"
        assert refused.health.state == "degraded"
        assert "reload" in refused.health.problems[0]

        model.write_bytes(whole)
        wait_until(lambda: status_of(socket).metrics.reloads["swapped"] == 1, "the swap")
        assert status_of(socket).health.problems == []
        assert agent.log.count("reload refused") == 1
        wait_until(lambda: consumer.of("/info")[-1]["pipelines"][0]["model"] == "small@2", "the info")


def test_configuration_that_is_wrong_changes_nothing_and_names_every_problem(broker: Mosquitto, tmp_path: Path) -> None:
    config, socket = write_config(tmp_path, broker.port), tmp_path / "state" / "status.sock"
    with Consumer(broker.port) as consumer, Publisher(broker.port) as publisher, AgentProcess(config) as agent:
        wait_until(lambda: consumer.of("/availability"), "the agent")
        good = config.read_text()
        config.write_text(good.replace("deadline_s = 3.0", "deadlines = 3.0").replace("keepalive", "keep"))
        reload_and_wait(agent, socket, "refused")
        config.write_text(good.replace('"small.onnx"', '"absent.onnx"'))
        reload_and_wait(agent, socket, "refused")
        start_ms = int(time.time() * 1000) // 50 * 50
        for step in range(100):
            publisher.sample("pump", start_ms + STEP_MS * step, 1.0)
        wait_until(lambda: len(consumer.of("/label")) >= 18, "labels by the agent as it was")

        assert "pipelines[0].deadlines: unknown key, did you mean 'pipelines[0].deadline_s'?" in agent.log
        assert "absent.onnx" in agent.log
        assert "Traceback" not in agent.log
        assert status_of(socket).metrics.reloads == {"swapped": 0, "replaced": 0}


def test_topics_that_left_the_configuration_are_no_longer_collected(broker: Mosquitto, tmp_path: Path) -> None:
    config, socket = write_config(tmp_path, broker.port), tmp_path / "state" / "status.sock"
    with Consumer(broker.port) as consumer, Publisher(broker.port) as publisher, AgentProcess(config) as agent:
        wait_until(lambda: consumer.of("/availability"), "the agent")
        config.write_text(config.read_text().replace("plant/{device}/v", "other/{device}/v"))
        reload_and_wait(agent, socket, "replaced")
        wait_until(lambda: len(consumer.of("/info")) >= 2, "the next agent")
        publisher.raw("plant/pump/v", b"{}")
        publisher.raw("other/pump/v", json.dumps({"t": 1, "x": 1.0, "y": 1.0}).encode())
        wait_until(lambda: status_of(socket).metrics.messages_received, "the message on the new topic")
        metrics: Any = status_of(socket).metrics

    assert metrics.messages_received == 1
    assert "no_pipeline" not in metrics.messages_rejected


def test_another_name_says_offline_under_the_old_one(broker: Mosquitto, tmp_path: Path) -> None:
    config = write_config(tmp_path, broker.port)
    with Consumer(broker.port) as consumer, AgentProcess(config) as agent:
        wait_until(lambda: consumer.of("gw/availability"), "the agent")
        wait_until((tmp_path / "state" / "status.sock").exists, "the status socket")
        config.write_text(config.read_text().replace('id = "gw"', 'id = "gw2"'))
        os.kill(agent.pid, signal.SIGHUP)
        wait_until(lambda: consumer.of("gw2/availability"), "the next agent")

        assert [said["state"] for said in consumer.of("gw/availability")] == ["online", "offline"]
        assert agent.stop() == 0


@pytest.mark.fault
@pytest.mark.parametrize("delay_s", [0.0, 0.02, 0.05, 0.1, 0.2, 0.25])
def test_stop_at_any_moment_of_a_reload_ends_in_good_order(broker: Mosquitto, tmp_path: Path, delay_s: float) -> None:
    config = write_config(tmp_path, broker.port)
    with Consumer(broker.port) as consumer, AgentProcess(config) as agent:
        wait_until(lambda: consumer.of("/info"), "the agent")
        wait_until((tmp_path / "state" / "status.sock").exists, "the status socket")
        config.write_text(config.read_text().replace("deadline_s = 3.0", "deadline_s = 3.5"))
        os.kill(agent.pid, signal.SIGHUP)
        wait_until(lambda: "reloading: asked by SIGHUP" in agent.log, "the reload")
        until_s = time.monotonic() + delay_s
        wait_until(lambda: time.monotonic() >= until_s, "the moment")
        assert agent.stop() == 0
        wait_until(lambda: consumer.of("/availability")[-1]["state"] == "offline", "the goodbye")
        assert "Traceback" not in agent.log
    assert not (tmp_path / "state" / "status.sock").exists()


@pytest.mark.fault
def test_stop_after_the_old_agent_kept_its_goodbye_for_the_next_one_is_followed_by_one(
    broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_config(tmp_path, broker.port)
    close, signals = MqttLink.close, {number: signal.getsignal(number) for number in STOPS}
    threshold = gc.get_threshold()

    def stopped_while_it_closes(link: MqttLink, deadline_s: float, *, ends_session: bool = False) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        close(link, deadline_s, ends_session=ends_session)

    def reload_once_ready() -> None:
        wait_until(lambda: consumer.of("/info"), "the agent")
        config.write_text(config.read_text().replace("deadline_s = 3.0", "deadline_s = 3.5"))
        monkeypatch.setattr(MqttLink, "close", stopped_while_it_closes)
        os.kill(os.getpid(), signal.SIGHUP)

    try:
        with Consumer(broker.port) as consumer:
            gateway, thread = Gateway(config, [], {}), threading.Thread(target=reload_once_ready)
            thread.start()
            assert gateway.run() == 0
            thread.join()
            wait_until(lambda: consumer.of("/availability")[-1]["state"] == "offline", "the goodbye")
    finally:
        gc.unfreeze()
        gc.set_threshold(*threshold)
        for number, handler in signals.items():
            signal.signal(number, handler)
