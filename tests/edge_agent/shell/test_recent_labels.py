"""What may have been lost with a broker, and is published again: kept whole, and for as long as promised."""

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.shell.outgoing import Kind, Outgoing
from edge_agent.shell.recent_labels import RING_REPEAT_S, RING_S, RecentLabels

KINDS: tuple[Kind, ...] = ("label", "event", "gap", "capture")

messages = st.lists(
    st.tuples(
        st.sampled_from(KINDS),
        st.sampled_from(["a", "b/c"]),
        st.sampled_from([b"", b"1", b"22"]),
        st.booleans(),
        st.integers(0, 700),
    ),
    max_size=500,
)


def facts(message: Outgoing) -> tuple[Kind, str, bytes, bool, int]:
    return message.kind, message.topic, message.payload, message.retain, message.sequence


@given(messages)
def test_copies_say_what_was_accepted_in_its_order_and_settle_nothing(
    given_messages: list[tuple[Kind, str, bytes, bool, int]],
) -> None:
    recent = RecentLabels()
    accepted_s, kept = 100.0, []
    for number, (kind, topic, payload, retain, wait_ms) in enumerate(given_messages):
        accepted_s += wait_ms / 1000.0
        message = Outgoing(kind, topic, payload, retain, ("p", "d", number), sequence=number, since_ns=5, mid=number)
        kept.append((accepted_s, facts(message)))
        recent.add((accepted_s, message))
        recent.trim(accepted_s)
    recent.connected(accepted_s)
    first, second = (recent.repeats(accepted_s + delay_s) for delay_s in RING_REPEAT_S)
    promised = [row for since_s, row in kept if since_s >= accepted_s - RING_S]
    assert [facts(message) for message in first][-len(promised) :] == promised
    assert [facts(message) for message in second] == [facts(message) for message in first]
    assert all(
        (copy.key, copy.mid, copy.since_ns, copy.is_repeat, copy.is_dup) == (None, 0, 0, True, False) for copy in first
    )
    assert len(recent) == len(first) <= sum(since_s >= accepted_s - RING_S - 1.0 for since_s, _ in kept)


def test_a_label_and_the_change_that_it_is_share_one_text_and_both_come_back() -> None:
    recent = RecentLabels()
    for number, payload in enumerate([b"one", b"two"]):
        recent.add((1.0, Outgoing("label", "label", payload, sequence=2 * number)))
        recent.add((1.0, Outgoing("event", "event", payload, sequence=2 * number + 1)))
    recent.connected(1.0)
    again = recent.repeats(1.0)
    assert [(message.topic, message.payload) for message in again] == [
        ("label", b"one"),
        ("event", b"one"),
        ("label", b"two"),
        ("event", b"two"),
    ]


def test_the_ring_is_bounded_however_fast_labels_are_accepted() -> None:
    recent = RecentLabels()
    for number in range(50_000):
        recent.add((1.0, Outgoing("label", "a", b"%d" % number, sequence=number)))
        if number % 100 == 0:
            recent.trim(1.0)
    assert 20_000 <= len(recent) <= 20_500
    recent.connected(2.0)
    again = recent.repeats(2.0)
    assert [message.payload for message in again[-2:]] == [b"49998", b"49999"]
