"""Logistic regression: the one-layer network, fitted to its optimum by L-BFGS."""

import warnings
from collections.abc import Callable
from typing import Self

import numpy as np
import numpy.typing as npt

from trainer.learn.arrays import FloatArray, check_sample_weight
from trainer.learn.class_weights import ClassWeight, row_weights
from trainer.learn.estimator import Classifier, ConvergenceWarning, kin_of_sklearn, require_number
from trainer.learn.network import as_layers, full_batch_objective, loss_name_for, n_outputs_for, n_params
from trainer.learn.optimisers import fit_lbfgs


class LogisticClassifier(Classifier):
    """Logistic regression with an L2 penalty: binary with a sigmoid, multinomial with a softmax.

    It minimises ``C * sum_i w_i loss_i + 0.5 * ||weights||^2``, with the cross-entropy in nats as loss and a free
    intercept: the objective of ``sklearn.linear_model.LogisticRegression``.

    Parameters
    ----------
    C : float
        Inverse strength of the penalty, > 0.
    class_weight : mapping, "balanced" or None
        Label to weight; see `class_weights.row_weights`.
    max_iter : int
        Most iterations of L-BFGS; a `ConvergenceWarning` tells if they did not do.
    tol : float
        It stops when no entry of the gradient of the objective, divided by ``C * sum_i w_i``, is larger.
    fit_intercept : bool
        False: the bias stays 0.

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
        class_weight: ClassWeight = None,
        max_iter: int = 1000,
        tol: float = 1e-4,
        fit_intercept: bool = True,
    ) -> None:
        self.C = C
        self.class_weight = class_weight
        self.max_iter = max_iter
        self.tol = tol
        self.fit_intercept = fit_intercept

    def fit(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike | None,
        sample_weight: npt.ArrayLike | None = None,
        *,
        callback: Callable[[int, float], None] | None = None,
    ) -> Self:
        """Fit to the optimum, in float64, and return self.

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
        features, classes, class_indices = self._checked_for_fit(X, y)
        features = np.asarray(features, dtype=np.float64)
        given = None if sample_weight is None else check_sample_weight(sample_weight, class_indices)
        weights = row_weights(self.class_weight, classes, class_indices, given)
        total_weight = float(len(features)) if weights is None else float(weights.sum())
        n_outputs = n_outputs_for(len(classes))
        layer_sizes = [features.shape[1], n_outputs]

        def objective(vector: FloatArray) -> tuple[float, FloatArray]:
            loss, gradient = full_batch_objective(
                vector,
                layer_sizes,
                features,
                class_indices,
                activation=self._hidden_activation(),
                loss=loss_name_for(len(classes)),
                # Divided by C * sum w, so that `tol` and the loss curve mean the same for any number of rows.
                l2=1.0 / (self.C * total_weight),
                sample_weight=weights,
            )
            if not self.fit_intercept:
                # A bias that starts at 0 and has no slope stays at 0.
                gradient[-n_outputs:] = 0.0
            return loss, gradient

        start = np.zeros(n_params(layer_sizes))
        found = fit_lbfgs(objective, start, max_iter=self.max_iter, tol=self.tol, callback=callback)
        if not found.has_converged:
            warnings.warn(
                f"L-BFGS stopped after {found.n_iter} iteration(s) above tol={self.tol:g}: {found.reason}; "
                "standardise the features, raise max_iter or lower C",
                kin_of_sklearn(ConvergenceWarning),
                stacklevel=2,
            )
        self.classes_ = classes
        self.layers_ = as_layers(found.vector, layer_sizes)
        self.coef_ = self.layers_[0].weights.T.copy()
        self.intercept_ = self.layers_[0].bias.copy()
        self.n_iter_ = np.array([found.n_iter])
        self.loss_curve_ = list(found.loss_curve)
        return self

    @property
    def activation(self) -> str:
        """The activation of the hidden layers, of which there are none: "identity"."""
        return self._hidden_activation()
