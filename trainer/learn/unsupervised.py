"""What estimators without labels have in common: float64 throughout, and groups of rows."""

from abc import ABC, abstractmethod
from importlib import import_module
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from trainer.learn.arrays import FloatArray, IntArray, check_features
from trainer.learn.estimator import Estimator, require_number


class UnsupervisedEstimator(Estimator):
    """Base of the estimators that need no labels; the ``fit`` of a subclass calls `_checked_for_fit`."""

    def __sklearn_tags__(self) -> object:
        """Return scikit-learn's description of this estimator; only scikit-learn calls it, so it is installed."""
        tags = import_module("sklearn.utils")
        return tags.Tags(
            estimator_type=self._estimator_type,
            target_tags=tags.TargetTags(required=False),
            transformer_tags=tags.TransformerTags(preserves_dtype=[]) if hasattr(self, "transform") else None,
        )

    def _checked_for_fit(self, X: npt.ArrayLike) -> FloatArray:
        """Return X as float64; keep the number and the names of the features."""
        features = check_features(X).astype(np.float64, copy=False)
        self._remember_features(X, features.shape[1])
        return features

    def _checked_like_fit(self, X: npt.ArrayLike, learned: str) -> FloatArray:
        """Return X as float64 if it has the features of the fit; errors as in `Estimator`."""
        return super()._checked_like_fit(X, learned).astype(np.float64, copy=False)


class Clusterer(UnsupervisedEstimator, ABC):
    """Base of the clusterers: rows into groups ``0 .. n_clusters - 1``.

    A subclass has an ``__init__`` that stores at least these four parameters, and finds the groups in `_fit_rows`.

    Attributes
    ----------
    labels_ : ndarray of shape (n_windows,), int64
        Group of every row of the fit; every group has at least one.
    cluster_centers_ : ndarray of shape (n_clusters, n_features)
    """

    n_clusters: int
    n_init: int
    max_iter: int
    tol: float
    labels_: IntArray
    cluster_centers_: FloatArray
    _estimator_type: ClassVar[str] = "clusterer"

    def fit(self, X: npt.ArrayLike, y: object = None) -> Self:
        """Fit and return self.

        Parameters
        ----------
        X : array-like of shape (n_windows, n_features)
            Features of comparable scale: nothing is scaled here.
        y : object
            Not looked at.

        Raises
        ------
        ValueError
            If a hyper-parameter is out of range, or X has fewer different rows than groups are asked for.
        """
        self._check_parameters()
        self._fit_rows(self._checked_rows(X))
        return self

    def fit_predict(self, X: npt.ArrayLike, y: object = None) -> IntArray:
        """Return `labels_` after a fit, shape (n_windows,)."""
        return self.fit(X).labels_

    @abstractmethod
    def predict(self, X: npt.ArrayLike) -> IntArray:
        """Return the group of every row, shape (n_windows,)."""

    @abstractmethod
    def _fit_rows(self, features: FloatArray) -> None:
        """Set `labels_`, `cluster_centers_` and what else is learned from checked rows."""

    def _check_parameters(self) -> None:
        """Refuse hyper-parameters that are out of range."""
        require_number("n_clusters", self.n_clusters, 1, whole=True)
        require_number("n_init", self.n_init, 1, whole=True)
        require_number("max_iter", self.max_iter, 1, whole=True)
        require_number("tol", self.tol, 0.0)

    def _checked_rows(self, X: npt.ArrayLike) -> FloatArray:
        """Return the checked X of a fit, which has at least as many different rows as groups are asked for.

        Raises
        ------
        ValueError
            If it has not.
        """
        features, n_clusters = self._checked_for_fit(X), self.n_clusters
        if len(features) < max(n_clusters, 2):
            # The wording is scikit-learn's, whose checks look for "n_samples=1".
            msg = f"X: n_samples={len(features)} should be >= n_clusters={n_clusters}, and at least 2"
            raise ValueError(msg)
        if n_clusters > 1 and (n_different := n_different_rows(features)) < n_clusters:
            msg = f"X: at least n_clusters={n_clusters} different rows expected, got {n_different}"
            raise ValueError(msg)
        return features


def n_different_rows(X: FloatArray) -> int:
    """Return how many rows differ by more than rounding: by a millionth of the spread of the largest feature.

    Examples
    --------
    >>> n_different_rows(np.array([[0.0, 1.0], [-0.0, 1.0 + 1e-15], [5.0, 1.0]]))
    2
    """
    centred = X - X.mean(axis=0)
    scale = float(np.abs(centred).max())
    steps = np.round(centred / scale * 1e6).astype(np.int64) if scale > 0.0 else np.zeros(X.shape, np.int64)
    return len(np.unique(steps, axis=0))
