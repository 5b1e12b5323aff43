"""Log lines of the agent: plain, on standard error, with the priority prefix of systemd where its journal reads."""

from __future__ import annotations

import logging
import os
import sys
import time

_PRIORITIES = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}
_EVERY_S = 10.0
_MAX_KEYS = 256


class _JournalFormatter(logging.Formatter):
    """``<priority>message``: what sd-daemon(3) reads; the journal adds the time itself."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line for the journal."""
        return f"<{_PRIORITIES.get(record.levelname, 6)}>{super().format(record)}"


def start_log(level: int = logging.INFO) -> None:
    """Send the log of this process to standard error; a second call changes nothing."""
    root = logging.getLogger()
    if root.handlers:
        return
    handler = logging.StreamHandler(sys.stderr)
    if os.environ.get("JOURNAL_STREAM"):
        handler.setFormatter(_JournalFormatter("%(message)s"))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s"))
    root.addHandler(handler)
    root.setLevel(level)


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
