"""An error inside the engine costs what it must, and says so: nothing open is forgotten, and no other device pays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from edge_agent.engine import Engine, Event, Gap
from signals import DeviceWindows
from tests.edge_agent.engine.test_engine import Feed, message, pipeline, ready

MakeFail = Callable[[str, int], None]


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> MakeFail:
    """Let a method of the windower raise at its n-th call, after it has done its work; only that once."""

    def arm(method: str, call: int) -> None:
        original, left = getattr(DeviceWindows, method), call

        def wrapped(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - stands for any of them
            nonlocal left
            left -= 1
            result = original(*arguments, **named)
            if left == 0:
                raise ZeroDivisionError("a windower that fails")
            return result

        monkeypatch.setattr(DeviceWindows, method, wrapped)

    return arm


def gaps(events: list[Event]) -> list[tuple[str, int, int, str]]:
    return [
        (event.device, event.first_index, event.last_index, event.reason) for event in events if isinstance(event, Gap)
    ]


@pytest.mark.parametrize("count", [1, 3])
def test_what_a_device_had_open_is_declared_when_placing_its_samples_fails(fail: MakeFail, count: int) -> None:
    engine = Engine([pipeline()])
    feed = Feed(engine)
    feed(message(0, 1))
    fail("extend", 1)
    assert gaps(feed(message(1, count))) == [("a", 0, 0, "internal")]
    assert engine.acknowledgeable(feed.number) == 0, "owed until the gap is accepted"
    engine.accepted("p", "a", 0)
    assert engine.acknowledgeable(feed.number) == feed.number
    assert engine.counters.rejected == {"internal": 1}
    events = feed(message(4, 5))
    assert ready(events) == [("a", 1)]
    assert engine.resume_state()["p"]["devices"]["a"]["closed_through"] == 0


def test_windows_that_closed_as_the_error_came_are_declared_too(fail: MakeFail) -> None:
    engine = Engine([pipeline(hop_length=2)])
    feed = Feed(engine)
    feed(message(0, 3))
    fail("extend", 1)
    assert gaps(feed(message(3, 5))) == [("a", 0, 3, "internal")]
    for index in (-1, 3):
        engine.accepted("p", "a", index)
    assert engine.acknowledgeable(feed.number) == feed.number
    assert engine.n_owed == 0


def test_an_error_owes_nothing_in_the_name_of_the_next_device(fail: MakeFail) -> None:
    engine = Engine([pipeline()])
    feed = Feed(engine)
    feed(message(0, 1), "a")
    feed(message(0, 1), "b")
    fail("extend", 1)
    feed(message(400, 1), "a")
    assert ready(feed(message(1, 3), "b")) == [("b", 0)]
    engine.accepted("p", "b", 0)
    engine.accepted("p", "a", 100)
    assert engine.n_owed == 0


def test_a_deadline_that_fails_for_one_device_holds_for_the_others(fail: MakeFail) -> None:
    engine = Engine([pipeline()])
    feed = Feed(engine)
    for device in "abc":
        feed(message(0, 2), device)
    fail("advance", 2)
    events = engine.tick(60_000_000_000)
    assert len(ready(events)) == 2
    assert len(gaps(events)) == 1
    for device in "abc":
        engine.accepted("p", device, 0)
    assert engine.acknowledgeable(feed.number) == feed.number


def test_a_device_lost_before_its_first_label_is_declared_when_it_comes_back() -> None:
    engine = Engine([pipeline()])
    Feed(engine)(message(8, 2))
    again = Engine([pipeline()], resume=engine.resume_changes())
    events = Feed(again)(message(40, 5))
    assert gaps(events) == [("a", 2, 9, "restart")]
    assert ready(events) == [("a", 10)]


def test_a_device_delivered_again_before_its_first_label_is_declared_nowhere() -> None:
    engine = Engine([pipeline()])
    Feed(engine)(message(9, 2))
    again = Engine([pipeline()], resume=engine.resume_changes())
    events = Feed(again)(message(9, 8))
    assert not gaps(events)
    assert ready(events) == [("a", 2), ("a", 3)]
