"""One ``trainer`` command, run as a user runs it, and what it took."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.measure import MEBIBYTE
from benchmarks.rivals import ROOT

_PROGRAM = "import sys; from trainer.cli import main; sys.exit(main())"


class Usage(NamedTuple):
    """What a command took: CPU seconds of all its processes, peak memory of the largest."""

    wall_s: float
    cpu_s: float
    peak_mib: float


class CommandError(RuntimeError):
    """A command that ended with another exit code than 0; `reason` is the last line it said."""

    def __init__(self, command: str, code: int, said: str) -> None:
        self.reason = (said.strip().splitlines() or ["without a word"])[-1]
        super().__init__(f"trainer {command} ended with {code}:\n{said}")


def run_trainer(*arguments: str, output: Path) -> Usage:
    """What the command took; its standard output is in the file.

    Raises
    ------
    CommandError
        If it does not end with 0, with the last of what it said.
    """
    command = [sys.executable, "-c", _PROGRAM, *arguments]
    begun_s = time.monotonic()
    log = output.with_suffix(".log")
    with output.open("wb") as file, log.open("wb") as errors:
        process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=errors)
        # wait4 tells what this one child has used; getrusage would add up all of them.
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise CommandError(arguments[0], process.returncode, log.read_text(errors="replace")[-2000:])
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in KiB elsewhere
    return Usage(time.monotonic() - begun_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit / MEBIBYTE)
