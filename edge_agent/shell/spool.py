"""Labels that the broker has not accepted, kept on disk until it has: over an outage, and over a restart of the agent.

While the broker is there and accepts, nothing is written. A label that is on the disk settles its window like one that
the broker has accepted: it will be delivered, or counted among ``dropped`` when the spool had to make room.

The outbox hands labels over (:meth:`Spool.keep`) and takes them back in the order in which they were made
(:meth:`Spool.take`), one pass over the file at a time; a label leaves the file when the broker has accepted it or it
was given up (:meth:`Spool.forget`).
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal, get_args

from edge_agent.shell.disk_writer import DiskWriter
from edge_agent.shell.row_file import Connect, Row, RowFile, connect

FILE_NAME = "spool.sqlite3"
COMMIT_S = 0.5
"""A label waits this long for others, so that one fsync serves many."""

Kept = Literal["label", "event", "gap", "capture"]
_KINDS: tuple[Kept, ...] = get_args(Kept)
_WAITING_MAX = 20_000


class SpooledMessage:
    """A message of the spool: what it is, where it goes, and its place in the order."""

    __slots__ = ("kind", "payload", "sequence", "topic")

    def __init__(self, sequence: int, kind: Kept, topic: str, payload: bytes) -> None:
        self.sequence = sequence
        self.kind = kind
        self.topic = topic
        self.payload = payload


class Spool:
    """The bounded outbox on disk.

    Parameters
    ----------
    folder : Path
    writer : DiskWriter
    max_bytes : int
        Of the file and its log together.
    connect : callable
        Opens the database; tests give one that fails on purpose.

    Attributes
    ----------
    n_dropped : int
        Labels that made room for newer ones and were nowhere else: lost.
    dropped : list of SpooledMessage
        These labels; the owner takes them out.

    Examples
    --------
    >>> import tempfile
    >>> folder, writer = Path(tempfile.mkdtemp()), DiskWriter()
    >>> spool = Spool(folder, writer, max_bytes=8 * 2**20)
    >>> spool.keep(0, "label", "telltale/v1/gw/pump/label", b"{}", now_s=0.0, is_resident=False)
    True
    >>> spool.close(longest_s=5.0, now_s=1.0), writer.close(5.0)
    (True, True)
    >>> again = Spool(folder, writer, max_bytes=8 * 2**20)
    >>> again.next_sequence, [message.topic for message in again.take(10)]
    (1, ['telltale/v1/gw/pump/label'])
    """

    def __init__(self, folder: Path, writer: DiskWriter, *, max_bytes: int, connect: Connect = connect) -> None:
        self._rows = RowFile(
            folder / FILE_NAME, writer, max_bytes=max_bytes, interval_s=COMMIT_S, is_ring=True, connect=connect
        )
        self._resident: set[int] = set()
        self._cursor = -1
        self._is_pass_over = self._rows.n_committed == 0
        self.n_dropped = 0
        self.dropped: list[SpooledMessage] = []

    # ------------------------------------------------------------------ what there is

    @property
    def next_sequence(self) -> int:
        """The order goes on where the last run ended: one more than the newest label that is kept."""
        return self._rows.next_number

    @property
    def n_kept(self) -> int:
        """Labels on the disk or on the way to it."""
        return self._rows.n_committed + self._rows.n_waiting

    @property
    def problem(self) -> str:
        """Why labels cannot be written now, in one line; empty = they can."""
        return self._rows.problem

    @property
    def was_corrupt(self) -> bool:
        """Whether a file of an earlier run had to be set aside."""
        return self._rows.was_corrupt

    @property
    def has_more(self) -> bool:
        """Whether this pass has labels left to take."""
        return not self._is_pass_over

    # ------------------------------------------------------------------ in

    def keep(self, sequence: int, kind: Kept, topic: str, payload: bytes, *, now_s: float, is_resident: bool) -> bool:
        """Bring a label to the disk; False where too many wait for it already.

        Parameters
        ----------
        sequence : int
            Its place in the order; numbers are used once.
        kind, topic, payload
            The message.
        now_s : float
            Monotonic.
        is_resident : bool
            The outbox keeps it in memory too: it is not taken back in this run.
        """
        if self._rows.n_waiting >= _WAITING_MAX:
            return False
        self._rows.append(Row(sequence, time.time_ns(), _KINDS.index(kind), topic.encode(), payload), now_s)
        if is_resident:
            self._resident.add(sequence)
        elif sequence > self._cursor:
            self._is_pass_over = False
        return True

    def leave_memory(self, sequence: int) -> None:
        """The outbox has no room for a label that is kept here: a later pass gives it again."""
        self._resident.discard(sequence)

    def forget(self, sequence: int, now_s: float) -> None:
        """The broker has accepted the label, or it was given up."""
        self._resident.discard(sequence)
        self._rows.remove(sequence, now_s)

    def turn(self, now_s: float) -> list[int]:
        """Labels that reached the disk since the last turn: their windows are settled. Never waits for the disk."""
        self._rows.turn(now_s)
        for row in self._rows.dropped:
            if row.number in self._resident:
                self._resident.discard(row.number)
            else:
                self.n_dropped += 1
                self.dropped.append(_message(row))
        self._rows.dropped.clear()
        committed, self._rows.committed = self._rows.committed, []
        return committed

    # ------------------------------------------------------------------ out

    def begin_pass(self) -> None:
        """Begin again with the oldest label: the broker or a subscriber may be back."""
        self._cursor = -1
        self._is_pass_over = self.n_kept <= len(self._resident)

    def take(self, most: int) -> list[SpooledMessage]:
        """The next labels of this pass that are not in memory, oldest first; they are in memory from now on."""
        taken: list[SpooledMessage] = []
        while not self._is_pass_over and len(taken) < most:
            rows = self._rows.read(self._cursor, most)
            for row in rows:
                self._cursor = row.number
                if row.number not in self._resident:
                    self._resident.add(row.number)
                    taken.append(_message(row))
                if len(taken) == most:
                    return taken
            self._is_pass_over = len(rows) < most
        return taken

    def close(self, longest_s: float, now_s: float) -> bool:
        """Bring down what waits and close the file; False if the disk did not take it; ``turn`` tells what it took."""
        is_down = self._rows.flush(longest_s, now_s)
        self._rows.close()
        return is_down


def _message(row: Row) -> SpooledMessage:
    kind = _KINDS[row.tag] if 0 <= row.tag < len(_KINDS) else "label"
    return SpooledMessage(row.number, kind, row.topic.decode(errors="replace"), row.payload)
