"""The ``.ts`` format of the UEA and UCR archives: one series a line, dimensions between colons, the class at the end.

Specification: Bagnall et al., *The UEA multivariate time series classification archive, 2018* (arXiv:1811.00075), and
the data format page of timeseriesclassification.com.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.errors import DatasetError

_HALVES = {"_TRAIN": 0, "_TEST": 1}


@dataclass(slots=True)
class _Series:
    """What one file holds: a list of (n_channels, length) arrays with their labels."""

    path: Path
    has_classes: bool = True
    classes: list[str] = field(default_factory=list)
    values: list[NDArray[np.float32]] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)


def read_ts(path: Path) -> tuple[dict[str, NDArray[Any]], tuple[str, ...]]:
    """The windowed arrays of DESIGN section 4, from one file or from a pair ``X_TRAIN.ts``, ``X_TEST.ts``.

    Either file of a pair may be named; the other is read where it lies beside it. ``?`` and ``NaN`` are missing
    values, series of unequal length are padded with NaN at the end.

    Raises
    ------
    DatasetError
        Naming the file, the line and what was expected.
    """
    parts = [(path, -1)]
    for ending, split in _HALVES.items():
        if path.stem.upper().endswith(ending):
            base = path.stem[: -len(ending)]
            other_ending = "_TEST" if split == 0 else "_TRAIN"
            twin = next(
                (
                    found
                    for found in sorted(path.parent.glob("*.ts"))
                    if found.stem.upper() == (base + other_ending).upper()
                ),
                None,
            )
            if twin is not None:
                parts = [(path, split), (twin, 1 - split)]
    parts.sort(key=lambda part: part[1])
    series = [(_read_series(part), split) for part, split in parts]
    n_channels = series[0][0].values[0].shape[0]
    for read, _ in series:
        if read.values[0].shape[0] != n_channels:
            raise DatasetError(
                f"{read.path}: {n_channels} dimensions as in its pair expected, got {read.values[0].shape[0]}"
            )
    classes = list(dict.fromkeys(name for read, _ in series for name in read.classes))
    values = [value for read, _ in series for value in read.values]
    labels = [label for read, _ in series for label in read.labels]
    lengths = np.array([value.shape[1] for value in values], np.int32)
    windows = np.full((len(values), n_channels, int(lengths.max())), np.nan, np.float32)
    for row, value in enumerate(values):
        windows[row, :, : value.shape[1]] = value
    arrays: dict[str, NDArray[Any]] = {
        "X": windows,
        "lengths": lengths,
        "channels": np.array(["value"] if n_channels == 1 else [f"dim_{index}" for index in range(n_channels)]),
        "fs": np.asarray(np.nan),
        "y": np.array([classes.index(label) if label else -1 for label in labels], np.int64),
        "classes": np.array(classes, str),
        "split": np.concatenate([np.full(len(read.values), split, np.int8) for read, split in series]),
    }
    remarks = ["a .ts file names no rate and no channels: the rate is unknown"]
    if len(parts) == 2:
        remarks.append(f"{parts[0][0].name} gives the training rows, {parts[1][0].name} the test rows")
    if len(set(lengths.tolist())) > 1:
        remarks.append(f"series of {lengths.min()} to {lengths.max()} samples, padded at the end")
    return arrays, tuple(remarks)


def _read_series(path: Path) -> _Series:
    read = _Series(path)
    in_data = False
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, raw in enumerate(file, start=1):
                line = raw.strip()
                if not line or line.startswith(("#", "%")):
                    continue
                if in_data:
                    _read_case(read, line, number)
                elif line.startswith("@"):
                    in_data = _read_header(read, line, number)
                else:
                    raise DatasetError(
                        f"{path}: line {number}: a header line that starts with @ expected, got {line[:40]!r}"
                    )
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: text in UTF-8 expected, got other bytes at position {error.start}") from error
    if not in_data or not read.values:
        raise DatasetError(f"{path}: @data and at least one series below it expected, got none")
    return read


def _read_header(read: _Series, line: str, number: int) -> bool:
    """Take one header line; True where the data begin."""
    word, _, rest = line[1:].partition(" ")
    word, arguments = word.lower(), rest.split()
    if word == "timestamps" and arguments[:1] and arguments[0].lower() == "true":
        raise DatasetError(
            f"{read.path}: line {number}: series without timestamps (@timestamps false) expected, got true"
        )
    if word == "targetlabel" and arguments[:1] and arguments[0].lower() == "true":
        raise DatasetError(f"{read.path}: line {number}: classes (@classLabel) expected, got a regression target")
    if word == "classlabel":
        read.has_classes = bool(arguments) and arguments[0].lower() == "true"
        read.classes = arguments[1:]
        if read.has_classes and not read.classes:
            raise DatasetError(
                f"{read.path}: line {number}: @classLabel true and the class names expected, got no names"
            )
    return word == "data"


def _read_case(read: _Series, line: str, number: int) -> None:
    dimensions = line.split(":")
    label = dimensions.pop().strip() if read.has_classes else ""
    where = f"{read.path}: line {number}"
    if read.has_classes and label not in read.classes:
        raise DatasetError(
            f"{where}: one of the classes {', '.join(read.classes)} expected at the end, got {label[:40]!r}"
        )
    if not dimensions:
        raise DatasetError(f"{where}: values, a colon and the class expected, got {line[:40]!r}")
    rows = []
    for text in dimensions:
        try:
            rows.append([float("nan") if item.strip() in {"?", ""} else float(item) for item in text.split(",")])
        except ValueError as error:
            raise DatasetError(f"{where}: numbers between commas, or ?, expected ({error})") from error
    n_channels = read.values[0].shape[0] if read.values else len(rows)
    if len(rows) != n_channels:
        raise DatasetError(f"{where}: {n_channels} dimensions expected, got {len(rows)}")
    value = np.full((len(rows), max(len(row) for row in rows)), np.nan, np.float32)
    for index, row in enumerate(rows):
        value[index, : len(row)] = row
    read.values.append(value)
    read.labels.append(label)
