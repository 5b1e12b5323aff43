"""JSON messages: one sample, columns or rows, told apart by the mapping and by what stands at its paths."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import numpy as np
import orjson

from schemas.errors import ConfigError
from schemas.mapping import JsonMapping
from signals.block import Block, DecodeError, FloatArray, IntArray
from signals.codecs.addressing import TopicLevels, device_of, device_problems, unmapped_channels
from signals.codecs.float32 import NOT_PACKABLE, channels_with_values, nothing_present, pack_columns
from signals.codecs.json_paths import RowPacker, Steps, compile_path, compile_pick, find
from signals.codecs.refusal import shown
from signals.codecs.rows import RowReader, TimeAt, read_json_rows, read_samples_or_columns
from signals.codecs.times import TimeReader, start_ns

_NOT_THE_USUAL = (struct.error, OverflowError, LookupError, TypeError)


class JsonDecoder:
    """Reads JSON messages of one pipeline; see ``compile_decoder`` for parameters and errors.

    Notes
    -----
    Parsing is orjson's: strict UTF-8 without byte order mark, no NaN or Infinity, at most 1024 levels; of a key
    that stands twice the last counts. With ``time.of = "each"`` and rows, the path leads to a time inside each
    row, or else to an array in the message. A mapping with a time refuses a message without one: placing it by
    receipt would mix two clocks in one window.

    Examples
    --------
    >>> mapping = JsonMapping(channels={"x": "[1]"}, samples="rows", time={"path": "[0]", "unit": "ms", "of": "each"})
    >>> decoder = JsonDecoder(mapping, ["{device}"], ["x"], 100.0)
    >>> (block,) = decoder.decode("a", b'{"rows": [[0, 1.5], [10, 2.5]]}')
    >>> block.t_ns.tolist(), block.values.tolist()
    ([0, 10000000], [[1.5, 2.5]])
    """

    def __init__(
        self, mapping: JsonMapping, topics: Sequence[str], channels: Sequence[str], sampling_rate_hz: float
    ) -> None:
        problems: list[str] = []

        def steps_of(text: str, where: str) -> Steps:
            try:
                return compile_path(text)
            except ValueError as error:
                problems.append(f"{where}: {error}")
                return ()

        self._topics = TopicLevels(topics, problems)
        self._device = None if mapping.device is None else steps_of(mapping.device, "device")
        if self._device is None:
            problems += device_problems(self._topics, "mapping.device (a path into the message)")
        paths = {name: steps_of(text, f"channels.{name}") for name, text in mapping.channels.items()}
        problems += unmapped_channels(channels, paths, "channels")
        self._rows = None if mapping.samples is None else steps_of(mapping.samples, "samples")
        self._time: TimeReader | None = None
        if mapping.time is not None:
            self._time_path = steps_of(mapping.time.path, "time.path")
            self._time_of = mapping.time.of
            self._time_leaf = itemgetter(self._time_path[0]) if len(self._time_path) == 1 else None
            try:
                self._time = TimeReader(mapping.time.unit, mapping.time.zone)
            except ValueError as error:
                problems.append(f"time.{error}")
        if problems:
            raise ConfigError("mapping", problems)

        wanted = [paths[channel] for channel in channels]
        self._names = [mapping.channels[channel] for channel in channels]
        self._positions = tuple(range(len(channels)))
        self._rate_hz = mapping.sampling_rate_hz or sampling_rate_hz
        self._pick = compile_pick(wanted)
        self._pack = struct.Struct(f"={len(channels)}f").pack
        self._packer = RowPacker(wanted)
        self.read_rows = self._row_reader(mapping, wanted, sampling_rate_hz)

    def _row_reader(self, mapping: JsonMapping, wanted: list[Steps], sampling_rate_hz: float) -> RowReader | None:
        """A reader for mappings whose samples stand on the grid as they come; None for others."""
        time = None
        if self._time is not None and mapping.time is not None:
            time = TimeAt(self._time, mapping.time.unit, self._time_path, self._time_of, self._rate_hz)
        has_own_times = mapping.time is not None and mapping.time.of == "each"
        if has_own_times or self._device is not None or self._rate_hz != sampling_rate_hz:
            return None
        return read_samples_or_columns(wanted, time) if self._rows is None else read_json_rows(self._rows, wanted, time)

    def decode(self, topic: str, payload: bytes) -> list[Block]:
        """The block of a message; none for an empty batch. Raises DecodeError and nothing else."""
        levels = self._topics.find(topic)
        try:
            document = orjson.loads(payload)
        except orjson.JSONDecodeError as error:
            raise DecodeError("not_json", f"payload: JSON expected, got {len(payload)} bytes: {error}") from error
        device = device_of(levels, topic) if self._device is None else _device_in(document, self._device)
        if self._rows is not None:
            return self._decode_rows(device, document, self._rows)
        found = self._pick(document)
        try:
            raw = self._pack(*found)
        except NOT_PACKABLE:
            return self._decode_columns(device, document, found)
        values = np.ndarray((len(found), 1), np.float32, raw)
        if self._time is None:
            return [Block(device, self._positions, values)]
        return [Block(device, self._positions, values, self._time.one(find(document, self._time_path)))]

    def _decode_columns(self, device: str, document: object, found: list[Any]) -> list[Block]:
        """Anything but one complete sample: columns, or a sample with channels missing."""
        present = [index for index, value in enumerate(found) if value is not None]
        if not present:
            raise nothing_present(self._names)
        names = [self._names[index] for index in present]
        columns = [found[index] for index in present]
        if not any(isinstance(column, list) for column in columns):
            columns = [[value] for value in columns]
        for name, column in zip(names, columns, strict=True):
            if not isinstance(column, list):
                raise DecodeError(
                    "bad_shape", f"{name}: an array as in the other channels expected, got {shown(column)}"
                )
        lengths = {len(column) for column in columns}
        if len(lengths) != 1:
            raise DecodeError("bad_shape", f"channels: arrays of one length expected, got {sorted(lengths)[:4]}")
        if lengths == {0}:
            return []
        values, positions = channels_with_values(pack_columns(columns, names), tuple(present), names)
        return [self._block(device, document, positions, values, None)]

    def _decode_rows(self, device: str, document: object, steps: Steps) -> list[Block]:
        rows = find(document, steps)
        if rows is None:
            raise DecodeError("missing_field", "samples: an array of rows expected, got nothing")
        if not isinstance(rows, list):
            raise DecodeError("bad_shape", f"samples: an array of rows expected, got {shown(rows)}")
        if not rows:
            return []
        positions = self._positions
        try:
            raw = self._packer.pack(rows)
        except _NOT_THE_USUAL:
            values, positions = self._rows_with_gaps(rows)
        else:
            values = np.ndarray((len(rows), len(positions)), np.float32, raw).T
        return [self._block(device, document, positions, values, rows)]

    def _rows_with_gaps(self, rows: list[Any]) -> tuple[FloatArray, tuple[int, ...]]:
        packer = self._packer
        for index, row in enumerate(rows):
            if not isinstance(row, packer.kinds):
                raise DecodeError(
                    "bad_shape", f"samples[{index}]: an array or object, as in the mapping, expected, got {shown(row)}"
                )
        if packer.are_arrays and len(widths := {len(row) for row in rows}) != 1:
            raise DecodeError("bad_shape", f"samples: rows of one length expected, got {sorted(widths)[:4]}")
        return channels_with_values(pack_columns(packer.columns(rows), self._names), self._positions, self._names)

    def _block(
        self, device: str, document: object, positions: tuple[int, ...], values: FloatArray, rows: list[Any] | None
    ) -> Block:
        n_samples = values.shape[1]
        rate_hz = self._rate_hz if n_samples > 1 else None
        if self._time is None:
            return Block(device, positions, values, None, rate_hz)
        if self._time_of == "each":
            return Block(device, positions, values, None, None, self._times(self._time, document, rows, n_samples))
        time_ns = self._time.one(find(document, self._time_path))
        return Block(device, positions, values, start_ns(time_ns, self._time_of, n_samples, self._rate_hz), rate_hz)

    def _pick_times(self, rows: list[Any]) -> list[Any]:
        if self._time_leaf is not None:
            try:
                return list(map(self._time_leaf, rows))
            except (LookupError, TypeError):
                pass  # some row has none: look at each
        return [find(row, self._time_path) for row in rows]

    def _times(self, reader: TimeReader, document: object, rows: list[Any] | None, n_samples: int) -> IntArray:
        path = self._time_path
        if rows is not None:
            inside = self._pick_times(rows)
            if inside[0] is not None or any(value is not None for value in inside):
                return reader.many(inside)
        found = find(document, path)
        if not isinstance(found, list):
            # One sample that is no batch carries its one time as it is.
            if rows is None and n_samples == 1:
                return reader.many([found])
            raise DecodeError("bad_time", f"time: one time a sample expected, got {shown(found)}")
        if len(found) != n_samples:
            raise DecodeError("bad_shape", f"time: {n_samples} times expected, got {len(found)}")
        return reader.many(found)


def _device_in(document: object, path: Steps) -> str:
    name = find(document, path)
    if isinstance(name, str) and name.strip():
        return name
    if isinstance(name, int) and not isinstance(name, bool):
        return str(name)
    raise DecodeError("bad_device", f"device: a non-empty text or a whole number expected, got {shown(name)}")
