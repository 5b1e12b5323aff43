"""Logistic regression along a path of penalties, strong to weak, each fit starting where the last one ended.

Used to choose: the logits of held-out windows for every C. The final model is a `LogisticClassifier`; the objective
is the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from signals import IntArray
from trainer.learn import fit_lbfgs, forward
from trainer.learn.network import as_layers, full_batch_objective, loss_name_for, n_outputs_for, n_params

PENALTY_PATH: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
"""Every C that is tried for every candidate; the best candidate is then tried half a decade around its best."""

Logits = NDArray[np.float64]
Features = NDArray[np.float64]

# Far looser than the final fit: to compare two C, the third digit of the loss is enough.
_TOLERANCE = 2e-4
_MAX_ITERATIONS = 100
_BLOCK_LENGTH = 2048
_LARGE = 500_000
"""Values in the fitted matrix from which float32 is used."""


class PenaltyPath:
    """The fits of one fold, C by C.

    Parameters
    ----------
    fitted : ndarray of shape (n_fitted, n_features), float64
        Standardised features to fit on.
    class_indices : ndarray of shape (n_fitted,), int
    held_out : ndarray of shape (n_held_out, n_features), float64
        Features to give logits for.
    n_classes : int
        Of the problem; a class that is not among the fitted rows gets ever lower logits, as it should.
    one_vs_rest : bool
        A binary problem for each of more than two classes; the logits are then the logarithms of its sigmoids.

    Examples
    --------
    >>> X, y = np.array([[-1.0], [1.0]]), np.array([0, 1])
    >>> path = PenaltyPath(X, y, np.array([[2.0]]), n_classes=2)
    >>> weak, strong = (path.logits_at(C)[0] for C in (0.01, 1.0))
    >>> weak.shape, bool(strong[1] > weak[1] > 0.0)
    ((2,), True)
    """

    def __init__(
        self, fitted: Logits, class_indices: IntArray, held_out: Logits, *, n_classes: int, one_vs_rest: bool = False
    ) -> None:
        if fitted.shape[1] > len(fitted):
            # The optimum of an L2-penalised linear model lies in the span of the rows: rotated into it, nothing is
            # lost and the problem is as small as the number of windows. (Hastie & Tibshirani, Biostatistics 5 (2004),
            # 329-340.)
            _, _, basis = np.linalg.svd(fitted, full_matrices=False)
            fitted, held_out = fitted @ basis.T, held_out @ basis.T
        # float32 takes half the time of a large problem, where a choice does not hang on the seventh digit. Few
        # windows can be separable: then the objective gets so flat that the line search needs the digits.
        self._dtype: type[np.float32 | np.float64] = np.float32 if fitted.size > _LARGE else np.float64
        self._fitted: NDArray[np.floating[Any]] = np.ascontiguousarray(fitted, self._dtype)
        self._held_out: NDArray[np.floating[Any]] = np.ascontiguousarray(held_out, self._dtype)
        self._class_indices = class_indices
        self._is_split = one_vs_rest and n_classes > 2
        self._loss = "one_vs_rest" if self._is_split else loss_name_for(n_classes)
        self._layer_sizes = [fitted.shape[1], n_outputs_for(n_classes)]
        self._vector: NDArray[np.floating[Any]] = np.zeros(n_params(self._layer_sizes))

    def logits_at(self, penalty: float) -> Logits:
        """Logits of the held-out windows at ``C = penalty``, shape ``(n_held_out, n_classes)``."""

        def objective(vector: NDArray[np.floating[Any]]) -> tuple[float, NDArray[np.floating[Any]]]:
            loss, gradient = full_batch_objective(
                vector.astype(self._dtype),
                self._layer_sizes,
                self._fitted,
                self._class_indices,
                activation="identity",
                loss=self._loss,
                l2=1.0 / (penalty * len(self._fitted)),
                block_length=_BLOCK_LENGTH,
            )
            return float(loss), gradient.astype(np.float64)

        self._vector = fit_lbfgs(objective, self._vector, max_iter=_MAX_ITERATIONS, tol=_TOLERANCE).vector
        layers = as_layers(self._vector.astype(self._dtype), self._layer_sizes)
        logits = two_columns(forward(layers, self._held_out, "identity")[-1].astype(np.float64))
        return -np.logaddexp(0.0, -logits) if self._is_split else logits


def two_columns(logits: Logits) -> Logits:
    """One log-odds column as the two logits ``(0, z)`` of the same probabilities; more columns as they are.

    Examples
    --------
    >>> two_columns(np.array([2.0])).tolist()
    [[0.0, 2.0]]
    """
    column = logits[:, np.newaxis] if logits.ndim == 1 else logits
    if column.shape[1] > 1:
        return column
    return np.concatenate([np.zeros_like(column), column], axis=1)


def losses(logits: Logits, class_indices: IntArray) -> Logits:
    """Cross-entropy of each window in nats, shape ``(n_windows,)``; stable for any finite logits.

    Examples
    --------
    >>> losses(np.array([[0.0, 0.0], [1e4, 0.0]]), np.array([0, 1])).round(4).tolist()
    [0.6931, 10000.0]
    """
    shifted = logits - logits.max(axis=1, keepdims=True)
    picked = shifted[np.arange(len(shifted)), class_indices]
    result: Logits = np.log(np.exp(shifted).sum(axis=1)) - picked
    return result
