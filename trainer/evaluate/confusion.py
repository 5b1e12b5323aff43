"""The confusion matrix and what follows from it, for one matrix or for a thousand at once (leading axes)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from signals import IntArray


def confusion_matrix(class_indices: IntArray, predicted: IntArray, n_classes: int) -> IntArray:
    """Counts of shape (n_classes, n_classes): rows are true classes, columns answers.

    Examples
    --------
    >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    cells = np.bincount(class_indices * n_classes + predicted, minlength=n_classes * n_classes)
    return cells.reshape(n_classes, n_classes).astype(np.int64)


def _ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> NDArray[np.float64]:
    """The quotient; 0 where the denominator is 0."""
    out = np.zeros(np.broadcast_shapes(numerator.shape, denominator.shape))
    np.divide(numerator, denominator, out=out, where=denominator > 0)
    return out


def class_scores(confusion: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Precision, recall and F1 of each class; 0 where nothing was predicted or nothing was there.

    Parameters
    ----------
    confusion : ndarray of shape (..., n_classes, n_classes)
    """
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    true, answered = confusion.sum(axis=-1), confusion.sum(axis=-2)
    return _ratio(right, answered), _ratio(right, true), _ratio(2 * right, true + answered)


def balanced_accuracy(confusion: NDArray[Any]) -> NDArray[np.float64]:
    """Mean recall over the classes that are there, for each matrix of ``(..., n_classes, n_classes)``.

    Notes
    -----
    Brodersen et al., *The balanced accuracy and its posterior distribution*, ICPR 2010.
    """
    _, recall, _ = class_scores(confusion)
    is_there = confusion.sum(axis=-1) > 0
    return np.asarray(_ratio((recall * is_there).sum(axis=-1), is_there.sum(axis=-1)))


def macro_f1(confusion: NDArray[Any]) -> NDArray[np.float64]:
    """Mean F1 over the classes that are there or were answered, for each matrix of ``(..., n_classes, n_classes)``."""
    _, _, f1 = class_scores(confusion)
    counts = (confusion.sum(axis=-1) + confusion.sum(axis=-2)) > 0
    return np.asarray(_ratio((f1 * counts).sum(axis=-1), counts.sum(axis=-1)))
