"""The interpreter that aeon lives in: found or missed visibly, started once, asked line by line under a time limit."""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from benchmarks.outcome import Outcome
from benchmarks.problems import Problem, read_rows
from benchmarks.rivals import ROOT

SCRIPT = ROOT / "benchmarks" / "rivals_aeon.py"
START_S = 180.0
"""The first start in a new environment compiles."""

_CHUNK_BYTES = 65_536
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def rivals_python(named: str | None = None) -> Path:
    """The interpreter of the rivals: as named, as TELLTALE_RIVALS says, or what ``make bench-learning`` made."""
    return Path(named or os.environ.get("TELLTALE_RIVALS") or ROOT / ".venv" / "rivals" / "bin" / "python")


class RivalProcess:
    """aeon's classifiers on one problem after the other.

    Parameters
    ----------
    python : Path
        An interpreter that has aeon.
    limit_s : float
        What takes longer is stopped, and said to be.
    folder : Path
        For its log and the rows it reads.
    """

    def __init__(self, python: Path, limit_s: float, folder: Path) -> None:
        self._python, self._limit_s = python, limit_s
        self._rows, self._log = folder / "rows.npz", folder / "rivals.log"
        self._of: Problem | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._pending = b""
        self.absent = (
            "" if python.is_file() else f"skipped: no interpreter of the rivals ({_shown(python)} is not there)"
        )
        self.missing: dict[str, str] = {}
        self.libraries: dict[str, str] = {}
        if not self.absent:
            self.absent = self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def measure(self, rival: str, problem: Problem, seed: int) -> Outcome:
        """What the rival reached, or why there is nothing."""
        if rival in self.missing:
            return Outcome(note=self.missing[rival])
        return Outcome(**self._ask(problem, {"rival": rival, "seed": seed}))

    def transform(self, problem: Problem, n_kernels: int) -> tuple[float, int] | None:
        """CPU microseconds of MiniRocket's transform of one window and its features; None where it cannot be had."""
        answer = self._ask(problem, {"rival": "transform", "seed": 0, "n_kernels": n_kernels})
        return (answer["features_us"], answer["n_features"]) if "features_us" in answer else None

    def _ask(self, problem: Problem, request: dict[str, Any]) -> dict[str, Any]:
        if self._process is None and not self.absent:
            self.absent = self._start()
        process = self._process
        if process is None or process.stdin is None:
            return {"note": self.absent}
        if self._of != problem:
            np.savez(self._rows, **read_rows(problem)._asdict())
            self._of = problem
        process.stdin.write(json.dumps({"path": str(self._rows), **request}).encode() + b"\n")
        process.stdin.flush()
        line = self._line(self._limit_s)
        if line is None:
            is_alive = process.poll() is None
            self._stop()
            why = f"stopped after {self._limit_s:g} s" if is_alive else "the interpreter of the rivals died"
            return {"note": why}
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _start(self) -> str:
        """Nothing, or why there are no rivals."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._python), str(SCRIPT)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **dict.fromkeys(_THREADS, "1")},
            )
        line = self._line(START_S)
        if line is None:
            self._stop()
            said = self._log.read_text(errors="replace").strip().splitlines() or ["no answer"]
            return f"skipped: the interpreter of the rivals does not start ({said[-1]})"
        hello = json.loads(line)
        self.libraries, self.missing = hello["libraries"], hello["missing"]
        return ""

    def _line(self, limit_s: float) -> bytes | None:
        """The next line of its output; None if it ended or took too long."""
        assert self._process is not None
        assert self._process.stdout is not None
        until = time.monotonic() + limit_s
        stream = self._process.stdout.fileno()
        while b"\n" not in self._pending:
            left = until - time.monotonic()
            if left <= 0.0 or not select.select([stream], [], [], left)[0]:
                return None
            chunk = os.read(stream, _CHUNK_BYTES)
            if not chunk:
                self._process.wait()
                return None
            self._pending += chunk
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    def _stop(self) -> None:
        process, self._process, self._pending = self._process, None, b""
        if process is not None:
            # It computes in native code that would not listen, and keeps nothing that could be lost.
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()


def _shown(python: Path) -> str:
    """Its path from the checkout: results tell of no machine."""
    return str(python.relative_to(ROOT)) if python.is_relative_to(ROOT) else python.name
