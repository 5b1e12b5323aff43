"""A model is believed only after a child process has loaded it and reproduced its golden windows.

The guard refuses what is known to be hostile. This is for the rest: a file that makes the runtime crash, loop or eat
the memory of the gateway does so in a process that has nothing to lose (``trial_child``: 2 GiB of addresses, 5 s of
processor time, nothing to open, no rights to gain, no environment), and the agent goes on.

A trial costs the start of a second interpreter. So what was proven is remembered in the state folder, by the digest of
the model together with the versions of everything that took part: only a new model, or a new version, pays.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import platform
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import numpy as np
import orjson

from edge_agent import __version__
from edge_agent.errors import ModelError
from edge_agent.shell.guard import inspect_model
from edge_agent.shell.model import Model, runtime_version
from edge_agent.shell.model_file import read_model_file
from edge_agent.shell.trial_child import FULL_PASS_CPU_S, MAX_CPU_S, READY
from schemas import ModelCard

log = logging.getLogger(__name__)

WALL_S = 15.0
"""Longest time from the first look at the model to the child's word."""

START_S = 60.0
"""Longest time until the child has its libraries: they come from the SD card of a slow machine, without the model."""

FILE_NAME = "proven.json"
SCHEMA = "proven/1"
MAX_PROOFS = 64
_MAX_BOOK_BYTES = 64 * 1024
_MAX_LINE_BYTES = 8 * 1024
_CHILD = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[3]); "
    "from edge_agent.shell.trial_child import main; sys.exit(main(sys.argv[1:]))"
)
_INHERITED = ("LD_LIBRARY_PATH",)


class Trial:
    """One model in one child, for a loop that must not wait: ask :attr:`is_done` once a turn, then call :meth:`result`.

    Parameters
    ----------
    content : bytes
        The whole file.
    card : ModelCard
        What it promises, as the guard gave it. The guard itself is not asked again: the two defend apart.
    where : str
        Its name, for errors.
    wall_s : float
        Longest time from the first look at the model to the child's word.

    Examples
    --------
    ::

        trial = Trial(content, inspect_model(content, "pump.onnx"), "pump.onnx")
        ...  # turn after turn
        if trial.is_done:
            trial.result()  # ModelError, or the model may be loaded
    """

    def __init__(self, content: bytes, card: ModelCard, where: str, wall_s: float = WALL_S) -> None:
        self._where = where
        self._wall_s = wall_s
        self._said = b""
        self._is_ready = False
        self._problem: str | None = None
        self._is_over = False
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        environment |= {"ORT_DISABLE_TELEMETRY": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        try:
            promise = card.model_dump_json(by_alias=True).encode()
            with _in_memory(promise + b"\n" + content) as descriptor:
                paths = json.dumps([path for path in sys.path if path])
                self._child = subprocess.Popen(
                    [sys.executable, "-I", "-S", "-B", "-c", _CHILD, str(descriptor), where, paths],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    pass_fds=(descriptor,),
                    env=environment,
                    cwd="/",
                    start_new_session=True,
                )
        except OSError as error:
            raise ModelError(
                where, f"a trial in a child process expected, it cannot start: {error.strerror}"
            ) from error
        self._until_s = time.monotonic() + START_S
        assert self._child.stdout is not None  # noqa: S101 - what PIPE means
        self._pipe = self._child.stdout.fileno()
        os.set_blocking(self._pipe, False)

    @property
    def is_done(self) -> bool:
        """Whether the child has spoken, died, or run out of time; never waits."""
        if not self._is_over:
            self._listen()
        return self._is_over

    def wait(self) -> None:
        """Return when the trial is over; at the latest after ``START_S`` and ``wall_s``."""
        while not self.is_done:
            select.select([self._pipe], [], [], max(0.0, min(0.5, self._until_s - time.monotonic())))

    def result(self) -> None:
        """Return for a model that proved itself.

        Raises
        ------
        ModelError
            One line: what the child found wrong, or how it ended.
        RuntimeError
            If the trial is not over.
        """
        if not self._is_over:
            raise RuntimeError("a trial that is over expected")
        if self._problem is not None:
            raise ModelError(self._where, self._problem)

    def close(self) -> None:
        """End the child, however far it is."""
        if self._child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()
        if self._child.stdout is not None:
            self._child.stdout.close()
        self._is_over = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _listen(self) -> None:
        is_ended = False
        with contextlib.suppress(BlockingIOError):
            while len(self._said) <= _MAX_LINE_BYTES:
                piece = os.read(self._pipe, _MAX_LINE_BYTES)
                self._said += piece
                if not piece:
                    is_ended = True
                    break
        lines = self._said.split(b"\n")
        if not self._is_ready and lines[0] == READY.encode() and len(lines) > 1:
            self._is_ready = True
            self._until_s = time.monotonic() + self._wall_s
        if len(self._said) > _MAX_LINE_BYTES:
            self._end("trial: one line expected of the child, got more")
        elif self._is_ready and len(lines) > 2:
            self._end(_read_word(lines[1]))
        elif is_ended:
            self._end(self._how_it_died())
        elif time.monotonic() > self._until_s:
            late = f"trial: an answer within {self._wall_s:g} s expected, the model still runs"
            self._end(late if self._is_ready else f"trial: a child process within {START_S:g} s expected")

    def _end(self, problem: str | None) -> None:
        self._problem = problem
        self.close()

    def _how_it_died(self) -> str:
        try:
            code = self._child.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            return "trial: an answer expected, the child fell silent"
        if not self._is_ready:
            return f"trial: a child process expected, it ended with {_exit(code)} before it saw the model"
        if code in {-signal.SIGXCPU, -signal.SIGKILL}:
            most = (
                f"at most {MAX_CPU_S} s of processor time for its golden windows, {FULL_PASS_CPU_S} s for a full pass"
            )
            return f"trial: {most} expected, the model still ran ({_exit(code)})"
        return f"trial: an answer expected, the runtime died of the model ({_exit(code)})"


class Proofs:
    """Which models have proven themselves on this gateway, remembered in its state folder.

    Parameters
    ----------
    folder : Path or None
        None remembers nothing.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Proofs(Path(folder)).add("digest")
    ...     Proofs(Path(folder)).has("digest"), Proofs(Path(folder)).has("another")
    (True, False)
    """

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else folder / FILE_NAME
        self._keys: list[str] | None = None

    def has(self, digest: str) -> bool:
        """Whether the model of this sha256 was proven with the versions that run now."""
        return _key(digest) in self._read()

    def add(self, digest: str) -> None:
        """Remember a proof; a disk that cannot be written costs the next start a trial, and one line in the log."""
        key = _key(digest)
        kept = [*(known for known in self._read() if known != key), key][-MAX_PROOFS:]
        self._keys = kept
        if self._path is None:
            return
        beside = self._path.with_name(f"{FILE_NAME}.tmp")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("wb") as file:
                file.write(orjson.dumps({"schema": SCHEMA, "proven": kept}))
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        except OSError as error:
            log.warning("%s: the proof of a model cannot be kept: %s", self._path, error)

    def _read(self) -> list[str]:
        if self._keys is None:
            self._keys = _read_book(self._path)
        return self._keys


def load_model(path: Path, proofs: Proofs) -> Model:
    """A model that is safe to run: seen by the guard, proven in a child now or earlier, loaded from the same bytes.

    Raises
    ------
    ModelError
        One line: what was expected and what came instead.
    """
    content = read_model_file(path)
    card = inspect_model(content, path.name)
    digest = hashlib.sha256(content).hexdigest()
    if not proofs.has(digest):
        with Trial(content, card, path.name) as trial:
            trial.wait()
            trial.result()
        proofs.add(digest)
    return Model(path, content, card)


def _key(digest: str) -> str:
    """The model and everything that took part in its proof."""
    versions = (__version__, runtime_version(), np.__version__, platform.python_version(), platform.machine())
    return hashlib.sha256("\n".join((digest, *versions)).encode()).hexdigest()


def _read_book(path: Path | None) -> list[str]:
    if path is None:
        return []
    try:
        with path.open("rb") as file:
            found = orjson.loads(file.read(_MAX_BOOK_BYTES))
    except (OSError, ValueError):
        return []  # none yet, or damaged: the models prove themselves again
    keys = found.get("proven") if isinstance(found, dict) and found.get("schema") == SCHEMA else None
    return [key for key in keys if isinstance(key, str)][-MAX_PROOFS:] if isinstance(keys, list) else []


def _read_word(line: bytes) -> str | None:
    try:
        word = orjson.loads(line)
    except ValueError:
        word = None
    if word == {"ok": True}:
        return None
    problem = word.get("problem") if isinstance(word, dict) else None
    if not isinstance(problem, str):
        return "trial: the word of the child expected, got something else"
    return " ".join(problem.split())[:600]


def _exit(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


@contextlib.contextmanager
def _in_memory(content: bytes) -> Iterator[int]:
    """A descriptor of a nameless file with these bytes; nothing is written to a disk where memory can be had."""
    if sys.platform == "linux":
        file = os.fdopen(os.memfd_create("model"), "wb")
    else:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - closed below, like the other
    with file:
        file.write(content)
        file.flush()
        file.seek(0)
        yield file.fileno()
