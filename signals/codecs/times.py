"""Times of messages as integer nanoseconds since the Unix epoch, exact wherever the message is.

- ISO 8601 text: extended format with seconds and zone (``Z`` or an offset). Fractions are cut after the ninth digit,
  never rounded. Text without zone is refused unless the mapping names one; of an hour that a clock change repeats the
  first is meant, and a time that a clock change skips is read with the offset before the change (PEP 495, fold = 0).
  Leap seconds (``:60``) are refused.
- Epoch numbers: whole numbers are exact. Numbers with a fraction are rounded to the nanosecond below 2^52 ns (52
  days, times since a start) and to the microsecond above: a double of today's seconds resolves 0.24 us, so this gives
  back the decimal text.
- Any time from 0 to the end of int64 (2262-04-11) is accepted, small ones too: some devices count from their start.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, cast
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from schemas.mapping import TimeUnit
from signals.block import DecodeError, IntArray
from signals.codecs.refusal import shown

UNIT_NS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
MAX_NS = 2**63 - 1

_DOUBLE_HOLDS_NS = 2.0**52
_END_NS = 2.0**63
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ISO_8601 = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:[.,]([0-9]+))?"
    r"(?:([Zz])|([+-])([0-9]{2})(?::?([0-9]{2}))?)?"
)


class TimeReader:
    """Reads the times of one mapping.

    Parameters
    ----------
    unit : {"iso8601", "s", "ms", "us", "ns"}
        What the message carries.
    zone : str, optional
        IANA zone of texts without offset.

    Raises
    ------
    ValueError
        If the zone is unknown on this machine, or given for numbers.

    Examples
    --------
    >>> TimeReader("iso8601").one("2020-02-12T15:15:46.014773143Z")
    1581520546014773143
    >>> TimeReader("s").one(1680962879.62)
    1680962879620000000
    """

    def __init__(self, unit: TimeUnit, zone: str | None = None) -> None:
        self._unit_ns = UNIT_NS.get(unit)
        self._zone: tzinfo | None = None
        if zone is None:
            return
        if self._unit_ns is not None:
            raise ValueError(f"zone: only with unit 'iso8601' expected, got unit {unit!r}")
        try:
            self._zone = ZoneInfo(zone)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(
                f"zone: an IANA zone such as 'Europe/Berlin' that this machine knows expected, got {zone!r}"
            ) from error

    def one(self, value: object) -> int:
        """The time of one JSON value in ns.

        Raises
        ------
        DecodeError
            ``bad_time``.
        """
        if self._unit_ns is None:
            if not isinstance(value, str):
                raise _bad("ISO 8601 text with zone", value)
            return read_iso_8601(value, self._zone)
        if isinstance(value, float):
            return float_to_ns(value, self._unit_ns)
        if isinstance(value, int) and not isinstance(value, bool):
            time_ns = value * self._unit_ns
            if 0 <= time_ns <= MAX_NS:
                return time_ns
        raise _bad("a number from 1970 to 2262", value)

    def many(self, values: Sequence[object]) -> IntArray:
        """The times of many JSON values, int64 of shape (len(values),).

        Raises
        ------
        DecodeError
            ``bad_time``: the first value that is no time.

        Examples
        --------
        >>> TimeReader("ms").many([0, 10, 20.5]).tolist()
        [0, 10000000, 20500000]
        """
        if self._unit_ns is not None and set(map(type, values)) == {int}:
            ticks = cast("Sequence[int]", values)
            if min(ticks) >= 0 and max(ticks) <= MAX_NS // self._unit_ns:
                return np.array(ticks, np.int64) * self._unit_ns
        one = self.one
        return np.array([one(value) for value in values], np.int64)


def read_iso_8601(text: str, zone: tzinfo | None = None) -> int:
    """The time of a text in ns since the epoch, exact to its ninth digit.

    Raises
    ------
    DecodeError
        ``bad_time``: no such format, no such date, before 1970, after 2262, or no zone.

    Examples
    --------
    >>> read_iso_8601("1970-01-01T01:00:00.5+01:00")
    500000000
    """
    match = _ISO_8601.fullmatch(text)
    if match is None:
        raise _bad("ISO 8601 text such as 2026-11-20T23:57:36.125Z", text)
    year, month, day, hour, minute, second, fraction, utc, sign, offset_hours, offset_minutes = match.groups()
    try:
        local = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=UTC)
        if utc is None:
            if sign is not None:
                offset = timedelta(hours=int(offset_hours), minutes=int(offset_minutes or "0"))
                local = local.replace(tzinfo=timezone(-offset if sign == "-" else offset))
            elif zone is not None:
                local = local.replace(tzinfo=zone)
            else:
                raise _bad("a time with zone (Z or an offset, or mapping.time.zone)", text)
        since = local - _EPOCH
    except (ValueError, OverflowError) as error:
        raise _bad("a date and time that exist", text) from error
    time_ns = (since.days * 86_400 + since.seconds) * 1_000_000_000
    if fraction is not None:
        time_ns += int(fraction[:9].ljust(9, "0"))
    if 0 <= time_ns <= MAX_NS:
        return time_ns
    raise _bad("a time from 1970 to 2262", text)


def float_to_ns(value: float, unit_ns: int) -> int:
    """A number with a fraction in ns, rounded as this module's head says.

    Raises
    ------
    DecodeError
        ``bad_time``: negative, past 2262, or not finite.

    Examples
    --------
    >>> float_to_ns(0.000000001, UNIT_NS["s"]), float_to_ns(1795219056125.5, UNIT_NS["ms"])
    (1, 1795219056125500000)
    """
    time_ns = value * unit_ns
    if 0.0 <= time_ns < _DOUBLE_HOLDS_NS:
        return round(time_ns)
    if 0.0 <= time_ns < _END_NS and (rounded := round(value * (unit_ns / 1000.0)) * 1000) <= MAX_NS:
        return rounded
    raise _bad("a number from 1970 to 2262", value)


def tick_to_ns(tick: float, scale: float, offset: float, unit_ns: int) -> int:
    """One value of ``ticks_to_ns``.

    Examples
    --------
    >>> tick_to_ns(2**63 - 1, 1.0, 0.0, UNIT_NS["ns"]), tick_to_ns(2, 39.0625, 0.0, UNIT_NS["us"])
    (9223372036854775807, 78125)
    """
    factor, shift = scale * unit_ns, offset * unit_ns
    if isinstance(tick, int) and factor.is_integer() and shift.is_integer():
        time_ns = tick * int(factor) + int(shift)
        if 0 <= time_ns <= MAX_NS:
            return time_ns
        raise _bad("a time from 1970 to 2262", tick)
    return float_to_ns(tick * scale + offset, unit_ns)


def ticks_to_ns(ticks: NDArray[Any], scale: float, offset: float, unit_ns: int) -> IntArray:
    """Ticks of a clock in ns, ``(ticks * scale + offset) * unit_ns``; integer arithmetic wherever the ticks allow it.

    Parameters
    ----------
    ticks : ndarray of shape (n,)
        Raw values, integer or float, n >= 1.
    scale, offset : float
        Of the frame's field.
    unit_ns : int
        Nanoseconds of the unit.

    Raises
    ------
    DecodeError
        ``bad_time``: a value is negative, past 2262 or not finite.

    Examples
    --------
    >>> ticks_to_ns(np.array([2**31], np.uint32), 25.0, 0.0, UNIT_NS["us"]).tolist()
    [53687091200000]
    """
    factor, shift = scale * unit_ns, offset * unit_ns
    if ticks.dtype.kind in "iu" and factor.is_integer() and shift.is_integer():
        for extreme in (ticks.min(), ticks.max()):
            tick_to_ns(int(extreme), scale, offset, unit_ns)
        # Both ends fit, so all do; a product that wraps on its way wraps back (arithmetic modulo 2^64).
        wrapped = ticks.astype(np.uint64) * np.uint64(int(factor) % 2**64) + np.uint64(int(shift) % 2**64)
        return wrapped.view(np.int64)
    return np.array([tick_to_ns(tick, scale, offset, unit_ns) for tick in ticks.tolist()], np.int64)


def start_ns(time_ns: int, of: str, n_samples: int, sampling_rate_hz: float) -> int:
    """The time of the first sample of a batch, whose ``of`` (first or last) sample was taken at ``time_ns``.

    Raises
    ------
    DecodeError
        ``bad_time``: the batch begins before 1970 or ends after 2262.

    Examples
    --------
    >>> start_ns(1_000_000_000, "last", 3, 10.0)
    800000000
    """
    span = (n_samples - 1) * 1e9 / sampling_rate_hz
    if span < _END_NS:
        span_ns = round(span)
        first_ns = time_ns - span_ns if of == "last" else time_ns
        if first_ns >= 0 and first_ns + span_ns <= MAX_NS:
            return first_ns
    raise _bad("a batch from 1970 to 2262", time_ns)


def _bad(expected: str, value: object) -> DecodeError:
    return DecodeError("bad_time", f"time: {expected} expected, got {shown(value)}")
