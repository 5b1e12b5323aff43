"""The block `summary`: the least that says where a channel is and how it moves, for the smallest models.

A node of the graph costs about a microsecond when windows come one at a time, whatever it computes: this block has a
third of the nodes of `statistics`.
"""

from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar

from trainer.features.block import FLOOR, Features, Signals, joined, per_channel

_MAX_CORRELATED_CHANNELS = 16


@dataclass(frozen=True, slots=True)
class SummaryBlock:
    """Level, spread, ends and roughness of every channel, and the correlations between channels.

    Formulas act on the scaled channels, as those of `statistics`, and have the same floors.
    """

    kind: ClassVar[str] = "summary"

    @property
    def parameters(self) -> dict[str, Any]:
        """What the block was built with: nothing can be chosen."""
        return {}

    def build(self, signals: Signals) -> Features:
        """Add the nodes and return the features; a window of one sample has only its mean."""
        x = signals.derived
        mean = x.mean()
        if signals.window_length == 1:
            return per_channel([(["mean"], mean)], signals.derived_channels)
        variance = ((x - mean) ** 2).mean()
        step = ((x[1:] - x[:-1]) ** 2).mean()
        # One logarithm for both: of a deviation plus the floor, as elsewhere.
        spread = (signals.graph.concat([variance, step]).sqrt() + FLOOR).log()
        parts = [(["mean"], mean), (["log_sd", "log_rms_step"], spread), (["min"], x.min()), (["max"], x.max())]
        features = [per_channel(parts, signals.derived_channels)]
        if 2 <= len(signals.channels) <= _MAX_CORRELATED_CHANNELS:
            features.append(_correlations(signals))
        return joined(features)


def _correlations(signals: Signals) -> Features:
    x, names = signals.window, signals.channels
    deviation = x - x.mean()
    z = deviation / (deviation**2).mean().sqrt().at_least(FLOOR)
    matrix = (z @ z.transpose([0, 2, 1])) * (1.0 / signals.window_length)
    pairs = list(combinations(range(len(names)), 2))
    flat = signals.graph.apply("Flatten", matrix, axis=1)
    return Features(
        flat.take([a * len(names) + b for a, b in pairs], axis=1),
        tuple(f"{names[a]}*{names[b]}.correlation_0" for a, b in pairs),
    )
