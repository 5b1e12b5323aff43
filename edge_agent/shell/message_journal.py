"""Journal mode: sensor messages are acknowledged when they are on our own disk, not when they are labelled.

For windows so long, or rates so high, that the broker would have to hold more unacknowledged messages than a session
may have (65 535). A row leaves the journal when every window that its message touched is labelled and accepted; at the
start the rows that are left are fed to the engine before anything new.

The broker delivers again what it has no acknowledgement for, in the original order and under the same packet
identifiers (MQTT 5.0, section 4.4). The DUP flag does not tell: mosquitto clears it when it was itself restarted. So
the journal remembers identifier and content of what may come again, over restarts too, and recognises the head of a
redelivery by both.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from pathlib import Path

from edge_agent.shell.disk_writer import DiskWriter
from edge_agent.shell.publish_packets import Packet
from edge_agent.shell.row_file import Connect, Row, RowFile, connect

FILE_NAME = "journal.sqlite3"
COMMIT_S = 0.25
"""Messages wait this long for others, so that one fsync serves many; and so much later are they acknowledged."""

MEMORY_S = 1.0
"""How long an acknowledgement may be on its way: until then its message may be delivered again, and its row stays."""

_REMEMBERED = 65_535
_WAITING_MAX = 70_000


class MessageJournal:
    """What was received and is not labelled yet, on disk.

    Parameters
    ----------
    folder : Path
    writer : DiskWriter
    max_bytes : int
        Of the file and its log together. When it is reached nothing more is committed, and so nothing acknowledged,
        until labels make room.
    connect : callable
        Opens the database; tests give one that fails on purpose.

    Attributes
    ----------
    n_again : int
        Messages recognised as delivered again.
    n_skipped : int
        Messages that were not journalled: the disk took nothing for so long that memory ran out too.

    Examples
    --------
    >>> import tempfile
    >>> folder, writer = Path(tempfile.mkdtemp()), DiskWriter()
    >>> journal = MessageJournal(folder, writer, max_bytes=8 * 2**20)
    >>> journal.received(0, 17, b"plant/a/v", b"1.5", wall_ns=5, now_s=0.0)
    >>> journal.committed_below(next_number=1)
    0
    >>> journal.close(longest_s=5.0, now_s=1.0), journal.committed_below(next_number=1), writer.close(5.0)
    (True, 1, True)
    >>> MessageJournal(folder, writer, max_bytes=8 * 2**20).replay(10)
    [Row(number=0, wall_ns=5, tag=17, topic=b'plant/a/v', payload=b'1.5')]
    """

    def __init__(self, folder: Path, writer: DiskWriter, *, max_bytes: int, connect: Connect = connect) -> None:
        self._rows = RowFile(
            folder / FILE_NAME, writer, max_bytes=max_bytes, interval_s=COMMIT_S, is_ring=False, connect=connect
        )
        self._replayed = -1
        self._replay_below = self._rows.next_number
        self._mids: OrderedDict[int, tuple[int, int]] = OrderedDict()
        self._acknowledged: deque[tuple[float, int]] = deque()
        self._forgettable_below = 0
        self._is_redelivery = False
        self.n_again = 0
        self.n_skipped = 0
        for row in self._rows.last_rows(_REMEMBERED):
            self._remember(row.number, row.tag, row.topic, row.payload)

    # ------------------------------------------------------------------ what there is

    @property
    def next_number(self) -> int:
        """Delivery numbers go on where the last run ended."""
        return self._rows.next_number

    @property
    def n_kept(self) -> int:
        """Messages on the disk or on the way to it."""
        return self._rows.n_committed + self._rows.n_waiting

    @property
    def problem(self) -> str:
        """Why nothing can be committed now, in one line; empty = it can."""
        return self._rows.problem

    @property
    def is_full(self) -> bool:
        """Whether the bound of its size is met."""
        return self._rows.is_full

    @property
    def was_corrupt(self) -> bool:
        """Whether a file of an earlier run had to be set aside."""
        return self._rows.was_corrupt

    # ------------------------------------------------------------------ at the start

    @property
    def is_replaying(self) -> bool:
        """Whether messages of an earlier run have still to be fed to the engine."""
        return self._replayed + 1 < self._replay_below

    def replay(self, most: int) -> list[Row]:
        """The next messages of an earlier run, in order; empty, and ``is_replaying`` False, when there are no more."""
        rows = [row for row in self._rows.read(self._replayed, most) if row.number < self._replay_below]
        self._replayed = rows[-1].number if rows else self._replay_below
        return rows

    # ------------------------------------------------------------------ messages

    def connected(self, *, is_session_kept: bool) -> None:
        """A new connection: what has no acknowledgement comes again, unless the broker forgot the session."""
        self._is_redelivery = is_session_kept
        if not is_session_kept:
            self._mids.clear()

    def n_known(self, packets: Sequence[Packet]) -> int:
        """How many of the first of these messages are redeliveries of what is in the journal: not to be used again."""
        n_known = 0
        while self._is_redelivery and n_known < len(packets):
            topic, payload, mid, is_retained = packets[n_known]
            if is_retained or mid is None:
                break
            n_known += self._knows(mid, topic, payload)
        return n_known

    def _knows(self, mid: int, topic: bytes, payload: bytes) -> bool:
        if not self._is_redelivery:
            return False
        known = self._mids.get(mid)
        if known is None or known[1] != hash((topic, payload)):
            self._is_redelivery = False  # redeliveries come first and in order: from here on all is new
            return False
        self.n_again += 1
        return True

    def received_all(self, number: int, packets: Sequence[Packet], *, wall_ns: int, now_s: float) -> None:
        """Take messages that follow each other from ``number`` on; retained ones are no samples and are passed over."""
        for position, (topic, payload, mid, is_retained) in enumerate(packets):
            if not is_retained:
                self.received(number + position, mid, topic, payload, wall_ns=wall_ns, now_s=now_s)

    def received(
        self, number: int, mid: int | None, topic: bytes, payload: bytes, *, wall_ns: int, now_s: float
    ) -> None:
        """Take a message; rows of messages without ``mid`` (QoS 0) are kept too."""
        if self._rows.n_waiting >= _WAITING_MAX:
            self.n_skipped += 1
            return
        tag = -1 if mid is None else mid
        self._rows.append(Row(number, wall_ns, tag, topic, payload), now_s)
        if mid is not None:
            self._remember(number, mid, topic, payload)

    def committed_below(self, next_number: int) -> int:
        """Every message with a smaller number may be acknowledged."""
        first = self._rows.first_waiting
        return next_number if first is None else min(first, next_number)

    def acknowledged(self, below: int, now_s: float) -> None:
        """Acknowledgements of all messages with a smaller number are on their way to the broker."""
        times = self._acknowledged
        if below > (times[-1][1] if times else self._forgettable_below):
            times.append((now_s, below))
        while times and now_s - times[0][0] >= MEMORY_S:
            self._forgettable_below = times.popleft()[1]
        while self._mids:
            mid, (number, _) = next(iter(self._mids.items()))
            if number >= self._forgettable_below:
                return
            del self._mids[mid]

    def remove_below(self, number: int, now_s: float) -> None:
        """Every window that smaller numbers touched is labelled and accepted: their rows may go."""
        number = min(number, self._forgettable_below)
        self._rows.remove_below(min(number, self._replayed + 1) if self.is_replaying else number, now_s)

    def turn(self, now_s: float) -> None:
        """Commit what is due. Never waits for the disk."""
        self._rows.turn(now_s)
        self._rows.committed.clear()

    def close(self, longest_s: float, now_s: float) -> bool:
        """Commit what waits and close the file; False when the disk did not take it."""
        is_down = self._rows.flush(longest_s, now_s)
        self._rows.close()
        return is_down

    def _remember(self, number: int, mid: int, topic: bytes, payload: bytes) -> None:
        if mid >= 0:
            self._mids.pop(mid, None)
            self._mids[mid] = (number, hash((topic, payload)))
            if len(self._mids) > _REMEMBERED:
                self._mids.popitem(last=False)
