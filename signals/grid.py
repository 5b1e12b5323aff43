"""Where a time falls on the epoch-anchored grid.

Grid point ``g`` stands at ``g / sampling_rate_hz`` seconds after the Unix epoch. Positions are kept as a whole
part (int64) and a fraction (float64), so that nanoseconds of the year 2200 do not eat the precision of a 50 kHz stream.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from signals.block import IntArray

_NS = 1_000_000_000

TIE_MARGIN = 1e-6
"""A position this close below a tie counts as the tie.

Times that stand exactly between two grid points (a device that samples
half a period off) must not flip with the last bit of a float."""


def grid_position(t_ns: int, sampling_rate_hz: float) -> tuple[int, float]:
    """Whole part and fraction in ``[0, 1)`` of the grid position of one time.

    Parameters
    ----------
    t_ns : int
        Nanoseconds since the Unix epoch.
    sampling_rate_hz : float
        Grid points a second.

    Examples
    --------
    >>> grid_position(1_500_000_000, 3.0)
    (4, 0.5)
    """
    seconds, rest = divmod(t_ns, _NS)
    whole = seconds * sampling_rate_hz
    base = int(whole // 1)
    fraction = (whole - base) + rest * (sampling_rate_hz / _NS)
    carry = int(fraction // 1)
    return base + carry, fraction - carry


def grid_positions(t_ns: IntArray, sampling_rate_hz: float) -> tuple[IntArray, NDArray[np.float64]]:
    """Whole parts (int64) and fractions in ``[0, 1)`` of many times; equal to :func:`grid_position` of each.

    Examples
    --------
    >>> whole, fraction = grid_positions(np.array([0, 1_500_000_000]), 3.0)
    >>> whole.tolist(), fraction.tolist()
    ([0, 4], [0.0, 0.5])
    """
    seconds, rest = np.divmod(t_ns, _NS)
    whole = seconds * sampling_rate_hz
    base = np.floor(whole)
    fraction = (whole - base) + rest * (sampling_rate_hz / _NS)
    carry = np.floor(fraction)
    return (base + carry).astype(np.int64), fraction - carry


def uniform_positions(
    t0_ns: int, rate_hz: float, n_samples: int, sampling_rate_hz: float
) -> tuple[IntArray, NDArray[np.float64]]:
    """Positions of ``n_samples`` samples at ``rate_hz`` from ``t0_ns`` on."""
    base, fraction = grid_position(t0_ns, sampling_rate_hz)
    offsets = fraction + np.arange(n_samples) * (sampling_rate_hz / rate_hz)
    whole = np.floor(offsets)
    return base + whole.astype(np.int64), offsets - whole


def nearest_point(whole: int, fraction: float) -> int:
    """The grid point nearest to a position; a tie goes up.

    Examples
    --------
    >>> nearest_point(4, 0.4), nearest_point(4, 0.5), nearest_point(4, 0.5 - 1e-9)
    (4, 5, 5)
    """
    return whole + (fraction >= 0.5 - TIE_MARGIN)


def nearest_points(whole: IntArray, fraction: NDArray[np.float64]) -> IntArray:
    """The grid points nearest to positions; ties go up."""
    return whole + (fraction >= 0.5 - TIE_MARGIN)


def cells_of(whole: IntArray, fraction: NDArray[np.float64]) -> tuple[IntArray, NDArray[np.float64]]:
    """The cell of each position and the offset in it.

    Cell ``g`` holds positions in ``(g - 1, g]``; offsets lie in ``(-1, 0]``.

    Examples
    --------
    >>> cell, offset = cells_of(np.array([4, 4]), np.array([0.0, 0.25]))
    >>> cell.tolist(), offset.tolist()
    ([4, 5], [0.0, -0.75])
    """
    above = fraction > TIE_MARGIN
    return whole + above, np.where(above, fraction - 1.0, 0.0)


def point_time_ns(point: int, sampling_rate_hz: float) -> int:
    """The time of a grid point in nanoseconds since the epoch, rounded to the nearest.

    Examples
    --------
    >>> point_time_ns(3, 2.0)
    1500000000
    """
    period_ns = _NS / sampling_rate_hz
    if abs(period_ns - round(period_ns)) < 1e-6 * min(
        1.0, period_ns
    ):  # 1/60 Hz is no binary fraction, one minute is exact
        return point * round(period_ns)
    numerator, denominator = sampling_rate_hz.as_integer_ratio()
    return (point * _NS * denominator * 2 + numerator) // (2 * numerator)
