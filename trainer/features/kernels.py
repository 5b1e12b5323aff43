"""The 84 kernels of MiniRocket, and the plan of a bank of convolutions: dilations, channels, padding, how many biases.

Angus Dempster, Daniel F. Schmidt, Geoffrey I. Webb: MiniRocket, KDD 2021, arXiv 2012.08791. Kernels have nine weights:
three of 2 and six of -1, so that they sum to zero and do not see the level of a signal.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

KERNEL_LENGTH = 9
"""Samples that a kernel covers at dilation 1; at dilation d it reaches over 8 d + 1."""

TAPS: tuple[tuple[int, int, int], ...] = tuple(combinations(range(KERNEL_LENGTH), 3))
"""Where each of the 84 kernels has its weights of 2, in lexical order."""

# A convolution of several channels takes sums of subsets of them, one subset for so many kernels.
_KERNELS_PER_SUBSET = 14
_MAX_SUBSET = 9
# Biases of one kernel and dilation at which one more dilation is worth more than one more bias.
_BIASES_PER_DILATION = 3
_GOLDEN = (5.0**0.5 - 1.0) / 2.0

Generator = np.random.Generator


@dataclass(frozen=True, slots=True)
class Bank:
    """One convolution node: kernels of one dilation on sums of channels.

    Parameters
    ----------
    dilation : int
    is_padded : bool
        Whether the signal goes on as zeros beyond its ends; else only whole kernels count.
    subsets : tuple of tuple of int
        Positions of the channels that are summed; every subset belongs to as many kernels.
    kernels : tuple of int
        Indices into `TAPS`: those of the first subset, those of the second ...
    n_biases : int
        Features of every kernel.
    """

    dilation: int
    is_padded: bool
    subsets: tuple[tuple[int, ...], ...]
    kernels: tuple[int, ...]
    n_biases: int

    @property
    def margin(self) -> int:
        """Samples that the kernel reaches to either side of its centre."""
        return self.dilation * (KERNEL_LENGTH - 1) // 2

    @property
    def n_lost(self) -> int:
        """How many points fewer than samples a response has."""
        return 0 if self.is_padded else 2 * self.margin

    @property
    def n_rows(self) -> int:
        """Outputs of the convolution."""
        return len(self.kernels) * self.n_biases

    @property
    def owners(self) -> tuple[tuple[int, ...], ...]:
        """The subset of channels that each row belongs to."""
        return tuple(subset for subset in self.subsets for _ in range(self.n_rows // len(self.subsets)))

    @property
    def row_kernels(self) -> tuple[int, ...]:
        """The kernel of each row."""
        return tuple(kernel for kernel in self.kernels for _ in range(self.n_biases))


def kernel_weights() -> npt.NDArray[np.float32]:
    """Return the weights of the 84 kernels.

    Returns
    -------
    weights : ndarray of shape (84, 9), float32

    Examples
    --------
    >>> kernel_weights()[0].tolist()
    [2.0, 2.0, 2.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0]
    """
    weights = np.full((len(TAPS), KERNEL_LENGTH), -1.0, dtype=np.float32)
    for row, taps in zip(weights, TAPS, strict=True):
        row[list(taps)] = 2.0
    return weights


def spread_dilations(window_length: int, n_dilations: int) -> tuple[int, ...]:
    """Return dilations, evenly spread on a logarithmic scale, whose kernels fit into the window.

    Parameters
    ----------
    window_length : int
        Samples, >= 9.
    n_dilations : int
        At most so many; those that fall on the same number count once.

    Raises
    ------
    ValueError
        If no kernel fits.

    Examples
    --------
    >>> spread_dilations(128, 4)
    (1, 2, 6, 15)
    """
    if window_length < KERNEL_LENGTH:
        raise ValueError(f"a window_length of at least {KERNEL_LENGTH} samples expected, got {window_length}")
    widest = (window_length - 1) // (KERNEL_LENGTH - 1)
    steps = np.geomspace(1.0, float(widest), n_dilations).tolist() if n_dilations > 1 else [1.0]
    # The rounding of the geometric series must not push a kernel over the end, nor fall one short of it.
    return tuple(sorted({min(int(step + 1e-9), widest) for step in steps}))


def octave_dilations(window_length: int) -> tuple[int, ...]:
    """Return the powers of two whose kernels fit into the window.

    Examples
    --------
    >>> octave_dilations(128)
    (1, 2, 4, 8)
    """
    widest = spread_dilations(window_length, 2)[-1]
    return tuple(1 << exponent for exponent in range(widest.bit_length()))


def random_subset(n_channels: int, generator: Generator) -> tuple[int, ...]:
    """Return some of the channels, few more often than many: the logarithm of their number is uniform, at most 9."""
    exponent = generator.uniform(0.0, np.log2(min(n_channels, _MAX_SUBSET) + 1))
    size = int(2.0**exponent)
    return tuple(sorted(int(position) for position in generator.choice(n_channels, size, replace=False)))


def plan_banks(
    n_rows: int,
    window_length: int,
    n_channels: int,
    generator: Generator,
    *,
    max_dilations: int = 32,
    kernels_per_bank: int = 42,
    pad_first: bool = True,
    pad_all: bool = False,
) -> tuple[Bank, ...]:
    """Return banks with exactly so many rows.

    Parameters
    ----------
    n_rows : int
        >= 1. A row is one kernel at one dilation with one bias.
    window_length : int
        Samples, >= 9.
    n_channels : int
    generator : Generator
        Draws which kernels are padded and which channels they see.
    max_dilations : int
    kernels_per_bank : int
        A multiple of 14 that divides 84. A budget of few banks takes a part of the kernels at each of four dilations
        rather than all of them at one.
    pad_first : bool
        Whether the first bank is padded; from one to the next, in kernels as in dilations, padding alternates.
    pad_all : bool
        Whether all of them are.

    Notes
    -----
    Dilations: 4, or one per octave of a long window, and more once every kernel has three biases at each of them, at
    most 32 (as in the paper). What is left of the budget goes to a smaller, padded bank of the first dilation.
    """
    n_parts = len(TAPS) // kernels_per_bank
    n_full = n_rows // kernels_per_bank
    octaves = int(np.ceil(np.log2((window_length - 1) / (KERNEL_LENGTH - 1)))) if window_length > KERNEL_LENGTH else 1
    per_kernel = n_full // n_parts
    wanted = max(4, octaves, per_kernel // _BIASES_PER_DILATION)
    affordable = max(per_kernel, min(4, n_full), 1)
    dilations = spread_dilations(window_length, min(wanted, affordable, max_dilations))
    n_banks = n_parts * len(dilations)
    banks = []
    for position, dilation in enumerate(dilations):
        order = generator.permutation(len(TAPS))
        for part in range(n_parts):
            number = part * len(dilations) + position
            n_biases = n_full // n_banks + (number < n_full % n_banks)
            if n_biases:
                kernels = tuple(
                    int(kernel) for kernel in order[part * kernels_per_bank : (part + 1) * kernels_per_bank]
                )
                subsets = _subsets(n_channels, kernels_per_bank // _KERNELS_PER_SUBSET, generator)
                is_padded = pad_all or ((position + part) % 2 == 0) == pad_first
                banks.append(Bank(dilation, is_padded, subsets, kernels, n_biases))
    if n_rows % kernels_per_bank:
        kernels = tuple(int(kernel) for kernel in generator.permutation(len(TAPS))[: n_rows % kernels_per_bank])
        subsets = _subsets(n_channels, 1, generator)
        banks.append(Bank(dilations[0], is_padded=True, subsets=subsets, kernels=kernels, n_biases=1))
    return tuple(banks)


def _subsets(n_channels: int, n_subsets: int, generator: Generator) -> tuple[tuple[int, ...], ...]:
    if n_channels == 1:
        return ((0,),)
    return tuple(random_subset(n_channels, generator) for _ in range(n_subsets))


def spread_levels(n_levels: int, start: int = 0) -> npt.NDArray[np.float64]:
    """Return levels between 0 and 1 that fill the interval evenly, wherever the sequence is cut.

    Examples
    --------
    >>> spread_levels(3).round(3).tolist()
    [0.618, 0.236, 0.854]
    """
    levels: npt.NDArray[np.float64] = np.arange(start + 1.0, start + n_levels + 1.0) * _GOLDEN % 1.0
    return levels
