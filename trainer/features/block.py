"""What a block of features is given and what it gives back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from trainer.features.graph import Graph, Value
from trainer.features.scaling import ChannelScaling

if TYPE_CHECKING:
    from trainer.features.fitting import Probe

FLOOR = 1e-3
"""Smallest deviation that means anything, in scales of the channel; its square is the smallest power.

Below it lie rounding noise and dead sensors. Without the floor the logarithm of an empty bin, or the skewness of a
constant, is the largest feature of the window.
"""

_LARGEST_INPUT = 1e30
_LARGEST_SCALED = 1e9


@dataclass(frozen=True, slots=True)
class Signals:
    """One batch of windows as the blocks see it: nothing missing, every channel in its own scale.

    Parameters
    ----------
    given : Value of shape (N, n_channels, window_length)
        As it came: in the units of the channels, NaN = missing value.
    window : Value of shape (N, n_channels, window_length)
        The scaled channels, a missing value being the mean of its channel.
    derived : Value of shape (N, n_channels + n_groups, window_length)
        The same, then the magnitude of every sensor with three axes.
    scaling : ChannelScaling
    channels, derived_channels : tuple of str
        Their names.
    window_length : int
        In samples.
    sampling_rate_hz : float or None
        None where unknown: frequencies are then named by bin.
    """

    given: Value
    window: Value
    derived: Value
    scaling: ChannelScaling
    channels: tuple[str, ...]
    derived_channels: tuple[str, ...]
    window_length: int
    sampling_rate_hz: float | None

    @property
    def graph(self) -> Graph:
        """The graph that the values live in."""
        return self.window.graph


@dataclass(frozen=True, slots=True)
class Features:
    """What a block adds to the graph.

    Parameters
    ----------
    value : Value of shape (N, n_features)
    names : tuple of str
        ``channel.feature``, one per column; ``a*b.feature`` belongs to two channels.
    """

    value: Value
    names: tuple[str, ...]


class Block(Protocol):
    """A block of the feature graph: its kind, the parameters for the card, and the nodes it adds."""

    kind: ClassVar[str]

    @property
    def parameters(self) -> dict[str, Any]:
        """What the block was built with, as JSON values."""
        ...

    def build(self, signals: Signals) -> Features:
        """Add the nodes and return the features; ValueError where the window is too short for the block."""
        ...


@runtime_checkable
class FittableBlock(Block, Protocol):
    """A block that has to see training windows before it can be built."""

    def fitted(self, probe: Probe) -> Block:
        """Return the block, fitted; ValueError where the windows are too short for it."""
        ...


def replace_missing(window: Value) -> Value:
    """Return the window with every NaN replaced by the mean of what is present in its channel; 0 if nothing is.

    Values beyond 1e30 are cut there, so that no sum of a window leaves float32.
    """
    graph = window.graph
    is_missing = graph.apply("IsNaN", window)
    zero = graph.constant(0.0)
    present = graph.apply("Where", is_missing, zero, window).clip(-_LARGEST_INPUT, _LARGEST_INPUT)
    n_present = (1.0 - is_missing.as_float()).sum()
    mean = present.sum() / n_present.at_least(1.0)
    return graph.apply("Where", is_missing, mean, present)


def signals_of_window(
    window: Value, scaling: ChannelScaling, window_length: int, sampling_rate_hz: float | None
) -> Signals:
    """Return what the blocks start from.

    Parameters
    ----------
    window : Value of shape (N, n_channels, window_length)
        As it came: NaN = missing value, any finite number.
    scaling : ChannelScaling
    window_length : int
    sampling_rate_hz : float or None
    """
    graph = window.graph
    scales = graph.constant([[[scale] for scale in scaling.scales]])
    # At 1e9 scales squares and fourth powers still fit float32, and no sensor has such a resolution.
    scaled = (replace_missing(window) / scales).clip(-_LARGEST_SCALED, _LARGEST_SCALED)
    return Signals(
        given=window,
        window=scaled,
        derived=with_magnitudes(scaled, scaling),
        scaling=scaling,
        channels=scaling.channels,
        derived_channels=(*scaling.channels, *(group.name for group in scaling.axis_groups)),
        window_length=window_length,
        sampling_rate_hz=sampling_rate_hz,
    )


def with_magnitudes(scaled: Value, scaling: ChannelScaling) -> Value:
    """Return the channels, then the magnitude of every sensor with three axes."""
    magnitudes = [(scaled.take(group.positions, axis=1) ** 2).sum(axis=1).sqrt() for group in scaling.axis_groups]
    return scaled.graph.concat([scaled, *magnitudes], axis=1)


def per_channel(parts: Sequence[tuple[Sequence[str], Value]], channels: Sequence[str]) -> Features:
    """Return features side by side, channel by channel.

    Parameters
    ----------
    parts : sequence of (names, Value of shape (N, len(channels), len(names)))
    channels : sequence of str
    """
    graph = parts[0][1].graph
    names = [name for part_names, _ in parts for name in part_names]
    value = graph.concat([part for _, part in parts])
    return Features(
        graph.apply("Flatten", value, axis=1), tuple(f"{channel}.{name}" for channel in channels for name in names)
    )


def joined(parts: Sequence[Features]) -> Features:
    """Return the features of several parts side by side."""
    graph = parts[0].value.graph
    return Features(graph.concat([part.value for part in parts]), tuple(name for part in parts for name in part.names))
