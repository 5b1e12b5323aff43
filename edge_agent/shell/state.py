"""The watermark: how far each device is labelled for good. It must survive a restart, and it must not wear out a card.

A watermark that is late is harmless (some windows are labelled twice, under the same id, or declared although they
were labelled), one that is early would hide a loss: so it is written after the broker has accepted the labels.

Two files. ``watermark.json`` is the whole state, written beside and renamed. ``watermark.log`` takes what changed
since, at most once a second: a file of a size fixed beforehand, written in place, so that a write costs the blocks
that it touches and no word of the file system's journal, and needs no space on a full disk. Each record carries the
generation of the whole state that it continues, and a checksum; reading ends at the first that does not fit. When the
log is full a new whole state begins the next generation.
"""

from __future__ import annotations

import logging
import os
import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from edge_agent.shell.disk_writer import DiskWriter

log = logging.getLogger(__name__)

FILE_NAME = "watermark.json"
LOG_NAME = "watermark.log"
SCHEMA = "watermark/2"
_EARLIER_SCHEMA = "watermark/1"
_MAX_BYTES = 64 * 1024 * 1024
_LEAST_LOG_BYTES = 256 * 1024
_MOST_LOG_BYTES = 16 * 1024 * 1024
_LOG_PER_WHOLE = 4
_COMPRESS_ABOVE_BYTES = 1024
_RETRY_S = 5.0

_HEAD = struct.Struct("<4sIIII")
_PLAIN, _COMPRESSED = b"TTw1", b"TTz1"

State = dict[str, Any]
"""Pipeline -> ``{"grid": ..., "devices": {device: {"closed_through": ..., "carry": ...}}}``."""

_Entry = int | list[Any]


class _Outcome(NamedTuple):
    """What came of a write; the changes that are not on the disk come back."""

    changes: dict[tuple[str, str], _Entry]
    mark: int
    was_whole: bool
    problem: str


class StateFile:
    """The watermark of one agent.

    Parameters
    ----------
    folder : Path
        Made if it is missing.
    writer : DiskWriter
    interval_s : float
        Shortest time between two writes.

    Attributes
    ----------
    durable_mark : int
        The mark of the newest state that the disk holds.
    problem : str
        Why the state cannot be written now, in one line; empty = it can.
    bytes_written : int
        Handed to the file system since the start.

    Raises
    ------
    OSError
        If the folder cannot be made.
    """

    def __init__(self, folder: Path, writer: DiskWriter, interval_s: float = 1.0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / FILE_NAME
        self._log_path = folder / LOG_NAME
        self._beside = folder / f"{FILE_NAME}.tmp"
        self._writer = writer
        self._interval_s = interval_s
        self._next_s = 0.0
        self._pending: dict[tuple[str, str], _Entry] = {}
        self._pending_mark = 0
        self._is_busy = False
        # The first write of a run is a whole state: the grids of the pipelines may be others than in the last run.
        self._needs_whole = True
        self._outcomes: deque[_Outcome] = deque()
        self._generation = 0
        self._log_bytes = 0
        self._log_at = 0
        self._log_file: int | None = None
        self.durable_mark = 0
        self.problem = ""
        self.bytes_written = 0
        with suppress(OSError):
            self._beside.unlink(missing_ok=True)

    # ------------------------------------------------------------------ at the start

    def read(self) -> State:
        """What was written last; empty, with one line in the log, where there is none that can be read."""
        try:
            if self._path.stat().st_size > _MAX_BYTES:
                log.warning("%s: at most %d bytes expected; starting without a watermark", self._path, _MAX_BYTES)
                return {}
            kept = orjson.loads(self._path.read_bytes())
        except FileNotFoundError:
            log.info("%s: no watermark yet; starting without one", self._path)
            return {}
        except (OSError, ValueError) as error:
            log.warning("%s: a watermark expected, got %s; starting without one", self._path, error)
            return {}
        version = kept.get("schema") if isinstance(kept, dict) else None
        state = kept.get("pipelines") if version in {SCHEMA, _EARLIER_SCHEMA} else None
        generation = kept.get("generation", 0) if version == SCHEMA else 0
        if not isinstance(state, dict) or not isinstance(generation, int):
            log.warning("%s: a watermark of version %r expected; starting without one", self._path, SCHEMA)
            return {}
        self._generation = generation
        if generation:
            for change in self._read_log(generation):
                _apply(change, state)
        return state

    def _read_log(self, generation: int) -> Iterator[object]:
        try:
            content = self._log_path.read_bytes()[:_MOST_LOG_BYTES]
        except OSError:
            return
        at = 0
        while at + _HEAD.size <= len(content):
            kind, of_generation, position, length, checksum = _HEAD.unpack_from(content, at)
            body = content[at + _HEAD.size : at + _HEAD.size + length]
            fits = of_generation == generation and position == at and kind in {_PLAIN, _COMPRESSED}
            if not fits or len(body) != length or _checksum(of_generation, at, body) != checksum:
                return
            try:
                change: object = orjson.loads(_inflated(body) if kind == _COMPRESSED else body)
            except (ValueError, zlib.error):
                return
            yield change
            at += _HEAD.size + length

    # ------------------------------------------------------------------ while running

    def is_due(self, now_s: float) -> bool:
        """Whether the state may be handed over; hears what came of the last write."""
        while self._outcomes:
            self._hear(self._outcomes.popleft(), now_s)
        return now_s >= self._next_s and not self._is_busy

    def put(self, changes: State, whole: Callable[[], State], mark: int, now_s: float) -> None:
        """Bring what changed to the disk. Never waits for it: ``durable_mark`` tells when it is there.

        Parameters
        ----------
        changes : State
            The devices whose watermark moved since the last call; grids are not looked at.
        whole : callable
            Gives the whole state, changes included; called now and then.
        mark : int
            Anything that rises; where nothing changed since the last write, it is durable at once.
        now_s : float
            Monotonic.
        """
        for pipeline, moved in changes.items():
            for device, progress in moved["devices"].items():
                self._pending[(pipeline, device)] = _entry(progress)
        self._pending_mark = mark
        if self._is_busy:
            return
        if not self._pending:
            self.durable_mark = mark
            return
        self._next_s = now_s + self._interval_s
        self._hand_over(whole() if self._needs_whole else None)

    def close(self, whole: Callable[[], State], mark: int, longest_s: float) -> bool:
        """Write the whole state if it changed; False when the disk did not take it in time."""
        self._writer.wait(longest_s)
        self.is_due(0.0)
        self._pending_mark = mark
        if not self._is_busy and (self._pending or self.durable_mark < mark):
            self._hand_over(whole())
        self._writer.submit(self._close_log)
        is_down = self._writer.wait(longest_s)
        self.is_due(0.0)
        return is_down and not self._is_busy and not self.problem

    def _hand_over(self, whole: State | None) -> None:
        changes, self._pending = self._pending, {}
        mark = self._pending_mark
        self._is_busy = True
        self._writer.submit(lambda: self._outcomes.append(self._write(changes, whole, mark)))

    def _hear(self, outcome: _Outcome, now_s: float) -> None:
        self._is_busy = False
        if outcome.changes or outcome.problem:  # they are not on the disk
            self._pending = {**outcome.changes, **self._pending}
            self._next_s = now_s + (max(self._interval_s, _RETRY_S) if outcome.problem else 0.0)
        else:
            self.durable_mark = outcome.mark
        if outcome.problem and outcome.problem != self.problem:
            log.error("%s: the watermark cannot be written: %s", self._path, outcome.problem)
        elif self.problem and not outcome.problem and not outcome.changes:
            log.info("%s: the watermark can be written again", self._path)
        self.problem = outcome.problem
        self._needs_whole = self._log_at >= self._log_bytes or (self._needs_whole and not outcome.was_whole)

    # ------------------------------------------------------------------ the disk writer's side

    def _write(self, changes: dict[tuple[str, str], _Entry], whole: State | None, mark: int) -> _Outcome:
        try:
            if whole is not None:
                self._write_whole(whole)
            elif not self._append(changes):
                return _Outcome(changes, mark, was_whole=False, problem="")
        except OSError as error:
            self._close_log()
            return _Outcome(changes, mark, was_whole=False, problem=str(error))
        return _Outcome({}, mark, was_whole=whole is not None, problem="")

    def _append(self, changes: dict[tuple[str, str], _Entry]) -> bool:
        """Whether there was room for the record; a log that cannot take it is full."""
        by_pipeline: dict[str, dict[str, _Entry]] = {}
        for (pipeline, device), entry in changes.items():
            by_pipeline.setdefault(pipeline, {})[device] = entry
        body, kind = orjson.dumps(by_pipeline), _PLAIN
        if len(body) > _COMPRESS_ABOVE_BYTES:
            body, kind = zlib.compress(body, 1), _COMPRESSED
        head = _HEAD.pack(
            kind, self._generation, self._log_at, len(body), _checksum(self._generation, self._log_at, body)
        )
        record = head + body
        if self._log_file is None or self._log_at + len(record) > self._log_bytes:
            self._log_at = self._log_bytes
            return False
        _write_all(self._log_file, record, self._log_at)
        os.fdatasync(self._log_file)
        self._log_at += len(record)
        self.bytes_written += len(record)
        return True

    def _write_whole(self, whole: State) -> None:
        generation = self._generation % 0x7FFFFFFF + 1
        content = orjson.dumps({"schema": SCHEMA, "generation": generation, "pipelines": whole})
        with self._beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        self._beside.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self.bytes_written += len(content)
        self._generation = generation
        self._log_at = 0
        self._open_log(min(_MOST_LOG_BYTES, max(_LEAST_LOG_BYTES, _LOG_PER_WHOLE * len(content))))

    def _open_log(self, n_bytes: int) -> None:
        """A log of at least this size whose blocks are all there: what was in it is of an earlier generation."""
        if self._log_file is None:
            self._log_file = os.open(self._log_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        there = os.fstat(self._log_file).st_size
        if there < n_bytes:
            _write_all(self._log_file, bytes(n_bytes - there), there)
            os.fsync(self._log_file)
            self.bytes_written += n_bytes - there
        self._log_bytes = max(there, n_bytes)

    def _close_log(self) -> None:
        file, self._log_file = self._log_file, None
        self._log_at = self._log_bytes = 0
        if file is not None:
            with suppress(OSError):
                os.close(file)


def _entry(progress: dict[str, Any]) -> _Entry:
    index, carry = progress["closed_through"], progress.get("carry")
    return index if carry is None else [index, carry]


def _apply(change: object, state: State) -> None:
    """Write a record of the log into the whole state; what does not fit is passed over, never trusted."""
    if not isinstance(change, dict):
        return
    for pipeline, entries in change.items():
        kept = state.get(pipeline)
        devices = kept.get("devices") if isinstance(kept, dict) else None
        if isinstance(devices, dict) and isinstance(entries, dict):
            for device, entry in entries.items():
                index, carry = entry if isinstance(entry, list) and len(entry) == 2 else (entry, None)
                devices[device] = {"closed_through": index, "carry": carry}


def _checksum(generation: int, position: int, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(struct.pack("<II", generation, position)))


def _inflated(body: bytes) -> bytes:
    inflater = zlib.decompressobj()
    content = inflater.decompress(body, _MAX_BYTES)
    if not inflater.eof:
        raise ValueError("a whole record expected")
    return content


def _write_all(file: int, content: bytes, at: int) -> None:
    left = memoryview(content)
    while left:
        n_written = os.pwrite(file, left, at)
        left, at = left[n_written:], at + n_written
