"""``edge-agent init`` on a real broker that carries five products at once: what it writes runs and yields windows."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from edge_agent.cli import EXIT_DATA, EXIT_OK, main
from tests.edge_agent.gateway import ROOT, AgentProcess, Consumer, wait_until
from tests.edge_agent.init.household import Household
from tests.edge_agent.small_model import write_model
from tests.mosquitto import Mosquitto

FAMILIES = {
    "zigbee2mqtt": {"weather-sensor", "attic-north"},
    "zigbee2mqtt-power": {"plug"},
    "tasmota": {"tasmota"},
    "esphome-door-vibration": {"livingroom"},
    "shelly-rh-tc": {"shellyplusht-b8d61a8b17cc"},
    "shelly-power-temperature": {"shelly1pm-aa"},
    "plant-vibration": {"pump-1", "pump-2"},
    "hall-imu": {"m1"},
    "all-sensors": {"unit-0", "unit-1"},
}


def _init(broker: Mosquitto, output: Path, *more: str, seconds: float = 4.0) -> int:
    where = ["--host", broker.host, "--port", str(broker.port), "--output", str(output), "--gateway", "gw"]
    return main(["init", *where, "--seconds", str(seconds), *more])


def test_the_written_configuration_passes_check_and_every_family_yields_windows(
    broker: Mosquitto, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "edge-agent.toml"
    with Household(broker.port):
        assert _init(broker, output, seconds=6.0) == EXIT_OK
        said = capsys.readouterr()
        assert "pipeline tasmota" in said.out
        assert not said.err
        assert main(["check", "--config", str(output)]) == EXIT_OK
        written = tomllib.loads(output.read_text())
        assert {pipeline["name"] for pipeline in written["pipelines"]} >= set(FAMILIES)
        with Consumer(broker.port, ("telltale/#",)) as consumer, AgentProcess(output) as agent:

            def whole() -> set[tuple[str, str]]:
                captures = [capture for capture in consumer.of("/capture") if capture["state"] == "unlabelled"]
                return {(capture["pipeline"], capture["device"]) for capture in captures}

            wanted = {(pipeline, device) for pipeline, devices in FAMILIES.items() for device in devices}
            wait_until(lambda: whole() >= wanted, "a whole window of every device", deadline_s=90)
            assert agent.is_running
    assert not list(tmp_path.glob(".edge-agent.toml*"))


def test_what_was_recognised_is_what_the_products_say(broker: Mosquitto, tmp_path: Path) -> None:
    output = tmp_path / "edge-agent.toml"
    with Household(broker.port):
        assert _init(broker, output) == EXIT_OK
    text = output.read_text()
    pipelines = {pipeline["name"]: pipeline for pipeline in tomllib.loads(text)["pipelines"]}
    tasmota, shelly, plant = pipelines["tasmota"], pipelines["shelly-rh-tc"], pipelines["plant-vibration"]
    assert tasmota["topics"] == ["tele/{device}/SENSOR"]
    assert "time" not in tasmota["mapping"]  # local time without a zone
    assert tasmota["mapping"]["channels"]["pressure"] == "BME280.Pressure"
    assert tasmota["window"]["policy"] == "hold"
    assert shelly["mapping"]["time"] == {"path": "params.ts", "unit": "s", "of": "first"}
    assert shelly["mapping"]["channels"] == {"rh": "params.humidity:0.rh", "tc": "params.temperature:0.tC"}
    assert plant["mapping"]["time"] == {"path": "ts", "unit": "ms", "of": "last"}
    assert 150 < plant["mapping"]["sampling_rate_hz"] < 250
    assert pipelines["all-sensors"]["mapping"]["device"] == "device"
    assert pipelines["esphome-door-vibration"]["mapping"]["values"] == {"OFF": 0.0, "ON": 1.0}
    assert "mm/s" in text
    assert "battery" not in pipelines["zigbee2mqtt"]["mapping"]["channels"]
    assert pipelines["zigbee2mqtt"]["window"]["channels"] == ["temperature", "humidity"]
    assert "binary frames: their fields cannot be guessed" in text
    assert "livingroom/sensor/silent/state" in text.partition("# ---- passed over")[2]


def test_nothing_that_was_heard_becomes_a_setting(broker: Mosquitto, tmp_path: Path) -> None:
    output = tmp_path / "edge-agent.toml"
    with Household(broker.port):
        assert _init(broker, output) == EXIT_OK
    assert tomllib.loads(output.read_text())["mqtt"] == {"host": broker.host, "port": broker.port}
    assert all(line.isprintable() for line in output.read_text().split("\n"))


def test_with_a_model_only_what_fits_it_becomes_a_pipeline(
    broker: Mosquitto, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, model = tmp_path / "a.toml", tmp_path / "small.onnx"
    write_model(model)
    with Household(broker.port):
        assert _init(broker, output, "--model", str(model), "--topics", "plant/#", "--topics", "tele/#") == EXIT_OK
    capsys.readouterr()
    assert main(["check", "--config", str(output)]) == EXIT_OK
    (pipeline,) = tomllib.loads(output.read_text())["pipelines"]
    assert (pipeline["name"], pipeline["model"]) == ("plant-vibration", str(model))
    assert "window" not in pipeline
    assert "wants channels that are not here: x, y" in output.read_text()
    assert "low, high" in capsys.readouterr().out


def test_a_file_that_is_there_is_kept_without_force(
    broker: Mosquitto, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "a.toml"
    output.write_text("mine")
    assert _init(broker, output) == EXIT_DATA
    assert output.read_text() == "mine"
    assert "--force replaces it" in capsys.readouterr().err
    with Household(broker.port):
        assert _init(broker, output, "--force", seconds=2.0) == EXIT_OK
    assert output.read_text() != "mine"


def test_silence_writes_nothing_and_says_so(
    broker: Mosquitto, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _init(broker, tmp_path / "a.toml", seconds=0.5) == EXIT_DATA
    assert "sensor messages expected, heard none" in capsys.readouterr().err
    assert not (tmp_path / "a.toml").exists()


def test_without_a_broker_one_line_says_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there_is_none = Mosquitto(tmp_path)
    there_is_none.port = 1
    assert _init(there_is_none, tmp_path / "a.toml") == EXIT_DATA
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("edge-agent: a broker expected at 127.0.0.1:1, got ")


def test_a_guest_leaves_no_session_and_publishes_nothing(broker: Mosquitto, tmp_path: Path) -> None:
    with Consumer(broker.port, ("#",)) as consumer:
        assert _init(broker, tmp_path / "a.toml", seconds=0.5) == EXIT_DATA
        assert consumer.messages == []
    broker.stop()
    sessions = (tmp_path.parent / tmp_path.name) / "mosquitto.db"
    stored = b"".join(path.read_bytes() for path in [*broker.folder.glob("*.db"), *sessions.parent.glob("*.db")])
    assert stored
    assert b"edge-agent-init" not in stored


def test_a_broker_that_wants_a_password_refuses_in_one_line(start_broker: object, tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    folder.mkdir()
    broker = Mosquitto(folder, ("allow_anonymous false",))
    broker.start()
    try:
        command = ["init", "--host", broker.host, "--port", str(broker.port), "--output", str(tmp_path / "a.toml")]
        ended = subprocess.run(
            [sys.executable, "-m", "edge_agent", *command], cwd=ROOT, capture_output=True, text=True, check=False
        )
    finally:
        broker.kill()
    assert ended.returncode == EXIT_DATA
    assert ended.stderr.splitlines() == [f"edge-agent: {broker.host}:{broker.port} refuses: Not authorized"]
