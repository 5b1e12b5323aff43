"""What a layer does to its pre-activations: the registry of activations, and the two output functions.

Conventions: every function keeps the dtype of its argument, leaves the argument unchanged and gives no overflow for any
finite value. A derivative is written in terms of the activation's own *value*, which the forward pass has kept.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from trainer.learn.arrays import FloatArray


class Value(Protocol):
    """Pre-activations to activations."""

    def __call__(self, z: FloatArray, /, out: FloatArray | None = None) -> FloatArray:
        """Return the activations, in `out` where it is given."""
        ...


@dataclass(frozen=True, slots=True)
class Activation:
    """An activation function with its derivative.

    Parameters
    ----------
    value : callable
        Pre-activations of any shape to activations of the same shape; with `out` they are written there, which may be
        the pre-activations themselves.
    derivative : callable
        *Activations* (what `value` returned) to d activation / d pre-activation, same shape.
    backward : callable
        Takes (delta, activations) and multiplies delta by `derivative`, in place: one step of backpropagation.
    gain : float
        Variance gain of the initialisation: weights are drawn with variance ``gain / fan`` (see `network.initialise`).
    """

    value: Value
    derivative: Callable[[FloatArray], FloatArray]
    backward: Callable[[FloatArray, FloatArray], None]
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


def _identity(z: FloatArray, /, out: FloatArray | None = None) -> FloatArray:
    result: FloatArray = np.positive(z, out=out)
    return result


def _sigmoid(z: FloatArray, /, out: FloatArray | None = None) -> FloatArray:
    result = np.logaddexp(0.0, -z, out=out)
    np.negative(result, out=result)
    np.exp(result, out=result)
    return result


def _tanh(z: FloatArray, /, out: FloatArray | None = None) -> FloatArray:
    result: FloatArray = np.tanh(z, out=out)
    return result


def _relu(z: FloatArray, /, out: FloatArray | None = None) -> FloatArray:
    result: FloatArray = np.maximum(z, 0.0, out=out)
    return result


def _relu_derivative(a: FloatArray) -> FloatArray:
    # The subgradient at 0 is taken as 0, as the field does.
    return (a > 0.0).astype(a.dtype)


def _identity_backward(_delta: FloatArray, _a: FloatArray) -> None:
    return


def _sigmoid_backward(delta: FloatArray, a: FloatArray) -> None:
    delta *= a * (1.0 - a)


def _tanh_backward(delta: FloatArray, a: FloatArray) -> None:
    delta *= 1.0 - a * a


def _relu_backward(delta: FloatArray, a: FloatArray) -> None:
    delta *= a > 0.0


# Gains: Glorot & Bengio (2010) for the symmetric ones, He et al. (2015) for relu, which loses half the variance.
# Around 0 the sigmoid has slope 1/4, so 16 times the variance keeps the signal; 2 is the tempered value in common use.
ACTIVATIONS: dict[str, Activation] = {
    "identity": Activation(_identity, np.ones_like, _identity_backward, 1.0),
    "sigmoid": Activation(_sigmoid, lambda a: a * (1.0 - a), _sigmoid_backward, 2.0),
    "tanh": Activation(_tanh, lambda a: 1.0 - a * a, _tanh_backward, 1.0),
    "relu": Activation(_relu, _relu_derivative, _relu_backward, 2.0),
}
