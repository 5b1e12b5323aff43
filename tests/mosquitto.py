"""A real mosquitto for tests: on loopback, on a port of its own, with its own journal, stopped and killed at will."""

import contextlib
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import time
from pathlib import Path

_DEADLINE_S = 60.0
_POLL_S = 0.01
# Between choosing a free port and mosquitto listening on it another process may take it: choose again.
_PORT_ATTEMPTS = 5
# Below what the kernel gives to connections (32768 and up): while a broker is down no client's own end, not even one
# that tries to reach the broker, can sit on its port.
_FIRST_PORT, _LAST_PORT = 20_000, 32_000
_RUNNING = " running\n"


def find_mosquitto() -> str | None:
    """Path of the broker's program, or None; Debian puts it where a user's PATH does not look."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin")


class Mosquitto:
    """A broker process with persistence, reachable at ``host:port`` between `start` and `stop` or `kill`.

    The port stays the same over restarts, as a client that reconnects expects. After `stop` the broker has written its
    journal (sessions, queued messages, retained messages) and `start` reads it back; after `kill` it has not.

    Parameters
    ----------
    folder : Path
        Where configuration, journal and log are kept.
    settings : tuple of str
        Further lines of mosquitto.conf, for example ``"max_packet_size 1000"``.
    store : Path or None
        Where the journal is kept, if not in ``folder``.
    """

    host = "127.0.0.1"

    def __init__(self, folder: Path, settings: tuple[str, ...] = (), store: Path | None = None) -> None:
        self.folder = folder
        self.store = store or folder
        self.settings = settings
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """What the broker has logged since it was made, over all its starts."""
        path = self.folder / "mosquitto.log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def is_running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the running process."""
        if self._process is None:
            raise RuntimeError("this broker is not running")
        return self._process.pid

    def start(self) -> None:
        """Return when the broker accepts connections.

        Raises
        ------
        RuntimeError
            If it is already running, or does not come up; the message carries its log.
        """
        if self.is_running:
            raise RuntimeError("this broker is already running")
        attempts = 1 if self.port else _PORT_ATTEMPTS
        for _ in range(attempts):
            port = self.port or free_port()
            if self._start_on(port):
                self.port = port
                return
        raise RuntimeError(f"mosquitto did not come up on {self.host}; its log:\n{self.log}")

    def stop(self) -> None:
        """Ask the broker to end, and wait: its journal is complete afterwards."""
        self._end(kill=False)

    def kill(self) -> None:
        """End the broker as a power cut does: nothing is written any more."""
        self._end(kill=True)

    def _start_on(self, port: int) -> bool:
        program = find_mosquitto()
        if program is None:
            raise RuntimeError("there is no mosquitto on this machine")
        config = self.folder / "mosquitto.conf"
        config.write_text("\n".join([*self._config(port), *self.settings, ""]))
        n_starts = self.log.count(_RUNNING)
        with (self.folder / "mosquitto.log").open("ab") as log:
            process = subprocess.Popen([program, "-c", str(config)], stdout=log, stderr=log)
        self._process = process
        deadline = time.monotonic() + _DEADLINE_S
        while process.poll() is None and time.monotonic() < deadline:
            # Its own word that it listens: a port that answers could belong to another process that was faster.
            if self.log.count(_RUNNING) > n_starts:
                return True
            time.sleep(_POLL_S)
        if process.poll() is None:
            self.kill()
            raise RuntimeError(f"mosquitto did not say within {_DEADLINE_S} s that it listens; its log:\n{self.log}")
        return False

    def _config(self, port: int) -> list[str]:
        return [
            f"listener {port} {self.host}",
            "allow_anonymous true",
            "persistence true",
            f"persistence_location {self.store}/",
            # A test decides how much may pile up, not a default of the broker.
            "max_queued_messages 100000",
            "max_inflight_messages 0",
            "log_dest stderr",  # unbuffered, unlike standard output
            "log_type error",
            "log_type warning",
            "log_type notice",
            "log_type information",  # "mosquitto version … running" comes at this level
            "connection_messages false",
            # Started by root it would give up its rights and could not write into the test's folder.
            f"user {pwd.getpwuid(os.geteuid()).pw_name}",
        ]

    def _end(self, *, kill: bool) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if kill:
            process.kill()
        else:
            process.terminate()
        process.wait(timeout=_DEADLINE_S)


def free_port() -> int:
    """A port on which nobody listens, by chance: two runs of the tests on one machine seldom choose the same."""
    while True:
        port = _FIRST_PORT + secrets.randbelow(_LAST_PORT - _FIRST_PORT)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind((Mosquitto.host, port))
            return port
