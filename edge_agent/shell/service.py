"""What the loop calls once a turn besides its own work, and all that it knows of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(slots=True)
class Reloads:
    """Reloads of this process, over all agents that ran in it.

    Attributes
    ----------
    done : dict of int
        ``swapped`` (models in place) and ``replaced`` (a new agent) -> count.
    refused : int
        Reloads that would not have worked; the agent went on as it was.
    """

    done: dict[str, int] = field(default_factory=lambda: {"swapped": 0, "replaced": 0})
    refused: int = 0


class Service(Protocol):
    """Something that lives beside the loop: the watchdog, the status page, the reload.

    It never raises, and it never blocks for more than 5 ms: a service that has to wait does so in a thread of its own,
    which only reads values that no longer change.
    """

    def turn(self, now_s: float) -> None:
        """Do what is due; called after every turn of the loop, with the monotonic time of that turn."""

    def close(self) -> None:
        """Give back sockets and threads; called once, after the last turn."""
