"""Numbers to trust on a shared machine: medians with their range, CPU time of one process, ratios inside one round."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

import psutil

MEBIBYTE = 1024 * 1024
_IDLE_SHARE = 0.1
_IDLE_WINDOW_S = 0.1
_IDLE_LONGEST_S = 5.0


class Effort(NamedTuple):
    """How much is run: ``repeats`` rounds, each with ``share`` of the full load."""

    repeats: int
    share: float

    def of(self, full: int, least: int = 1) -> int:
        """The share of a full load, but at least so much.

        Examples
        --------
        >>> Effort(2, 0.1).of(1000), Effort(2, 0.1).of(5, least=2)
        (100, 2)
        """
        return max(least, round(full * self.share))

    def at_most(self, repeats: int) -> Effort:
        """The same with no more rounds than this, for a benchmark whose rounds take long."""
        return self._replace(repeats=min(self.repeats, repeats))


FULL = Effort(repeats=5, share=1.0)
QUICK = Effort(repeats=3, share=0.2)


class Spread(NamedTuple):
    """A figure that was measured several times."""

    median: float
    low: float
    high: float
    n: int


def spread(values: Sequence[float]) -> Spread:
    """Median, smallest and largest of what was measured.

    Examples
    --------
    >>> spread([3.0, 1.0, 2.0])
    Spread(median=2.0, low=1.0, high=3.0, n=3)
    """
    return Spread(median(values), min(values), max(values), len(values))


def ratio(rival: Sequence[float], ours: Sequence[float]) -> Spread:
    """Rival over ours, round by round: what slows the whole machine down in one round slows both.

    Examples
    --------
    >>> ratio([8.0, 9.0], [2.0, 3.0])
    Spread(median=3.5, low=3.0, high=4.0, n=2)
    """
    return spread([theirs / own for theirs, own in zip(rival, ours, strict=True)])


def cpu_seconds(pid: int) -> float:
    """User and system time that a process has used, all its threads together.

    Linux tells it in nanoseconds through the clock of the process; elsewhere the ticks of the system must do (10 ms).
    """
    try:
        # MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED) of posix-timers.h: what clock_getcpuclockid(3) returns.
        return time.clock_gettime(((~pid) << 3) | 2)
    except (AttributeError, OSError):
        times = psutil.Process(pid).cpu_times()
        return float(times.user + times.system)


def resident_mib(pid: int) -> float:
    """Resident memory of a process in MiB."""
    return float(psutil.Process(pid).memory_info().rss) / MEBIBYTE


def wait_until_idle(pid: int) -> None:
    """Return when the process has used less than a tenth of a core for a tenth of a second, or after 5 s."""
    until = time.monotonic() + _IDLE_LONGEST_S
    before = cpu_seconds(pid)
    while time.monotonic() < until:
        time.sleep(_IDLE_WINDOW_S)
        now = cpu_seconds(pid)
        if now - before < _IDLE_SHARE * _IDLE_WINDOW_S:
            return
        before = now


def cpu_of_calls(work: Callable[[], object]) -> float:
    """CPU seconds of this process for one call."""
    start = time.process_time()
    work()
    return time.process_time() - start
