"""What was heard, in bounded memory: per topic how often, when, and a few of its messages."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise

MAX_TOPICS = 4_096
MAX_KEPT_BYTES = 32 * 1024 * 1024
MAX_PAYLOAD_BYTES = 65_536
"""As ``limits.payload_bytes`` of an agent: what it would refuse is not looked at either."""

_RUN = 16
_TIMES = 256


@dataclass(slots=True)
class HeardTopic:
    """One topic. ``first`` and ``latest`` are runs of consecutive live messages: (receipt time in ns, payload)."""

    topic: str
    n_live: int = 0
    n_retained: int = 0
    n_too_large: int = 0
    retained: bytes | None = None
    first: list[tuple[int, bytes]] = field(default_factory=list)
    latest: deque[tuple[int, bytes]] = field(default_factory=lambda: deque(maxlen=_RUN))
    times_ns: deque[int] = field(default_factory=lambda: deque(maxlen=_TIMES))

    @property
    def runs(self) -> list[list[tuple[int, bytes]]]:
        """The live messages that were kept, as runs without a hole."""
        if self.n_live <= len(self.first) + len(self.latest):
            return [[*self.first, *self.latest]]
        return [self.first, list(self.latest)]

    @property
    def live(self) -> list[tuple[int, bytes]]:
        """All live messages that were kept."""
        return [*self.first, *self.latest]

    @property
    def intervals_ns(self) -> list[int]:
        """Between receipts."""
        times = list(self.times_ns)
        return [later - earlier for earlier, later in pairwise(times)]


class Hearing:
    """Everything heard, at most 4,096 topics and 32 MiB of payloads.

    Examples
    --------
    >>> hearing = Hearing()
    >>> for step in range(100):
    ...     hearing.take("plant/p1", b"21.5", is_retained=False, wall_ns=step)
    >>> topic = hearing.topics["plant/p1"]
    >>> topic.n_live, len(topic.live), [len(run) for run in topic.runs]
    (100, 32, [16, 16])
    """

    def __init__(self) -> None:
        self.topics: dict[str, HeardTopic] = {}
        self.n_messages = 0
        self.n_topics_passed_over = 0
        self._kept_bytes = 0

    def take(self, topic: str, payload: bytes, *, is_retained: bool, wall_ns: int) -> None:
        """Keep what the bounds allow of one message; the rest is counted."""
        self.n_messages += 1
        heard = self.topics.get(topic)
        if heard is None:
            if len(self.topics) >= MAX_TOPICS:
                self.n_topics_passed_over += 1
                return
            heard = self.topics[topic] = HeardTopic(topic)
        if len(payload) > MAX_PAYLOAD_BYTES:
            heard.n_too_large += 1
            return
        if is_retained:
            heard.n_retained += 1
            if heard.retained is None and self._has_room(payload):
                heard.retained = payload
            return
        heard.n_live += 1
        heard.times_ns.append(wall_ns)
        if len(heard.first) < _RUN:
            if self._has_room(payload):
                heard.first.append((wall_ns, payload))
            return
        if len(heard.latest) == _RUN:
            self._kept_bytes -= len(heard.latest.popleft()[1])
        if self._has_room(payload):
            heard.latest.append((wall_ns, payload))
        else:
            heard.latest.clear()  # a run with a hole would give wrong intervals

    def _has_room(self, payload: bytes) -> bool:
        if self._kept_bytes + len(payload) > MAX_KEPT_BYTES:
            return False
        self._kept_bytes += len(payload)
        return True
