"""The one small file that must survive a restart: how far each device is labelled for good.

Written about once a second and only if it changed, always after the broker has accepted the labels: a watermark
that is late is harmless (some windows are labelled twice, under the same id), one that is early would hide a loss.
Written beside, flushed and renamed, so that a kill at any instruction leaves the old file or the new one.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import orjson

log = logging.getLogger(__name__)

FILE_NAME = "watermark.json"
SCHEMA = "watermark/1"
_MAX_BYTES = 64 * 1024 * 1024


class StateFile:
    """The watermark of one agent.

    Parameters
    ----------
    folder : Path
        Made if it is missing.
    interval_s : float
        Shortest time between two writes.

    Raises
    ------
    OSError
        If the folder cannot be made.
    """

    def __init__(self, folder: Path, interval_s: float = 1.0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / FILE_NAME
        self._beside = folder / f"{FILE_NAME}.tmp"
        self._interval_s = interval_s
        self._written = b""
        self._next_s = 0.0
        self._failed = ""
        self.folder = folder
        self._beside.unlink(missing_ok=True)

    def read(self) -> dict[str, Any]:
        """What was written last; empty, with one line in the log, where there is none that can be read."""
        try:
            if self._path.stat().st_size > _MAX_BYTES:
                log.warning("%s: at most %d bytes expected; starting without a watermark", self._path, _MAX_BYTES)
                return {}
            content = self._path.read_bytes()
            kept = orjson.loads(content)
        except FileNotFoundError:
            log.info("%s: no watermark yet; starting without one", self._path)
            return {}
        except (OSError, ValueError) as error:
            log.warning("%s: a watermark expected, got %s; starting without one", self._path, error)
            return {}
        state = kept.get("pipelines") if isinstance(kept, dict) and kept.get("schema") == SCHEMA else None
        if not isinstance(state, dict):
            log.warning("%s: a watermark of version %r expected; starting without one", self._path, SCHEMA)
            return {}
        self._written = content
        return state

    @property
    def problem(self) -> str:
        """Why the last write failed; empty if it did not."""
        return self._failed

    @property
    def free_bytes(self) -> int | None:
        """Free space where the folder is, for processes without special rights; None where nobody tells."""
        try:
            disk = os.statvfs(self.folder)
        except OSError:
            return None
        return disk.f_bavail * disk.f_frsize

    def is_due(self, now_s: float) -> bool:
        """Whether enough time has passed since the last write."""
        return now_s >= self._next_s

    def write(self, state: dict[str, Any], now_s: float) -> bool:
        """Bring the state to the disk if it changed; True when the disk holds it, False when it could not be written.

        A full or read-only disk is logged once, and tried again: labels go on meanwhile.
        """
        self._next_s = now_s + self._interval_s
        content = orjson.dumps({"schema": SCHEMA, "pipelines": state})
        if content == self._written:
            return True
        try:
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
        except OSError as error:
            if str(error) != self._failed:
                self._failed = str(error)
                log.error("%s: the watermark cannot be written: %s", self._path, error)  # noqa: TRY400 - one line, no traceback
            return False
        self._failed = ""
        self._written = content
        return True
