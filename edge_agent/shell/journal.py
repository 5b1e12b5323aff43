"""Log lines of the agent, on standard error: plain, with the priority prefix of systemd's journal, or JSON.

One line a record, whatever the message holds. What may come often is said through a :class:`RateLimit`, by its reason.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import Literal

import orjson

from schemas import format_timestamp

LogFormat = Literal["auto", "plain", "journal", "json"]

_PRIORITIES = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}
_EVERY_S = 10.0
_MAX_KEYS = 256
_HANDLER = "edge-agent"


class _PlainFormatter(logging.Formatter):
    """One line, whatever the message holds."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        return super().format(record).replace("\n", " ")


class _JournalFormatter(_PlainFormatter):
    """``<priority>message``: what sd-daemon(3) reads; the journal adds the time itself."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line for the journal."""
        return f"<{_PRIORITIES.get(record.levelname, 6)}>{super().format(record)}"


class _JsonFormatter(logging.Formatter):
    """One JSON object: ``time`` (ISO 8601 UTC), ``level``, ``logger``, ``message``, ``reason`` (null where none)."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON."""
        message = record.getMessage()
        if record.exc_info:
            message = f"{message}: {self.formatException(record.exc_info)}"
        content = {
            "time": format_timestamp(int(record.created * 1e9)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": message,
            "reason": getattr(record, "reason", None),
        }
        if held_back := getattr(record, "held_back", 0):
            content["held_back"] = held_back
        try:
            return orjson.dumps(content).decode()
        except TypeError:  # a lone surrogate, out of a topic or a file name
            content["message"] = message.encode("utf-8", "replace").decode()
            return orjson.dumps(content).decode()


def start_log(level: int = logging.INFO, log_format: LogFormat = "auto") -> None:
    """Send the log of this process to standard error; a further call only changes the format."""
    root = logging.getLogger()
    handler = next((held for held in root.handlers if held.get_name() == _HANDLER), None)
    if handler is None:
        if root.handlers:
            return
        handler = logging.StreamHandler(sys.stderr)
        handler.set_name(_HANDLER)
        root.addHandler(handler)
        root.setLevel(level)
    handler.setFormatter(_formatter(log_format))


def _formatter(log_format: LogFormat) -> logging.Formatter:
    if log_format == "json":
        return _JsonFormatter()
    if log_format == "journal" or (log_format == "auto" and _journal_reads(sys.stderr.fileno())):
        return _JournalFormatter("%(message)s")
    return _PlainFormatter("%(asctime)s %(levelname)-7s %(message)s")


def _journal_reads(descriptor: int) -> bool:
    """Whether this stream leads to the journal: ``JOURNAL_STREAM`` of systemd.exec(5) names its device and inode.

    A shell that was started by a service inherits the variable, and may have sent the stream elsewhere.
    """
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        found = os.fstat(descriptor)
        return (found.st_dev, found.st_ino) == (int(device), int(inode))
    except (OSError, ValueError):
        return False


class RateLimit:
    """Lets one line a key through every 10 seconds, and says how many were held back.

    Examples
    --------
    >>> limit = RateLimit()
    >>> limit.admits("not_json", now_s=0.0), limit.admits("not_json", now_s=1.0), limit.admits("not_json", now_s=11.0)
    (0, None, 1)
    """

    def __init__(self) -> None:
        self._last_s: dict[str, float] = {}
        self._held: dict[str, int] = {}

    def admits(self, key: str, now_s: float | None = None) -> int | None:
        """How many lines of this key were held back since the last one; None = hold this one back too."""
        now_s = time.monotonic() if now_s is None else now_s
        last_s = self._last_s.get(key)
        if last_s is not None and now_s - last_s < _EVERY_S:
            self._held[key] = self._held.get(key, 0) + 1
            return None
        if len(self._last_s) >= _MAX_KEYS:
            self._last_s.clear()
        self._last_s[key] = now_s
        return self._held.pop(key, 0)

    def say(self, log: logging.Logger, level: int, reason: str, message: str, *arguments: object) -> None:
        """Log one line of this reason, unless one went out less than 10 s ago; say how many were held back."""
        held_back = self.admits(reason)
        if held_back is None:
            return
        if held_back:
            message, arguments = f"{message} (%d more of this kind)", (*arguments, held_back)
        log.log(level, message, *arguments, extra={"reason": reason, "held_back": held_back})
