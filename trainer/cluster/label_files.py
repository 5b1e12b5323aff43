"""Named groups as labels: a windowed ``.npz`` that ``trainer fit`` reads, or intervals in a ``.csv``."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.label import format_timestamp
from signals import IntArray
from trainer.cluster.names import NamedGroups
from trainer.cluster.places import WindowPlaces
from trainer.data import WindowedData
from trainer.errors import DatasetError
from trainer.export.write import write_atomically

ENDINGS = (".npz", ".csv")

# Zip entries carry a date; the oldest one that the format knows, so that the same labels give the same bytes.
_NO_DATE = (1980, 1, 1, 0, 0, 0)


class Interval(NamedTuple):
    """A stretch of one device with one label: from `start_ns` to just before `end_ns`, nanoseconds since 1970."""

    device: str
    start_ns: int
    end_ns: int
    label: str


def check_labels_path(path: Path, data: WindowedData, named: NamedGroups) -> None:
    """Refuse before the work what would be refused after it.

    Raises
    ------
    DatasetError
        If the ending is unknown, nothing has a name, or the windows have no place in time.
    """
    if path.suffix.lower() not in ENDINGS:
        raise DatasetError(f"{path}: a file that ends in {' or '.join(ENDINGS)} expected for --labels")
    if not path.parent.is_dir() or path.is_dir():
        raise DatasetError(f"{path}: a file in a folder that exists expected, got none")
    if not named.classes:
        raise DatasetError("--labels: at least one group with a name expected, such as --name 0=idle")
    if path.suffix.lower() == ".csv" and not data.is_stream:
        raise DatasetError(
            f"{path}: intervals need continuous recordings with times, got ready-cut windows; write an .npz instead"
        )


def write_labels(path: Path, data: WindowedData, places: WindowPlaces, labels: IntArray, named: NamedGroups) -> int:
    """Write the windows with their names, and return how many have one.

    Parameters
    ----------
    path : Path
        ``.npz``: all windows, y = -1 where the group has no name. ``.csv``: intervals of the named ones.
        It appears whole or not at all.
    data : WindowedData
    places : WindowPlaces
        Device and time of the windows.
    labels : ndarray of shape (n_windows,), int
        Their groups.
    named : NamedGroups

    Raises
    ------
    DatasetError
        As in `check_labels_path`.
    ContractError
        If the file cannot be written.
    """
    check_labels_path(path, data, named)
    class_indices = named.class_indices(labels)
    if path.suffix.lower() == ".npz":
        content = npz_bytes(data, class_indices, named.classes)
    else:
        content = csv_bytes(label_intervals(data, places, class_indices, named.classes))
    write_atomically(path, content)
    return int((class_indices >= 0).sum())


def npz_bytes(data: WindowedData, class_indices: IntArray, classes: tuple[str, ...]) -> bytes:
    """The windows as DESIGN section 4 has them, with these labels; the same windows give the same bytes."""
    arrays: dict[str, NDArray[Any]] = {
        "X": data.windows.astype(np.float32),
        "y": class_indices.astype(np.int64),
        "classes": np.array(classes, np.str_),
        "channels": np.array(data.channels, np.str_),
        "fs": np.asarray(np.nan if data.sampling_rate_hz is None else data.sampling_rate_hz, np.float64),
    }
    if any(unit is not None for unit in data.units):
        arrays["units"] = np.array([unit or "" for unit in data.units], np.str_)
    if bool(np.any(data.groups >= 0)):
        arrays["groups"] = data.groups.astype(np.int64)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", _NO_DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    return buffer.getvalue()


def label_intervals(
    data: WindowedData, places: WindowPlaces, class_indices: IntArray, classes: tuple[str, ...]
) -> list[Interval]:
    """Stretches of one label, by device and time, none of which overlap.

    Windows may overlap and disagree: every window speaks for the hop around its middle. Neighbours with the same label
    become one interval; the first and the last window of an unbroken run also speak for its ends.
    """
    intervals: list[Interval] = []
    order = np.lexsort((data.starts, data.recordings))
    hop, length = data.hop_length, data.window_length
    before = (length - hop) // 2
    for run in np.split(order, _breaks(data, order)):
        first = last = 0
        while first < len(run):
            last = first
            while last + 1 < len(run) and class_indices[run[last + 1]] == class_indices[run[first]]:
                last += 1
            if class_indices[run[first]] >= 0:
                begin = int(data.starts[run[first]]) + (0 if first == 0 else before)
                end = int(data.starts[run[last]]) + (length if last == len(run) - 1 else before + hop)
                row = int(run[first])
                intervals.append(
                    Interval(
                        places.device(row),
                        places.sample_ns(begin),
                        places.sample_ns(end),
                        classes[class_indices[row]],
                    )
                )
            first = last + 1
    return _apart(sorted(intervals))


def _apart(intervals: list[Interval]) -> list[Interval]:
    """The same intervals; two that overlap (a window between them is missing) meet in the middle of the overlap."""
    found: list[Interval] = []
    for item in intervals:
        after = item
        if found and found[-1].device == item.device and found[-1].end_ns > item.start_ns:
            middle = (found[-1].end_ns + item.start_ns) // 2
            found[-1], after = found[-1]._replace(end_ns=middle), item._replace(start_ns=middle)
        found.append(after)
    return found


def _breaks(data: WindowedData, order: IntArray) -> IntArray:
    """Positions in `order` where a window does not follow the one before it by one hop."""
    follows = (np.diff(data.recordings[order]) == 0) & (np.diff(data.starts[order]) <= data.hop_length)
    return np.flatnonzero(~follows) + 1


def csv_bytes(intervals: list[Interval]) -> bytes:
    """The intervals as CSV with the columns device, start, end, label; times as ISO 8601 in UTC."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("device", "start", "end", "label"))
    for item in intervals:
        writer.writerow((item.device, format_timestamp(item.start_ns), format_timestamp(item.end_ns), item.label))
    return text.getvalue().encode()
