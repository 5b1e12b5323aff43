"""Ends a worker whose supervisor died: nobody would start it again, and the next supervisor starts one of its own."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Ask the kernel for SIGTERM when the parent ends (Linux, prctl(2)); elsewhere nothing is done."""
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it ended in between, and the kernel tells that only once
        os.kill(os.getpid(), signal.SIGTERM)
