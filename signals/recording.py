"""Recordings: continuous multichannel stretches, read from the arrays of a file, cut by the very code that runs live.

This room opens no file: callers pass the arrays of an ``.npz`` (DESIGN section 4) as a mapping.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ContractError
from signals.block import Block, FloatArray, IntArray
from signals.grid import point_time_ns
from signals.verdict import device_id
from signals.window import Closed, ClosedWindow, SkippedWindows, WindowSpec
from signals.windower import DeviceWindows

Arrays = Mapping[str, NDArray[Any]]
_PIECE = 8192


@dataclass(frozen=True, slots=True)
class Recording:
    """One continuous stretch of one device.

    Attributes
    ----------
    device : str
        Id of ``[a-z0-9-]``.
    channels : tuple of str
    t_ns : ndarray of shape (n_samples,), int64
        Nanoseconds since the Unix epoch (or since the start of the run).
    values : ndarray of shape (n_channels, n_samples), float32
        NaN = missing.
    class_indices : ndarray of shape (n_samples,), int64, or None
        -1 = unlabelled.
    group, split : int
        -1 = none.
    first_index : int or None
        Ready-cut windows: grid index of the first one.
    rows : ndarray of shape (n_windows,), int64, or None
        Ready-cut windows: row of the file for grid window ``first_index + i``.
    """

    device: str
    channels: tuple[str, ...]
    t_ns: IntArray
    values: FloatArray
    class_indices: IntArray | None = None
    group: int = -1
    split: int = -1
    first_index: int | None = None
    rows: IntArray | None = None


# ---------------------------------------------------------------------- stream files


def recordings_from_stream(arrays: Arrays, where: str) -> list[Recording]:
    """One recording for every run of a stream file, in the order of the file.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        ``X`` (n_samples, n_channels), ``t`` s, ``run``, ``channels``; optional ``y``, ``split``, ``run_group``,
        ``run_names``.
    where : str
        Name of the file, for errors.

    Raises
    ------
    ContractError
        Names the key and what was expected of it.
    """
    values = _array(arrays, "X", where, ndim=2)
    n_samples = len(values)
    channels = tuple(str(name) for name in _array(arrays, "channels", where, ndim=1))
    problems = []
    if not n_samples:
        problems.append("X: at least one sample expected, got none")
    if values.shape[1] != len(channels):
        problems.append(f"channels: {values.shape[1]} names expected (columns of X), got {len(channels)}")
    columns = {
        key: _array(arrays, key, where, ndim=1) for key in ("t", "run", "y", "split") if key in arrays or key == "t"
    }
    problems += [
        f"{key}: {n_samples} values expected (rows of X), got {len(column)}"
        for key, column in columns.items()
        if len(column) != n_samples
    ]
    if not problems and not np.isfinite(columns["t"]).all():
        problems.append("t: finite seconds expected, got NaN or infinity")
    if problems:
        raise ContractError(where, problems)
    runs = columns.get("run", np.zeros(n_samples, dtype=np.int64)).astype(np.int64)
    numbers = runs[np.sort(np.unique(runs, return_index=True)[1])]
    names = _run_names(arrays, numbers)
    groups = arrays.get("run_group")
    recordings = []
    for position, run in enumerate(numbers.tolist()):
        in_run = np.flatnonzero(runs == run)
        group = position if groups is None else int(groups[run] if 0 <= run < len(groups) else run)
        for split, chosen in _by_split(columns.get("split"), in_run):
            # a run that the split divides is a device for each part: a window must never hold both
            is_whole = len(chosen) == len(in_run)
            recordings.append(
                Recording(
                    device=names[position] if is_whole else device_id(f"{names[position]}-split-{split}"),
                    channels=channels,
                    t_ns=_to_ns(columns["t"][chosen]),
                    values=np.ascontiguousarray(values[chosen].T, dtype=np.float32),
                    class_indices=columns["y"][chosen].astype(np.int64) if "y" in columns else None,
                    group=group,
                    split=split,
                )
            )
    return recordings


def _by_split(splits: NDArray[Any] | None, chosen: IntArray) -> list[tuple[int, IntArray]]:
    if splits is None:
        return [(-1, chosen)]
    return [(int(split), chosen[splits[chosen] == split]) for split in np.unique(splits[chosen])]


def _to_ns(t_s: NDArray[np.float64]) -> IntArray:
    whole = np.floor(t_s)
    return whole.astype(np.int64) * 1_000_000_000 + np.rint((t_s - whole) * 1e9).astype(np.int64)


def _run_names(arrays: Arrays, numbers: IntArray) -> list[str]:
    given = arrays.get("run_names")
    names: list[str] = []
    for run in numbers.tolist():
        text = str(given[run]) if given is not None and 0 <= run < len(given) else ""
        try:
            name = device_id(text)
        except ValueError:
            name = f"run-{run}"
        names.append(name)
    if len(set(names)) != len(names):
        names = [f"run-{run}" for run in numbers.tolist()]
    return names


def _array(arrays: Arrays, key: str, where: str, ndim: int) -> NDArray[Any]:
    if key not in arrays:
        raise ContractError(where, [f"{key}: expected, but the file has only {', '.join(sorted(arrays)) or 'nothing'}"])
    array = arrays[key]
    if array.ndim != ndim:
        raise ContractError(where, [f"{key}: {ndim} dimensions expected, got shape {array.shape}"])
    return array


# ---------------------------------------------------------------------- ready-cut windows


def find_overlap_hop(arrays: Arrays) -> int | None:
    """The hop length at which consecutive windows of a windowed file overlap sample by sample; None if they do not.

    A hop is believed when at least half of all consecutive pairs overlap by it exactly, and a window is not constant.

    Examples
    --------
    >>> signal = np.arange(10, dtype=np.float32)
    >>> find_overlap_hop({"X": np.stack([signal[i : i + 4] for i in (0, 2, 4, 6)])[:, None]})
    2
    """
    windows = arrays["X"]
    n_windows, _, length = windows.shape
    if n_windows < 2 or length < 2:
        return None
    probe = np.unique(np.linspace(0, n_windows - 2, num=min(n_windows - 1, 64)).astype(np.int64))
    here, there = windows[probe], windows[probe + 1]
    moving = np.nanmax(here, axis=2) > np.nanmin(here, axis=2) if not np.isnan(here).all(axis=2).any() else None
    if moving is not None and not moving.any():
        return None
    for hop in range(1, length):
        same = (here[:, :, hop:] == there[:, :, : length - hop]).all(axis=(1, 2))
        if same.mean() >= 0.5 and length - hop > 1:
            return hop
    return None


def recordings_from_windows(
    arrays: Arrays, where: str, *, hop_length: int, sampling_rate_hz: float | None = None
) -> list[Recording]:
    """Ready-cut windows as recordings: windows that overlap exactly are chained, each chain is a device of its own.

    A chain is placed so that grid window ``first_index + i`` is row ``rows[i]`` of the file.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        ``X`` (n_windows, n_channels, window_length), ``channels``, ``fs``; optional ``y``, ``groups``, ``split``.
    where : str
        Name of the file, for errors.
    hop_length : int
        Of the grid; windows chain where they overlap by ``window_length - hop_length`` samples.
    sampling_rate_hz : float or None
        None = ``fs`` of the file.

    Raises
    ------
    ContractError
        If a key is missing or the rate is unknown.
    """
    windows = _array(arrays, "X", where, ndim=3)
    n_windows, n_channels, length = windows.shape
    channels = tuple(str(name) for name in _array(arrays, "channels", where, ndim=1))
    rate = sampling_rate_hz or float(arrays.get("fs", np.array(np.nan)))
    problems = []
    if not n_windows:
        problems.append("X: at least one window expected, got none")
    if len(channels) != n_channels:
        problems.append(f"channels: {n_channels} names expected (axis 1 of X), got {len(channels)}")
    if not np.isfinite(rate) or rate <= 0:
        problems.append("fs: a known sampling rate in Hz expected to place windows on a time axis, got none")
    labels = {
        key: np.asarray(arrays[key]) if key in arrays else np.full(n_windows, -1) for key in ("y", "groups", "split")
    }
    problems += [
        f"{key}: {n_windows} values expected, got {len(column)}"
        for key, column in labels.items()
        if len(column) != n_windows
    ]
    if problems:
        raise ContractError(where, problems)
    overlap = length - hop_length
    recordings = []
    for rows in _chains(windows, labels, overlap):
        tail = max(0, overlap)
        pieces = [windows[rows[0]], *(windows[row][:, tail:] for row in rows[1:])]
        values = np.ascontiguousarray(np.concatenate(pieces, axis=1), dtype=np.float32)
        truth = np.repeat(labels["y"][rows].astype(np.int64), [length] + [length - tail] * (len(rows) - 1))
        times = np.array([point_time_ns(point, rate) for point in range(values.shape[1])], dtype=np.int64)
        recordings.append(
            Recording(
                device=f"rows-{rows[0]}-{rows[-1]}",
                channels=channels,
                t_ns=times,
                values=values,
                class_indices=truth,
                group=int(labels["groups"][rows[0]]),
                split=int(labels["split"][rows[0]]),
                first_index=0,
                rows=np.array(rows, dtype=np.int64),
            )
        )
    return recordings


def _chains(windows: FloatArray, labels: dict[str, NDArray[Any]], overlap: int) -> list[list[int]]:
    if overlap <= 0:
        return [[row] for row in range(len(windows))]
    same = (windows[:-1, :, -overlap:] == windows[1:, :, :overlap]).all(axis=(1, 2))
    for column in labels.values():
        same &= column[:-1] == column[1:]
    chains: list[list[int]] = []
    for row in range(len(windows)):
        if row and same[row - 1]:
            chains[-1].append(row)
        else:
            chains.append([row])
    return chains


# ---------------------------------------------------------------------- cutting


def select_channels(recording: Recording, channels: Sequence[str], where: str) -> Recording:
    """The recording with just these channels in this order, matched by name.

    Raises
    ------
    ContractError
        Names the channels that are missing.
    """
    if tuple(channels) == recording.channels:
        return recording
    missing = [name for name in channels if name not in recording.channels]
    if missing:
        have = ", ".join(recording.channels)
        raise ContractError(where, [f"channels: {', '.join(missing)} expected, but the recording has only {have}"])
    order = [recording.channels.index(name) for name in channels]
    return replace(recording, channels=tuple(channels), values=recording.values[order])


def blocks_of(recording: Recording, piece: int = _PIECE) -> list[Block]:
    """The samples of a recording as blocks of at most ``piece`` samples."""
    channels = tuple(range(len(recording.channels)))
    return [
        Block(recording.device, channels, recording.values[:, at : at + piece], t_ns=recording.t_ns[at : at + piece])
        for at in range(0, len(recording.t_ns), piece)
    ]


def cut(recording: Recording, spec: WindowSpec, where: str = "recording") -> list[Closed]:
    """Every window of a recording, cut by the code that runs live.

    Parameters
    ----------
    recording : Recording
    spec : WindowSpec
        Channels are matched by name.
    where : str
        Name of the file, for errors.

    Returns
    -------
    list of ClosedWindow and SkippedWindows
        In the order of the grid. Windows at the ends of the recording may be incomplete.

    Raises
    ------
    ContractError
        If a channel is missing.
    """
    chosen = select_channels(recording, spec.channels, where)
    device = DeviceWindows(spec)
    closed: list[Closed] = []
    for block in blocks_of(chosen):
        closed += device.push(block, wall_ns=0, clock_ns=0)
    return closed + device.flush()


__all__ = [
    "Arrays",
    "ClosedWindow",
    "Recording",
    "SkippedWindows",
    "blocks_of",
    "cut",
    "find_overlap_hop",
    "recordings_from_stream",
    "recordings_from_windows",
    "select_channels",
]
