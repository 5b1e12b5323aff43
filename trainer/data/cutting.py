"""From a source to `WindowedData`: streams are cut by `signals.cut`, as on the gateway, and labelled by majority."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from schemas import ContractError
from signals import ClosedWindow, IntArray, Recording, cut, recordings_from_stream, recordings_from_windows
from signals.grid import grid_positions, nearest_points
from trainer.data.plan import CutPlan
from trainer.data.source import Source
from trainer.data.windowed import UNLABELLED, WindowedData
from trainer.errors import DatasetError

LEAST_LABELLED = 0.5
"""Least share of labelled samples in a labelled window: one label at the edge does not speak for a whole window."""


@dataclass(slots=True)
class _Drops:
    """Every window that was dropped, by reason."""

    incomplete: int = 0
    unlabelled: int = 0
    mixed: int = 0

    def remarks(self, n_kept: int, plan: CutPlan) -> tuple[str, ...]:
        share = plan.spec(()).min_present
        reasons = (
            (self.incomplete, f"incomplete: below {share:.0%} of values present"),
            (self.unlabelled, f"unlabelled: below {LEAST_LABELLED:.0%} of samples labelled"),
            (self.mixed, f"mixed: no label has {plan.min_purity:.0%} of the labelled samples"),
        )
        lines = [f"{count} windows dropped, {why}" for count, why in reasons if count]
        return (f"{n_kept} windows cut from the recordings", *lines)


def cut_source(
    source: Source, plan: CutPlan, channels: Sequence[str] | None = None
) -> tuple[WindowedData, tuple[str, ...]]:
    """The windows of a source with their labels, and what there is to say about the cutting.

    Parameters
    ----------
    source : Source
    plan : CutPlan
    channels : sequence of str or None
        Channels to take, matched by name, in this order; None = all of the file.

    Raises
    ------
    DatasetError
        If channels are missing, windows have another length, or nothing is left.
    """
    names = tuple(channels) if channels is not None else source.channels
    missing = [name for name in names if name not in source.channels]
    if missing:
        raise DatasetError(f"{source.path}: channels: {', '.join(missing)} expected, got {', '.join(source.channels)}")
    order = [source.channels.index(name) for name in names]
    units = tuple(source.units[index] for index in order)
    if source.kind == "windows":
        return _take_windows(source, plan, names, units, order)
    return _cut_stream(source, plan, names, units)


def _column(source: Source, key: str, n_rows: int) -> IntArray:
    if key not in source.arrays:
        return np.full(n_rows, UNLABELLED, np.int64)
    return source.arrays[key].astype(np.int64)


def _take_windows(
    source: Source, plan: CutPlan, names: tuple[str, ...], units: tuple[str | None, ...], order: list[int]
) -> tuple[WindowedData, tuple[str, ...]]:
    windows = source.arrays["X"]
    n_windows, _, length = windows.shape
    if length != plan.window_length:
        raise DatasetError(f"{source.path}: X: windows of {plan.window_length} samples expected, got {length}")
    recordings, starts = np.arange(n_windows), np.zeros(n_windows, np.int64)
    if plan.hop_length < length:
        for number, chain in enumerate(
            recordings_from_windows(source.arrays, source.name, hop_length=plan.hop_length, sampling_rate_hz=1.0)
        ):
            if chain.rows is not None:
                recordings[chain.rows] = number
                starts[chain.rows] = np.arange(len(chain.rows)) * plan.hop_length
    groups = _column(source, "groups", n_windows)
    data = WindowedData(
        name=source.name,
        windows=np.ascontiguousarray(windows[:, order]),
        class_indices=_column(source, "y", n_windows),
        classes=source.classes,
        channels=names,
        units=units,
        sampling_rate_hz=plan.sampling_rate_hz,
        hop_length=plan.hop_length,
        groups=groups,
        group_key="group" if bool(np.any(groups >= 0)) else None,
        split=_column(source, "split", n_windows),
        recordings=recordings,
        starts=starts,
        rows=np.arange(n_windows),
        is_stream=False,
    )
    return data, ()


def stream_recordings(source: Source) -> list[Recording]:
    """The recordings of a stream file.

    Raises
    ------
    DatasetError
        If the arrays do not make recordings.
    """
    try:
        return recordings_from_stream(source.arrays, source.name)
    except ContractError as error:
        raise DatasetError(str(error)) from error


def _cut_stream(
    source: Source, plan: CutPlan, names: tuple[str, ...], units: tuple[str | None, ...]
) -> tuple[WindowedData, tuple[str, ...]]:
    spec = plan.spec(names)
    drops = _Drops()
    pieces: list[_Piece] = []
    recordings = stream_recordings(source)
    for number, recording in enumerate(recordings):
        closed = [window for window in cut(recording, spec, source.name) if isinstance(window, ClosedWindow)]
        whole = [window for window in closed if window.present >= spec.min_present]
        drops.incomplete += len(closed) - len(whole)
        if whole:
            pieces.append(
                _labelled(
                    whole,
                    recording,
                    number=number,
                    plan=plan,
                    n_classes=len(source.classes),
                    drops=drops,
                )
            )
    if not pieces:
        expected = f"recordings that fill a window of {plan.window_length} samples expected"
        raise DatasetError(
            f"{source.path}: {expected}, got none: {drops.incomplete} windows are incomplete; try a shorter --window"
        )
    groups = np.concatenate([piece.groups for piece in pieces])
    data = WindowedData(
        name=source.name,
        windows=np.concatenate([piece.windows for piece in pieces]),
        class_indices=np.concatenate([piece.class_indices for piece in pieces]),
        classes=source.classes,
        channels=names,
        units=units,
        sampling_rate_hz=plan.sampling_rate_hz,
        hop_length=plan.hop_length,
        groups=groups,
        group_key=source.group_key or "run",
        split=np.concatenate([piece.split for piece in pieces]),
        recordings=np.concatenate([piece.recordings for piece in pieces]),
        starts=np.concatenate([piece.rows for piece in pieces]) * plan.hop_length,
        rows=np.concatenate([piece.rows for piece in pieces]),
        is_stream=True,
    )
    kept = data.take(data.class_indices >= 0) if "y" in source.arrays else data
    return kept, drops.remarks(len(kept), plan)


@dataclass(slots=True)
class _Piece:
    """The windows of one recording."""

    windows: NDArray[np.float32]
    class_indices: IntArray
    groups: IntArray
    split: IntArray
    recordings: IntArray
    rows: IntArray


def _labelled(
    windows: list[ClosedWindow],
    recording: Recording,
    *,
    number: int,
    plan: CutPlan,
    n_classes: int,
    drops: _Drops,
) -> _Piece:
    """Windows of one recording with the label of each, by the samples that lie on its grid points."""
    spec = plan.spec(recording.channels)
    points = nearest_points(*grid_positions(recording.t_ns, spec.sampling_rate_hz))
    order = np.argsort(points, kind="stable")
    points = points[order]
    indices = np.array([window.index for window in windows], np.int64)
    first = np.searchsorted(points, indices * plan.hop_length)
    last = np.searchsorted(points, indices * plan.hop_length + plan.window_length)
    labels = np.full(len(windows), UNLABELLED, np.int64)
    if recording.class_indices is not None and n_classes:
        counts = _counts(recording.class_indices[order], n_classes, first, last)
        labelled = counts.sum(axis=1)
        is_labelled = labelled >= LEAST_LABELLED * np.maximum(last - first, 1)
        is_pure = counts.max(axis=1) >= plan.min_purity * labelled
        labels = np.where(is_labelled & is_pure, counts.argmax(axis=1), UNLABELLED)
        drops.unlabelled += int((~is_labelled).sum())
        drops.mixed += int((is_labelled & ~is_pure).sum())
    return _Piece(
        windows=np.stack([window.values for window in windows]),
        class_indices=labels,
        groups=np.full(len(windows), recording.group, np.int64),
        split=np.full(len(windows), recording.split, np.int64),
        recordings=np.full(len(windows), number, np.int64),
        rows=indices,
    )


def _counts(values: IntArray, n_values: int, first: IntArray, last: IntArray) -> IntArray:
    """How often each value 0 .. n_values - 1 stands in ``values[first:last]``, shape ``(len(first), n_values)``."""
    sums = np.zeros((len(values) + 1, n_values), np.int64)
    inside = np.flatnonzero((values >= 0) & (values < n_values))
    sums[inside + 1, values[inside]] = 1
    np.cumsum(sums, axis=0, out=sums)
    counts: IntArray = sums[last] - sums[first]
    return counts


def drop_empty(data: WindowedData) -> tuple[WindowedData, tuple[str, ...]]:
    """The windows that hold a value; nothing can be learned from the others."""
    is_empty = data.present == 0.0
    if not is_empty.any():
        return data, ()
    return data.take(~is_empty), (f"{int(is_empty.sum())} windows dropped, without any value",)


def with_classes(data: WindowedData, classes: Sequence[str]) -> WindowedData:
    """The same windows with class indices that count in ``classes``, matched by name.

    Raises
    ------
    DatasetError
        If a window carries a label that is not among them: the model never saw this class.
    """
    used = [data.classes[index] for index in np.unique(data.class_indices[data.class_indices >= 0])]
    unseen = [name for name in used if name not in classes]
    if unseen:
        names = ", ".join(repr(name) for name in unseen)
        raise DatasetError(
            f"{data.name}: classes: {names} label rows to evaluate, but the model knows only {', '.join(classes)}"
        )
    position = [classes.index(name) if name in classes else UNLABELLED for name in data.classes]
    table = np.array([*position, UNLABELLED], np.int64)
    return replace(data, classes=tuple(classes), class_indices=table[data.class_indices])
