"""Messages that were refused, or that nobody subscribes to: by topic, until their next try."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Literal

from edge_agent.shell.outgoing import Outgoing

FIRST_RETRY_S = 0.5


class _Topic:
    """Messages of one topic that wait for another try."""

    __slots__ = ("delay_s", "due_s", "since_s", "waiting")

    def __init__(self, now_s: float) -> None:
        self.since_s = now_s
        self.delay_s = FIRST_RETRY_S
        self.due_s = now_s + FIRST_RETRY_S
        self.waiting: deque[Outgoing] = deque()


class HeldBack:
    """What waits for another try.

    Parameters
    ----------
    patience_s : float
        How long the messages of a topic wait for a subscriber, counted from the first of them.
    retry_max_s : float
        Upper bound of the delay between two tries; the delay doubles from 0.5 s.
    max_topics : int
        Topics in which something waits, at most.

    Examples
    --------
    >>> held = HeldBack(patience_s=60.0, retry_max_s=30.0, max_topics=10)
    >>> held.hold(Outgoing("label", "a", b"1"), 0.0, patient=True), len(held)
    (None, 1)
    >>> len(held.due(0.4)), len(held.due(0.5)), len(held)
    (0, 1, 0)
    """

    def __init__(self, *, patience_s: float, retry_max_s: float, max_topics: int) -> None:
        self._patience_s = patience_s
        self._retry_max_s = retry_max_s
        self._max_topics = max_topics
        self._topics: OrderedDict[str, _Topic] = OrderedDict()
        self._n_messages = 0
        self._wake_at_s = 0.0

    def __len__(self) -> int:
        """Number of messages that wait."""
        return self._n_messages

    @property
    def has_topics(self) -> bool:
        """Whether anything waits, or a topic is known that nobody subscribes to."""
        return bool(self._topics)

    def messages(self) -> Iterator[Outgoing]:
        """All that waits."""
        return (message for topic in self._topics.values() for message in topic.waiting)

    def hold(self, message: Outgoing, now_s: float, *, patient: bool) -> Literal["outbox_full", "no_subscriber"] | None:
        """Keep a message for another try; or the reason why it is not kept.

        Parameters
        ----------
        message : Outgoing
        now_s : float
        patient : bool
            It waits for a subscriber, and its topic may have waited long enough.
        """
        topic = self._topics.get(message.topic)
        if topic is None:
            if len(self._topics) >= self._max_topics:
                return "outbox_full"
            topic = self._topics[message.topic] = _Topic(now_s)
        if patient and now_s - topic.since_s >= self._patience_s:
            # The topic stays in the table, empty: what comes next on it is released at once, until somebody subscribes.
            return "no_subscriber"
        topic.waiting.append(message)
        self._n_messages += 1
        self._wake_at_s = min(self._wake_at_s, topic.due_s)
        return None

    def pop_oldest(self) -> Outgoing:
        """Take out the oldest message of the topic that waits longest; something must wait."""
        oldest = next(topic for topic in self._topics.values() if topic.waiting)
        self._n_messages -= 1
        return oldest.waiting.popleft()

    def release(self, name: str) -> list[Outgoing] | None:
        """Forget a topic: somebody subscribes to it. What waited in it; None where it was not known."""
        topic = self._topics.pop(name, None)
        if topic is None:
            return None
        self._n_messages -= len(topic.waiting)
        return list(topic.waiting)

    def hurry(self, now_s: float) -> None:
        """Everything is due at once: the connection is a new one."""
        for topic in self._topics.values():
            topic.due_s = now_s
            topic.delay_s = FIRST_RETRY_S
        self._wake_at_s = now_s

    def due(self, now_s: float) -> list[Outgoing]:
        """What is to be tried again now; the next try of their topics comes later than this one did."""
        if not self._n_messages or now_s < self._wake_at_s:
            return []
        taken: list[Outgoing] = []
        for topic in self._topics.values():
            if topic.waiting and topic.due_s <= now_s:
                taken += topic.waiting
                topic.waiting.clear()
                topic.delay_s = min(2 * topic.delay_s, self._retry_max_s)
                topic.due_s = now_s + topic.delay_s
        self._n_messages -= len(taken)
        self._wake_at_s = min((topic.due_s for topic in self._topics.values()), default=0.0)
        return taken
