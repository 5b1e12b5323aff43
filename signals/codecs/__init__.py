"""How the bytes of one message become blocks of samples: JSON by paths, one number a topic, declarative binary frames.

One job: ``(topic, payload) -> list of Block``, by a mapping that is data. A mapping is compiled once and every
problem with it is reported then; afterwards a decoder raises DecodeError for whatever it cannot read and nothing
else, whatever the bytes. No state of a device, no clock, no slug and no window may enter this room: it looks at one
message at a time.

Rules that all decoders share:

- A channel without one value in a message is absent from the block; where every channel is absent the message is
  refused (``missing_field``). A single missing value inside a batch is NaN.
- Values are finite as float32, or refused (``not_finite``). Texts are not numbers. ``true`` and ``false`` of JSON are
  1 and 0.
- An empty batch is no error and gives no block.
- Reasons: ``bad_topic not_json not_text missing_field not_a_number not_finite bad_time bad_device bad_shape
  bad_frame``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from schemas.mapping import JsonMapping, Mapping, ScalarMapping
from signals.block import Block
from signals.codecs.binary import BinaryDecoder
from signals.codecs.json_messages import JsonDecoder
from signals.codecs.rows import BurstReader, RowReader, Rows
from signals.codecs.scalar import ScalarDecoder

__all__ = [
    "BinaryDecoder",
    "BurstReader",
    "Decoder",
    "JsonDecoder",
    "RowReader",
    "Rows",
    "ScalarDecoder",
    "compile_decoder",
]


class Decoder(Protocol):
    """Reads the messages of one pipeline.

    Attributes
    ----------
    read_rows : RowReader or None
        The short way for the usual message; only where the topic names the device and the samples stand on the
        grid of the model. What it gives is what ``decode`` gives.
    """

    read_rows: RowReader | None

    def decode(self, topic: str, payload: bytes) -> list[Block]:
        """The blocks of one message; raises DecodeError and nothing else, whatever the bytes."""
        ...


def compile_decoder(
    mapping: Mapping, topics: Sequence[str], channels: Sequence[str], sampling_rate_hz: float
) -> Decoder:
    """The decoder of a mapping for a model's channels.

    Parameters
    ----------
    mapping : JsonMapping, ScalarMapping or BinaryMapping
        How messages are laid out. Channels of it that the model does not know are ignored.
    topics : sequence of str
        Templates of the topics that arrive, see ``schemas.topics.TopicTemplate``. The first that matches names
        the device.
    channels : sequence of str
        The channels of the model, in its order; ``Block.channels`` are positions in it.
    sampling_rate_hz : float
        Rate of the samples inside a batch, unless the mapping has its own.

    Raises
    ------
    ConfigError
        Names every problem: a channel that is not mapped (with the nearest name that is), a bad path, topics
        that lack a ``{device}`` or ``{channel}`` which the payload does not carry either, ...
    ValueError
        If there are no channels, one stands twice, or the rate is no positive number.

    Examples
    --------
    >>> mapping = JsonMapping(channels={"x": "acc.x", "y": "acc.y"})
    >>> decoder = compile_decoder(mapping, ["plant/{device}/vibration"], ["x", "y"], 100.0)
    >>> (block,) = decoder.decode("plant/pump-7/vibration", b'{"acc": {"x": [1, 2, 3], "y": [0.5, null, 0]}}')
    >>> block.device, block.channels, block.rate_hz, block.values.tolist()
    ('pump-7', (0, 1), 100.0, [[1.0, 2.0, 3.0], [0.5, nan, 0.0]])
    """
    if not channels or len(set(channels)) != len(channels):
        raise ValueError(f"channels: names that differ expected, at least one, got {list(channels)}")
    if not (math.isfinite(sampling_rate_hz) and sampling_rate_hz > 0.0):
        raise ValueError(f"sampling_rate_hz: a positive number expected, got {sampling_rate_hz}")
    if isinstance(mapping, JsonMapping):
        return JsonDecoder(mapping, topics, channels, sampling_rate_hz)
    if isinstance(mapping, ScalarMapping):
        return ScalarDecoder(mapping, topics, channels)
    return BinaryDecoder(mapping, topics, channels, sampling_rate_hz)
