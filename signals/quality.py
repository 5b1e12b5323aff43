"""What of a window was there: gaps, stuck and clipped channels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from signals.block import FloatArray


def longest_gap(missing: NDArray[np.bool_]) -> int:
    """Longest run of missing grid points over the channels.

    Parameters
    ----------
    missing : ndarray of shape (n_channels, window_length), bool

    Examples
    --------
    >>> longest_gap(np.array([[False, True, True, False], [True, False, False, False]]))
    2
    """
    longest = 0
    for channel in missing:
        edges = np.flatnonzero(np.diff(np.concatenate(([0], channel.view(np.int8), [0]))))
        if len(edges):
            longest = max(longest, int((edges[1::2] - edges[::2]).max()))
    return longest


def presence(missing: NDArray[np.bool_], sampling_rate_hz: float) -> tuple[int, float, float]:
    """Grid points with a value in at least one channel, share of values that are there, longest gap in seconds.

    Parameters
    ----------
    missing : ndarray of shape (n_channels, window_length), bool
    sampling_rate_hz : float

    Examples
    --------
    >>> presence(np.array([[False, True, True, False], [True, False, True, False]]), 10.0)
    (3, 0.5, 0.2)
    """
    if not missing.any():
        return missing.shape[1], 1.0, 0.0
    n_samples = int((~missing.all(axis=0)).sum())
    return n_samples, float(1.0 - missing.mean()), longest_gap(missing) / sampling_rate_hz


def stuck_and_clipped(
    values: FloatArray,
    channels: tuple[str, ...],
    minimum: tuple[float | None, ...],
    maximum: tuple[float | None, ...],
    *,
    check_stuck: bool,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the channels that never moved, and of those that reached an end of their range.

    Parameters
    ----------
    values : ndarray of shape (n_channels, window_length), float32
        NaN = missing.
    channels : tuple of str
    minimum, maximum : tuple of float or None
        Range of each channel; empty or None = unknown, never clipped.
    check_stuck : bool
        False where a value is meant to stand (hold).

    Examples
    --------
    >>> stuck_and_clipped(
    ...     np.array([[1, 1, 1], [0, 5, 9]], dtype=np.float32), ("a", "b"), (None, 0.0), (None, 10.0), check_stuck=True
    ... )
    (('a',), ('b',))
    """
    low, high = np.fmin.reduce(values, axis=1), np.fmax.reduce(values, axis=1)
    stuck: tuple[str, ...] = ()
    if check_stuck and values.shape[1] > 1 and bool((low == high).any()):
        several = (~np.isnan(values)).sum(axis=1) > 1
        stuck = tuple(name for name, same, many in zip(channels, low == high, several, strict=True) if same and many)
    clipped = tuple(
        name
        for name, bottom, top, smallest, largest in zip(channels, minimum, maximum, low, high, strict=False)
        if (bottom is not None and smallest <= bottom) or (top is not None and largest >= top)
    )
    return stuck, clipped
