"""PUBLISH packets from the byte stream: the same as paho's own reading of them, however the stream was cut."""

from __future__ import annotations

import struct

from hypothesis import given, settings
from hypothesis import strategies as st
from paho.mqtt.client import MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge_agent.shell.publish_packets import Packet, read_pubacks, read_publishes


def varint(value: int) -> bytes:
    out = bytearray()
    while True:
        value, byte = divmod(value, 128)
        out.append(byte | (0x80 if value else 0))
        if not value:
            return bytes(out)


def packed(packet: Packet, *, is_5: bool, properties: bytes = b"\x00") -> bytes:
    body = struct.pack(">H", len(packet.topic)) + packet.topic
    if packet.mid is not None:
        body += struct.pack(">H", packet.mid)
    body += (properties if is_5 else b"") + packet.payload
    first = 0x30 | (2 if packet.mid is not None else 0) | packet.is_retained
    return bytes([first]) + varint(len(body)) + body


PACKETS = st.lists(
    st.builds(
        Packet,
        st.binary(min_size=1, max_size=40),
        st.binary(max_size=400),
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
    assert read_publishes(data + b"\xd0\x00", 0, is_5=is_5, most=100) == (packets, len(data))


@given(PACKETS, st.booleans(), st.data())
def test_a_stream_cut_anywhere_gives_the_whole_packets_and_keeps_the_rest(
    packets: list[Packet],
    is_5: bool,
    data: st.DataObject,
) -> None:
    stream = b"".join(packed(packet, is_5=is_5) for packet in packets)
    cut = data.draw(st.integers(0, len(stream)))
    found, at = read_publishes(stream[:cut], 0, is_5=is_5, most=100)
    assert at <= cut
    rest, end = read_publishes(stream, at, is_5=is_5, most=100)
    assert found + rest == packets
    assert end == len(stream)


@settings(max_examples=500)
@given(st.binary(max_size=60), st.booleans())
def test_any_bytes_are_read_without_an_error_and_never_beyond_their_end(data: bytes, is_5: bool) -> None:
    packets, at = read_publishes(b"\x32" + data, 0, is_5=is_5, most=5)
    assert 0 <= at <= len(data) + 1
    assert len(packets) <= 5
    assert all(packet.topic for packet in packets)


def test_qos_2_other_packets_and_malformed_ones_are_left_to_paho() -> None:
    whole = packed(Packet(b"a", b"1", 7, is_retained=False), is_5=True)
    for other in (
        bytes([0x34]) + whole[1:],  # QoS 2
        bytes([0x36]) + whole[1:],  # QoS 3
        b"\xd0\x00",  # PINGRESP
        packed(Packet(b"a", b"1", 0, is_retained=False), is_5=True),  # packet identifier 0
        packed(Packet(b"", b"1", 7, is_retained=False), is_5=True),  # no topic: an alias that was never granted
        b"\x32\xff\xff\xff\xff\x01",  # a length of five bytes
        b"\x32\x05\x00\x09a\x00\x07",  # the topic is longer than the packet
    ):
        assert read_publishes(whole + other, 0, is_5=True, most=9)[1] == len(whole), other


def test_at_most_as_many_as_asked() -> None:
    whole = packed(Packet(b"a", b"1", None, is_retained=True), is_5=False)
    packets, at = read_publishes(whole * 5, 0, is_5=False, most=2)
    assert (len(packets), at) == (2, 2 * len(whole))
    assert MQTTMessage(topic=packets[0].topic).topic == "a"


@given(st.lists(st.integers(1, 65535), max_size=20), st.binary(max_size=8), st.data())
def test_pubacks_of_success_are_read_and_the_rest_is_kept(mids: list[int], rest: bytes, data: st.DataObject) -> None:
    stream = b"".join(struct.pack(">BBH", 0x40, 2, mid) for mid in mids)
    cut = data.draw(st.integers(0, len(stream)))
    assert read_pubacks(stream[:cut], 0) == (mids[: cut // 4], cut // 4 * 4)
    refused = b"\x40\x03\x00\x07\x10" + rest
    assert read_pubacks(stream + refused, 0) == (mids, len(stream))
