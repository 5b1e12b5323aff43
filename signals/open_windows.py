"""The open windows of one device: which have a sample, and when each closes, in order (DESIGN section 3, rules 2 to 5).

Where samples go is :mod:`signals.windower`; here nothing is placed, only closed or passed over.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import eq

import numpy as np
from numpy.typing import NDArray

from signals.block import FloatArray
from signals.marks import MarkStore, Store
from signals.nearest import NearestStore
from signals.plan import CutPlan
from signals.quality import presence, stuck_and_clipped
from signals.window import Closed, ClosedWindow, SkippedWindows

_MAX_HELD_WINDOWS = 1000
"""At most this many windows in a row are filled from held values alone; then the stretch is declared as a gap."""

_FLOAT = np.dtype(np.float32)


class OpenWindows:
    """What is open of one device, on the grid of ``plan``; a base of the windower, which places the samples."""

    __slots__ = (
        "_check_at",
        "_first_point",
        "_gap_first",
        "_gap_reason",
        "_is_spent",
        "_newest",
        "_newest_clock_ns",
        "_next",
        "_plan",
        "_store",
        "_touched",
        "_whole_from",
        "is_flowing",
    )

    def __init__(self, plan: CutPlan) -> None:
        self._plan = plan
        self._store: NearestStore | MarkStore | None = None
        self._touched = 0  # bit i: window next + i has a sample
        self._next = self._first_point = self._newest = self._newest_clock_ns = 0
        self._gap_first: int | None = None
        self._gap_reason = "no_samples"
        self._is_spent = self.is_flowing = False
        # While samples flow without a hole: grid points at which closing must be looked at, and from which on every
        # value is known to be there.
        self._check_at = self._whole_from = 0

    @property
    def touched(self) -> list[int]:
        """Windows that are open and have at least one sample."""
        return [self._next + bit for bit in range(self._touched.bit_length()) if self._touched >> bit & 1]

    def flush(self) -> list[Closed]:
        """Close every touched window: the recording has ended."""
        out: list[Closed] = []
        while self._touched:
            last = self._next + self._touched.bit_length() - 1
            self._close(last * self._plan.hop + self._plan.length + self._plan.deadline, out, by_clock=False)
        self.is_flowing = False
        return out

    def _floor(self, index: int) -> int:
        """First grid point still wanted when ``index`` is next: before its start where windows stand apart."""
        return index * self._plan.hop - self._plan.reach

    def _opened(self) -> Store:
        if self._store is None:
            raise RuntimeError("DeviceWindows: push a block first")
        return self._store

    def _look_up(self) -> None:
        """Set the point at which a sample that flows in may close a window, after all that could close was closed.

        A window whose end has passed lacks something that only a late sample can bring; else it waits for its deadline.
        """
        plan = self._plan
        end = self._next * plan.hop + plan.length
        self._check_at = end - 1 if self._newest < end - 1 else end + plan.deadline

    def _close_flow(self) -> Sequence[Closed]:
        """Close the windows that the last sample completed, where all before it is known to be there."""
        out: list[Closed] = []
        plan, store, newest = self._plan, self._store, self._newest
        index, row_bytes = self._next, plan.row_bytes
        first = index * plan.hop
        if isinstance(store, NearestStore) and first >= self._whole_from:
            at = (first - store.start) * row_bytes
            while newest >= first + plan.length - 1 and self._touched & 1:
                chunk = store.rows[at : at + plan.window_bytes]
                values = np.ndarray((plan.n_channels, plan.length), _FLOAT, chunk, 0, (4, row_bytes))
                stuck: tuple[str, ...] = ()
                clipped: tuple[str, ...] = ()
                ends = map(eq, plan.unpack_row(chunk, 0), plan.unpack_row(chunk, plan.window_bytes - row_bytes))
                if plan.has_range or True in ends:  # what ends where it began may have stood still
                    stuck, clipped = self._stuck_and_clipped(values)
                if self._gap_first is not None:
                    self._declare_skipped(out)
                out.append(ClosedWindow(index, values, plan.length, 1.0, 0.0, stuck, clipped))
                self._touched >>= 1
                self._next = index = index + 1
                first += plan.hop
                at += plan.hop * row_bytes
            self._check_at = first + plan.length - 1
            store.drop_before(first - plan.reach)
        if self._newest >= self._check_at:
            self._close(self._newest, out, by_clock=False)
            self._look_up()
        if isinstance(store, NearestStore) and store.start > newest + 1:
            self.is_flowing = False
        return out

    def _close(self, newest: int, out: list[Closed], *, by_clock: bool, before: int | None = None) -> None:
        """Close in order what is complete or over its deadline when the device's time is ``newest`` (a grid point)."""
        store, plan = self._opened(), self._plan
        held = 0
        while before is None or self._next < before:
            stop = self._next * plan.hop + plan.length
            over = newest >= stop + plan.deadline
            touched = self._touched & 1
            if touched and (over or (newest >= stop - 1 and store.may_be_whole(stop))):
                values = store.resolve(stop - plan.length, stop)
                missing = np.isnan(values)
                # what would stand before the device's very first sample is not waited for
                if not over and missing[:, max(0, self._first_point - stop + plan.length) :].any():
                    break
                self._emit(values, missing, out)
            elif over and not touched:
                values = None
                if plan.spec.policy == "hold" and held < _MAX_HELD_WINDOWS:
                    values = store.resolve(stop - plan.length, stop)
                if values is not None and not np.isnan(values).all():
                    held += 1
                    self._emit(values, np.isnan(values), out)
                elif by_clock and not self._touched:
                    self._is_spent = values is not None
                    break  # a silent device leaves no evidence; the gap is declared when it speaks again
                else:
                    self._skip(newest, before)
            else:
                break

    def _skip(self, newest: int, before: int | None) -> None:
        """Pass over windows that nothing touched; they are declared with the next window that closes."""
        if self._gap_first is None:
            self._gap_first, self._gap_reason = self._next, "no_samples"
        plan = self._plan
        target = (newest - plan.deadline - plan.length) // plan.hop + 1  # first window that is not over
        if self._touched:
            target = min(target, self._next + (self._touched & -self._touched).bit_length() - 1)
        if before is not None:
            target = min(target, before)
        target = max(target, self._next + 1)
        self._touched >>= min(target - self._next, self._touched.bit_length())
        self._next = target
        self._opened().drop_before(self._floor(target))

    def _pass_window(self, out: list[Closed]) -> int:
        """The index of the next window, which closes now; what was skipped before it is declared."""
        index = self._next
        if self._gap_first is not None:
            self._declare_skipped(out)
        self._next = index + 1
        self._touched >>= 1
        self._opened().drop_before(self._floor(index + 1))
        return index

    def _declare_skipped(self, out: list[Closed]) -> None:
        """Say which windows before the next one nothing touched."""
        if self._gap_first is not None and self._gap_first < self._next:
            out.append(SkippedWindows(self._gap_first, self._next - 1, self._gap_reason))
        self._gap_first = None

    def _emit(self, values: FloatArray, missing: NDArray[np.bool_], out: list[Closed]) -> None:
        plan = self._plan
        stuck, clipped = self._stuck_and_clipped(values)
        index = self._pass_window(out)
        n_samples, present, longest_gap_s = presence(missing, plan.rate)
        carry = self._opened().carry(self._floor(self._next))
        out.append(ClosedWindow(index, values, n_samples, present, longest_gap_s, stuck, clipped, carry))

    def _stuck_and_clipped(self, values: FloatArray) -> tuple[tuple[str, ...], tuple[str, ...]]:
        spec = self._plan.spec
        return stuck_and_clipped(values, spec.channels, spec.minimum, spec.maximum, check_stuck=spec.policy != "hold")
