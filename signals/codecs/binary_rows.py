"""Frames of the usual kind at the price of two looks: one at the header, one for what is not finite."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from signals.block import DecodeError, FloatArray
from signals.codecs.binary_fields import FrameField
from signals.codecs.rows import BurstReader, RowReader, Rows
from signals.codecs.times import MAX_NS, start_ns, tick_to_ns

if TYPE_CHECKING:
    from schemas.mapping import BinaryTime

_FLOAT = np.dtype(np.float32)
_FALSE = b"\0"
_LEAST_HZ = 0.1


class FrameTime:
    """Reads the time of a frame's first sample out of its header.

    Parameters
    ----------
    time : BinaryTime
    field : FrameField
        Of the header.
    unit_ns : int
    rate_hz : float
        Rate inside a frame.
    """

    def __init__(self, time: BinaryTime, field: FrameField, unit_ns: int, rate_hz: float) -> None:
        self._of, self._field, self._unit_ns, self._rate_hz = time.of, field, unit_ns, rate_hz
        factor, shift = field.scale * unit_ns, field.offset * unit_ns
        is_plain = field.dtype.kind != "f" and field.n_bytes != 3 and factor.is_integer() and shift.is_integer()
        self.factor, self.shift = (int(factor), int(shift)) if is_plain else (0, 0)
        order = ">" if field.is_big_endian else "<"
        sizes = {1: "b", 2: "h", 4: "i", 8: "q"}
        letter = sizes[field.n_bytes] if is_plain else "b"
        self.unpack = struct.Struct(order + (letter if field.is_signed else letter.upper())).unpack_from
        self.dtype = np.dtype(f"{order}{'i' if field.is_signed else 'u'}{field.n_bytes if is_plain else 1}")
        self.position = field.position
        # up to here a batch ends far from the end of time, however large the payload
        self.most = MAX_NS // 2 if time.of == "first" and rate_hz >= _LEAST_HZ else -1

    def first_ns(self, payload: bytes, n_samples: int) -> int:
        """Nanoseconds since the epoch. The header is there.

        Raises
        ------
        DecodeError
            ``bad_time``.
        """
        field = self._field
        tick = tick_to_ns(field.number(payload, 0), field.scale, field.offset, self._unit_ns)
        return start_ns(tick, self._of, n_samples, self._rate_hz)


def read_frames(  # noqa: PLR0917 - what a frame is made of
    magic: bytes,
    header_bytes: int,
    sample_bytes: int,
    fields: Sequence[FrameField],
    values_of: Callable[[bytes, int], FloatArray],
    time: FrameTime | None,
    *,
    is_by_rows: bool,
) -> tuple[RowReader, BurstReader | None]:
    """Readers of frames whose samples fill them to the last byte: of one, and of many at once.

    Parameters
    ----------
    magic : bytes
    header_bytes, sample_bytes : int
    fields : sequence of FrameField
        The channels of the model, in its order.
    values_of : callable
        ``(payload, n_samples)`` to float32 of shape (n_channels, n_samples): for frames that must be converted.
    time : FrameTime or None
    is_by_rows : bool
        Layout of the frame.
    """
    # float32 of this byte order, nothing else in a sample, in the order of the model: the rows as they are
    is_ready = (
        is_by_rows
        and sample_bytes == 4 * len(fields)
        and all(
            (field.position, field.dtype, field.is_scaled, field.not_available) == (4 * index, _FLOAT, False, None)
            for index, field in enumerate(fields)
        )
    )
    are_always_finite = all(field.is_always_finite for field in fields)

    # The clock of most frames is a whole number of the header: read without a call.
    unpack, position, factor, shift, most = (None, 0, 0, 0, -1)
    if time is not None and time.factor:
        unpack, position, factor, shift, most = time.unpack, time.position, time.factor, time.shift, time.most

    def read(payload: bytes) -> Rows | None:
        n_samples, rest = divmod(len(payload) - header_bytes, sample_bytes)
        if rest or n_samples < 1 or not payload.startswith(magic):
            return None
        if is_ready:
            values = np.frombuffer(payload, _FLOAT, -1, header_bytes)
            if _FALSE in np.isfinite(values).tobytes():  # a search in bytes takes half the time of ``all``
                return None
            rows = payload[header_bytes:]
        else:
            converted = values_of(payload, n_samples)
            if not (are_always_finite or np.isfinite(converted).all()):
                return None
            rows = converted.T.tobytes()
        if time is None:
            return None, rows
        if unpack is not None:
            time_ns = unpack(payload, position)[0] * factor + shift
            if 0 <= time_ns <= most:
                return time_ns, rows
        try:
            return time.first_ns(payload, n_samples), rows
        except DecodeError:
            return None

    if not is_ready or (time is not None and unpack is None):
        return read, None
    return read, _burst_reader(magic, header_bytes, sample_bytes, time)


def _burst_reader(magic: bytes, header_bytes: int, sample_bytes: int, time: FrameTime | None) -> BurstReader:
    """Reader of many frames of one length that hold the rows as they are: they are checked as one array."""

    def read_burst(payloads: Sequence[bytes]) -> Sequence[Rows] | None:
        n_bytes, n_frames = len(payloads[0]), len(payloads)
        n_samples, rest = divmod(n_bytes - header_bytes, sample_bytes)
        if rest or n_samples < 1 or set(map(len, payloads)) != {n_bytes}:
            return None
        if magic and not all(payload.startswith(magic) for payload in payloads):
            return None
        content = b"".join(payloads)
        values = np.ndarray((n_frames, n_samples * sample_bytes // 4), _FLOAT, content, header_bytes, (n_bytes, 4))
        if not np.isfinite(values).all():
            return None
        times_ns: Sequence[int | None] = (None,) * n_frames
        if time is not None:
            ticks: list[int] = np.ndarray(n_frames, time.dtype, content, time.position, (n_bytes,)).tolist()
            times_ns = found = [tick * time.factor + time.shift for tick in ticks]
            if min(found) < 0 or max(found) > time.most:
                return None
        return [(time_ns, payload[header_bytes:]) for time_ns, payload in zip(times_ns, payloads, strict=True)]

    return read_burst
