"""What is owed to the consumers, as pure bookkeeping: labels on their way to the broker and not yet accepted.

No socket and no clock: the loop tells what happened and when.

- A label that the broker refuses, or that nobody subscribes to, is tried again, within bounds, then counted and given
  up; unless nobody is there to hear it, its window is declared.
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

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter

from edge_agent.shell.held_back import HeldBack
from edge_agent.shell.lost_labels import LossNotice, LostLabels
from edge_agent.shell.outgoing import Kind, Outgoing, WindowKey
from edge_agent.shell.recent_labels import RecentLabels
from edge_agent.shell.spool import Spool
from schemas import ROUTES

NO_SUBSCRIBER = 0x10
"""PUBACK reason "No matching subscribers" (MQTT 5.0, section 3.4.2.1)."""

FAILURE = 0x80
"""From here on a reason code is a refusal (MQTT 5.0, section 2.4)."""

SHELTER_AFTER_S = 2.0
"""Labels that wait, while the broker accepts nothing for so long, are brought to the disk."""

_PAGE_LABELS = 500
_WAITING_FACTOR = 5
_TOPICS = 100_000
_FIRST_MID = 0x4000
_LAST_MID = 0xFFFF
"""Identifiers of the outbox; below them are those of the client library, for its subscriptions."""

_AWAITED: frozenset[Kind] = frozenset({"label", "capture"})
"""What somebody must hear before it counts as delivered."""

_UNKEPT: frozenset[Kind] = frozenset({"status", "barrier"})
"""What says only how things stand now, and is not published again after a reconnect."""


_sequence = attrgetter("sequence")


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
    spool : Spool or None
        Where labels go that the broker does not accept, or that there is no room for in memory.

    Attributes
    ----------
    settled : list of WindowKey
        Windows whose messages are all accepted, on the disk, or given up; the loop takes them out.
    accepted, captured, retried : int
        Labels and captures that the broker took; messages tried again.
    dropped : Counter
        Labels given up, by reason: ``no_subscriber``, ``refused``, ``too_large``, ``outbox_full``, ``spool_full``.
    """

    def __init__(
        self, *, limit: int, attempts: int, retry_max_s: float, patience_s: float, spool: Spool | None = None
    ) -> None:
        self._limit = limit
        self._attempts = attempts
        self._retry_max_s = retry_max_s
        self._queue: deque[Outgoing] = deque()
        self._in_flight: dict[int, Outgoing] = {}
        self._to_resend: set[int] = set()
        self._last_mid = _LAST_MID
        self._held = HeldBack(patience_s=patience_s, retry_max_s=retry_max_s, max_topics=_TOPICS)
        self._parts: dict[WindowKey, int] = {}
        self._newest: dict[str, int] = {}
        self._recent = RecentLabels()
        self._lost = LostLabels()
        self._spool = spool
        self._sequence = spool.next_sequence if spool is not None else 0
        self._sheltering: dict[int, Outgoing] = {}
        self._has_overflowed = False
        self._now_s = 0.0
        self._heard_s: float | None = None
        self._has_left_memory = False
        self._next_pass_s = 0.0
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
        return len(self._queue) + len(self._in_flight) + len(self._held)

    @property
    def waiting_bytes(self) -> int:
        """Payload bytes of these messages; looks at each of them."""
        groups = (self._queue, self._in_flight.values(), self._held.messages())
        return sum(len(message.payload) for group in groups for message in group)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is to be sent or confirmed; messages held for a later try do not count."""
        return not self._queue and not self._in_flight

    def put(self, message: Outgoing, *, is_urgent: bool = False) -> None:
        """Take a message; it settles its window together with the other messages of that window.

        Far above the limit, which the loop does not let happen unless messages flood in, the oldest is given up.
        """
        self.put_all((message,))
        if is_urgent:
            self._queue.appendleft(self._queue.pop())

    def put_all(self, messages: Sequence[Outgoing]) -> None:
        """Take messages in this order, as :meth:`put` would one by one."""
        parts, newest, sequence = self._parts, self._newest, self._sequence
        for message in messages:
            message.sequence = sequence
            if (key := message.key) is not None:
                parts[key] = parts.get(key, 0) + 1
            if message.retain:
                newest[message.topic] = sequence
            sequence += 1
        self._sequence = sequence
        self._queue.extend(messages)
        self._bound_queue()

    def next(self, now_s: float, room: int) -> Outgoing | None:
        """The next message to publish; None where nothing is due or ``room`` messages are in flight."""
        self._wake(now_s)
        if len(self._in_flight) >= room or not self._queue:
            return None
        return self._queue.popleft()

    def take(self, now_s: float, room: int) -> list[Outgoing]:
        """All that is to be published now, each under an identifier of its own, and from here on in flight.

        What is sent again after a reconnect comes first and keeps its identifier; never more than ``room`` are in
        flight at once (Receive Maximum of the broker; MQTT 5.0, section 4.9).
        """
        self._wake(now_s)
        queue, in_flight = self._queue, self._in_flight
        taken: list[Outgoing] = []
        for _ in range(min(room - len(in_flight), len(queue))):
            message = queue.popleft()
            if message.mid:
                self._to_resend.discard(message.mid)
            else:
                message.mid = self.new_mid()
            in_flight[message.mid] = message
            taken.append(message)
        return taken

    def new_mid(self) -> int:
        """A packet identifier under which nothing is in flight."""
        mid = self._last_mid
        while True:
            mid = mid + 1 if mid < _LAST_MID else _FIRST_MID
            if mid not in self._in_flight and mid not in self._to_resend:
                self._last_mid = mid
                return mid

    def withdraw(self, message: Outgoing) -> None:
        """Take back a message that was taken and cannot be sent."""
        self._in_flight.pop(message.mid, None)

    def is_retained(self, message: Outgoing) -> bool:
        """Whether the message is to replace the retained one of its topic: the newest alone may."""
        return message.retain and self._newest.get(message.topic) == message.sequence

    def newest_of(self, messages: Sequence[Outgoing]) -> list[bool]:
        """Which of the messages are to replace the retained one of their topic."""
        newest = self._newest
        return [message.retain and newest.get(message.topic) == message.sequence for message in messages]

    def sent(self, mid: int, message: Outgoing) -> None:
        """Note the packet identifier under which the message went out."""
        self._in_flight[mid] = message

    def not_sent(self, message: Outgoing) -> None:
        """Put back a message that could not be handed over."""
        self._queue.appendleft(message)

    # ------------------------------------------------------------------ what the broker said

    def accepted_all(self, mids: Sequence[int], now_s: float, waited: Callable[[int, int], None]) -> None:
        """Act on PUBACKs of success; identifiers that are not ours are ignored.

        Parameters
        ----------
        mids : sequence of int
        now_s : float
        waited : callable of (since_ns, n_labels)
            Told of the labels among them: how many of one receipt time were accepted.
        """
        since_ns = n_labels = 0
        in_flight, parts, settled = self._in_flight, self._parts, self.settled
        remember, has_held = self._recent.add, self._held.has_topics
        self._hear(now_s)
        for mid in mids:
            message = in_flight.pop(mid, None)
            if message is None or message.is_repeat:
                continue
            if message.kind != "label" or message.is_spooled:
                self._accept(message, now_s)
                continue
            self.accepted += 1
            if message.since_ns != since_ns:
                if n_labels:
                    waited(since_ns, n_labels)
                since_ns, n_labels = message.since_ns, 0
            n_labels += since_ns > 0
            if has_held:
                self._release_held(message.topic)
            remember((now_s, message))
            # As in _settle, whose call would cost as much again.
            if (key := message.key) is not None:
                left = parts.pop(key, 1) - 1
                if left:
                    parts[key] = left
                else:
                    settled.append(key)
        if n_labels:
            waited(since_ns, n_labels)
        self._recent.trim(now_s)

    def confirmed(self, mid: int, reason: int, now_s: float) -> None:
        """Act on a PUBACK; identifiers that are not ours are ignored."""
        self._hear(now_s)
        message = self._in_flight.pop(mid, None)
        if message is None or message.is_repeat or message.kind == "barrier":
            return
        message.mid, message.is_dup, message.since_ns = 0, False, 0  # what is tried again is not measured
        if reason < FAILURE and (reason != NO_SUBSCRIBER or message.kind not in _AWAITED):
            self._accept(message, now_s)
            self._recent.trim(now_s)
        elif reason == NO_SUBSCRIBER:
            self._hold(message, now_s, patient=True)
        elif message.attempts + 1 >= self._attempts:
            self.give_up(message, "refused")
        else:
            message.attempts += 1
            self._hold(message, now_s, patient=False)

    def topic_of(self, mid: int) -> str | None:
        """Topic of a message in flight; None where the identifier is not ours."""
        return message.topic if (message := self._in_flight.get(mid)) is not None else None

    def give_up(self, message: Outgoing, reason: str) -> None:
        """Count the message as lost and let the stream go on; the windows of labels are declared in its place."""
        is_told = False
        if message.kind not in _UNKEPT and not message.is_repeat:
            self.dropped[reason] += 1
            if reason == "outbox_full" or (reason != "no_subscriber" and message.kind != "gap"):
                is_told = self._lost.add(message.kind, message.payload, message.key)
        if message.is_spooled:
            self._forget(message)
        if not is_told or isinstance(message, LossNotice):
            self._settle(message)

    def connection_replaced(self, *, keeps_session: bool = False) -> None:
        """Send again, in order, what was in flight on a connection that is no more.

        Parameters
        ----------
        keeps_session : bool
            The broker kept the session: under the same identifiers and marked as duplicates (MQTT 5.0, section 4.4).
        """
        again = [*self._in_flight.values(), *self._queue]
        self._in_flight.clear()
        self._to_resend.clear()
        self._queue.clear()
        for message in again:
            if message.kind == "barrier" and not keeps_session:
                continue  # it proves nothing of another session
            message.is_dup, message.since_ns = keeps_session and message.mid > 0, 0
            if message.is_dup:
                self._to_resend.add(message.mid)
            else:
                message.mid = 0
            self._queue.append(message)

    def connected(self, now_s: float) -> None:
        """Plan to publish the labels of the last seconds again, and to try what was held at once."""
        self._recent.connected(now_s)
        self._held.hurry(now_s)
        if self._spool is not None:
            self._spool.begin_pass()

    # ------------------------------------------------------------------ what is on the disk

    def keep_safe(self, now_s: float, *, all_of_it: bool = False, held_too: bool = False) -> None:
        """Bring labels to the disk that the broker does not accept, and settle those that arrived there.

        Parameters
        ----------
        now_s : float
        all_of_it : bool
            The agent ends: whatever waits.
        held_too : bool
            Also what waits for a subscriber: its samples were acknowledged, so that nobody else has them.
        """
        spool, self._now_s = self._spool, now_s
        if self.is_idle or self._heard_s is None:
            self._heard_s = now_s
        is_away = now_s - self._heard_s >= SHELTER_AFTER_S
        if all_of_it or is_away or not self.is_full:
            self.put_all(self._lost.notices(now_s, is_away=is_away, all_of_it=all_of_it))
        if spool is None:
            return
        for sequence in spool.turn(now_s):
            kept = self._sheltering.pop(sequence, None)
            if kept is not None:
                self._settle(kept)
                kept.key = None
        if spool.dropped:
            self.dropped["spool_full"] += len(spool.dropped)
            for lost in spool.dropped:
                self._lost.add(lost.kind, lost.payload, None)
            spool.dropped.clear()
        if all_of_it or is_away:
            self._shelter_queue()
            self._shelter_copies(self._in_flight.values())
        # Acknowledgements go out in order: a label that waits in memory would hold up those of all that overflowed.
        self._has_overflowed = self._has_overflowed and len(self._held) > 0
        if all_of_it or held_too or self._has_overflowed:
            self._shelter_copies(self._held.messages())
        if now_s >= self._next_pass_s and not spool.has_more:
            self._next_pass_s = now_s + self._retry_max_s
            spool.begin_pass()

    def _hear(self, now_s: float) -> None:
        """The broker gives its word again: what left memory meanwhile may come back."""
        self._heard_s = now_s
        if self._has_left_memory and self._spool is not None:
            self._has_left_memory = False
            self._spool.begin_pass()

    def _shelter_queue(self) -> None:
        """What waits to be sent leaves memory for the disk; what the broker may know by its identifier stays."""
        self._has_left_memory = True
        stays: deque[Outgoing] = deque()
        for message in self._queue:
            if message.mid or not self._is_kept(message) or not self._shelter(message, is_resident=False):
                stays.append(message)
        self._shelter_copies(stays)
        self._queue = stays

    def _shelter_copies(self, messages: Iterable[Outgoing]) -> None:
        for message in messages:
            if not message.is_spooled and self._is_kept(message):
                self._shelter(message, is_resident=True)

    def _shelter(self, message: Outgoing, *, is_resident: bool) -> bool:
        """Whether the message is on its way to the disk, or there already."""
        spool, kind = self._spool, message.kind
        if spool is None or kind == "status" or kind == "barrier":  # noqa: PLR1714 - a set does not narrow the type
            return False
        if message.is_spooled:
            if not is_resident:
                spool.leave_memory(message.sequence)
            return True
        message.is_spooled = spool.keep(
            message.sequence, kind, message.topic, message.payload, now_s=self._now_s, is_resident=is_resident
        )
        if message.is_spooled:
            self._sheltering[message.sequence] = message
        return message.is_spooled

    def _is_kept(self, message: Outgoing) -> bool:
        return message.kind not in _UNKEPT and not message.is_repeat

    def _overflow(self, message: Outgoing) -> None:
        """There is no room for it in memory."""
        if not self._is_kept(message) or not self._shelter(message, is_resident=False):
            self.give_up(message, "outbox_full")

    def _forget(self, message: Outgoing) -> None:
        """The disk need not keep it any more."""
        message.is_spooled = False
        if self._spool is not None:
            self._spool.forget(message.sequence, self._now_s)
        kept = self._sheltering.pop(message.sequence, None)
        if kept is not None and kept is not message:
            self._settle(kept)

    def _refill(self, spool: Spool) -> None:
        """Labels of the disk go before all others: they are older."""
        if len(self._queue) >= _PAGE_LABELS or len(self._held) > self._limit:
            return
        page = [
            Outgoing(
                kept.kind, kept.topic, kept.payload, ROUTES[kept.kind].retain, sequence=kept.sequence, is_spooled=True
            )
            for kept in spool.take(_PAGE_LABELS)
        ]
        for message in page:
            if message.retain and self._newest.get(message.topic, -1) < message.sequence:
                self._newest[message.topic] = message.sequence
        self._queue.extendleft(reversed(page))

    # ------------------------------------------------------------------ inside

    def _bound_queue(self) -> None:
        while len(self._queue) > self._limit * _WAITING_FACTOR:
            oldest = self._queue.popleft()
            self._to_resend.discard(oldest.mid)
            self._overflow(oldest)
        while len(self._newest) > _TOPICS:
            del self._newest[next(iter(self._newest))]

    def _accept(self, message: Outgoing, now_s: float) -> None:
        kind = message.kind
        if kind in _AWAITED:
            self.accepted += kind == "label"
            self.captured += kind == "capture"
            if self._held.has_topics:
                self._release_held(message.topic)
        if kind not in _UNKEPT:
            self._recent.add((now_s, message))
        if message.is_spooled:
            self._forget(message)
        self._settle(message)

    def _release_held(self, topic: str) -> None:
        waiting = self._held.release(topic)
        if waiting is not None:
            self._requeue(waiting)
            if self._spool is not None:
                self._spool.begin_pass()

    def _settle(self, message: Outgoing) -> None:
        for key in message.keys if isinstance(message, LossNotice) else [message.key]:
            if key is None:
                continue
            left = self._parts.pop(key, 1) - 1
            if left:
                self._parts[key] = left
            else:
                self.settled.append(key)

    def _hold(self, message: Outgoing, now_s: float, *, patient: bool) -> None:
        refused = self._held.hold(message, now_s, patient=patient)
        if refused == "no_subscriber":
            self.give_up(message, "no_subscriber")
        elif refused == "outbox_full":
            self.give_up(message, "outbox_full")
        elif len(self._held) > self._limit * _WAITING_FACTOR:
            self._has_overflowed = True
            self._overflow(self._held.pop_oldest())

    def _wake(self, now_s: float) -> None:
        self._now_s = now_s
        if self._spool is not None and self._spool.has_more:
            self._refill(self._spool)
        self._queue.extend(self._recent.repeats(now_s))
        due = self._held.due(now_s)
        if due:
            self.retried += len(due)
            self._requeue(due)

    def _requeue(self, messages: list[Outgoing]) -> None:
        """What is tried again goes first, in the order of publication."""
        self._queue.extendleft(sorted(messages, key=_sequence, reverse=True))
