"""Binary frames of one read are taken at once; what comes out is what comes out one by one."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.engine import Engine, Event, Pipeline, WindowReady
from schemas.mapping import BinaryMapping
from signals import WindowSpec
from signals.codecs import BinaryDecoder

SPEC = WindowSpec(("x", "y"), 10.0, window_length=4, hop_length=2, deadline_s=1.0)
START_MS = 1_700_000_000_000 // 400 * 400
Packet = tuple[bytes, bytes, int | None, bool]


def _engine(magic: str = "", time_type: str = "int64", *, has_time: bool = True) -> Engine:
    mapping = {
        "magic": magic,
        "header": [{"name": "t", "type": time_type}],
        "fields": [{"name": name, "type": "float32"} for name in SPEC.channels],
        **({"time": {"field": "t", "unit": "ms"}} if has_time else {}),
    }
    decoder = BinaryDecoder(BinaryMapping.model_validate(mapping), ["plant/{device}"], SPEC.channels, 10.0)
    return Engine([Pipeline("motion", ("plant/{device}",), decoder, SPEC)], max_devices=3, max_payload_bytes=200)


def _packet(device: int, at: int, values: list[float], magic: bytes = b"") -> Packet:
    payload = magic + struct.pack("<q", START_MS + 100 * at) + np.array(values, "<f4").tobytes()
    return f"plant/d{device}".encode(), payload, 1, False


def _told(events: list[Event]) -> list[tuple[object, ...]]:
    told: list[tuple[object, ...]] = []
    for event in events:
        if isinstance(event, WindowReady):
            window = event.window
            facts = (window.n_samples, window.present, window.longest_gap_s, window.stuck, window.clipped)
            told.append((event.device, window.index, window.values.tobytes(), *facts))
        else:
            told.append(tuple(event))
    return told


def _both(engine: Engine, other: Engine, bursts: list[list[Packet]]) -> None:
    number = 0
    for burst in bursts:
        times = {"wall_ns": START_MS * 1_000_000, "clock_ns": 1_000_000 * number}
        at_once = engine.receive_burst(burst, number=number, **times)
        one_by_one = [
            event
            for place, packet in enumerate(burst)
            for event in other.receive_burst([packet], number=number + place, **times)
        ]
        assert _told(at_once) == _told(one_by_one)
        number += len(burst)
        assert engine.acknowledgeable(number) == other.acknowledgeable(number)
        keys = [
            (event.pipeline, event.device, event.window.index) for event in at_once if isinstance(event, WindowReady)
        ]
        engine.accepted_many(keys)
        other.accepted_many(keys)
        assert engine.acknowledgeable(number) == other.acknowledgeable(number)
    assert engine.counters == other.counters
    assert engine.resume_state() == other.resume_state()


VALUES = st.sampled_from([0.0, -0.0, 1.0, 2.0, 3.5, float("nan"), float("inf")])
KINDS = st.sampled_from(["frame"] * 12 + ["short", "long", "retained", "unknown", "late", "far", "before the epoch"])


@st.composite
def _bursts(draw: st.DrawFn) -> list[list[Packet]]:
    """Mostly frames of two samples that follow each other, for more devices than there is room for."""
    at = [0, 0, 0, 0]
    are_finite = draw(st.booleans())
    bursts = []
    for _ in range(draw(st.integers(1, 4))):
        burst = []
        is_usual = draw(st.booleans())
        for _ in range(draw(st.integers(8, 24))):
            device = draw(st.integers(0, 3))
            kind = "frame" if is_usual else draw(KINDS)
            values = draw(
                st.lists(st.sampled_from([0.0, -0.0, 1.0, 2.0]) if are_finite else VALUES, min_size=4, max_size=4)
            )
            place = at[device]
            if kind == "late":
                place -= 7
            elif kind == "far":
                place += 200
            elif kind == "before the epoch":
                place = -START_MS
            else:
                at[device] += 2
            topic, payload, mid, _ = _packet(device, place, values)
            if kind == "short":
                payload = payload[:-3]
            elif kind == "long":
                payload += bytes(400)
            burst.append((b"else/where" if kind == "unknown" else topic, payload, mid, kind == "retained"))
        bursts.append(burst)
    return bursts


@given(bursts=_bursts())
def test_frames_at_once_give_what_frames_one_by_one_give(bursts: list[list[Packet]]) -> None:
    _both(_engine(), _engine(), bursts)
    assert bursts


def test_devices_without_a_clock_are_counted_the_same() -> None:
    frames = [_packet(place % 2, 0, [place, 1, 2, place + 0.5]) for place in range(48)]
    engine = _engine(has_time=False)
    _both(engine, _engine(has_time=False), [frames[at : at + 16] for at in range(0, 48, 16)])
    assert engine.counters.windows > 0


@pytest.mark.parametrize("wrong", ["magic", "time"])
def test_one_wrong_frame_among_right_ones_is_refused_alone(wrong: str) -> None:
    engine, other = _engine("abcd"), _engine("abcd")
    frames = [_packet(place % 2, place // 2 * 2, [place, 1, 2, place + 0.5], b"\xab\xcd") for place in range(32)]
    topic, payload, mid, _ = frames[20]
    frames[20] = (
        topic,
        b"\0" * 2 + payload[2:] if wrong == "magic" else payload[:2] + b"\xff" * 8 + payload[10:],
        mid,
        False,
    )
    _both(engine, other, [frames[:16], frames[16:]])
    assert engine.counters.rejected == {"bad_frame" if wrong == "magic" else "bad_time": 1}
