"""What the loop calls once a turn besides its own work, and all that it knows of it."""

from __future__ import annotations

from typing import Protocol


class Service(Protocol):
    """Something that lives beside the loop: the watchdog, the status page, the reload.

    It never raises, and it never blocks for more than 5 ms: a service that has to wait does so in a thread of its own,
    which only reads values that no longer change.
    """

    def turn(self, now_s: float) -> None:
        """Do what is due; called after every turn of the loop, with the monotonic time of that turn."""

    def close(self) -> None:
        """Give back sockets and threads; called once, after the last turn."""
