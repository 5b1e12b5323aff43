"""A pipeline without a model: windows are collected and delivered under the rules of labels."""

import base64
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_agent.cli import EXIT_CONFIG, EXIT_OK, main
from tests.edge_agent.gateway import AgentProcess, Consumer, Publisher, wait_until
from tests.mosquitto import Mosquitto

WINDOW = "[pipelines.window]\nchannels = ['y', 'x']\nsampling_rate_hz = 100\nwindow_length = 32\nhop_length = 16\n"


def _config(folder: Path, port: int, window: str = WINDOW, model: str = "") -> Path:
    path = folder / "agent.toml"
    path.write_text(
        f"""
version = 1
gateway = {{ id = "gw", state_dir = "{folder}/state" }}
mqtt = {{ port = {port}, reconnect_max_s = 0.5 }}
status = {{ metrics_interval_s = 0.5 }}
[[pipelines]]
name = "pump"
topics = ["plant/{{device}}/v"]
deadline_s = 3.0
{model}
[pipelines.mapping]
format = "json"
channels = {{ x = "x", y = "y" }}
time = {{ path = "t", unit = "ms" }}
{window}"""
    )
    return path


def _publish(publisher: Publisher, first: int, n_samples: int, start_ms: int) -> None:
    for step in range(first, first + n_samples):
        publisher.sample("p1", start_ms + 10 * step, float(step), -float(step))


def _rows(capture: dict[str, Any]) -> Any:  # noqa: ANN401 - an array
    values = np.frombuffer(base64.b64decode(capture["window"]), dtype="<f4")
    return values.reshape(len(capture["channels"]), -1)


def test_every_window_is_published_with_its_samples_over_a_kill_too(broker: Mosquitto, tmp_path: Path) -> None:
    start_ms = (int(time.time() * 1000) // 160 + 1) * 160
    with (
        Consumer(broker.port, ("telltale/#",)) as consumer,
        Publisher(broker.port) as publisher,
        AgentProcess(_config(tmp_path, broker.port)) as agent,
    ):
        wait_until(lambda: consumer.of("/availability"), "the agent")
        _publish(publisher, 0, 100, start_ms)
        wait_until(lambda: consumer.of("/capture"), "a capture")
        agent.kill()
        _publish(publisher, 100, 100, start_ms)
        agent.start()

        def whole() -> dict[int, dict[str, Any]]:
            return {item["index"]: item for item in consumer.of("/capture") if item["state"] == "unlabelled"}

        wait_until(lambda: len(whole()) >= 11, "the windows of before and after the kill")
        wait_until(lambda: consumer.of("/metrics") and consumer.of("/metrics")[-1]["captures_accepted"], "metrics")
        info, captures = consumer.of("/info")[-1], whole()
    assert not consumer.of("/label")
    first = start_ms // 160
    assert set(range(first, first + 11)) <= set(captures)
    for index in range(first, first + 11):
        y, x = _rows(captures[index])
        expected = np.arange(32, dtype=np.float32) + 16 * (index - first)
        np.testing.assert_array_equal(x, expected)
        np.testing.assert_array_equal(y, -expected)
    (pipeline,) = info["pipelines"]
    assert (pipeline["model"], pipeline["classes"], pipeline["channels"]) == ("capture", [], ["y", "x"])


def test_captures_wait_for_somebody_who_subscribes(broker: Mosquitto, tmp_path: Path) -> None:
    start_ms = (int(time.time() * 1000) // 160 + 1) * 160
    with (
        Consumer(broker.port, ("telltale/v1/gw/metrics", "telltale/v1/gw/availability"), name="watcher") as watcher,
        Publisher(broker.port) as publisher,
        AgentProcess(_config(tmp_path, broker.port)),
    ):
        wait_until(lambda: watcher.of("/availability"), "the agent")
        _publish(publisher, 0, 60, start_ms)
        wait_until(lambda: any(item["labels_retried"] for item in watcher.of("/metrics")), "captures to be tried again")
        assert watcher.of("/metrics")[-1]["captures_accepted"] == 0
        with Consumer(broker.port, ("telltale/+/+/+/capture",), name="late") as late:
            wait_until(lambda: start_ms // 160 in {item["index"] for item in late.of("/capture")}, "the first window")


def test_check_says_what_a_pipeline_without_a_model_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--config", str(_config(tmp_path, 1883))]) == EXIT_OK
    assert "pump: capture, 100 Hz, plant/{device}/v -> windows of 32 x y, x" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("window", "model", "expected"),
    [
        ("", "", "pipelines[0]: model: a model file, or a table [pipelines.window]"),
        (WINDOW, "model = 'm.onnx'", "got both"),
        (WINDOW.replace("16", "33"), "", "hop_length: at most window_length (32) expected, got 33"),
        (WINDOW.replace("'x'", "'y'"), "", "channels: names that differ expected"),
        (WINDOW.replace("32", "131072"), "", "at most 131072 values a window expected, got 262144 (2 channels)"),
        (WINDOW.replace("'x'", "'z'"), "", "channel 'z' of the model expected"),
    ],
)
def test_what_cannot_be_collected_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], window: str, model: str, expected: str
) -> None:
    assert main(["check", "--config", str(_config(tmp_path, 1883, window, model))]) == EXIT_CONFIG
    assert expected in capsys.readouterr().err


def test_a_capture_is_the_contract_and_nothing_else(broker: Mosquitto, tmp_path: Path) -> None:
    with (
        Consumer(broker.port) as consumer,
        Publisher(broker.port) as publisher,
        AgentProcess(_config(tmp_path, broker.port)),
    ):
        wait_until(lambda: consumer.of("/availability"), "the agent")
        _publish(publisher, 0, 60, (int(time.time() * 1000) // 160 + 1) * 160)
        wait_until(lambda: consumer.of("/capture"), "a capture")
    schema = json.loads((Path(__file__).parents[2] / "docs/schemas/capture.schema.json").read_text())
    assert set(consumer.of("/capture")[0]) == set(schema["properties"])
