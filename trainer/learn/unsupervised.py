"""What estimators without labels have in common: hyper-parameters, and the features that the fit has seen.

The scikit-learn API without scikit-learn, as `trainer.learn.estimator` has it for the classifiers. An estimator keeps
its hyper-parameters untouched, checks them in ``fit``, and puts what it learned into attributes that end in ``_``.
"""

import inspect
import warnings
from importlib import import_module
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from trainer.learn.arrays import FloatArray, IntArray, check_feature_names, check_features, feature_names
from trainer.learn.estimator import NotFittedError, kin_of_sklearn


class UnsupervisedEstimator:
    """Base of the estimators that need no labels: parameters by name, and checked features.

    A subclass has an ``__init__`` that only stores its arguments and a ``fit`` that calls `_checked_for_fit`.

    Attributes
    ----------
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only where X was a data frame with names.
    """

    n_features_in_: int
    feature_names_in_: npt.NDArray[np.object_]
    # "clusterer" or "transformer"; also read by tools that look at the class instead of the tags.
    _estimator_type: ClassVar[str]

    @classmethod
    def _parameter_names(cls) -> list[str]:
        return sorted(name for name in inspect.signature(cls.__init__).parameters if name != "self")

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: FBT001, FBT002 - scikit-learn passes it by position
        """Return the hyper-parameters by name; `deep` changes nothing, since no parameter here is an estimator."""
        del deep
        return {name: getattr(self, name) for name in self._parameter_names()}

    def set_params(self, **params: Any) -> Self:
        """Set hyper-parameters by name and return self; values are checked by ``fit``.

        Raises
        ------
        ValueError
            If a name is not a parameter. Nothing is set then.
        """
        unknown = sorted(set(params) - set(self._parameter_names()))
        if unknown:
            msg = f"Invalid parameter {unknown} for {type(self).__name__}, expected names of {self._parameter_names()}"
            raise ValueError(msg)
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self).__init__).parameters
        shown = {name: (repr(value), repr(defaults[name].default)) for name, value in self.get_params().items()}
        changed = [f"{name}={value}" for name, (value, default) in shown.items() if value != default]
        return f"{type(self).__name__}({', '.join(changed)})"

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
        names = feature_names(X)
        if names is not None:
            self.feature_names_in_ = names
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        self.n_features_in_ = features.shape[1]
        return features

    def _require_fitted(self, learned: str) -> None:
        """Refuse what needs a fit before there was one; `learned` is an attribute that the fit sets."""
        if not hasattr(self, learned):
            msg = f"This {type(self).__name__} instance is not fitted yet. Call 'fit' with appropriate arguments first."
            raise kin_of_sklearn(NotFittedError)(msg)

    def _checked_like_fit(self, X: npt.ArrayLike, learned: str) -> FloatArray:
        """Return X as float64 if it has the features of the fit; `learned` is an attribute that the fit sets.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ValueError
            If X is not finite, or does not have the features of the fit.
        """
        self._require_fitted(learned)
        name = type(self).__name__
        names, fitted = feature_names(X), getattr(self, "feature_names_in_", None)
        if names is not None and fitted is not None:
            check_feature_names(names, fitted)
        elif names is not None:
            warnings.warn(f"X has feature names, but {name} was fitted without feature names", stacklevel=3)
        elif fitted is not None:
            warnings.warn(
                f"X does not have valid feature names, but {name} was fitted with feature names", stacklevel=3
            )
        features = check_features(X).astype(np.float64, copy=False)
        if features.shape[1] != self.n_features_in_:
            n_features = features.shape[1]
            msg = f"X has {n_features} features, but {name} is expecting {self.n_features_in_} features as input."
            raise ValueError(msg)
        return features


class Clusterer(UnsupervisedEstimator):
    """Base of the clusterers: rows into groups ``0 .. n_clusters - 1``.

    Attributes
    ----------
    labels_ : ndarray of shape (n_windows,), int64
        Group of every row of the fit; every group has at least one.
    cluster_centers_ : ndarray of shape (n_clusters, n_features)
    """

    labels_: IntArray
    cluster_centers_: FloatArray
    _estimator_type: ClassVar[str] = "clusterer"

    def fit(self, X: npt.ArrayLike, y: object = None) -> Self:
        """Fit and return self; `y` is there for scikit-learn's pipelines and is not looked at."""
        raise NotImplementedError

    def fit_predict(self, X: npt.ArrayLike, y: object = None) -> IntArray:
        """Return `labels_` after a fit, shape (n_windows,)."""
        return self.fit(X).labels_

    def _checked_rows(self, X: npt.ArrayLike, n_clusters: int) -> FloatArray:
        """Return the checked X of a fit, which has at least as many different rows as groups are asked for.

        Raises
        ------
        ValueError
            If it has not.
        """
        features = self._checked_for_fit(X)
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
