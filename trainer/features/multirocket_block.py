"""The block `multirocket`: four poolings of the responses of MiniRocket's kernels to a signal and to its steps.

Tan, Dempster, Bergmeir, Webb: MultiRocket, Data Mining and Knowledge Discovery 36 (2022), doi
10.1007/s10618-022-00844-1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from trainer.features.block import Features, Signals
from trainer.features.convolution import FittedBank, fit_banks, is_positive, responses, row_names
from trainer.features.course import PLAIN_COURSE, Course, CourseOptions
from trainer.features.fitting import Probe
from trainer.features.graph import Value
from trainer.features.kernels import KERNEL_LENGTH, plan_banks

_POOLINGS = ("ppv", "mpv", "mipv", "lspv")
_REPRESENTATIONS = ("signal", "step")
# Nodes of one bank: so many, and so many for every doubling of the stretch. The block stays below 1,400.
_NODES_PER_BANK = 22
_NODES_PER_DOUBLING = 4
_MAX_NODES = 1_350


@dataclass(frozen=True, slots=True)
class MultiRocketBlock:
    """For every kernel and bias: share, mean, mean position and longest stretch of the responses above the bias.

    Parameters
    ----------
    n_features : int
        At most so many, at most 3 fewer; >= 84.
    seed : int
        Which channels are summed, which windows give the biases.
    signal_banks, step_banks : tuple of FittedBank
        Empty until fitted.
    course : CourseOptions
        Chosen by `fitted`.

    Notes
    -----
    ``ppv``: share of responses above the bias, 0 to 1. ``mpv``: mean of their excess, 0 if there are none. ``mipv``:
    mean of their positions, 0 to 1 of the window, 0 if there are none. ``lspv``: longest stretch of them, on the
    scale of octaves: the share of the lengths 1, 2, 4, 8 ... that it reaches. That a stretch of n responses lies above
    the bias means that the largest of all minima over n neighbours does. So the minima are taken once for all biases
    of a kernel, by doubling, instead of following every feature through the window.
    """

    kind: ClassVar[str] = "multirocket"
    default_n_features: ClassVar[int] = 20_000

    n_features: int = default_n_features
    seed: int = 0
    signal_banks: tuple[FittedBank, ...] = ()
    step_banks: tuple[FittedBank, ...] = ()
    course: CourseOptions = PLAIN_COURSE

    @property
    def parameters(self) -> dict[str, Any]:
        """What the block was built with; the biases stand in the graph alone."""
        dilations = sorted({fitted.bank.dilation for fitted in (*self.signal_banks, *self.step_banks)})
        return {
            "n_features": self.n_features,
            "dilations": dilations,
            "poolings": list(_POOLINGS),
            "representations": list(_REPRESENTATIONS),
            "seed": self.seed,
            **self.course.parameters,
        }

    def fitted(self, probe: Probe) -> MultiRocketBlock:
        """Return the block with its banks planned and their biases fitted.

        Raises
        ------
        ValueError
            If the windows have fewer than 10 samples: the steps of a window are one fewer.
        """
        shortest = KERNEL_LENGTH + 1
        if probe.window_length < shortest:
            raise ValueError(
                f"multirocket features: a window_length of at least {shortest} samples expected, "
                f"got {probe.window_length}"
            )
        generator = probe.generator(self.kind)
        course = CourseOptions.chosen(self.n_features, varies_in_length=probe.varies_in_length)
        n_signals = course.n_signals(probe.scaling)
        n_rows = self.n_features // len(_POOLINGS)
        n_steps = n_rows // 2
        of_bank = _NODES_PER_BANK + _NODES_PER_DOUBLING * len(stretch_lengths(probe.window_length))
        # Two representations, and in each one bank more for what is left of the budget.
        most = max(1, _MAX_NODES // of_bank // 2 - 1)

        def banks(n_rows: int, window_length: int, *, pad_first: bool) -> tuple[Any, ...]:
            return plan_banks(
                n_rows,
                window_length,
                n_signals,
                generator,
                max_dilations=min(most, 32),
                kernels_per_bank=next((size for size in (84, 42, 28) if n_rows // size >= 4), 14),
                pad_first=pad_first,
                pad_all=course.is_masked,
            )

        signal_banks = banks(n_rows - n_steps, probe.window_length, pad_first=True)
        step_banks = banks(n_steps, probe.window_length - 1, pad_first=False)
        return MultiRocketBlock(
            self.n_features,
            probe.seed,
            fit_banks(probe, course.build, signal_banks, generator),
            fit_banks(probe, lambda signals: course.build(signals).step(), step_banks, generator),
            course,
        )

    def build(self, signals: Signals) -> Features:
        """Add the nodes and return the features.

        Raises
        ------
        ValueError
            If the block is not fitted.
        """
        if not self.signal_banks:
            raise ValueError(
                "multirocket features: a fitted block expected (FeatureExtractor.fitted), got an unfitted one"
            )
        course = self.course.build(signals)
        graph = signals.graph
        pooled, names = [], []
        for own, banks, stem in ((course, self.signal_banks, ""), (course.step(), self.step_banks, "step_")):
            for fitted in banks:
                for pooling, value in zip(_POOLINGS, _poolings(own, fitted), strict=True):
                    pooled.append(value)
                    names += row_names(own.names, fitted, stem + pooling)
        return Features(graph.apply("Flatten", graph.concat(pooled, axis=1), axis=1), tuple(names))


def stretch_lengths(n_points: int) -> tuple[int, ...]:
    """Return the powers of two that fit into so many points.

    Examples
    --------
    >>> stretch_lengths(100)
    (1, 2, 4, 8, 16, 32, 64)
    """
    return tuple(1 << exponent for exponent in range(n_points.bit_length()))


def _poolings(course: Course, fitted: FittedBank) -> tuple[Value, Value, Value, Value]:
    """Return the four poolings of a bank, each ``(N, n_rows, 1)``."""
    bank, graph = fitted.bank, course.value.graph
    n_points, n_kernels = course.length - bank.n_lost, len(bank.kernels)
    plain = responses(course, bank)
    biases = graph.constant(np.asarray(fitted.biases).reshape(n_kernels, bank.n_biases, 1))
    shifted = plain.reshape([0, n_kernels, 1, n_points]) - biases
    is_above = is_positive(shifted)
    share = is_above.mean()
    # Numerators are 0 wherever the share is.
    some = share.at_least(0.5 / n_points)
    excess = graph.apply("Relu", shifted).mean() / some
    positions = graph.constant(np.arange(n_points) / n_points)
    position = (is_above * positions).mean() / some
    reached = is_positive(_largest_minima(plain, n_points).reshape([0, n_kernels, 1, -1]) - biases).mean()
    share, excess, position, reached = (
        value.reshape([0, bank.n_rows, 1]) for value in (share, excess, position, reached)
    )
    return course.own_share(share), excess, course.own_share(position), reached


def _largest_minima(plain: Value, n_points: int) -> Value:
    """Return, for every length of a stretch, the level above which the longest stretch has at least that length."""
    minima, found = plain, [plain.max()]
    for length in stretch_lengths(n_points)[1:]:
        half = length // 2
        minima = plain.graph.apply("Min", minima[:-half], minima[half:])
        found.append(minima.max())
    return plain.graph.concat(found, axis=-1)
