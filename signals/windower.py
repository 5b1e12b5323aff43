"""Windows of one device: samples in by time, closed windows out in order.

The rules of DESIGN section 3, kept here and nowhere else:

1. Window ``k`` covers grid points ``k * hop_length ... k * hop_length + window_length - 1``; the grid is anchored
   to the epoch.
2. Every window that at least one sample touches is closed exactly once, in the order of ``k``: when complete, or
   when the time of
   the device (moved on by the receipt clock while it is silent) has passed the window's end by ``deadline_s``.
3. A block is handled as if its samples came one by one: how the stream was cut into messages never shows.
4. Windows that nothing touched between two that were are declared as one range, never one by one.
5. Memory is bounded: the open stretch is at most one window, one hop and the deadline long.

Two ways lead in and give the same windows. ``push`` takes any block. ``extend`` takes rows of all channels at the
nominal rate, and while they follow each other without a hole they cost one append of bytes: nothing is looked at again
that is known to be whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from signals.block import Block, FloatArray, IntArray
from signals.doubt import LEAP_S, Doubt, patience_ns
from signals.grid import TIE_MARGIN, grid_position, grid_positions, nearest_point, uniform_positions
from signals.marks import Carry, MarkStore, Samples
from signals.nearest import NearestStore
from signals.open_windows import OpenWindows
from signals.plan import plan_of
from signals.steady import CountedTime
from signals.window import Closed, SampleCounts, SkippedWindows, WindowSpec

_NS = 1_000_000_000
_TIE = 0.5 - TIE_MARGIN
_FLOAT = np.dtype(np.float32)
_NOTHING: tuple[Closed, ...] = ()


class DeviceWindows(OpenWindows):
    """Cuts the stream of one device.

    Parameters
    ----------
    spec : WindowSpec
    closed_through : int or None
        Windows up to this index were labelled in an earlier run; None = nothing is known.
    carried : Carry or None
        What that run carried over (linear and hold).
    counts : SampleCounts or None
        Where placed, late and duplicate values are counted; one object may serve many devices.
    newly_touched : list of int or None
        Takes the windows that got their first sample; the owner takes them out. One list may serve many devices
        of one owner.

    Examples
    --------
    >>> spec = WindowSpec(("x",), sampling_rate_hz=1.0, window_length=2, hop_length=2)
    >>> device = DeviceWindows(spec)
    >>> block = Block("d", (0,), np.array([[1, 2, 3]], dtype=np.float32), t0_ns=0, rate_hz=1.0)
    >>> [(window.index, window.values.tolist()) for window in device.push(block, wall_ns=0, clock_ns=0)]
    [(0, [[1.0, 2.0]])]
    >>> [(window.index, window.present) for window in device.flush()]
    [(1, 0.5)]
    """

    __slots__ = (
        "_carried",
        "_closed_through",
        "_doubt",
        "_in_time",
        "_new_at",
        "_steady",
        "counts",
        "newly_touched",
    )

    def __init__(
        self,
        spec: WindowSpec,
        closed_through: int | None = None,
        carried: Carry | None = None,
        counts: SampleCounts | None = None,
        newly_touched: list[int] | None = None,
    ) -> None:
        super().__init__(plan_of(spec))
        self.counts = SampleCounts() if counts is None else counts
        self.newly_touched: list[int] = [] if newly_touched is None else newly_touched
        self._closed_through = closed_through
        self._carried = carried
        self._steady: CountedTime | None = None
        self._doubt: Doubt | None = None
        self._in_time = False
        self._new_at = 0  # while samples flow without a hole: grid point at which a new window begins

    @property
    def is_doubted(self) -> bool:
        """Whether the last samples were so late that their clock may have been set back: dropped, or declared soon."""
        return self._doubt is not None and self._in_time and self._doubt.is_far(self._plan, self._newest)

    def doubt_ends_ns(self) -> int:
        """The clock at which doubted samples are taken for late ones, if nothing else came."""
        since_ns = None if self._doubt is None else self._doubt.late_since_ns
        return (since_ns or 0) + patience_ns(self._plan, in_time=self._in_time)

    @property
    def nbytes(self) -> int:
        """Upper bound of the open stretch in bytes, for one array of values."""
        return self._plan.span_bytes

    @property
    def n_held(self) -> int:
        """Grid points (or cells) for which memory is held."""
        if isinstance(self._store, NearestStore):
            return len(self._store.rows) // self._plan.row_bytes
        return 0 if self._store is None else self._store.n_cells

    # ------------------------------------------------------------------ in

    def extend(self, t0_ns: int | None, rows: bytes, wall_ns: int, clock_ns: int) -> Sequence[Closed]:
        """Place samples of all channels at the nominal rate; return what closed. Equal to ``push`` of the same samples.

        Parameters
        ----------
        t0_ns : int or None
            Time of the first sample; None = the message carries no time.
        rows : bytes
            float32, sample after sample, finite, all channels in the order of the spec; at least one sample.
        wall_ns, clock_ns : int
            As in ``push``.
        """
        plan = self._plan
        n_bytes = len(rows)
        n_samples = 1 if n_bytes == plan.row_bytes else n_bytes // plan.row_bytes
        if t0_ns is None:
            t0_ns = self._time_without_time(wall_ns, n_samples, None)
        if self.is_flowing:
            if plan.whole_rate:  # nearest_point(*grid_position(t0_ns)), in whole numbers as far as they go
                seconds, rest = divmod(t0_ns, _NS)
                fraction = rest * plan.points_per_ns
                carry = int(fraction)
                point = seconds * plan.whole_rate + carry + (fraction - carry >= _TIE)
            else:
                point = nearest_point(*grid_position(t0_ns, plan.rate))
            store = self._store
            if point == self._newest + 1 and len(store.rows) + n_bytes <= plan.span_bytes:  # type: ignore[union-attr]  # flowing: a NearestStore
                store.rows += rows  # type: ignore[union-attr]  # as above
                self._newest = newest = self._newest + n_samples
                self._newest_clock_ns = clock_ns
                self.counts.placed += n_samples * plan.n_channels
                if newest >= self._new_at:
                    last = newest // plan.hop
                    for index in range(self._new_at // plan.hop, last + 1):  # new to this device: no look is needed
                        self._touched |= 1 << (index - self._next)
                        self.newly_touched.append(index)
                    self._new_at = (last + 1) * plan.hop
                return self._close_flow() if newest >= self._check_at else _NOTHING
        values = np.frombuffer(rows, _FLOAT).reshape(n_samples, plan.n_channels).T
        return self._place(plan.all_channels, values, *self._uniform(t0_ns, plan.rate, n_samples), clock_ns)

    def push(self, block: Block, *, wall_ns: int, clock_ns: int) -> list[Closed]:
        """Place the samples of a block; return what closed.

        Parameters
        ----------
        block : Block
        wall_ns : int
            Receipt time since the Unix epoch, for samples without a time of their own.
        clock_ns : int
            Receipt time on a monotonic clock, for deadlines.
        """
        values, n_samples = block.values, block.values.shape[1]
        holes = np.isnan(values)
        has_holes = bool(holes.any())
        if block.t_ns is not None:
            whole, fraction = grid_positions(block.t_ns, self._plan.rate)
        else:
            t0_ns = block.t0_ns
            if t0_ns is None:
                t0_ns = self._time_without_time(wall_ns, n_samples, block.rate_hz)
            rate_hz = block.rate_hz or self._plan.rate
            is_usual = rate_hz == self._plan.rate and not has_holes and block.channels == self._plan.all_channels
            if self.is_flowing and is_usual and n_samples:
                return list(self.extend(t0_ns, values.T.tobytes(), wall_ns, clock_ns))
            whole, fraction = self._uniform(t0_ns, rate_hz, n_samples)
        if has_holes:
            given = ~holes.all(axis=0)
            if not given.all():
                values, whole, fraction = values[:, given], whole[given], fraction[given]
        return self._place(block.channels, values, whole, fraction, clock_ns)

    def _place(
        self,
        channels: tuple[int, ...],
        values: FloatArray,
        whole: IntArray,
        fraction: NDArray[np.float64],
        clock_ns: int,
    ) -> list[Closed]:
        out: list[Closed] = []
        if not len(whole):
            return out
        samples = Samples(channels, whole, fraction, values)
        if self._store is None:
            self._begin(samples)
        breaks = np.flatnonzero(whole[1:] + fraction[1:] < whole[:-1] + fraction[:-1]) + 1 if len(whole) > 1 else ()
        if not len(breaks):
            self._push_run(samples, clock_ns, out)
        else:
            edges = [0, *breaks.tolist(), len(whole)]  # type: ignore[union-attr]  # an array, as it is not empty
            for first, stop in pairwise(edges):
                self._push_run(samples.part(slice(first, stop)), clock_ns, out)
        self._is_spent = False
        self._flow_again()
        return out

    def advance(self, clock_ns: int) -> list[Closed]:
        """Move the time of a silent device on; return the windows whose deadline has passed.

        Parameters
        ----------
        clock_ns : int
            Monotonic clock; never later than what is known to have been received (DESIGN section 3, the barrier).
        """
        out: list[Closed] = []
        if self._store is not None and clock_ns > self._newest_clock_ns:
            silent = (clock_ns - self._newest_clock_ns) * self._plan.rate / 1e9
            self._close(self._newest + int(silent), out, by_clock=True)
            self._flow_again()
        return out

    def due_ns(self) -> int | None:
        """The clock before which ``advance`` closes nothing; None = never, until the next sample."""
        if not self._touched and (self._store is None or self._plan.spec.policy != "hold" or self._is_spent):
            return None
        plan = self._plan
        lowest = self._next + ((self._touched & -self._touched).bit_length() - 1 if plan.is_nearest else 0)
        wait = lowest * plan.hop + plan.length + plan.deadline - self._newest
        return self._newest_clock_ns + int(wait * 1e9 / plan.rate)

    # ------------------------------------------------------------------ positions

    @staticmethod
    def _uniform_of_one(t0_ns: int, rate: float) -> tuple[IntArray, NDArray[np.float64]]:
        whole, fraction = grid_position(t0_ns, rate)
        return np.array([whole]), np.array([fraction])

    def _uniform(self, t0_ns: int, rate_hz: float, n_samples: int) -> tuple[IntArray, NDArray[np.float64]]:
        if n_samples == 1:
            return self._uniform_of_one(t0_ns, self._plan.rate)
        return uniform_positions(t0_ns, rate_hz, n_samples, self._plan.rate)

    def _time_without_time(self, wall_ns: int, n_samples: int, rate_hz: float | None) -> int:
        if not self._plan.is_nearest:
            return wall_ns
        if self._steady is None:
            self._steady = CountedTime(rate_hz or self._plan.rate)
        before = self._steady.reanchored
        t0_ns = self._steady.place(wall_ns, n_samples)
        self.counts.reanchored += self._steady.reanchored - before
        return t0_ns

    def _new_store(self, start: int, carried: Carry | None) -> NearestStore | MarkStore:
        plan, spec = self._plan, self._plan.spec
        if plan.is_nearest:
            return NearestStore(plan, start)
        return MarkStore(
            plan.n_channels,
            plan.length + plan.hop,
            start,
            interpolate=spec.policy == "linear",
            max_age=spec.max_age_s * plan.rate + 1e-6,
            carried=carried,
        )

    def _open(self, first: int, first_point: int, carried: Carry | None) -> None:
        self._store = self._new_store(self._floor(first), carried)
        self._first_point = first_point

    def _begin(self, samples: Samples) -> None:
        points = self._new_store(0, None).points(samples.part(slice(1)))
        first = self._first_window_of(int(points[0]))
        earlier = self._closed_through
        if earlier is not None and first > earlier + 1:
            self._gap_first, self._gap_reason = earlier + 1, "restart"
        elif earlier is not None:
            first = earlier + 1
        self._next = first
        self._newest = int(samples.whole[0])
        self._open(first, int(points[0]), self._carried)
        self._carried = None

    def _first_window_of(self, point: int) -> int:
        return -((self._plan.length - 1 - point) // self._plan.hop)

    # ------------------------------------------------------------------ placing

    def _flow_again(self) -> None:
        """Whether the next sample may take the short way, and where it must look up."""
        plan, store, newest = self._plan, self._store, self._newest
        self._whole_from = newest + 1
        self._new_at = (newest // plan.hop + 1) * plan.hop
        self.is_flowing = (
            isinstance(store, NearestStore)
            and self._in_time
            and (self._doubt is None or self._doubt.late_since_ns is None)
            and store.start <= newest + 1 == store.stop
        )
        self._look_up()

    def _push_run(self, samples: Samples, clock_ns: int, out: list[Closed]) -> None:
        """Place samples that rise in time, in pieces that fit the open stretch."""
        store, plan = self._opened(), self._plan
        points = store.points(samples)
        # with marks, the grid point of a cell lies ahead of its samples: time has only come as far as their whole part
        times = points if plan.is_nearest else samples.whole
        at, n = 0, len(points)
        while at < n:
            if points[at] < store.start:
                stop = int(np.searchsorted(points, store.start))
                if self._step_back(int(points[at]), int(times[at]), clock_ns, out):
                    store = self._opened()
                    continue
                self.counts.late += int((~np.isnan(samples.values[:, at:stop])).sum())
                at = stop
                continue
            if points[at] >= store.start + plan.span:
                # a jump: what is over closes first, so that the open stretch never grows beyond its span
                before = self._newest
                self._close(int(times[at]), out, by_clock=False, before=self._first_window_of(int(points[at])))
                if self._in_time and points[at] - before > LEAP_S * plan.rate:
                    self._doubted().leap, self._gap_reason = (before, int(points[at])), "clock_step"
                    self.counts.clock_steps += 1
            stop = at + int(np.searchsorted(points[at:], store.start + plan.span))
            if plan.spec.policy == "linear":
                stop = min(stop, at + self._step(times[at:]))
            new, seen = store.put(samples.part(slice(at, stop)))
            self.counts.placed += new
            self.counts.duplicate += seen
            self._touch(points[at:stop])
            self._in_time = True
            if self._doubt is not None:
                self._doubt.late_since_ns = None
            if times[stop - 1] >= self._newest:
                self._newest, self._newest_clock_ns = int(times[stop - 1]), clock_ns
            self._close(self._newest, out, by_clock=False)
            at = stop

    def _step(self, times: IntArray) -> int:
        """How many samples may be placed at once without a window seeing one that came after it could close.

        An interpolated value looks ahead: so samples go in up to the one that may complete the next window, then
        one by one.
        """
        end = self._next * self._plan.hop + self._plan.length - 1
        if times[0] <= self._newest or self._newest >= end:
            return 1
        return int(np.searchsorted(times, end)) + 1

    def _touch(self, points: IntArray) -> None:
        length, hop = self._plan.length, self._plan.hop
        first, last = int(points[0]), int(points[-1])
        if first == last or bool((points[1:] - points[:-1] <= length).all()):
            ranges = [(self._first_window_of(first), last // hop)]
        else:  # no window fits between two points that are at most a window apart; here some may
            pairs = np.stack([-((length - 1 - points) // hop), points // hop], axis=1)
            ranges = [(int(low), int(high)) for low, high in np.unique(pairs, axis=0)]
        for low, high in ranges:
            self._touch_range(low, high)

    def _touch_range(self, low: int, high: int) -> None:
        for index in range(max(low, self._next), high + 1):
            bit = 1 << (index - self._next)
            if not self._touched & bit:
                self._touched |= bit
                self.newly_touched.append(index)

    def _doubted(self) -> Doubt:
        if self._doubt is None:
            self._doubt = Doubt()
        return self._doubt

    def _step_back(self, point: int, time: int, clock_ns: int, out: list[Closed]) -> bool:
        """Whether the device was anchored anew: nothing but late samples has come for a while, or a leap was a lie."""
        doubt = self._doubted()
        lost = first = self._first_window_of(point)
        if doubt.is_back(self._plan, point, self._newest, clock_ns):
            doubt.returned_ns = clock_ns
        elif doubt.late_since_ns is None:
            doubt.late_since_ns, doubt.late_first = clock_ns, point
            return False
        elif clock_ns - doubt.late_since_ns < patience_ns(self._plan, in_time=self._in_time):
            return False
        else:
            lost = self._first_window_of(doubt.late_first)
        out.extend(self.flush())
        if lost < first:
            out.append(SkippedWindows(lost, first - 1, "clock_step"))
        self.counts.clock_steps += 1
        doubt.leap = doubt.late_since_ns = self._gap_first = None
        self._next, self._newest, self._newest_clock_ns = first, time, clock_ns
        self._open(first, point, None)
        return True
