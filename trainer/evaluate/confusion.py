"""The confusion matrix and what follows from it, for one matrix or for a thousand at once (leading axes)."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True, eq=False)
class ClassCounts:
    """What the scores of classes follow from: the diagonal of a confusion matrix and its sums, for one or for many.

    Attributes
    ----------
    right, true, answered : ndarray of shape (..., n_classes)
        Windows of a class that were named rightly, that were there, and that were called so.
    """

    right: NDArray[Any]
    true: NDArray[Any]
    answered: NDArray[Any]

    @classmethod
    def of(cls, confusion: NDArray[Any]) -> ClassCounts:
        """Those of a confusion matrix ``(..., n_classes, n_classes)``."""
        return cls(np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(axis=-1), confusion.sum(axis=-2))

    def scores(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Precision, recall and F1 of each class; 0 where nothing was predicted or nothing was there."""
        both = self.true + self.answered
        return _ratio(self.right, self.answered), _ratio(self.right, self.true), _ratio(2 * self.right, both)

    def accuracy(self) -> NDArray[np.float64]:
        """Share of windows that were named rightly."""
        return np.asarray(_ratio(self.right.sum(axis=-1), self.true.sum(axis=-1)))

    def balanced_accuracy(self) -> NDArray[np.float64]:
        """Mean recall over the classes that are there."""
        _, recall, _ = self.scores()
        is_there = self.true > 0
        return np.asarray(_ratio((recall * is_there).sum(axis=-1), is_there.sum(axis=-1)))

    def macro_f1(self) -> NDArray[np.float64]:
        """Mean F1 over the classes that are there or were answered."""
        _, _, f1 = self.scores()
        counts = (self.true + self.answered) > 0
        return np.asarray(_ratio((f1 * counts).sum(axis=-1), counts.sum(axis=-1)))


def class_scores(confusion: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Precision, recall and F1 of each class; 0 where nothing was predicted or nothing was there.

    Parameters
    ----------
    confusion : ndarray of shape (..., n_classes, n_classes)
    """
    return ClassCounts.of(confusion).scores()


def balanced_accuracy(confusion: NDArray[Any]) -> NDArray[np.float64]:
    """Mean recall over the classes that are there, for each matrix of ``(..., n_classes, n_classes)``.

    Notes
    -----
    Brodersen et al., *The balanced accuracy and its posterior distribution*, ICPR 2010.
    """
    return ClassCounts.of(confusion).balanced_accuracy()


def macro_f1(confusion: NDArray[Any]) -> NDArray[np.float64]:
    """Mean F1 over the classes that are there or were answered, for each matrix of ``(..., n_classes, n_classes)``."""
    return ClassCounts.of(confusion).macro_f1()
