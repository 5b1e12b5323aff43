"""The scikit-learn API without scikit-learn: what every estimator of this room has in common.

An estimator keeps its hyper-parameters untouched in attributes of the same name, checks them in ``fit``, and puts what
it learned into attributes that end in ``_``. scikit-learn is never imported here. Where it is loaded already (its
``Pipeline`` or ``cross_val_score`` drives the estimator), errors and warnings also belong to its families, since that
is what its callers catch.
"""

import inspect
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
import numpy.typing as npt

from trainer.learn.arrays import (
    AnyArray,
    FloatArray,
    IntArray,
    check_feature_names,
    check_features,
    check_labels,
    feature_names,
)
from trainer.learn.network import Layer, forward, probabilities


class NotFittedError(ValueError, AttributeError):
    """A method that needs a fit was called before ``fit``."""


class DataConversionWarning(UserWarning):
    """An argument was accepted after a conversion that may hide a mistake."""


class ConvergenceWarning(UserWarning):
    """The optimiser stopped before it reached the tolerance."""


_Kind = TypeVar("_Kind", bound=Exception)


def kin_of_sklearn(own: type[_Kind]) -> type[_Kind]:
    """Return the class, made a member of scikit-learn's family of the same name if scikit-learn is loaded.

    Parameters
    ----------
    own : type
        One of the classes above.

    Returns
    -------
    kind : type
        A subclass of `own` and of ``sklearn.exceptions.<same name>``; `own` itself if nobody loaded scikit-learn.

    Examples
    --------
    >>> issubclass(kin_of_sklearn(NotFittedError), NotFittedError)
    True
    """
    family = getattr(sys.modules.get("sklearn.exceptions"), own.__name__, None)
    return own if family is None else type(own.__name__, (own, family), {"__doc__": own.__doc__})


class Estimator:
    """Base of all estimators: hyper-parameters by name, and the features that the fit has seen.

    A subclass has a keyword-only or positional ``__init__`` that only stores its arguments, and a ``fit`` that calls
    `_remember_features` and sets attributes that end in ``_``.

    Attributes
    ----------
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only where X was a data frame with names.
    """

    n_features_in_: int
    feature_names_in_: npt.NDArray[np.object_]
    # "classifier", "clusterer" or "transformer": for tools that look at the class instead of the tags.
    _estimator_type: ClassVar[str]

    # -- parameters ---------------------------------------------------------------------------------------------------

    @classmethod
    def _parameter_names(cls) -> list[str]:
        return sorted(name for name in inspect.signature(cls.__init__).parameters if name != "self")

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: FBT001, FBT002 - scikit-learn passes it by position
        """Return the hyper-parameters by name.

        Parameters
        ----------
        deep : bool
            Accepted for scikit-learn; no parameter here is an estimator, so it changes nothing.
        """
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
        # By repr: a parameter may hold anything before `fit` looks at it, also arrays, whose == is no single answer.
        shown = {name: (repr(value), repr(defaults[name].default)) for name, value in self.get_params().items()}
        changed = [f"{name}={value}" for name, (value, default) in shown.items() if value != default]
        return f"{type(self).__name__}({', '.join(changed)})"

    # -- checks -------------------------------------------------------------------------------------------------------

    def _remember_features(self, X: npt.ArrayLike, n_features: int) -> None:
        """Keep the number and the names of the features of a fit."""
        names = feature_names(X)
        if names is not None:
            self.feature_names_in_ = names
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        self.n_features_in_ = n_features

    def _require_fitted(self, learned: str) -> None:
        """Refuse what needs a fit before there was one; `learned` is an attribute that the fit sets."""
        if not hasattr(self, learned):
            msg = f"This {type(self).__name__} instance is not fitted yet. Call 'fit' with appropriate arguments first."
            raise kin_of_sklearn(NotFittedError)(msg)

    def _checked_like_fit(self, X: npt.ArrayLike, learned: str) -> FloatArray:
        """Return X if it has the features of the fit; `learned` is an attribute that the fit sets.

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
        features = check_features(X)
        if features.shape[1] != self.n_features_in_:
            n_features = features.shape[1]
            msg = f"X has {n_features} features, but {name} is expecting {self.n_features_in_} features as input."
            raise ValueError(msg)
        return features


class Classifier(Estimator):
    """Base of the classifiers: labels, and everything that follows from `layers_`.

    The ``fit`` of a subclass sets `classes_`, `n_features_in_` (both through `_checked_for_fit`) and `layers_`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels, by class index.
    n_features_in_, feature_names_in_
        As in `Estimator`.
    layers_ : list of Layer
        ``(weights, bias)`` in float64: ``[(n_features, hidden), ..., (hidden, n_outputs)]``. Two classes: one output,
        the log-odds of ``classes_[1]``.
    """

    classes_: AnyArray
    layers_: list[Layer]
    _estimator_type: ClassVar[str] = "classifier"

    def __sklearn_tags__(self) -> object:
        """Return scikit-learn's description of this estimator; only scikit-learn calls it, so it is installed."""
        tags = import_module("sklearn.utils")
        return tags.Tags(
            estimator_type=self._estimator_type,
            target_tags=tags.TargetTags(required=True),
            classifier_tags=tags.ClassifierTags(),
        )

    def _checked_for_fit(self, X: npt.ArrayLike, y: npt.ArrayLike | None) -> tuple[FloatArray, AnyArray, IntArray]:
        """Return checked X, classes and class indices; keep the number and the names of the features."""
        features = check_features(X)
        classes, class_indices, was_column = check_labels(y, len(features), type(self).__name__)
        if was_column:
            warnings.warn(
                "A column-vector y was passed when a 1d array was expected. Please change the shape of y to "
                "(n_samples, ), for example using ravel().",
                kin_of_sklearn(DataConversionWarning),
                stacklevel=3,
            )
        self._remember_features(X, features.shape[1])
        return features, classes, class_indices

    # -- answers ------------------------------------------------------------------------------------------------------

    def _hidden_activation(self) -> str:
        """Return the name of the activation between layers; a network of one layer has none to use."""
        return "identity"

    def _logits(self, X: npt.ArrayLike) -> FloatArray:
        features = self._checked_like_fit(X, "layers_")
        return forward(self.layers_, features, self._hidden_activation())[-1]

    def decision_function(self, X: npt.ArrayLike) -> FloatArray:
        """Return the logits.

        Parameters
        ----------
        X : array-like of shape (n_windows, n_features)

        Returns
        -------
        logits : ndarray of shape (n_windows, n_classes), or (n_windows,) for two classes
            Scores before softmax; for two classes the log-odds of ``classes_[1]``.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ValueError
            If X is not finite, or does not have the features of the fit.
        """
        logits = self._logits(X)
        return logits[:, 0] if logits.shape[1] == 1 else logits

    def predict_proba(self, X: npt.ArrayLike) -> FloatArray:
        """Return the probability of every class, shape (n_windows, n_classes); rows sum to 1. Errors as above."""
        return probabilities(self._logits(X))

    def predict(self, X: npt.ArrayLike) -> AnyArray:
        """Return the most probable label of every row, shape (n_windows,). Errors as in `decision_function`."""
        logits = self._logits(X)
        # A tie goes to the lower class index, as argmax does for several classes.
        class_indices = (logits[:, 0] > 0.0).astype(np.int64) if logits.shape[1] == 1 else logits.argmax(axis=1)
        labels: AnyArray = self.classes_[class_indices]
        return labels

    def score(self, X: npt.ArrayLike, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> float:
        """Return the accuracy: the (weighted) share of rows whose predicted label is `y`."""
        is_right = self.predict(X) == np.asarray(y).reshape(-1)
        return float(np.average(is_right, weights=None if sample_weight is None else np.asarray(sample_weight)))


def require_number(
    name: str, value: object, low: float, high: float = np.inf, *, low_allowed: bool = True, whole: bool = False
) -> None:
    """Refuse a hyper-parameter that is no number, or is out of its range.

    Raises
    ------
    ValueError
        With the name, what was expected, and what came.

    Examples
    --------
    >>> require_number("C", -1.0, 0.0, low_allowed=False)
    Traceback (most recent call last):
    ValueError: C: expected a number > 0, got -1.0
    """
    is_number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if is_number and whole:
        is_number = isinstance(value, int | np.integer)
    if is_number and (low < value or (low_allowed and low == value)) and value < high:  # type: ignore[operator]
        return
    kind, above = "a whole number" if whole else "a number", ">=" if low_allowed else ">"
    below = f" and < {high:g}" if np.isfinite(high) else ""
    msg = f"{name}: expected {kind} {above} {low:g}{below}, got {value!r}"
    raise ValueError(msg)


def require_name(name: str, value: object, known: Sequence[str]) -> None:
    """Refuse a hyper-parameter that is not one of the known names.

    Raises
    ------
    ValueError
        With the name, the known ones, and what came.

    Examples
    --------
    >>> require_name("activation", "rleu", ["relu", "tanh"])
    Traceback (most recent call last):
    ValueError: activation: expected one of relu, tanh, got 'rleu'
    """
    if not isinstance(value, str) or value not in known:
        msg = f"{name}: expected one of {', '.join(known)}, got {value!r}"
        raise ValueError(msg)
