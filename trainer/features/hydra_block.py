"""The block `hydra`: groups of random kernels that compete for every moment of a signal.

Dempster, Schmidt, Webb: Hydra, Data Mining and Knowledge Discovery 37 (2023), arXiv 2203.13652.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from trainer.features.block import FLOOR, Features, Signals
from trainer.features.convolution import mixed
from trainer.features.course import PLAIN_COURSE, Course, CourseOptions
from trainer.features.fitting import Probe
from trainer.features.graph import Value
from trainer.features.kernels import KERNEL_LENGTH, octave_dilations

_GROUP_SIZE = 8
_FEATURES_PER_GROUP = 2 * _GROUP_SIZE
_MAX_SUBSET = 8
# Weights are multiples of this, so that they are the same numbers on every machine and take few digits.
_WEIGHT_STEP = 2.0**-10


@dataclass(frozen=True, slots=True)
class Groups:
    """The competing kernels of one dilation and representation.

    Parameters
    ----------
    dilation : int
    is_step : bool
        Whether they see the first difference instead of the signal.
    subsets : tuple of tuple of int
        Positions of the channels that each group sums.
    start : int
        Groups of all parts before it.
    """

    dilation: int
    is_step: bool
    subsets: tuple[tuple[int, ...], ...]
    start: int


@dataclass(frozen=True, slots=True)
class HydraBlock:
    """For every kernel of a group of eight: how strongly it wins, and how often it is the most negative.

    Parameters
    ----------
    n_features : int
        At most so many, at most 15 fewer; >= 84.
    seed : int
        Of the weights of the kernels and of which channels are summed.
    parts : tuple of Groups
        Empty until fitted.
    course : CourseOptions
        Chosen by `fitted`.

    Notes
    -----
    Kernels of nine normal weights, less their mean, over the sum of their absolute values; dilations 1, 2, 4 ... as far
    as they fit. At every moment the kernel with the largest response of its group wins, and its response is added up
    (``max``); the one with the lowest is counted (``min``) where that response is below -0.001 scales, so that a
    resting sensor has no winners made of rounding noise. Square roots of the means over the window, which is what the
    heads want of such counts.
    """

    kind: ClassVar[str] = "hydra"
    default_n_features: ClassVar[int] = 4_000

    n_features: int = default_n_features
    seed: int = 0
    parts: tuple[Groups, ...] = ()
    course: CourseOptions = PLAIN_COURSE

    @property
    def parameters(self) -> dict[str, Any]:
        """What the block was built with; the weights follow from the seed and stand in the graph."""
        return {
            "n_features": self.n_features,
            "dilations": sorted({part.dilation for part in self.parts}),
            "n_groups": sum(len(part.subsets) for part in self.parts),
            "seed": self.seed,
            **self.course.parameters,
        }

    def fitted(self, probe: Probe) -> HydraBlock:
        """Return the block with its groups spread over dilations and representations.

        Raises
        ------
        ValueError
            If the windows have fewer than 10 samples: the steps of a window are one fewer.
        """
        shortest = KERNEL_LENGTH + 1
        if probe.window_length < shortest:
            raise ValueError(
                f"hydra features: a window_length of at least {shortest} samples expected, got {probe.window_length}"
            )
        generator = probe.generator(self.kind)
        course = CourseOptions.chosen(self.n_features, varies_in_length=probe.varies_in_length)
        n_signals = course.n_signals(probe.scaling)
        places = [(d, is_step) for d in octave_dilations(probe.window_length - 1) for is_step in (False, True)]
        n_groups = self.n_features // _FEATURES_PER_GROUP
        parts, start = [], 0
        for position, (dilation, is_step) in enumerate(places):
            n_own = n_groups // len(places) + (position < n_groups % len(places))
            if n_own:
                subsets = tuple(_subset(n_signals, generator) for _ in range(n_own))
                parts.append(Groups(dilation, is_step, subsets, start))
            start += n_own
        return HydraBlock(self.n_features, probe.seed, tuple(parts), course)

    def build(self, signals: Signals) -> Features:
        """Add the nodes and return the features.

        Raises
        ------
        ValueError
            If the block is not fitted.
        """
        if not self.parts:
            raise ValueError("hydra features: a fitted block expected (FeatureExtractor.fitted), got an unfitted one")
        course = self.course.build(signals)
        graph = signals.graph
        values, names = [], []
        for part in self.parts:
            own = course.step() if part.is_step else course
            strengths, counts = _competition(own, part, competing_weights(part, self.seed))
            values += [strengths, counts]
            for pooling in ("max", "min"):
                names += _names(own.names, part, pooling)
        return Features(graph.apply("Flatten", graph.concat(values, axis=1), axis=1), tuple(names))


def competing_weights(part: Groups, seed: int) -> npt.NDArray[np.float64]:
    """Return the weights of the kernels of a part.

    Returns
    -------
    weights : ndarray of shape (8 * n_groups, 1, 9), float64
        Multiples of 2^-10; the sum of every kernel is 0.
    """
    generator = np.random.default_rng([seed, part.dilation, part.is_step])
    weights = generator.normal(size=(_GROUP_SIZE * len(part.subsets), 1, KERNEL_LENGTH))
    weights -= weights.mean(axis=2, keepdims=True)
    weights /= np.abs(weights).sum(axis=2, keepdims=True)
    weights = np.round(weights / _WEIGHT_STEP) * _WEIGHT_STEP
    # What rounding has left of the sum would let the level of the signal through.
    weights[:, :, KERNEL_LENGTH // 2] -= weights.sum(axis=2)
    return weights


def _competition(course: Course, part: Groups, weights: npt.NDArray[np.float64]) -> tuple[Value, Value]:
    """Return strengths and counts, each ``(N, 8 * n_groups, 1)``."""
    graph, n_groups = course.value.graph, len(part.subsets)
    margin = part.dilation * (KERNEL_LENGTH - 1) // 2
    response = graph.apply(
        "Conv",
        mixed(course.value, part.subsets, len(course.names)),
        graph.constant(weights),
        dilations=[part.dilation],
        pads=[margin, margin],
        group=n_groups,
        kernel_shape=[KERNEL_LENGTH],
    )
    if course.beyond is not None:
        # A response of 0 adds nothing to a strength and is no winner of a count.
        response = response * (1.0 - course.beyond)
    grouped = response.reshape([0, n_groups, _GROUP_SIZE, course.length])
    wins = graph.apply("GreaterOrEqual", grouped, grouped.max(axis=2)).as_float()
    strength = graph.apply("Relu", (grouped * wins).mean())
    lowest = graph.apply("Min", grouped.min(axis=2), graph.constant(-FLOOR))
    count = graph.apply("LessOrEqual", grouped, lowest).as_float().mean()
    flat = [course.own_share(value.reshape([0, _GROUP_SIZE * n_groups, 1])).sqrt() for value in (strength, count)]
    return flat[0], flat[1]


def _subset(n_signals: int, generator: np.random.Generator) -> tuple[int, ...]:
    """Return half of the channels, at least 2 and at most 8, as in the paper's form for many channels."""
    size = min(n_signals, max(2, min(n_signals // 2, _MAX_SUBSET)))
    return tuple(sorted(int(position) for position in generator.choice(n_signals, size, replace=False)))


def _names(channels: Sequence[str], part: Groups, pooling: str) -> list[str]:
    stem = f"step_{pooling}" if part.is_step else pooling
    return [
        f"{'*'.join(channels[position] for position in subset)}.{stem}_d{part.dilation}_{part.start + group}_{kernel}"
        for group, subset in enumerate(part.subsets)
        for kernel in range(_GROUP_SIZE)
    ]
