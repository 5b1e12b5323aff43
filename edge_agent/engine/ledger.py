"""Which messages may be acknowledged, and how far each device is labelled for good.

Messages are known by their delivery number, which rises. A window is *owed* from the moment a message touches it
until the broker has
accepted its label. Since acknowledgements go out in order (MQTT 5.0, MQTT-4.6.0-2), all that counts is the
smallest number that touched a window that is still owed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from signals.marks import Carry


@dataclass(slots=True)
class Progress:
    """How far one device is labelled: windows up to ``closed_through`` are accepted, with the values carried beyond."""

    closed_through: int | None = None
    carry: Carry | None = None
    _emitted: dict[int, Carry | None] = field(default_factory=dict)
    _accepted: set[int] = field(default_factory=set)

    def emitted(self, index: int, carry: Carry | None) -> None:
        """A window (or the last of a gap) was handed out. Indices rise, except after a clock step."""
        if self._emitted and index < next(reversed(self._emitted)):
            self._emitted.clear()
            self._accepted.clear()
        self._emitted[index] = carry

    def accepted(self, index: int) -> None:
        """The broker accepted its label; moves ``closed_through`` over everything accepted in order."""
        if index not in self._emitted:
            return
        self._accepted.add(index)
        while self._emitted:
            first = next(iter(self._emitted))
            if first not in self._accepted:
                return
            self._accepted.discard(first)
            carry = self._emitted.pop(first)
            self.closed_through = first
            self.carry = carry if carry is not None else self.carry


class Ledger:
    """The windows that are owed, by the number of the first message that touched them.

    Examples
    --------
    >>> ledger = Ledger()
    >>> ledger.owe(5, "a", 0)
    >>> ledger.owe(6, "b", 0)
    >>> ledger.acknowledgeable(9)
    5
    >>> ledger.settle("a", 0)
    >>> ledger.acknowledgeable(9)
    6
    >>> ledger.settle("b", 0)
    >>> ledger.acknowledgeable(9)
    9
    """

    def __init__(self) -> None:
        self._queue: deque[tuple[int, object, int]] = deque()
        self._owed: set[tuple[object, int]] = set()

    def __len__(self) -> int:
        """Number of windows owed."""
        return len(self._owed)

    def owe(self, number: int, device: object, index: int) -> None:
        """Message ``number`` is the first that touched window ``index`` of ``device``."""
        if (device, index) not in self._owed:
            self._owed.add((device, index))
            self._queue.append((number, device, index))

    def settle(self, device: object, index: int) -> None:
        """The label of the window was accepted, or its loss was declared and accepted."""
        self._owed.discard((device, index))

    def acknowledgeable(self, next_number: int) -> int:
        """Every message with a smaller number than this may be acknowledged."""
        queue = self._queue
        while queue and (queue[0][1], queue[0][2]) not in self._owed:
            queue.popleft()
        return min(next_number, queue[0][0]) if queue else next_number
