"""The child of a trial: gives up its rights, loads one model from an inherited file, says one line about it, and ends.

Started by ``trial`` as ``python -I -S -B -c``, with an empty environment, without standard input. The order counts:
limits that hold for the imports too, then the imports, then the seal (no further file, socket or pipe can be opened,
not even by the libraries), then the word ``ready``, and only then a byte of the model is looked at.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Sequence

READY = "ready"
MAX_ADDRESS_BYTES = 2 * 1024**3
MAX_CPU_S = 5
"""For the golden windows."""

FULL_PASS_CPU_S = 7
"""For one pass as large as they come, which a slow machine may need time for."""

MAX_FILE_WRITE_BYTES = 1024 * 1024
MAX_OPEN_FILES = 64

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38


def main(arguments: Sequence[str]) -> int:
    """Try what stands behind descriptor ``arguments[0]``, called ``arguments[1]``; 0 = the line was written.

    The descriptor holds the card on one line, then the model.
    """
    descriptor, where = int(arguments[0]), arguments[1]
    _give_up_rights()
    from pathlib import Path

    from edge_agent.errors import ModelError
    from edge_agent.shell.model import Model
    from schemas import parse_card

    _seal()
    _say(READY)
    try:
        with os.fdopen(descriptor, "rb") as file:
            promise, content = file.readline(), file.read()
        model = Model(Path(where), content, parse_card(promise.decode(), where))
        _allow_cpu(FULL_PASS_CPU_S)
        model.try_full_pass()
    except ModelError as error:
        _say(json.dumps({"problem": error.problem}))
    except MemoryError:
        _say(json.dumps({"problem": f"at most {MAX_ADDRESS_BYTES} bytes of memory expected, it asks for more"}))
    else:
        _say(json.dumps({"ok": True}))
    return 0


def _give_up_rights() -> None:
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_AS, MAX_ADDRESS_BYTES)
    _limit(resource.RLIMIT_FSIZE, MAX_FILE_WRITE_BYTES)
    _limit(resource.RLIMIT_NOFILE, MAX_OPEN_FILES)
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None).prctl
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # an agent that is killed leaves no child behind
        prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def _seal() -> None:
    """From here on nothing can be opened, and the processor time of the model counts."""
    _limit(resource.RLIMIT_NOFILE, 0)
    _limit(resource.RLIMIT_CPU, _cpu_s() + MAX_CPU_S + FULL_PASS_CPU_S)
    _allow_cpu(MAX_CPU_S)


def _cpu_s() -> int:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return int(used.ru_utime + used.ru_stime) + 1  # limits count whole seconds


def _allow_cpu(further_s: int) -> None:
    """Move the soft limit, which ends the child, to so many seconds from now."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (min(_cpu_s() + further_s, hard), hard))


def _limit(kind: int, most: int) -> None:
    _soft, hard = resource.getrlimit(kind)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (most, most))


def _say(line: str) -> None:
    os.write(1, f"{line}\n".encode())
