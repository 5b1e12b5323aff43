"""Times of messages: exact to the nanosecond, refused where they are ambiguous."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.mapping import TimeUnit
from signals.block import DecodeError
from signals.codecs.times import MAX_NS, UNIT_NS, TimeReader, float_to_ns, read_iso_8601, start_ns, ticks_to_ns

END_OF_INT64 = "2262-04-11T23:47:16.854775807Z"


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("2020-02-12T15:15:46.014773143Z", 1581520546014773143),
        ("2020-02-12T15:15:46.0147731439999Z", 1581520546014773143),
        ("2020-02-12 16:15:46,014773143+01:00", 1581520546014773143),
        ("2020-02-12t07:45:46.014773143-0730", 1581520546014773143),
        ("2020-02-12T15:15:46z", 1581520546000000000),
        ("2020-02-12T15:15:46+00", 1581520546000000000),
        ("1970-01-01T00:00:00.000000001Z", 1),
        (END_OF_INT64, MAX_NS),
    ],
)
def test_iso_8601_is_exact_in_nanoseconds(text: str, time_ns: int) -> None:
    assert read_iso_8601(text) == time_ns


@pytest.mark.parametrize(
    "text",
    [
        "2020-02-12T15:15:46",  # no zone
        "2020-02-12",
        "2020-02-30T15:15:46Z",
        "2020-02-12T24:00:00Z",
        "2016-12-31T23:59:60Z",  # leap second
        "2020-02-12T15:15:46+24:00",
        "1969-12-31T23:59:59.999999999Z",
        "2262-04-11T23:47:16.854775808Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "٢٠٢٠-02-12T15:15:46Z",  # digits, but not ours
        "2020-02-12T15:15:46Z ",
        "",
    ],
)
def test_time_that_is_ambiguous_or_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(DecodeError) as refusal:
        read_iso_8601(text)
    assert refusal.value.reason == "bad_time"


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-07-01T12:00:00", datetime(2026, 7, 1, 10, tzinfo=UTC)),
        ("2026-01-01T12:00:00", datetime(2026, 1, 1, 11, tzinfo=UTC)),
        ("2026-10-25T02:30:00", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),  # twice: the first is meant
        ("2026-03-29T02:30:00", datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),  # never: the offset before the change
        ("2026-07-01T12:00:00Z", datetime(2026, 7, 1, 12, tzinfo=UTC)),  # an offset in the text wins
    ],
)
def test_local_time_is_read_in_the_zone_of_the_mapping(text: str, utc: datetime) -> None:
    assert TimeReader("iso8601", "Europe/Berlin").one(text) == int(utc.timestamp()) * 10**9


@pytest.mark.parametrize(
    ("unit", "value", "time_ns"),
    [
        ("s", 1680962879, 1680962879 * 10**9),
        ("s", 1680962879.62, 1680962879620000000),
        ("s", 1.276020076001e09, 1276020076001000000),
        ("ms", 1795219056125, 1795219056125000000),
        ("us", 1795219056125001, 1795219056125001000),
        ("ns", 1795219056125001003, 1795219056125001003),
        ("ns", MAX_NS, MAX_NS),
        ("s", 0, 0),
        ("ms", 12.5, 12500000),
        ("s", 1e-9, 1),
    ],
)
def test_epoch_number_is_read_as_it_was_written(unit: TimeUnit, value: float, time_ns: int) -> None:
    assert TimeReader(unit).one(value) == time_ns
    assert TimeReader(unit).many([value, value]).tolist() == [time_ns, time_ns]


@pytest.mark.parametrize("value", [-1, -1e-9, 1e300, 10**400, 9223372037, 9.3e9, True, None, "1680962879", [], {}])
def test_epoch_that_is_no_time_is_refused(value: object) -> None:
    reader = TimeReader("s")
    for read in (reader.one, lambda bad: reader.many([0, bad])):
        with pytest.raises(DecodeError, match="bad_time"):
            read(value)


@given(st.decimals(0, 4_000_000_000, places=6))
def test_decimal_seconds_survive_the_double_to_the_microsecond(seconds: Decimal) -> None:
    assert float_to_ns(float(seconds), UNIT_NS["s"]) == int(seconds * 10**6) * 1000


@given(
    st.lists(st.integers(0, 2**32 - 1), min_size=1),
    st.sampled_from([1.0, 25.0, 39.0625, 1000.0]),
    st.sampled_from(["us", "ms"]),
)
def test_ticks_are_integers_all_the_way(ticks: list[int], scale: float, unit: str) -> None:
    expected = [round(tick * scale * UNIT_NS[unit]) for tick in ticks]
    assert ticks_to_ns(np.array(ticks, np.uint32), scale, 0.0, UNIT_NS[unit]).tolist() == expected


def test_tick_beyond_int64_is_refused_and_not_wrapped() -> None:
    for ticks in ([2**63], [0, 2**64 - 1]):
        with pytest.raises(DecodeError, match="bad_time"):
            ticks_to_ns(np.array(ticks, np.uint64), 1.0, 0.0, 1)
    with pytest.raises(DecodeError, match="bad_time"):
        ticks_to_ns(np.array([5, np.nan]), 1.0, 0.0, 1)


def test_time_of_the_last_sample_is_taken_back_to_the_first() -> None:
    assert start_ns(10**9, "last", 101, 100.0) == 0
    assert start_ns(10**9, "first", 101, 100.0) == 10**9
    for time_ns, of, rate_hz in ((10**9 - 1, "last", 100.0), (MAX_NS, "first", 100.0), (0, "first", 1e-300)):
        with pytest.raises(DecodeError, match="bad_time"):
            start_ns(time_ns, of, 101, rate_hz)


@pytest.mark.parametrize("zone", ["Europe/Atlantis", "../etc/passwd", "", "Europe"])
def test_zone_that_does_not_exist_is_named(zone: str) -> None:
    with pytest.raises(ValueError, match="an IANA zone"):
        TimeReader("iso8601", zone)
