"""What is owed to the consumers, as pure bookkeeping: labels on their way to the broker and not yet accepted.

No socket and no clock: the loop tells what happened and when.

- A label that the broker refuses, or that nobody subscribes to, is tried again, within bounds, then counted and given
  up.
- The labels accepted in the last seconds are published again after a reconnect: a broker that crashed may have lost
  them.

What "nobody subscribes" (PUBACK 0x10) means here: the broker has stored the label as the retained one of its device, so
a late subscriber sees the newest label but not those before it. Labels of that device therefore wait, up to
``consumer_patience_s`` counted from the first of them, for a subscriber (a consumer with a persistent session counts
while it is away); after that they are released at once, counted as ``no_subscriber``, until somebody subscribes.

A label that is published again must not replace a newer retained one, so only the newest label of a topic carries the
flag.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, replace
from typing import Literal

NO_SUBSCRIBER = 0x10
"""PUBACK reason "No matching subscribers" (MQTT 5.0, section 3.4.2.1)."""

FAILURE = 0x80
"""From here on a reason code is a refusal (MQTT 5.0, section 2.4)."""

RING_S = 5.0
"""How long an accepted label is kept to be published again after a reconnect."""

RING_REPEAT_S = (0.0, 2.5)
"""When, after a reconnect: at once, and again when the consumers have had time to come back."""

FIRST_RETRY_S = 0.5
_WAITING_FACTOR = 5
_RING_LABELS = 20_000
_TOPICS = 100_000

WindowKey = tuple[str, str, int]
"""Pipeline, device, window index."""


Kind = Literal["label", "event", "gap", "capture", "status"]

_AWAITED: frozenset[Kind] = frozenset({"label", "capture"})
"""What somebody must hear before it counts as delivered."""


@dataclass(slots=True, eq=False)
class Outgoing:
    """A QoS 1 message to the broker.

    Attributes
    ----------
    kind : str
        ``label`` and ``capture`` wait for a subscriber; the others need none.
    key : tuple or None
        The window (or last window of a gap) that is settled once the broker has this message; None = nothing waits
        for it.
    retain : bool
        May replace the retained message of its topic, as long as it is the newest.
    sequence : int
        Order of publication; the outbox sets it.
    attempts : int
        Refusals so far.
    """

    kind: Kind
    topic: str
    payload: bytes
    retain: bool = False
    key: WindowKey | None = None
    sequence: int = -1
    attempts: int = 0
    is_repeat: bool = False


class _Held:
    """Messages of one topic that wait for another try."""

    __slots__ = ("delay_s", "due_s", "since_s", "waiting")

    def __init__(self, now_s: float) -> None:
        self.since_s = now_s
        self.delay_s = FIRST_RETRY_S
        self.due_s = now_s + FIRST_RETRY_S
        self.waiting: deque[Outgoing] = deque()


class Outbox:
    """Messages on their way to the broker, from the engine's event to the broker's word.

    Parameters
    ----------
    limit : int
        Above this many messages not yet sent, :attr:`is_full` asks the loop to pause its intake.
    attempts : int
        Tries of a message that the broker refuses.
    retry_max_s : float
        Upper bound of the delay between two tries; the delay doubles from 0.5 s.
    patience_s : float
        How long the labels of a topic wait for a subscriber.

    Attributes
    ----------
    settled : list of WindowKey
        Windows whose messages are all accepted or given up; the loop takes them out.
    accepted, captured, retried : int
        Labels and captures that the broker took; messages tried again.
    dropped : Counter
        Labels given up, by reason: ``no_subscriber``, ``refused``, ``too_large``, ``outbox_full``.
    """

    def __init__(self, *, limit: int, attempts: int, retry_max_s: float, patience_s: float) -> None:
        self._limit = limit
        self._attempts = attempts
        self._retry_max_s = retry_max_s
        self._patience_s = patience_s
        self._queue: deque[Outgoing] = deque()
        self._in_flight: OrderedDict[int, Outgoing] = OrderedDict()
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self._n_held = 0
        self._wake_at_s = 0.0
        self._parts: dict[WindowKey, int] = {}
        self._newest: OrderedDict[str, int] = OrderedDict()
        self._ring: deque[tuple[float, Outgoing]] = deque(maxlen=_RING_LABELS)
        self._repeat_at_s: list[float] = []
        self._sequence = 0
        self.settled: list[WindowKey] = []
        self.accepted = 0
        self.captured = 0
        self.retried = 0
        self.dropped: Counter[str] = Counter()

    # ------------------------------------------------------------------ what waits

    @property
    def is_full(self) -> bool:
        """Whether more messages wait to be sent than the limit allows."""
        return len(self._queue) >= self._limit

    @property
    def in_flight(self) -> int:
        """Messages sent whose PUBACK is not here yet."""
        return len(self._in_flight)

    @property
    def waiting(self) -> int:
        """Messages that wait for the broker's word, sent or not, or for another try."""
        return len(self._queue) + len(self._in_flight) + self._n_held

    @property
    def waiting_bytes(self) -> int:
        """Payload bytes of these messages; looks at each of them."""
        held = (message for held in self._held.values() for message in held.waiting)
        return sum(len(message.payload) for group in (self._queue, self._in_flight.values(), held) for message in group)

    @property
    def limit(self) -> int:
        """Messages not yet sent above which the intake pauses."""
        return self._limit

    @property
    def is_idle(self) -> bool:
        """Whether nothing is to be sent or confirmed; messages held for a later try do not count."""
        return not self._queue and not self._in_flight

    def put(self, message: Outgoing, *, is_urgent: bool = False) -> None:
        """Take a message; it settles its window together with the other messages of that window.

        Far above the limit, which the loop does not let happen unless messages flood in, the oldest is given up.
        """
        message.sequence = self._sequence
        self._sequence += 1
        if message.key is not None:
            self._parts[message.key] = self._parts.get(message.key, 0) + 1
        if message.retain:
            self._newest[message.topic] = message.sequence
            self._newest.move_to_end(message.topic)
            if len(self._newest) > _TOPICS:
                self._newest.popitem(last=False)
        if is_urgent:
            self._queue.appendleft(message)
        else:
            self._queue.append(message)
        if len(self._queue) > self._limit * _WAITING_FACTOR:
            self.give_up(self._queue.popleft(), "outbox_full")

    def next(self, now_s: float, room: int) -> Outgoing | None:
        """The next message to publish; None where nothing is due or ``room`` messages are in flight."""
        self._wake(now_s)
        if len(self._in_flight) >= room or not self._queue:
            return None
        return self._queue.popleft()

    def is_retained(self, message: Outgoing) -> bool:
        """Whether the message is to replace the retained one of its topic: the newest alone may."""
        return message.retain and self._newest.get(message.topic) == message.sequence

    def sent(self, mid: int, message: Outgoing) -> None:
        """Note the packet identifier under which the message went out."""
        self._in_flight[mid] = message

    def not_sent(self, message: Outgoing) -> None:
        """Put back a message that could not be handed over."""
        self._queue.appendleft(message)

    # ------------------------------------------------------------------ what the broker said

    def confirmed(self, mid: int, reason: int, now_s: float) -> None:
        """Act on a PUBACK; identifiers that are not ours are ignored."""
        message = self._in_flight.pop(mid, None)
        if message is None or message.is_repeat:
            return
        if reason < FAILURE and (reason != NO_SUBSCRIBER or message.kind not in _AWAITED):
            self._accept(message, now_s)
        elif reason == NO_SUBSCRIBER:
            self._hold(message, now_s, patient=True)
        elif message.attempts + 1 >= self._attempts:
            self.give_up(message, "refused")
        else:
            message.attempts += 1
            self._hold(message, now_s, patient=False)

    def give_up(self, message: Outgoing, reason: str) -> None:
        """Count the message as lost and let the stream go on."""
        if message.kind != "status" and not message.is_repeat:
            self.dropped[reason] += 1
        self._settle(message)

    def connection_replaced(self) -> None:
        """Send again, in order, what was in flight on a client that is no more."""
        for message in reversed(self._in_flight.values()):
            self._queue.appendleft(message)
        self._in_flight.clear()

    def connected(self, now_s: float) -> None:
        """Plan to publish the labels of the last seconds again, and to try what was held at once."""
        self._repeat_at_s = [now_s + delay for delay in RING_REPEAT_S] if self._ring else []
        for held in self._held.values():
            held.due_s = now_s
            held.delay_s = FIRST_RETRY_S
        self._wake_at_s = now_s

    # ------------------------------------------------------------------ inside

    def _accept(self, message: Outgoing, now_s: float) -> None:
        if message.kind in _AWAITED:
            if message.kind == "label":
                self.accepted += 1
            else:
                self.captured += 1
            held = self._held.pop(message.topic, None)
            if held is not None:
                self._n_held -= len(held.waiting)
                self._requeue(held)
        if message.kind != "status":
            self._ring.append((now_s, message))
            while self._ring and self._ring[0][0] < now_s - RING_S:
                self._ring.popleft()
        self._settle(message)

    def _settle(self, message: Outgoing) -> None:
        key = message.key
        if key is None:
            return
        left = self._parts.get(key, 1) - 1
        if left:
            self._parts[key] = left
        else:
            self._parts.pop(key, None)
            self.settled.append(key)

    def _hold(self, message: Outgoing, now_s: float, *, patient: bool) -> None:
        held = self._held.get(message.topic)
        if held is None:
            if len(self._held) >= _TOPICS:
                self.give_up(message, "outbox_full")
                return
            held = self._held[message.topic] = _Held(now_s)
        if patient and now_s - held.since_s >= self._patience_s:
            # The topic stays in the table, empty: what comes next on it is released at once, until somebody subscribes.
            self.give_up(message, "no_subscriber")
            return
        held.waiting.append(message)
        self._n_held += 1
        self._wake_at_s = min(self._wake_at_s, held.due_s)
        if self._n_held > self._limit * _WAITING_FACTOR:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        oldest = next(held for held in self._held.values() if held.waiting)
        self._n_held -= 1
        self.give_up(oldest.waiting.popleft(), "outbox_full")

    def _wake(self, now_s: float) -> None:
        if self._repeat_at_s and self._repeat_at_s[0] <= now_s:
            self._repeat_at_s.pop(0)
            for accepted_s, message in self._ring:
                if accepted_s >= now_s - RING_S - max(RING_REPEAT_S):
                    self._queue.append(replace(message, key=None, is_repeat=True))
        if not self._n_held or now_s < self._wake_at_s:
            return
        for held in self._held.values():
            if held.waiting and held.due_s <= now_s:
                self._n_held -= len(held.waiting)
                self.retried += len(held.waiting)
                self._requeue(held)
                held.delay_s = min(2 * held.delay_s, self._retry_max_s)
                held.due_s = now_s + held.delay_s
        self._wake_at_s = min((held.due_s for held in self._held.values()), default=0.0)

    def _requeue(self, held: _Held) -> None:
        self._queue.extendleft(sorted(held.waiting, key=lambda message: message.sequence, reverse=True))
        held.waiting.clear()
