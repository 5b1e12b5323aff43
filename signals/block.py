"""What a decoder hands on: the samples of one device out of one message."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.errors import EdgeError

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]


class DecodeError(EdgeError):
    """A payload is not what the mapping expects; it becomes one counted refusal.

    Parameters
    ----------
    reason : str
        A slug of low cardinality, fit to be a counter label: ``not_json``, ``missing_field``, ``bad_time`` ...
    detail : str
        One line: where, what was expected, what came.
    """

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason}: {detail}")


class Block(NamedTuple):
    """Samples of one device out of one message.

    Attributes
    ----------
    device : str
        Name as it was sent.
    channels : tuple of int
        Positions in the model's channel order.
    values : ndarray of shape (len(channels), n_samples), float32
        NaN = no value.
    t0_ns : int or None
        Time of sample 0. None together with ``t_ns`` = None: the message carries no time.
    rate_hz : float or None
        Uniform rate inside the block; None with one sample or with ``t_ns``.
    t_ns : ndarray of shape (n_samples,), int64, or None
        One time a sample; wins over ``t0_ns``.
    """

    device: str
    channels: tuple[int, ...]
    values: FloatArray
    t0_ns: int | None = None
    rate_hz: float | None = None
    t_ns: IntArray | None = None
