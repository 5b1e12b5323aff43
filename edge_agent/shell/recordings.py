"""Files of recordings: ``.npz`` streams, ``.npz`` ready-cut windows, and CSV with one row a sample.

CSV: a header, a ``timestamp`` column (ISO 8601 with zone, or a number of s, ms, us or ns, told by its size), one
column a channel; ``device``, ``group``, ``split`` and ``label`` columns are optional. Rows are put in order of time
inside each device.
"""

from __future__ import annotations

import csv
import zipfile
import zlib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_agent.errors import RecordingError
from schemas import ContractError, ModelCard
from signals import Recording, recordings_from_stream, recordings_from_windows

Arrays = Mapping[str, NDArray[Any]]

SPLITS = {"train": 0, "test": 1}
_RESERVED = ("timestamp", "device", "group", "split", "label")
_SPLIT_TEXTS = {"train": 0, "test": 1, "0": 0, "1": 1}
# Times since 1970 in s, ms, us and ns stay a factor of 1000 apart, so that the size of a number tells its unit.
_UNITS = ((1e11, 1.0), (1e14, 1e-3), (1e17, 1e-6), (np.inf, 1e-9))
_RATE_TOLERANCE = 0.01


def read_recordings(path: Path, card: ModelCard, split: str = "all") -> list[Recording]:
    """The recordings of a file that fit a model.

    Parameters
    ----------
    path : Path
        ``.npz`` or ``.csv``.
    card : ModelCard
        Channels are matched by name; the rate must be the card's where the grid policy is ``nearest``.
    split : str
        ``train``, ``test`` or ``all``.

    Raises
    ------
    RecordingError
        If the file is missing, damaged, or does not fit the model; one line.
    ValueError
        If the model has no sampling rate.
    """
    if card.sampling_rate_hz is None:
        raise ValueError(f"{card.ref}: a model with a sampling rate expected")
    arrays = _read_csv(path, card) if path.suffix.lower() == ".csv" else _read_npz(path)
    try:
        missing = [
            name for name in card.channel_names if name not in arrays.get("channels", np.array([], dtype=str)).tolist()
        ]
        if "channels" in arrays and missing:
            have = ", ".join(str(name) for name in arrays["channels"])
            raise RecordingError(str(path), f"channels: {', '.join(missing)} expected by {card.ref}, got only {have}")
        if "X" in arrays and arrays["X"].ndim == 3:
            _check_rate(_stated_rate(arrays), card, path)
            if arrays["X"].shape[2] != card.window_length:
                problem = (
                    f"X: windows of {card.window_length} samples expected by {card.ref}, got {arrays['X'].shape[2]}"
                )
                raise RecordingError(str(path), problem)
            recordings = recordings_from_windows(arrays, str(path), hop_length=card.hop_length)
        else:
            recordings = recordings_from_stream(arrays, str(path))
            _check_rate(_stated_rate(arrays) or _rate_of(recordings), card, path)
    except ContractError as error:
        raise RecordingError(str(path), "; ".join(error.problems)) from error
    except (ValueError, TypeError, IndexError) as error:
        raise RecordingError(
            str(path), f"the arrays of DESIGN section 4 expected, got {' '.join(str(error).split())}"
        ) from error
    if split == "all":
        return recordings
    chosen = [recording for recording in recordings if recording.split == SPLITS[split]]
    if not chosen:
        raise RecordingError(str(path), f"rows of split {split!r} expected, got none")
    return chosen


def _stated_rate(arrays: Arrays) -> float | None:
    rate = float(arrays["fs"]) if "fs" in arrays and arrays["fs"].ndim == 0 else float("nan")
    return rate if np.isfinite(rate) and rate > 0 else None


def _rate_of(recordings: list[Recording]) -> float | None:
    """One over the median step, over all recordings; None where there is none."""
    steps = np.concatenate([np.diff(recording.t_ns) for recording in recordings])
    steps = steps[steps > 0]
    return 1e9 / float(np.median(steps)) if len(steps) else None


def _check_rate(rate_hz: float | None, card: ModelCard, path: Path) -> None:
    """Linear and hold take any rate; nearest asks for the nominal one."""
    nominal = card.sampling_rate_hz
    if rate_hz is None or nominal is None or card.grid.policy != "nearest":
        return
    if abs(rate_hz / nominal - 1.0) > _RATE_TOLERANCE:
        raise RecordingError(
            str(path), f"a sampling rate of {nominal:.6g} Hz expected by {card.ref}, got {rate_hz:.6g} Hz"
        )


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    try:
        # numpy leaves the file open where the archive is damaged, so it is opened here.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise RecordingError(str(path), "an .npz archive of named arrays expected, got a single array")
            return {key: archive[key] for key in archive.files}
    except OSError as error:
        raise RecordingError(str(path), f"a readable recording expected, got {error.strerror or error}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise RecordingError(
            str(path), f"a whole .npz archive expected, got a damaged or truncated file ({error})"
        ) from error
    except ValueError as error:  # numpy takes what is neither zip nor .npy for a pickle, and refuses it
        raise RecordingError(
            str(path), "an .npz archive of numbers and texts or a .csv expected, got something else"
        ) from error


def _read_csv(path: Path, card: ModelCard) -> dict[str, NDArray[Any]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            delimiter = max(",;\t", key=first.count)
            header = [name.strip() for name in next(csv.reader([first], delimiter=delimiter), [])]
            rows = [row for row in csv.reader(file, delimiter=delimiter, strict=True) if row]
    except OSError as error:
        raise RecordingError(str(path), f"a readable recording expected, got {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise RecordingError(str(path), f"CSV in UTF-8 expected, got {error}") from error
    if "timestamp" not in header:
        raise RecordingError(
            str(path), f"header: a column 'timestamp' expected, got {', '.join(header) or 'an empty file'}"
        )
    missing = [name for name in card.channel_names if name not in header]
    if missing:
        have = ", ".join(name for name in header if name not in _RESERVED)
        raise RecordingError(str(path), f"channels: {', '.join(missing)} expected by {card.ref}, got only {have}")
    if not rows:
        raise RecordingError(str(path), "at least one row of data expected, got none")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise RecordingError(str(path), f"line {number}: {len(header)} columns expected, got {len(row)}")
    columns = {name: [row[at].strip() for row in rows] for at, name in enumerate(header)}
    return _arrays_of(columns, card.channel_names, path)


def _arrays_of(columns: dict[str, list[str]], channels: list[str], path: Path) -> dict[str, NDArray[Any]]:
    t = _seconds(columns["timestamp"], path)
    n_rows = len(t)
    keys = list(zip(*(columns.get(name, [""] * n_rows) for name in ("device", "group", "split")), strict=True))
    unknown = {key[2] for key in keys} - {*_SPLIT_TEXTS, "", "-1"}
    if unknown:
        raise RecordingError(str(path), f"split: one of {', '.join(_SPLIT_TEXTS)} expected, got {min(unknown)!r}")
    names = sorted(set(keys))
    position = {key: index for index, key in enumerate(names)}
    runs = np.array([position[key] for key in keys], dtype=np.int64)
    order = np.lexsort((np.arange(n_rows), t, runs))
    values = np.stack([_numbers(columns[name], name, path) for name in channels], axis=1)
    return {
        "X": values[order],
        "t": t[order],
        "run": runs[order],
        "run_names": np.array([" ".join(part for part in key[:2] if part) or path.stem for key in names]),
        "split": np.array([_SPLIT_TEXTS.get(key[2], -1) for key in names], dtype=np.int8)[runs][order],
        "channels": np.array(channels),
    }


def _numbers(texts: list[str], column: str, path: Path) -> NDArray[np.float32]:
    """The values of a column; an empty cell is a missing value."""
    values = np.empty(len(texts), dtype=np.float32)
    for at, text in enumerate(texts):
        try:
            values[at] = float(text) if text else np.nan
        except ValueError as error:
            raise RecordingError(str(path), f"line {at + 2}: {column}: a number expected, got {text[:40]!r}") from error
    return values


def _seconds(texts: list[str], path: Path) -> NDArray[np.float64]:
    try:
        numbers = np.array([float(text) for text in texts])
    except ValueError:
        return np.array([_iso_seconds(text, at + 2, path) for at, text in enumerate(texts)])
    if not np.isfinite(numbers).all():
        raise RecordingError(str(path), "timestamp: finite numbers expected, got NaN or infinity")
    size = float(np.median(np.abs(numbers)))
    scaled: NDArray[np.float64] = numbers * next(factor for bound, factor in _UNITS if size < bound)
    return scaled


def _iso_seconds(text: str, line: int, path: Path) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise RecordingError(
            str(path), f"line {line}: timestamp: ISO 8601 or a number expected, got {text[:40]!r}"
        ) from error
    if moment.tzinfo is None:
        raise RecordingError(str(path), f"line {line}: timestamp: a time with a zone expected, got {text[:40]!r}")
    return moment.timestamp()
