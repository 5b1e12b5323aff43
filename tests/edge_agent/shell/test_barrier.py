from edge_agent.shell.barrier import INTERVAL_S, STALL_S, BarrierClock

SECOND = 1_000_000_000


def test_echo_of_an_earlier_process_does_not_move_the_clock() -> None:
    before, now = BarrierClock(), BarrierClock()
    assert now.echoed(before.next_payload(10 * SECOND, 10 * SECOND)) is None


def test_clock_never_goes_back_when_an_old_echo_is_delivered_again() -> None:
    clock = BarrierClock()
    early, late = clock.next_payload(1 * SECOND, 1 * SECOND), clock.next_payload(2 * SECOND, 2 * SECOND)
    assert clock.echoed(late) == 2 * SECOND
    assert clock.echoed(early) is None


def test_next_barrier_is_due_after_its_interval_and_not_while_four_are_on_the_way() -> None:
    clock = BarrierClock()
    clock.next_payload(0, 0)
    assert not clock.is_due(int(INTERVAL_S * SECOND) - 1)
    assert clock.is_due(int(INTERVAL_S * SECOND))
    for mid in range(4):
        clock.sent(mid, 0)
    assert not clock.is_due(SECOND)


def test_broker_that_takes_barriers_and_delivers_nothing_is_stalled_one_that_is_silent_is_not() -> None:
    clock = BarrierClock()
    later = int((STALL_S + 1) * SECOND)
    clock.sent(1, 0)
    assert not clock.is_stalled(later), "no PUBACK: the broker stands still, and so does the clock"
    assert clock.confirmed(1, 0)
    assert not clock.confirmed(1, 0)
    assert clock.is_stalled(later)
    clock.heard()
    assert not clock.is_stalled(later)
