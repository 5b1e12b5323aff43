from hypothesis import given
from hypothesis import strategies as st

from edge_agent.shell.acknowledgements import Acknowledgements


@given(st.lists(st.tuples(st.sampled_from(["take", "take_qos0", "label"]), st.integers(0, 60)), max_size=200))
def test_acknowledgements_are_the_prefix_in_order_each_once(steps: list[tuple[str, int]]) -> None:
    owed = Acknowledgements(bound=1000)
    delivered: list[tuple[int, int]] = []
    released: list[int] = []
    labelled_below = 0
    for what, amount in steps:
        if what == "label":
            labelled_below = min(owed.next_number, labelled_below + amount)
            released += owed.release(labelled_below)
        else:
            mid = None if what == "take_qos0" else len(delivered) + 1
            number = owed.received(mid)
            if mid is not None:
                delivered.append((number, mid))
    assert released == [mid for _, mid in delivered][: len(released)]
    assert released == [mid for number, mid in delivered if number < labelled_below]


def test_acknowledgement_of_an_older_connection_is_never_sent() -> None:
    owed = Acknowledgements(bound=10)
    first = owed.received(mid=1)
    owed.connected(bound=10)
    second = owed.received(mid=1)  # the same identifier now means another message
    assert owed.release(labelled_below=first + 1) == []
    assert owed.release(labelled_below=second + 1) == [1]


def test_beyond_the_bound_the_oldest_are_acknowledged_early_and_counted() -> None:
    owed = Acknowledgements(bound=2)
    for mid in range(1, 6):
        owed.received(mid)
    assert owed.release(labelled_below=1) == [1, 2, 3]
    assert owed.early == 2


def test_bound_zero_acknowledges_at_once() -> None:
    owed = Acknowledgements(bound=0)
    owed.received(mid=9)
    assert owed.release(labelled_below=0) == [9]


def test_stuck_broker_halves_the_bound_and_frees_the_stream() -> None:
    owed = Acknowledgements(bound=1000)
    for mid in range(1, 33):
        owed.received(mid)
    assert owed.halve_bound() == 32
    assert owed.release(labelled_below=0) == list(range(1, 17))
