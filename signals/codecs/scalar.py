"""One number a topic, as text: ESPHome, Zigbee2MQTT's attribute output, Homie, plain scripts."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from schemas.errors import ConfigError
from schemas.mapping import ScalarMapping
from signals.block import Block, DecodeError
from signals.codecs.addressing import TopicLevels, device_of, device_problems, unmapped_channels
from signals.codecs.float32 import is_float32
from signals.codecs.refusal import shown
from signals.codecs.rows import RowReader

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NO_VALUE = frozenset({"", "nan", "none", "null", "unavailable", "unknown"})
_INFINITE = frozenset({"inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"})
_MAX_BYTES = 256


class ScalarDecoder:
    """Reads one number a message; see ``compile_decoder`` for parameters and errors.

    Notes
    -----
    Spaces around the text are ignored. Texts of ``mapping.values`` come first and are compared letter by letter;
    ``nan``, ``None``, ``null``, ``unavailable``, ``unknown`` and an empty message (in any case of letters) mean
    that the sensor has no value: refused as ``missing_field``, so that a dead sensor shows in the counters. A
    ``{channel}`` the model does not have is another sensor of the same device: no block and no error.

    Examples
    --------
    >>> mapping = ScalarMapping(channels={"door": "door"}, values={"ON": 1.0, "OFF": 0.0})
    >>> decoder = ScalarDecoder(mapping, ["{device}/binary_sensor/{channel}/state"], ["door"])
    >>> (block,) = decoder.decode("livingroom/binary_sensor/door/state", b"ON")
    >>> block.device, block.channels, block.values.tolist()
    ('livingroom', (0,), [[1.0]])
    """

    def __init__(self, mapping: ScalarMapping, topics: Sequence[str], channels: Sequence[str]) -> None:
        problems: list[str] = []
        self._topics = TopicLevels(topics, problems)
        problems += device_problems(self._topics, "a format whose payload names the device")
        without_channel = self._topics.lacking("channel")
        if mapping.channel is None:
            problems += [
                f"topics: a {{channel}} level in {text!r}, or mapping.channel, expected" for text in without_channel
            ]
        problems += _channel_problems(mapping, channels, is_any_named=len(without_channel) < len(topics))
        problems += [
            f"values.{text}: a number that float32 can hold expected, got {value!r}"
            for text, value in mapping.values.items()
            if not is_float32(value)
        ]
        if problems:
            raise ConfigError("mapping", problems)
        position_of = {name: position for position, name in enumerate(channels)}
        texts = mapping.channels or {name: name for name in channels}
        self._positions = {text: (position_of[name],) for name, text in texts.items() if name in position_of}
        # The fixed channel may be one the model does not have, where other topics carry those that it has.
        self._fixed = (position_of[mapping.channel],) if mapping.channel in position_of else ()
        self.read_rows: RowReader | None = None  # the channel stands in the topic
        self._values = {text.encode(): value for text, value in mapping.values.items()}

    def decode(self, topic: str, payload: bytes) -> list[Block]:
        """The block of a message; none for a channel the model does not have. Raises DecodeError and nothing else."""
        levels = self._topics.find(topic)
        device = device_of(levels, topic)
        channel = levels.get("channel")
        positions = self._fixed if channel is None else self._positions.get(channel, ())
        if not positions:
            return []
        return [Block(device, positions, np.array([[self._number(payload)]], np.float32))]

    def _number(self, payload: bytes) -> float:
        raw = payload.strip()
        value = self._values.get(raw)
        if value is not None:
            return value
        if len(raw) > _MAX_BYTES:
            raise DecodeError("not_a_number", f"payload: a number as text expected, got {len(raw)} bytes")
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            raise DecodeError("not_text", f"payload: UTF-8 expected, got {len(raw)} bytes of something else") from error
        if _NUMBER.fullmatch(text):
            number = float(text)
            if is_float32(number):
                return number
        elif text.lower() in _NO_VALUE:
            raise DecodeError("missing_field", f"payload: a number as text expected, got {shown(text)}")
        elif text.lower() not in _INFINITE:
            raise DecodeError("not_a_number", f"payload: a number as text expected, got {shown(text)}")
        raise DecodeError("not_finite", f"payload: a number that float32 can hold expected, got {shown(text)}")


def _channel_problems(mapping: ScalarMapping, channels: Sequence[str], *, is_any_named: bool) -> list[str]:
    fixed = [] if mapping.channel is None else [mapping.channel]
    if is_any_named and not mapping.channels:
        return []  # names are equal: whatever the model calls a channel, the topic does too
    mapped = [*(mapping.channels if is_any_named else ()), *fixed]
    problems = unmapped_channels(channels, mapped, "channels")
    texts = [text for name, text in mapping.channels.items() if name in channels]
    twice = sorted({text for text in texts if texts.count(text) > 1})
    return problems + [f"channels: one channel for the level {text!r} expected, got several" for text in twice]
