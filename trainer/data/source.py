"""What every importer ends in: named arrays of one of the two kinds of DESIGN section 4, checked once, here.

Windowed: ``X (n_windows, n_channels, window_length)``. Stream: ``X (n_samples, n_channels)`` with ``t`` in seconds.
Whatever the file format was, from here on only these arrays count, and they are the ones that ``signals.recording``
reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from trainer.data.labels import with_class_indices
from trainer.errors import DatasetError

Arrays = Mapping[str, NDArray[Any]]
Kind = Literal["windows", "stream"]


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """The checked content of a data file.

    Attributes
    ----------
    path : Path
        Where it was read from.
    kind : {"windows", "stream"}
        Ready-cut windows, or continuous recordings.
    arrays : mapping of str to ndarray
        The keys of DESIGN section 4.
    group_key : str or None
        What a group is called.
    remarks : tuple of str
        What the reader decided or noticed; printed, one line each.
    """

    path: Path
    kind: Kind
    arrays: Arrays
    group_key: str | None = None
    remarks: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The path as it was given."""
        return str(self.path)

    @property
    def channels(self) -> tuple[str, ...]:
        """Channel names in the order of the file."""
        return tuple(str(name) for name in self.arrays["channels"])

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the file; empty where nothing is labelled."""
        return tuple(str(name) for name in self.arrays["classes"]) if "classes" in self.arrays else ()

    @property
    def sampling_rate_hz(self) -> float | None:
        """Samples a second; None where unknown."""
        rate = float(self.arrays["fs"]) if "fs" in self.arrays else float("nan")
        return None if np.isnan(rate) else rate

    @property
    def units(self) -> tuple[str | None, ...]:
        """Unit of each channel, None where unknown."""
        if "units" not in self.arrays:
            return (None,) * len(self.channels)
        return tuple(str(unit) or None for unit in self.arrays["units"])

    def with_rate(self, sampling_rate_hz: float) -> Source:
        """The same source at a rate that the caller knows."""
        return replace(self, arrays={**self.arrays, "fs": np.asarray(sampling_rate_hz, np.float64)})


def checked_source(
    path: Path, arrays: Arrays, *, group_key: str | None = None, remarks: tuple[str, ...] = ()
) -> Source:
    """A source whose arrays keep the contract of DESIGN section 4.

    Raises
    ------
    DatasetError
        One line: file, key, what was expected, what came.
    """
    refuse = _Refusal(path)
    values = refuse.numeric(arrays, "X")
    arrays, label_remarks = with_class_indices(path, arrays)
    if values.ndim == 2 or "t" in arrays:
        kind: Kind = "stream"
        refuse.unless(values.ndim == 2, "X", f"shape (n_samples, n_channels) for a stream expected, got {values.shape}")
        n_channels = values.shape[1]
    else:
        kind = "windows"
        refuse.unless(
            values.ndim == 3,
            "X",
            f"(n_windows, n_channels, window_length), or (n_samples, n_channels) with t, expected, got {values.shape}",
        )
        n_channels = values.shape[1]
    refuse.unless(len(values) > 0, "X", "at least one row expected, got none")
    refuse.unless(values.size > 0, "X", f"at least one channel and one sample expected, got shape {values.shape}")
    _check_values(refuse, values)
    refuse.names(arrays, "channels", n_channels)
    if "units" in arrays:
        refuse.unless(arrays["units"].shape == (n_channels,), "units", f"one text a channel expected ({n_channels})")
    _check_rate(refuse, arrays)
    _check_labels(refuse, arrays, len(values))
    if "split" in arrays:
        split = refuse.whole(arrays, "split", len(values))
        odd = np.setdiff1d(split, (-1, 0, 1))
        refuse.unless(not len(odd), "split", f"-1, 0 (train) or 1 (test) expected, got {odd[:3].tolist()}")
    canonical = dict(arrays)
    canonical["X"] = np.ascontiguousarray(values, np.float32)
    if kind == "windows":
        _check_windowed(refuse, arrays, values)
    else:
        _check_stream(refuse, arrays, len(values))
    missing = _missing_remarks(canonical["X"], canonical["channels"])
    return Source(path, kind, canonical, group_key, remarks + label_remarks + missing)


class _Refusal:
    """Checks that raise one line with the file in front."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def unless(self, holds: bool, key: str, expected: str) -> None:  # noqa: FBT001 - the sentence it guards
        if not holds:
            raise DatasetError(f"{self.path}: {key}: {expected}")

    def array(self, arrays: Arrays, key: str) -> NDArray[Any]:
        if key not in arrays:
            known = ", ".join(sorted(arrays)) or "nothing"
            raise DatasetError(f"{self.path}: {key}: this key is expected, got {known}")
        return arrays[key]

    def numeric(self, arrays: Arrays, key: str) -> NDArray[Any]:
        array = self.array(arrays, key)
        self.unless(array.dtype.kind in "fiub", key, f"numbers expected, got dtype {array.dtype}")
        return array

    def whole(self, arrays: Arrays, key: str, n_rows: int) -> NDArray[np.int64]:
        array = self.numeric(arrays, key)
        self.unless(array.shape == (n_rows,), key, f"one value a row of X expected ({n_rows}), got shape {array.shape}")
        if array.dtype.kind == "f":
            self.unless(bool(np.all(array == np.floor(array))), key, "whole numbers expected, got fractions or NaN")
        return array.astype(np.int64)

    def names(self, arrays: Arrays, key: str, n_names: int | None) -> list[str]:
        array = self.array(arrays, key)
        self.unless(
            array.ndim == 1 and array.dtype.kind in "US",
            key,
            f"a list of texts expected, got {array.dtype} {array.shape}",
        )
        names = [str(name) for name in array]
        if n_names is not None:
            self.unless(len(names) == n_names, key, f"one name a channel of X expected ({n_names}), got {len(names)}")
        twice = sorted({name for name in names if names.count(name) > 1})
        self.unless(
            not twice, key, f"unique names expected, got {', '.join(repr(name) for name in twice)} more than once"
        )
        # The bound of the model card, said while the file is still in sight.
        self.unless(all(0 < len(name) <= 128 for name in names), key, "names of 1 to 128 characters expected")
        return names


def _check_values(refuse: _Refusal, values: NDArray[Any]) -> None:
    # Judged as float32, the type of the model input: a double above its range becomes infinite there.
    with np.errstate(over="ignore"):
        infinite = np.isinf(values.astype(np.float32, copy=False))
    if infinite.any():
        where = tuple(int(index) for index in np.argwhere(infinite)[0])
        raise DatasetError(
            f"{refuse.path}: X: finite values or NaN (= missing) expected, got infinity at {list(where)}"
        )
    refuse.unless(not bool(np.isnan(values).all()), "X", "at least one value expected, got NaN everywhere")


def _check_rate(refuse: _Refusal, arrays: Arrays) -> None:
    if "fs" not in arrays:
        return
    rate = refuse.numeric(arrays, "fs")
    refuse.unless(rate.ndim == 0, "fs", f"one number expected, got shape {rate.shape}")
    value = float(rate)
    refuse.unless(
        np.isnan(value) or (np.isfinite(value) and value > 0), "fs", f"a rate above 0 Hz or NaN expected, got {value:g}"
    )


def _check_labels(refuse: _Refusal, arrays: Arrays, n_rows: int) -> None:
    if "y" not in arrays:
        return
    class_indices = refuse.whole(arrays, "y", n_rows)
    n_classes = len(refuse.names(arrays, "classes", None))
    outside = (class_indices < -1) | (class_indices >= n_classes)
    if outside.any():
        row = int(np.argmax(outside))
        expected = f"-1 (unlabelled) or a position in classes (0 to {n_classes - 1}) expected"
        raise DatasetError(f"{refuse.path}: y: {expected}, got {int(class_indices[row])} in row {row}")


def _check_windowed(refuse: _Refusal, arrays: Arrays, values: NDArray[Any]) -> None:
    if "groups" in arrays:
        refuse.whole(arrays, "groups", len(values))
    if "lengths" in arrays:
        lengths = refuse.whole(arrays, "lengths", len(values))
        inside = bool(np.all((lengths >= 0) & (lengths <= values.shape[2])))
        refuse.unless(inside, "lengths", f"0 to window_length ({values.shape[2]}) expected")


def _check_stream(refuse: _Refusal, arrays: Arrays, n_rows: int) -> None:
    t = refuse.numeric(arrays, "t")
    refuse.unless(t.shape == (n_rows,), "t", f"one time a row of X expected ({n_rows}), got shape {t.shape}")
    refuse.unless(bool(np.isfinite(t).all()), "t", "finite seconds expected, got NaN or infinity")
    # Nanoseconds in int64 reach the year 2262; what lies beyond is a wrong unit, not a time.
    refuse.unless(bool(np.all(np.abs(t) < 9e9)), "t", "seconds expected (below 9e9), got larger numbers: another unit?")
    if "run" in arrays:
        runs = refuse.whole(arrays, "run", n_rows)
        n_runs = int(runs.max()) + 1
        refuse.unless(int(runs.min()) >= 0, "run", "0 or more expected, got a negative number")
        for key in ("run_group", "run_names"):
            if key in arrays:
                refuse.unless(len(np.atleast_1d(arrays[key])) >= n_runs, key, f"one entry a run expected ({n_runs})")


def _missing_remarks(values: NDArray[np.float32], channels: NDArray[Any]) -> tuple[str, ...]:
    missing = np.isnan(values)
    remarks = []
    channel_axes = (0, 2) if values.ndim == 3 else (0,)
    empty = np.asarray(missing.all(axis=channel_axes))
    remarks += [
        f"channel {str(name)!r} has no value at all"
        for name, gone in zip(channels, empty.tolist(), strict=True)
        if gone
    ]
    if values.ndim == 3:
        n_empty = int(missing.all(axis=(1, 2)).sum())
        if n_empty:
            remarks.append(f"{n_empty} windows have no value at all")
    share = float(missing.mean())
    if share > 0:
        remarks.append(f"{share:.2%} of the values are missing (NaN)")
    return tuple(remarks)
