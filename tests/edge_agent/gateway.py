"""A gateway under test: the agent as a process to be killed, a consumer that keeps all, a publisher that counts."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge_agent.errors import StatusError
from edge_agent.operation.status_socket import ask_status
from schemas import AgentStatus
from tests.edge_agent.small_model import write_model

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 120.0
"""For whatever must come: long, because it costs nothing where it comes, and a busy machine starts agents slowly."""


def wait_until(condition: Callable[[], object], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Return as soon as the condition holds; fail, naming it, when it does not in time.

    Looking takes at most half of the time, however long one look takes: the threads of the test have work to do.
    """
    began_s = looked_s = time.monotonic()
    while not condition():
        now_s = time.monotonic()
        if now_s > began_s + deadline_s:
            raise AssertionError(f"waited {deadline_s:g} s for {what}")
        threading.Event().wait(max(0.02, now_s - looked_s))
        looked_s = time.monotonic()


def status_of(path: Path) -> AgentStatus:
    """What the agent behind this socket says, however long it takes to say its first word."""
    found: list[AgentStatus] = []

    def is_told() -> bool:
        with contextlib.suppress(StatusError):
            found.append(ask_status(path))
        return bool(found)

    wait_until(is_told, f"the status of the agent behind {path}")
    return found[0]


def write_config(
    folder: Path, port: int, *, extra: str = "", pipeline: str = "", deadline_s: float = 3.0, **model: Any
) -> Path:
    """The path of a configuration with one pipeline: JSON samples ``{t, x, y}`` on ``plant/{device}/v``."""
    write_model(folder / "small.onnx", **model)
    path = folder / "agent.toml"
    path.write_text(
        f"""
version = 1
{extra}
[gateway]
id = "gw"
state_dir = "{folder}/state"
[mqtt]
port = {port}
reconnect_max_s = 0.5
[status]
metrics_interval_s = 0.5
[[pipelines]]
name = "pump"
topics = ["plant/{{device}}/v"]
model = "small.onnx"
deadline_s = {deadline_s}
{pipeline}
[pipelines.mapping]
format = "json"
channels = {{ x = "x", y = "y" }}
time = {{ path = "t", unit = "ms" }}
"""
    )
    return path


class AgentProcess:
    """``edge-agent run`` as its own process; its log goes to a file beside the configuration."""

    def __init__(
        self, config: Path, *arguments: str, environment: dict[str, str] | None = None, module: str = "edge_agent"
    ) -> None:
        self._module = module
        self._config = config
        self._arguments = arguments
        self._environment = {**os.environ, **(environment or {})}
        self._log = config.parent / "agent.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        command = [sys.executable, "-m", self._module, "run", "--config", str(self._config), *self._arguments]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, stderr=log, stdout=log, env=self._environment)
        return self

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        return self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(how)
        return process.wait(timeout=DEADLINE_S)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_error: object) -> None:
        self.kill()


class Consumer:
    """Subscribes with a persistent session of MQTT 5 and keeps everything that comes."""

    def __init__(
        self, port: int, filters: Sequence[str] = ("telltale/#",), protocol: str = "5", name: str = "consumer"
    ) -> None:
        self.messages: list[tuple[str, dict[str, Any], bool]] = []
        self._filters = filters
        self._subscribed = threading.Event()
        self._client = _client(name, protocol)
        self._client.on_message = self._keep
        self._client.on_connect = self._subscribe
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        _connect(self._client, port, protocol)
        self._client.loop_start()
        assert self._subscribed.wait(DEADLINE_S)

    def of(self, leaf: str) -> list[dict[str, Any]]:
        """Payloads of all topics that end so."""
        return [payload for topic, payload, _ in list(self.messages) if topic.endswith(leaf)]

    def labels(self) -> dict[tuple[str, int], dict[str, Any]]:
        """The label of each window, keeping the one with the most samples, as a consumer of the protocol must."""
        best: dict[tuple[str, int], dict[str, Any]] = {}
        for label in self.of("/label"):
            key = (label["device"], label["window"]["index"])
            if key not in best or label["window"]["n_samples"] > best[key]["window"]["n_samples"]:
                best[key] = label
        return best

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _subscribe(self, client: Client, *_: object) -> None:
        client.subscribe([(text, 1) for text in self._filters])

    def _keep(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        if not message.topic.endswith("/barrier"):
            self.messages.append((message.topic, json.loads(message.payload), message.retain))


class Publisher:
    """Publishes samples at QoS 1 and knows which the broker has accepted."""

    def __init__(self, port: int, protocol: str = "5") -> None:
        self.accepted: set[tuple[str, int]] = set()
        self._sent: dict[int, tuple[str, int]] = {}
        self._early: set[int] = set()
        self._lock = threading.Lock()
        self._client = _client("publisher", protocol)
        self._client.max_inflight_messages_set(0)
        self._client.on_publish = self._keep
        _connect(self._client, port, protocol)
        self._client.loop_start()
        wait_until(self._client.is_connected, "the publisher's connection")

    def sample(self, device: str, t_ms: int, x: float, y: float = 0.0) -> None:
        payload = json.dumps({"t": t_ms, "x": x, "y": y})
        # paho holds a lock of its own while it calls back: ours must never be held while publishing.
        mid = self._client.publish(f"plant/{device}/v", payload, qos=1).mid
        with self._lock:
            if mid in self._early:
                self._early.discard(mid)
                self.accepted.add((device, t_ms))
            else:
                self._sent[mid] = (device, t_ms)

    def raw(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos=qos, retain=retain)

    @property
    def n_pending(self) -> int:
        return len(self._sent)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _keep(self, _client: Client, _userdata: object, mid: int, reason: ReasonCode, _properties: object) -> None:
        with self._lock:
            if reason.value == 0:
                sample = self._sent.pop(mid, None)
                if sample is None:
                    self._early.add(mid)
                else:
                    self.accepted.add(sample)


def _client(name: str, protocol: str) -> Client:
    if protocol == "5":
        return Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTProtocolVersion.MQTTv5)
    return Client(
        CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTProtocolVersion.MQTTv311, clean_session=False
    )


def _connect(client: Client, port: int, protocol: str) -> None:
    client.reconnect_delay_set(1, 1)
    if protocol == "5":
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3600
        client.connect("127.0.0.1", port, clean_start=False, properties=properties)
    else:
        client.connect("127.0.0.1", port)
