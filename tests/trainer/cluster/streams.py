"""A plant without labels: three kinds of vibration on two channels, several devices, each in stretches."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from signals import IntArray
from trainer.data import WindowedData

RATE_HZ = 32.0
WINDOW_LENGTH = 32
KINDS = ("idle", "pumping", "cavitation")

Arrays = dict[str, NDArray[Any]]


def signal(kind: int, n_samples: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Shape (n_samples, 2)."""
    times = np.arange(n_samples) / RATE_HZ
    tone = (0.0, 1.0, 1.0)[kind] * np.sin(2.0 * np.pi * 4.0 * times)
    noise = (0.05, 0.1, 0.8)[kind] * generator.standard_normal((2, n_samples))
    return np.stack([tone, 0.5 * tone]).T + noise.T


def plant(n_devices: int = 6, stretch_s: int = 20, seed: int = 0, *, labelled: bool = True) -> Arrays:
    """A stream file: every device runs through the three kinds, in an order of its own."""
    generator = np.random.default_rng(seed)
    n = int(stretch_s * RATE_HZ)
    pieces, labels, runs = [], [], []
    for device in range(n_devices):
        for kind in generator.permutation(3).tolist():
            pieces.append(signal(kind, n, generator))
            labels.append(np.full(n, kind))
            runs.append(np.full(n, device))
    arrays: Arrays = {
        "X": np.concatenate(pieces).astype(np.float32),
        "t": 1.7e9 + np.arange(len(pieces) * n) / RATE_HZ,
        "run": np.concatenate(runs),
        "channels": np.array(["acc_x", "acc_y"]),
        "fs": np.asarray(RATE_HZ),
    }
    return arrays | {"y": np.concatenate(labels), "classes": np.array(KINDS)} if labelled else arrays


def plant_windows(
    n_per_kind: int = 60, n_kinds: int = 3, n_devices: int = 4, seed: int = 0
) -> tuple[WindowedData, IntArray]:
    """Ready-cut windows without labels, and what each of them is."""
    generator = np.random.default_rng(seed)
    kinds = generator.permutation(np.repeat(np.arange(n_kinds), n_per_kind))
    windows = np.stack([signal(int(kind), WINDOW_LENGTH, generator).T for kind in kinds]).astype(np.float32)
    n = len(kinds)
    data = WindowedData(
        name="plant.npz",
        windows=windows,
        class_indices=np.full(n, -1, np.int64),
        classes=(),
        channels=("acc_x", "acc_y"),
        units=(None, "g"),
        sampling_rate_hz=RATE_HZ,
        hop_length=WINDOW_LENGTH,
        groups=np.arange(n, dtype=np.int64) % n_devices,
        group_key="device",
        split=np.full(n, -1, np.int64),
        recordings=np.arange(n, dtype=np.int64),
        starts=np.zeros(n, np.int64),
        rows=np.arange(n, dtype=np.int64),
        is_stream=False,
    )
    return data, kinds.astype(np.int64)


def quiet(what: str, done: int, of: int) -> None:
    """A report that nobody reads."""
