"""The block `raw`: the samples themselves."""

from dataclasses import dataclass
from typing import Any, ClassVar

from trainer.features.block import Features, Signals, per_channel


@dataclass(frozen=True, slots=True)
class RawBlock:
    """Every sample of every channel; longer windows are averaged down to at most `max_points` a channel.

    Parameters
    ----------
    max_points : int
        A window of more samples is cut into pieces of equal length and each piece is represented by its mean; what
        is left over at the end, less than one piece, is dropped.
    """

    kind: ClassVar[str] = "raw"

    max_points: int = 512

    @property
    def parameters(self) -> dict[str, Any]:
        """What the block was built with."""
        return {"max_points": self.max_points}

    def build(self, signals: Signals) -> Features:
        """Add the nodes and return the features."""
        pool_length = -(-signals.window_length // self.max_points)
        n_points = signals.window_length // pool_length
        value = signals.window
        if pool_length > 1:
            pieces = value[: n_points * pool_length].reshape([0, 0, n_points, pool_length])
            value = pieces.mean().reshape([0, 0, n_points])
        return per_channel([([f"t{index * pool_length}" for index in range(n_points)], value)], signals.channels)
