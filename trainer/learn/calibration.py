"""Does a probability of 0.8 come true eight times in ten? One temperature that makes it so, and the error left."""

import math

import numpy as np
from scipy.optimize import brentq

from trainer.learn.arrays import FloatArray, IntArray
from trainer.learn.losses import binary_cross_entropy, cross_entropy

# Beyond these a temperature says "all of it" or "none of it": a separable set asks for 0, one without any relation
# between logits and classes for infinity. Both would destroy the output of a model on windows it has not seen.
_LOWEST, _HIGHEST = 0.05, 20.0
_TOLERANCE = 1e-12


def fit_temperature(logits: FloatArray, class_indices: IntArray, label_smoothing: float = 0.0) -> float:
    """Return the temperature T for which softmax(logits / T) has the least mean cross-entropy.

    Parameters
    ----------
    logits : ndarray of shape (n_windows, n_classes), or (n_windows, 1) or (n_windows,) for two classes
        Scores of windows that the model was *not* fitted on.
    class_indices : ndarray of shape (n_windows,), int
    label_smoothing : float
        Share of every target that is spread over the classes, in [0, 1): ``n_classes / (n_windows + n_classes)`` is
        Laplace's rule, which keeps few windows without an error from asking for certainty.

    Returns
    -------
    temperature : float
        In [0.05, 20]. Above 1: the model was over-confident. Never worse than 1 on these windows.

    Raises
    ------
    ValueError
        If there are no windows, logits are not finite, or shapes and classes do not fit.

    Notes
    -----
    Guo et al., *On Calibration of Modern Neural Networks*, ICML 2017, section 4.2. In ``1 / T`` the cross-entropy is
    convex, so its slope rises through 0 once: Brent's method finds where. Labels do not change, since
    dividing by a positive number keeps the order.

    Examples
    --------
    >>> logits = np.array([[4.0, 0.0], [4.0, 0.0], [4.0, 0.0], [4.0, 0.0]])  # certain: 98 %
    >>> round(fit_temperature(logits, np.array([0, 0, 0, 1])), 3)  # right: 75 %, which is a logit of log 3
    3.641
    """
    scores = np.asarray(logits, dtype=np.float64)
    if not scores.size or not np.isfinite(scores).all():
        msg = f"logits: expected at least one window and finite numbers, got shape {scores.shape}"
        raise ValueError(msg)
    if scores.ndim == 1:
        scores = scores[:, np.newaxis]

    def slope(inverse_temperature: float) -> float:
        scaled = inverse_temperature * scores
        loss = binary_cross_entropy if scores.shape[1] == 1 else cross_entropy
        _, gradient = loss(scaled, class_indices, None, None, label_smoothing)
        return float(np.vdot(gradient, scores))

    low, high = 1.0 / _HIGHEST, 1.0 / _LOWEST
    if slope(low) >= 0.0:
        # Also where the slope is 0 throughout (all logits equal): no temperature is better than another, so leave 1.
        return _HIGHEST if slope(high) > 0.0 else 1.0
    if slope(high) <= 0.0:
        return _LOWEST
    # Between brackets, so it cannot run away; a tenth of the steps that halving takes.
    found = brentq(lambda logarithm: slope(math.exp(logarithm)), math.log(low), math.log(high), xtol=_TOLERANCE)
    return math.exp(-float(found))


def careful_temperature(logits: FloatArray, class_indices: IntArray) -> float:
    """Return the temperature that fits these windows and one more that was answered wrong.

    With twenty windows and no error the likelihood asks for a temperature of 0: certainty about everything. As in
    Laplace's rule of succession, one more window at the median margin is taken to have gone to the runner-up; among
    thousands it does not count.

    Parameters
    ----------
    logits : ndarray of shape (n_windows, n_classes), or (n_windows, 1) or (n_windows,) for two classes
        Of windows that the model was not fitted on.
    class_indices : ndarray of shape (n_windows,), int

    Raises
    ------
    ValueError
        As `fit_temperature`.

    Examples
    --------
    >>> sure = np.tile([[3.0, -3.0]], (20, 1))
    >>> fit_temperature(sure, np.zeros(20, int)), round(careful_temperature(sure, np.zeros(20, int)), 2)
    (0.05, 2.0)
    """
    scores = logits if logits.ndim == 2 else logits[:, np.newaxis]
    if not len(scores):
        return fit_temperature(scores, class_indices)
    ranked = np.sort(scores if scores.shape[1] > 1 else np.hstack([np.zeros_like(scores), scores]), axis=1)
    margins = ranked[:, -1] - ranked[:, -2]
    middle = int(np.argsort(margins, kind="stable")[len(margins) // 2])
    runner_up = (
        int(np.argsort(scores[middle], kind="stable")[-2]) if scores.shape[1] > 1 else int(scores[middle, 0] <= 0)
    )
    return fit_temperature(np.vstack([scores, scores[middle]]), np.append(class_indices, runner_up))


def expected_calibration_error(probabilities: FloatArray, class_indices: IntArray, n_bins: int = 15) -> float:
    """Return the mean gap between confidence and accuracy, over bins of equal width.

    Parameters
    ----------
    probabilities : ndarray of shape (n_windows, n_classes)
        Rows sum to 1.
    class_indices : ndarray of shape (n_windows,), int
    n_bins : int
        Bins of the confidence on (0, 1].

    Returns
    -------
    error : float
        In [0, 1]; 0 is perfect.

    Raises
    ------
    ValueError
        If there are no windows, the shapes do not fit or `n_bins` is below 1.

    Notes
    -----
    Naeini et al., AAAI 2015; Guo et al. 2017, eq. 3.

    Examples
    --------
    >>> expected_calibration_error(np.array([[0.75, 0.25]] * 4), np.array([0, 0, 0, 1]))
    0.0
    >>> expected_calibration_error(np.array([[1.0, 0.0]] * 4), np.array([0, 0, 0, 1]))
    0.25
    """
    if probabilities.ndim != 2 or not len(probabilities) or class_indices.shape != probabilities.shape[:1]:
        msg = f"expected probabilities (n, n_classes), n > 0, and as many class indices, got {probabilities.shape} and"
        msg += f" {class_indices.shape}"
        raise ValueError(msg)
    if n_bins < 1:
        msg = f"n_bins: expected at least 1, got {n_bins}"
        raise ValueError(msg)
    confidence = probabilities.max(axis=1).astype(np.float64)
    is_right = (probabilities.argmax(axis=1) == class_indices).astype(np.float64)
    # Bin k holds (k / n, (k + 1) / n]: a confidence of exactly 1 belongs to the last.
    bins = np.clip(np.ceil(confidence * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    gaps = np.bincount(bins, weights=is_right - confidence, minlength=n_bins)
    return float(np.abs(gaps).sum()) / len(confidence)
