"""Numbered rows in one bounded SQLite file: appended in groups, read in order, deleted when done.

What makes it safe, and cheap on a card:

- WAL with ``synchronous=FULL``: what is reported as committed survives a power cut, and nothing else is reported.
- Group commit: rows wait up to ``interval_s`` for company, then one transaction and one fsync bring them down.
- ``max_page_count`` lies below the size that was allowed, and ``journal_size_limit`` holds the log short: "full" comes
  from SQLite, while a DELETE still works, and not from the file system, where it does not.
- A file that SQLite finds corrupt, or that is of another making, is renamed aside and a fresh one begun.

The owner appends and removes from its own thread; the disk writer alone writes. Nothing here raises because of a disk.
SQLite is loaded with the first file that is opened: an agent whose broker is there never needs it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edge_agent.shell.disk_writer import DiskWriter

if TYPE_CHECKING:
    import sqlite3

log = logging.getLogger(__name__)

Connect = Callable[[Path], "sqlite3.Connection"]

_VERSION = 1
_PAGE_BYTES = 4096
_LOG_BYTES = 4 * 1024 * 1024
_MIN_PAGES = 64
_GROUP_ROWS = 1_000
_GROUP_BYTES = 1024 * 1024
_FIRST_RETRY_S = 1.0
_RETRY_MAX_S = 30.0
_DROP_FIRST = 64
_VACUUM_PAGES = 256
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS rows "
    "(number INTEGER PRIMARY KEY, wall_ns INTEGER NOT NULL, tag INTEGER NOT NULL, topic BLOB NOT NULL, "
    "payload BLOB NOT NULL)"
)
_COLUMNS = "number, wall_ns, tag, topic, payload"


class Row(NamedTuple):
    """One stored message.

    ``tag`` is what its owner makes of it: a kind, a packet identifier.
    """

    number: int
    wall_ns: int
    tag: int
    topic: bytes
    payload: bytes


@dataclass(frozen=True, slots=True)
class _Group:
    rows: list[Row]
    removals: list[int]
    below: int


@dataclass(slots=True)
class _Outcome:
    group: _Group
    problem: str = ""
    is_full: bool = False
    dropped: list[Row] = field(default_factory=list)


def connect(path: Path) -> sqlite3.Connection:
    """A connection in autocommit mode, to be used by one thread at a time."""
    import sqlite3

    return sqlite3.connect(path, timeout=5.0, isolation_level=None, check_same_thread=False)


class RowFile:
    """A bounded file of rows.

    Parameters
    ----------
    path : Path
        Made with the first row, not before.
    writer : DiskWriter
    max_bytes : int
        The file and its log stay below this, except for the least that SQLite can work with (256 KiB beside the log).
    interval_s : float
        How long a row waits for company.
    is_ring : bool
        When full: True = the oldest rows make room; False = nothing more is committed until rows are removed.
    connect : callable
        Opens the database; tests give one that fails on purpose.

    Attributes
    ----------
    problem : str
        Why rows cannot be written now, in one line; empty = they can.
    is_full : bool
        Whether the bound was met (never with ``is_ring``).
    dropped : list of Row
        Committed rows that had to make room; the owner takes them out.
    committed : list of int
        Numbers of rows that reached the disk; the owner takes them out.
    was_corrupt : bool
        Whether a file was set aside since the start.
    """

    def __init__(
        self,
        path: Path,
        writer: DiskWriter,
        *,
        max_bytes: int,
        interval_s: float,
        is_ring: bool,
        connect: Connect = connect,
    ) -> None:
        self._path = path
        self._writer = writer
        self._max_pages = max(_MIN_PAGES, (max_bytes - _LOG_BYTES) // _PAGE_BYTES)
        self._interval_s = interval_s
        self._is_ring = is_ring
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._is_reader_stale = False
        self._waiting: dict[int, Row] = {}
        self._waiting_bytes = 0
        self._removals: set[int] = set()
        self._below = 0
        self._below_done = 0
        self._in_group: set[int] = set()
        self._is_busy = False
        self._most_rows = _GROUP_ROWS
        self._first_s: float | None = None
        self._retry_at_s = 0.0
        self._retry_s = _FIRST_RETRY_S
        self._outcomes: deque[_Outcome] = deque()
        self.problem = ""
        self.is_full = False
        self.dropped: list[Row] = []
        self.committed: list[int] = []
        self.was_corrupt = False
        self.next_number = 0
        self.n_committed = 0
        if path.exists():
            self._look()

    # ------------------------------------------------------------------ the owner's side

    @property
    def n_waiting(self) -> int:
        """Rows that are not on the disk yet."""
        return len(self._waiting)

    @property
    def first_waiting(self) -> int | None:
        """Smallest number that is not on the disk yet, where numbers were appended rising."""
        return next(iter(self._waiting), None)

    def append(self, row: Row, now_s: float) -> None:
        """Take a row; it is on the disk when its number appears in ``committed``."""
        if self._first_s is None:
            self._first_s = now_s
        self._waiting[row.number] = row
        self._waiting_bytes += len(row.payload)
        self.next_number = max(self.next_number, row.number + 1)

    def remove(self, number: int, now_s: float) -> None:
        """Forget a row, on the disk or on the way to it."""
        row = self._waiting.pop(number, None)
        if row is not None:
            self._waiting_bytes -= len(row.payload)
            if number not in self._in_group:
                return
        self._removals.add(number)
        if self._first_s is None:
            self._first_s = now_s

    def remove_below(self, number: int, now_s: float) -> None:
        """Forget all rows with a smaller number, where numbers were appended rising."""
        if number <= self._below:
            return
        self._below = number
        while (first := self.first_waiting) is not None and first < number:
            self._waiting_bytes -= len(self._waiting.pop(first).payload)
        if self._first_s is None:
            self._first_s = now_s

    def turn(self, now_s: float) -> None:
        """See what came of the last group and hand over the next one when it is due. Never waits for the disk."""
        self._hear_all(now_s)
        if self._first_s is None or self._is_busy or now_s < self._retry_at_s:
            return
        if now_s - self._first_s >= self._interval_s or self._is_group():
            self._hand_over()

    def flush(self, longest_s: float, now_s: float) -> bool:
        """Bring down everything that waits; False when the disk did not take it in time."""
        while self._is_busy or self._first_s is not None:
            if not self._is_busy:
                self._hand_over()
            if not self._writer.wait(longest_s) or not self._hear_all(now_s):
                break
        return not self._waiting

    def read(self, after: int, most: int) -> list[Row]:
        """At most so many rows with a larger number, in order, whether on the disk yet or not."""
        rows = {row.number: row for row in self._stored(after, most)}
        rows.update({number: row for number, row in self._waiting.items() if number > after})
        gone = self._removals
        return [rows[number] for number in sorted(rows) if number not in gone and number >= self._below][:most]

    def last_rows(self, most: int) -> list[Row]:
        """The newest rows on the disk, in order."""
        query = f"SELECT {_COLUMNS} FROM rows ORDER BY number DESC LIMIT ?"  # noqa: S608 - constants of this file
        return self._select(query, (most,))[::-1]

    def close(self) -> None:
        """Close the file; what waits and was not flushed is lost."""
        self._close_reader()
        self._writer.submit(self._close_connection)
        self._writer.wait(5.0)

    def _is_group(self) -> bool:
        return len(self._waiting) >= _GROUP_ROWS or self._waiting_bytes >= _GROUP_BYTES

    def _hand_over(self) -> None:
        rows: list[Row] = []
        n_bytes = 0
        for row in self._waiting.values():
            if len(rows) == self._most_rows or n_bytes >= _GROUP_BYTES:
                break
            rows.append(row)
            n_bytes += len(row.payload)
        group = _Group(rows, list(self._removals), self._below if self._below > self._below_done else 0)
        self._in_group = {row.number for row in rows}
        self._is_busy = True
        self._writer.submit(lambda: self._outcomes.append(self._commit(group)))

    def _hear_all(self, now_s: float) -> bool:
        """Whether the disk took what was heard of."""
        is_well = True
        while self._outcomes:
            is_well = self._hear(self._outcomes.popleft(), now_s) and is_well
        return is_well

    def _hear(self, outcome: _Outcome, now_s: float) -> bool:
        self._is_busy = False
        self._in_group = set()
        if outcome.is_full and len(outcome.group.rows) > 1:
            self._most_rows = len(outcome.group.rows) // 2  # a part of them may fit
            return True
        self.is_full = outcome.is_full
        if outcome.problem:
            if outcome.problem != self.problem:
                log.error("%s: cannot be written: %s", self._path, outcome.problem)
            self.problem = outcome.problem
            self._retry_at_s = now_s + (_FIRST_RETRY_S if self.is_full else self._retry_s)
            self._retry_s = min(2 * self._retry_s, _RETRY_MAX_S)
            return False
        if self.problem:
            log.info("%s: can be written again", self._path)
        self.problem = ""
        self._retry_s = _FIRST_RETRY_S
        self._most_rows = min(_GROUP_ROWS, 2 * self._most_rows)
        for row in outcome.group.rows:
            if self._waiting.pop(row.number, None) is not None:
                self._waiting_bytes -= len(row.payload)
                self.committed.append(row.number)
        self._removals.difference_update(outcome.group.removals)
        self._below_done = max(self._below_done, outcome.group.below)
        self.dropped += outcome.dropped
        is_more = self._waiting or self._removals or self._below > self._below_done
        self._first_s = now_s - (self._interval_s if self._is_group() else 0.0) if is_more else None
        return True

    # ------------------------------------------------------------------ reading

    def _stored(self, after: int, most: int) -> list[Row]:
        query = f"SELECT {_COLUMNS} FROM rows WHERE number > ? ORDER BY number LIMIT ?"  # noqa: S608 - constants of this file
        return self._select(query, (after, most + len(self._removals)))

    def _select(self, query: str, values: tuple[int, ...]) -> list[Row]:
        if not self._path.exists():
            return []
        import sqlite3

        try:
            if self._is_reader_stale:
                self._is_reader_stale = False
                self._close_reader()
            if self._reader is None:
                self._reader = self._connect(self._path)
            return [Row(*row) for row in self._reader.execute(query, values)]
        except (sqlite3.Error, OSError) as error:
            self._close_reader()
            log.error("%s: cannot be read: %s", self._path, error)  # noqa: TRY400 - one line
            return []

    def _close_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            with suppress(reader.Error):
                reader.close()

    def _look(self) -> None:
        """What an earlier run left: how many rows, and the next free number."""
        import sqlite3

        try:
            connection = self._opened()
            self.n_committed, newest = connection.execute("SELECT count(*), max(number) FROM rows").fetchone()
            self.next_number = 0 if newest is None else newest + 1
        except (sqlite3.Error, OSError) as error:
            self.problem = str(error)
            log.error("%s: cannot be opened: %s", self._path, error)  # noqa: TRY400 - one line

    # ------------------------------------------------------------------ the disk writer's side

    def _commit(self, group: _Group) -> _Outcome:
        import sqlite3

        outcome = _Outcome(group)
        n_drop = 0
        while True:
            try:
                outcome.dropped = self._transaction(self._opened(), group, n_drop)
                return outcome
            except (sqlite3.Error, OSError) as error:
                is_at_bound = _code(error) == sqlite3.SQLITE_FULL and self._is_at_bound(group)
                if is_at_bound and self._is_ring and n_drop < 2**20:
                    n_drop = max(_DROP_FIRST, 2 * n_drop)
                    continue
                outcome.is_full = is_at_bound
                outcome.problem = "the bound of its size is met" if is_at_bound else str(error)
                if not is_at_bound:
                    self._close_connection()
                return outcome

    def _transaction(self, connection: sqlite3.Connection, group: _Group, n_drop: int) -> list[Row]:
        connection.execute("BEGIN IMMEDIATE")
        try:
            before = connection.total_changes
            if group.below:
                connection.execute("DELETE FROM rows WHERE number < ?", (group.below,))
            connection.executemany("DELETE FROM rows WHERE number = ?", ((number,) for number in group.removals))
            oldest = f"SELECT {_COLUMNS} FROM rows ORDER BY number LIMIT ?"  # noqa: S608 - constants of this file
            dropped = [Row(*row) for row in connection.execute(oldest, (n_drop,))]
            if dropped:
                connection.execute("DELETE FROM rows WHERE number <= ?", (dropped[-1].number,))
            n_deleted = connection.total_changes - before
            connection.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?)", group.rows)
            connection.execute("COMMIT")
        except BaseException:
            with suppress(connection.Error):
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            raise
        self.n_committed += len(group.rows) - n_deleted
        if (group.below or group.removals) and not group.rows:
            self._shrink(connection)
        return dropped

    def _shrink(self, connection: sqlite3.Connection) -> None:
        """Give the space back once an outage is over: an empty file of many pages is written anew, as an empty one."""
        with suppress(connection.Error):
            if _pragma(connection, "page_count") > _VACUUM_PAGES:
                (n_rows,) = connection.execute("SELECT count(*) FROM (SELECT 1 FROM rows LIMIT 1)").fetchone()
                if n_rows == 0:
                    connection.execute("VACUUM")
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _is_at_bound(self, group: _Group) -> bool:
        """Whether it was our own bound that was met, and not the end of the file system."""
        connection = self._connection
        if connection is None:
            return False
        try:
            room = self._max_pages - _pragma(connection, "page_count") + _pragma(connection, "freelist_count")
        except connection.Error:
            return False
        n_bytes = sum(len(row.payload) + len(row.topic) + 64 for row in group.rows)
        return room < 16 + 2 * (n_bytes // _PAGE_BYTES + len(group.rows) // 16)

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            import sqlite3

            self._path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._connection = self._open()
            except sqlite3.DatabaseError as error:
                if not _is_foreign(error) or not self._path.exists():
                    raise
                self._set_aside(error)
                self._connection = self._open()
        return self._connection

    def _open(self) -> sqlite3.Connection:
        connection = self._connect(self._path)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(f"PRAGMA journal_size_limit={_LOG_BYTES}")
            connection.execute(f"PRAGMA max_page_count={self._max_pages}")
            problems = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if problems != "ok":
                raise _corrupt(problems)
            version = _pragma(connection, "user_version")
            if version not in {0, _VERSION}:
                raise _corrupt(f"version {_VERSION} expected, got {version}")
            connection.execute(_SCHEMA)
            connection.execute(f"SELECT {_COLUMNS} FROM rows LIMIT 0")  # noqa: S608 - constants of this file
            if version != _VERSION:
                connection.execute(f"PRAGMA user_version={_VERSION}")
        except BaseException:
            with suppress(connection.Error):
                connection.close()
            raise
        return connection

    def _set_aside(self, error: Exception) -> None:
        """Rename the file and its logs; at most one such set is kept, so that the disk cannot fill up with them."""
        aside = self._path.with_name(f"{self._path.name}.corrupt")
        for suffix in ("", "-wal", "-shm"):
            part = self._path.with_name(self._path.name + suffix)
            if part.exists():
                part.replace(aside.with_name(aside.name + suffix))
        self.was_corrupt = True
        self.n_committed = 0
        self._is_reader_stale = True
        log.error("%s: not usable (%s); kept as %s, a fresh one is begun", self._path, error, aside.name)

    def _close_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(connection.Error):
                connection.close()


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value


def _is_foreign(error: BaseException) -> bool:
    """Whether the file is none of ours, or none any more."""
    import sqlite3

    return _code(error) in {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_FORMAT,
    }


def _corrupt(problem: str) -> sqlite3.DatabaseError:
    import sqlite3

    error = sqlite3.DatabaseError(problem)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _code(error: BaseException) -> int:
    """Primary result code of SQLite (its low byte); 0 for other errors."""
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF
