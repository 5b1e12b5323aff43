"""The labels that the broker accepted last, to be published again after a reconnect.

A broker that crashed may have lost them. The copies carry the same id, so a second one is harmless.

They are kept packed, many in one block: a label that is kept as it went out would be seven objects, and thousands of
them, strewn among what comes and goes, would keep the memory of every burst from being given back.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from operator import itemgetter

from edge_agent.shell.outgoing import Kind, Outgoing

RING_S = 8.0
"""How long before the newest one a label may have been accepted to be published again after a reconnect.

mosquitto with ``autosave_interval 5`` was seen to save every 6 s: a kill loses what it accepted since.
"""

RING_REPEAT_S = (0.0, 2.5)
"""When, after a reconnect: at once, and again when the consumers have had time to come back."""

_RING_LABELS = 20_000
_BLOCK_LABELS = 200
_BLOCK_S = 1.0

_accepted_s = itemgetter(0)


class _Block:
    """Messages accepted within about a second, in one piece.

    Attributes
    ----------
    newest_s : float
        When the last of them was accepted.
    """

    __slots__ = ("_content", "_ends", "_kinds", "_retain", "_sequences", "_shares", "_topics", "newest_s")

    def __init__(self, accepted: Sequence[tuple[float, Outgoing]]) -> None:
        self.newest_s = accepted[-1][0]
        messages = [message for _, message in accepted]
        payloads = [message.payload for message in messages]
        self._kinds: tuple[Kind, ...] = tuple([message.kind for message in messages])
        self._topics = tuple([message.topic for message in messages])
        self._retain = bytes([message.retain for message in messages])
        self._sequences = array("q", [message.sequence for message in messages])
        self._shares = b""  # 1 = it has the text of the one before it: a label, and the change that it is
        if "event" in self._kinds:
            self._shares = bytes([0, *(after is before for before, after in pairwise(payloads))])
            payloads = [b"" if shares else payload for payload, shares in zip(payloads, self._shares, strict=True)]
        self._ends = array("I", accumulate(map(len, payloads)))
        self._content = b"".join(payloads)

    def __len__(self) -> int:
        return len(self._topics)

    def copies(self) -> Iterator[Outgoing]:
        """Each message anew; they settle nothing, and are not measured."""
        before, payload = 0, b""
        shares = self._shares or bytes(len(self))
        rows = zip(self._kinds, self._topics, self._ends, shares, self._retain, self._sequences, strict=True)
        for kind, topic, end, has_text_of_before, retain, sequence in rows:
            if not has_text_of_before:
                before, payload = end, self._content[before:end]
            yield Outgoing(kind, topic, payload, retain == 1, sequence=sequence, is_repeat=True)


class RecentLabels:
    """A ring of what was accepted in the last seconds.

    Examples
    --------
    >>> recent = RecentLabels()
    >>> recent.add((10.0, Outgoing("label", "a", b"1", key=("p", "d", 7))))
    >>> recent.connected(70.0)  # a minute later
    >>> [(message.payload, message.is_repeat, message.key) for message in recent.repeats(70.0)]
    [(b'1', True, None)]
    """

    def __init__(self) -> None:
        self._fresh: list[tuple[float, Outgoing]] = []
        self._blocks: deque[_Block] = deque()
        self._n_packed = 0
        self._again: list[_Block] = []
        self._repeat_at_s: list[float] = []
        self.add = self._fresh.append
        """Takes (when it was accepted, the message)."""

    def __len__(self) -> int:
        """Messages that are kept."""
        return self._n_packed + len(self._fresh)

    def trim(self, now_s: float) -> None:
        """Let go of what is older than the newest acceptance by more than :data:`RING_S`; called when there is one.

        Not called while nothing is accepted: nobody knows yet when the broker was lost, and how much with it. A block
        goes when the last of it is too old; the bound of all is passed by a block at most.
        """
        fresh, blocks = self._fresh, self._blocks
        if fresh and (len(fresh) >= _BLOCK_LABELS or fresh[0][0] < now_s - _BLOCK_S):
            self._pack()
        while blocks and (blocks[0].newest_s < now_s - RING_S or self._n_packed - len(blocks[0]) >= _RING_LABELS):
            self._n_packed -= len(blocks.popleft())

    def connected(self, now_s: float) -> None:
        """A new connection: plan to publish again what was accepted last, however long ago that is."""
        self._pack()
        self._again = list(self._blocks)
        self._repeat_at_s = [now_s + delay for delay in RING_REPEAT_S] if self._again else []

    def repeats(self, now_s: float) -> list[Outgoing]:
        """Copies to publish again now; they settle nothing."""
        if not self._repeat_at_s or self._repeat_at_s[0] > now_s:
            return []
        self._repeat_at_s.pop(0)
        again = self._again
        if not self._repeat_at_s:
            self._again = []
        return [message for block in again for message in block.copies()]

    def _pack(self) -> None:
        """All that is fresh, in blocks of at most a second."""
        fresh = self._fresh
        while fresh:
            stop = bisect_right(fresh, fresh[0][0] + _BLOCK_S, key=_accepted_s)
            self._blocks.append(_Block(fresh[:stop]))
            self._n_packed += stop
            del fresh[:stop]
