"""Declarative binary frames."""

from __future__ import annotations

import struct
from typing import Any, Literal

import numpy as np
import pytest

from schemas.errors import ConfigError
from schemas.mapping import BinaryMapping
from signals.block import Block, DecodeError
from signals.codecs import BinaryDecoder
from signals.codecs.binary_fields import _BYTES

NAN = float("nan")
XY = [{"name": "x", "type": "float32"}, {"name": "y", "type": "float32"}]


def _decoder(channels: list[str], **mapping: Any) -> BinaryDecoder:
    return BinaryDecoder(BinaryMapping.model_validate(mapping), ["{device}"], channels, 10.0)


def _decode(payload: bytes, channels: list[str], **mapping: Any) -> Block:
    (block,) = _decoder(channels, **mapping).decode("pump", payload)
    return block


def _reason(payload: bytes, channels: list[str], **mapping: Any) -> str:
    with pytest.raises(DecodeError) as refusal:
        _decode(payload, channels, **mapping)
    return refusal.value.reason


def _encoded(value: int, kind: str, endian: Literal["little", "big"]) -> bytes:
    if kind.startswith("float"):
        return struct.pack((">" if endian == "big" else "<") + {"float32": "f", "float64": "d"}[kind], value)
    return value.to_bytes(_BYTES[kind], endian, signed=not kind.startswith("u"))


@pytest.mark.parametrize("endian", ["little", "big"])
@pytest.mark.parametrize("layout", ["rows", "columns"])
@pytest.mark.parametrize("kind", sorted(_BYTES))
def test_every_type_is_read_in_both_orders_and_layouts(
    kind: str, layout: str, endian: Literal["little", "big"]
) -> None:
    low = 0 if kind.startswith("u") else -(2 ** (8 * min(_BYTES[kind], 3) - 1))
    x, y = [low, 1, 2], [3, 100, 5]
    # With a byte in front nothing is aligned; with a skipped field between, nothing is contiguous.
    for between in ([], [{"name": "_", "type": "uint8"}]):
        fields = [{"name": "x", "type": kind}, *between, {"name": "y", "type": kind}]
        columns = [
            [_encoded(value, kind, endian) for value in x],
            [b"\0"] * 3,
            [_encoded(value, kind, endian) for value in y],
        ]
        if not between:
            del columns[1]
        ordered = zip(*columns, strict=True) if layout == "rows" else columns
        payload = b"\x7f" + b"".join(part for parts in ordered for part in parts)
        block = _decode(payload, ["y", "x"], magic="7f", fields=fields, layout=layout, endian=endian)
        assert block.values.tolist() == [y, x]
        assert block.values.dtype == np.float32
        assert block.rate_hz == 10.0


def test_plain_float32_rows_are_a_view_of_the_payload() -> None:
    payload = np.arange(8, dtype="<f4").tobytes()
    block = _decode(payload, ["x", "y"], fields=XY)
    assert np.shares_memory(block.values, np.frombuffer(payload, np.uint8))
    assert block.values.tolist() == [[0, 2, 4, 6], [1, 3, 5, 7]]


def test_scale_and_offset_are_applied_in_double_precision() -> None:
    fields = [{"name": "x", "type": "int32", "scale": 1e-3, "offset": 0.5}]
    raw = [16_777_217, -3]
    block = _decode(struct.pack("<2i", *raw), ["x"], fields=fields)
    assert block.values.tolist() == [[float(np.float32(value * 1e-3 + 0.5)) for value in raw]]


@pytest.mark.parametrize(("kind", "code"), [("int16", -32768), ("uint16", 65535), ("int24", -8388608), ("float32", 99)])
def test_code_for_no_value_is_nan_before_scaling(kind: str, code: int) -> None:
    fields = [{"name": "x", "type": kind, "scale": 0.5, "not_available": code}]
    payload = b"".join(_encoded(value, kind, "little") for value in (4, code, 6))
    np.testing.assert_array_equal(_decode(payload, ["x"], fields=fields).values, [[2.0, NAN, 3.0]])
    assert _reason(_encoded(code, kind, "little"), ["x"], fields=fields) == "missing_field"


def test_nan_of_a_float_is_a_missing_value_and_infinity_is_refused() -> None:
    block = _decode(struct.pack("<4f", 1, NAN, 2, NAN), ["x", "y"], fields=XY)
    assert (block.channels, block.values.tolist()) == ((0,), [[1.0, 2.0]])
    assert _reason(struct.pack("<4f", 1, NAN, 2, float("-inf")), ["x", "y"], fields=XY) == "not_finite"
    assert _reason(struct.pack("<d", 1e39), ["x"], fields=[{"name": "x", "type": "float64"}]) == "not_finite"
    large = [{"name": "x", "type": "uint8", "scale": 1e38}]
    assert _reason(b"\xff", ["x"], fields=large) == "not_finite"
    assert _decode(b"\x01", ["x"], fields=large).values.tolist() == [[pytest.approx(1e38)]]


def test_signalling_nan_is_a_missing_value_and_no_warning() -> None:
    for scale in (1.0, 2.0):
        fields = [{"name": "x", "type": "float32", "scale": scale}]
        assert _reason(bytes.fromhex("0100807f"), ["x"], fields=fields) == "missing_field"


HEADER = [{"name": "n", "type": "uint8"}, {"name": "id", "type": "uint16"}, {"name": "t", "type": "uint32"}]
BYTE = [{"name": "x", "type": "int8"}]


def test_header_gives_count_device_and_time() -> None:
    mapping = {"header": HEADER, "fields": BYTE, "count": "n", "device": "id", "time": {"field": "t", "of": "last"}}
    checksum = b"\xaa\xbb"
    block = _decode(struct.pack("<BHI3b", 3, 513, 1000, 1, -2, 3) + checksum, ["x"], **mapping)
    assert (block.device, block.values.tolist(), block.t0_ns) == ("513", [[1.0, -2.0, 3.0]], 800_000_000)
    assert _decoder(["x"], **mapping).decode("pump", struct.pack("<BHI", 0, 513, 1000)) == []
    assert _reason(struct.pack("<BHI3b", 4, 513, 1000, 1, -2, 3), ["x"], **mapping) == "bad_frame"


def test_negative_count_is_refused() -> None:
    assert _reason(b"\xff\x01", ["x"], header=[{"name": "n", "type": "int8"}], count="n", fields=BYTE) == "bad_frame"


@pytest.mark.parametrize(
    ("field", "raw", "unit", "time_ns"),
    [
        ({"type": "int64"}, struct.pack("<q", 1795219056125001003), "ns", 1795219056125001003),
        ({"type": "float64"}, struct.pack("<d", 1680962879.62), "s", 1680962879620000000),
        ({"type": "uint32", "scale": 25.0}, struct.pack("<I", 2**32 - 1), "us", (2**32 - 1) * 25_000),
        ({"type": "int24", "scale": 39.0625}, b"\x02\x00\x00", "us", 78_125),
        ({"type": "uint32", "offset": 1.5e9}, struct.pack("<I", 5), "s", 1_500_000_005 * 10**9),
    ],
)
def test_clock_of_the_frame_is_exact(field: dict[str, Any], raw: bytes, unit: str, time_ns: int) -> None:
    t = {"name": "t", **field}
    first = _decode(raw + b"\1\2", ["x"], header=[t], fields=BYTE, time={"field": "t", "unit": unit})
    assert first.t0_ns == time_ns
    each = _decode((raw + b"\1") * 2, ["x"], fields=[t, *BYTE], time={"field": "t", "unit": unit, "of": "each"})
    assert each.t_ns is not None
    assert each.t_ns.dtype == np.int64
    assert (each.t_ns.tolist(), each.t0_ns, each.rate_hz) == ([time_ns] * 2, None, None)


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        ("int64", struct.pack("<q", -1)),
        ("uint64", b"\xff" * 8),
        ("float64", struct.pack("<d", NAN)),
        ("float32", b"\0\0\x80\x7f"),
    ],
)
def test_clock_that_shows_no_time_is_refused(kind: str, raw: bytes) -> None:
    t = {"name": "t", "type": kind}
    assert _reason(raw + b"\1", ["x"], header=[t], fields=BYTE, time={"field": "t"}) == "bad_time"
    assert _reason(raw + b"\1", ["x"], fields=[t, *BYTE], time={"field": "t", "of": "each"}) == "bad_time"


@pytest.mark.parametrize(
    "payload", [b"", b"\x01", b"\x01\x02", b"\x02" + bytes(12), b"\x01\x02" + bytes(7), b"\x01\x02" + bytes(10)]
)
def test_frame_that_does_not_fit_is_refused(payload: bytes) -> None:
    mapping: dict[str, Any] = {"magic": "01", "header": [{"name": "_", "type": "int16"}], "fields": XY}
    assert _reason(payload, ["x"], **mapping) == "bad_frame"


def test_frame_of_no_samples_is_no_block() -> None:
    assert _decoder(["x"], magic="01", fields=XY).decode("pump", b"\x01") == []
    assert _reason(b"", ["x"], fields=XY) == "bad_frame"


def test_fields_that_contradict_themselves_are_all_named() -> None:
    with pytest.raises(ConfigError) as error:
        _decoder(
            ["x"],
            header=[{"name": "n", "type": "float32"}, {"name": "id", "type": "uint8", "scale": 2.0}],
            fields=[{"name": "x", "type": "int16", "not_available": 0x8000}, {"name": "x", "type": "int8"}],
            count="n",
            device="id",
        )
    assert error.value.problems == [
        "fields: 'x' expected once",
        "fields.x.not_available: -32768 to 32767 (int16) expected, got 32768",
        "count: an integer field without scale and offset expected, got 'n' (float32)",
        "device: an integer field without scale and offset expected, got 'id' (uint8)",
    ]


def test_neighbours_of_one_type_keep_their_own_scale_and_offset() -> None:
    plain = {"type": "int16", "scale": 0.5}
    for odd in ({"scale": 2.0}, {"offset": 1.0}, {"type": "uint16"}):
        fields = [{"name": "x", **plain}, {"name": "y", **plain, **odd}]
        expected = {"scale": [-1.0, -4.0], "offset": [-1.0, 0.0], "type": [-1.0, 65534 * 0.5]}[next(iter(odd))]
        assert _decode(struct.pack("<2h", -2, -2), ["x", "y"], fields=fields).values[:, 0].tolist() == expected
