"""How often a stream comes, and where its time stands."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from schemas.mapping import TimeUnit
from signals.block import DecodeError
from signals.codecs.times import UNIT_NS, read_iso_8601

_DAY_NS = 86_400 * 1_000_000_000
_UNITS: tuple[Literal["s", "ms", "us", "ns"], ...] = ("s", "ms", "us", "ns")
_NO_ZONE = "a time with zone"
_NICE = 0.02

Policy = Literal["nearest", "linear", "hold"]


@dataclass(frozen=True, slots=True)
class ReadTime:
    """One value that is a time. ``t_ns`` None = it is local time without a zone: which moment, nobody can tell."""

    unit: TimeUnit
    t_ns: int | None


def read_time(value: object, received_ns: int) -> ReadTime | None:
    """The time a value stands for, if it is one of today: within a day of its receipt.

    A number is told by its size: only one unit brings it near the clock of this machine.

    Examples
    --------
    >>> read_time(1795219056125, 1795219056200_000_000)
    ReadTime(unit='ms', t_ns=1795219056125000000)
    >>> read_time("2026-11-20T23:57:36", 1795219056200_000_000)
    ReadTime(unit='iso8601', t_ns=None)
    >>> read_time(21.5, 1795219056200_000_000) is None
    True
    """
    if isinstance(value, str):
        try:
            t_ns = read_iso_8601(value)
        except DecodeError as error:
            return ReadTime("iso8601", None) if _NO_ZONE in error.detail else None
        return ReadTime("iso8601", t_ns) if abs(t_ns - received_ns) < _DAY_NS else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        for unit in _UNITS:
            # Compared as it is: a number beyond every clock may be too large to be rounded.
            if abs(value * UNIT_NS[unit] - received_ns) < _DAY_NS:
                return ReadTime(unit, round(value * UNIT_NS[unit]))
    return None


@dataclass(frozen=True, slots=True)
class Rate:
    """Samples a second, and how regular: ``jitter`` = median deviation of an interval, as a share of it."""

    hz: float
    jitter: float
    n_intervals: int

    @property
    def interval_s(self) -> float:
        """Seconds between two samples."""
        return 1.0 / self.hz


def rate_of(intervals_ns: Sequence[int], samples_each: float = 1.0) -> Rate | None:
    """The rate out of intervals between messages of ``samples_each`` samples; None below two intervals.

    The median decides, so that a pause or a burst does not; a rate within 2 % of a number of two digits is that number.

    Examples
    --------
    >>> rate_of([10_010_000, 9_990_000, 10_000_000, 500_000_000])
    Rate(hz=100.0, jitter=0.001, n_intervals=4)
    """
    positive = [interval for interval in intervals_ns if interval > 0]
    if len(positive) < 2:
        return None
    median = statistics.median(positive)
    deviation = statistics.median(abs(interval - median) for interval in positive)
    return Rate(_nice(samples_each * 1e9 / median), round(deviation / median, 4), len(positive))


def _nice(hz: float) -> float:
    rounded = float(f"{hz:.1e}")
    return rounded if abs(rounded - hz) <= _NICE * hz else float(f"{hz:.3e}")


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """How to cut a stream of this rate."""

    sampling_rate_hz: float
    window_length: int
    hop_length: int
    policy: Policy
    max_age_s: float | None
    reason: str


_FAST_HZ = 8.0
_STEADY = 0.05
_LOOSE = 0.35
_SLOW_POINTS = 16
_FAST_SECONDS = 2.56


def plan_windows(rate: Rate | None, listened_s: float, *, has_time: bool, is_state: bool) -> WindowPlan:
    """Grid policy and window for a stream; ``is_state`` = a value stands until the next one comes.

    Examples
    --------
    >>> plan_windows(Rate(100.0, 0.001, 50), 60.0, has_time=True, is_state=False).window_length
    256
    >>> plan_windows(Rate(0.1, 0.2, 5), 60.0, has_time=False, is_state=True).policy
    'hold'
    """
    if rate is None:
        hz = _nice(1.0 / max(1.0, listened_s))
        why = f"heard too rarely to tell a rate: one point each {1 / hz:g} s assumed"
        return WindowPlan(hz, _SLOW_POINTS, _SLOW_POINTS // 2, "hold", round(10 / hz, 3), why)
    regular = f"an interval of {rate.interval_s:.3g} s, give or take {rate.jitter:.0%}"
    if rate.hz >= _FAST_HZ and not is_state:
        length = min(2048, max(32, 2 ** round(math.log2(rate.hz * _FAST_SECONDS))))
    else:
        length = _SLOW_POINTS
    if is_state or rate.jitter > _LOOSE or rate.hz < 1.0:
        max_age_s = float(f"{10 * rate.interval_s:.3g}")
        return WindowPlan(rate.hz, length, length // 2, "hold", max_age_s, f"{regular}; a value stands until the next")
    if has_time and rate.jitter <= _STEADY:
        return WindowPlan(rate.hz, length, length // 2, "nearest", None, f"{regular}; steady, with a time of its own")
    max_age_s = float(f"{5 * rate.interval_s:.3g}")
    return WindowPlan(
        rate.hz, length, length // 2, "linear", max_age_s, f"{regular}; put on the grid by straight lines"
    )
