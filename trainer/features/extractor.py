"""From the name of a set of blocks to a matrix of features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
from onnx import ModelProto

from schemas import FeatureBlock
from trainer.features.block import Block, Features, FittableBlock, joined, signals_of_window
from trainer.features.fitting import Probe, open_session
from trainer.features.graph import Graph, Value
from trainer.features.hydra_block import HydraBlock
from trainer.features.minirocket_block import MiniRocketBlock
from trainer.features.multirocket_block import MultiRocketBlock
from trainer.features.quantiles_block import QuantilesBlock
from trainer.features.raw_block import RawBlock
from trainer.features.scaling import ChannelScaling, fit_scaling
from trainer.features.spectral_block import SpectralBlock
from trainer.features.statistics_block import StatisticsBlock
from trainer.features.summary_block import SummaryBlock

FloatArray = npt.NDArray[np.float32]

_SizedBlock = type[QuantilesBlock | MiniRocketBlock | MultiRocketBlock | HydraBlock]
_SIZED: Mapping[str, _SizedBlock] = {
    block.kind: block for block in (QuantilesBlock, MiniRocketBlock, MultiRocketBlock, HydraBlock)
}
_PLAIN: Mapping[str, type[RawBlock | SummaryBlock | StatisticsBlock | SpectralBlock]] = {
    block.kind: block for block in (RawBlock, SummaryBlock, StatisticsBlock, SpectralBlock)
}

BLOCKS: tuple[str, ...] = (*_PLAIN, *_SIZED)
"""Every kind of block, as it is called on the command line and in the card."""

MIN_BUDGET, MAX_BUDGET = 84, 50_000
"""Fewest and most features of a kind with a budget."""

# A batch of these many windows stays in the cache; 512 are slower per window.
_BATCH_LENGTH = 64
# Features of a batch times samples of a window, about what its intermediate results take: 8 windows of 128 samples for
# 10,000 features. More do not stay in the cache; long windows come one by one, so that memory has a bound.
_BATCH_VALUES = 10_000_000


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
        Batches that `transform` runs at a time, each on one thread of onnxruntime.

    Attributes
    ----------
    names : tuple of str
        ``channel.feature`` of each column.
    n_features : int
    spans : dict of str to slice
        The columns of each kind of block.

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
        self.spans = _spans(self.blocks, parts)
        self.names = features.names
        self.n_features = len(features.names)
        self._n_features_of = [len(part.names) for part in parts]
        self._model = graph.model({"features": features.value}, {"features": (None, self.n_features)})
        self._n_threads = n_threads
        self._session = open_session(self._model.SerializeToString(), 1)

    @classmethod
    def fitted(
        cls,
        blocks: Sequence[Block],
        windows: FloatArray,
        channels: Sequence[str],
        sampling_rate_hz: float | None = None,
        *,
        seed: int = 0,
        n_threads: int = 2,
    ) -> FeatureExtractor:
        """Return the extractor with everything fitted on training windows: scales of channels, biases of convolutions.

        Parameters
        ----------
        blocks : sequence of Block
            As from `blocks_of`. Blocks that are fitted already are fitted again.
        windows : ndarray of shape (n_windows, n_channels, window_length), float32
            NaN = missing value, or padding of a shorter window at its end.
        channels : sequence of str
        sampling_rate_hz : float, optional
        seed : int
            The same seed, windows and blocks give the same extractor; labels are never looked at.
        n_threads : int

        Raises
        ------
        ValueError
            If there are no windows, or they are too short for one of the blocks.

        Examples
        --------
        >>> windows = np.random.default_rng(0).normal(size=(20, 1, 50)).astype(np.float32)
        >>> extractor = FeatureExtractor.fitted(blocks_of("minirocket:168+raw"), windows, ["current"])
        >>> extractor.spans
        {'minirocket': slice(0, 168, None), 'raw': slice(168, 218, None)}
        """
        scaling = fit_scaling(windows, channels)
        probe = Probe(windows, scaling, sampling_rate_hz, seed=seed, n_threads=n_threads)
        own = [block.fitted(probe) if isinstance(block, FittableBlock) else block for block in blocks]
        return cls(own, scaling, probe.window_length, sampling_rate_hz, n_threads=n_threads)

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
        length = max(1, min(_BATCH_LENGTH, _BATCH_VALUES // (self.n_features * self.window_length)))

        def run(start: int) -> None:
            batch = np.ascontiguousarray(windows[start : start + length], dtype=np.float32)
            features[start : start + len(batch)] = self._session.run(["features"], {"window": batch})[0]

        # One thread per batch, not several on one: there is no waiting for each other at every node.
        with ThreadPoolExecutor(self._n_threads) as pool:
            for _ in pool.map(run, range(0, len(windows), length)):
                pass
        return features

    def _parts(self, window: Value) -> list[Features]:
        signals = signals_of_window(window, self.scaling, self.window_length, self.sampling_rate_hz)
        return [block.build(signals) for block in self.blocks]


def blocks_of(name: str) -> tuple[Block, ...]:
    """The blocks of a name such as ``statistics+spectral`` or ``minirocket:1000+statistics``.

    Parameters
    ----------
    name : str
        Kinds joined by ``+``, each at most once; kinds with a budget may state it: ``kind:n_features``.

    Raises
    ------
    ValueError
        If a block is unknown or stands there twice, or a number is none or belongs to a kind that has no budget.

    Examples
    --------
    >>> [block.kind for block in blocks_of("statistics+spectral")]
    ['statistics', 'spectral']
    >>> blocks_of("minirocket:500")[0].parameters["n_features"]
    500
    """
    parts = [part.partition(":") for part in name.split("+")]
    blocks: list[Block] = []
    for kind, colon, number in parts:
        if kind not in BLOCKS:
            raise ValueError(f"features: some of {', '.join(BLOCKS)} expected, got {kind!r}")
        if kind in {block.kind for block in blocks}:
            raise ValueError(f"features: every kind once expected, got {kind!r} twice")
        if kind in _PLAIN:
            if colon:
                raise ValueError(f"features: {kind!r} without a number expected, got {kind + colon + number!r}")
            blocks.append(_PLAIN[kind]())
        elif not colon:
            blocks.append(_SIZED[kind]())
        elif number.isascii() and number.isdigit() and MIN_BUDGET <= int(number) <= MAX_BUDGET:
            blocks.append(_SIZED[kind](int(number)))
        else:
            raise ValueError(
                f"features: {kind}:{MIN_BUDGET} to {kind}:{MAX_BUDGET} expected, got {kind + colon + number!r}"
            )
    return tuple(blocks)


def _spans(blocks: Sequence[Block], parts: Sequence[Features]) -> dict[str, slice]:
    spans, start = {}, 0
    for block, part in zip(blocks, parts, strict=True):
        spans[block.kind] = slice(start, start + len(part.names))
        start += len(part.names)
    return spans
