"""Edge agents as child processes: a configuration written for each, started, watched, and stopped by their own id."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from demo import programs
from demo.errors import DemoError
from demo.streams import Stream
from demo.wire import Address

_STOP_S = 20.0


@dataclass(frozen=True, slots=True)
class Assignment:
    """One pipeline of an agent: what it reads and which model answers."""

    stream: Stream
    model: Path


def agent_config(
    gateway: str, address: Address, assignments: Sequence[Assignment], state_dir: Path, *, deadline_s: float = 2.0
) -> str:
    """The TOML of an agent.

    Parameters
    ----------
    gateway : str
        Its id.
    address : Address
        The broker.
    assignments : sequence of Assignment
        Its pipelines.
    state_dir : Path
        Where it keeps its watermark.
    deadline_s : float
        How long a window waits for late samples.
    """
    lines = [
        "version = 1",
        "",
        "[gateway]",
        f"id = {toml_value(gateway)}",
        f"state_dir = {toml_value(str(state_dir))}",
        "",
        "[mqtt]",
        f"host = {toml_value(address.host)}",
        f"port = {address.port}",
    ]
    for assignment in assignments:
        stream = assignment.stream
        lines += [
            "",
            "[[pipelines]]",
            f"name = {toml_value(stream.name)}",
            f"topics = {toml_value(list(stream.topics))}",
            f"model = {toml_value(str(assignment.model))}",
            f"deadline_s = {deadline_s}",
            "[pipelines.mapping]",
        ]
        fields = stream.mapping.model_dump(mode="json", exclude_defaults=True)
        lines += [f"{key} = {toml_value(value)}" for key, value in {"format": stream.mapping.format, **fields}.items()]
    return "\n".join([*lines, ""])


def toml_value(value: Any) -> str:  # noqa: ANN401 - whatever a configuration holds
    """A value as TOML 1.0; tables inline.

    Raises
    ------
    TypeError
        If TOML has no such value.

    Examples
    --------
    >>> toml_value({"acc x": ["a", 1, True]})
    '{ "acc x" = ["a", 1, true] }'
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return _toml_text(value)
    if isinstance(value, list):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_toml_text(key)} = {toml_value(item)}" for key, item in value.items()) + " }"
    raise TypeError(f"a TOML value expected, got {type(value).__name__}")


def _toml_text(text: str) -> str:
    # A JSON string is a TOML basic string, as long as DEL is escaped and what lies beyond 16 bits is not.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


class Agent:
    """One edge agent of the demo.

    Parameters
    ----------
    gateway : str
        Its id.
    folder : Path
        Where its configuration, its state and its log are written.
    assignments : sequence of Assignment
        Its pipelines.
    """

    def __init__(self, gateway: str, folder: Path, assignments: Sequence[Assignment]) -> None:
        self.gateway = gateway
        self.assignments = list(assignments)
        self._config = folder / f"{gateway}.toml"
        self._log = folder / f"{gateway}.log"
        self._state_dir = folder / f"{gateway}-state"
        self._process: subprocess.Popen[bytes] | None = None
        self._sink: IO[bytes] | None = None

    def start(self, address: Address) -> None:
        """Write the configuration and start the process; that it is ready its availability tells."""
        # A watermark of an earlier run in a folder that was kept says that these windows have their labels.
        shutil.rmtree(self._state_dir, ignore_errors=True)
        self._state_dir.mkdir(parents=True)
        self._config.write_text(agent_config(self.gateway, address, self.assignments, self._state_dir))
        self._sink = self._log.open("wb")
        self._process = programs.start(
            "edge_agent", ["run", "--config", str(self._config)], stdout=subprocess.DEVNULL, stderr=self._sink.fileno()
        )

    def check(self) -> None:
        """Return while it lives.

        Raises
        ------
        DemoError
            If it ended; the message carries its exit code and its last line.
        """
        code = None if self._process is None else self._process.poll()
        if code is not None:
            raise DemoError(
                f"agent {self.gateway}: a running process expected, it ended with {code}: {self.last_words()}"
            )

    def last_words(self) -> str:
        """The last line of its log."""
        lines = self._log.read_text(errors="replace").strip().splitlines() if self._log.exists() else []
        return lines[-1] if lines else "it said nothing"

    def stop(self) -> int:
        """Ask it to end, wait, and return its exit code; killed where it does not listen."""
        process, self._process = self._process, None
        if process is None:
            return 0
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        if self._sink is not None:
            self._sink.close()
        return code
