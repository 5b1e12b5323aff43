"""The block `quantiles`: the distribution of values in the whole window and in its halves, quarters ...

In the spirit of QUANT (Dempster, Schmidt, Webb, arXiv 2308.00928): quantiles over dyadic intervals of a signal and of
its first difference. Sorting is the dearest operation of a feature graph, so long windows are averaged down before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from trainer.features.block import Features, Signals, per_channel
from trainer.features.graph import Value

_MAX_PER_CHANNEL = 500
_MAX_DEPTH = 5
_FEWEST_SAMPLES = 4
_REPRESENTATIONS = ("", "step_")


@dataclass(frozen=True, slots=True)
class QuantilesBlock:
    """Quantiles of the samples and of their steps, over the window cut into 1, 2, 4, 8 and 16 equal intervals.

    Parameters
    ----------
    n_features : int
        At most so many over all channels, and at most 500 a channel; fewer where windows are short. With many channels
        the least is one quantile of each.
    max_points : int
        Longer windows are cut into pieces of equal length and each is represented by its mean; what is left over at
        the end, less than one piece, is dropped.

    Notes
    -----
    A quantile is one of the samples, that of the nearest rank: no interpolation. Intervals have at least 4 samples;
    what is left over at the end of a window, less than one sample an interval, is dropped.
    """

    kind: ClassVar[str] = "quantiles"
    default_n_features: ClassVar[int] = 2_000

    n_features: int = default_n_features
    max_points: int = 1024

    @property
    def parameters(self) -> dict[str, Any]:
        """What the block was built with."""
        return {"n_features": self.n_features, "max_points": self.max_points}

    def build(self, signals: Signals) -> Features:
        """Add the nodes and return the features.

        Raises
        ------
        ValueError
            If the window has fewer than 5 samples.
        """
        if signals.window_length <= _FEWEST_SAMPLES:
            raise ValueError(
                f"quantiles features: a window_length of at least {_FEWEST_SAMPLES + 1} samples expected, "
                f"got {signals.window_length}"
            )
        pool_length = -(-signals.window_length // self.max_points)
        n_points = signals.window_length // pool_length
        value = signals.derived
        if pool_length > 1:
            value = value[: n_points * pool_length].reshape([0, 0, n_points, pool_length]).mean()
            value = value.reshape([0, 0, n_points])
        n_signals = len(signals.derived_channels)
        budget = min(_MAX_PER_CHANNEL, self.n_features // n_signals) // len(_REPRESENTATIONS)
        parts: list[tuple[list[str], Value]] = []
        for stem, own, length in (("", value, n_points), ("step_", value[1:] - value[:-1], n_points - 1)):
            for n_intervals, n_quantiles in quantile_plan(length, max(budget, 1)):
                parts.append(_quantiles(own, stem, length, n_intervals, n_quantiles))
        return per_channel(parts, signals.derived_channels)


def quantile_plan(length: int, budget: int) -> list[tuple[int, int]]:
    """Return how many intervals there are at each depth, and how many quantiles of each.

    Every depth gets the same share of the budget; what the deeper ones cannot use goes to the whole window.

    Examples
    --------
    >>> quantile_plan(128, 250)
    [(1, 56), (2, 25), (4, 12), (8, 6), (16, 3)]
    >>> quantile_plan(8, 250)
    [(1, 8), (2, 4)]
    """
    depths = [1 << depth for depth in range(_MAX_DEPTH) if length >> depth >= _FEWEST_SAMPLES and 1 << depth <= budget]
    # A depth whose share is not one quantile an interval is left out, the deepest first.
    while depths[-1] > budget // len(depths):
        depths.pop()
    share = budget // len(depths)
    deeper = [(n_intervals, min(share // n_intervals, length // n_intervals)) for n_intervals in depths[1:]]
    used = sum(n_intervals * n_quantiles for n_intervals, n_quantiles in deeper)
    return [(1, min(budget - used, length)), *deeper]


def quantile_ranks(n_samples: int, n_quantiles: int) -> list[int]:
    """Return which of the samples, sorted from the largest, stand for evenly spread levels.

    Examples
    --------
    >>> quantile_ranks(5, 3), quantile_ranks(4, 4), quantile_ranks(8, 1)
    ([0, 2, 4], [0, 1, 2, 3], [4])
    """
    if n_quantiles == 1:
        return [n_samples // 2]
    return [round(rank) for rank in np.linspace(0.0, n_samples - 1.0, n_quantiles)]


def _quantiles(x: Value, stem: str, length: int, n_intervals: int, n_quantiles: int) -> tuple[list[str], Value]:
    graph, n_samples = x.graph, length // n_intervals
    pieces = x[: n_intervals * n_samples].reshape([0, 0, n_intervals, n_samples])
    ranks = quantile_ranks(n_samples, n_quantiles)
    # Only as many as the last rank asks for are sorted.
    k = graph.constant([ranks[-1] + 1], np.int64)
    descending, _ = graph.apply_many("TopK", 2, pieces, k, axis=-1, largest=1, sorted=1)
    names = [
        f"{stem}quantile_{1.0 - rank / max(n_samples - 1, 1):.3g}_{interval + 1}_of_{n_intervals}_{number}"
        for interval in range(n_intervals)
        for number, rank in enumerate(ranks)
    ]
    return names, descending.take(ranks).reshape([0, 0, n_intervals * n_quantiles])
