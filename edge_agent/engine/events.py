"""What the engine says: a window is ready, a gap is declared, a message was refused."""

from __future__ import annotations

from dataclasses import dataclass

from signals import ClosedWindow


@dataclass(frozen=True, slots=True)
class WindowReady:
    """A window closed. Whether enough of it is there for the model is the card's ``min_present``."""

    pipeline: str
    device: str
    window: ClosedWindow


@dataclass(frozen=True, slots=True)
class Gap:
    """Windows ``first_index ... last_index`` can have no label. Times in nanoseconds since the epoch, half-open."""

    pipeline: str
    device: str
    first_index: int
    last_index: int
    reason: str
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """A message was refused. ``reason`` is a slug of low cardinality, ``detail`` one line for a person."""

    topic: str
    pipeline: str | None
    reason: str
    detail: str


Event = WindowReady | Gap | Rejected
