"""From the name of a set of blocks to a matrix of features."""

import os
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from onnx import ModelProto

from schemas import FeatureBlock
from trainer.features.block import Block, Features, joined, signals_of_window
from trainer.features.graph import Graph, Value
from trainer.features.raw_block import RawBlock
from trainer.features.scaling import ChannelScaling
from trainer.features.spectral_block import SpectralBlock
from trainer.features.statistics_block import StatisticsBlock

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when the package is imported

import onnxruntime as ort

FloatArray = npt.NDArray[np.float32]

BLOCKS: Mapping[str, type[RawBlock] | type[StatisticsBlock] | type[SpectralBlock]] = {
    block.kind: block for block in (RawBlock, StatisticsBlock, SpectralBlock)
}
"""Every kind of block by its name on the command line and in the card."""

# A batch of these many windows stays in the cache; 512 are slower per window.
_BATCH_LENGTH = 64


class FeatureExtractor:
    """The feature graph of a model, and the way to run it on windows.

    Parameters
    ----------
    blocks : sequence of Block
        Their features stand side by side in this order.
    scaling : ChannelScaling
        Channels and their scales, from `fit_scaling` on the training windows.
    window_length : int
        Samples of a window, >= 1.
    sampling_rate_hz : float, optional
        None where unknown. It names the frequencies; the features themselves do not depend on it.
    n_threads : int
        Threads of onnxruntime.

    Attributes
    ----------
    names : tuple of str
        ``channel.feature`` of each column.
    n_features : int

    Raises
    ------
    ValueError
        If there is no block, or the window is too short for one of them.

    Examples
    --------
    >>> windows = np.array([[[0.0, 1.0, 0.0, -1.0]]], dtype=np.float32)
    >>> extractor = FeatureExtractor([RawBlock()], ChannelScaling(("current",), (2.0,)), window_length=4)
    >>> extractor.names
    ('current.t0', 'current.t1', 'current.t2', 'current.t3')
    >>> extractor.transform(windows).tolist()
    [[0.0, 0.5, 0.0, -0.5]]
    """

    def __init__(
        self,
        blocks: Sequence[Block],
        scaling: ChannelScaling,
        window_length: int,
        sampling_rate_hz: float | None = None,
        *,
        n_threads: int = 2,
    ) -> None:
        if not blocks:
            raise ValueError("blocks: at least one expected, got none")
        if window_length < 1:
            raise ValueError(f"window_length: at least 1 sample expected, got {window_length}")
        self.blocks = tuple(blocks)
        self.scaling = scaling
        self.window_length = window_length
        self.sampling_rate_hz = sampling_rate_hz
        graph = Graph()
        window = graph.input("window", (None, len(scaling.channels), window_length))
        parts = self._parts(window)
        features = joined(parts)
        self.names = features.names
        self.n_features = len(features.names)
        self._n_features_of = [len(part.names) for part in parts]
        self._model = graph.model({"features": features.value}, {"features": (None, self.n_features)})
        options = ort.SessionOptions()
        options.intra_op_num_threads = n_threads
        options.log_severity_level = 3
        self._session = ort.InferenceSession(
            self._model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    @property
    def model(self) -> ModelProto:
        """The graph that `transform` runs: input ``window``, output ``features``."""
        return self._model

    @property
    def card_blocks(self) -> list[FeatureBlock]:
        """The blocks as the model card states them; the scales of the channels stand with each."""
        scales = dict(zip(self.scaling.channels, self.scaling.scales, strict=True))
        return [
            FeatureBlock(kind=block.kind, parameters={**block.parameters, "scales": scales}, n_features=n_features)
            for block, n_features in zip(self.blocks, self._n_features_of, strict=True)
        ]

    def build(self, window: Value) -> Value:
        """Add the same nodes to another graph and return the features ``(N, n_features)``."""
        return joined(self._parts(window)).value

    def transform(self, windows: FloatArray) -> FloatArray:
        """Return the features of the windows, by running the graph.

        Parameters
        ----------
        windows : ndarray of shape (n_windows, n_channels, window_length), float32
            NaN = missing value.

        Returns
        -------
        features : ndarray of shape (n_windows, n_features), float32
            Finite, whatever the windows hold.

        Raises
        ------
        ValueError
            If the shape does not fit.
        """
        expected = (len(self.scaling.channels), self.window_length)
        if windows.ndim != 3 or windows.shape[1:] != expected:
            raise ValueError(f"windows: shape (n_windows, {expected[0]}, {expected[1]}) expected, got {windows.shape}")
        features = np.empty((len(windows), self.n_features), dtype=np.float32)
        for start in range(0, len(windows), _BATCH_LENGTH):
            batch = np.ascontiguousarray(windows[start : start + _BATCH_LENGTH], dtype=np.float32)
            features[start : start + len(batch)] = self._session.run(["features"], {"window": batch})[0]
        return features

    def _parts(self, window: Value) -> list[Features]:
        signals = signals_of_window(window, self.scaling, self.window_length, self.sampling_rate_hz)
        return [block.build(signals) for block in self.blocks]


def blocks_of(name: str) -> tuple[Block, ...]:
    """The blocks of a name such as ``statistics+spectral``.

    Raises
    ------
    ValueError
        If a block is unknown.

    Examples
    --------
    >>> [block.kind for block in blocks_of("statistics+spectral")]
    ['statistics', 'spectral']
    """
    unknown = [part for part in name.split("+") if part not in BLOCKS]
    if unknown:
        raise ValueError(f"features: some of {', '.join(BLOCKS)} expected, got {unknown[0]!r}")
    return tuple(BLOCKS[part]() for part in name.split("+"))
