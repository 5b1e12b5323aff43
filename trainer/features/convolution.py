"""Banks of dilated convolutions as graph nodes, and the biases that are fitted by running them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from trainer.features.block import Signals
from trainer.features.course import Course
from trainer.features.fitting import Probe
from trainer.features.graph import Value
from trainer.features.kernels import KERNEL_LENGTH, TAPS, Bank, kernel_weights, spread_levels

# Windows whose responses give the biases of one bank: every kernel looks at one of them.
_FITTING_WINDOWS = 42
# Added to a response that reaches beyond the end of a window: below every response and every bias.
_BEYOND = -1e15


@dataclass(frozen=True, slots=True)
class FittedBank:
    """A bank with its biases.

    Parameters
    ----------
    bank : Bank
    biases : tuple of float
        One per row.
    start : int
        Rows of all banks before it.
    """

    bank: Bank
    biases: tuple[float, ...]
    start: int


def responses(course: Course, bank: Bank, biases: Sequence[float] | None = None) -> Value:
    """Return kernel response less bias ``(N, n_rows, n_points)``; far below 0 beyond the end of a window.

    Parameters
    ----------
    course : Course
    bank : Bank
    biases : sequence of float, optional
        One per row. Without biases there is one row per kernel.

    Raises
    ------
    ValueError
        If windows vary in length and the bank is not padded: its kernels may be longer than a window.

    Notes
    -----
    The convolution is linear, so channels are summed first, and every subset of channels is convolved once, as a group
    of its own: with six channels a sixth of the multiplications of a convolution over all of them.
    """
    graph = course.value.graph
    rows = bank.kernels if biases is None else bank.row_kernels
    weights = kernel_weights()[:, None, :]
    value = course.value
    mixing = _mixing_matrix(bank.subsets, len(course.names))
    if course.beyond is not None:
        if not bank.is_padded:
            raise ValueError("bank: padded kernels expected where windows vary in length, got whole kernels only")
        value = graph.concat([value, course.beyond], axis=1)
        # Beside each sum of channels stands the mark of the end, under the centre of the kernel.
        mark = np.zeros_like(weights)
        mark[:, :, KERNEL_LENGTH // 2] = _BEYOND
        weights = np.concatenate([weights, mark], axis=1)
        wider = np.zeros((2 * len(mixing), len(course.names) + 1))
        wider[::2, :-1] = mixing
        wider[1::2, -1] = 1.0
        mixing = wider
    value = _mixed(value, mixing)
    # The 84 kernels are written once; the runtime spreads them out when it loads the model.
    own_weights = graph.constant(weights).take(rows, axis=0)
    inputs = [value, own_weights] if biases is None else [value, own_weights, graph.constant(-np.asarray(biases))]
    margin = bank.margin if bank.is_padded else 0
    return graph.apply(
        "Conv",
        *inputs,
        dilations=[bank.dilation],
        pads=[margin, margin],
        group=len(bank.subsets),
        kernel_shape=[KERNEL_LENGTH],
    )


def is_positive(shifted: Value) -> Value:
    """Return 1.0 where the value is above 0, else 0.0.

    A steep HardSigmoid instead of a comparison: the runtime computes it inside the convolution, before its result
    leaves the registers, which halves the memory that is written.
    """
    return shifted.graph.apply("HardSigmoid", shifted, alpha=1e30, beta=0.0)


def fit_banks(
    probe: Probe, course_of: Callable[[Signals], Course], banks: Sequence[Bank], generator: np.random.Generator
) -> tuple[FittedBank, ...]:
    """Return the banks with their biases: for every kernel, quantiles of its responses in one training window.

    Parameters
    ----------
    probe : Probe
    course_of : callable of Signals to Course
        What the banks will convolve.
    banks : sequence of Bank
    generator : Generator
        Chooses the windows.

    Notes
    -----
    The levels of the quantiles are one low-discrepancy sequence that runs through all banks.
    """
    fitted, start = [], 0
    for bank in banks:
        found = probe.run(partial(_responses_of, course_of, bank), _FITTING_WINDOWS, generator)
        levels = spread_levels(bank.n_rows, start).reshape(len(bank.kernels), bank.n_biases)
        biases: list[float] = []
        for row, own_levels in enumerate(levels):
            values = found[row % len(found), row].astype(np.float64)
            values = values[values > 0.5 * _BEYOND]
            # In a window shorter than the kernel no response is whole.
            quantiles = np.quantile(values, own_levels) if len(values) else np.zeros(len(own_levels))
            biases += quantiles.astype(np.float32).tolist()
        fitted.append(FittedBank(bank, tuple(biases), start))
        start += bank.n_rows
    return tuple(fitted)


def _responses_of(course_of: Callable[[Signals], Course], bank: Bank, signals: Signals) -> Value:
    return responses(course_of(signals), bank)


def row_names(channels: Sequence[str], fitted: FittedBank, stem: str) -> list[str]:
    """Return ``channels.stem_d{dilation}_{taps}_{number}`` for every row; the number is the place among all rows."""
    bank = fitted.bank
    return [
        f"{'*'.join(channels[position] for position in owner)}.{stem}_d{bank.dilation}"
        f"_{''.join(map(str, TAPS[kernel]))}_{fitted.start + row}"
        for row, (owner, kernel) in enumerate(zip(bank.owners, bank.row_kernels, strict=True))
    ]


def mixed(value: Value, subsets: Sequence[Sequence[int]], n_channels: int) -> Value:
    """Return the sum of the channels of each subset ``(N, len(subsets), length)``."""
    return _mixed(value, _mixing_matrix(subsets, n_channels))


def _mixed(value: Value, mixing: npt.NDArray[np.float64]) -> Value:
    if np.array_equal(mixing, np.eye(mixing.shape[1])):
        return value
    return value.graph.constant(mixing) @ value


def _mixing_matrix(subsets: Sequence[Sequence[int]], n_channels: int) -> npt.NDArray[np.float64]:
    matrix = np.zeros((len(subsets), n_channels))
    for row, subset in zip(matrix, subsets, strict=True):
        row[list(subset)] = 1.0
    return matrix
