"""The broker of the demo: mosquitto where it is installed, else amqtt inside this process.

Both listen on loopback only, on a port that was free, and leave nothing behind. Only mosquitto keeps what it accepted
for a client that is away: the settings are those of the delivery protocol (a queue that does not drop silently, no cap
on what is in flight, persistence). amqtt speaks MQTT 3.1.1 and delivers nothing again; it says so.
"""

from __future__ import annotations

import abc
import asyncio
import logging
import os
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from demo.errors import DemoError

_HOST = "127.0.0.1"
_START_S = 60.0
_STOP_S = 10.0
_POLL_S = 0.01
# Between choosing a port and listening on it, another process may take it.
_PORT_ATTEMPTS = 5
_PROGRAM_FOLDERS = "/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"

BrokerKind = Literal["auto", "mosquitto", "amqtt"]


def find_mosquitto() -> str | None:
    """Path of the broker's program, or None. Debian puts it where a user's PATH does not look."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path=_PROGRAM_FOLDERS)


class Broker(abc.ABC):
    """A running broker on ``host:port``, between `start` and `stop`; also a context manager.

    Attributes
    ----------
    host : str
        Always loopback.
    port : int
        Chosen at `start`; 0 before.
    name : str
        What it is, with its version.
    promise : str
        What it promises about delivery, in one line.
    speaks_mqtt5 : bool
        Whether clients may use MQTT 5.

    Examples
    --------
    >>> with Broker.auto() as broker:
    ...     broker.host, broker.port > 0
    ('127.0.0.1', True)
    """

    host = _HOST
    name = ""
    promise = ""
    speaks_mqtt5 = True

    def __init__(self) -> None:
        self.port = 0

    @staticmethod
    def auto(kind: BrokerKind = "auto") -> Broker:
        """A broker that is not started yet: mosquitto if this machine has it, else amqtt.

        Raises
        ------
        DemoError
            If the kind that was asked for is not installed.
        """
        program = find_mosquitto()
        if kind == "mosquitto" and program is None:
            raise DemoError("broker: mosquitto expected on PATH, found none (sudo apt-get install mosquitto)")
        if program is not None and kind != "amqtt":
            return MosquittoBroker(program)
        try:
            return EmbeddedBroker()
        except ModuleNotFoundError as error:
            raise DemoError(
                f"broker: mosquitto on PATH or the package amqtt expected, found neither ({error})"
            ) from error

    def start(self) -> None:
        """Return once it accepts connections.

        Raises
        ------
        DemoError
            If it does not come up; the message carries its own words.
        """
        last = ""
        for _ in range(_PORT_ATTEMPTS):
            port = _free_port()
            last = self._start_on(port)
            if not last:
                self.port = port
                return
        raise DemoError(f"broker: {self.name} did not come up on {self.host}: {last}")

    @abc.abstractmethod
    def stop(self) -> None:
        """End it and remove what it wrote. Stopping twice is harmless."""

    @abc.abstractmethod
    def _start_on(self, port: int) -> str:
        """Empty text once it listens; else why it does not."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class MosquittoBroker(Broker):
    """mosquitto as a child process, in a temporary folder.

    Parameters
    ----------
    program : str
        Path of the executable.
    """

    promise = "accepted messages wait for a client that is away: max_queued_messages 100000, persistence on"

    def __init__(self, program: str) -> None:
        super().__init__()
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self.name = _mosquitto_name(program)

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return None if self._process is None else self._process.pid

    def stop(self) -> None:
        """End this very process, by its id, and remove its folder."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        folder, self._folder = self._folder, None
        if folder is not None:
            folder.cleanup()

    def _start_on(self, port: int) -> str:
        self._folder = tempfile.TemporaryDirectory(prefix="telltale-broker-")
        folder = Path(self._folder.name)
        config, log = folder / "mosquitto.conf", folder / "mosquitto.log"
        config.write_text(mosquitto_config(port, folder))
        with log.open("wb") as sink:
            self._process = subprocess.Popen([self._program, "-c", str(config)], stdout=sink, stderr=sink)
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            # Its own word that it listens: a port that answers could belong to another process that was faster.
            if " running" in log.read_text(errors="replace"):
                return ""
            if self._process.poll() is not None:
                break
            time.sleep(_POLL_S)
        words = log.read_text(errors="replace").strip().splitlines()
        self.stop()
        return words[-1] if words else "it said nothing"


class EmbeddedBroker(Broker):
    """amqtt in a daemon thread of this process. MQTT 3.1.1, and no delivery guarantee."""

    promise = "demo broker: no delivery guarantee (what a client misses while it is away is gone)"
    speaks_mqtt5 = False

    def __init__(self) -> None:
        super().__init__()
        # Imported here so that it fails before anything was started, where it is not installed.
        from amqtt.broker import Broker as AmqttBroker

        # A client that leaves with an acknowledgement on its way is no news for the person who watches a demo.
        logging.getLogger("amqtt").setLevel(logging.CRITICAL)
        self._broker_class = AmqttBroker
        self.name = f"amqtt {version('amqtt')}, embedded"
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def stop(self) -> None:
        """Close every connection and end the thread."""
        loop, self._loop = self._loop, None
        thread, self._thread = self._thread, None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(self._closing.set)
            thread.join(_STOP_S)

    def _start_on(self, port: int) -> str:
        ready, problems = threading.Event(), list[str]()
        self._loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()

        async def serve() -> None:
            broker = self._broker_class(
                {
                    "listeners": {"default": {"type": "tcp", "bind": f"{self.host}:{port}", "max_connections": 1000}},
                    "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
                }
            )
            await broker.start()
            ready.set()
            await self._closing.wait()
            await broker.shutdown()

        def run(loop: asyncio.AbstractEventLoop) -> None:
            asyncio.set_event_loop(loop)
            try:
                loop.run_until_complete(serve())
                rest = asyncio.all_tasks(loop)
                for task in rest:
                    task.cancel()
                loop.run_until_complete(asyncio.gather(*rest, return_exceptions=True))
            except Exception as error:  # noqa: BLE001 - whatever a broker of another project raises is handed to start()
                problems.append(f"{type(error).__name__}: {error}")
                ready.set()
            finally:
                loop.close()

        self._thread = threading.Thread(target=run, args=(self._loop,), name="amqtt", daemon=True)
        self._thread.start()
        if not ready.wait(_START_S):
            return f"no answer within {_START_S:.0f} s"
        if problems:
            self._loop = self._thread = None
        return problems[0] if problems else ""


def mosquitto_config(port: int, folder: Path) -> str:
    """The configuration of the demo's broker: loopback, and nothing accepted is dropped while a client is away.

    Parameters
    ----------
    port : int
        Where it listens.
    folder : Path
        Where its journal goes.
    """
    lines = [
        f"listener {port} {_HOST}",
        "allow_anonymous true",
        "persistence true",
        f"persistence_location {folder}/",
        "autosave_interval 5",
        # The default of 1000 drops silently what its publisher was told was accepted.
        "max_queued_messages 100000",
        "max_queued_bytes 268435456",
        "max_inflight_messages 0",
        "set_tcp_nodelay true",
        "max_packet_size 1048576",
        # Unbuffered, unlike standard output; and that it is running is "information".
        "log_dest stderr",
        "log_type error",
        "log_type warning",
        "log_type notice",
        "log_type information",
        # Started by root it would give up its rights and could not write into a folder of ours.
        f"user {pwd.getpwuid(os.geteuid()).pw_name}",
        "",
    ]
    return "\n".join(lines)


def _mosquitto_name(program: str) -> str:
    said = subprocess.run([program, "-h"], capture_output=True, text=True, check=False, timeout=_START_S).stdout
    found = re.search(r"mosquitto version (\S+)", said)
    return f"mosquitto {found[1]}" if found else "mosquitto"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
    return port
