"""The packets of the oracle: bytes of the specification, and whatever way they are cut."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tests.faults import wire


def test_a_publish_and_its_repeat_are_those_of_the_specification() -> None:
    assert wire.publish(b"a/b", b"hi", 10).hex(" ") == "32 0a 00 03 61 2f 62 00 0a 00 68 69"
    assert wire.publish(b"a/b", b"hi", 10, is_repeat=True)[0] == 0x3A


def test_a_connect_keeps_its_session_unless_told_otherwise() -> None:
    kept, clean = wire.connect("me"), wire.connect("me", clean_start=True)
    assert (kept[9], clean[9]) == (0, 2)


def test_a_puback_carries_its_reason_or_none() -> None:
    assert wire.read_puback(wire.puback(258)[2:]) == (258, 0)
    assert wire.read_puback(bytes.fromhex("0102 97 00")) == (258, 0x97)


@given(st.lists(st.binary(max_size=400), max_size=6), st.lists(st.integers(0, 900), max_size=8))
def test_messages_are_the_same_however_the_stream_is_cut(payloads: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(wire.publish(b"t", payload, number + 1) for number, payload in enumerate(payloads))
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    buffer, got = bytearray(), list[wire.Message]()
    for first, stop in pairwise(edges):
        buffer += stream[first:stop]
        got += [wire.read_publish(packet) for packet in wire.split(buffer)]
    assert [message.payload for message in got] == payloads
    assert [message.mid for message in got] == list(range(1, len(payloads) + 1))
