"""The labels that the broker accepted last, to be published again after a reconnect.

A broker that crashed may have lost them. The copies carry the same id, so a second one is harmless.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from edge_agent.shell.outgoing import Outgoing

RING_S = 5.0
"""How long an accepted label is kept to be published again after a reconnect."""

RING_REPEAT_S = (0.0, 2.5)
"""When, after a reconnect: at once, and again when the consumers have had time to come back."""

_RING_LABELS = 20_000


class RecentLabels:
    """A ring of what was accepted in the last seconds.

    Examples
    --------
    >>> recent = RecentLabels()
    >>> recent.add((10.0, Outgoing("label", "a", b"1", key=("p", "d", 7))))
    >>> recent.connected(11.0)
    >>> [(message.payload, message.is_repeat, message.key) for message in recent.repeats(11.0)]
    [(b'1', True, None)]
    """

    def __init__(self) -> None:
        self._ring: deque[tuple[float, Outgoing]] = deque(maxlen=_RING_LABELS)
        self._repeat_at_s: list[float] = []
        self.add = self._ring.append
        """Takes (when it was accepted, the message)."""

    def trim(self, now_s: float) -> None:
        """Let go of what is old."""
        ring = self._ring
        while ring and ring[0][0] < now_s - RING_S:
            ring.popleft()

    def connected(self, now_s: float) -> None:
        """A new connection: plan to publish them again."""
        self._repeat_at_s = [now_s + delay for delay in RING_REPEAT_S] if self._ring else []

    def repeats(self, now_s: float) -> list[Outgoing]:
        """Copies to publish again now; they settle nothing."""
        if not self._repeat_at_s or self._repeat_at_s[0] > now_s:
            return []
        self._repeat_at_s.pop(0)
        oldest_s = now_s - RING_S - max(RING_REPEAT_S)
        return [
            replace(message, key=None, is_repeat=True, mid=0, is_dup=False)
            for accepted_s, message in self._ring
            if accepted_s >= oldest_s
        ]
