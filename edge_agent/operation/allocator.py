"""The C allocator of this process, told how an agent uses memory: glibc alone has anything to be told.

A burst, a reconnect or a large batch takes a few MiB for a moment. Left to itself glibc keeps them: after the first
large buffer it takes all later ones from the heap (mallopt(3), M_MMAP_THRESHOLD: "dynamic"), where what lives for
seconds, such as labels that may have to be repeated, keeps the pages below from going back. Resident memory then creeps
up to the sum of the worst moments.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

TRIM_EVERY_S = 30.0
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # malloc.h
_LARGE_BYTES = 256 * 1024
_SPARE_BYTES = 1024 * 1024


class Allocator:
    """Keeps large buffers out of the heap from now on, and gives free pages back now and then.

    Where the C library has no such calls (musl, macOS) nothing is done.
    """

    def __init__(self) -> None:
        library = ctypes.CDLL(None)
        tune: Callable[[int, int], int] | None = getattr(library, "mallopt", None)
        self._trim: Callable[[int], int] | None = getattr(library, "malloc_trim", None)
        self._next_s = 0.0
        if tune is not None and self._trim is not None:
            tune(_MMAP_THRESHOLD, _LARGE_BYTES)
            tune(_TRIM_THRESHOLD, _SPARE_BYTES)
            tune(_ARENA_MAX, 1)  # the threads here wait for disks and models: heaps of their own would stand empty

    def turn(self, now_s: float) -> None:
        """Give back what is free, if it is time: a millisecond for some ten MiB of heap."""
        if self._trim is not None and now_s >= self._next_s:
            self._next_s = now_s + TRIM_EVERY_S
            self._trim(0)
