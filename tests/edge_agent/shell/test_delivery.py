import pytest

from edge_agent.shell.delivery import NO_SUBSCRIBER, Outbox
from edge_agent.shell.outgoing import Outgoing
from edge_agent.shell.recent_labels import RING_REPEAT_S

NOT_AUTHORIZED = 0x87


def outbox(*, limit: int = 100, attempts: int = 3, patience_s: float = 10.0) -> Outbox:
    return Outbox(limit=limit, attempts=attempts, retry_max_s=30.0, patience_s=patience_s)


def label(index: int, device: str = "a") -> Outgoing:
    return Outgoing("label", f"gw/{device}/label", str(index).encode(), retain=True, key=("p", device, index))


def send_all(box: Outbox, now_s: float = 0.0, first_mid: int = 1) -> dict[int, Outgoing]:
    sent = {}
    mid = first_mid
    while (message := box.next(now_s, 1000)) is not None:
        box.sent(mid, message)
        sent[mid] = message
        mid += 1
    return sent


def test_window_is_settled_when_its_label_and_its_event_are_accepted() -> None:
    box = outbox()
    box.put(label(1))
    box.put(Outgoing("event", "gw/a/event", b"1", key=("p", "a", 1)))
    send_all(box)
    box.confirmed(1, 0, 0.0)
    assert box.settled == []
    box.confirmed(2, NO_SUBSCRIBER, 0.0)  # nobody asked for events: nothing is owed to anybody
    assert box.settled == [("p", "a", 1)]
    assert box.accepted == 1


def test_room_bounds_what_is_in_flight() -> None:
    box = outbox()
    for index in range(5):
        box.put(label(index))
    for mid in (1, 2):
        message = box.next(0.0, 2)
        assert message is not None
        box.sent(mid, message)
    assert box.next(0.0, 2) is None
    box.confirmed(1, 0, 0.0)
    assert box.next(0.0, 2) is not None


def test_label_without_subscriber_is_tried_again_and_delivered_when_somebody_comes() -> None:
    box = outbox()
    box.put(label(1))
    send_all(box)
    box.confirmed(1, NO_SUBSCRIBER, 0.0)
    assert box.next(0.4, 10) is None
    again = box.next(0.5, 10)
    assert again is not None
    box.sent(2, again)
    box.confirmed(2, 0, 0.6)
    assert box.settled == [("p", "a", 1)]
    assert (box.accepted, box.retried, dict(box.dropped)) == (1, 1, {})


def test_first_accepted_label_frees_all_that_waited_on_its_topic_in_order() -> None:
    box = outbox()
    for index in range(3):
        box.put(label(index))
    sent = send_all(box)
    for mid in sent:
        box.confirmed(mid, NO_SUBSCRIBER, 0.0)
    box.put(label(3))
    send_all(box, now_s=0.1, first_mid=10)
    box.confirmed(10, 0, 0.1)
    again = send_all(box, now_s=0.1, first_mid=20)
    assert [message.payload for message in again.values()] == [b"0", b"1", b"2"]


def test_patience_of_a_topic_ends_and_later_labels_do_not_wait_until_somebody_subscribes() -> None:
    box = outbox(patience_s=10.0)
    box.put(label(1))
    send_all(box)
    box.confirmed(1, NO_SUBSCRIBER, 0.0)
    send_all(box, now_s=11.0, first_mid=2)
    box.confirmed(2, NO_SUBSCRIBER, 11.0)
    assert box.settled == [("p", "a", 1)]
    box.put(label(2))
    send_all(box, now_s=12.0, first_mid=3)
    box.confirmed(3, NO_SUBSCRIBER, 12.0)
    assert box.settled == [("p", "a", 1), ("p", "a", 2)]
    assert dict(box.dropped) == {"no_subscriber": 2}
    box.put(label(3))
    send_all(box, now_s=13.0, first_mid=4)
    box.confirmed(4, 0, 13.0)
    box.put(label(4))
    send_all(box, now_s=14.0, first_mid=5)
    box.confirmed(5, NO_SUBSCRIBER, 14.0)
    assert box.settled[-1] == ("p", "a", 3), "patience starts anew once somebody was there"


def test_patience_is_per_device() -> None:
    box = outbox(patience_s=0.0)
    box.put(label(1, "a"))
    box.put(label(1, "b"))
    send_all(box)
    box.confirmed(1, 0, 0.0)
    box.confirmed(2, NO_SUBSCRIBER, 0.0)
    assert box.settled == [("p", "a", 1), ("p", "b", 1)]
    assert dict(box.dropped) == {"no_subscriber": 1}


def test_refused_label_is_tried_a_bounded_number_of_times_then_dropped_and_counted() -> None:
    box = outbox(attempts=3)
    box.put(label(1))
    now_s = 0.0
    for mid in (1, 2, 3):
        message = box.next(now_s, 10)
        assert message is not None
        box.sent(mid, message)
        assert box.settled == []
        box.confirmed(mid, NOT_AUTHORIZED, now_s)
        now_s += 10.0
    assert box.settled == [("p", "a", 1)]
    assert dict(box.dropped) == {"refused": 1}
    assert box.next(now_s + 100.0, 10) is None


def test_reconnect_repeats_the_last_labels_twice_and_counts_them_once() -> None:
    box = outbox()
    for index in range(3):
        box.put(label(index))
    for mid in send_all(box):
        box.confirmed(mid, 0, 100.0)
    box.settled.clear()
    box.connected(101.0)
    now = send_all(box, now_s=101.0 + RING_REPEAT_S[0], first_mid=10)
    later = send_all(box, now_s=101.0 + RING_REPEAT_S[1], first_mid=20)
    assert [message.payload for message in now.values()] == [b"0", b"1", b"2"]
    assert [message.payload for message in later.values()] == [b"0", b"1", b"2"]
    for mid in [*now, *later]:
        box.confirmed(mid, NO_SUBSCRIBER, 104.0)
    assert (box.accepted, box.settled) == (3, [])


def test_what_was_accepted_last_is_repeated_however_long_the_broker_was_away() -> None:
    box = outbox()
    for index in range(2):
        box.put(label(index))
        for mid in send_all(box, now_s=60.0 * index):
            box.confirmed(mid, 0, 60.0 * index)
    box.connected(3_600.0)
    again = send_all(box, now_s=3_600.0, first_mid=10)
    assert [message.payload for message in again.values()] == [b"1"]  # label 0 was accepted a minute before label 1


def test_only_the_newest_label_of_a_device_is_retained_when_older_ones_are_sent_again() -> None:
    box = outbox()
    for index in range(3):
        box.put(label(index))
    sent = send_all(box)
    assert [box.is_retained(message) for message in sent.values()] == [False, False, True]
    for mid in sent:
        box.confirmed(mid, NO_SUBSCRIBER, 0.0)
    again = send_all(box, now_s=1.0, first_mid=10)
    assert [(message.payload, box.is_retained(message)) for message in again.values()] == [
        (b"0", False),
        (b"1", False),
        (b"2", True),
    ]


def test_replaced_connection_sends_what_was_in_flight_again_in_order_before_the_rest() -> None:
    box = outbox()
    for index in range(3):
        box.put(label(index))
    for mid in (1, 2):
        message = box.next(0.0, 2)
        assert message is not None
        box.sent(mid, message)
    box.connection_replaced()
    box.confirmed(1, 0, 0.0)
    assert box.settled == [], "an identifier of the client that is gone settles nothing"
    assert [message.payload for message in send_all(box, first_mid=50).values()] == [b"0", b"1", b"2"]


def test_labels_that_wait_for_a_subscriber_are_bounded() -> None:
    box = outbox(limit=10)
    for index in range(200):
        box.put(label(index, device=f"d{index}"))
        for mid in send_all(box, first_mid=index + 1):
            box.confirmed(mid, NO_SUBSCRIBER, 0.0)
    assert box.dropped["outbox_full"] == 150
    assert box.settled[0] == ("p", "d0", 0), "the oldest goes first"


def test_flood_gives_up_the_oldest_and_never_grows_without_bound() -> None:
    box = outbox(limit=10)
    for index in range(1000):
        box.put(label(index))
    assert box.is_full
    assert box.dropped["outbox_full"] == 950


def confirm(box: Outbox, mids: list[int], now_s: float = 0.0) -> list[tuple[int, int]]:
    waits: list[tuple[int, int]] = []
    box.accepted_all(mids, now_s, lambda since_ns, n_labels: waits.append((since_ns, n_labels)))
    return waits


def test_taken_messages_have_identifiers_of_their_own_within_the_room() -> None:
    box = outbox()
    box.put_all([label(index) for index in range(5)])
    first = box.take(0.0, 3)
    assert len({message.mid for message in first}) == 3
    assert all(0x4000 <= message.mid <= 0xFFFF for message in first)
    assert box.take(0.0, 3) == []
    confirm(box, [first[1].mid])
    assert [message.payload for message in box.take(0.0, 3)] == [b"3"]
    assert box.settled == [("p", "a", 1)]


def test_identifiers_wrap_around_past_those_in_flight() -> None:
    box = outbox()
    box.put(label(0))
    (held,) = box.take(0.0, 2)
    seen = {box.new_mid() for _ in range(0x10000 - 0x4000 - 1)}
    assert held.mid not in seen
    assert len(seen) == 0x10000 - 0x4000 - 1
    assert box.new_mid() in seen


def test_what_was_in_flight_is_sent_again_in_order_under_its_identifier_where_the_session_was_kept() -> None:
    box = outbox()
    box.put_all([label(index) for index in range(4)])
    mids = [message.mid for message in box.take(0.0, 3)]
    confirm(box, [mids[1]])
    box.connection_replaced(keeps_session=True)
    assert box.in_flight == 0
    taken = box.take(0.0, 1)  # the broker of this connection allows one at a time
    assert [(message.mid, message.is_dup, message.payload) for message in taken] == [(mids[0], True, b"0")]
    assert box.new_mid() != mids[2], "still that of a message to be sent again"
    confirm(box, [mids[0]])
    again = box.take(0.0, 9)
    assert [(message.is_dup, message.payload) for message in again] == [(True, b"2"), (False, b"3")]
    assert again[0].mid == mids[2]
    confirm(box, [message.mid for message in again])
    assert sorted(index for *_, index in box.settled) == [0, 1, 2, 3]


def test_what_was_in_flight_is_new_to_a_broker_that_lost_the_session() -> None:
    box = outbox()
    box.put_all([label(0), label(1)])
    box.take(0.0, 9)
    box.connection_replaced(keeps_session=True)
    box.take(0.0, 1)
    box.connection_replaced(keeps_session=False)
    assert [(message.is_dup, message.payload) for message in box.take(0.0, 9)] == [(False, b"0"), (False, b"1")]


@pytest.mark.parametrize("keeps_session", [True, False])
def test_barrier_is_sent_again_only_in_its_session_and_counts_for_nothing(keeps_session: bool) -> None:
    box = outbox()
    barrier = Outgoing("barrier", "gw/barrier", b"{}", mid=box.new_mid())
    box.sent(barrier.mid, barrier)
    box.connection_replaced(keeps_session=keeps_session)
    again = box.take(0.0, 9)
    assert again == ([barrier] if keeps_session else [])
    for message in again:
        box.confirmed(message.mid, NOT_AUTHORIZED, 0.0)
    assert box.is_idle
    assert (box.accepted, dict(box.dropped), box.take(100.0, 9)) == (0, {}, [])


def test_waits_are_told_by_receipt_and_only_of_first_tries() -> None:
    box = outbox()
    for index, since_ns in enumerate((5, 5, 7)):
        message = label(index)
        message.since_ns = since_ns
        box.put(message)
    mids = [message.mid for message in box.take(0.0, 9)]
    box.confirmed(mids[0], NOT_AUTHORIZED, 0.0)
    assert confirm(box, mids[1:]) == [(5, 1), (7, 1)]
    (again,) = box.take(1.0, 9)
    assert confirm(box, [again.mid], 1.0) == []
    assert box.accepted == 3


def test_label_confirmed_in_bulk_frees_those_that_waited_for_a_subscriber() -> None:
    box = outbox()
    box.put_all([label(0), label(1)])
    mids = [message.mid for message in box.take(0.0, 9)]
    box.confirmed(mids[0], NO_SUBSCRIBER, 0.0)
    assert box.take(0.0, 9) == []
    confirm(box, [mids[1], 77])
    (again,) = box.take(0.0, 9)
    assert (again.payload, again.is_dup) == (b"0", False)
    assert box.is_retained(again) is False, "an older label must not replace the retained one"
    assert box.newest_of([again]) == [False]
