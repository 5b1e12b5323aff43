"""What follows from a window spec once and for all; shared by every device that is cut by it."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from signals.window import WindowSpec

_MAX_EXACT_HZ = 500_000.0
"""Up to this rate, whole seconds times the rate are exact in a double until the year 2262."""


@dataclass(frozen=True, slots=True)
class CutPlan:
    """Numbers that the cutting of a stream needs for every sample.

    Attributes
    ----------
    deadline : int
        Grid points that a window waits for what is missing after its end.
    span : int
        Bound of the open stretch in grid points.
    reach : int
        Grid points before a window that are wanted too, where windows stand apart.
    whole_rate : int
        The rate where it is a whole number, else 0.
    row_bytes : int
        Bytes of one grid point: float32, all channels.
    missing_row : bytes
        A grid point without values.
    has_range : bool
        Some channel has an end of its range, so that it can be clipped.
    """

    spec: WindowSpec
    n_channels: int
    all_channels: tuple[int, ...]
    length: int
    hop: int
    deadline: int
    span: int
    span_bytes: int
    reach: int
    rate: float
    whole_rate: int
    points_per_ns: float
    row_bytes: int
    window_bytes: int
    missing_row: bytes
    unpack_row: Callable[..., tuple[Any, ...]]
    is_nearest: bool
    has_range: bool


@lru_cache(maxsize=256)
def plan_of(spec: WindowSpec) -> CutPlan:
    """The plan of a spec; the same object for equal specs.

    Examples
    --------
    >>> plan_of(WindowSpec(("x", "y"), 50.0, window_length=128, hop_length=64, deadline_s=2.0)).span
    294
    """
    rate, n_channels = spec.sampling_rate_hz, len(spec.channels)
    deadline = math.ceil(spec.deadline_s * rate)
    span = spec.window_length + spec.hop_length + deadline + 2
    row = struct.Struct(f"={n_channels}f")
    return CutPlan(
        spec=spec,
        n_channels=n_channels,
        all_channels=tuple(range(n_channels)),
        length=spec.window_length,
        hop=spec.hop_length,
        deadline=deadline,
        span=span,
        span_bytes=span * row.size,
        reach=max(0, spec.hop_length - spec.window_length),
        rate=rate,
        whole_rate=int(rate) if rate.is_integer() and rate <= _MAX_EXACT_HZ else 0,
        points_per_ns=rate / 1_000_000_000,
        row_bytes=row.size,
        window_bytes=spec.window_length * row.size,
        missing_row=np.full(n_channels, np.nan, np.float32).tobytes(),
        unpack_row=row.unpack_from,
        is_nearest=spec.policy == "nearest",
        has_range=any(end is not None for end in (*spec.minimum, *spec.maximum)),
    )
