"""Many devices: bursts, deadlines, the watermark and memory cost what happens, not what is known."""

from __future__ import annotations

import gc
import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.engine import Engine, Event, Gap, Packet, Pipeline, Rejected, WindowReady
from schemas import BinaryMapping, JsonMapping, JsonTime
from signals import WindowSpec, compile_decoder

NS = 1_000_000_000
RATE_HZ = 10.0
TOPIC = "plant/{device}/x"


def pipeline(name: str = "p", *, is_short: bool = True, **changes: object) -> Pipeline:
    values: dict[str, object] = {"window_length": 4, "hop_length": 4, "deadline_s": 1.0}
    spec = WindowSpec(("x",), RATE_HZ, **(values | changes))  # type: ignore[arg-type]  # a test's keyword arguments
    mapping = JsonMapping(channels={"x": "x"}, time=JsonTime(path="t", unit="s"))
    decoder = compile_decoder(mapping, [TOPIC], ["x"], RATE_HZ)
    if not is_short:
        decoder.read_rows = None
    return Pipeline(name, (TOPIC,), decoder, spec)


def packet(device: str, first: float, count: int = 1) -> Packet:
    payload = {"t": first / RATE_HZ, "x": [float(i) for i in range(count)] if count > 1 else 1.5}
    return f"plant/{device}/x".encode(), json.dumps(payload).encode(), None, False


def plain(events: list[Event]) -> list[tuple[object, ...]]:
    return [
        (event.pipeline, event.device, event.window.index, event.window.values.tobytes(), event.window.present)
        if isinstance(event, WindowReady)
        else tuple(event)
        for event in events
    ]


def accept(engine: Engine, events: list[Event]) -> None:
    engine.accepted_many(
        [
            (event.pipeline, event.device, event.window.index if isinstance(event, WindowReady) else event.last_index)
            for event in events
            if not isinstance(event, Rejected)
        ]
    )


RUBBISH = [
    (b"plant/a/x", b"{", None, False),
    (b"elsewhere", b"1", None, False),
    (b"plant/\xff/x", b"1", None, False),
    (b"plant/a/x", b'{"t": 1e300, "x": 1}', None, False),
    (b"plant/ /x", b'{"t": 1, "x": 1}', None, False),
    (b"plant/A/x", b'{"t": 1, "x": 1}', None, False),
    (b"plant/a/x", b"1" * 999, None, False),
    (b"plant/b/x", b'{"t": 3, "x": 1}', None, True),
]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.builds(packet, st.sampled_from("abc"), st.integers(0, 60).map(float), st.integers(1, 9)),
            st.builds(packet, st.just("a"), st.sampled_from([0.0, 1e7, 1e9])),
            st.sampled_from(RUBBISH),
        ),
        max_size=40,
    ),
    st.lists(st.integers(1, 9), min_size=1, max_size=12),
    st.integers(1, 4),
)
def test_a_burst_gives_what_its_messages_give_one_by_one_on_either_way(
    packets: list[Packet], cuts: list[int], max_devices: int
) -> None:
    burst = Engine(
        [pipeline(), pipeline("q", window_length=6, hop_length=3)], max_devices=max_devices, max_payload_bytes=500
    )
    single = Engine(
        [pipeline(), pipeline("q", window_length=6, hop_length=3)], max_devices=max_devices, max_payload_bytes=500
    )
    checked = Engine(
        [pipeline(is_short=False), pipeline("q", is_short=False, window_length=6, hop_length=3)],
        max_devices=max_devices,
        max_payload_bytes=500,
    )
    at = turn = 0
    while at < len(packets):
        part = packets[at : at + cuts[turn % len(cuts)]]
        clock_ns = turn * NS
        in_burst = burst.receive_burst(part, wall_ns=0, clock_ns=clock_ns, number=at)
        in_check = checked.receive_burst(part, wall_ns=0, clock_ns=clock_ns, number=at)
        one_by_one: list[Event] = []
        for offset, (topic, payload, _, retained) in enumerate(part):
            text = topic.decode("utf-8", "surrogateescape")
            if text.encode("utf-8", "surrogateescape") == text.encode("utf-8", "replace"):
                one_by_one += single.receive(
                    text, payload, wall_ns=0, clock_ns=clock_ns, number=at + offset, retained=retained
                )
            else:
                one_by_one += single.receive_burst(
                    [(topic, payload, None, retained)], wall_ns=0, clock_ns=clock_ns, number=at + offset
                )
        at += len(part)
        turn += 1
        assert plain(in_burst) == plain(in_check) == plain(one_by_one)
        assert burst.acknowledgeable(at) == checked.acknowledgeable(at) == single.acknowledgeable(at)
        for engine, events in ((burst, in_burst), (checked, in_check), (single, one_by_one)):
            accept(engine, events)
            accept(engine, engine.tick(clock_ns))
    for engine in (burst, checked, single):
        assert "internal" not in engine.counters.rejected
        accept(engine, engine.flush())
        assert engine.acknowledgeable(at) == at
        assert engine.n_owed == 0
    assert burst.counters == checked.counters == single.counters


def test_one_silent_device_among_a_thousand_holds_nobody_beyond_its_deadline() -> None:
    engine = Engine([pipeline()])
    names = [f"d{number}" for number in range(1000)]
    number = 0
    for point in range(12):
        talking = names if point < 2 else names[1:]
        packets = [packet(name, point) for name in talking]
        accept(engine, engine.receive_burst(packets, wall_ns=0, clock_ns=point * NS // 10, number=number))
        number += len(packets)
    assert engine.acknowledgeable(number) == 0  # in order: the silent one came first
    # the last point of its window is due 1 s of deadline and two points of silence after it spoke last
    assert engine.tick(13 * NS // 10) == []
    events = engine.tick(14 * NS // 10)
    assert [(event.device, event.window.index) for event in events if isinstance(event, WindowReady)] == [("d0", 0)]
    accept(engine, events)
    assert engine.acknowledgeable(number) == number
    assert engine.n_owed == 0


def test_a_look_at_the_clock_looks_only_at_devices_that_are_due() -> None:
    engine = Engine([pipeline()])
    packets = [packet(f"d{number}", number % 40) for number in range(400)]
    engine.receive_burst(packets, wall_ns=0, clock_ns=0, number=0)
    looked_at = 0
    engine.tick(0)
    for clock_ns in range(0, 3 * NS, NS // 10):
        looked_at += len(engine._deadlines.due(clock_ns)) if clock_ns < NS // 2 else 0
        engine.tick(clock_ns)
    assert looked_at == 0
    assert engine.counters.windows == 400
    assert engine._deadlines.due(10**18) == []


def test_changes_of_the_watermark_are_told_once_and_again_if_they_were_not_saved() -> None:
    engine = Engine([pipeline()])
    packets = [packet(name, 0, 9) for name in "abc"]
    events = engine.receive_burst(packets, wall_ns=0, clock_ns=0, number=0)
    told = engine.resume_changes()["p"]["devices"]
    assert {name: said["closed_through"] for name, said in told.items()} == dict.fromkeys("abc", -1), "their first"
    assert engine.resume_changes() == {}
    accept(engine, events[:2])
    changes = engine.resume_changes()
    assert {name: told["closed_through"] for name, told in changes["p"]["devices"].items()} == {"a": 1}
    assert engine.resume_changes() == {}
    accept(engine, events[2:])
    engine.resume_unsaved(changes)
    assert sorted(engine.resume_changes()["p"]["devices"]) == ["a", "b", "c"]
    assert engine.resume_state()["p"]["devices"].keys() == {"a", "b", "c"}


def test_a_device_that_was_let_go_is_not_labelled_twice_when_it_comes_back() -> None:
    engine = Engine([pipeline()], max_devices=1)
    accept(engine, engine.receive_burst([packet("a", 0, 6)], wall_ns=0, clock_ns=0, number=0))
    away = engine.receive_burst([packet("b", 0, 2)], wall_ns=0, clock_ns=0, number=1)
    assert [(event.device, event.first_index, event.reason) for event in away if isinstance(event, Gap)] == [
        ("a", 1, "evicted")
    ]
    accept(engine, away)
    assert engine.resume_state()["p"]["devices"]["a"]["closed_through"] == 1
    back = engine.receive_burst([packet("a", 4, 20)], wall_ns=0, clock_ns=0, number=2)
    assert [event.window.index for event in back if isinstance(event, WindowReady)] == [2, 3, 4, 5]
    accept(engine, [*back, *engine.flush()])
    assert engine.acknowledgeable(3) == 3


def test_samples_of_a_counter_that_began_anew_are_not_acknowledged_before_they_are_declared() -> None:
    engine = Engine([pipeline()])
    accept(engine, engine.receive_burst([packet("a", 10_000, 8)], wall_ns=0, clock_ns=0, number=0))
    for second in range(10):
        events = engine.receive_burst(
            [packet("a", 10 * second, 10)], wall_ns=0, clock_ns=second * NS, number=1 + second
        )
        assert events == []
        assert engine.acknowledgeable(2 + second) == 1
    events = engine.receive_burst([packet("a", 100, 10)], wall_ns=0, clock_ns=10 * NS, number=11)
    assert isinstance(events[0], Gap)
    assert (events[0].first_index, events[0].last_index, events[0].reason) == (0, 24, "clock_step")
    assert engine.acknowledgeable(12) == 1
    accept(engine, events)
    assert engine.acknowledgeable(12) == 11
    accept(engine, engine.flush())
    assert engine.acknowledgeable(12) == 12


def test_samples_that_were_only_late_are_acknowledged_when_time_has_shown_it() -> None:
    engine = Engine([pipeline()])
    accept(engine, engine.receive_burst([packet("a", 10_000, 8)], wall_ns=0, clock_ns=0, number=0))
    engine.receive_burst([packet("a", 0, 2)], wall_ns=0, clock_ns=0, number=1)
    assert engine.acknowledgeable(2) == 1
    assert engine.tick(9 * NS) == []
    assert engine.acknowledgeable(2) == 1
    engine.tick(11 * NS)
    assert engine.acknowledgeable(2) == 2
    engine.receive_burst([packet("a", 5, 1)], wall_ns=0, clock_ns=1 * NS, number=2)
    accept(engine, engine.receive_burst([packet("a", 10_008, 4)], wall_ns=0, clock_ns=2 * NS, number=3))
    assert engine.acknowledgeable(4) == 4


@pytest.mark.parametrize("step_s", [-1_700_000_000, 60 * 86_400, -60 * 86_400, 3600, -3600])
@pytest.mark.parametrize("policy", ["nearest", "linear", "hold"])
def test_clocks_that_are_set_leave_nothing_unsettled_and_raise_nothing(step_s: int, policy: str) -> None:
    engine = Engine([pipeline(policy=policy, max_age_s=2.0)])
    number, windows, gaps = 0, 0, 0
    start = 17_000_000_000
    for second in range(60):
        shift = step_s * 10 if 10 <= second < 40 else 0
        burst = [packet("a", max(0, start + 10 * second + shift), 10), packet("b", start + 10 * second, 10)]
        for events in (
            engine.receive_burst(burst, wall_ns=0, clock_ns=second * NS, number=number),
            engine.tick(second * NS),
        ):
            windows += sum(isinstance(event, WindowReady) for event in events)
            gaps += sum(isinstance(event, Gap) for event in events)
            accept(engine, events)
        number += 2
    accept(engine, engine.tick(200 * NS))
    assert engine.acknowledgeable(number) == number
    assert engine.n_owed == 0
    assert engine.counters.rejected == {}
    assert engine.counters.samples.clock_steps >= 1
    assert gaps >= 1
    assert windows > 200


def frame(point: int, count: int) -> bytes:
    return np.int64(point * 20).tobytes() + np.ones((count, 6), "<f4").tobytes()


def six_channels() -> Pipeline:
    channels = tuple("abcdef")
    mapping = BinaryMapping.model_validate(
        {
            "header": [{"name": "t", "type": "int64"}],
            "fields": [{"name": name, "type": "float32"} for name in channels],
            "time": {"field": "t", "unit": "ms"},
        }
    )
    spec = WindowSpec(channels, 50.0, 128, 64)
    return Pipeline("p", (TOPIC,), compile_decoder(mapping, [TOPIC], channels, 50.0), spec)


def test_a_device_costs_its_window_and_two_kibibytes() -> None:
    engine = Engine([six_channels()])

    def traced(first: int, stop: int) -> int:
        for number, (point, count) in enumerate(((0, 64), (64, 64), (128, 62), (190, 1))):
            for device in range(first, stop):
                packets = [(f"plant/device-{device:06d}/x".encode(), frame(point, count), None, False)]
                accept(engine, engine.receive_burst(packets, wall_ns=0, clock_ns=point * NS // 50, number=number))
        engine.tick(191 * NS // 50)
        engine.acknowledgeable(4)
        engine.resume_changes()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = traced(0, 1100)  # more than the caches hold
        per_device = (traced(1100, 2200) - before) / 1100  # twice as many: tables as full as before
    finally:
        tracemalloc.stop()
    assert 64 * 24 < per_device <= 128 * 24 + 2048


def test_a_sender_that_invents_device_ids_for_ever_does_not_fill_the_memory() -> None:
    engine = Engine([six_channels()], max_devices=50)
    long_name = "x" * 60_000
    accept(engine, engine.receive_burst([(b"plant/a/x", frame(0, 1), None, False)], wall_ns=0, clock_ns=0, number=0))

    def invent(first: int, stop: int) -> int:
        for device in range(first, stop):
            packets = [
                (f"plant/device-{device:07d}/x".encode(), frame(0, 100), None, False),
                (f"plant/{long_name}{device}/x".encode(), frame(0, 1), None, False),
            ]
            events = engine.receive_burst(packets, wall_ns=0, clock_ns=0, number=device)
            accept(engine, events)
            if not device % 250:
                engine.tick(0)
                engine.acknowledgeable(device)
        engine.resume_changes()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = invent(0, 1500)
        after = invent(1500, 3000)
    finally:
        tracemalloc.stop()
    assert engine.n_devices == 50
    assert engine.counters.evicted == 3001 - 50
    assert engine.counters.rejected == {"bad_device": 3000}
    assert after - before < 1024 * 1024  # topics are forgotten all at once, now and then
