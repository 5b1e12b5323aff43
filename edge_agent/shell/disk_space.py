"""Whether there is space where the agent keeps its files, and a reserve for the moment when there is none.

A full disk must not stop the agent: labels go on, what needs the disk waits. But a database can neither delete nor
checkpoint without a little space, so it could not even make room for itself. A ballast file holds that little back; it
is let go when the disk is full and made again when there is space.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from edge_agent.shell.alarms import AlarmBoard
from edge_agent.shell.disk_writer import DiskWriter

BALLAST_NAME = "ballast"
BALLAST_BYTES = 4 * 1024 * 1024
INTERVAL_S = 3.0
"""How often the space is looked at; an alarm may come so much later, and the broker's disk fills up in no less."""

_FULL_BYTES = 1024 * 1024
_LOW_SHARE = 0.02
_LOW_BYTES = 64 * 1024 * 1024
_LEAST_LOW_BYTES = 8 * 1024 * 1024
_BLOCK_BYTES = 65_536


class DiskSpace:
    """Watches the file systems of the state folder and of others that matter, the broker's store for example.

    Parameters
    ----------
    folder : Path
        Of the agent's own files; the ballast lies here.
    others : sequence of Path
        Their file systems are watched too.
    writer : DiskWriter
    alarms : AlarmBoard
        ``disk_low``, ``disk_full`` and ``disk_unwritable`` are kept here.

    Attributes
    ----------
    free_bytes : int or None
        Of the state folder's file system; None where nobody tells.
    """

    def __init__(self, folder: Path, others: Sequence[Path], writer: DiskWriter, alarms: AlarmBoard) -> None:
        self._folder = folder
        self._folders = [folder, *others]
        self._ballast = folder / BALLAST_NAME
        self._writer = writer
        self._alarms = alarms
        self._next_s = 0.0
        self._is_busy = False
        self._looked: deque[tuple[list[str], list[str], str]] = deque()
        self._write_problem = ""
        self._had_problems = False
        self.free_bytes: int | None = None

    def turn(self, now_s: float, problems: Sequence[str]) -> None:
        """Look when it is due; never waits for a disk.

        Parameters
        ----------
        now_s : float
            Monotonic.
        problems : sequence of str
            What others found when they wrote to the state folder; empty where all is well.
        """
        while self._looked:
            low, full, unwritable = self._looked.popleft()
            self._is_busy = False
            self._alarms.set("disk_low", "; ".join(low))
            self._alarms.set("disk_full", "; ".join(full))
            self._write_problem = unwritable
        self._alarms.set("disk_unwritable", "; ".join([*problems, *filter(None, [self._write_problem])]))
        is_news = bool(problems) != self._had_problems
        self._had_problems = bool(problems)
        if (now_s >= self._next_s or is_news) and not self._is_busy:
            self._next_s = now_s + INTERVAL_S
            self._is_busy = True
            self._writer.submit(lambda: self._looked.append(self._look()))

    # ------------------------------------------------------------------ the disk writer's side

    def _look(self) -> tuple[list[str], list[str], str]:
        low, full, unwritable = [], [], ""
        for folder in self._folders:
            try:
                disk = os.statvfs(folder)
            except OSError as error:
                low.append(f"{folder}: {error.strerror or error}")
                continue
            free, size = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
            if folder == self._folder:
                self.free_bytes = free
                is_read_only = disk.f_flag & os.ST_RDONLY
                unwritable = (
                    f"{folder}: the file system is read-only" if is_read_only else self._keep_ballast(free, size)
                )
                if not self._ballast_bytes():
                    free = max(0, free - _ballast_for(size))  # what was let go is spent, not gained
            if free < _FULL_BYTES:
                full.append(f"{folder}: {free >> 10} KiB left")
            elif free < low_below(size):
                low.append(f"{folder}: {free >> 20} MiB of {size >> 20} MiB left")
        return low, full, unwritable

    def _keep_ballast(self, free: int, size: int) -> str:
        """Let the ballast go, or make it again; why it could not be made, apart from a full disk."""
        n_bytes = _ballast_for(size)
        try:
            if self._ballast_bytes():
                if free < _FULL_BYTES:
                    self._ballast.unlink()
            elif free >= n_bytes + 2 * _FULL_BYTES:
                self._make_ballast(n_bytes)
        except OSError as error:
            with suppress(OSError):
                self._ballast.unlink()
            return "" if error.errno == errno.ENOSPC else f"{self._folder}: {error.strerror or error}"
        return ""

    def _ballast_bytes(self) -> int:
        try:
            return self._ballast.stat().st_size
        except OSError:
            return 0

    def _make_ballast(self, n_bytes: int) -> None:
        with self._ballast.open("wb") as file:
            for _ in range(0, n_bytes, _BLOCK_BYTES):
                file.write(b"\xff" * _BLOCK_BYTES)  # written, not only reserved: a hole holds nothing back
            file.flush()
            os.fsync(file.fileno())


def low_below(size_bytes: int) -> int:
    """Free space below which a file system of this size is called low: 2 %, but 8 to 64 MiB.

    Examples
    --------
    >>> low_below(32 * 2**30) >> 20, low_below(100 * 2**20) >> 20
    (64, 8)
    """
    return int(min(_LOW_BYTES, max(_LEAST_LOW_BYTES, size_bytes * _LOW_SHARE)))


def _ballast_for(size_bytes: int) -> int:
    return min(BALLAST_BYTES, size_bytes // 8 // _BLOCK_BYTES * _BLOCK_BYTES)
