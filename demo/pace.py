"""Honest pacing: messages leave when the plant says so, at a chosen speed, or as fast as the broker acknowledges."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from demo.plant.messages import Message


def paced(
    messages: Iterable[Message],
    speed: float | None,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Message]:
    """The same messages, each held back until its time has come.

    A message that is late goes at once, and no later one is hurried for it: every message is due at ``start + due_s /
    speed``, so delays never add up and the mean speed stays what was asked for.

    Parameters
    ----------
    messages : iterable of Message
        In order of ``due_s``.
    speed : float or None
        Plant seconds in a second; None = no pacing.
    clock, sleep : callable
        Seconds of a monotonic clock, and what waits; a test passes its own.

    Raises
    ------
    ValueError
        If the speed is not above 0.

    Examples
    --------
    >>> waits = []
    >>> due = [Message(due_s, "t", b"", "d", 0) for due_s in (0.0, 2.0)]
    >>> [message.due_s for message in paced(due, 4.0, clock=lambda: 100.0, sleep=waits.append)], waits
    ([0.0, 2.0], [0.5])
    """
    if speed is not None and not speed > 0.0:
        raise ValueError(f"speed: above 0 expected, got {speed}")
    start_s = clock()
    for message in messages:
        if speed is not None:
            wait_s = start_s + message.due_s / speed - clock()
            if wait_s > 0.0:
                sleep(wait_s)
        yield message
