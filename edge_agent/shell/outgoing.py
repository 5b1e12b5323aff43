"""A message on its way to the broker: what the writer makes, the outbox keeps and the connection sends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

WindowKey = tuple[str, str, int]
"""Pipeline, device, window index."""


Kind = Literal["label", "event", "gap", "capture", "status", "barrier"]


@dataclass(slots=True, eq=False)
class Outgoing:
    """A QoS 1 message to the broker.

    Attributes
    ----------
    kind : str
        ``label`` and ``capture`` wait for a subscriber; the others need none. ``barrier`` is never tried again.
    key : tuple or None
        The window (or last window of a gap) that is settled once the broker has this message; None = nothing waits
        for it.
    retain : bool
        May replace the retained message of its topic, as long as it is the newest.
    sequence : int
        Order of publication; the outbox sets it.
    attempts : int
        Refusals so far.
    since_ns : int
        When the message that led to this one was received, on the monotonic clock; 0 = not measured.
    mid : int
        Packet identifier it is known by at the broker; 0 = none yet.
    is_dup : bool
        It was sent before under this identifier, in this session (MQTT 5.0, section 4.4).
    is_spooled : bool
        It is on the disk, or on its way there.
    """

    kind: Kind
    topic: str
    payload: bytes
    retain: bool = False
    key: WindowKey | None = None
    sequence: int = -1
    attempts: int = 0
    is_repeat: bool = False
    since_ns: int = 0
    mid: int = 0
    is_dup: bool = False
    is_spooled: bool = False
