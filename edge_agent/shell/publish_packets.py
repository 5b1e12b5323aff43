"""PUBLISH and PUBACK packets of MQTT 5.0 and 3.1.1 (sections 3.3 and 3.4), many at once, both ways.

In: whole packets out of a piece of the byte stream; whatever is no well-formed PUBLISH of QoS 0 or 1 and no PUBACK is
left to the client library. Out: PUBLISH packets and runs of PUBACKs as bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Self

Packet = tuple[bytes, bytes, int | None, bool]
"""One PUBLISH: topic, payload, packet identifier (None = QoS 0), whether it is a retained message."""


@dataclass(slots=True)
class Burst:
    """Messages as they came over connection ``epoch``, read at one time, on three clocks.

    ``clock_ns`` is the clock of deadlines, which stands still while the broker is away; ``received_ns`` is monotonic.
    """

    packets: list[Packet]
    epoch: int
    wall_ns: int
    clock_ns: int
    received_ns: int


LONGEST_WAIT_BYTES = 262_144
"""A PUBLISH up to this long waits in the buffer for its rest; of a longer one the client library keeps the pieces."""

_PUBLISH = 0x30
_PUBACK = 0x40
_TYPE_MASK = 0xF0
_QOS_MASK = 0x06
_QOS_1 = 0x02
_RETAIN = 0x01
_DUP = 0x08
_MORE = 0x80
_SEVEN_BITS = 0x7F
_VARINT_BYTES = 4
_TWO_VARINT_BYTES = 16_384
_PUBACK_OF_SUCCESS = 0x4002_0000


def read_packets(  # noqa: C901, PLR0912 - one pass over the bytes; each branch is a field of section 3.3 or 3.4
    data: bytes, at: int, packets: list[Packet], accepted: list[int], refused: list[tuple[int, int]], *, is_5: bool
) -> int:
    """Take out the PUBLISH and PUBACK packets that stand whole from ``at`` on; the position behind the last of them.

    Parameters
    ----------
    data : bytes
        What was read of the connection; ``at`` is the start of a packet.
    at : int
    packets : list of Packet
        PUBLISH packets of QoS 0 and 1 are appended.
    accepted : list of int
        Packet identifiers of PUBACKs of success are appended.
    refused : list of (packet identifier, reason code)
        Those of all other PUBACKs, 0x10 among them, are appended.
    is_5 : bool
        MQTT 5: properties stand before the payload and behind a reason code; they are passed over.

    Examples
    --------
    >>> packets, accepted, refused = [], [], []
    >>> data = bytes.fromhex("3206 0001 61 0007 2a  40020001  4003000210  d000")
    >>> read_packets(data, 0, packets, accepted, refused, is_5=False), packets, accepted, refused
    (17, [(b'a', b'*', 7, False)], [1], [(2, 16)])
    """
    size = len(data)
    while at + 4 <= size:  # no packet of these two kinds is shorter
        first, remaining, body = data[at], data[at + 1], at + 2
        if remaining > _SEVEN_BITS:
            if data[body] <= _SEVEN_BITS:
                remaining += (data[body] << 7) - 128
                body += 1
            else:
                remaining, body = _varint(data, at + 1, size)
                if body < 0:
                    break
        end = body + remaining
        if end > size or remaining < 2:
            break
        if first & _TYPE_MASK == _PUBLISH:
            topic_end = start = body + 2 + (data[body] << 8 | data[body + 1])
            mid = None
            if first & _QOS_MASK:
                start += 2
                if start > end or first & _QOS_MASK != _QOS_1:
                    break
                mid = data[topic_end] << 8 | data[topic_end + 1]
            if is_5:
                if start >= end:
                    break
                if data[start]:
                    length, start = _varint(data, start, end)
                    if start < 0:
                        break
                    start += length
                else:
                    start += 1
            if start > end or topic_end == body + 2 or mid == 0:
                break
            packets.append((data[body + 2 : topic_end], data[start:end], mid, first & _RETAIN == 1))
        elif first == _PUBACK:
            mid = data[body] << 8 | data[body + 1]
            if remaining == 2:
                accepted.append(mid)
            elif data[body + 2]:
                refused.append((mid, data[body + 2]))
            else:
                accepted.append(mid)
        else:
            break
        at = end
    return at


def is_cut(data: bytes, at: int) -> bool:
    """Whether a PUBLISH or PUBACK begins at ``at`` whose rest has not come yet, and is short enough to wait for.

    Examples
    --------
    >>> is_cut(bytes.fromhex("3206 0001 61"), 0), is_cut(bytes.fromhex("d0"), 0), is_cut(bytes.fromhex("40020001"), 0)
    (True, False, False)
    """
    size = len(data)
    if at >= size or data[at] & _TYPE_MASK not in {_PUBLISH, _PUBACK}:
        return False
    remaining, body = _varint(data, at + 1, size)
    if body < 0:
        return size - at - 1 < _VARINT_BYTES
    return size < body + remaining <= at + LONGEST_WAIT_BYTES


class Unread(bytes):
    """A payload that was let pass instead of being kept: it is empty, and as long as it would have been.

    Examples
    --------
    >>> len(Unread(268_000_000)), bytes(Unread(5))
    (268000000, b'')
    """

    _size: int

    def __new__(cls, size: int) -> Self:
        """The payload of so many bytes."""
        made = super().__new__(cls)
        made._size = size
        return made

    def __len__(self) -> int:
        return self._size


def read_large(data: bytes, at: int, most: int) -> tuple[Packet | None, int]:
    """A PUBLISH longer than ``most`` that begins at ``at``: without its payload, and its whole length.

    Length 0 = something else begins there; a length without a packet = wait for more of its head. Of QoS 2, which is
    never asked for, nothing is owed either.

    Examples
    --------
    >>> read_large(bytes.fromhex("32ffffff7f 0001 61 0007 2a2a"), 0, 1000)
    ((b'a', b'', 7, False), 268435460)
    >>> (
    ...     read_large(bytes.fromhex("32ffffff7f 0001"), 0, 1000),
    ...     read_large(bytes.fromhex("3206 0001 61 0007 2a"), 0, 1000),
    ... )
    ((None, 268435460), (None, 0))
    """
    size = len(data)
    if at >= size or data[at] & _TYPE_MASK != _PUBLISH:
        return None, 0
    remaining, body = _varint(data, at + 1, size)
    if body < 0 or body - at + remaining <= most:
        return None, 0
    length = body - at + remaining
    if size < body + 2:
        return None, length
    topic_end = body + 2 + (data[body] << 8 | data[body + 1])
    if topic_end + 2 > at + length or topic_end == body + 2:
        return None, 0  # malformed: paho finds out and hangs up
    if size < topic_end + 2:
        return None, length
    mid = data[topic_end] << 8 | data[topic_end + 1] if data[at] & _QOS_MASK == _QOS_1 else None
    return (data[body + 2 : topic_end], Unread(remaining), mid, data[at] & _RETAIN == 1), length


def puback_run(mids: list[int]) -> bytes:
    """PUBACKs of success in this order, as one piece of the stream (section 3.4: 40 02, identifier).

    Examples
    --------
    >>> puback_run([1, 258]).hex()
    '4002000140020102'
    """
    return struct.pack(f">{len(mids)}I", *map(_PUBACK_OF_SUCCESS.__or__, mids))


def topic_field(topic: str) -> bytes:
    """The topic as it stands in a packet: its length in two bytes, then UTF-8 (section 1.5.4).

    Raises
    ------
    ValueError
        If it is empty or longer than 65535 bytes.
    """
    raw = topic.encode()
    if not 0 < len(raw) <= 0xFFFF:
        message = f"topic: 1 to 65535 bytes expected, got {len(raw)}"
        raise ValueError(message)
    return len(raw).to_bytes(2) + raw


def publish_parts(
    topic: bytes, payload: bytes, mid: int, *, retain: bool, is_dup: bool, is_5: bool
) -> tuple[bytes, bytes, bytes, bytes]:
    """A PUBLISH in four pieces to be joined: fixed header, topic, identifier with empty properties, payload.

    Parameters
    ----------
    topic : bytes
        What :func:`topic_field` gave.
    payload : bytes
    mid : int
        Packet identifier; 0 = QoS 0, which has none.
    retain, is_dup, is_5 : bool

    Examples
    --------
    >>> b"".join(publish_parts(topic_field("a"), b"*", 7, retain=True, is_dup=False, is_5=True)).hex(" ")
    '33 07 00 01 61 00 07 00 2a'
    """
    first = _PUBLISH | retain | (_QOS_1 if mid else 0) | (_DUP if is_dup else 0)
    middle = (mid.to_bytes(2) if mid else b"") + (b"\0" if is_5 else b"")
    length = len(topic) + len(middle) + len(payload)
    if _SEVEN_BITS < length < _TWO_VARINT_BYTES:
        return bytes((first, length & _SEVEN_BITS | _MORE, length >> 7)), topic, middle, payload
    head = bytearray((first,))
    while length > _SEVEN_BITS:
        head.append(length & _SEVEN_BITS | _MORE)
        length >>= 7
    head.append(length)
    return bytes(head), topic, middle, payload


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
