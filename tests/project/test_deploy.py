"""What stands in deploy/ is accepted by the programs it is written for, and keeps the doors closed."""

import re
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
import yaml
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge_agent.config_sources import load_config
from tests.mosquitto import Mosquitto

_DEADLINE_S = 60.0
OWN_IMAGES = ("plant", "trainer", "agent")


@pytest.fixture(scope="module")
def services(repository: Path) -> dict[str, dict[str, Any]]:
    composition: dict[str, dict[str, Any]] = yaml.safe_load((repository / "docker-compose.yml").read_text())
    return composition["services"]


@pytest.fixture
def unit(repository: Path, tmp_path: Path) -> Path:
    """The systemd unit, with a program that exists here in place of the installed agent."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed: the unit is not checked")
    path = tmp_path / "edge-agent.service"
    text = (repository / "deploy" / "edge-agent.service").read_text()
    assert "ExecStart=/opt/telltale/bin/edge-agent run" in text
    path.write_text(text.replace("/opt/telltale/bin/edge-agent", str(shutil.which("true"))))
    return path


def systemd_analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)


def publish_as(user: str, broker: Mosquitto, topic: str) -> ReasonCode:
    """What the broker answers to a QoS 1 message of ``user`` (only MQTT 5 tells)."""
    answers: list[ReasonCode] = []

    def on_publish(client: mqtt.Client, userdata: object, mid: int, reason: ReasonCode, properties: Properties) -> None:
        answers.append(reason)

    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.on_publish = on_publish
    client.username_pw_set(user)
    client.connect(broker.host, broker.port)
    client.loop_start()
    client.publish(topic, b"1", qos=1).wait_for_publish(_DEADLINE_S)
    client.disconnect()
    client.loop_stop()
    (answer,) = answers
    return answer


def topics_heard_by(user: str, broker: Mosquitto, topic: str) -> list[str]:
    """What reaches ``user``, who asks for ``topic`` and "end", of one message to each."""
    heard: list[str] = []
    subscribed, ended = threading.Event(), threading.Event()

    def on_subscribe(client: mqtt.Client, userdata: object, mid: int, reasons: object, properties: Properties) -> None:
        subscribed.set()

    def on_message(client: mqtt.Client, userdata: object, message: mqtt.MQTTMessage) -> None:
        heard.append(message.topic)
        if message.topic == "end":
            ended.set()

    listener = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    listener.on_subscribe = on_subscribe
    listener.on_message = on_message
    listener.username_pw_set(user)
    listener.connect(broker.host, broker.port)
    listener.subscribe([(topic, SubscribeOptions(qos=1)), ("end", SubscribeOptions(qos=1))])
    listener.loop_start()
    assert subscribed.wait(_DEADLINE_S)
    for said in (topic, "end"):
        assert not publish_as("all", broker, said).is_failure
    assert ended.wait(_DEADLINE_S)
    listener.disconnect()
    listener.loop_stop()
    return heard


def test_unit_is_understood_by_systemd(unit: Path) -> None:
    finished = systemd_analyze("verify", "--man=no", "--recursive-errors=no", str(unit))
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")


def test_wrong_key_in_the_unit_would_be_found(unit: Path) -> None:
    unit.write_text(unit.read_text().replace("[Service]\n", "[Service]\nRestrat=always\n"))
    finished = systemd_analyze("verify", "--man=no", "--recursive-errors=no", str(unit))
    assert "Restrat" in finished.stderr


def test_unit_leaves_the_agent_little_to_break(unit: Path) -> None:
    finished = systemd_analyze("security", "--offline=true", "--threshold=11", str(unit))
    assert finished.returncode == 0, finished.stdout


def test_unit_waits_for_the_words_of_the_agent(repository: Path) -> None:
    lines = (repository / "deploy" / "edge-agent.service").read_text().splitlines()
    assert {"Type=notify", "ExecReload=/bin/kill -HUP $MAINPID", "WatchdogSec=60s", "Restart=always"} <= set(lines)


@pytest.mark.parametrize("name", ["config.toml", "compose.toml"])
def test_example_configuration_of_the_agent_is_accepted(repository: Path, name: str) -> None:
    config = load_config(repository / "deploy" / "edge-agent" / name, {})
    assert config.pipelines


def test_composition_labels_every_kind_of_device_that_the_plant_has(repository: Path) -> None:
    config = load_config(repository / "deploy" / "edge-agent" / "compose.toml", {})
    assert [(pipeline.name, str(pipeline.model)) for pipeline in config.pipelines] == [
        ("pump", "/models/pump.onnx"),
        ("room", "/models/room.onnx"),
    ]


@pytest.mark.parametrize("name", ["mosquitto", *OWN_IMAGES])
def test_container_has_no_rights_and_no_place_to_write(services: dict[str, dict[str, Any]], name: str) -> None:
    service = services[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_no_port_is_open_to_the_network(services: dict[str, dict[str, Any]]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_every_file_that_the_composition_names_is_there(repository: Path, services: dict[str, dict[str, Any]]) -> None:
    volumes = [volume.split(":")[0] for service in services.values() for volume in service.get("volumes", [])]
    builds = [service["build"]["dockerfile"] for service in services.values() if "build" in service]
    named = [path for path in [*volumes, *builds] if "/" in path]
    assert named
    assert [path for path in named if not (repository / path).is_file()] == []


@pytest.mark.parametrize("target", OWN_IMAGES)
def test_image_runs_as_nobody_with_pinned_packages(repository: Path, target: str) -> None:
    text = (repository / "deploy" / "Dockerfile").read_text()
    stages = re.split(r"^FROM ", text, flags=re.MULTILINE)[1:]
    parents = {stage.split()[2]: (stage.split()[0], stage) for stage in stages}
    chain = ""
    stage = target
    while stage in parents:
        stage, body = parents[stage]
        chain += body

    assert "USER 10001:10001" in chain
    assert "ORT_DISABLE_TELEMETRY=1" in chain
    assert "STOPSIGNAL SIGTERM" in chain
    installs = re.findall(r"pip install .*", text)
    assert installs
    assert [line for line in installs if "--require-hashes" not in line and "--no-deps" not in line] == []


def test_broker_of_the_composition_starts(start_broker: Callable[..., Mosquitto], repository: Path) -> None:
    lines = (repository / "deploy" / "mosquitto" / "compose.conf").read_text().splitlines()
    # Where it listens and keeps its journal belongs to the container; the rest must be understood.
    kept = [line for line in lines if line and line.split()[0] not in {"#", "listener", "persistence_location"}]

    assert start_broker(*kept).is_running


@pytest.mark.parametrize(
    ("user", "topic", "is_allowed"),
    [
        ("edge-pi4", "telltale/v1/pi4/pump-01/label", True),
        ("edge-pi4", "telltale/v1/another/pump-01/label", False),
        ("edge-pi4", "plant/pump-01/vibration", False),
        ("edge-pi4", "telltale/v1/pi4/barrier", True),
        ("sensors", "plant/pump-01/vibration", True),
        ("sensors", "telltale/v1/pi4/pump-01/label", False),
        ("dashboard", "telltale/v1/pi4/pump-01/label", False),
        ("server", "telltale/v1/pi4/cmd/models", True),
        ("server", "telltale/v1/pi4/pump-01/label", False),
        ("stranger", "plant/pump-01/vibration", False),
    ],
)
def test_nobody_writes_where_the_access_list_does_not_say_so(
    start_broker: Callable[..., Mosquitto], repository: Path, user: str, topic: str, is_allowed: bool
) -> None:
    broker = start_broker(f"acl_file {repository / 'deploy' / 'mosquitto' / 'gateway.acl'}")

    answer = publish_as(user, broker, topic)

    assert answer.is_failure is not is_allowed, answer


@pytest.mark.parametrize(
    ("user", "topic", "hears"),
    [
        ("edge-pi4", "plant/pump-01/vibration", True),
        ("edge-pi4", "telltale/v1/pi4/barrier", True),
        ("edge-pi4", "telltale/v1/pi4/cmd/models", True),
        ("edge-pi4", "telltale/v1/another/pump-01/label", False),
        ("dashboard", "telltale/v1/pi4/pump-01/label", True),
        ("dashboard", "plant/pump-01/vibration", False),
        ("sensors", "telltale/v1/pi4/pump-01/label", False),
        ("stranger", "telltale/v1/pi4/pump-01/label", False),
    ],
)
def test_nobody_hears_what_the_access_list_does_not_say(
    start_broker: Callable[..., Mosquitto], repository: Path, tmp_path: Path, user: str, topic: str, hears: bool
) -> None:
    # Besides what the list says: "all" may say anything, and everybody hears "end".
    access = tmp_path / "extended.acl"
    listed = (repository / "deploy" / "mosquitto" / "gateway.acl").read_text()
    access.write_text(f"{listed}\nuser all\ntopic readwrite #\npattern read end\n")

    heard = topics_heard_by(user, start_broker(f"acl_file {access}"), topic)

    assert heard == ([topic, "end"] if hears else ["end"])
