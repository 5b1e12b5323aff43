"""What may come into an estimator: types of arrays, and the checks of ``X``, ``y`` and ``sample_weight``.

The messages name the argument, what was found and what was expected. Their wording follows scikit-learn's, whose users
and generic checks look for it.
"""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]
IntArray: TypeAlias = npt.NDArray[np.integer[Any]]
AnyArray: TypeAlias = npt.NDArray[Any]

_N_SHOWN = 5


def check_features(X: npt.ArrayLike) -> FloatArray:
    """Return X as a finite, real, two-dimensional array of float64 (or float32, if it came so).

    Parameters
    ----------
    X : array-like of shape (n_windows, n_features)
        Numbers, or objects that convert to numbers. Not copied where it already fits.

    Raises
    ------
    TypeError
        For sparse input, and for values that are no numbers.
    ValueError
        For complex values, another number of dimensions, no rows, no columns, NaN or infinity.

    Examples
    --------
    >>> check_features([[1, 2], [3, 4]]).dtype
    dtype('float64')
    >>> check_features([1, 2])
    Traceback (most recent call last):
    ValueError: X: expected 2 dimensions (n_windows, n_features), got shape (2,). Reshape your data, ...
    """
    _refuse_sparse(X, "X")
    values = np.asarray(X)
    if values.dtype.kind == "c":
        msg = f"X: Complex data not supported, expected real numbers, got dtype {values.dtype}"
        raise ValueError(msg)
    if values.ndim != 2:
        msg = (
            f"X: expected 2 dimensions (n_windows, n_features), got shape {values.shape}. Reshape your data, "
            "with X.reshape(1, -1) for one window or X.reshape(-1, 1) for one feature"
        )
        raise ValueError(msg)
    for count, what in zip(values.shape, ("sample", "feature"), strict=True):
        if not count:
            msg = f"X: found array with 0 {what}(s) (shape={values.shape}) while a minimum of 1 is required."
            raise ValueError(msg)
    if values.dtype not in {np.dtype(np.float32), np.dtype(np.float64)}:
        values = values.astype(np.float64)
    if not np.isfinite(values).all():
        row, column = (int(position) for position in np.argwhere(~np.isfinite(values))[0])
        what = "NaN" if np.isnan(values[row, column]) else "infinity (inf)"
        msg = f"Input X contains {what}: row {row}, column {column}; expected finite numbers"
        raise ValueError(msg)
    return values


def check_labels(y: npt.ArrayLike | None, n_windows: int, owner: str) -> tuple[AnyArray, IntArray, bool]:
    """Return the sorted classes, the class index of every row, and whether a column vector was flattened.

    Parameters
    ----------
    y : array-like of shape (n_windows,)
        Labels: integers, booleans, strings or whole-numbered floats.
    n_windows : int
        Rows of X.
    owner : str
        Name of the estimator, for messages.

    Returns
    -------
    classes : ndarray of shape (n_classes,)
    class_indices : ndarray of shape (n_windows,), int64
    was_column : bool

    Raises
    ------
    ValueError
        If y is missing, not one-dimensional, of another length, not made of labels, or has one class only.

    Examples
    --------
    >>> classes, class_indices, _ = check_labels(["on", "off", "on"], 3, "Head")
    >>> classes.tolist(), class_indices.tolist()
    (['off', 'on'], [1, 0, 1])
    """
    if y is None:
        msg = f"{owner} requires y to be passed, but the target y is None"
        raise ValueError(msg)
    _refuse_sparse(y, "y")
    labels = np.asarray(y)
    was_column = labels.ndim == 2 and labels.shape[1] == 1
    if was_column:
        labels = labels.reshape(-1)
    if labels.ndim != 1:
        msg = f"y should be a 1d array, got an array of shape {labels.shape} instead."
        raise ValueError(msg)
    if len(labels) != n_windows:
        msg = f"y: expected one label per row of X ({n_windows}), got {len(labels)}"
        raise ValueError(msg)
    if labels.dtype.kind == "c":
        msg = "y: Complex data not supported, expected labels"
        raise ValueError(msg)
    if labels.dtype.kind == "f":
        if not np.isfinite(labels).all():
            msg = f"Input y contains NaN or infinity: row {int(np.argmin(np.isfinite(labels)))}; expected labels"
            raise ValueError(msg)
        if (labels != np.round(labels)).any():
            msg = "Unknown label type: continuous. y: expected class labels, got numbers that are not whole"
            raise ValueError(msg)
    elif labels.dtype.kind == "O" and not all(isinstance(label, str) for label in labels):
        msg = "Unknown label type: unknown. y: expected integers, booleans or strings, got an array of other objects"
        raise ValueError(msg)
    classes, class_indices = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        msg = f"{owner} needs at least 2 classes, got 1 class: {classes[0]!s}"
        raise ValueError(msg)
    return classes, class_indices.astype(np.int64), was_column


def check_sample_weight(sample_weight: npt.ArrayLike, class_indices: IntArray) -> FloatArray:
    """Return the row weights as float64: finite, not negative, with weight on at least two classes.

    Raises
    ------
    ValueError
        If they are not.

    Examples
    --------
    >>> check_sample_weight([1, 2], np.array([0, 1])).tolist()
    [1.0, 2.0]
    """
    weights = np.asarray(sample_weight, dtype=np.float64)
    if weights.shape != class_indices.shape:
        msg = f"sample_weight: expected shape {class_indices.shape}, got {weights.shape}"
        raise ValueError(msg)
    if not np.isfinite(weights).all() or (weights < 0.0).any():
        msg = f"sample_weight: expected finite weights >= 0, got {weights.min()} .. {weights.max()}"
        raise ValueError(msg)
    weighted = np.unique(class_indices[weights > 0.0])
    if not len(weighted):
        msg = "sample_weight: all weights are zero, expected at least one above"
        raise ValueError(msg)
    if len(weighted) < 2:
        msg = "sample_weight: expected weight on at least 2 classes, only 1 class has any"
        raise ValueError(msg)
    return weights


def feature_names(X: object) -> npt.NDArray[np.object_] | None:
    """Return the column names of a data frame, or None for anything else.

    Raises
    ------
    TypeError
        If names of type str are mixed with others.

    Examples
    --------
    >>> feature_names(np.zeros((2, 2))) is None
    True
    """
    columns = getattr(X, "columns", None)
    if columns is None:
        return None
    names = list(columns)
    n_strings = sum(isinstance(name, str) for name in names)
    if 0 < n_strings < len(names):
        kinds = sorted({type(name).__name__ for name in names})
        msg = f"X: Feature names are only supported if all input features have string names, got {kinds}"
        raise TypeError(msg)
    return np.array(names, dtype=object) if n_strings else None


def check_feature_names(names: npt.NDArray[np.object_], fitted: npt.NDArray[np.object_]) -> None:
    """Refuse columns that are not those of the fit, in their order.

    Raises
    ------
    ValueError
        Naming the columns that are new, missing or out of order.

    Examples
    --------
    >>> check_feature_names(np.array(["b", "a"], dtype=object), np.array(["a", "b"], dtype=object))
    Traceback (most recent call last):
    ValueError: The feature names should match those that were passed during fit.
    Feature names must be in the same order as they were in fit.
    <BLANKLINE>
    """
    if len(names) == len(fitted) and (names == fitted).all():
        return
    message = "The feature names should match those that were passed during fit.\n"
    unseen, missing = sorted(set(names) - set(fitted)), sorted(set(fitted) - set(names))
    for title, listed in (
        ("Feature names unseen at fit time:\n", unseen),
        ("Feature names seen at fit time, yet now missing:\n", missing),
    ):
        if listed:
            message += title + "".join(f"- {name}\n" for name in listed[:_N_SHOWN])
            message += "- ...\n" if len(listed) > _N_SHOWN else ""
    if not unseen and not missing:
        message += "Feature names must be in the same order as they were in fit.\n"
    raise ValueError(message)


def _refuse_sparse(values: object, name: str) -> None:
    # By module name: importing scipy.sparse only to recognise its types would cost every start of the trainer.
    if type(values).__module__.startswith("scipy.sparse"):
        msg = f"{name}: Sparse input is not supported, expected a dense array; use {name}.toarray()"
        raise TypeError(msg)
