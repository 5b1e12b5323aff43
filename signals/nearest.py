"""Policy ``nearest``: a sample is the value of its nearest grid point; the first one to arrive stays.

The open stretch is one ``bytearray`` of float32, grid point after grid point, all channels of a point side by side.
The usual message (all channels, in order, at the nominal rate) is then one append of bytes, and letting a hop go costs
no copy: CPython moves the start of a bytearray instead of its content. What lies beyond the end is missing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from signals.block import FloatArray, IntArray
from signals.grid import nearest_points

if TYPE_CHECKING:
    from signals.marks import Carry, Samples
    from signals.plan import CutPlan

_FLOAT = np.dtype(np.float32)


class NearestStore:
    """The values of the grid points of one device from ``start`` on.

    Parameters
    ----------
    plan : CutPlan
    start : int
        First grid point held.

    Attributes
    ----------
    rows : bytearray
        float32, ``plan.row_bytes`` a grid point; NaN = missing. No array may keep a view of it: it grows and shrinks.
    """

    __slots__ = ("_plan", "rows", "start")

    def __init__(self, plan: CutPlan, start: int) -> None:
        self._plan = plan
        self.rows = bytearray()
        self.start = start

    @property
    def stop(self) -> int:
        """The grid point behind the last one held."""
        return self.start + len(self.rows) // self._plan.row_bytes

    def points(self, samples: Samples) -> IntArray:
        """The grid point nearest to each position."""
        return nearest_points(samples.whole, samples.fraction)

    def put(self, samples: Samples) -> tuple[int, int]:
        """Place samples at their nearest points. Points before ``start`` must have been taken out by the caller."""
        points = self.points(samples)
        channels, values = samples.channels, samples.values
        columns = points - self.start
        first, last, n = int(columns[0]), int(columns[-1]), len(columns)
        if last - first == n - 1 and (n < 3 or bool((columns[1:] - columns[:-1] == 1).all())):
            return self._put_run(channels, first, values)
        grid = self._grid(int(columns.max()) + 1)
        new = seen = 0
        for row, channel in enumerate(channels):
            given = ~np.isnan(values[row])
            column, value = columns[given], values[row][given]
            column, position = np.unique(column, return_index=True)  # first of equal points, as if they came one by one
            free = np.isnan(grid[column, channel])
            grid[column[free], channel] = value[position[free]]
            new += int(free.sum())
            seen += int(given.sum()) - int(free.sum())
        return new, seen

    def _put_run(self, channels: tuple[int, ...], column: int, values: FloatArray) -> tuple[int, int]:
        stop = column + values.shape[1]
        grid = self._grid(stop)
        new = given = 0
        for row, channel in enumerate(channels):
            line = grid[column:stop, channel]
            there = ~np.isnan(values[row])
            free = np.isnan(line) & there
            np.copyto(line, values[row], where=free)
            new += int(np.count_nonzero(free))
            given += int(np.count_nonzero(there))
        return new, given - new

    def _grid(self, n_points: int) -> FloatArray:
        """All points, at least so many, as a writable array (n_points, n_channels) that the caller must let go."""
        plan = self._plan
        short = n_points - len(self.rows) // plan.row_bytes
        if short > 0:
            self.rows += plan.missing_row * short
        return np.frombuffer(self.rows, _FLOAT).reshape(-1, plan.n_channels)

    def resolve(self, first: int, stop: int) -> FloatArray:
        """Values of grid points ``[first, stop)``, shape (n_channels, stop - first); NaN = missing."""
        row_bytes = self._plan.row_bytes
        chunk = self.rows[(first - self.start) * row_bytes : (stop - self.start) * row_bytes]
        short = stop - first - len(chunk) // row_bytes
        if short > 0:
            chunk += self._plan.missing_row * short
        return np.ndarray((self._plan.n_channels, stop - first), _FLOAT, chunk, 0, (_FLOAT.itemsize, row_bytes))

    def may_be_whole(self, stop: int) -> bool:
        """Whether the last grid point before ``stop`` is there."""
        at = (stop - 1 - self.start) * self._plan.row_bytes
        return at < len(self.rows) and not any(map(math.isnan, self._plan.unpack_row(self.rows, at)))

    def drop_before(self, point: int) -> None:
        """Forget everything before ``point``."""
        if point > self.start:
            del self.rows[: (point - self.start) * self._plan.row_bytes]
            self.start = point

    def carry(self, point: int) -> Carry | None:
        """None: a grid point needs no neighbour."""
        return None
