"""PUBLISH and PUBACK packets out of a piece of the byte stream, many at once: MQTT 5.0 and 3.1.1, sections 3.3, 3.4.

Anything that is no whole, well-formed PUBLISH of QoS 0 or 1, or PUBACK of success, is left to the client library.
"""

from __future__ import annotations

from typing import NamedTuple

_PUBLISH = 0x30
_TYPE_MASK = 0xF0
_QOS_MASK = 0x06
_RETAIN = 0x01
_MORE = 0x80
_SEVEN_BITS = 0x7F
_VARINT_BYTES = 4
_PUBACK_OF_SUCCESS = b"\x40\x02"


class Packet(NamedTuple):
    """One PUBLISH; ``mid`` None = QoS 0."""

    topic: bytes
    payload: bytes
    mid: int | None
    is_retained: bool


def read_publishes(data: bytes, at: int, *, is_5: bool, most: int) -> tuple[list[Packet], int]:
    """The PUBLISH packets that stand whole from ``at`` on, and the position behind the last of them.

    Parameters
    ----------
    data : bytes
        What was read of the connection; ``at`` is the start of a packet.
    at : int
    is_5 : bool
        MQTT 5: properties stand before the payload; they are passed over.
    most : int
        At most this many packets.

    Examples
    --------
    >>> read_publishes(bytes.fromhex("3206 0001 61 0007 2a") + b"@", 0, is_5=False, most=9)
    ([Packet(topic=b'a', payload=b'*', mid=7, is_retained=False)], 8)
    """
    packets: list[Packet] = []
    size = len(data)
    while len(packets) < most and at + 2 <= size:
        first = data[at]
        if first & _TYPE_MASK != _PUBLISH or first & _QOS_MASK > 2:
            break
        remaining, body = _varint(data, at + 1, size)
        end = body + remaining
        if body < 0 or end > size or remaining < 3:
            break
        topic_end = body + 2 + (data[body] << 8 | data[body + 1])
        start, mid = topic_end, None
        if first & _QOS_MASK:
            start += 2
            if start > end:
                break
            mid = data[topic_end] << 8 | data[topic_end + 1]
        if is_5 and start < end:
            if data[start]:
                length, start = _varint(data, start, end)
                if start < 0:
                    break
                start += length
            else:
                start += 1
        elif is_5:
            break
        if start > end or topic_end == body + 2 or mid == 0:
            break
        packets.append(Packet(data[body + 2 : topic_end], data[start:end], mid, bool(first & _RETAIN)))
        at = end
    return packets, at


def read_pubacks(data: bytes, at: int) -> tuple[list[int], int]:
    """The packet identifiers of the PUBACK packets of success from ``at`` on, and the position behind the last of them.

    Only the short form, in which reason code and properties are left out (section 3.4.2.1); others end the run.

    Examples
    --------
    >>> read_pubacks(bytes.fromhex("40020001 40020102 4003000110"), 0)
    ([1, 258], 8)
    """
    mids: list[int] = []
    while data[at : at + 2] == _PUBACK_OF_SUCCESS and at + 4 <= len(data):
        mids.append(data[at + 2] << 8 | data[at + 3])
        at += 4
    return mids, at


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """A variable byte integer (section 1.5.5) and the position behind it; position -1 = not whole, or too long."""
    value = shift = 0
    for position in range(at, min(at + _VARINT_BYTES, end)):
        byte = data[position]
        value |= (byte & _SEVEN_BITS) << shift
        if not byte & _MORE:
            return value, position + 1
        shift += 7
    return 0, -1
