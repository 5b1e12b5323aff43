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
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from signals.block import Block, FloatArray, IntArray
from signals.grid import grid_position, grid_positions, nearest_point, uniform_positions
from signals.marks import Carry, MarkStore, NearestStore, Samples, Store
from signals.quality import longest_gap, stuck_and_clipped
from signals.steady import CountedTime
from signals.window import Closed, ClosedWindow, SampleCounts, SkippedWindows, WindowSpec

_MAX_HELD_WINDOWS = 1000
"""At most this many windows in a row are filled from held values alone; then the stretch is declared as a gap."""

CLOCK_STEP_S = 10.0
"""A device from which only late samples came for this long (receipt clock) has set its clock back; it starts anew."""


@dataclass(slots=True)
class DeviceWindows:
    """Cuts the stream of one device.

    Parameters
    ----------
    spec : WindowSpec
    closed_through : int or None
        Windows up to this index were labelled in an earlier run; None = nothing is known.
    carried : Carry or None
        What that run carried over (linear and hold).
    counts : SampleCounts
        Where placed, late and duplicate values are counted.

    Attributes
    ----------
    newly_touched : list of int
        Windows that got their first sample; the owner takes them out.

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

    spec: WindowSpec
    closed_through: int | None = None
    carried: Carry | None = None
    counts: SampleCounts = field(default_factory=SampleCounts)
    newly_touched: list[int] = field(default_factory=list)
    _store: Store | None = None
    _next: int = 0
    _gap_first: int | None = None
    _gap_reason: str = "no_samples"
    _touched: set[int] = field(default_factory=set)
    _newest: int = 0
    _newest_clock_ns: int = 0
    _steady: CountedTime | None = None
    _late_since_ns: int | None = None
    _late_first: int = 0
    _in_time: bool = False
    _deadline: int = 0
    _span: int = 0
    _first_point: int = 0
    _highest: int = 0
    _is_plain: bool = False

    def __post_init__(self) -> None:
        """Turn the deadline into grid points."""
        self._deadline = math.ceil(self.spec.deadline_s * self.spec.sampling_rate_hz)
        self._span = self.spec.window_length + self.spec.hop_length + self._deadline + 2

    @property
    def nbytes(self) -> int:
        """Upper bound of the open stretch in bytes, for one array of values."""
        return 4 * len(self.spec.channels) * self._span

    # ------------------------------------------------------------------ in

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
        values = block.values
        n_samples = values.shape[1]
        holes = bool(np.isnan(values).any())
        t0_ns = self._start(block, wall_ns) if block.t_ns is None else 0
        if self._is_plain and block.t_ns is None and not holes and (n_samples == 1 or self._is_nominal(block)):
            point = nearest_point(*grid_position(t0_ns, self.spec.sampling_rate_hz))
            if self._highest < point < self._opened().start + self._span - n_samples:
                return self._append(block.channels, point, values, clock_ns)
        whole, fraction = self._positions(block, t0_ns)
        if holes:
            given = ~np.isnan(values).all(axis=0)
            if not given.all():
                values, whole, fraction = values[:, given], whole[given], fraction[given]
        if not len(whole):
            return []
        out: list[Closed] = []
        samples = Samples(block.channels, whole, fraction, values)
        if self._store is None:
            self._begin(samples)
        breaks = np.flatnonzero(whole[1:] + fraction[1:] < whole[:-1] + fraction[:-1]) + 1
        if not len(breaks):
            self._push_run(samples, clock_ns, out)
        else:
            edges = [0, *breaks.tolist(), len(whole)]
            for first, stop in pairwise(edges):
                self._push_run(samples.part(slice(first, stop)), clock_ns, out)
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
            silent = (clock_ns - self._newest_clock_ns) * self.spec.sampling_rate_hz / 1e9
            self._close(self._newest + int(silent), out, by_clock=True)
        return out

    def flush(self) -> list[Closed]:
        """Close every touched window: the recording has ended."""
        out: list[Closed] = []
        while self._touched:
            last = max(self._touched)
            self._close(last * self.spec.hop_length + self.spec.window_length + self._deadline, out, by_clock=False)
        return out

    @property
    def touched(self) -> list[int]:
        """Windows that are open and have at least one sample."""
        return sorted(self._touched)

    # ------------------------------------------------------------------ positions

    def _start(self, block: Block, wall_ns: int) -> int:
        """The time of the first sample."""
        if block.t0_ns is not None:
            return block.t0_ns
        return self._time_without_time(wall_ns, block.values.shape[1], block.rate_hz)

    def _is_nominal(self, block: Block) -> bool:
        return block.rate_hz is None or block.rate_hz == self.spec.sampling_rate_hz

    def _positions(self, block: Block, t0_ns: int) -> tuple[IntArray, NDArray[np.float64]]:
        rate = self.spec.sampling_rate_hz
        if block.t_ns is not None:
            return grid_positions(block.t_ns, rate)
        return uniform_positions(t0_ns, block.rate_hz or rate, block.values.shape[1], rate)

    def _time_without_time(self, wall_ns: int, n_samples: int, rate_hz: float | None) -> int:
        if self.spec.policy != "nearest":
            return wall_ns
        if self._steady is None:
            self._steady = CountedTime(rate_hz or self.spec.sampling_rate_hz)
        before = self._steady.reanchored
        t0_ns = self._steady.place(wall_ns, n_samples)
        self.counts.reanchored += self._steady.reanchored - before
        return t0_ns

    def _new_store(self, start: int, carried: Carry | None) -> Store:
        spec = self.spec
        capacity = spec.window_length + spec.hop_length
        if spec.policy == "nearest":
            return NearestStore(len(spec.channels), capacity, start)
        return MarkStore(
            len(spec.channels),
            capacity,
            start,
            interpolate=spec.policy == "linear",
            max_age=spec.max_age_s * spec.sampling_rate_hz + 1e-6,
            carried=carried,
        )

    def _open(self, first: int, first_point: int, carried: Carry | None) -> None:
        self._store = self._new_store(self._floor(first), carried)
        self._first_point, self._highest = first_point, first_point - 1
        self._is_plain = self.spec.policy == "nearest"

    def _opened(self) -> Store:
        if self._store is None:
            raise RuntimeError("DeviceWindows: push a block first")
        return self._store

    def _begin(self, samples: Samples) -> None:
        points = self._new_store(0, None).points(samples.part(slice(1)))
        first = self._first_window_of(int(points[0]))
        if self.closed_through is not None and first > self.closed_through + 1:
            self._gap_first, self._gap_reason = self.closed_through + 1, "restart"
        elif self.closed_through is not None:
            first = self.closed_through + 1
        self._next = first
        self._newest = int(samples.whole[0])
        self._open(first, int(points[0]), self.carried)

    def _floor(self, index: int) -> int:
        """First grid point still wanted when ``index`` is next: before its start where windows stand apart."""
        return index * self.spec.hop_length - max(0, self.spec.hop_length - self.spec.window_length)

    def _first_window_of(self, point: int) -> int:
        return -((self.spec.window_length - 1 - point) // self.spec.hop_length)

    # ------------------------------------------------------------------ placing

    def _append(self, channels: tuple[int, ...], point: int, values: FloatArray, clock_ns: int) -> list[Closed]:
        """The usual case at the price of one index: a run at the nominal rate, beyond all that was placed so far."""
        store, hop = self._opened(), self.spec.hop_length
        store.append(channels, point, values)
        last, before = point + values.shape[1] - 1, self._highest
        first_new = before // hop + 1 if point == before + 1 else self._first_window_of(point)
        if last // hop >= first_new:
            self._touch_range(first_new, last // hop)
        self.counts.placed += values.size
        self._late_since_ns, self._in_time, self._highest = None, True, last
        out: list[Closed] = []
        if last >= self._newest:
            self._newest, self._newest_clock_ns = last, clock_ns
        if self._newest >= self._next * hop + self.spec.window_length - 1:
            self._close(self._newest, out, by_clock=False)
        return out

    def _push_run(
        self,
        samples: Samples,
        clock_ns: int,
        out: list[Closed],
    ) -> None:
        """Place samples that rise in time, in pieces that fit the open stretch."""
        store = self._opened()
        points = store.points(samples)
        # with marks, the grid point of a cell lies ahead of its samples: time has only come as far as their whole part
        times = points if self.spec.policy == "nearest" else samples.whole
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
            if points[at] >= store.start + self._span:
                # a jump: what is over closes first, so that the open stretch never grows beyond its span
                self._close(int(times[at]), out, by_clock=False, before=self._first_window_of(int(points[at])))
            stop = at + int(np.searchsorted(points[at:], store.start + self._span))
            if self.spec.policy == "linear":
                stop = min(stop, at + self._step(times[at:]))
            new, seen = store.put(samples.part(slice(at, stop)))
            self.counts.placed += new
            self.counts.duplicate += seen
            self._touch(points[at:stop])
            self._highest = max(self._highest, int(points[stop - 1]))
            self._late_since_ns, self._in_time = None, True
            if times[stop - 1] >= self._newest:
                self._newest, self._newest_clock_ns = int(times[stop - 1]), clock_ns
            self._close(self._newest, out, by_clock=False)
            at = stop

    def _step(self, times: IntArray) -> int:
        """How many samples may be placed at once without a window seeing one that came after it could close.

        An interpolated value looks ahead: so samples go in up to the one that may complete the next window, then
        one by one.
        """
        end = self._next * self.spec.hop_length + self.spec.window_length - 1
        if times[0] <= self._newest or self._newest >= end:
            return 1
        return int(np.searchsorted(times, end)) + 1

    def _touch(self, points: IntArray) -> None:
        length, hop = self.spec.window_length, self.spec.hop_length
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
            if index not in self._touched:
                self._touched.add(index)
                self.newly_touched.append(index)

    def _step_back(self, point: int, time: int, clock_ns: int, out: list[Closed]) -> bool:
        """Whether the device was anchored anew, because nothing but late samples has come for a while."""
        if self._late_since_ns is None:
            self._late_since_ns, self._late_first = clock_ns, point
            return False
        patience_s = max(CLOCK_STEP_S, self.spec.window_length / self.spec.sampling_rate_hz)
        if not self._in_time:
            patience_s *= 6  # after a restart the broker may deliver a long tail that was labelled before
        if clock_ns - self._late_since_ns < patience_s * 1e9:
            return False
        out.extend(self.flush())
        first, lost = self._first_window_of(point), self._first_window_of(self._late_first)
        if lost < first:
            out.append(SkippedWindows(lost, first - 1, "clock_step"))
        self.counts.clock_steps += 1
        self._next, self._gap_first, self._late_since_ns = first, None, None
        self._newest, self._newest_clock_ns = time, clock_ns
        self._open(first, point, None)
        return True

    # ------------------------------------------------------------------ closing

    def _close(self, newest: int, out: list[Closed], *, by_clock: bool, before: int | None = None) -> None:
        """Close in order what is complete or over its deadline when the device's time is ``newest`` (a grid point)."""
        store, spec = self._opened(), self.spec
        held = 0
        while before is None or self._next < before:
            stop = self._next * spec.hop_length + spec.window_length
            over = newest >= stop + self._deadline
            touched = self._next in self._touched
            if touched and (over or (newest >= stop - 1 and store.may_be_whole(stop))):
                values = store.resolve(stop - spec.window_length, stop)
                missing = np.isnan(values)
                # what would stand before the device's very first sample is not waited for
                if not over and missing[:, max(0, self._first_point - stop + spec.window_length) :].any():
                    break
                self._emit(values, missing, out)
            elif over and not touched:
                values = None
                if spec.policy == "hold" and held < _MAX_HELD_WINDOWS:
                    values = store.resolve(stop - spec.window_length, stop)
                if values is not None and not np.isnan(values).all():
                    held += 1
                    self._emit(values, np.isnan(values), out)
                elif by_clock and not self._touched:
                    break  # a silent device leaves no evidence; the gap is declared when it speaks again
                else:
                    self._skip(newest, before)
            else:
                break

    def _skip(self, newest: int, before: int | None) -> None:
        """Pass over windows that nothing touched; they are declared with the next window that closes."""
        if self._gap_first is None:
            self._gap_first, self._gap_reason = self._next, "no_samples"
        hop = self.spec.hop_length
        target = (newest - self._deadline - self.spec.window_length) // hop + 1  # first window that is not over
        if self._touched:
            target = min(target, *self._touched)
        if before is not None:
            target = min(target, before)
        self._next = max(target, self._next + 1)
        self._opened().drop_before(self._floor(self._next))

    def _emit(self, values: FloatArray, missing: NDArray[np.bool_], out: list[Closed]) -> None:
        index, spec = self._next, self.spec
        if self._gap_first is not None:
            if self._gap_first < index:
                out.append(SkippedWindows(self._gap_first, index - 1, self._gap_reason))
            self._gap_first = None
        whole = not missing.any()
        stuck, clipped = stuck_and_clipped(
            values, spec.channels, spec.minimum, spec.maximum, check_stuck=spec.policy != "hold"
        )
        self._next = index + 1
        self._touched.discard(index)
        self._opened().drop_before(self._floor(self._next))
        out.append(
            ClosedWindow(
                index=index,
                values=values,
                n_samples=spec.window_length if whole else int((~missing.all(axis=0)).sum()),
                present=1.0 if whole else float(1.0 - missing.mean()),
                longest_gap_s=0.0 if whole else longest_gap(missing) / spec.sampling_rate_hz,
                stuck=stuck,
                clipped=clipped,
                carry=self._opened().carry(self._floor(self._next)),
            )
        )
