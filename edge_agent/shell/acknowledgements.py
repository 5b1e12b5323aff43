"""What is owed to the publishers, as pure bookkeeping: sensor messages delivered and not yet acknowledged.

- A message is acknowledged only when every window that it touched has a label that the broker accepted, and always in
  the order of delivery (MQTT 5.0, section 4.6, MQTT-4.6.0-2).
- An acknowledgement belongs to the connection that delivered the message: after a reconnect the same packet identifier
  may mean another message, so what an older connection delivered is forgotten here, and delivered again by the broker.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence


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
        self._n_owed = 0
        # Runs of messages that followed each other: number of the first one left, identifiers, how many are gone.
        self._runs: deque[tuple[int, Sequence[int], int]] = deque()

    def __len__(self) -> int:
        return self._n_owed

    def connected(self, bound: int) -> None:
        """Forget what an earlier connection delivered: the broker delivers it again, under identifiers of its own."""
        self._runs.clear()
        self._n_owed = 0
        self.bound = bound

    def received(self, mid: int | None) -> int:
        """The number of the next sensor message; ``mid`` None = QoS 0, nothing is owed."""
        return self.received_all((mid,))

    def received_all(self, mids: Sequence[int | None]) -> int:
        """The number of the first of these messages; the others follow it one by one."""
        first = number = self.next_number
        self.next_number += len(mids)
        run: list[int] = []
        for mid in mids:
            if mid is not None:
                run.append(mid)
            else:  # nothing is owed: the run ends before it, and another begins behind it
                self._keep(number, run)
                number += len(run) + 1
                run = []
        self._keep(number, run)
        return first

    def forgotten(self, n_messages: int) -> int:
        """The number of the first of so many messages for which nothing is owed on this connection."""
        first = self.next_number
        self.next_number += n_messages
        return first

    def _keep(self, number: int, run: Sequence[int]) -> None:
        if run:
            self._runs.append((number, run, 0))
            self._n_owed += len(run)

    def release(self, labelled_below: int) -> list[int]:
        """Packet identifiers to acknowledge now, in order; each is returned once.

        Parameters
        ----------
        labelled_below : int
            All messages with a smaller number are fully labelled.
        """
        mids: list[int] = []
        runs = self._runs
        while runs:
            number, run, at = runs[0]
            n_left = len(run) - at
            n_labelled = max(0, min(labelled_below - number, n_left))
            n_out = max(n_labelled, min(self._n_owed - self.bound, n_left))
            self.early += n_out - n_labelled
            self._n_owed -= n_out
            mids += run[at : at + n_out]
            if n_out < n_left:
                runs[0] = (number + n_out, run, at + n_out)
                break
            runs.popleft()
        return mids

    def halve_bound(self) -> int:
        """The broker delivers nothing more while this many are owed: from now on half of them at most may be.

        Returns
        -------
        int
            How many were owed.
        """
        stuck_at = self._n_owed
        self.bound = min(self.bound, stuck_at // 2)
        return stuck_at
