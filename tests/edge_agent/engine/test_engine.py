"""The engine: bytes in, events out, and an honest account of what may be acknowledged."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.engine import Engine, Event, Gap, Pipeline, Rejected, WindowReady
from schemas import JsonMapping, JsonTime
from signals import WindowSpec, compile_decoder

RATE_HZ = 10.0


def pipeline(name: str = "p", topic: str = "plant/{device}/x", **changes: object) -> Pipeline:
    values: dict[str, object] = {"window_length": 4, "hop_length": 4, "deadline_s": 1.0}
    spec = WindowSpec(("x",), RATE_HZ, **(values | changes))  # type: ignore[arg-type]  # a test's keyword arguments
    mapping = JsonMapping(channels={"x": "x"}, time=JsonTime(path="t", unit="s"))
    return Pipeline(name, (topic,), compile_decoder(mapping, [topic], ["x"], RATE_HZ), spec)


def message(first: int, count: int) -> bytes:
    return json.dumps({"t": first / RATE_HZ, "x": [float(first + i) for i in range(count)]}).encode()


class Feed:
    """Feeds messages with rising numbers."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.number = 0

    def __call__(self, payload: bytes, device: str = "a", *, clock_ns: int = 0, retained: bool = False) -> list[Event]:
        events = self.engine.receive(
            f"plant/{device}/x", payload, wall_ns=0, clock_ns=clock_ns, number=self.number, retained=retained
        )
        self.number += 1
        return events


def ready(events: list[Event]) -> list[tuple[str, int]]:
    return [(event.device, event.window.index) for event in events if isinstance(event, WindowReady)]


def test_windows_come_out_and_their_messages_are_owed_until_the_label_is_accepted() -> None:
    engine = Engine([pipeline()])
    feed = Feed(engine)
    assert ready(feed(message(0, 3))) == []
    assert engine.acknowledgeable(feed.number) == 0
    assert ready(feed(message(3, 3))) == [("a", 0)]
    assert engine.acknowledgeable(feed.number) == 0
    engine.accepted("p", "a", 0)
    assert engine.acknowledgeable(feed.number) == 1
    feed(message(6, 2))
    engine.accepted("p", "a", 1)
    assert engine.acknowledgeable(feed.number) == 3


def test_acknowledgements_stay_in_order_over_devices() -> None:
    engine = Engine([pipeline()])
    feed = Feed(engine)
    feed(message(0, 1), "slow")
    for first in range(0, 40, 4):
        for device, index in ready(feed(message(first, 4), "fast")):
            engine.accepted("p", device, index)
    assert engine.acknowledgeable(feed.number) == 0
    events = engine.tick(3_000_000_000)
    assert ready(events) == [("slow", 0)]
    engine.accepted("p", "slow", 0)
    assert engine.acknowledgeable(feed.number) == feed.number


def test_retained_messages_are_never_samples() -> None:
    engine = Engine([pipeline()])
    feed = Feed(engine)
    assert feed(message(0, 8), retained=True) == []
    assert engine.counters.dropped["retained"] == 1
    assert engine.n_devices == 0


def test_refusals_are_events_with_a_reason_and_are_counted() -> None:
    engine = Engine([pipeline()], max_payload_bytes=100)
    feed = Feed(engine)
    big, rubbish = feed(b"x" * 101), feed(b"{")
    other = engine.receive("elsewhere", b"{}", wall_ns=0, clock_ns=0, number=9)
    reasons = [event.reason for event in [*big, *rubbish, *other] if isinstance(event, Rejected)]
    assert reasons == ["too_large", "not_json", "no_pipeline"]
    assert engine.counters.rejected == {"too_large": 1, "not_json": 1, "no_pipeline": 1}
    assert engine.acknowledgeable(feed.number) == feed.number


def test_two_names_with_one_id_are_not_mixed() -> None:
    engine = Engine([pipeline()])
    feed = Feed(engine)
    feed(message(0, 2), "Pump 1")
    (refused,) = feed(message(2, 2), "pump-1")
    assert isinstance(refused, Rejected)
    assert refused.reason == "device_collision"


def test_one_topic_may_feed_several_pipelines() -> None:
    engine = Engine([pipeline("p"), pipeline("q", window_length=8, hop_length=8)])
    feed = Feed(engine)
    events = feed(message(0, 8))
    assert [(event.pipeline, event.window.index) for event in events if isinstance(event, WindowReady)] == [
        ("p", 0),
        ("p", 1),
        ("q", 0),
    ]
    engine.accepted("p", "a", 0)
    engine.accepted("p", "a", 1)
    assert engine.acknowledgeable(1) == 0
    engine.accepted("q", "a", 0)
    assert engine.acknowledgeable(1) == 1


def test_the_cap_on_devices_lets_the_most_silent_go_and_declares_its_open_windows() -> None:
    engine = Engine([pipeline()], max_devices=2)
    feed = Feed(engine)
    feed(message(0, 2), "a")
    feed(message(0, 2), "b")
    feed(message(2, 1), "a")
    (gap,) = [event for event in feed(message(0, 2), "c") if isinstance(event, Gap)]
    assert (gap.device, gap.first_index, gap.last_index, gap.reason) == ("b", 0, 0, "evicted")
    assert engine.counters.evicted == 1
    assert engine.n_devices == 2
    assert engine.acknowledgeable(feed.number) == 0
    for device in ("a", "c"):
        feed(message(0, 4), device)
        engine.accepted("p", device, 0)
    assert engine.acknowledgeable(feed.number) == 1
    engine.accepted("p", "b", 0)
    assert engine.acknowledgeable(feed.number) == feed.number


def test_a_restart_resumes_behind_the_last_accepted_window_and_declares_what_is_gone() -> None:
    engine = Engine([pipeline()])
    feed = Feed(engine)
    for device, index in ready(feed(message(0, 16))):
        if index < 2:
            engine.accepted("p", device, index)
    state = json.loads(json.dumps(engine.resume_state()))
    again = Engine([pipeline()], resume=state)
    feed = Feed(again)
    assert ready(feed(message(0, 16))) == [("a", 2), ("a", 3)]
    far = Engine([pipeline()], resume=state)
    events = Feed(far)(message(40, 4))
    assert isinstance(events[0], Gap)
    assert (events[0].first_index, events[0].last_index, events[0].reason) == (2, 9, "restart")
    assert (events[0].start_ns, events[0].end_ns) == (800_000_000, 4_000_000_000)


def test_acceptance_out_of_order_moves_the_watermark_only_over_what_is_complete() -> None:
    engine = Engine([pipeline()])
    Feed(engine)(message(0, 12))
    engine.accepted("p", "a", 1)
    assert engine.resume_state()["p"]["devices"]["a"]["closed_through"] == -1
    engine.accepted("p", "a", 0)
    assert engine.resume_state()["p"]["devices"]["a"]["closed_through"] == 1


def test_a_state_of_another_grid_is_not_believed() -> None:
    engine = Engine([pipeline()])
    Feed(engine)(message(0, 8))
    engine.accepted("p", "a", 0)
    state = engine.resume_state()
    other = Engine([pipeline(window_length=2, hop_length=2)], resume=state)
    assert ready(Feed(other)(message(0, 4))) == [("a", 0), ("a", 1)]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 60), st.integers(1, 9), st.integers(0, 3)), max_size=40),
    st.randoms(),
)
def test_no_message_of_an_owed_window_may_be_acknowledged(
    steps: list[tuple[int, int, int, int]], random: object
) -> None:
    """The promise: whoever dies now and is sent everything unacknowledged again can still label every owed window."""
    engine = Engine([pipeline(window_length=6, hop_length=3)])
    feed = Feed(engine)
    touched: dict[tuple[str, int], int] = {}
    out: list[tuple[str, int]] = []
    accepted: set[tuple[str, int]] = set()
    for device_number, first, count, take in steps:
        device = "abc"[device_number]
        number = feed.number
        late_before = engine.counters.samples.late
        out += ready(feed(message(first, count), device))
        if engine.counters.samples.late == late_before:
            for point in range(first, first + count):
                for index in range(-((5 - point) // 3), point // 3 + 1):
                    touched.setdefault((device, index), number)
        for key in out[:take]:
            engine.accepted("p", *key)
            accepted.add(key)
        del out[:take]
        limit = engine.acknowledgeable(feed.number)
        owed = [number for key, number in touched.items() if key not in accepted]
        assert limit <= min(owed, default=feed.number)
    for device, index in out + ready(engine.flush()):
        engine.accepted("p", device, index)
    assert engine.acknowledgeable(feed.number) == feed.number
    assert engine.n_owed == 0


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40), st.binary(max_size=200), st.booleans())
def test_any_bytes_become_events_and_nothing_raises(topic: str, payload: bytes, retained: bool) -> None:
    engine = Engine([pipeline(topic="plant/{device}/x")])
    for name in (topic, f"plant/{topic}/x"):
        for event in engine.receive(name, payload, wall_ns=0, clock_ns=0, number=0, retained=retained):
            assert isinstance(event, Rejected | WindowReady | Gap)


def test_a_decoder_that_fails_is_counted_and_the_engine_lives() -> None:
    class Broken:
        def decode(self, topic: str, payload: bytes) -> list[object]:
            raise RuntimeError(topic + payload.decode())

    made = pipeline()
    engine = Engine([Pipeline("p", made.topics, Broken(), made.spec)])  # type: ignore[arg-type]  # the fault is injected
    (event,) = engine.receive("plant/a/x", b"1", wall_ns=0, clock_ns=0, number=0)
    assert isinstance(event, Rejected)
    assert event.reason == "internal"


def test_interleaved_devices_do_not_disturb_each_other() -> None:
    rng = np.random.default_rng(1)
    engine = Engine([pipeline()])
    feed = Feed(engine)
    starts = {"a": 0, "b": 100, "c": 7}
    found: dict[str, list[int]] = {name: [] for name in starts}
    for _ in range(300):
        name = str(rng.choice(list(starts)))
        count = int(rng.integers(1, 6))
        for event in feed(message(starts[name], count), name):
            assert isinstance(event, WindowReady)
            values = event.window.values[0]
            expected = np.arange(event.window.index * 4, event.window.index * 4 + 4, dtype=np.float32)
            assert ((values == expected) | np.isnan(values)).all()
            found[event.device].append(event.window.index)
        starts[name] += count
    for name, first in (("a", 0), ("b", 25), ("c", 1)):
        assert found[name] == list(range(first, first + len(found[name])))
        assert len(found[name]) > 30
