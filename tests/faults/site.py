"""One gateway under test: broker, agent, publisher and consumer, each a process that can be killed."""

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from tests.edge_agent.gateway import ROOT, AgentProcess
from tests.edge_agent.small_model import CLASSES, write_model
from tests.faults.launcher import ENVIRONMENT
from tests.faults.plant import Plant
from tests.faults.proxy import Proxy
from tests.faults.publisher import ACCEPTED, Account, Manners
from tests.faults.verdict import Predict, Witness
from tests.mosquitto import Mosquitto

_POLITE = Manners()
DEADLINE_S = 1.0
KEEPALIVE_S = 5
_START_S = 30.0
_CATCH_UP_S = 60.0
_POLL_S = 0.02
_DRAIN_S = 90.0


@dataclass(frozen=True)
class Setting:
    """How a site is set up.

    Attributes
    ----------
    broker : tuple of str
        Further lines of mosquitto.conf.
    overrides : tuple of str
        Settings of the agent, ``PATH=VALUE``.
    has_proxy : bool
        The agent reaches the broker through one.
    orders : dict
        For the launcher: faults that the agent carries from its start.
    """

    n_devices: int = 20
    step_ms: int = 5
    window_length: int = 32
    hop_length: int = 16
    broker: tuple[str, ...] = ("autosave_interval 5",)
    overrides: tuple[str, ...] = ()
    has_proxy: bool = False
    manners: Manners = _POLITE
    orders: dict[str, Any] = field(default_factory=dict)


class AgentError(Exception):
    """The agent does not run although nothing keeps it from running: the row has failed."""


def answers_of(model: Path) -> Predict:
    """The model, asked apart from the agent."""
    session = ort.InferenceSession(model.read_bytes(), providers=["CPUExecutionProvider"])
    by_name = sorted(range(len(CLASSES)), key=CLASSES.__getitem__)

    def ask(windows: NDArray[np.float32]) -> tuple[list[str], NDArray[np.float32]]:
        label, probabilities, _ = session.run(None, {"window": windows})
        rows: NDArray[np.float32] = np.asarray(probabilities)[:, by_name]
        return [CLASSES[position] for position in np.asarray(label).tolist()], rows

    return ask


class Child:
    """A process of the oracle: it listens on standard input and speaks on standard output."""

    def __init__(self, module: str, *arguments: str, log: Path) -> None:
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
            )

    def tell(self, order: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{order}\n")
        self.process.stdin.flush()

    def hear(self) -> str:
        """The next line; empty when the process has ended."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


class Site:
    """Broker, agent, publisher and consumer; use as a context.

    Parameters
    ----------
    folder : Path
        Empty; everything is written below it.
    setting : Setting
    store, state : Path or None
        Where broker and agent keep what must survive, if not below ``folder``.
    """

    def __init__(self, folder: Path, setting: Setting, *, store: Path | None = None, state: Path | None = None) -> None:
        self.folder, self.setting = folder, setting
        for name in ("broker", "agent"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self.state = state or folder / "agent" / "state"
        self.broker = Mosquitto(folder / "broker", (*setting.broker, "sys_interval 1"), store)
        start_ms = int(time.time() * 1000) // setting.step_ms * setting.step_ms
        self.plant = Plant(setting.n_devices, setting.step_ms, start_ms, setting.window_length, setting.hop_length)
        self.testimony = Witness(self.plant, folder / "consumed")
        self.accepted = folder / "accepted"
        self.model = folder / "agent" / "small.onnx"
        self.models: dict[str, Predict] = {}
        self.digest = self.install_model(1)
        self.proxy: Proxy | None = None
        self.publisher: Child | None = None
        self.consumer: Child | None = None
        self.n_agent_starts = self._next = 0
        self._n_connected_before = 0
        self._agent: AgentProcess | None = None
        self._config: Path | None = None

    # ------------------------------------------------------------------ the agent

    @property
    def agent(self) -> AgentProcess:
        assert self._agent is not None
        return self._agent

    @property
    def agent_log(self) -> str:
        path = self.folder / "agent" / "agent.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start_agent(self, orders: dict[str, Any] | None = None) -> None:
        """Start the agent with these orders beside those of the setting; does not wait."""
        assert self._config is not None
        self._n_connected_before = self._n_connected()
        overrides = (f"mqtt.keepalive_s={KEEPALIVE_S}", *self.setting.overrides)
        self._agent = AgentProcess(
            self._config,
            *(word for override in overrides for word in ("--set", override)),
            environment={ENVIRONMENT: json.dumps(self.setting.orders | (orders or {})), "OMP_NUM_THREADS": "1"},
            module="tests.faults.launcher",
        ).start()
        self.n_agent_starts += 1

    def wait_for_agent(self) -> None:
        """Return when the agent that was started last is connected."""

        until_s = time.monotonic() + _START_S
        while self._n_connected() <= self._n_connected_before:
            if not self.agent.is_running or time.monotonic() > until_s:
                raise AgentError(f"the agent did not connect: {self.agent_log[-500:].strip()}")
            time.sleep(_POLL_S)

    def wait_while_behind(self, most_s: float) -> None:
        """Return when the newest label is less than so many seconds behind the newest sample, or after a minute.

        Faults may come faster than a busy machine catches up with them; then the queue of the broker would run over,
        which is a fault of its own (R9).
        """
        until_s = time.monotonic() + _CATCH_UP_S
        while time.monotonic() < until_s:
            self.testimony.read()
            if self._behind_s() < most_s:
                return
            time.sleep(_POLL_S)

    def _behind_s(self) -> float:
        """Seconds of the stream that the broker has accepted and nobody has labelled."""
        n_bytes = self.accepted.stat().st_size // ACCEPTED.itemsize * ACCEPTED.itemsize
        if not n_bytes:
            return 0.0
        newest = np.fromfile(self.accepted, dtype=ACCEPTED, count=1, offset=n_bytes - ACCEPTED.itemsize)["seq"][0]
        n_points = self.plant.first_point + int(newest) - self.testimony.newest * self.plant.hop_length
        return n_points * self.plant.step_ms / 1000

    def wait_for_model(self, digest: str) -> None:
        """Return when the agent has said that it runs this model."""
        until_s = time.monotonic() + _START_S
        while True:
            self.testimony.read()
            if self.testimony.infos and self.testimony.infos[-1]["pipelines"][0]["digest"] == digest:
                return
            if not self.agent.is_running or time.monotonic() > until_s:
                raise AgentError(f"the agent does not run the new model: {self.agent_log[-500:].strip()}")
            time.sleep(_POLL_S)

    def _n_connected(self) -> int:
        return self.agent_log.count("connected to ")

    # ------------------------------------------------------------------ oracle

    def start_consumer(self) -> None:
        self.consumer = Child(
            "tests.faults.consumer", str(self.broker.port), str(self.testimony.path), log=self.folder / "consumer.log"
        )
        assert self.consumer.hear() == "connected\n", (self.folder / "consumer.log").read_text()

    def start_publisher(self, first: int = 0) -> None:
        """Start the stream with its ``first`` message; does not wait."""
        orders = {
            "plant": self.plant.facts(),
            "port": self.broker.port,
            "accepted": str(self.accepted),
            "manners": asdict(self.setting.manners),
            "give_up_s": _DRAIN_S,
            "first": first,
        }
        path = self.folder / "orders.json"
        path.write_text(json.dumps(orders))
        self.publisher = Child("tests.faults.publisher", str(path), log=self.folder / "publisher.log")

    def finish_publisher(self) -> Account:
        """No new samples; what is unacknowledged is brought home."""
        assert self.publisher is not None
        self.publisher.tell("stop")
        line = self.publisher.hear()
        assert line, (self.folder / "publisher.log").read_text()
        self.publisher.kill()
        self.publisher = None
        account = Account(**json.loads(line))
        self._next = account.next
        return account

    def speak_again(self) -> None:
        """Every device sends a window's worth of samples more, from where the stream ended."""
        self.start_publisher(self._next)
        time.sleep(self.plant.window_length * self.plant.step_ms / 1000)
        self.finish_publisher()

    def install_model(self, version: int) -> str:
        """Put another model into the place of the one that is there, as an installer must: beside, then renamed.

        Returns
        -------
        str
            Its digest; its answers are known from now on.
        """
        beside = self.model.with_suffix(".beside")
        write_model(
            beside,
            window_length=self.setting.window_length,
            hop_length=self.setting.hop_length,
            by_place=True,
            gain=1.0 + version,
            version=str(version),
            sampling_rate_hz=1000.0 / self.setting.step_ms,
        )
        self.digest = hashlib.sha256(beside.read_bytes()).hexdigest()
        self.models[self.digest] = answers_of(beside)
        beside.replace(self.model)
        return self.digest

    # ------------------------------------------------------------------ start and end

    def __enter__(self) -> Self:
        self.broker.start()
        port = self.broker.port
        if self.setting.has_proxy:
            self.proxy = Proxy(port).start()
            port = self.proxy.port
        self._config = self._write_config(port)
        return self

    def __exit__(self, *_error: object) -> None:
        ends: list[Callable[[], object]] = []
        if self._agent is not None:
            ends.append(self._agent.kill)
        ends += [child.kill for child in (self.publisher, self.consumer) if child is not None]
        ends.append(self.broker.kill)
        if self.proxy is not None:
            ends.append(self.proxy.stop)
        for end in ends:
            end()

    def _write_config(self, port: int) -> Path:
        path = self.folder / "agent" / "agent.toml"
        path.write_text(
            f"""
version = 1
[gateway]
id = "gw"
state_dir = "{self.state}"
watch_dirs = ["{self.broker.store}"]
[mqtt]
port = {port}
reconnect_max_s = 0.5
[status]
metrics_interval_s = 1.0
[[pipelines]]
name = "pump"
topics = ["plant/{{device}}/v"]
model = "{self.model.name}"
deadline_s = {DEADLINE_S}
[pipelines.mapping]
format = "json"
channels = {{ x = "x", y = "y" }}
time = {{ path = "t", unit = "ms" }}
"""
        )
        return path
