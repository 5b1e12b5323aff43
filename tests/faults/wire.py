"""The MQTT 5 packets of the oracle, written out: its word must not depend on the client library that is under test."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

CONNACK, PUBLISH, PUBACK, SUBACK, UNSUBACK = 0x20, 0x30, 0x40, 0x90, 0xB0
RECEIVE_MAXIMUM = 65_535
_TYPE_MASK = 0xF0
_QOS_1 = 0x02
_DUP = 0x08
_RETAIN = 0x01
_SESSION_EXPIRY = b"\x11"
_RECEIVE_MAXIMUM = b"\x21"


class Packet(NamedTuple):
    """Type (upper half of the first byte), flags (lower half) and body."""

    kind: int
    flags: int
    body: bytes


class Message(NamedTuple):
    """What a PUBLISH carries; ``mid`` 0 = QoS 0."""

    topic: str
    payload: bytes
    mid: int
    is_retained: bool


def connect(client_id: str, *, clean_start: bool = False, expiry_s: int = 86_400) -> bytes:
    """CONNECT with a session of its own and no keep-alive (MQTT 5.0, section 3.1)."""
    properties = _SESSION_EXPIRY + struct.pack(">I", expiry_s) + _RECEIVE_MAXIMUM + struct.pack(">H", RECEIVE_MAXIMUM)
    head = _text("MQTT") + b"\x05" + (b"\x02" if clean_start else b"\x00") + b"\x00\x00"
    return _packet(0x10, head + _varint(len(properties)) + properties + _text(client_id))


def subscribe(*filters: str) -> bytes:
    """SUBSCRIBE at QoS 1, without retained messages (section 3.8)."""
    return _packet(0x82, b"\x00\x01\x00" + b"".join(_text(text) + b"\x21" for text in filters))


def unsubscribe(*filters: str) -> bytes:
    """UNSUBSCRIBE (section 3.10)."""
    return _packet(0xA2, b"\x00\x02\x00" + b"".join(_text(text) for text in filters))


def publish(topic: bytes, payload: bytes, mid: int, *, is_repeat: bool = False) -> bytes:
    """PUBLISH at QoS 1 (section 3.3)."""
    first = PUBLISH | _QOS_1 | (_DUP if is_repeat else 0)
    return _packet(first, struct.pack(">H", len(topic)) + topic + struct.pack(">H", mid) + b"\x00" + payload)


def puback(mid: int) -> bytes:
    """PUBACK of success (section 3.4)."""
    return struct.pack(">BBH", PUBACK, 2, mid)


def read_puback(body: bytes) -> tuple[int, int]:
    """Packet identifier and reason code of a PUBACK."""
    return int.from_bytes(body[:2]), body[2] if len(body) > 2 else 0


def read_publish(packet: Packet) -> Message:
    """What a PUBLISH carries; its properties are passed over."""
    body = packet.body
    at = 2 + int.from_bytes(body[:2])
    topic, mid = body[2:at].decode(), 0
    if packet.flags & _QOS_1:
        mid = int.from_bytes(body[at : at + 2])
        at += 2
    length, at = _read_varint(body, at)
    return Message(topic, body[at + length :], mid, bool(packet.flags & _RETAIN))


def split(buffer: bytearray) -> Iterator[Packet]:
    r"""Each whole packet, which is taken out of the buffer.

    Examples
    --------
    >>> buffer = bytearray(puback(7) + publish(b"a", b"xy", 1)[:3])
    >>> [packet.kind for packet in split(buffer)], len(buffer)
    ([64], 3)
    """
    at = 0
    while len(buffer) - at >= 2:
        length, body = _read_varint(buffer, at + 1)
        if body < 0 or len(buffer) < body + length:
            break
        yield Packet(buffer[at] & _TYPE_MASK, buffer[at] & ~_TYPE_MASK, bytes(buffer[body : body + length]))
        at = body + length
    del buffer[:at]


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack(">H", len(raw)) + raw


def _varint(size: int) -> bytes:
    out = b""
    while True:
        size, low = divmod(size, 128)
        out += bytes([low | (0x80 if size else 0)])
        if not size:
            return out


def _read_varint(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """The integer (section 1.5.5) and the position behind it; position -1 = not whole."""
    value = shift = 0
    while at < len(data):
        byte = data[at]
        value |= (byte & 0x7F) << shift
        shift += 7
        at += 1
        if byte < 0x80:
            return value, at
    return 0, -1


def _packet(first: int, body: bytes) -> bytes:
    return bytes([first]) + _varint(len(body)) + body
