"""Which windows are evidence of their own: resampling keeps people, devices and overlapping windows together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from signals import IntArray
from trainer.data import WindowedData, overlapping

_N_TIME_BLOCKS = 20
"""Blocks of consecutive windows that one single recording is taken apart into, at most."""

_LEAST_BLOCK = 8
"""Windows of such a block: its neighbours are lost to overlap, and must not be all of it."""


def resampling_units(data: WindowedData) -> tuple[IntArray, str]:
    """The unit of every window that stays whole, numbered from 0, and what such a unit is.

    A group (person, device) where there are several, else a recording, else a block of consecutive windows of the only
    recording; windows that share no samples stand for themselves.

    Examples
    --------
    >>> from trainer.data.examples import example_windows
    >>> units, kind = resampling_units(example_windows(n_recordings=4, windows_per_recording=3))
    >>> units.tolist(), kind
    ([0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3], 'device')
    """
    if data.group_key is not None and len(np.unique(data.groups)) > 1:
        own = np.where(data.groups >= 0, data.groups, data.groups.max() + 1 + data.recordings)
        return _renumbered(own), data.group_key
    if len(np.unique(data.recordings)) > 1:
        units = _renumbered(data.recordings)
        return units, "window" if len(np.unique(units)) == len(data) else "recording"
    order = np.argsort(data.starts, kind="stable")
    blocks = np.zeros(len(data), np.int64)
    n_blocks = max(min(2, len(data)), min(_N_TIME_BLOCKS, len(data) // _LEAST_BLOCK))
    for number, rows in enumerate(np.array_split(order, n_blocks)):
        blocks[rows] = number
    return blocks, "block of time"


def _renumbered(values: IntArray) -> IntArray:
    return np.unique(values, return_inverse=True)[1].reshape(-1).astype(np.int64)


def random_halves(
    data: WindowedData, units: IntArray, n_splits: int, generator: np.random.Generator
) -> Iterator[tuple[IntArray, IntArray]]:
    """Rows of two halves that share no unit and no sample, drawn anew each time; each half has a window at least.

    Yields nothing where there is one unit only.
    """
    n_units = int(units.max()) + 1
    if n_units < 2:
        return
    counts = np.bincount(units, minlength=n_units)
    for _ in range(n_splits):
        order = generator.permutation(n_units)
        # As near to half of the *windows* as whole units allow, with one unit on each side at least.
        cut = int(np.abs(np.cumsum(counts[order])[:-1] - len(data) / 2.0).argmin()) + 1
        in_first = np.isin(units, order[:cut])
        second = np.flatnonzero(~in_first & ~overlapping(data, in_first))
        if len(second):
            yield np.flatnonzero(in_first), second


def spaced_rows(data: WindowedData, at_most: int, generator: np.random.Generator) -> IntArray:
    """Sorted rows of windows that share no samples with each other, at most so many, drawn from all of them.

    Examples
    --------
    >>> from trainer.data.examples import example_windows
    >>> data = example_windows(n_recordings=1, windows_per_recording=5)  # hop = half a window
    >>> spaced_rows(data, 10, np.random.default_rng(0)).tolist()
    [0, 2, 4]
    """
    chosen: list[int] = []
    last_recording, last_start = None, 0
    for row in np.lexsort((data.starts, data.recordings)).tolist():
        recording, start = int(data.recordings[row]), int(data.starts[row])
        if recording != last_recording or start - last_start >= data.window_length:
            chosen.append(row)
            last_recording, last_start = recording, start
    rows = np.array(chosen, np.int64)
    if len(rows) > at_most:
        rows = generator.choice(rows, at_most, replace=False)
    return np.sort(rows)
