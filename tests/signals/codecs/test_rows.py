"""A reader of usual messages gives what ``decode`` gives, or nothing: it decides nothing by itself."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from schemas.mapping import Mapping
from signals.block import DecodeError
from signals.codecs import Decoder, compile_decoder
from tests.signals.codecs.test_hostile_payloads import MAPPINGS as HOSTILE

_MAPPING: TypeAdapter[Any] = TypeAdapter(Mapping)
_XY = {"format": "json", "channels": {"x": "x", "y": "y"}}
_FLOATS = [{"name": "x", "type": "float32"}, {"name": "y", "type": "float32"}]
_TICK = [{"name": "t", "type": "uint32"}]
MAPPINGS: dict[str, dict[str, Any]] = {
    **HOSTILE,
    "json, first": {**_XY, "time": {"path": "t", "unit": "ms"}},
    "json, last": {**_XY, "time": {"path": "t", "unit": "s", "of": "last"}},
    "json, deep": {"format": "json", "channels": {"x": "d.x", "y": "d.y"}, "time": {"path": "d.t", "unit": "ns"}},
    "json, iso": {**_XY, "time": {"path": "t"}},
    "json, other rate": {**_XY, "sampling_rate_hz": 50.0},
    "json rows, time": {**_XY, "samples": "rows", "time": {"path": "t", "unit": "ms", "of": "last"}},
    "json pairs": {"format": "json", "channels": {"x": "[0]", "y": "[1]"}, "samples": "x"},
    "binary, time": {"format": "binary", "header": _TICK, "fields": _FLOATS, "time": {"field": "t", "unit": "s"}},
    "binary, last": {
        "format": "binary",
        "magic": "a5",
        "endian": "big",
        "header": [{"name": "t", "type": "int64", "scale": 0.5}],
        "fields": [{"name": name, "type": "int16", "scale": 0.001, "offset": 1.0} for name in "yx"],
        "time": {"field": "t", "unit": "ms", "of": "last"},
    },
    "binary, columns last": {
        "format": "binary",
        "header": [{"name": "t", "type": "int24"}],
        "fields": _FLOATS,
        "layout": "columns",
        "time": {"field": "t", "unit": "us", "of": "last"},
    },
}


def _compile(mapping: dict[str, Any], rate_hz: float) -> Decoder:
    channels = ["x"] if mapping["format"] == "scalar" else ["x", "y"]
    return compile_decoder(_MAPPING.validate_python(mapping), ["{device}"], channels, rate_hz)


DECODERS = {(name, rate): _compile(mapping, rate) for name, mapping in MAPPINGS.items() for rate in (10.0, 0.01)}
ITEM = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(10**12), 10**19),
    st.none(),
    st.booleans(),
    st.text(max_size=3),
    st.sampled_from(["2026-11-20T23:57:36.125Z", 1e39, 3.4e38, 10**400]),
)
NUMBER = st.floats(-1e6, 1e6)
COLUMN = st.one_of(ITEM, NUMBER, st.lists(NUMBER, min_size=2, max_size=2), st.lists(ITEM, max_size=3))
MESSAGE = st.dictionaries(
    st.sampled_from(["t", "x", "y", "d", "rows"]), st.one_of(COLUMN, st.lists(COLUMN, max_size=3))
)
GOOD = st.fixed_dictionaries({"x": NUMBER, "y": NUMBER, "t": st.one_of(st.integers(0, 2**62), NUMBER)})
BATCH = st.integers(1, 5).flatmap(
    lambda n: st.fixed_dictionaries(
        {
            "x": st.lists(NUMBER, min_size=n, max_size=n),
            "y": st.lists(NUMBER, min_size=n, max_size=n),
            "t": st.one_of(st.integers(0, 2**63), st.just("2026-11-20T23:57:36.125Z")),
            "rows": st.lists(st.fixed_dictionaries({"x": NUMBER, "y": NUMBER}), min_size=n, max_size=n),
        }
    )
)
JSON = st.one_of(
    MESSAGE,
    GOOD,
    BATCH,
    GOOD.map(lambda good: {"d": good}),
    st.lists(st.lists(NUMBER, min_size=2, max_size=2), min_size=1, max_size=3).map(lambda rows: {"x": rows}),
).map(lambda document: json.dumps(document).encode())
FRAME = st.one_of(
    st.binary(max_size=40),
    st.lists(st.floats(width=32), min_size=1, max_size=9).map(lambda v: struct.pack(f"<{len(v)}f", *v)),
    st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 4)).map(
        lambda tn: struct.pack("<I", tn[0]) + np.arange(2.0 * tn[1], dtype="<f4").tobytes()
    ),
    st.tuples(st.integers(-(2**63), 2**63 - 1), st.binary(min_size=8, max_size=8)).map(
        lambda tb: b"\xa5" + struct.pack(">q", tb[0]) + tb[1]
    ),
)


def check(decoder: Decoder, payload: bytes, rate_hz: float) -> bool:
    """Whether the reader took the message."""
    if decoder.read_rows is None:
        return False
    rows = decoder.read_rows(payload)
    if rows is None:
        return False
    try:
        (block,) = decoder.decode("d", payload)
    except DecodeError as error:
        raise AssertionError(f"the reader took what is refused: {error}") from error
    assert block.channels == (0, 1)
    assert block.t_ns is None
    assert block.t0_ns == rows[0]
    assert block.rate_hz in {None, rate_hz}
    assert block.values.T.tobytes() == rows[1]
    assert np.isfinite(block.values).all()
    return True


@settings(max_examples=100, deadline=None)
@given(st.one_of(JSON, FRAME))
def test_a_reader_gives_what_decode_gives_or_nothing(payload: bytes) -> None:
    taken = [check(decoder, payload, rate) for (_, rate), decoder in DECODERS.items()]
    assert len(taken) == 2 * len(MAPPINGS)


USUAL = [
    ("json, first", b'{"t": 5, "x": 1.5, "y": 2}', (5_000_000, [1.5, 2.0])),
    ("json, last", b'{"t": 5, "x": [1, 2], "y": [3, 4]}', (4_900_000_000, [1.0, 3.0, 2.0, 4.0])),
    ("json, deep", b'{"d": {"t": 7, "x": true, "y": 0}}', (7, [1.0, 0.0])),
    ("json, iso", b'{"t": "1970-01-01T00:00:01Z", "x": 1, "y": 2}', (1_000_000_000, [1.0, 2.0])),
    ("json columns", b'{"x": 1, "y": 2}', (None, [1.0, 2.0])),
    ("json rows, time", b'{"t": 100, "rows": [{"x": 1, "y": 2}, {"y": 4, "x": 3}]}', (0, [1.0, 2.0, 3.0, 4.0])),
    ("json pairs", b'{"x": [[1, 2], [3, 4]]}', (None, [1.0, 2.0, 3.0, 4.0])),
    ("binary, time", struct.pack("<I2f", 2, 1.0, -1.0), (2_000_000_000, [1.0, -1.0])),
    ("binary, last", b"\xa5" + struct.pack(">q2h", 2, 1000, -1000), (1_000_000, [0.0, 2.0])),
    ("binary, columns last", b"\xe8\x03\x00" + struct.pack("<2f", 1.0, 2.0), (1_000_000, [1.0, 2.0])),
]


@pytest.mark.parametrize(("name", "payload", "expected"), USUAL)
def test_the_usual_message_takes_the_short_way(
    name: str, payload: bytes, expected: tuple[int | None, list[float]]
) -> None:
    decoder = DECODERS[name, 10.0]
    assert decoder.read_rows is not None
    rows = decoder.read_rows(payload)
    assert rows is not None
    assert rows[0] == expected[0]
    assert np.frombuffer(rows[1], np.float32).tolist() == pytest.approx(expected[1])
    assert check(decoder, payload, 10.0)


@pytest.mark.parametrize(
    "name", ["json columns, time", "json columns, each", "json, other rate", "scalar", "binary, header"]
)
def test_what_is_not_usual_by_its_mapping_has_no_reader(name: str) -> None:
    assert DECODERS[name, 10.0].read_rows is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_frame_with_a_number_that_is_none_is_left_to_decode(bad: float) -> None:
    read = DECODERS["binary, time", 10.0].read_rows
    assert read is not None
    assert read(struct.pack("<I4f", 1, 0.0, 1.0, bad, 2.0)) is None
    assert read(struct.pack("<I4f", 1, 0.0, 1.0, 1e18, 2.0)) is not None
