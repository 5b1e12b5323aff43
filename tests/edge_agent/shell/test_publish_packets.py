"""PUBLISH packets from the byte stream: the same as paho's own reading of them, however the stream was cut."""

from __future__ import annotations

import struct

from hypothesis import given, settings
from hypothesis import strategies as st
from paho.mqtt._packet import decode_publish
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge_agent.shell.publish_packets import (
    LONGEST_WAIT_BYTES,
    Packet,
    is_cut,
    puback_run,
    publish_parts,
    read_packets,
    topic_field,
)


def varint(value: int) -> bytes:
    out = bytearray()
    while True:
        value, byte = divmod(value, 128)
        out.append(byte | (0x80 if value else 0))
        if not value:
            return bytes(out)


def packed(packet: Packet, *, is_5: bool, properties: bytes = b"\x00") -> bytes:
    topic, payload, mid, is_retained = packet
    body = struct.pack(">H", len(topic)) + topic
    if mid is not None:
        body += struct.pack(">H", mid)
    body += (properties if is_5 else b"") + payload
    first = 0x30 | (2 if mid is not None else 0) | is_retained
    return bytes([first]) + varint(len(body)) + body


def read(data: bytes, at: int = 0, *, is_5: bool) -> tuple[list[Packet], list[int], list[tuple[int, int]], int]:
    packets, accepted, refused = list[Packet](), list[int](), list[tuple[int, int]]()
    at = read_packets(data, at, packets, accepted, refused, is_5=is_5)
    return packets, accepted, refused, at


PACKETS = st.lists(
    st.tuples(
        st.binary(min_size=1, max_size=40),
        st.binary(max_size=400)
        | st.builds(lambda size, fill: fill * size, st.integers(17_000, 17_010), st.binary(min_size=1, max_size=1)),
        st.none() | st.integers(1, 65535),
        st.booleans(),
    ),
    max_size=12,
)


def user_property() -> bytes:
    properties = Properties(PacketTypes.PUBLISH)
    properties.UserProperty = [("key", "v" * 200)]
    properties.MessageExpiryInterval = 7
    return bytes(properties.pack())


@given(PACKETS, st.booleans(), st.booleans())
def test_what_was_packed_is_read(packets: list[Packet], is_5: bool, with_properties: bool) -> None:
    properties = user_property() if with_properties else b"\x00"
    data = b"".join(packed(packet, is_5=is_5, properties=properties) for packet in packets)
    assert read(data + b"\xd0\x00", is_5=is_5) == (packets, [], [], len(data))


@given(PACKETS, st.lists(st.integers(1, 65535), max_size=5), st.booleans(), st.data())
def test_a_stream_cut_anywhere_gives_the_whole_packets_and_waits_for_the_rest(
    packets: list[Packet], mids: list[int], is_5: bool, data: st.DataObject
) -> None:
    stream = b"".join(packed(packet, is_5=is_5) for packet in packets) + puback_run(mids)
    cut = data.draw(st.integers(0, len(stream)))
    found, accepted, _, at = read(stream[:cut], is_5=is_5)
    assert at <= cut
    assert is_cut(stream[:cut], at) == (at < cut)
    rest, others, refused, end = read(stream, at, is_5=is_5)
    assert (found + rest, accepted + others, refused, end) == (packets, mids, [], len(stream))


@settings(max_examples=500)
@given(st.binary(max_size=60), st.booleans())
def test_any_bytes_are_read_without_an_error_and_never_beyond_their_end(data: bytes, is_5: bool) -> None:
    for first in (b"\x32", b"\x40"):
        packets, accepted, refused, at = read(first + data, is_5=is_5)
        assert 0 <= at <= len(data) + 1
        assert all(packet[0] for packet in packets)
        assert len(packets) + len(accepted) + len(refused) <= at
        assert is_cut(first + data, at) in {True, False}


def test_qos_2_other_packets_and_malformed_ones_are_left_to_paho() -> None:
    whole = packed((b"a", b"1", 7, False), is_5=True)
    for other in (
        bytes([0x34]) + whole[1:],  # QoS 2
        bytes([0x36]) + whole[1:],  # QoS 3
        b"\xd0\x00\xd0\x00",  # PINGRESP
        packed((b"a", b"1", 0, False), is_5=True),  # packet identifier 0
        packed((b"", b"1", 7, False), is_5=True),  # no topic: an alias that was never granted
        b"\x32\xff\xff\xff\xff\x01",  # a length of five bytes
        b"\x32\x05\x00\x09a\x00\x07",  # the topic is longer than the packet
        b"\x40\x01\x00\x00",  # a PUBACK without an identifier
        b"\x42\x02\x00\x01",  # a PUBACK with flags
    ):
        assert read(whole + other, is_5=True)[3] == len(whole), other
        assert not is_cut(other, 0), other


def test_a_packet_too_long_to_wait_for_is_left_to_paho() -> None:
    longest = packed((b"a", b"x" * (LONGEST_WAIT_BYTES - 10), 7, False), is_5=True)
    assert len(longest) == LONGEST_WAIT_BYTES
    assert is_cut(longest[:100], 0)
    assert not is_cut(packed((b"a", b"x" * LONGEST_WAIT_BYTES, 7, False), is_5=True)[:100], 0)


@given(
    st.lists(st.tuples(st.integers(1, 65535), st.sampled_from([0x00, 0x10, 0x80, 0x87, 0x97]), st.booleans())),
    st.booleans(),
)
def test_pubacks_are_read_with_their_reasons(answers: list[tuple[int, int, bool]], is_short: bool) -> None:
    stream = b""
    for mid, reason, with_properties in answers:
        if not reason and is_short:
            stream += struct.pack(">BBH", 0x40, 2, mid)
        elif with_properties:
            stream += struct.pack(">BBHB", 0x40, 8, mid, reason) + b"\x04\x1f\x00\x01x"  # a reason string
        else:
            stream += struct.pack(">BBHB", 0x40, 3, mid, reason)
    packets, accepted, refused, at = read(stream, is_5=True)
    assert (packets, at) == ([], len(stream))
    assert accepted == [mid for mid, reason, _ in answers if not reason]
    assert refused == [(mid, reason) for mid, reason, _ in answers if reason]


@given(
    st.text(min_size=1, max_size=40),
    st.binary(max_size=300) | st.binary(min_size=16_000, max_size=16_500) | st.just(b"x" * 2_100_000),
    st.integers(0, 65535),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=60)
def test_a_written_publish_is_read_back_by_us_and_by_paho(
    topic: str, payload: bytes, mid: int, retain: bool, is_dup: bool, is_5: bool
) -> None:
    is_dup = is_dup and mid > 0
    written = b"".join(publish_parts(topic_field(topic), payload, mid, retain=retain, is_dup=is_dup, is_5=is_5))
    assert read(written, is_5=is_5) == ([(topic.encode(), payload, mid or None, retain)], [], [], len(written))
    assert bool(written[0] & 0x08) == is_dup
    body = written[1 + len(varint(len(topic.encode()) + 2 + (2 if mid else 0) + is_5 + len(payload))) :]
    protocol = MQTTProtocolVersion.MQTTv5 if is_5 else MQTTProtocolVersion.MQTTv311
    message = decode_publish(written[0], bytearray(body), protocol)
    assert (message.topic, bytes(message.payload), message.mid, message.retain, message.qos) == (
        topic.encode(),
        payload,
        mid,
        retain,
        1 if mid else 0,
    )
