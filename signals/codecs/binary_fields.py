"""The fields of a binary frame: where each one stands, its numpy type, and how its raw values become numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.mapping import BinaryField, BinaryMapping
from signals.block import FloatArray
from signals.codecs.float32 import is_float32

_BYTES = {
    "int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "int24": 3, "int32": 4, "uint32": 4,
    "int64": 8, "uint64": 8, "float32": 4, "float64": 8,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class FrameField:
    """One compiled field.

    Attributes
    ----------
    position : int
        Bytes from the start of the frame (header) or of the sample.
    n_bytes : int
        Width; 3 for int24, which numpy does not have and which is read as bytes.
    is_scaled : bool
        The raw value is not the value already.
    is_always_finite : bool
        No raw value can become NaN or overflow float32.
    """

    name: str
    position: int
    n_bytes: int
    dtype: np.dtype[Any]
    scale: float
    offset: float
    not_available: int | None
    is_big_endian: bool
    is_signed: bool
    is_scaled: bool
    is_always_finite: bool

    def raw(self, payload: bytes, base: int, n_samples: int, stride: int) -> NDArray[Any]:
        """The raw values: a view of ``n_samples`` values from byte ``base + position``, ``stride`` bytes apart.

        The caller has checked that the payload is long enough.
        """
        start = base + self.position
        if self.n_bytes != 3:
            return np.ndarray((n_samples,), self.dtype, payload, start, (stride,))
        parts = np.ndarray((n_samples, 3), np.uint8, payload, start, (stride, 1)).astype(np.int32)
        high, low = (0, 2) if self.is_big_endian else (2, 0)
        unsigned = (parts[:, high] << 16) | (parts[:, 1] << 8) | parts[:, low]
        # Sign extension of 24 bits: flip the sign bit, take its weight away.
        return (unsigned ^ 0x800000) - 0x800000

    def number(self, payload: bytes, base: int) -> float:
        """The raw value of one field of the header, an int where the field is one."""
        if self.dtype.kind != "f":
            return self.whole(payload, base)
        return float(self.raw(payload, base, 1, 0)[0])

    def whole(self, payload: bytes, base: int) -> int:
        """The raw value of an integer field of the header."""
        return int.from_bytes(
            payload[base + self.position : base + self.position + self.n_bytes],
            "big" if self.is_big_endian else "little",
            signed=self.is_signed,
        )

    def scaled(self, raw: NDArray[Any]) -> FloatArray:
        """``raw * scale + offset``, computed in double precision, as float32; a view where that changes nothing."""
        if self.is_always_finite:
            if not self.is_scaled:
                return raw.astype(np.float32)
            values: NDArray[np.float64] = raw * np.float64(self.scale) + self.offset
            return values.astype(np.float32)
        if not self.is_scaled and self.dtype == np.float32:
            return raw.astype(np.float32, copy=False)
        # What overflows becomes infinity and is refused by the decoder; a warning a message would say it twice.
        with np.errstate(all="ignore"):
            return (raw.astype(np.float64) * self.scale + self.offset).astype(np.float32)


def place_fields(fields: Sequence[BinaryField], endian: str, start: int) -> tuple[list[FrameField], int]:
    """The fields one behind the other from byte ``start``, and the byte after the last.

    Examples
    --------
    >>> fields, end = place_fields(
    ...     [BinaryField(name="tag", type="uint8"), BinaryField(name="x", type="int24")], "big", 2
    ... )
    >>> [(field.name, field.position) for field in fields], end
    ([('tag', 2), ('x', 3)], 6)
    """
    placed = []
    for field in fields:
        n_bytes = _BYTES[field.type]
        # int24 is handled in int32: same sign, never read from the payload with this type.
        dtype = np.dtype("int32" if field.type == "int24" else field.type).newbyteorder(
            "<" if endian == "little" else ">"
        )
        placed.append(
            FrameField(
                name=field.name,
                position=start,
                n_bytes=n_bytes,
                dtype=dtype,
                scale=field.scale,
                offset=field.offset,
                not_available=field.not_available,
                is_big_endian=endian == "big",
                is_signed=dtype.kind != "u",
                is_scaled=(field.scale, field.offset) != (1.0, 0.0),
                is_always_finite=dtype.kind != "f"
                and field.not_available is None
                and is_float32(abs(field.scale) * 2.0 ** (8 * n_bytes) + abs(field.offset)),
            )
        )
        start += n_bytes
    return placed, start


def field_problems(mapping: BinaryMapping) -> list[str]:
    """One line for everything about the fields that the schema alone cannot see.

    Examples
    --------
    >>> field_problems(BinaryMapping(fields=[BinaryField(name="x", type="int16", not_available=0x8000)]))
    ['fields.x.not_available: -32768 to 32767 (int16) expected, got 32768']
    """
    lines = []
    for where, fields in (("header", mapping.header), ("fields", mapping.fields)):
        names = [field.name for field in fields if not field.name.startswith("_")]
        lines += [
            f"{where}: {name!r} expected once" for name in sorted({name for name in names if names.count(name) > 1})
        ]
        lines += [line for field in fields for line in _range_problems(field, f"{where}.{field.name}")]
    in_header = {field.name: field for field in mapping.header}
    for role, name in (("count", mapping.count), ("device", mapping.device)):
        if name is None:
            continue
        field = in_header[name]
        if field.type.startswith("float") or field.scale != 1.0 or field.offset != 0.0:
            lines.append(f"{role}: an integer field without scale and offset expected, got {name!r} ({field.type})")
    return lines


def _range_problems(field: BinaryField, where: str) -> list[str]:
    if field.not_available is None or field.type.startswith("float"):
        return []
    bits = 8 * _BYTES[field.type]
    low, high = (0, 2**bits - 1) if field.type.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    if low <= field.not_available <= high:
        return []
    return [f"{where}.not_available: {low} to {high} ({field.type}) expected, got {field.not_available}"]
