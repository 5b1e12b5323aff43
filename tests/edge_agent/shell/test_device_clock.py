"""The clock by which devices are late stands still while there is no broker to publish to, or one that stands still."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.shell.device_clock import GRACE_NS, QUIET_NS, DeviceClock


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
    clock.heard(9_000 + GRACE_NS)
    assert clock.read(9_000 + GRACE_NS) == 1_000
    assert clock.read(9_500 + GRACE_NS) == 1_500


def test_a_broker_that_says_nothing_stops_the_clock_and_gives_devices_time_when_it_speaks_again() -> None:
    clock = DeviceClock()
    clock.connected(0)
    clock.quiet(3 * QUIET_NS)
    assert clock.read(3 * QUIET_NS) == QUIET_NS
    clock.heard(4 * QUIET_NS)
    clock.heard(4 * QUIET_NS + GRACE_NS)
    assert clock.read(4 * QUIET_NS + GRACE_NS) == QUIET_NS
    assert clock.read(4 * QUIET_NS + GRACE_NS + 7) == QUIET_NS + 7


def test_an_agent_that_did_not_listen_does_not_take_its_own_slowness_for_silence() -> None:
    clock = DeviceClock()
    clock.connected(0)
    clock.heard(9 * QUIET_NS)
    assert clock.read(9 * QUIET_NS) == 9 * QUIET_NS


STEPS = st.sampled_from(["lost", "connected", "heard", "quiet", "read"])


@given(st.lists(st.tuples(STEPS, st.integers(0, 10**10)), max_size=30))
def test_it_never_runs_backwards_nor_ahead_of_time(steps: list[tuple[str, int]]) -> None:
    clock = DeviceClock()
    now = before = 0
    for what, passed in steps:
        now += passed
        if what == "lost":
            clock.lost(now)
        elif what == "connected":
            clock.connected(now)
        elif what == "heard":
            clock.heard(now)
        elif what == "quiet":
            clock.quiet(now)
        said = clock.read(now)
        assert before <= said <= now
        before = said
