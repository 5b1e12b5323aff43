"""Small labelled data for examples and documentation: sines of two frequencies in noise."""

from __future__ import annotations

import numpy as np

from trainer.data.windowed import WindowedData


def example_windows(
    n_recordings: int = 4, windows_per_recording: int = 10, window_length: int = 32, seed: int = 0
) -> WindowedData:
    """Windows of two channels that overlap by half, each recording ``slow`` or ``fast`` in turn.

    Examples
    --------
    >>> data = example_windows()
    >>> data.windows.shape, data.rows_per_class()
    ((40, 2, 32), {'slow': 20, 'fast': 20})
    """
    generator = np.random.default_rng(seed)
    hop = window_length // 2
    windows, labels = [], []
    for number in range(n_recordings):
        n_samples = hop * (windows_per_recording + 1)
        phase = 2.0 * np.pi * np.arange(n_samples) / window_length * (2.0, 5.0)[number % 2]
        signal = np.stack([np.sin(phase), np.cos(phase)]) + 0.3 * generator.standard_normal((2, n_samples))
        windows += [signal[:, start * hop : start * hop + window_length] for start in range(windows_per_recording)]
        labels += [number % 2] * windows_per_recording
    n_windows = len(windows)
    recordings = np.repeat(np.arange(n_recordings), windows_per_recording)
    starts = np.tile(np.arange(windows_per_recording), n_recordings) * hop
    return WindowedData(
        name="example",
        windows=np.stack(windows).astype(np.float32),
        class_indices=np.array(labels, np.int64),
        classes=("slow", "fast"),
        channels=("x", "y"),
        units=("m/s2", None),
        sampling_rate_hz=float(window_length),
        hop_length=hop,
        groups=recordings.astype(np.int64),
        group_key="device",
        split=np.full(n_windows, -1, np.int64),
        recordings=recordings.astype(np.int64),
        starts=starts.astype(np.int64),
        rows=np.arange(n_windows),
        is_stream=False,
    )
