"""The convolution blocks once more, in numpy float64 and plain loops: written from the papers, not from the graphs."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

Series = npt.NDArray[np.float64]


def mini_kernel(index: int) -> Series:
    """The kernel of MiniRocket whose three weights of 2 are the `index`-th triple of nine places."""
    weights = np.full(9, -1.0)
    weights[list(list(combinations(range(9), 3))[index])] = 2.0
    return weights


def convolve(x: Series, weights: Series, dilation: int, *, is_padded: bool) -> Series:
    """Sum over j of weights[j] * x[t + (j - 4) * dilation], zeros beyond the ends, or only where nothing is beyond."""
    n, reach = len(x), 4 * dilation
    response = np.zeros(n)
    for t in range(n):
        for j, weight in enumerate(weights):
            place = t + (j - 4) * dilation
            if 0 <= place < n:
                response[t] += weight * x[place]
    return response if is_padded else response[reach : max(n - reach, reach)]


def four_poolings(response: Series, bias: float, n_longest: int, n_own: int) -> tuple[float, float, float, float]:
    """PPV, mean of positive values, mean of their indices over `n_own`, octaves of the longest stretch.

    `n_longest` is the number of responses in the longest window: its octaves are the scale of the last pooling.
    """
    shifted = response - bias
    above = [t for t, value in enumerate(shifted) if value > 0.0]
    stretch = longest = 0
    for value in shifted:
        stretch = stretch + 1 if value > 0.0 else 0
        longest = max(longest, stretch)
    lengths = [1 << exponent for exponent in range(n_longest.bit_length())]
    reached = sum(longest >= length for length in lengths) / len(lengths)
    if not above:
        return 0.0, 0.0, 0.0, reached
    return len(above) / n_own, float(np.mean(shifted[above])), sum(above) / len(above) / n_own, reached


def competition(x: Series, kernels: Sequence[Series], dilation: int) -> tuple[list[float], list[float]]:
    """Hydra: root of the mean winning response, and root of the share of the lowest responses, of each kernel."""
    responses = np.array([convolve(x, weights, dilation, is_padded=True) for weights in kernels])
    strength, count = np.zeros(len(kernels)), np.zeros(len(kernels))
    for column in responses.T:
        strength[column == column.max()] += column.max()
        if column.min() <= -1e-3:
            count[column == column.min()] += 1.0
    return np.sqrt(np.maximum(strength, 0.0) / len(x)).tolist(), np.sqrt(count / len(x)).tolist()


def bridged(x: Series) -> Series:
    """A missing sample: mean of the present ones at most 8 away, weighted by distance ** -4; else of the channel."""
    present = ~np.isnan(x)
    filled = x.copy()
    for t in np.flatnonzero(~present):
        near = [s for s in range(len(x)) if present[s] and abs(s - t) <= 8]
        weights = [float(abs(s - t)) ** -4.0 for s in near]
        filled[t] = np.average(x[near], weights=weights) if near else (x[present].mean() if present.any() else 0.0)
    return filled
