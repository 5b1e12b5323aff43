"""What convolutions run over: the channels without gaps, and where each window ends.

Recorded windows may be shorter than the longest: they are padded with NaN at the end. A gateway's windows always have
their full length, but samples may be missing inside. Convolutions spread what stands in a gap over their whole reach,
so a gap is bridged from its neighbours, and the padding is left out of every pooling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from trainer.features.block import Signals, with_magnitudes
from trainer.features.graph import Value
from trainer.features.scaling import ChannelScaling

# A gap is bridged from present samples at most this far away; the middle of a longer one is the mean of its channel.
_REACH = 8
# Weight of a neighbour: its distance to the power of -4, so that the nearest on either side count and little else.
_POWER = -4.0
# Weight of the channel's mean beside them; the furthest neighbour has 2.4e-4.
_WEIGHT_OF_MEAN = 1e-8
# From this budget on, convolutions also see the magnitudes of sensors with three axes.
_BUDGET_FOR_MAGNITUDES = 2_000


@dataclass(frozen=True, slots=True)
class Course:
    """Signals without gaps, and where each window ends.

    Parameters
    ----------
    value : Value of shape (N, n_channels, length)
        0 after the end.
    names : tuple of str
    length : int
        Of the longest window.
    beyond : Value of shape (N, 1, length), optional
        1 after the last sample of the window, else 0; None where every window is as long as the longest.
    n_samples : Value of shape (N, 1, 1), optional
        How many samples stand before the end, >= 1, beside `beyond`.
    """

    value: Value
    names: tuple[str, ...]
    length: int
    beyond: Value | None = None
    n_samples: Value | None = None

    def step(self) -> Course:
        """Return the first difference, one sample shorter."""
        difference = self.value[1:] - self.value[:-1]
        if self.beyond is None or self.n_samples is None:
            return Course(difference, self.names, self.length - 1)
        # The step over the end is none.
        beyond = self.beyond[1:]
        n_steps = (self.n_samples - 1.0).at_least(1.0)
        return Course(difference * (1.0 - beyond), self.names, self.length - 1, beyond, n_steps)

    def own_share(self, share: Value) -> Value:
        """Return a share of the points of the longest window as the share of the points of each window's own.

        Parameters
        ----------
        share : Value that broadcasts with (N, 1, 1)
            A mean over `length` points, those beyond the end being 0.
        """
        if self.n_samples is None:
            return share
        return share * (float(self.length) / self.n_samples)


@dataclass(frozen=True, slots=True)
class CourseOptions:
    """How windows become courses; stated in the card.

    Parameters
    ----------
    is_masked : bool
        Leave the padding after the last present sample out. Only where training windows differ in length: a live
        window of full length with its last samples missing is not a shorter one. By cross-validation on the training
        windows, MiniRocket 2,000 + ridge: JapaneseVowels .950 to .978, GesturePebbleZ2 .952 to .980.
    magnitudes : bool
        Whether the magnitudes of sensors with three axes stand beside the channels.
    """

    is_masked: bool = False
    magnitudes: bool = False

    @property
    def parameters(self) -> dict[str, Any]:
        """The options as JSON values."""
        return {"masked": self.is_masked, "magnitudes": self.magnitudes}

    @classmethod
    def chosen(cls, n_features: int, *, varies_in_length: bool) -> CourseOptions:
        """Return the options for a budget and for training windows that do or do not vary in length."""
        return cls(varies_in_length, n_features >= _BUDGET_FOR_MAGNITUDES)

    def n_signals(self, scaling: ChannelScaling) -> int:
        """Return how many signals a course has."""
        return len(scaling.channels) + (len(scaling.axis_groups) if self.magnitudes else 0)

    def build(self, signals: Signals) -> Course:
        """Add the nodes and return the course."""
        filled = bridged(signals)
        names, length = signals.channels, signals.window_length
        if self.magnitudes:
            names = signals.derived_channels
        if not self.is_masked:
            return Course(with_magnitudes(filled, signals.scaling) if self.magnitudes else filled, names, length)
        graph = signals.graph
        is_present = 1.0 - graph.apply("IsNaN", signals.given).as_float()
        counts = graph.constant(np.arange(1, length + 1).reshape(1, 1, -1))
        n_samples = (is_present.max(axis=1) * counts).max().at_least(1.0)
        beyond = graph.apply("Greater", counts, n_samples).as_float()
        filled = filled * (1.0 - beyond)
        value = with_magnitudes(filled, signals.scaling) if self.magnitudes else filled
        return Course(value, names, length, beyond, n_samples)


PLAIN_COURSE = CourseOptions()
"""The channels alone, to the end of the window."""


def bridged(signals: Signals) -> Value:
    """Return the scaled channels with every gap bridged from its neighbours ``(N, n_channels, window_length)``.

    A missing sample is the mean of the present samples at most 8 away, weighted by their distance to the power of -4:
    close to the straight line across a short gap, at two convolutions' cost. Where none is so near, it is the mean of
    the channel.
    """
    graph, scaled = signals.graph, signals.window
    reach = min(_REACH, signals.window_length - 1)
    if reach < 1:
        return scaled
    is_missing = graph.apply("IsNaN", signals.given)
    is_present = 1.0 - is_missing.as_float()
    distances = np.abs(np.arange(-reach, reach + 1.0))
    weights = np.where(distances > 0.0, np.maximum(distances, 1.0) ** _POWER, 0.0)
    n_channels = len(signals.channels)
    kernels = graph.constant(np.tile(weights, (n_channels, 1, 1)))
    options = {"pads": [reach, reach], "group": n_channels, "kernel_shape": [len(weights)]}
    # Where a sample is missing, `scaled` is the mean of its channel; its weight is far below that of any neighbour.
    weighted = graph.apply("Conv", scaled * is_present, kernels, **options) + scaled * _WEIGHT_OF_MEAN
    weight = graph.apply("Conv", is_present, kernels, graph.constant(np.full(n_channels, _WEIGHT_OF_MEAN)), **options)
    return graph.apply("Where", is_missing, weighted / weight, scaled)
