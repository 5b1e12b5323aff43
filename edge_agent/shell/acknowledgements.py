"""What is owed to the publishers, as pure bookkeeping: sensor messages delivered and not yet acknowledged.

- A message is acknowledged only when every window that it touched has a label that the broker accepted, and always in
  the order of delivery (MQTT 5.0, section 4.6, MQTT-4.6.0-2).
- An acknowledgement belongs to the connection that delivered the message: after a reconnect the same packet identifier
  may mean another message, so what an older connection delivered is forgotten here, and delivered again by the broker.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple


class _Owed(NamedTuple):
    number: int
    mid: int


class Acknowledgements:
    """Which sensor messages may be acknowledged, in the order of delivery.

    Parameters
    ----------
    bound : int
        At most this many messages stay unacknowledged; older ones are acknowledged early, which is counted.
        0 = acknowledge at once (a connection that promises no redelivery).

    Examples
    --------
    >>> owed = Acknowledgements(bound=100)
    >>> owed.connected(bound=100)
    >>> owed.received(mid=7), owed.received(mid=8), owed.received(mid=None), owed.received(mid=9)
    (0, 1, 2, 3)
    >>> owed.release(labelled_below=3)
    [7, 8]
    >>> len(owed)
    1
    """

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self.next_number = 0
        self.early = 0
        self._owed: deque[_Owed] = deque()

    def __len__(self) -> int:
        return len(self._owed)

    def connected(self, bound: int) -> None:
        """Forget what an earlier connection delivered: the broker delivers it again, under identifiers of its own."""
        self._owed.clear()
        self.bound = bound

    def received(self, mid: int | None) -> int:
        """The number of the next sensor message; ``mid`` None = QoS 0, nothing is owed."""
        number = self.next_number
        self.next_number += 1
        if mid is not None:
            self._owed.append(_Owed(number, mid))
        return number

    def release(self, labelled_below: int) -> list[int]:
        """Packet identifiers to acknowledge now, in order; each is returned once.

        Parameters
        ----------
        labelled_below : int
            All messages with a smaller number are fully labelled.
        """
        mids = []
        owed = self._owed
        while owed and (owed[0].number < labelled_below or len(owed) > self.bound):
            self.early += owed[0].number >= labelled_below
            mids.append(owed.popleft().mid)
        return mids

    def halve_bound(self) -> int:
        """The broker delivers nothing more while this many are owed: from now on half of them at most may be.

        Returns
        -------
        int
            How many were owed.
        """
        stuck_at = len(self._owed)
        self.bound = min(self.bound, stuck_at // 2)
        return stuck_at
