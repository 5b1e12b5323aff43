"""The figures of one measurement."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ModelCost:
    """What a model took in a process of its own, on one thread of onnxruntime.

    Times are CPU time of that process: what neighbours on the same machine do lengthens a wall clock, and this far
    less. They belong to the machine that measured; ratios between models travel better than the figures themselves.

    Attributes
    ----------
    us_per_window_batch_1, us_per_window_batch_64 : float
        Microseconds a window, the median of the rounds, one window and 64 windows at a time.
    us_batch_1_range, us_batch_64_range : tuple of float
        The noise: least and most of the rounds.
    us_p95_batch_1 : float
        95 of 100 single windows took at most this long.
    kib : float
        Size of the file, in KiB.
    rss_mib : float
        Memory that the process held after loading and answering both batches, over what the bare imports take, in MiB.
    load_ms : float
        CPU milliseconds to open the session.
    n_nodes, n_parameters : int
        Nodes of the graph, and numbers in its initializers.
    n_rounds : int

    Examples
    --------
    >>> cost = ModelCost(80.0, (78.0, 91.5), 20.0, (19.0, 22.0), 95.0, 300.0, 12.5, 9.0, 120, 70_000, 5)
    >>> cost.noise
    '80 µs a window (78 … 91.5 in 5 rounds), 20 µs in batches of 64 (19 … 22)'
    >>> cost.as_dict()["us_batch_1_range"]
    [78.0, 91.5]
    """

    us_per_window_batch_1: float
    us_batch_1_range: tuple[float, float]
    us_per_window_batch_64: float
    us_batch_64_range: tuple[float, float]
    us_p95_batch_1: float
    kib: float
    rss_mib: float
    load_ms: float
    n_nodes: int
    n_parameters: int
    n_rounds: int

    @property
    def noise(self) -> str:
        """Both times with the least and the most of the rounds, in one line."""
        single, batch = self.us_batch_1_range, self.us_batch_64_range
        return (
            f"{self.us_per_window_batch_1:.3g} µs a window ({single[0]:.3g} … {single[1]:.3g} in {self.n_rounds} "
            f"rounds), {self.us_per_window_batch_64:.3g} µs in batches of 64 ({batch[0]:.3g} … {batch[1]:.3g})"
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values under the names of the attributes."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
