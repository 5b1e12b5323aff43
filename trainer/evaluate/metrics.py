"""Metrics of a classifier, computed from class indices and probabilities; equal to scikit-learn's where it has them.

Conventions: ``class_indices`` are true classes ``(n_windows,)``, ``predicted`` the answers, ``probabilities``
``(n_windows, n_classes)`` with rows that sum to 1. A class without a single true window is handled as scikit-learn
does: it does not count in the balanced accuracy, it counts in macro F1 only if it was ever predicted (with F1 = 0),
and its recall is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from signals import IntArray
from trainer.evaluate.confusion import balanced_accuracy, class_scores, confusion_matrix, macro_f1
from trainer.evaluate.intervals import Interval, metric_intervals
from trainer.learn import expected_calibration_error

Probabilities = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ClassScore:
    """How one class was met."""

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All metrics of one set of windows; `as_dict` gives the keys of ``trainer evaluate --json``."""

    n_windows: int
    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    log_loss: float
    ece: float
    classes: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    per_class: dict[str, ClassScore]
    intervals: dict[str, Interval] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "n_windows": self.n_windows,
            "accuracy": self.accuracy,
            "balanced_accuracy": self.balanced_accuracy,
            "macro_f1": self.macro_f1,
            "log_loss": self.log_loss,
            "ece": self.ece,
            "classes": list(self.classes),
            "confusion": [list(row) for row in self.confusion],
            "per_class": {
                name: {"precision": score.precision, "recall": score.recall, "f1": score.f1, "support": score.support}
                for name, score in self.per_class.items()
            },
            "intervals": {name: list(interval) for name, interval in self.intervals.items()},
        }


def evaluate_probabilities(
    probabilities: NDArray[np.floating[Any]],
    class_indices: IntArray,
    classes: Sequence[str],
    *,
    groups: IntArray | None = None,
    seed: int = 0,
) -> Evaluation:
    """All metrics of these answers.

    Parameters
    ----------
    probabilities : ndarray of shape (n_windows, n_classes)
        Finite, rows sum to 1. The answer is the first class of the highest probability.
    class_indices : ndarray of shape (n_windows,), int
        True classes, in ``0 .. n_classes - 1``.
    classes : sequence of str
        Names, in the order of the columns.
    groups : ndarray of shape (n_windows,), int, or None
        Windows of one group are not independent: with groups, intervals are taken over groups.
    seed : int
        Of the bootstrap.

    Raises
    ------
    ValueError
        If there are no windows, or shapes or classes do not fit.

    Examples
    --------
    >>> result = evaluate_probabilities(
    ...     np.array([[0.8, 0.2], [0.4, 0.6], [0.7, 0.3]]), np.array([0, 1, 1]), ("off", "on")
    ... )
    >>> result.confusion, round(result.accuracy, 3), result.per_class["on"].recall
    (((1, 0), (1, 1)), 0.667, 0.5)
    """
    values = np.asarray(probabilities, np.float64)
    n_windows, n_classes = len(class_indices), len(classes)
    if not n_windows or values.shape != (n_windows, n_classes):
        message = f"probabilities of shape ({n_windows}, {n_classes}), n_windows > 0, expected, got {values.shape}"
        raise ValueError(message)
    if int(class_indices.min()) < 0 or int(class_indices.max()) >= n_classes:
        got = f"{int(class_indices.min())} .. {int(class_indices.max())}"
        message = f"class indices in 0 .. {n_classes - 1} expected, got {got}"
        raise ValueError(message)
    predicted = values.argmax(axis=1)
    confusion = confusion_matrix(class_indices, predicted, n_classes)
    precision, recall, f1 = class_scores(confusion)
    support = confusion.sum(axis=1)
    return Evaluation(
        n_windows=n_windows,
        accuracy=float(np.trace(confusion)) / n_windows,
        balanced_accuracy=float(balanced_accuracy(confusion)),
        macro_f1=float(macro_f1(confusion)),
        log_loss=log_loss(values, class_indices),
        ece=expected_calibration_error(values, class_indices),
        classes=tuple(classes),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        per_class={
            name: ClassScore(float(precision[index]), float(recall[index]), float(f1[index]), int(support[index]))
            for index, name in enumerate(classes)
        },
        intervals=metric_intervals(class_indices, predicted, n_classes, groups=groups, seed=seed),
    )


def log_loss(probabilities: NDArray[np.floating[Any]], class_indices: IntArray) -> float:
    """Mean negative log of the probability of the true class, in nats.

    A probability of 0 counts as the smallest step of float32 (1.19e-7), the type of the model's output: the loss of
    one window is at most 15.9 nats, never infinite.

    Examples
    --------
    >>> round(log_loss(np.array([[0.5, 0.5], [0.25, 0.75]]), np.array([0, 1])), 4)
    0.4904
    >>> round(log_loss(np.array([[1.0, 0.0]]), np.array([1])), 2)
    15.94
    """
    return float(window_losses(probabilities, class_indices).mean()) + 0.0


def window_losses(probabilities: NDArray[np.floating[Any]], class_indices: IntArray) -> NDArray[np.float64]:
    """The terms of `log_loss`, one a window, shape ``(n_windows,)``, in nats."""
    chosen = np.asarray(probabilities, np.float64)[np.arange(len(class_indices)), class_indices]
    smallest = float(np.finfo(np.float32).eps)
    # The upper end is not clipped: a certain and right answer costs nothing.
    losses: NDArray[np.float64] = -np.log(np.clip(chosen, smallest, 1.0))
    return losses
