"""Ends a worker whose supervisor died: nobody would start it again, and the next supervisor starts one of its own."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PARENT_VARIABLE = "TELLTALE_SUPERVISOR"
"""Environment of a worker: the process that started it, which may have died before the worker can ask who it was."""

_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Ask the kernel for SIGTERM when the parent ends (Linux, prctl(2)); elsewhere nothing is done."""
    if not sys.platform.startswith("linux"):
        return
    parent = os.environ.get(PARENT_VARIABLE, str(os.getppid()))
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if str(os.getppid()) != parent:  # it has ended already, and the kernel tells that only once
        os.kill(os.getpid(), signal.SIGTERM)
