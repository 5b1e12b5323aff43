"""What a layer does to its pre-activations: the registry of activations, and the two output functions.

Conventions: every function keeps the dtype of its argument, leaves the argument unchanged and gives no overflow for any
finite value. A derivative is written in terms of the activation's own *value*, which the forward pass has kept.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from trainer.learn.arrays import FloatArray


@dataclass(frozen=True, slots=True)
class Activation:
    """An activation function with its derivative.

    Parameters
    ----------
    value : callable
        Pre-activations of any shape to activations of the same shape.
    derivative : callable
        *Activations* (what `value` returned) to d activation / d pre-activation, same shape.
    gain : float
        Variance gain of the initialisation: weights are drawn with variance ``gain / fan`` (see `network.initialise`).
    """

    value: Callable[[FloatArray], FloatArray]
    derivative: Callable[[FloatArray], FloatArray]
    gain: float


def sigmoid(z: FloatArray) -> FloatArray:
    """Return ``1 / (1 + exp(-z))``, exact to rounding on both tails.

    Notes
    -----
    One path for both signs: ``exp(-log(1 + exp(-z)))``, with the logarithm by ``logaddexp``, which cannot overflow.

    Examples
    --------
    >>> sigmoid(np.array([-1e4, 0.0, 1e4])).tolist()
    [0.0, 0.5, 1.0]
    """
    result: FloatArray = np.exp(-np.logaddexp(0.0, -z))
    return result


def softmax(logits: FloatArray) -> FloatArray:
    """Return the softmax of every row; rows sum to 1.

    Parameters
    ----------
    logits : ndarray of shape (n_windows, n_classes)
        Scores, any finite value.

    Returns
    -------
    probabilities : ndarray of shape (n_windows, n_classes)

    Notes
    -----
    The row maximum is taken out first: Goodfellow et al., *Deep Learning*, section 4.1.

    Examples
    --------
    >>> softmax(np.array([[0.0, np.log(3.0)], [1e4, -1e4]])).round(3).tolist()
    [[0.25, 0.75], [1.0, 0.0]]
    """
    exponentials: FloatArray = np.exp(logits - logits.max(axis=1, keepdims=True))
    exponentials /= exponentials.sum(axis=1, keepdims=True)
    return exponentials


def _identity(z: FloatArray) -> FloatArray:
    return z.copy()


def _tanh(z: FloatArray) -> FloatArray:
    result: FloatArray = np.tanh(z)
    return result


def _relu(z: FloatArray) -> FloatArray:
    result: FloatArray = np.maximum(z, 0.0)
    return result


def _relu_derivative(a: FloatArray) -> FloatArray:
    # The subgradient at 0 is taken as 0, as the field does.
    return (a > 0.0).astype(a.dtype)


# Gains: Glorot & Bengio (2010) for the symmetric ones, He et al. (2015) for relu, which loses half the variance.
# Around 0 the sigmoid has slope 1/4, so 16 times the variance keeps the signal; 2 is the tempered value in common use.
ACTIVATIONS: dict[str, Activation] = {
    "identity": Activation(_identity, np.ones_like, 1.0),
    "sigmoid": Activation(sigmoid, lambda a: a * (1.0 - a), 2.0),
    "tanh": Activation(_tanh, lambda a: 1.0 - a * a, 1.0),
    "relu": Activation(_relu, _relu_derivative, 2.0),
}
