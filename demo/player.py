"""A player: recordings as the sensor messages that they once were, for any broker.

Every sample keeps its own time (``each``), so a stream with jitter or holes is played as it was, and what the agent
cuts is what ``edge-agent replay`` cuts from the file. Float32 values travel as their shortest decimal that reads back
the same, or as they are.
"""

from __future__ import annotations

import heapq
import math
import struct
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import orjson

from demo.plant.messages import Message
from schemas import BinaryField, BinaryMapping, BinaryTime, JsonMapping, JsonTime, Mapping
from signals import FloatArray, Recording

PLAYER_TOPIC = "replayed/{device}/samples"
PlayerFormat = Literal["json", "binary"]

_MAGIC = b"\x54\x54"
_MOST_PAYLOAD_BYTES = 48_000


def player_mapping(channels: Sequence[str], payload_format: PlayerFormat) -> Mapping:
    """The mapping that reads what `messages_of` writes.

    Examples
    --------
    >>> player_mapping(["acc_x"], "json").format, player_mapping(["acc_x"], "binary").format
    ('json', 'binary')
    """
    if payload_format == "json":
        return JsonMapping(
            channels={name: f"c{position}" for position, name in enumerate(channels)},
            time=JsonTime(path="t", unit="ns", of="each"),
        )
    return BinaryMapping(
        magic=_MAGIC.hex(),
        fields=[BinaryField(name="t", type="int64"), *(BinaryField(name=name, type="float32") for name in channels)],
        time=BinaryTime(field="t", unit="ns", of="each"),
    )


def messages_of(
    recordings: Sequence[Recording], *, batch_length: int = 64, payload_format: PlayerFormat = "json"
) -> Iterator[Message]:
    """The messages of several recordings: the groups start together, the recordings of one group follow each other.

    So a person whose day was cut into many recordings is played as one person, not as a crowd.

    Parameters
    ----------
    recordings : sequence of Recording
        Each a device of its own.
    batch_length : int
        Samples in a message; fewer where the payload would pass 48 kB.
    payload_format : {"json", "binary"}
        Columns of JSON with one time a sample, or packed little-endian frames.

    Examples
    --------
    >>> recording = Recording("a", ("x",), np.array([0, 10**9]), np.array([[0.1, np.nan]], np.float32))
    >>> [message.payload for message in messages_of([recording])]
    [b'{"t":[0,1000000000],"c0":[0.1,null]}']
    """
    ends_s: dict[int, float] = {}
    players = []
    for recording in recordings:
        start_s = ends_s.get(recording.group, 0.0) if recording.group >= 0 else 0.0
        ends_s[recording.group] = start_s + (int(recording.t_ns[-1]) - int(recording.t_ns[0])) / 1e9
        players.append(_play(recording, start_s, batch_length, payload_format))
    return heapq.merge(*players, key=lambda message: message.due_s)


def _play(recording: Recording, start_s: float, batch_length: int, payload_format: PlayerFormat) -> Iterator[Message]:
    topic = PLAYER_TOPIC.replace("{device}", recording.device)
    times, values = recording.t_ns, recording.values
    # A number takes at most some 13 characters in JSON, a time 20.
    wanted = max(1, min(batch_length, _MOST_PAYLOAD_BYTES // (13 * len(values) + 20)))
    for first in range(0, len(times), wanted):
        t_ns, block = times[first : first + wanted], values[:, first : first + wanted]
        newest_ns = int(t_ns[-1])
        if payload_format == "json":
            columns = {f"c{position}": row for position, row in enumerate(np.ascontiguousarray(block))}
            payload = orjson.dumps({"t": t_ns, **columns}, option=orjson.OPT_SERIALIZE_NUMPY)
        else:
            payload = _frame(t_ns.tolist(), block.T.astype("<f4"))
        due_s = start_s + (newest_ns - int(times[0])) / 1e9
        yield Message(due_s, topic, payload, recording.device, newest_ns, level=_level(block))


def _frame(times: list[int], rows: FloatArray) -> bytes:
    return _MAGIC + b"".join(struct.pack("<q", t_ns) + row.tobytes() for t_ns, row in zip(times, rows, strict=True))


def _level(block: FloatArray) -> float:
    first = block[0][np.isfinite(block[0])].astype(np.float64)
    return float(first.std() if len(first) > 8 else first.mean()) if len(first) else math.nan
