"""Judged windows with answers written by hand, and a small model file, for the tests of the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from typer.testing import CliRunner

from trainer.cli import app
from trainer.data import WindowedData
from trainer.data.examples import example_windows
from trainer.report.judged import Judged


def answers(
    labels: Sequence[int],
    predicted: Sequence[int],
    *,
    confidence: float | Sequence[float] = 0.9,
    groups: Sequence[int] | None = None,
    n_classes: int = 2,
    novelty: Sequence[float] | None = None,
    split: str = "test",
) -> Judged:
    """Windows of one channel whose answers, and how sure they are, were chosen."""
    n_windows = len(labels)
    sure = np.broadcast_to(np.asarray(confidence, np.float64), (n_windows,))
    probabilities = np.repeat(((1.0 - sure) / (n_classes - 1))[:, None], n_classes, axis=1)
    probabilities[np.arange(n_windows), list(predicted)] = sure
    data = WindowedData(
        name="made.npz",
        windows=np.arange(n_windows * 4, dtype=np.float32).reshape(n_windows, 1, 4),
        class_indices=np.array(labels, np.int64),
        classes=tuple(f"class {index}" for index in range(n_classes)),
        channels=("current",),
        units=("A",),
        sampling_rate_hz=2.0,
        hop_length=4,
        groups=np.array(groups if groups is not None else [-1] * n_windows, np.int64),
        group_key="device" if groups is not None else None,
        split=np.ones(n_windows, np.int64),
        recordings=np.arange(n_windows),
        starts=np.zeros(n_windows, np.int64),
        rows=np.arange(n_windows) + 100,
        is_stream=False,
    )
    found = np.asarray(novelty if novelty is not None else [0.3] * n_windows, np.float64)
    return Judged(data, probabilities, found, split, was_fitted_on=False, has_new_groups=None)


def write_data(path: Path, classes: tuple[str, str] = ("slow", "fast"), n_recordings: int = 16) -> Path:
    """A file of labelled windows: a quarter of the devices for testing, every tenth label wrong."""
    data = example_windows(n_recordings=n_recordings)
    labels = data.class_indices.copy()
    labels[::10] = 1 - labels[::10]
    np.savez(
        path,
        X=data.windows,
        y=labels,
        classes=np.array(classes),
        channels=np.array(data.channels),
        fs=np.asarray(32.0),
        groups=data.groups,
        split=(data.groups >= n_recordings * 3 // 4).astype(np.int8),
    )
    return path


def write_model(data: Path, out: Path) -> Path:
    """A model fitted on the training rows of the file, as a user fits it."""
    arguments = ["fit", data, "--out", out, "--features", "statistics", "--head", "logistic"]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return out
