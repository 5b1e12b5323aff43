"""What leaves a simulated device: topic, payload, and when. The topic trees of the demo stand here and nowhere else."""

from __future__ import annotations

import math
from typing import NamedTuple

import orjson

VIBRATION_TOPIC = "plant/{device}/vibration"
CLIMATE_TOPIC = "plant/{device}/climate"
TRUTH_TOPIC = "plant/truth/{device}"
"""The true state of a device. Only the recorder and the scoring read it; no agent subscribes to this tree."""


class Message(NamedTuple):
    """One message on its way to the broker."""

    due_s: float
    """Seconds after the start of the plant at which it leaves the device, in the plant's own time."""
    topic: str
    payload: bytes
    device: str
    newest_ns: int
    """Time of the newest sample in it, nanoseconds since the epoch."""
    is_truth: bool = False
    level: float = math.nan
    """One number to draw: how strongly the sensor moved, or what it read. NaN = nothing to draw."""


class StateChange(NamedTuple):
    """From ``t_ns`` on the device is in ``state``; None: its recording ends there."""

    device: str
    t_ns: int
    state: str | None


def truth_message(due_s: float, device: str, t_ns: int, state: str | None) -> Message:
    """The message that tells the true state of a device from a time on; None ends the recording.

    Examples
    --------
    >>> truth_message(0.0, "pump-01", 1_500_000_000, "idle").payload
    b'{"t":1500000000,"state":"idle"}'
    """
    payload = orjson.dumps({"t": t_ns, "state": state})
    return Message(due_s, TRUTH_TOPIC.replace("{device}", device), payload, device, t_ns, is_truth=True)


def parse_truth(topic: str, payload: bytes) -> StateChange | None:
    """The change of state that a message of the truth tree tells, or None where it is none.

    Examples
    --------
    >>> message = truth_message(0.0, "pump-01", 5, None)
    >>> parse_truth(message.topic, message.payload)
    StateChange(device='pump-01', t_ns=5, state=None)
    >>> parse_truth(message.topic, b"?") is None
    True
    """
    prefix = TRUTH_TOPIC.removesuffix("{device}")
    if not topic.startswith(prefix):
        return None
    try:
        fields = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(fields, dict):
        return None
    t_ns, state = fields.get("t"), fields.get("state")
    if isinstance(t_ns, bool) or not isinstance(t_ns, int) or not (state is None or isinstance(state, str)):
        return None
    return StateChange(topic.removeprefix(prefix), t_ns, state)
