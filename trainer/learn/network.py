"""A feed-forward network of any depth as pure functions of ``(params, X, y)``.

Conventions: ``params`` is a list of `Layer`; hidden layers apply the activation, the last one gives logits. With one
layer the network *is* logistic regression. The loss is the (weighted) mean cross-entropy in nats plus
``l2 / 2`` times the sum of the squared weights; biases are not penalised.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trainer.learn.activations import ACTIVATIONS, sigmoid, softmax
from trainer.learn.arrays import FloatArray, IntArray
from trainer.learn.losses import LOSSES


class Layer(NamedTuple):
    """One affine layer: ``inputs @ weights + bias``.

    Parameters
    ----------
    weights : ndarray of shape (fan_in, fan_out)
    bias : ndarray of shape (fan_out,)
    """

    weights: FloatArray
    bias: FloatArray


def n_outputs_for(n_classes: int) -> int:
    """Return how many logits a problem has: one for two classes, else one per class.

    Examples
    --------
    >>> n_outputs_for(2), n_outputs_for(6)
    (1, 6)
    """
    return 1 if n_classes == 2 else n_classes


def loss_name_for(n_classes: int) -> str:
    """Return the name of the loss that fits `n_outputs_for`.

    Examples
    --------
    >>> loss_name_for(2), loss_name_for(3)
    ('binary_cross_entropy', 'cross_entropy')
    """
    return "binary_cross_entropy" if n_classes == 2 else "cross_entropy"


def as_layers(vector: FloatArray, layer_sizes: Sequence[int]) -> list[Layer]:
    """Return layers that are *views* into a flat vector: writing to either changes both.

    Parameters
    ----------
    vector : ndarray of shape (n_params,), contiguous
        Weights and bias of each layer in turn.
    layer_sizes : sequence of int
        ``[n_features, hidden ..., n_outputs]``.

    Raises
    ------
    ValueError
        If the vector does not have exactly as many entries as such a network has parameters.
    """
    if vector.size != n_params(layer_sizes):
        msg = f"vector: expected {n_params(layer_sizes)} parameters for layers {list(layer_sizes)}, got {vector.size}"
        raise ValueError(msg)
    layers, start = [], 0
    for fan_in, fan_out in pairwise(layer_sizes):
        middle, stop = start + fan_in * fan_out, start + (fan_in + 1) * fan_out
        layers.append(Layer(vector[start:middle].reshape(fan_in, fan_out), vector[middle:stop]))
        start = stop
    return layers


def n_params(layer_sizes: Sequence[int]) -> int:
    """Return the number of weights and biases of such a network.

    Examples
    --------
    >>> n_params([3, 2, 1])
    11
    """
    return sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(layer_sizes))


def initialise(
    layer_sizes: Sequence[int],
    activation: str,
    generator: np.random.Generator,
    dtype: npt.DTypeLike = np.float64,
) -> FloatArray:
    """Return a flat vector of random weights and zero biases (see `as_layers`).

    Parameters
    ----------
    layer_sizes : sequence of int
        ``[n_features, hidden ..., n_outputs]``.
    activation : str
        Name in `ACTIVATIONS` of the hidden layers.
    generator : numpy.random.Generator
        Source of the draws; the only source of chance.
    dtype : dtype
        float64 or float32.

    Notes
    -----
    Uniform on ``[-limit, limit]``. Hidden relu layers: ``limit^2 = 6 / fan_in`` (He et al., ICCV 2015, eq. 10). All
    other layers: ``limit^2 = gain * 6 / (fan_in + fan_out)`` (Glorot & Bengio, AISTATS 2010, eq. 16).

    Examples
    --------
    >>> as_layers(initialise([3, 2, 1], "tanh", np.random.default_rng(0)), [3, 2, 1])[1].bias.tolist()
    [0.0]
    """
    vector = np.zeros(n_params(layer_sizes), dtype=np.float64)
    layers = as_layers(vector, layer_sizes)
    for depth, layer in enumerate(layers):
        fan_in, fan_out = layer.weights.shape
        is_hidden = depth < len(layers) - 1
        if is_hidden and activation == "relu":
            limit = np.sqrt(6.0 / fan_in)
        else:
            gain = ACTIVATIONS[activation].gain if is_hidden else 1.0
            limit = np.sqrt(gain * 6.0 / (fan_in + fan_out))
        layer.weights[...] = generator.uniform(-limit, limit, size=layer.weights.shape)
    result: FloatArray = vector.astype(dtype)
    return result


def forward(params: Sequence[Layer], X: FloatArray, activation: str) -> list[FloatArray]:
    """Return the input, the value of every hidden layer, and the logits last.

    Parameters
    ----------
    params : sequence of Layer
    X : ndarray of shape (n_windows, n_features)
    activation : str
        Name in `ACTIVATIONS` of the hidden layers.

    Returns
    -------
    values : list of ndarray
        ``values[0]`` is X itself, ``values[-1]`` the logits ``(n_windows, n_outputs)``.

    Examples
    --------
    >>> layer = Layer(np.array([[2.0], [1.0]]), np.array([0.5]))
    >>> forward([layer], np.array([[1.0, 3.0]]), "relu")[-1].tolist()
    [[5.5]]
    """
    values = [X]
    value_of = ACTIVATIONS[activation].value
    for depth, layer in enumerate(params):
        z = values[-1] @ layer.weights
        z += layer.bias
        values.append(z if depth == len(params) - 1 else value_of(z))
    return values


def probabilities(logits: FloatArray) -> FloatArray:
    """Return the probability of every class.

    Parameters
    ----------
    logits : ndarray of shape (n_windows, n_outputs)
        One column: log-odds of class 1. Several: scores before softmax.

    Returns
    -------
    probabilities : ndarray of shape (n_windows, n_classes)
        Rows sum to 1.

    Examples
    --------
    >>> probabilities(np.array([[0.0], [np.log(3.0)]])).round(4).tolist()
    [[0.5, 0.5], [0.25, 0.75]]
    """
    if logits.shape[1] == 1:
        return np.hstack([sigmoid(-logits), sigmoid(logits)])
    return softmax(logits)


def l2_penalty(params: Sequence[Layer], l2: float) -> float:
    """Return ``l2 / 2`` times the sum of the squared weights; biases are free.

    Examples
    --------
    >>> l2_penalty([Layer(np.array([[3.0, 4.0]]), np.array([9.0, 9.0]))], l2=0.1)
    1.25
    """
    return 0.5 * l2 * sum(float(np.vdot(layer.weights, layer.weights)) for layer in params)


class Workspace:
    """Arrays that a pass through the network writes to: made once, used for every batch.

    Parameters
    ----------
    layer_sizes : sequence of int
        ``[n_features, hidden ..., n_outputs]``.
    n_rows : int
        Of the largest batch.
    dtype : dtype
        Of the parameters and the rows.

    Examples
    --------
    >>> [value.shape for value in Workspace([4, 3, 2], 5, np.float32).values]
    [(5, 3), (5, 2)]
    """

    def __init__(self, layer_sizes: Sequence[int], n_rows: int, dtype: npt.DTypeLike) -> None:
        self.values: list[FloatArray] = [np.empty((n_rows, size), dtype) for size in layer_sizes[1:]]
        self.deltas: list[FloatArray] = [np.empty((n_rows, size), dtype) for size in layer_sizes[1:-1]]
        self.ones: FloatArray = np.ones(n_rows, dtype)


def loss_and_gradients(
    params: Sequence[Layer],
    X: FloatArray,
    y: IntArray,
    *,
    activation: str,
    loss: str,
    l2: float = 0.0,
    sample_weight: FloatArray | None = None,
    total_weight: float | None = None,
    label_smoothing: float = 0.0,
    masks: Sequence[FloatArray] | None = None,
    out: Sequence[Layer] | None = None,
    workspace: Workspace | None = None,
) -> tuple[float, Sequence[Layer]]:
    """Return the penalised loss and its gradient with respect to every weight and bias, by backpropagation.

    Parameters
    ----------
    params : sequence of Layer
    X : ndarray of shape (n_windows, n_features)
    y : ndarray of shape (n_windows,), int
        Class indices.
    activation, loss : str
        Names in `ACTIVATIONS` and `LOSSES`.
    l2 : float
        Strength of the penalty.
    sample_weight : ndarray of shape (n_windows,), optional
        Weight of each row (class weights enter here, see `class_weights.row_weights`).
    total_weight : float, optional
        What the weighted sum is divided by; left out: the sum of the weights.
    label_smoothing : float
        See `losses`.
    masks : sequence of ndarray of shape (n_windows, hidden), optional
        Factors of the hidden values, layer by layer: 0 for a unit that is dropped, see `dropout_masks`.
    out : sequence of Layer, optional
        Where to write the gradients (say, views into one vector). Left out: new arrays.
    workspace : Workspace, optional
        Of at least as many rows. Left out: new arrays.

    Returns
    -------
    loss : float
        In nats, penalty included.
    gradients : sequence of Layer
        Same shapes as `params`.

    Notes
    -----
    Rumelhart, Hinton & Williams, *Nature* 323 (1986). The gradient with respect to X is not computed: nobody needs it,
    and it would cost a third of a step.

    Examples
    --------
    >>> layer = Layer(np.zeros((1, 1)), np.zeros(1))
    >>> value, [gradient] = loss_and_gradients(
    ...     [layer], np.array([[2.0]]), np.array([1]), activation="relu", loss="binary_cross_entropy"
    ... )
    >>> round(value, 4), gradient.weights.tolist(), gradient.bias.tolist()
    (0.6931, [[-1.0]], [-0.5])
    """
    n_rows, last = len(X), len(params) - 1
    if workspace is None:
        sizes = [X.shape[1], *(layer.bias.size for layer in params)]
        workspace = Workspace(sizes, n_rows, np.result_type(X, params[0].weights))
    function = ACTIVATIONS[activation]
    inputs, values = [X], []
    for depth, layer in enumerate(params):
        value = workspace.values[depth][:n_rows]
        np.matmul(inputs[-1], layer.weights, out=value)
        value += layer.bias
        if depth < last:
            function.value(value, out=value)
            values.append(value)
            inputs.append(value if masks is None else value * masks[depth])
    mean_loss, delta = LOSSES[loss](value, y, sample_weight, total_weight, label_smoothing)
    gradients = out if out is not None else [Layer(np.empty_like(w), np.empty_like(b)) for w, b in params]
    for depth in range(last, -1, -1):
        weights, gradient = params[depth].weights, gradients[depth]
        # delta' inputs, transposed: for few outputs twice as fast as inputs' delta, and the same numbers.
        if delta.shape[1] < 16:
            gradient.weights[...] = (delta.T @ inputs[depth]).T
        else:
            np.matmul(inputs[depth].T, delta, out=gradient.weights)
        np.matmul(workspace.ones[:n_rows], delta, out=gradient.bias)
        if l2:
            np.add(gradient.weights, l2 * weights, out=gradient.weights)
        if depth:
            below = workspace.deltas[depth - 1][:n_rows]
            np.matmul(delta, weights.T, out=below)
            function.backward(below, values[depth - 1])
            if masks is not None:
                below *= masks[depth - 1]
            delta = below
    return mean_loss + (l2_penalty(params, l2) if l2 else 0.0), gradients


def dropout_masks(
    shapes: Sequence[tuple[int, int]], rate: float, generator: np.random.Generator, dtype: npt.DTypeLike
) -> list[FloatArray]:
    """Return factors that are 0 for a share `rate` of the entries and ``1 / (1 - rate)`` for the others.

    Their mean is 1, so that the network without dropout needs no correction.

    Parameters
    ----------
    shapes : sequence of (n_windows, n_units)
    rate : float
        In [0, 1).
    generator : numpy.random.Generator
    dtype : dtype

    Notes
    -----
    Srivastava et al., *Journal of Machine Learning Research* 15 (2014), 1929-1958, section 10 (inverted).

    Examples
    --------
    >>> [mask] = dropout_masks([(200, 500)], 0.75, np.random.default_rng(0), np.float64)
    >>> np.unique(mask).tolist(), round(float(mask.mean()), 1)
    ([0.0, 4.0], 1.0)
    """
    kept = 1.0 / (1.0 - rate)
    return [
        np.multiply(generator.random(shape, dtype=np.float32) >= rate, kept, dtype=np.dtype(dtype)) for shape in shapes
    ]


def full_batch_objective(
    vector: FloatArray,
    layer_sizes: Sequence[int],
    X: FloatArray,
    y: IntArray,
    *,
    activation: str,
    loss: str,
    l2: float,
    sample_weight: FloatArray | None = None,
    label_smoothing: float = 0.0,
    block_length: int = 2048,
) -> tuple[float, FloatArray]:
    """Return the penalised loss of all rows and its flat gradient: `loss_and_gradients`, summed over blocks of rows.

    A block stays in the cache between its forward and its backward pass, so X is read from memory once and not twice;
    with few outputs that reading is most of the cost. Arguments as in `loss_and_gradients`; `vector` as in `as_layers`.

    Examples
    --------
    >>> X, y = np.array([[2.0], [2.0]]), np.array([1, 1])
    >>> loss, gradient = full_batch_objective(
    ...     np.zeros(2), [1, 1], X, y, activation="relu", loss="binary_cross_entropy", l2=0.0, block_length=1
    ... )
    >>> round(loss, 4), gradient.tolist()
    (0.6931, [-1.0, -0.5])
    """
    params = as_layers(vector, layer_sizes)
    total_weight = float(len(X)) if sample_weight is None else float(sample_weight.sum())
    gradient = np.zeros_like(vector)
    part = np.empty_like(vector)
    part_layers = as_layers(part, layer_sizes)
    workspace = Workspace(layer_sizes, min(block_length, len(X)), np.result_type(X, vector))
    value = 0.0
    for start in range(0, len(X), block_length):
        rows = slice(start, start + block_length)
        part_value, _ = loss_and_gradients(
            params,
            X[rows],
            y[rows],
            activation=activation,
            loss=loss,
            sample_weight=None if sample_weight is None else sample_weight[rows],
            total_weight=total_weight,
            label_smoothing=label_smoothing,
            out=part_layers,
            workspace=workspace,
        )
        value += part_value
        gradient += part
    for layer, layer_gradient in zip(params, as_layers(gradient, layer_sizes), strict=True):
        np.add(layer_gradient.weights, l2 * layer.weights, out=layer_gradient.weights)
    return value + l2_penalty(params, l2), gradient
