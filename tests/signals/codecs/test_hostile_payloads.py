"""Whatever the bytes: blocks, or a DecodeError of a known reason. Nothing else, not even a warning."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from schemas.mapping import Mapping
from signals.block import Block, DecodeError
from signals.codecs import Decoder, compile_decoder

_MAPPING: TypeAdapter[Any] = TypeAdapter(Mapping)
CHANNELS = ["x", "y"]
REASONS = {
    "bad_topic",
    "not_json",
    "not_text",
    "missing_field",
    "not_a_number",
    "not_finite",
    "bad_time",
    "bad_device",
    "bad_shape",
    "bad_frame",
}
_TIME = {"path": "t", "unit": "ms"}
_COLUMNS = {"format": "json", "channels": {"x": "x", "y": "y"}}
_ROWS = {"format": "json", "channels": {"x": "[0]", "y": "[1]"}, "samples": "x"}
_ANY = [{"name": "x", "type": "float32"}, {"name": "y", "type": "float32"}]
_MIXED = [
    {"name": "x", "type": "float64", "scale": 1e30},
    {"name": "y", "type": "int24", "not_available": 0},
    {"name": "t", "type": "float32"},
]
MAPPINGS: dict[str, dict[str, Any]] = {
    "json columns": _COLUMNS,
    "json columns, time": {**_COLUMNS, "time": {**_TIME, "of": "last"}, "device": "d"},
    "json columns, ISO 8601": {**_COLUMNS, "time": {"path": "t", "zone": "Europe/Berlin"}},
    "json columns, each": {**_COLUMNS, "time": {**_TIME, "of": "each"}},
    "json rows": _ROWS,
    "json rows, each": {**_ROWS, "time": {**_TIME, "path": "[1]", "of": "each"}},
    "json rows of objects": {**_COLUMNS, "samples": "$", "time": {**_TIME, "of": "each"}},
    "json rows, mixed paths": {"format": "json", "channels": {"x": "$", "y": "x[0].y"}, "samples": "x"},
    "scalar": {"format": "scalar", "channel": "x", "values": {"ON": 1.0}},
    "binary": {"format": "binary", "fields": _ANY},
    "binary, columns": {"format": "binary", "fields": _ANY, "layout": "columns", "endian": "big"},
    "binary, mixed": {"format": "binary", "fields": _MIXED, "time": {"field": "t", "unit": "s", "of": "each"}},
    "binary, header": {
        "format": "binary",
        "header": [{"name": "n", "type": "int8"}, {"name": "t", "type": "float64", "scale": 1e300}],
        "count": "n",
        "device": "n",
        "fields": _MIXED,
        "layout": "columns",
        "time": {"field": "t", "of": "last"},
    },
}


def _compile(mapping: dict[str, Any]) -> Decoder:
    channels = ["x"] if mapping["format"] == "scalar" else CHANNELS
    return compile_decoder(_MAPPING.validate_python(mapping), ["{device}"], channels, 10.0)


DECODERS = {name: _compile(mapping) for name, mapping in MAPPINGS.items()}


def assert_refused_or_sound(decoder: Decoder, topic: str, payload: bytes) -> None:
    try:
        blocks = decoder.decode(topic, payload)
    except DecodeError as error:
        refusal = error
    else:
        for block in blocks:
            assert_sound(block)
        return
    assert refusal.reason in REASONS
    assert len(refusal.detail) < 400


def assert_sound(block: Block) -> None:
    n_samples = block.values.shape[1]
    assert block.device
    assert block.values.dtype == np.float32
    assert block.values.shape == (len(block.channels), n_samples)
    assert len(block.channels) > 0
    assert n_samples > 0
    assert not np.isinf(block.values).any()
    assert not np.isnan(block.values).all(axis=1).any()
    assert list(block.channels) == sorted(set(block.channels))
    if block.t_ns is not None:
        assert block.t_ns.shape == (n_samples,)
        assert block.t_ns.dtype == np.int64
        assert (block.t_ns >= 0).all()
    if block.t0_ns is not None:
        assert 0 <= block.t0_ns < 2**63


_JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["x", "y", "t", "d"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("name", DECODERS)
@given(payload=st.binary(max_size=200), topic=st.sampled_from(["a", "", "a/b"]))
def test_arbitrary_bytes_are_refused_or_sound(name: str, payload: bytes, topic: str) -> None:
    assert_refused_or_sound(DECODERS[name], topic, payload)


@pytest.mark.parametrize("name", [name for name in DECODERS if name.startswith("json")])
@given(message=_JSON_VALUES)
def test_arbitrary_json_is_refused_or_sound(name: str, message: object) -> None:
    assert_refused_or_sound(DECODERS[name], "a", json.dumps(message).encode())


@given(text=st.text(max_size=40))
def test_arbitrary_text_is_refused_or_sound(text: str) -> None:
    assert_refused_or_sound(DECODERS["scalar"], "a", text.encode())


@given(topic=st.text(max_size=30))
def test_arbitrary_topic_is_refused_or_names_a_device(topic: str) -> None:
    assert_refused_or_sound(DECODERS["json columns"], topic, b'{"x": 1}')


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"[" * 65_536, "not_json"),
        (b"[" * 1000 + b"]" * 1000, "missing_field"),
        (b'{"x":' + b"[" * 1000 + b"]" * 1000 + b"}", "bad_shape"),
        (b'{"x":[' + b"[" * 1000 + b"]" * 1000 + b"]}", "bad_shape"),
        (b'{"x":' + b'{"x":' * 1000 + b"1" + b"}" * 1001, "not_a_number"),
        (b'{"x":1' + b"0" * 400 + b"}", "not_json"),
        (b'{"x":1' + b"0" * 40 + b"}", "not_finite"),
        (b'{"x":1e400}', "not_json"),
        (b'{"x":NaN}', "not_json"),
        (b'{"x":Infinity}', "not_json"),
        (b'\xef\xbb\xbf{"x":1}', "not_json"),
        ('{"x":1}'.encode("utf-16"), "not_json"),
        (b'{"x":"\\ud800"}', "not_json"),
        (b'{"x":"\xed\xa0\x80"}', "not_json"),
        (b'{"x":"\\u0000"}', "not_a_number"),
        (b'{"x":1}{"x":2}', "not_json"),
        (b'{"x":1,}', "not_json"),
        (b"", "not_json"),
        (b'{"x":"' + b"9" * 65_000 + b'"}', "not_a_number"),
    ],
    ids=lambda value: repr(value)[:24] if isinstance(value, bytes) else value,
)
def test_hostile_json_is_refused_in_one_short_line(payload: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as refusal:
        DECODERS["json columns"].decode("a", payload)
    assert refusal.value.reason == reason
    assert len(str(refusal.value)) < 250
    assert "\n" not in str(refusal.value)


def test_last_of_two_equal_keys_counts() -> None:
    (block,) = DECODERS["json columns"].decode("a", b'{"x": 1, "x": 2}')
    assert block.values.tolist() == [[2.0]]
