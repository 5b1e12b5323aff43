"""Words to systemd over its notification socket: sd_notify(3), in the few lines that it takes.

systemd says in ``NOTIFY_SOCKET`` where it listens (a path, or with a leading ``@`` the abstract name) and in
``WATCHDOG_USEC`` how long it is patient. Outside of systemd nothing is said.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Mapping

log = logging.getLogger(__name__)

_MOST_STATUS = 200
_PATIENCE_S = 0.005


class Notify:
    """The line to systemd.

    Parameters
    ----------
    environment : mapping of str to str
        As ``os.environ``.

    Attributes
    ----------
    watchdog_s : float or None
        How long systemd waits for a sign of life before it kills this process; None = it does not watch.

    Examples
    --------
    >>> Notify({}).is_on, Notify({"WATCHDOG_USEC": "30000000"}).watchdog_s
    (False, 30.0)
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self.watchdog_s = _watchdog_s(environment)
        self._next_sign_s = 0.0
        self._status = ""
        self._is_ready = False
        self._complaint = ""

    @property
    def is_on(self) -> bool:
        """Whether systemd listens."""
        return self._address is not None

    @property
    def is_ready(self) -> bool:
        """Whether READY=1 was said."""
        return self._is_ready

    def ready(self) -> None:
        """The agent works (for the first time, or again after a reload)."""
        self._is_ready = self._say("READY=1")

    def reloading(self) -> None:
        """A reload begins; :meth:`ready` ends it. systemd asks for the time since 253 (``Type=notify-reload``)."""
        self._say("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The agent ends on purpose."""
        self._say("STOPPING=1")

    def status(self, text: str) -> None:
        """One line for ``systemctl status``, sent if it changed."""
        line = " ".join(text.split())[:_MOST_STATUS]
        if line != self._status:
            self._status = line
            self._say(f"STATUS={line}")

    def alive(self, now_s: float) -> None:
        """A sign of life, twice within the patience of systemd. Called by the loop's turns and by nothing else."""
        if self.watchdog_s is not None and now_s >= self._next_sign_s:
            self._next_sign_s = now_s + self.watchdog_s / 2
            self._say("WATCHDOG=1")

    def _say(self, *lines: str) -> bool:
        """Whether it was said, or nobody listens."""
        if self._address is None:
            return True
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
                # A full queue must not hold up the loop.
                line.settimeout(_PATIENCE_S)
                line.sendto("\n".join(lines).encode(), self._address)
        except TimeoutError:
            return False
        except OSError as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                log.warning("systemd cannot be told %s: %s", lines[0], error.strerror or error)
            return False
        return True


def _address(name: str) -> str | None:
    if name.startswith("@"):
        return "\0" + name[1:]
    return name if name.startswith("/") else None


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    """The patience meant for this process: ``WATCHDOG_PID`` names another one where a child inherited the variables."""
    try:
        patience_s = int(environment.get("WATCHDOG_USEC", "0")) / 1e6
        meant_for = int(environment.get("WATCHDOG_PID", os.getpid()))
    except ValueError:
        return None
    return patience_s if patience_s > 0 and meant_for == os.getpid() else None
