"""The open stretch of one device on the grid, by policy: what was received, and the value of every grid point from it.

Stores with one interface. ``NearestStore`` (``signals.nearest``) keeps the value of each grid point. ``MarkStore``
keeps per cell ``(g - 1, g]`` the last sample (and for ``linear`` the first), from which the grid values are resolved
when a window closes: so neither the order of messages nor their size shows. Memory is bounded by the capacity that the
owner grants.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from signals.block import FloatArray, IntArray
from signals.grid import cells_of

Carry = tuple[tuple[int, float, float] | None, ...]
"""Per channel the last sample before the open stretch: cell, offset in (-1, 0], value. None = none yet."""


class Samples(NamedTuple):
    """Samples with their place on the grid.

    Attributes
    ----------
    channels : tuple of int
        Rows of the window that the rows of ``values`` belong to.
    whole, fraction : ndarray of shape (n_samples,)
        Position: whole grid points (int64) and the rest in [0, 1) (float64).
    values : ndarray of shape (len(channels), n_samples), float32
        NaN = no value.
    """

    channels: tuple[int, ...]
    whole: IntArray
    fraction: NDArray[np.float64]
    values: FloatArray

    def part(self, chosen: slice) -> Samples:
        """A stretch of them."""
        return Samples(self.channels, self.whole[chosen], self.fraction[chosen], self.values[:, chosen])


class Store(Protocol):
    """What a window is cut from. Points are absolute grid indices."""

    start: int

    def put(self, samples: Samples) -> tuple[int, int]:
        """Place samples; return how many values were new and how many stood there already."""
        ...

    def resolve(self, first: int, stop: int) -> FloatArray:
        """Values of grid points ``[first, stop)``, shape (n_channels, stop - first); NaN = missing. No view."""
        ...

    def may_be_whole(self, stop: int) -> bool:
        """Whether the values up to ``stop`` (not included) could all be there: a cheap look before resolving."""
        ...

    def drop_before(self, point: int) -> None:
        """Forget everything before ``point``."""
        ...

    def points(self, samples: Samples) -> IntArray:
        """The grid point (or cell) that each position belongs to."""
        ...

    def carry(self, point: int) -> Carry | None:
        """The last sample of each channel before ``point``, where the policy needs one."""
        ...


def _grown(array: FloatArray, used: int, capacity: int) -> FloatArray:
    bigger = np.full((array.shape[0], capacity), np.nan, dtype=np.float32)
    bigger[:, :used] = array[:, :used]
    return bigger


def _shift(array: FloatArray, by: int) -> None:
    size = array.shape[1]
    if by >= size:
        array.fill(np.nan)
        return
    array[:, : size - by] = array[:, by:]
    array[:, size - by :] = np.nan


def _merge(
    marks: tuple[FloatArray, FloatArray],
    target: tuple[NDArray[np.intp], ...],
    offered: tuple[FloatArray, FloatArray],
    *,
    later: bool,
) -> NDArray[np.bool_]:
    """Write the samples that win over what is marked; return which did.

    ``marks`` and ``offered`` are values and offsets. ``later``: the later one wins, else the earlier.
    """
    held = marks[1][target]
    wins = np.isnan(held) | ((offered[1] > held) if later else (offered[1] < held))
    marks[0][target] = np.where(wins, offered[0], marks[0][target])
    marks[1][target] = np.where(wins, offered[1], held)
    return wins


class MarkStore:
    """Policies ``linear`` and ``hold``: samples stay where they fell and become grid values when a window closes.

    Parameters
    ----------
    n_channels : int
    capacity : int
        Cells held at first; grows when needed.
    start : int
        First cell held.
    interpolate : bool
        True = ``linear``, False = ``hold``.
    max_age : float
        Grid points: how long a value stands (hold), or the longest gap that is bridged (linear).
    carried : Carry or None
        Last samples before ``start``, from an earlier run.
    """

    __slots__ = ("_before", "_first", "_first_at", "_interpolate", "_last", "_last_at", "_max_age", "start")

    def __init__(
        self,
        n_channels: int,
        capacity: int,
        start: int,
        *,
        interpolate: bool,
        max_age: float,
        carried: Carry | None = None,
    ) -> None:
        shape = (n_channels, capacity)
        self._last: FloatArray = np.full(shape, np.nan, dtype=np.float32)
        self._last_at: FloatArray = np.full(shape, np.nan, dtype=np.float32)
        self._first: FloatArray = np.full(shape if interpolate else (n_channels, 0), np.nan, dtype=np.float32)
        self._first_at: FloatArray = np.full_like(self._first, np.nan)
        self._before: list[tuple[int, float, float] | None] = list(carried) if carried else [None] * n_channels
        self._interpolate = interpolate
        self._max_age = max_age
        self.start = start

    def points(self, samples: Samples) -> IntArray:
        """The cell of each position: the first grid point at or after it."""
        return cells_of(samples.whole, samples.fraction)[0]

    def put(self, samples: Samples) -> tuple[int, int]:
        """Keep the last (and first) sample of each cell; an equal time that is there already counts as seen."""
        channels, values = samples.channels, samples.values
        cells, offsets = cells_of(samples.whole, samples.fraction)
        order = np.lexsort((offsets, cells))
        cells, at, values = cells[order], np.asarray(offsets[order], dtype=np.float32), values[:, order]
        self._reserve(int(cells[-1]) - self.start + 1)
        columns = cells - self.start
        holes = np.isnan(values)
        if not holes.any():
            return self._put_rows(np.array(channels), columns, at, values)
        new = seen = 0
        for row, channel in enumerate(channels):
            given = ~holes[row]
            if given.any():
                counts = self._put_rows(np.array([channel]), columns[given], at[given], values[row : row + 1, given])
                new, seen = new + counts[0], seen + counts[1]
        return new, seen

    def _put_rows(
        self, channels: NDArray[np.intp], columns: IntArray, at: FloatArray, values: FloatArray
    ) -> tuple[int, int]:
        """Merge samples in the order of time, without holes, into the marks of some channels."""
        n_given = len(columns)
        change = columns[1:] != columns[:-1]
        repeated = np.append(False, ~change & (at[1:] == at[:-1]))
        if repeated.any():  # the first to arrive stays, as if they came one by one
            columns, at, values = columns[~repeated], at[~repeated], values[:, ~repeated]
            change = columns[1:] != columns[:-1]
        final = np.append(change, True)
        target = np.ix_(channels, columns[final])
        wins = _merge((self._last, self._last_at), target, (values[:, final], at[final]), later=True)
        if self._interpolate:
            initial = np.append(True, change)
            target = np.ix_(channels, columns[initial])
            _merge((self._first, self._first_at), target, (values[:, initial], at[initial]), later=False)
        n_seen = int((~wins).sum()) + len(channels) * int(repeated.sum())
        return len(channels) * n_given - n_seen, n_seen

    @property
    def n_cells(self) -> int:
        """Cells that memory is held for."""
        return int(self._last.shape[1])

    def _reserve(self, columns: int) -> None:
        held = self._last.shape[1]
        if columns <= held:
            return
        capacity = max(columns, 2 * held)
        self._last, self._last_at = _grown(self._last, held, capacity), _grown(self._last_at, held, capacity)
        if self._interpolate:
            self._first, self._first_at = _grown(self._first, held, capacity), _grown(self._first_at, held, capacity)

    def resolve(self, first: int, stop: int) -> FloatArray:
        """Values of grid points ``[first, stop)``: held, or interpolated between the neighbours in time."""
        self._reserve(stop - self.start)
        here = slice(first - self.start, stop - self.start)
        size = self._last.shape[1]
        columns = np.arange(size)
        points = columns[here].astype(np.float64)
        marked = ~np.isnan(self._last)
        left = np.maximum.accumulate(np.where(marked, columns, -1), axis=1)[:, here]
        inside, left = left >= 0, np.maximum(left, 0)
        before_at, before_value = self._before_start()
        left_at = np.where(inside, left + np.take_along_axis(self._last_at, left, axis=1), before_at[:, None])
        left_value = np.where(inside, np.take_along_axis(self._last, left, axis=1), before_value[:, None])
        if not self._interpolate:
            return np.where(points - left_at <= self._max_age, left_value, np.nan).astype(np.float32)
        ahead = np.where(~np.isnan(self._first), columns, size)
        after = np.minimum.accumulate(ahead[:, ::-1], axis=1)[:, ::-1]
        after = np.append(after, np.full((len(after), 1), size), axis=1)[:, here.start + 1 : here.stop + 1]
        known, right = after < size, np.minimum(after, size - 1)
        right_at = np.where(known, right + np.take_along_axis(self._first_at, right, axis=1), np.inf)
        right_value = np.take_along_axis(self._first, right, axis=1).astype(np.float64)
        span = right_at - left_at
        bridged = known & (span <= self._max_age)
        share = np.where(bridged, (points - left_at) / np.where(bridged, span, 1.0), 0.0)
        between = left_value * (1.0 - share) + np.where(bridged, right_value, 0.0) * share
        return np.where(left_at == points, left_value, np.where(bridged, between, np.nan)).astype(np.float32)

    def _before_start(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Position (columns from the start) and value of each channel's last sample before the open stretch."""
        at = [-np.inf if mark is None else mark[0] - self.start + mark[1] for mark in self._before]
        return np.array(at), np.array([np.nan if mark is None else mark[2] for mark in self._before])

    def may_be_whole(self, stop: int) -> bool:
        """Linear: whether every channel has a sample at or after the last point. Hold: never before the deadline."""
        if not self._interpolate:
            return False
        return bool((~np.isnan(self._first[:, stop - 1 - self.start :])).any(axis=1).all())

    def drop_before(self, point: int) -> None:
        """Forget the cells before ``point``, but keep the last sample of each channel."""
        if point <= self.start:
            return
        self._before = list(self.carry(point))
        by = point - self.start
        for array in (self._last, self._last_at):
            _shift(array, by)
        if self._interpolate:
            for array in (self._first, self._first_at):
                _shift(array, by)
        self.start = point

    def carry(self, point: int) -> Carry:
        """The last sample of each channel before ``point``."""
        stop = max(0, point - self.start)
        found: list[tuple[int, float, float] | None] = []
        for channel, before in enumerate(self._before):
            marked = np.flatnonzero(~np.isnan(self._last[channel, :stop]))
            if len(marked):
                column = int(marked[-1])
                at, value = float(self._last_at[channel, column]), float(self._last[channel, column])
                found.append((self.start + column, at, value))
            else:
                found.append(before)
        return tuple(found)
