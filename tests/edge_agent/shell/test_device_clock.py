"""The clock by which devices are late stands still while there is no broker to publish to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.shell.device_clock import GRACE_NS, DeviceClock


def test_before_the_first_outage_it_is_the_monotonic_clock() -> None:
    clock = DeviceClock()
    clock.connected(5)
    assert [clock.read(moment) for moment in (5, 6, 100)] == [5, 6, 100]


def test_an_outage_and_the_moment_of_coming_back_do_not_count() -> None:
    clock = DeviceClock()
    clock.connected(0)
    clock.lost(1_000)
    assert clock.read(7_000) == 1_000
    clock.lost(8_000)
    clock.connected(9_000)
    assert clock.read(9_000 + GRACE_NS) == 1_000
    assert clock.read(9_500 + GRACE_NS) == 1_500


@given(st.lists(st.tuples(st.sampled_from(["lost", "connected", "read"]), st.integers(0, 10**10)), max_size=30))
def test_it_never_runs_backwards_nor_faster_than_time(steps: list[tuple[str, int]]) -> None:
    clock = DeviceClock()
    now = before = 0
    for what, passed in steps:
        now += passed
        if what == "lost":
            clock.lost(now)
        elif what == "connected":
            clock.connected(now)
        said = clock.read(now)
        assert before <= said <= before + passed
        before = said
