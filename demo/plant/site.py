"""A whole plant: its devices by name, and their messages merged in the order in which they leave."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence

from demo.plant.messages import Message
from demo.plant.pump import Pump
from demo.plant.room import Room


def pump_names(first: int, count: int) -> tuple[str, ...]:
    """Names of ``count`` pumps from number ``first`` on.

    Examples
    --------
    >>> pump_names(7, 2)
    ('pump-07', 'pump-08')
    """
    return tuple(f"pump-{number:02d}" for number in range(first, first + count))


def room_names(first: int, count: int) -> tuple[str, ...]:
    """Names of ``count`` rooms from number ``first`` on.

    Examples
    --------
    >>> room_names(1, 1)
    ('room-01',)
    """
    return tuple(f"room-{number:02d}" for number in range(first, first + count))


class Site:
    """Pumps and rooms that start together.

    Parameters
    ----------
    pumps, rooms : sequence of str
        Device names.
    seed : int
        The seed of the plant.
    start_ns : int
        When its clock starts, nanoseconds since the epoch.

    Examples
    --------
    >>> site = Site(pump_names(1, 1), room_names(1, 1), seed=1, start_ns=0)
    >>> messages = list(site.messages(seconds=2.0))
    >>> messages == sorted(messages, key=lambda message: message.due_s)
    True
    """

    def __init__(self, pumps: Sequence[str], rooms: Sequence[str], *, seed: int, start_ns: int) -> None:
        self.pumps = [Pump(name, seed=seed, start_ns=start_ns) for name in pumps]
        self.rooms = [Room(name, seed=seed, start_ns=start_ns) for name in rooms]

    def messages(self, seconds: float | None = None) -> Iterator[Message]:
        """Every message of every device, in order of time; without ``seconds``, without end."""
        sources = [pump.messages(seconds) for pump in self.pumps] + [room.messages(seconds) for room in self.rooms]
        return heapq.merge(*sources, key=lambda message: message.due_s)
