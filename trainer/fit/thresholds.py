"""From out-of-fold answers to what a gateway acts on: probabilities, and the confidence below which it is unsure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from signals import IntArray
from trainer.fit.path import Logits
from trainer.learn import softmax

_LEAST_WINDOWS = 10


def calibrated(logits: Logits, temperature: float) -> NDArray[np.float64]:
    """softmax(logits / temperature), shape ``(n_windows, n_classes)``."""
    return softmax(logits / temperature).astype(np.float64)


def unsure_below(probabilities: NDArray[np.float64], class_indices: IntArray) -> float:
    """The confidence below which more than half of the answers were wrong; 0 where no such confidence is.

    The largest bound for which, among all windows with a confidence below it, the error exceeds 50 %: such a label is
    more often wrong than right. At least 10 windows must speak for a bound.

    Parameters
    ----------
    probabilities : ndarray of shape (n_windows, n_classes)
        Calibrated, of windows that the model was not fitted on.
    class_indices : ndarray of shape (n_windows,), int

    Examples
    --------
    >>> confidence = np.repeat([0.4, 0.9], 20)
    >>> rest = (1.0 - confidence) / 2.0
    >>> answers = np.stack([confidence, rest, rest], axis=1)
    >>> truth = np.repeat([1, 0], 20)
    >>> unsure_below(answers, truth)
    0.65
    """
    confidence = probabilities.max(axis=1)
    is_wrong = probabilities.argmax(axis=1) != class_indices
    order = np.argsort(confidence, kind="stable")
    ranked = confidence[order]
    share = np.cumsum(is_wrong[order]) / np.arange(1, len(order) + 1)
    # A bound lies between two different confidences; ties cannot be told apart by it.
    is_edge = np.append(ranked[1:] > ranked[:-1], True)
    candidates = np.flatnonzero(is_edge & (share > 0.5) & (np.arange(len(order)) + 1 >= _LEAST_WINDOWS))
    if not len(candidates):
        return 0.0
    last = int(candidates[-1])
    upper = ranked[last + 1] if last + 1 < len(ranked) else ranked[last]
    return round(float((ranked[last] + upper) / 2.0), 4)
