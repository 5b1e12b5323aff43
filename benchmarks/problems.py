"""The recordings that are learned from: where they are, and their rows as a rival that knows no gaps wants them."""

from __future__ import annotations

import csv
import os
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.rivals import ROOT
from benchmarks.workload import CHANNELS, CLASSES, SAMPLING_RATE_HZ, labelled_windows

ABSENT = "skipped: the recordings are not here; TELLTALE_DATASETS names their folder"
UCI_HAR = "uci_har"
"""People: the one problem with a split that is not of the UCR and UEA archives."""

MADE = "made, 6 × 128"
"""Six channels of 128 samples: what the edge budget is stated for."""

_MADE_DEVICES, _MADE_TEST_DEVICES = 12, 4
_PUBLISHED = "published.csv"
_NOT_PUBLISHED = ("file", "measured_MiniRocket_ridge")

Published = dict[str, dict[str, float]]
"""Who -> problem -> accuracy."""


class Problem(NamedTuple):
    """Labelled windows with a given split."""

    name: str
    path: Path


class Rows(NamedTuple):
    """Training and test rows without a gap; windows ``(n_windows, n_channels, window_length)``."""

    X_train: NDArray[np.float32]
    y_train: NDArray[np.int64]
    X_test: NDArray[np.float32]
    y_test: NDArray[np.int64]


def datasets_folder() -> Path:
    """Where the recordings should be."""
    return Path(os.environ.get("TELLTALE_DATASETS", ROOT.parent / "shared" / "datasets"))


def archive_problems(folder: Path) -> list[Problem]:
    """Every problem of the folder that has a split, the one with the fewest values first."""
    paths = [*folder.glob("ucr/*.npz"), *folder.glob("uea/*.npz"), *folder.glob(f"{UCI_HAR}.npz")]
    return [Problem(path.stem, path) for path in sorted(paths, key=lambda path: (_n_bytes(path), path.name))]


def _n_bytes(path: Path) -> int:
    """Of its windows, not packed: constant signals pack well and cost as much as others."""
    with zipfile.ZipFile(path) as archive:
        return archive.getinfo("X.npy").file_size


def made_problem(folder: Path, n_windows: int = 60) -> Problem:
    """So many windows of each device of a made plant, split by device; written into the folder."""
    windows, class_indices = labelled_windows(_MADE_DEVICES, n_windows)
    groups = np.repeat(np.arange(_MADE_DEVICES), n_windows)
    split = (groups >= _MADE_DEVICES - _MADE_TEST_DEVICES).astype(np.int8)
    facts = {"classes": CLASSES, "channels": CHANNELS, "fs": SAMPLING_RATE_HZ}
    path = folder / "made.npz"
    np.savez(path, X=windows, y=class_indices, groups=groups, split=split, **facts)  # type: ignore[arg-type] # typed for positional arrays only
    return Problem(MADE, path)


def read_rows(problem: Problem) -> Rows:
    """Its labelled rows; a missing value or padding is the mean of its channel in the window, 0 if there is none."""
    with np.load(problem.path, allow_pickle=False) as archive:
        X, y, split = archive["X"].astype(np.float32), archive["y"].astype(np.int64), archive["split"]
    is_missing = np.isnan(X)
    n_present = np.maximum(1, (~is_missing).sum(axis=2, keepdims=True))
    means = np.where(is_missing, 0.0, X).sum(axis=2, keepdims=True, dtype=np.float64) / n_present
    X = np.where(is_missing, means, X).astype(np.float32)
    train, test = (split == 0) & (y >= 0), (split == 1) & (y >= 0)
    return Rows(X[train], y[train], X[test], y[test])


def read_published(folder: Path) -> Published:
    """Accuracies from the literature that stand beside the recordings; empty where there are none."""
    path = folder / _PUBLISHED
    if not path.is_file():
        return {}
    found: Published = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            problem = Path(row["file"]).stem
            for who, text in row.items():
                if text and who not in _NOT_PUBLISHED:
                    found.setdefault(who, {})[problem] = float(text)
    return found
