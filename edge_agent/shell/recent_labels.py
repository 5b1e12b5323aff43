"""The labels that the broker accepted last, to be published again after a reconnect.

A broker that crashed may have lost them. The copies carry the same id, so a second one is harmless.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from edge_agent.shell.outgoing import Outgoing

RING_S = 8.0
"""How long before the newest one a label may have been accepted to be published again after a reconnect.

mosquitto with ``autosave_interval 5`` was seen to save every 6 s: a kill loses what it accepted since.
"""

RING_REPEAT_S = (0.0, 2.5)
"""When, after a reconnect: at once, and again when the consumers have had time to come back."""

_RING_LABELS = 20_000


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
        self._ring: deque[tuple[float, Outgoing]] = deque(maxlen=_RING_LABELS)
        self._again: list[Outgoing] = []
        self._repeat_at_s: list[float] = []
        self.add = self._ring.append
        """Takes (when it was accepted, the message)."""

    def trim(self, now_s: float) -> None:
        """Let go of what is older than the newest acceptance by more than :data:`RING_S`; called when there is one.

        Not called while nothing is accepted: nobody knows yet when the broker was lost, and how much with it.
        """
        ring = self._ring
        while ring and ring[0][0] < now_s - RING_S:
            ring.popleft()

    def connected(self, now_s: float) -> None:
        """A new connection: plan to publish again what was accepted last, however long ago that is."""
        self._again = [message for _, message in self._ring]
        self._repeat_at_s = [now_s + delay for delay in RING_REPEAT_S] if self._again else []

    def repeats(self, now_s: float) -> list[Outgoing]:
        """Copies to publish again now; they settle nothing."""
        if not self._repeat_at_s or self._repeat_at_s[0] > now_s:
            return []
        self._repeat_at_s.pop(0)
        again = self._again
        if not self._repeat_at_s:
            self._again = []
        return [replace(message, key=None, is_repeat=True, mid=0, is_dup=False) for message in again]
