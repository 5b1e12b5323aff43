from collections.abc import Iterable

import pytest

from demo.pace import paced
from demo.plant.messages import Message


class FakeTime:
    def __init__(self) -> None:
        self.now_s = 100.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds


def due(*times_s: float) -> list[Message]:
    return [Message(time_s, "t", b"", "d", 0) for time_s in times_s]


def run(messages: Iterable[Message], speed: float | None, work_s: float = 0.0) -> tuple[list[float], list[float]]:
    time = FakeTime()
    left = []
    for _ in paced(messages, speed, clock=time.clock, sleep=time.sleep):
        left.append(time.now_s - 100.0)
        time.now_s += work_s
    return left, time.slept


def test_messages_leave_when_they_are_due_at_any_speed() -> None:
    assert run(due(0.0, 1.0, 4.0), 1.0)[0] == pytest.approx([0.0, 1.0, 4.0])
    assert run(due(0.0, 1.0, 4.0), 8.0)[0] == pytest.approx([0.0, 0.125, 0.5])


def test_a_slow_receiver_does_not_shift_what_comes_later() -> None:
    left, _ = run(due(0.0, 1.0, 2.0, 10.0), 1.0, work_s=1.5)
    # The third is late, because the second took too long; the fourth is on time again.
    assert left == pytest.approx([0.0, 1.5, 3.0, 10.0])


def test_nothing_waits_without_a_speed() -> None:
    left, slept = run(due(0.0, 1000.0), None)
    assert left == [0.0, 0.0]
    assert slept == []


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan")])
def test_a_speed_that_is_none_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="speed: above 0 expected"):
        next(paced(due(0.0), speed))
