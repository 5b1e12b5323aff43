"""Logistic regression: the one-layer network, fitted to its optimum by L-BFGS.

Three ways to the same optimum in less time: a large problem is first solved with float32 gradients, and float64 goes on
from there; one of more features than windows is solved in the space of the windows (`row_space`); and all classes
against the rest are one problem with one pass over X.
"""

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Self

import numpy as np
import numpy.typing as npt

from trainer.learn.activations import softmax
from trainer.learn.arrays import FloatArray, IntArray, check_sample_weight
from trainer.learn.class_weights import ClassWeight, row_weights
from trainer.learn.estimator import Classifier, ConvergenceWarning, kin_of_sklearn, require_name, require_number
from trainer.learn.network import (
    Layer,
    as_layers,
    full_batch_objective,
    loss_name_for,
    n_outputs_for,
    n_params,
    probabilities,
)
from trainer.learn.optimisers import LBFGSResult, Objective, fit_lbfgs

_LARGE = 500_000
"""Values in X from which float32 goes first."""
_FLOAT32_TOL = 1e-5
_MOST_ROTATED = 600
"""Windows up to which a rotation into their space costs less than the iterations it makes cheap."""


class LogisticClassifier(Classifier):
    """Logistic regression with an L2 penalty: binary with a sigmoid, multinomial with a softmax.

    It minimises ``C * sum_i w_i loss_i + 0.5 * ||weights||^2``, with the cross-entropy in nats as loss and a free
    intercept: the objective of ``sklearn.linear_model.LogisticRegression``.

    Parameters
    ----------
    C : float
        Inverse strength of the penalty, > 0.
    multi_class : {"multinomial", "one_vs_rest"}
        Of more than two classes: one softmax over all, or for each class a binary problem of its own against the rest.
        The probabilities of the latter are its sigmoids, divided by their sum.
    class_weight : mapping, "balanced" or None
        Label to weight; see `class_weights.row_weights`.
    max_iter : int
        Most iterations of L-BFGS; a `ConvergenceWarning` tells if they did not do.
    tol : float
        It stops when no entry of the gradient of the objective, divided by ``C * sum_i w_i``, is larger.
    fit_intercept : bool
        False: the bias stays 0.
    dtype : {"float64", "float32"}
        Of the gradients that decide when a large problem is solved (more than half a million values in X): with float32
        the float64 steps at the end are left out, and the objective is right to about six digits. Small problems are
        solved in float64, and what was learned is float64, either way.

    Attributes
    ----------
    coef_ : ndarray of shape (n_classes, n_features), or (1, n_features) for two classes
    intercept_ : ndarray of shape (n_classes,), or (1,) for two classes
    n_iter_ : ndarray of shape (1,), int
        Iterations taken.
    loss_curve_ : list of float
        The objective divided by ``C * sum_i w_i`` after each iteration: a mean in nats, plus the penalty.
    classes_, n_features_in_, feature_names_in_, layers_
        As in `Classifier`.

    Examples
    --------
    >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array(["off", "off", "on", "on"])
    >>> head = LogisticClassifier(C=10.0).fit(X, y)
    >>> head.predict([[0.5], [2.5]]).tolist(), head.score(X, y)
    (['off', 'on'], 1.0)
    """

    coef_: FloatArray
    intercept_: FloatArray
    n_iter_: npt.NDArray[np.int64]
    loss_curve_: list[float]

    def __init__(
        self,
        C: float = 1.0,  # noqa: N803 - the field's name
        *,
        multi_class: str = "multinomial",
        class_weight: ClassWeight = None,
        max_iter: int = 1000,
        tol: float = 1e-4,
        fit_intercept: bool = True,
        dtype: str = "float64",
    ) -> None:
        self.C = C
        self.multi_class = multi_class
        self.class_weight = class_weight
        self.max_iter = max_iter
        self.tol = tol
        self.fit_intercept = fit_intercept
        self.dtype = dtype

    def fit(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike | None,
        sample_weight: npt.ArrayLike | None = None,
        *,
        callback: Callable[[int, float], None] | None = None,
    ) -> Self:
        """Fit to the optimum and return self.

        Parameters
        ----------
        X : array-like of shape (n_windows, n_features)
            Standardised features: nothing is scaled here.
        y : array-like of shape (n_windows,)
            Labels, at least two different ones.
        sample_weight : array-like of shape (n_windows,), optional
            Weights of the rows, >= 0. A row of weight 2 counts as two rows.
        callback : callable, optional
            Called with (iteration, objective) after every iteration.

        Raises
        ------
        ValueError
            If a hyper-parameter is out of range, or X, y or the weights cannot be used; TypeError for sparse input.
        """
        require_number("C", self.C, 0.0, low_allowed=False)
        require_number("max_iter", self.max_iter, 1, whole=True)
        require_number("tol", self.tol, 0.0, low_allowed=False)
        require_name("multi_class", self.multi_class, ["multinomial", "one_vs_rest"])
        require_name("dtype", self.dtype, ["float64", "float32"])
        features, classes, class_indices = self._checked_for_fit(X, y)
        given = None if sample_weight is None else check_sample_weight(sample_weight, class_indices)
        weights = row_weights(self.class_weight, classes, class_indices, given)
        basis = None
        if _is_wide(features.shape):
            features, basis = row_space(features)
        is_split = self.multi_class == "one_vs_rest" and len(classes) > 2
        problem = _Problem(
            [features.shape[1], n_outputs_for(len(classes))],
            features,
            class_indices,
            loss="one_vs_rest" if is_split else loss_name_for(len(classes)),
            strength=self.C,
            weights=weights,
            fit_intercept=self.fit_intercept,
        )
        found = self._minimise(problem, callback)
        if not found.has_converged:
            warnings.warn(
                f"L-BFGS stopped after {found.n_iter} iteration(s) above tol={self.tol:g}: {found.reason}; "
                "standardise the features, raise max_iter or lower C",
                kin_of_sklearn(ConvergenceWarning),
                stacklevel=2,
            )
        self.classes_ = classes
        [layer] = as_layers(found.vector, problem.layer_sizes)
        self.layers_ = [layer if basis is None else Layer(basis @ layer.weights, layer.bias)]
        self.coef_ = self.layers_[0].weights.T.copy()
        self.intercept_ = self.layers_[0].bias.copy()
        self.n_iter_ = np.array([found.n_iter])
        self.loss_curve_ = list(found.loss_curve)
        return self

    def _minimise(self, problem: "_Problem", callback: Callable[[int, float], None] | None) -> LBFGSResult:
        start: FloatArray = np.zeros(n_params(problem.layer_sizes))
        curve: tuple[float, ...] = ()
        n_before = 0

        def report(iteration: int, loss: float) -> None:
            if callback is not None:
                callback(n_before + iteration, loss)

        if problem.X.size > _LARGE:
            # As far as float32 can tell; the rest of the way, if any, is short.
            tol = self.tol if self.dtype == "float32" else max(self.tol, _FLOAT32_TOL)
            found = fit_lbfgs(problem.objective(np.float32), start, max_iter=self.max_iter, tol=tol, callback=report)
            if self.dtype == "float32" or found.n_iter >= self.max_iter:
                return found
            start, n_before, curve = found.vector, found.n_iter, found.loss_curve
        found = fit_lbfgs(
            problem.objective(np.float64), start, max_iter=self.max_iter - n_before, tol=self.tol, callback=report
        )
        return replace(found, n_iter=n_before + found.n_iter, loss_curve=curve + found.loss_curve)

    def predict_proba(self, X: npt.ArrayLike) -> FloatArray:
        """Return the probability of every class, shape (n_windows, n_classes); rows sum to 1.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ValueError
            If X is not finite, or does not have the features of the fit.
        """
        logits = self._logits(X)
        if self.multi_class == "multinomial" or logits.shape[1] == 1:
            return probabilities(logits)
        # By the softmax of the logarithms of the sigmoids: the sum of the sigmoids alone could be 0.
        return softmax(-np.logaddexp(0.0, -logits))

    @property
    def activation(self) -> str:
        """The activation of the hidden layers, of which there are none: "identity"."""
        return self._hidden_activation()


class _Problem:
    """The objective of one fit, in either precision."""

    def __init__(
        self,
        layer_sizes: list[int],
        X: FloatArray,
        class_indices: IntArray,
        *,
        loss: str,
        strength: float,
        weights: FloatArray | None,
        fit_intercept: bool,
    ) -> None:
        self.layer_sizes = layer_sizes
        self.X = X
        self.class_indices = class_indices
        self.loss = loss
        self.weights = weights
        self.fit_intercept = fit_intercept
        # Divided by C * sum w, so that `tol` and the loss curve mean the same for any number of rows.
        self.l2 = 1.0 / (strength * (float(len(X)) if weights is None else float(weights.sum())))

    def objective(self, dtype: type[np.float32 | np.float64]) -> Objective:
        """Return the mean loss plus penalty and its gradient; float64 outside, `dtype` in the passes over X."""
        X: FloatArray = np.ascontiguousarray(self.X, dtype)

        def value_and_gradient(vector: FloatArray) -> tuple[float, FloatArray]:
            loss, gradient = full_batch_objective(
                vector.astype(dtype, copy=False),
                self.layer_sizes,
                X,
                self.class_indices,
                activation="identity",
                loss=self.loss,
                l2=self.l2,
                sample_weight=self.weights,
            )
            if not self.fit_intercept:
                # A bias that starts at 0 and has no slope stays at 0.
                gradient[-self.layer_sizes[-1] :] = 0.0
            return float(loss), gradient.astype(np.float64, copy=False)

        return value_and_gradient


def _is_wide(shape: tuple[int, ...]) -> bool:
    n_windows, n_features = shape
    return n_windows <= _MOST_ROTATED and n_features > 2 * n_windows


def row_space(X: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return coordinates of the rows in an orthonormal basis of the space they span, and that basis.

    A linear model with an L2 penalty has its optimum in that space: fitted on the coordinates it is the same model, of
    as many features as there are windows, with the weights ``basis @ weights``.

    Parameters
    ----------
    X : ndarray of shape (n_windows, n_features)
        More features than windows, or the coordinates are no smaller.

    Returns
    -------
    coordinates : ndarray of shape (n_windows, rank), float64
        ``rank = min(n_windows, n_features)``; ``coordinates @ basis.T`` is X.
    basis : ndarray of shape (n_features, rank), float64
        Orthonormal columns.

    Notes
    -----
    Hastie & Tibshirani, *Biostatistics* 5 (2004), 329-340. By a QR decomposition of the transpose, which keeps all
    digits (the Gram matrix would square the condition).

    Examples
    --------
    >>> coordinates, basis = row_space(np.array([[3.0, 0.0, 4.0]]))
    >>> coordinates.shape, basis.shape, (coordinates @ basis.T).round(12).tolist()
    ((1, 1), (3, 1), [[3.0, 0.0, 4.0]])
    """
    basis, triangle = np.linalg.qr(np.asarray(X, np.float64).T)
    return np.ascontiguousarray(triangle.T), basis
