"""Losses on logits: cross-entropy (binary, multinomial, one against the rest) and the squared error.

Conventions: a loss takes logits, targets and optional row weights, and returns the weighted mean in nats together with
its gradient with respect to the logits (same shape and dtype as the logits). The weighted sum is divided by
`total_weight`; left out, that is the sum of the weights. A caller that adds up parts of a set passes the weight of the
whole, so that losses and gradients of the parts simply add.

`label_smoothing` e replaces the certain target by ``1 - e`` on the class plus ``e / n_classes`` on every class: Szegedy
et al., CVPR 2016, section 7.
"""

from typing import Protocol

import numpy as np

from trainer.learn.arrays import FloatArray, IntArray


class Loss(Protocol):
    """What every loss of the registry takes and gives; see the head of this module."""

    def __call__(
        self,
        logits: FloatArray,
        class_indices: IntArray,
        sample_weight: FloatArray | None = None,
        total_weight: float | None = None,
        label_smoothing: float = 0.0,
        /,
    ) -> tuple[float, FloatArray]:
        """Return the mean loss and its gradient with respect to the logits."""
        ...


def cross_entropy(
    logits: FloatArray,
    class_indices: IntArray,
    sample_weight: FloatArray | None = None,
    total_weight: float | None = None,
    label_smoothing: float = 0.0,
) -> tuple[float, FloatArray]:
    """Mean cross-entropy of softmax(logits), and its gradient.

    Parameters
    ----------
    logits : ndarray of shape (n_windows, n_classes)
        Scores before softmax. Any finite value; the formula is stable at 1e4 and -1e4.
    class_indices : ndarray of shape (n_windows,), int
        True classes, in ``0 .. n_classes - 1``.
    sample_weight : ndarray of shape (n_windows,), optional
        Weight of each row, not negative. Left out: 1.
    total_weight : float, optional
        What the weighted sum is divided by. Left out: the sum of the weights.
    label_smoothing : float
        Share of every target that is spread over all classes, in [0, 1]; see the head of this module.

    Returns
    -------
    loss : float
        In nats. ``log(n_classes)`` for an uninformed model.
    gradient : ndarray of shape (n_windows, n_classes)
        d loss / d logits; every row sums to 0.

    Raises
    ------
    ValueError
        If a class index is out of range, or the shapes do not fit.

    Notes
    -----
    log-sum-exp with the row maximum taken out: Goodfellow et al., *Deep Learning*, section 4.1.

    Examples
    --------
    >>> loss, gradient = cross_entropy(np.zeros((1, 4)), np.array([2]))
    >>> round(loss, 4), gradient.round(2).tolist()
    (1.3863, [[0.25, 0.25, -0.75, 0.25]])
    """
    if logits.ndim != 2 or class_indices.shape != logits.shape[:1]:
        msg = f"expected logits (n, n_classes) and class_indices (n,), got {logits.shape} and {class_indices.shape}"
        raise ValueError(msg)
    n_windows, n_classes = logits.shape
    _check_range(class_indices, n_classes)
    # Classes first while we work: there are few, and numpy reduces over a short first axis several times faster.
    by_class = np.array(logits.T, order="C")
    by_class -= by_class.max(axis=0)
    rows = np.arange(n_windows)
    picked = by_class[class_indices, rows]
    shifted_mean = by_class.mean(axis=0) if label_smoothing else 0.0
    np.exp(by_class, out=by_class)
    totals = by_class.sum(axis=0)
    per_row = np.log(totals) - picked
    by_class /= totals
    if label_smoothing:
        # -sum_k q_k log p_k with q = (1 - e) on the class and e / k on all: the logits of the mean take a part.
        per_row += label_smoothing * (picked - shifted_mean)
        by_class -= label_smoothing / n_classes
    by_class[class_indices, rows] -= 1.0 - label_smoothing
    return _weighted_mean(per_row, by_class.T, sample_weight, total_weight)


def binary_cross_entropy(
    logits: FloatArray,
    targets: IntArray,
    sample_weight: FloatArray | None = None,
    total_weight: float | None = None,
    label_smoothing: float = 0.0,
) -> tuple[float, FloatArray]:
    """Mean cross-entropy of sigmoid(logits), and its gradient.

    Parameters
    ----------
    logits : ndarray of shape (n_windows, 1) or (n_windows,)
        Log-odds of class 1. Any finite value; the formula is stable at 1e4 and -1e4.
    targets : ndarray of shape (n_windows,)
        True classes, 0 or 1.
    sample_weight : ndarray of shape (n_windows,), optional
        Weight of each row, not negative. Left out: 1.
    total_weight : float, optional
        What the weighted sum is divided by. Left out: the sum of the weights.
    label_smoothing : float
        Share of every target that is spread over both classes, in [0, 1]; see the head of this module.

    Returns
    -------
    loss : float
        In nats. ``log(2)`` for an uninformed model.
    gradient : ndarray of the shape of the logits
        d loss / d logits.

    Raises
    ------
    ValueError
        If a target is neither 0 nor 1, or the shapes do not fit.

    Notes
    -----
    ``-log sigmoid(s z) = log(1 + exp(-s z))`` with ``s`` = +1 for class 1 and -1 for class 0, by ``logaddexp``. The
    gradient is ``-s sigmoid(-s z)``: no difference of near-equal numbers on either tail.

    Examples
    --------
    >>> loss, gradient = binary_cross_entropy(np.array([[0.0], [1e4]]), np.array([1, 0]))
    >>> round(loss, 4), gradient.ravel().tolist()
    (5000.3466, [-0.25, 0.5])
    """
    if logits.shape not in {targets.shape, (*targets.shape, 1)} or targets.ndim != 1:
        msg = f"expected logits (n, 1) or (n,) and targets (n,), got {logits.shape} and {targets.shape}"
        raise ValueError(msg)
    if not ((targets == 0) | (targets == 1)).all():
        msg = f"targets: expected 0 or 1, got {np.setdiff1d(targets, [0, 1])[:3].tolist()}"
        raise ValueError(msg)
    sign = (2 * targets - 1).astype(logits.dtype).reshape(logits.shape)
    # log(1 + exp(m)) is the loss; exp(m - loss) = exp(m) / (1 + exp(m)) is what the model still gets wrong.
    margin = -sign * logits
    per_row = np.logaddexp(0.0, margin)
    gradient: FloatArray = -sign * np.exp(margin - per_row)
    if label_smoothing:
        # Half of the spread share goes to the other class, whose loss is larger by the logit: log(1+e^-m) = .. - m.
        per_row -= 0.5 * label_smoothing * margin
        gradient += 0.5 * label_smoothing * sign
    return _weighted_mean(per_row.reshape(-1), gradient, sample_weight, total_weight)


def one_vs_rest(
    logits: FloatArray,
    class_indices: IntArray,
    sample_weight: FloatArray | None = None,
    total_weight: float | None = None,
    label_smoothing: float = 0.0,
) -> tuple[float, FloatArray]:
    """Mean over rows of the binary cross-entropies of every class against the rest, summed; and its gradient.

    As many independent binary problems as there are columns, in one pass.

    Parameters
    ----------
    logits : ndarray of shape (n_windows, n_classes)
        Log-odds of each class against all others. Any finite value.
    class_indices, sample_weight, total_weight
        As in `cross_entropy`.
    label_smoothing : float
        Share of each column's target that is spread over its two sides, in [0, 1].

    Returns
    -------
    loss : float
        In nats. ``n_classes * log(2)`` for an uninformed model.
    gradient : ndarray of shape (n_windows, n_classes)
        d loss / d logits.

    Raises
    ------
    ValueError
        If a class index is out of range, or the shapes do not fit.

    Notes
    -----
    Rifkin & Klautau, *Journal of Machine Learning Research* 5 (2004), 101-141.

    Examples
    --------
    >>> loss, gradient = one_vs_rest(np.zeros((1, 3)), np.array([2]))
    >>> round(loss, 4), gradient.tolist()
    (2.0794, [[0.5, 0.5, -0.5]])
    """
    sign = _signs(logits, class_indices)
    margin = -sign * logits
    per_class = np.logaddexp(0.0, margin)
    gradient: FloatArray = -sign * np.exp(margin - per_class)
    if label_smoothing:
        per_class -= 0.5 * label_smoothing * margin
        gradient += 0.5 * label_smoothing * sign
    return _weighted_mean(per_class.sum(axis=1), gradient, sample_weight, total_weight)


def squared_error(
    logits: FloatArray,
    class_indices: IntArray,
    sample_weight: FloatArray | None = None,
    total_weight: float | None = None,
    label_smoothing: float = 0.0,
) -> tuple[float, FloatArray]:
    """Half the mean squared distance to targets of +1 for the class and -1 elsewhere; and its gradient.

    Parameters
    ----------
    logits : ndarray of shape (n_windows, n_classes), or (n_windows, 1) for two classes
        Decisions; one column: towards +1 for class 1.
    class_indices, sample_weight, total_weight
        As in `cross_entropy`.
    label_smoothing : float
        Targets are ``1 - label_smoothing`` and its negative.

    Returns
    -------
    loss : float
        Summed over columns, halved, averaged over rows.
    gradient : ndarray of the shape of the logits
        d loss / d logits.

    Raises
    ------
    ValueError
        If a class index is out of range, or the shapes do not fit.

    Notes
    -----
    Hastie, Tibshirani & Friedman, *The Elements of Statistical Learning*, section 4.2: linear regression of an
    indicator matrix. It is what `RidgeClassifier` minimises.

    Examples
    --------
    >>> loss, gradient = squared_error(np.array([[0.5, 0.0, -1.0]]), np.array([0]))
    >>> loss, gradient.tolist()  # ((0.5 - 1)^2 + (0 + 1)^2) / 2
    (0.625, [[-0.5, 1.0, 0.0]])
    """
    gradient: FloatArray = logits - (1.0 - label_smoothing) * _signs(logits, class_indices)
    return _weighted_mean(0.5 * (gradient * gradient).sum(axis=1), gradient, sample_weight, total_weight)


def _signs(logits: FloatArray, class_indices: IntArray) -> FloatArray:
    """Return +1 in the column of the class and -1 elsewhere, in the shape and dtype of the logits."""
    if logits.ndim != 2 or class_indices.shape != logits.shape[:1]:
        msg = f"expected logits (n, n_classes) and class_indices (n,), got {logits.shape} and {class_indices.shape}"
        raise ValueError(msg)
    n_columns = logits.shape[1]
    _check_range(class_indices, max(n_columns, 2))
    columns = np.arange(n_columns) if n_columns > 1 else np.array([1])
    signs: FloatArray = np.where(class_indices[:, np.newaxis] == columns, 1.0, -1.0).astype(logits.dtype)
    return signs


def _check_range(class_indices: IntArray, n_classes: int) -> None:
    # Read as unsigned a negative index is huge: one look instead of two, in a place that is passed at every step.
    if len(class_indices) and class_indices.astype(np.int64, copy=False).view(np.uint64).max() >= n_classes:
        lowest, highest = class_indices.min(), class_indices.max()
        msg = f"class_indices: expected 0 .. {n_classes - 1}, got {lowest} .. {highest}"
        raise ValueError(msg)


def _weighted_mean(
    per_row: FloatArray, gradient: FloatArray, sample_weight: FloatArray | None, total_weight: float | None
) -> tuple[float, FloatArray]:
    """Turn losses and gradients of rows into the weighted mean and its gradient (in place)."""
    if sample_weight is None:
        total = float(len(per_row)) if total_weight is None else total_weight
        gradient /= total
        return float(per_row.sum(dtype=np.float64)) / total, gradient
    if sample_weight.shape != per_row.shape:
        msg = f"sample_weight: expected shape {per_row.shape}, got {sample_weight.shape}"
        raise ValueError(msg)
    total = float(sample_weight.sum(dtype=np.float64)) if total_weight is None else total_weight
    scale = (sample_weight / total).astype(gradient.dtype)
    gradient *= scale.reshape(-1, *([1] * (gradient.ndim - 1)))
    return float(np.dot(per_row.astype(np.float64), sample_weight.astype(np.float64))) / total, gradient


LOSSES: dict[str, Loss] = {
    "cross_entropy": cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
    "one_vs_rest": one_vs_rest,
    "squared_error": squared_error,
}
