"""What the engine says: a window is ready, a gap is declared, a message was refused."""

from __future__ import annotations

from typing import NamedTuple

from signals import ClosedWindow


class WindowReady(NamedTuple):
    """A window closed. Whether enough of it is there for the model is the card's ``min_present``."""

    pipeline: str
    device: str
    window: ClosedWindow


class Gap(NamedTuple):
    """Windows ``first_index ... last_index`` can have no label. Times in nanoseconds since the epoch, half-open."""

    pipeline: str
    device: str
    first_index: int
    last_index: int
    reason: str
    start_ns: int
    end_ns: int


class Rejected(NamedTuple):
    """A message was refused. ``reason`` is a slug of low cardinality, ``detail`` one line for a person."""

    topic: str
    pipeline: str | None
    reason: str
    detail: str


Event = WindowReady | Gap | Rejected
