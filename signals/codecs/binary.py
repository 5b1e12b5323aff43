"""Declarative binary frames: magic, header, then samples packed without padding, read in place by strides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ConfigError
from schemas.mapping import BinaryMapping
from signals.block import Block, DecodeError, FloatArray
from signals.codecs.addressing import TopicLevels, device_of, device_problems, unmapped_channels
from signals.codecs.binary_fields import FrameField, field_problems, place_fields
from signals.codecs.binary_rows import FrameTime, read_frames
from signals.codecs.float32 import channels_with_values
from signals.codecs.refusal import shown
from signals.codecs.rows import BurstReader, RowReader
from signals.codecs.times import UNIT_NS, start_ns, tick_to_ns, ticks_to_ns


class BinaryDecoder:
    """Reads binary frames of one pipeline; see ``compile_decoder`` for parameters and errors.

    Notes
    -----
    Without ``count`` the samples must fill the frame to its last byte; with it, bytes after the last sample (a
    checksum) are ignored. NaN in a float field is a missing value, infinity is refused. Where all fields are
    plain float32 of this machine's byte order the values are a view of the payload: nothing is copied.

    Examples
    --------
    >>> fields = [{"name": axis, "type": "int16", "scale": 0.001, "unit": "g"} for axis in ("x", "y", "z")]
    >>> mapping = BinaryMapping(header=[{"name": "tick", "type": "uint16"}], fields=fields)
    >>> decoder = BinaryDecoder(mapping, ["ble/{device}/acceleration"], ["x", "y", "z"], 100.0)
    >>> (block,) = decoder.decode("ble/tile-1/acceleration", bytes.fromhex("e803 e803000018fc"))
    >>> block.values.tolist()
    [[1.0], [0.0], [-1.0]]
    """

    def __init__(
        self, mapping: BinaryMapping, topics: Sequence[str], channels: Sequence[str], sampling_rate_hz: float
    ) -> None:
        problems: list[str] = []
        self._topics = TopicLevels(topics, problems)
        if mapping.device is None:
            problems += device_problems(self._topics, "mapping.device (a header field)")
        problems += field_problems(mapping)
        problems += unmapped_channels(
            channels, [field.name for field in mapping.fields if field.name[:1] != "_"], "fields"
        )
        if problems:
            raise ConfigError("mapping", problems)

        self._magic = bytes.fromhex(mapping.magic)
        header, self._header_bytes = place_fields(mapping.header, mapping.endian, len(self._magic))
        fields, self._sample_bytes = place_fields(mapping.fields, mapping.endian, 0)
        self._is_by_rows = mapping.layout == "rows"
        in_header = {field.name: field for field in header}
        in_sample = {field.name: field for field in fields}
        self._count = None if mapping.count is None else in_header[mapping.count]
        self._device = None if mapping.device is None else in_header[mapping.device]
        self._time = mapping.time
        if mapping.time is not None:
            self._time_field = (in_sample if mapping.time.of == "each" else in_header)[mapping.time.field]
        self._rate_hz = mapping.sampling_rate_hz or sampling_rate_hz
        self._fields = [in_sample[channel] for channel in channels]
        self._names = list(channels)
        self._positions = tuple(range(len(channels)))
        self._are_neighbours = _are_neighbours(self._fields)
        self._are_always_finite = all(field.is_always_finite for field in self._fields)
        self.read_rows, self.read_burst = self._row_readers(sampling_rate_hz)

    def decode(self, topic: str, payload: bytes) -> list[Block]:
        """The block of a frame; none for a frame of no samples. Raises DecodeError and nothing else."""
        levels = self._topics.find(topic)
        n_samples = self._n_samples(payload)
        device = device_of(levels, topic) if self._device is None else str(self._device.whole(payload, 0))
        if n_samples == 0:
            return []
        values, positions = self._values(payload, n_samples), self._positions
        if not (self._are_always_finite or np.isfinite(values).all()):
            if np.isinf(values).any():
                raise DecodeError("not_finite", "payload: numbers that float32 can hold expected, got infinity")
            values, positions = channels_with_values(values, positions, self._names)
        rate_hz = self._rate_hz if n_samples > 1 else None
        if self._time is None:
            return [Block(device, positions, values, None, rate_hz)]
        field, unit_ns = self._time_field, UNIT_NS[self._time.unit]
        if self._time.of == "each":
            ticks = field.raw(payload, self._header_bytes, n_samples, self._sample_bytes)
            times_ns = ticks_to_ns(ticks, field.scale, field.offset, unit_ns)
            return [Block(device, positions, values, None, None, times_ns)]
        time_ns = tick_to_ns(field.number(payload, 0), field.scale, field.offset, unit_ns)
        first_ns = start_ns(time_ns, self._time.of, n_samples, self._rate_hz)
        return [Block(device, positions, values, first_ns, rate_hz)]

    def _row_readers(self, sampling_rate_hz: float) -> tuple[RowReader | None, BurstReader | None]:
        """Readers for mappings whose samples stand on the grid as they come; None for others."""
        has_own_times = self._time is not None and self._time.of == "each"
        if has_own_times or self._device is not None or self._count is not None or self._rate_hz != sampling_rate_hz:
            return None, None
        time = None
        if self._time is not None:
            time = FrameTime(self._time, self._time_field, UNIT_NS[self._time.unit], self._rate_hz)
        return read_frames(
            self._magic,
            self._header_bytes,
            self._sample_bytes,
            self._fields,
            self._values,
            time,
            is_by_rows=self._is_by_rows,
        )

    def _n_samples(self, payload: bytes) -> int:
        if not payload.startswith(self._magic):
            got = payload[: len(self._magic)].hex() or "nothing"
            raise DecodeError("bad_frame", f"magic: {self._magic.hex()} expected, got {got}")
        body_bytes = len(payload) - self._header_bytes
        if body_bytes < 0 or not payload:
            expected = max(self._header_bytes, 1)
            raise DecodeError("bad_frame", f"payload: at least {expected} bytes expected, got {len(payload)}")
        if self._count is None:
            n_samples, rest = divmod(body_bytes, self._sample_bytes)
            if rest:
                expected_text = f"whole samples of {self._sample_bytes} bytes expected"
                raise DecodeError("bad_frame", f"payload: {expected_text}, got {rest} bytes more")
            return n_samples
        n_samples = self._count.whole(payload, 0)
        if not 0 <= n_samples * self._sample_bytes <= body_bytes:
            fit = body_bytes // self._sample_bytes
            raise DecodeError("bad_frame", f"{self._count.name}: 0 to {fit} samples expected, got {shown(n_samples)}")
        return n_samples

    def _values(self, payload: bytes, n_samples: int) -> FloatArray:
        """Shape (n_channels, n_samples)."""
        first = self._fields[0]
        item_bytes = first.n_bytes
        start, stride = self._layout(first, n_samples)
        if self._are_neighbours:
            between = item_bytes if self._is_by_rows else item_bytes * n_samples
            shape = (len(self._fields), n_samples)
            raw: NDArray[Any] = np.ndarray(shape, first.dtype, payload, start, (between, stride))
            return first.scaled(raw)
        values = np.empty((len(self._fields), n_samples), np.float32)
        for row, field in zip(values, self._fields, strict=True):
            start, stride = self._layout(field, n_samples)
            raw = field.raw(payload, start - field.position, n_samples, stride)
            row[:] = field.scaled(raw)
            if field.not_available is not None:
                row[raw == field.not_available] = np.nan
        return values

    def _layout(self, field: FrameField, n_samples: int) -> tuple[int, int]:
        """Byte of the field's first value, and bytes from one value to the next."""
        if self._is_by_rows:
            return self._header_bytes + field.position, self._sample_bytes
        return self._header_bytes + field.position * n_samples, field.n_bytes


def _are_neighbours(fields: Sequence[FrameField]) -> bool:
    """Whether one strided view holds all fields: same type and scale, one behind the other."""
    first = fields[0]
    return all(
        field.position == first.position + index * first.n_bytes
        and field.not_available is None
        and field.n_bytes == first.dtype.itemsize
        and (field.dtype, field.scale, field.offset) == (first.dtype, first.scale, first.offset)
        for index, field in enumerate(fields)
    )
