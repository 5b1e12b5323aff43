"""The few MQTT 3.1.1 packets that a publisher and a collector need, written out: neither may cost what it measures."""

from __future__ import annotations

import struct
from collections.abc import Iterator

_MAX_PACKET_ID = 65_535

CONNACK_BYTES = 4
PUBACK_BYTES = 4


def connect(client_id: str) -> bytes:
    """CONNECT with a clean session and no keep-alive (MQTT 3.1.1, section 3.1)."""
    return _packet(0x10, _text("MQTT") + b"\x04\x02\x00\x00" + _text(client_id))


def subscribe(*filters: str) -> bytes:
    """SUBSCRIBE at QoS 0 (section 3.8)."""
    return _packet(0x82, b"\x00\x01" + b"".join(_text(text) + b"\x00" for text in filters))


def publish(number: int, topic: str, payload: bytes) -> bytes:
    """PUBLISH at QoS 1, the ``number``-th of its connection, counted from 0 (section 3.3)."""
    return _packet(0x32, _text(topic) + struct.pack(">H", number % _MAX_PACKET_ID + 1) + payload)


def split(buffer: bytearray) -> Iterator[tuple[int, bytes]]:
    r"""Type byte and body of each whole packet, which are taken out of the buffer.

    Examples
    --------
    >>> buffer = bytearray(b"\xd0\x00" + publish(0, "a", b"xy")[:3])
    >>> list(split(buffer)), len(buffer)
    ([(208, b'')], 3)
    """
    at = 0
    while len(buffer) - at >= 2:
        length, shift, body = 0, 0, at + 1
        while body < len(buffer):
            byte = buffer[body]
            length |= (byte & 0x7F) << shift
            shift += 7
            body += 1
            if byte < 0x80:
                break
        else:
            break
        if len(buffer) < body + length:
            break
        yield buffer[at], bytes(buffer[body : body + length])
        at = body + length
    del buffer[:at]


def topic_and_payload(body: bytes) -> tuple[str, bytes]:
    """What a PUBLISH of QoS 0 carries."""
    stop = 2 + int.from_bytes(body[:2])
    return body[2:stop].decode(), body[stop:]


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack(">H", len(raw)) + raw


def _packet(kind: int, body: bytes) -> bytes:
    length, size = b"", len(body)
    while True:
        size, low = divmod(size, 128)
        length += bytes([low | (0x80 if size else 0)])
        if not size:
            return bytes([kind]) + length + body
