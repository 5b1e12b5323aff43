"""The formulas of the feature blocks once more, in numpy float64, window by window: written from their description."""

from itertools import combinations, permutations

import numpy as np
import numpy.typing as npt
from scipy import fft

FLOOR = 1e-3
Features = dict[str, float]
Window = npt.NDArray[np.float64]


def with_missing_replaced(window: Window) -> Window:
    filled = window.copy()
    for channel in filled:
        present = channel[~np.isnan(channel)]
        channel[np.isnan(channel)] = present.mean() if len(present) else 0.0
    return filled


def magnitude(window: Window, positions: tuple[int, int, int]) -> Window:
    return np.asarray(np.linalg.norm(window[list(positions)], axis=0))


def statistics_of(x: Window, lags: tuple[int, ...], n_segments: int) -> Features:
    n, sd = len(x), np.std(x)
    z = (x - np.mean(x)) / max(sd, FLOOR)
    step = np.diff(x)
    is_above = (x - np.mean(x)) > FLOOR
    found = {
        "mean": np.mean(x),
        "sd": sd,
        "log_sd": np.log(sd + FLOOR),
        "min": x.min(),
        "max": x.max(),
        "mean_abs": np.mean(np.abs(x)),
        "rms": np.sqrt(np.mean(x**2)),
        "mean_abs_deviation": np.mean(np.abs(x - x.mean())),
        "skew": np.mean(z**3),
        "log_kurtosis": np.log1p(np.mean(z**4)),
        "mean_abs_step": np.mean(np.abs(step)),
        "rms_step": np.sqrt(np.mean(step**2)),
        "log_rms_step": np.log(np.sqrt(np.mean(step**2)) + FLOOR),
        "crossing_rate": np.mean(is_above[1:] != is_above[:-1]),
    }
    for lag in lags:
        if 2 * lag <= n:
            found[f"autocorrelation_{lag}"] = sum(z[t + lag] * z[t] for t in range(n - lag)) / n
    if n >= 2 * n_segments:
        size = n // n_segments
        for index in range(n_segments):
            piece = x[index * size : (index + 1) * size]
            found[f"mean_{index + 1}_of_{n_segments}"] = piece.mean() - x.mean()
            found[f"log_sd_{index + 1}_of_{n_segments}"] = np.log(piece.std() + FLOOR)
    return {name: float(value) for name, value in found.items()}


def correlations(window: Window, names: list[str], cross_lags: tuple[int, ...]) -> Features:
    n = window.shape[1]
    z = (window - window.mean(axis=1, keepdims=True)) / np.maximum(window.std(axis=1, keepdims=True), FLOOR)
    found = {}
    for lag in (0, *(lag for lag in cross_lags if 2 * lag <= n)):
        pairs = permutations(range(len(names)), 2) if lag else combinations(range(len(names)), 2)
        for a, b in pairs:
            found[f"{names[a]}*{names[b]}.correlation_{lag}"] = float(np.dot(z[a, lag:], z[b, : n - lag]) / n)
    return found


def spectrum(x: Window, segment_length: int) -> npt.NDArray[np.float64]:
    """Power of the bins 1 ... by Welch's method with the FFT, scaled so that white noise of variance 1 has power 1."""
    length = min(len(x), segment_length)
    taper = np.sin(np.pi * (np.arange(length) + 0.5) / length) ** 2
    deviation = x - x.mean()
    starts = range(0, len(x) - length + 1, length - length // 2)
    power = np.mean([np.abs(fft.rfft(deviation[start : start + length] * taper)) ** 2 for start in starts], axis=0)
    return np.asarray(power[1:] / np.sum(taper**2))


def spectral_of(x: Window, segment_length: int) -> list[float]:
    power = spectrum(x, segment_length)
    n = len(power)
    octaves, first = [], 1
    while first <= n:
        octaves.append(np.log(power[first - 1 : min(2 * first - 1, n)].mean() + FLOOR**2))
        first *= 2
    centroid = np.dot(power, np.arange(1, n + 1)) / n / (power.sum() + FLOOR**2)
    dominant = (np.argmax(power) + 1) / n
    slow = []
    n_slow = min(len(x) // min(len(x), segment_length) - 1, 32)
    if n_slow > 0:
        pool = len(x) // segment_length
        n_points = len(x) // pool
        pooled = (x - x.mean())[: n_points * pool].reshape(n_points, pool).mean(axis=1)
        taper = np.sin(np.pi * (np.arange(n_points) + 0.5) / n_points) ** 2
        parts = np.abs(np.fft.fft(pooled * taper)) ** 2 / (taper**2).sum()
        slow = [float(np.log(value + FLOOR**2)) for value in parts[1 : n_slow + 1]]
    return [*np.log(power + FLOOR**2).tolist(), *map(float, octaves), float(centroid), float(dominant), *slow]
