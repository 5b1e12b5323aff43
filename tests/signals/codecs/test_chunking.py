"""How a stream was cut into messages never shows: the same times and values, however it was batched and encoded."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from schemas.mapping import Mapping
from signals.block import Block
from signals.codecs import compile_decoder

_MAPPING: TypeAdapter[Any] = TypeAdapter(Mapping)
RATE_HZ = 64.0
PERIOD_NS = 15_625_000
START_NS = 1_795_219_056_125_000_003  # no multiple of anything, and more than a double holds

Rows = list[tuple[float | None, float | None]]
Encoder = Callable[[int, Rows], bytes]


def _time_ns(number: int) -> int:
    return START_NS + number * PERIOD_NS


def _last(first: int, rows: Rows) -> int:
    return _time_ns(first + len(rows) - 1)


def _json_columns(first: int, rows: Rows) -> bytes:
    x, y = zip(*rows, strict=True)
    return json.dumps({"t": _last(first, rows), "x": x, "y": y}).encode()


def _json_rows(first: int, rows: Rows) -> bytes:
    return json.dumps({"t": _time_ns(first), "rows": rows}).encode()


def _json_objects(first: int, rows: Rows) -> bytes:
    return json.dumps([{"t": _time_ns(first + i), "x": x, "y": y} for i, (x, y) in enumerate(rows)]).encode()


def _floats(values: Iterator[float | None] | list[float | None]) -> bytes:
    return np.array([np.nan if value is None else value for value in values], "<f4").tobytes()


def _binary_rows(first: int, rows: Rows) -> bytes:
    return struct.pack("<Q", _time_ns(first)) + _floats([value for row in rows for value in row])


def _binary_columns(first: int, rows: Rows) -> bytes:
    return struct.pack("<Q", _last(first, rows)) + _floats([row[i] for i in (0, 1) for row in rows])


def _binary_each(first: int, rows: Rows) -> bytes:
    return b"".join(struct.pack("<Q", _time_ns(first + i)) + _floats(list(row)) for i, row in enumerate(rows))


_XY = [{"name": "x", "type": "float32"}, {"name": "y", "type": "float32"}]
_T = {"name": "t", "type": "uint64"}
ENCODINGS: dict[str, tuple[Encoder, dict[str, Any]]] = {
    "json columns": (
        _json_columns,
        {"format": "json", "channels": {"x": "x", "y": "y"}, "time": {"path": "t", "unit": "ns", "of": "last"}},
    ),
    "json rows": (
        _json_rows,
        {
            "format": "json",
            "channels": {"x": "[0]", "y": "[1]"},
            "samples": "rows",
            "time": {"path": "t", "unit": "ns"},
        },
    ),
    "json objects": (
        _json_objects,
        {
            "format": "json",
            "channels": {"x": "x", "y": "y"},
            "samples": "$",
            "time": {"path": "t", "unit": "ns", "of": "each"},
        },
    ),
    "binary rows": (
        _binary_rows,
        {"format": "binary", "header": [_T], "fields": _XY, "time": {"field": "t", "unit": "ns"}},
    ),
    "binary columns": (
        _binary_columns,
        {
            "format": "binary",
            "header": [_T],
            "fields": _XY,
            "layout": "columns",
            "time": {"field": "t", "unit": "ns", "of": "last"},
        },
    ),
    "binary each": (
        _binary_each,
        {"format": "binary", "fields": [_T, *_XY], "time": {"field": "t", "unit": "ns", "of": "each"}},
    ),
}


def _samples(block: Block) -> Iterator[tuple[int, float | None, float | None]]:
    """Every sample with its time; a channel that is absent has no value."""
    for index in range(block.values.shape[1]):
        if block.t_ns is not None:
            time_ns = int(block.t_ns[index])
        else:
            assert block.t0_ns is not None
            time_ns = block.t0_ns + (round(index * 1e9 / block.rate_hz) if block.rate_hz else 0)
        found: list[float | None] = [None, None]
        for channel, row in zip(block.channels, block.values, strict=True):
            found[channel] = None if np.isnan(row[index]) else float(row[index])
        yield time_ns, found[0], found[1]


_VALUES = st.floats(-1e6, 1e6, width=32)


@pytest.mark.parametrize("name", ENCODINGS)
@given(data=st.data())
def test_any_chunking_gives_back_the_times_and_values_that_went_in(name: str, data: st.DataObject) -> None:
    encode, mapping = ENCODINGS[name]
    decoder = compile_decoder(_MAPPING.validate_python(mapping), ["{device}"], ["x", "y"], RATE_HZ)
    # x is always there: a message without any value is refused, which says nothing about chunks.
    rows: Rows = data.draw(st.lists(st.tuples(_VALUES, _VALUES | st.none()), min_size=1, max_size=20))
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(rows) - 1)), max_size=5)) | {0, len(rows)})
    found = []
    for begin, end in pairwise(cuts):
        (block,) = decoder.decode("a", encode(begin, rows[begin:end]))
        found += list(_samples(block))
    assert found == [(_time_ns(number), x, y) for number, (x, y) in enumerate(rows)]
