"""The usual message at the price of what must be done: rows of all channels, complete, at the nominal rate.

A decoder may offer a reader beside ``decode``. It is compiled for one mapping, gives the samples as the bytes that the
windows keep, and says None to anything that is not the usual message: that is then decoded with every check and every
refusal. So a reader decides nothing: what it gives is what ``decode`` would give.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
import orjson

from signals.block import DecodeError
from signals.codecs.json_paths import RowPacker, Steps, compile_pick
from signals.codecs.times import MAX_NS, UNIT_NS, TimeReader, start_ns

Rows = tuple[int | None, bytes]
"""Time of the first sample in ns (None = the message has none), and float32 rows: sample after sample, all channels."""

RowReader = Callable[[bytes], Rows | None]
"""From a payload to its rows; None where the message is not the usual one. Raises nothing on any bytes."""

BurstReader = Callable[[Sequence[bytes]], Sequence[Rows] | None]
"""From the payloads of one read to the rows of each; None where not all are usual messages of one length."""

Document = Any
"""What a JSON parser gives."""

_FLOAT = np.dtype(np.float32)
_MAX_LAYOUTS = 64
_NOT_THE_USUAL = (orjson.JSONDecodeError, struct.error, OverflowError, LookupError, TypeError, DecodeError)


class TimeAt:
    """Reads the one time of a message that stands at a path.

    Parameters
    ----------
    reader : TimeReader
    unit : str
        Of the mapping.
    steps : Steps
    of : {"first", "last"}
    rate_hz : float
        Rate inside a batch.
    """

    def __init__(self, reader: TimeReader, unit: str, steps: Steps, of: str, rate_hz: float) -> None:
        self.leaf = steps[0] if len(steps) == 1 else None
        self.get = self._walker(steps)
        self.unit_ns = UNIT_NS.get(unit, 0)
        self.most = MAX_NS // self.unit_ns if self.unit_ns else -1
        self._reader, self._of, self._rate_hz = reader, of, rate_hz

    @staticmethod
    def _walker(steps: Steps) -> Callable[[Any], Any]:
        if len(steps) == 1:
            return itemgetter(steps[0])

        def walk(document: Document) -> Document:
            for step in steps:
                document = document[step]
            return document

        return walk

    def first_ns(self, document: Document, n_samples: int) -> int:
        """The time of the first sample; raises DecodeError, LookupError or TypeError where there is none."""
        ticks = self.get(document)
        time_ns = ticks * self.unit_ns if type(ticks) is int and 0 <= ticks <= self.most else self._reader.one(ticks)
        return time_ns if n_samples == 1 else start_ns(time_ns, self._of, n_samples, self._rate_hz)


def read_samples_or_columns(  # noqa: C901 - one straight way, without a call
    paths: Sequence[Steps], time: TimeAt | None
) -> RowReader:
    """Reader of JSON messages that hold one sample, or one array a channel.

    Parameters
    ----------
    paths : sequence of Steps
        Where each channel of the model stands.
    time : TimeAt or None
    """
    n_channels = len(paths)
    get = _getter(paths)
    pack = struct.Struct(f"={n_channels}f").pack
    packs: dict[int, Callable[..., bytes]] = {}
    loads = orjson.loads
    # The clock of most messages is a whole number beside the values: read without a call.
    leaf, unit_ns, most = (None, 0, -1) if time is None else (time.leaf, time.unit_ns, time.most)

    def read(payload: bytes) -> Rows | None:
        try:
            document = loads(payload)
            found = get(document)
            if type(found[0]) is list:
                return columns(document, found)
            rows = pack(*found)
            if leaf is not None:
                ticks = document[leaf]
                if type(ticks) is int and 0 <= ticks <= most:
                    return ticks * unit_ns, rows
            return None if time is None else time.first_ns(document, 1), rows
        except _NOT_THE_USUAL:
            return None

    def columns(document: Document, found: Sequence[Any]) -> Rows | None:
        n_samples = len(found[0])
        flat: list[Any] = []
        for column in found:
            if type(column) is not list or len(column) != n_samples:
                return None
            flat += column
        if not n_samples:
            return None
        pack_all = packs.get(n_samples)
        if pack_all is None:
            if len(packs) >= _MAX_LAYOUTS:
                packs.clear()
            pack_all = packs[n_samples] = struct.Struct(f"={n_channels * n_samples}f").pack
        raw = pack_all(*flat)
        if n_channels > 1:
            raw = np.ndarray((n_samples, n_channels), _FLOAT, raw, 0, (4, 4 * n_samples)).tobytes()
        return None if time is None else time.first_ns(document, n_samples), raw

    return read


def read_json_rows(samples: Steps, paths: Sequence[Steps], time: TimeAt | None) -> RowReader:
    """Reader of JSON messages that hold an array of rows.

    Parameters
    ----------
    samples : Steps
        Where the array stands.
    paths : sequence of Steps
        Where each channel stands inside a row.
    time : TimeAt or None
        Of the message as a whole.
    """
    packer = RowPacker(paths)
    loads = orjson.loads

    def read(payload: bytes) -> Rows | None:
        try:
            document = rows = loads(payload)
            for step in samples:
                rows = rows[step]
            if type(rows) is not list or not rows:
                return None
            raw = packer.pack(rows)
            return None if time is None else time.first_ns(document, len(rows)), raw
        except _NOT_THE_USUAL:
            return None

    return read


def _getter(paths: Sequence[Steps]) -> Callable[[Any], Sequence[Any]]:
    """What stands at every path, as a sequence; raises LookupError or TypeError, or gives None, where nothing does."""
    leaves = [steps[-1] for steps in paths if steps]
    if len(leaves) != len(paths) or len({steps[:-1] for steps in paths}) != 1:
        return compile_pick(paths)
    parent = paths[0][:-1]
    if len(leaves) == 1:
        leaf = leaves[0]

        def get_one(document: Document) -> Sequence[Any]:
            for step in parent:
                document = document[step]
            return (document[leaf],)

        return get_one
    get = itemgetter(*leaves)
    if not parent:
        return get

    def get_below(document: Document) -> Sequence[Any]:
        for step in parent:
            document = document[step]
        return get(document)  # type: ignore[no-any-return]  # itemgetter of several keys gives a tuple

    return get_below
