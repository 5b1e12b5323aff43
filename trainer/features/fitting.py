"""Training windows, seen through the very graph that a block will be part of."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from trainer.features.block import Signals, signals_of_window
from trainer.features.graph import Graph, Value
from trainer.features.scaling import ChannelScaling

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when the package is imported

import onnxruntime as ort

FloatArray = npt.NDArray[np.float32]

# Intermediate results of one run stay below this many numbers: 64 MB.
_MAX_VALUES = 16_000_000


def open_session(content: bytes, n_threads: int) -> ort.InferenceSession:
    """Return a session on the CPU that keeps its warnings to itself."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.log_severity_level = 3
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])


class Probe:
    """Runs any value of a feature graph on some training windows.

    Parameters
    ----------
    windows : ndarray of shape (n_windows, n_channels, window_length), float32
        NaN = missing value.
    scaling : ChannelScaling
    sampling_rate_hz : float or None
    seed : int
        Of every random choice of a block.
    n_threads : int

    Attributes
    ----------
    window_length, n_windows : int
    varies_in_length : bool
        Whether some of the windows are padded at their end.

    Raises
    ------
    ValueError
        If there are no windows.
    """

    def __init__(
        self,
        windows: FloatArray,
        scaling: ChannelScaling,
        sampling_rate_hz: float | None = None,
        *,
        seed: int = 0,
        n_threads: int = 2,
    ) -> None:
        expected = len(scaling.channels)
        if windows.ndim != 3 or windows.shape[1] != expected or not len(windows):
            raise ValueError(
                f"windows: shape (n_windows, {expected}, window_length) with windows expected, got {windows.shape}"
            )
        self.scaling = scaling
        self.window_length = int(windows.shape[2])
        self.n_windows = len(windows)
        self.seed = seed
        self.varies_in_length = _varies_in_length(windows)
        self._windows = windows
        self._sampling_rate_hz = sampling_rate_hz
        self._n_threads = n_threads

    def generator(self, kind: str) -> np.random.Generator:
        """Return the random numbers of one kind of block: the same whatever stands beside it."""
        return np.random.default_rng([self.seed, *kind.encode()])

    def run(self, build: Callable[[Signals], Value], n_windows: int, generator: np.random.Generator) -> FloatArray:
        """Return a value of the graph for windows drawn at random, all of them where there are no more.

        Parameters
        ----------
        build : callable of Signals to Value of shape (N, n_rows, n_points)
        n_windows : int
            Fewer where the results would not fit into 64 MB.
        generator : Generator
        """
        graph = Graph()
        window = graph.input("window", (None, len(self.scaling.channels), self.window_length))
        value = build(signals_of_window(window, self.scaling, self.window_length, self._sampling_rate_hz))
        model = graph.model({"value": value}, {"value": (None, None, None)})
        session = open_session(model.SerializeToString(), self._n_threads)
        order = generator.permutation(self.n_windows)[:n_windows]
        results: list[FloatArray] = []
        for start in range(len(order)):
            batch = np.ascontiguousarray(self._windows[order[start : start + 1]], dtype=np.float32)
            results.append(session.run(["value"], {"window": batch})[0])
            if (start + 2) * results[0].size > _MAX_VALUES:
                break
        return np.concatenate(results)


def _varies_in_length(windows: FloatArray) -> bool:
    """Return whether some windows end earlier than others: the last sample of every channel is missing."""
    ends_missing = np.isnan(windows[:, :, -1]).all(axis=1)
    return bool(ends_missing.any())
