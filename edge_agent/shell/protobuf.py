"""The wire format of protobuf (protobuf.dev/programming-guides/encoding), with bounds checked everywhere.

A gateway installs no protobuf package for the one file that it reads, and this reader refuses what others merge.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT_BYTES = 10


class FormatError(ValueError):
    """The bytes are no ONNX file that this reader accepts; the text says where and what was expected."""


class Field(NamedTuple):
    """One field of a message: its number, and a number or bytes."""

    number: int
    value: int | memoryview


class Once:
    """Refuses a field that stands twice where one may stand."""

    def __init__(self, where: str, singular: set[int]) -> None:
        self._where = where
        self._singular = singular
        self._seen: set[int] = set()

    def check(self, number: int) -> None:
        """Note a field; FormatError if it was there before."""
        if number in self._singular:
            if number in self._seen:
                raise FormatError(f"{self._where}: field {number} once expected, got it twice")
            self._seen.add(number)


def fields(data: memoryview, where: str) -> Iterator[Field]:
    """The fields of a message in their order; FormatError where the bytes end early or make no sense."""
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at, where)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise FormatError(f"{where}: a field number expected, got 0")
        if kind == _VARINT:
            value, at = _varint(data, at, where)
            yield Field(number, value)
            continue
        if kind == _BYTES:
            length, at = _varint(data, at, where)
        elif kind in {_FIXED64, _FIXED32}:
            length = 8 if kind == _FIXED64 else 4
        else:
            raise FormatError(f"{where}: a wire type of protobuf 3 expected, got {kind}")
        if length > end - at:
            raise FormatError(
                f"{where}: {length} bytes expected at byte {at}, got {end - at}: the file is truncated or damaged"
            )
        piece = data[at : at + length]
        at += length
        yield Field(number, piece if kind == _BYTES else int.from_bytes(piece, "little"))


def _varint(data: memoryview, at: int, where: str) -> tuple[int, int]:
    value = 0
    for position in range(_MAX_VARINT_BYTES):
        if at >= len(data):
            raise FormatError(f"{where}: more bytes expected: the file is truncated")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
    raise FormatError(f"{where}: a number of at most {_MAX_VARINT_BYTES} bytes expected")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def as_int(value: int | memoryview, where: str) -> int:
    """The value as a signed 64-bit number; FormatError for bytes."""
    if not isinstance(value, int):
        raise FormatError(f"{where}: a number expected, got bytes")
    return _signed(value)


def as_ints(value: int | memoryview, where: str) -> list[int]:
    """The numbers of a repeated field, packed or not."""
    if isinstance(value, int):
        return [_signed(value)]
    numbers, at = [], 0
    while at < len(value):
        number, at = _varint(value, at, where)
        numbers.append(_signed(number))
    return numbers


def as_bytes(value: int | memoryview, where: str) -> memoryview:
    """The value as bytes; FormatError for a number."""
    if isinstance(value, int):
        raise FormatError(f"{where}: bytes expected, got a number")
    return value


def as_text(value: int | memoryview, where: str) -> str:
    """The value as text; FormatError where it is no UTF-8."""
    try:
        return bytes(as_bytes(value, where)).decode()
    except UnicodeDecodeError as error:
        raise FormatError(f"{where}: UTF-8 expected, got {error.reason}") from error
