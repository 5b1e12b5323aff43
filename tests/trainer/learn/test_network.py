"""Backpropagation: one step by hand, and every gradient of the registries against differences."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from trainer.learn.activations import ACTIVATIONS, sigmoid, softmax
from trainer.learn.arrays import FloatArray
from trainer.learn.class_weights import row_weights
from trainer.learn.losses import LOSSES
from trainer.learn.network import (
    Layer,
    as_layers,
    forward,
    full_batch_objective,
    initialise,
    loss_and_gradients,
    n_params,
    probabilities,
)
from trainer.learn.optimisers import SGD

HIDDEN = [(), (5,), (5, 4), (5, 4, 3)]


def fourth_order_differences(
    function: Callable[[FloatArray], float], vector: FloatArray, step: float = 1e-3
) -> FloatArray:
    """Derivative by ``(-f(+2h) + 8 f(+h) - 8 f(-h) + f(-2h)) / 12h``: the error falls with the fourth power of h."""
    gradient = np.empty_like(vector)
    for position in range(vector.size):
        moved = {}
        for k in (-2, -1, 1, 2):
            shifted = vector.copy()
            shifted[position] += k * step
            moved[k] = function(shifted)
        gradient[position] = (moved[-2] - 8 * moved[-1] + 8 * moved[1] - moved[2]) / (12 * step)
    return gradient


@pytest.mark.parametrize("hidden", HIDDEN, ids=lambda hidden: f"depth{len(hidden)}")
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("loss", LOSSES)
def test_backpropagation_agrees_with_differences(loss: str, activation: str, hidden: tuple[int, ...]) -> None:
    generator = np.random.default_rng(7)
    n_classes = 2 if loss == "binary_cross_entropy" else 3
    layer_sizes = [4, *hidden, 1 if n_classes == 2 else n_classes]
    X, y = generator.normal(size=(9, 4)), np.arange(9) % n_classes
    weights = row_weights({0: 0.5, 1: 3.0}, np.arange(n_classes), y)
    vector = initialise(layer_sizes, activation, generator)
    # Biases away from 0: a gradient that forgets them must not pass.
    vector += 0.1 * generator.normal(size=vector.size)
    keep_away_from_the_kink(vector, layer_sizes, X, activation)
    options: dict[str, Any] = {"activation": activation, "loss": loss, "l2": 0.3, "sample_weight": weights}

    def value(at: FloatArray) -> float:
        return loss_and_gradients(as_layers(at, layer_sizes), X, y, **options)[0]

    gradient = np.empty_like(vector)
    loss_and_gradients(as_layers(vector, layer_sizes), X, y, **options, out=as_layers(gradient, layer_sizes))
    numeric = fourth_order_differences(value, vector)
    assert np.abs(numeric).max() > 0.01  # a check against zeros would check nothing
    assert gradient == pytest.approx(numeric, rel=1e-6, abs=1e-9)
    in_blocks_loss, in_blocks = full_batch_objective(vector, layer_sizes, X, y, **options, block_length=4)
    assert in_blocks == pytest.approx(gradient, rel=1e-10, abs=1e-13)
    assert in_blocks_loss == pytest.approx(value(vector), rel=1e-13)


def keep_away_from_the_kink(vector: FloatArray, layer_sizes: list[int], X: FloatArray, activation: str) -> None:
    """Shift biases until no relu changes sides within the steps of the differences: it has no derivative at 0."""
    if activation != "relu":
        return
    layers = as_layers(vector, layer_sizes)
    for depth, layer in enumerate(layers[:-1]):
        inputs = forward(layers[: depth + 1], X, activation)[-2] if depth else X
        for unit in range(layer.bias.size):
            while np.abs(inputs @ layer.weights[:, unit] + layer.bias[unit]).min() < 0.03:
                layer.bias[unit] += 0.01


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_derivatives_agree_with_differences(name: str) -> None:
    z = np.array([-3.0, -0.7, 0.4, 2.5])
    value, derivative = ACTIVATIONS[name].value, ACTIVATIONS[name].derivative
    numeric = np.array([fourth_order_differences(lambda at: float(value(at)[0]), z[[i]])[0] for i in range(4)])
    assert derivative(value(z)) == pytest.approx(numeric, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_keep_dtype_and_argument_and_stay_finite(name: str, dtype: type[np.floating[Any]]) -> None:
    z = np.array([-1e4, -1.0, 0.0, 1.0, 1e4], dtype=dtype)
    before = z.copy()
    value = ACTIVATIONS[name].value(z)
    assert value.dtype == dtype
    assert ACTIVATIONS[name].derivative(value).dtype == dtype
    assert np.isfinite(value).all()
    assert (z == before).all()
    assert not np.shares_memory(value, z)


def test_sigmoid_keeps_its_digits_on_the_left_tail() -> None:
    assert sigmoid(np.array([-100.0]))[0] == pytest.approx(np.exp(-100.0), rel=1e-12)


def test_one_step_worked_by_hand() -> None:
    # Two inputs, two relu units, one logit; one row x = (1, 2) of class 1; l2 = 0.1; gradient descent with rate 0.5.
    first = Layer(np.array([[1.0, -1.0], [0.5, 0.25]]), np.array([0.0, 0.25]))
    last = Layer(np.array([[1.0], [2.0]]), np.array([-2.0]))
    X, y = np.array([[1.0, 2.0]]), np.array([1])
    # z1 = (1*1 + 2*0.5 + 0, 1*-1 + 2*0.25 + 0.25) = (2, -0.25); a1 = relu(z1) = (2, 0)
    # logit = 2*1 + 0*2 - 2 = 0, so p = 0.5 and the cross-entropy is log 2
    values = forward([first, last], X, "relu")
    assert values[1].tolist() == [[2.0, 0.0]]
    assert values[2].tolist() == [[0.0]]
    # penalty = 0.1 / 2 * (1 + 1 + 0.25 + 0.0625 + 1 + 4) = 0.365625
    vector = np.concatenate([part.ravel() for layer in (first, last) for part in layer])
    params = as_layers(vector, [2, 2, 1])
    gradient = np.empty_like(vector)
    loss, gradients = loss_and_gradients(
        params, X, y, activation="relu", loss="binary_cross_entropy", l2=0.1, out=as_layers(gradient, [2, 2, 1])
    )
    assert loss == pytest.approx(np.log(2.0) + 0.365625, rel=1e-15)
    # d logit = p - 1 = -0.5
    # last weights: a1 * d + l2 * w = (2*-0.5 + 0.1, 0 + 0.2) = (-0.9, 0.2); bias: -0.5
    assert gradients[1].weights == pytest.approx(np.array([[-0.9], [0.2]]))
    assert gradients[1].bias == pytest.approx(np.array([-0.5]))
    # d z1 = -0.5 * (1, 2) * (1, 0) = (-0.5, 0)
    # first weights: x d + l2 w = [[1*-0.5 + 0.1, -0.1], [2*-0.5 + 0.05, 0.025]]; bias: (-0.5, 0)
    assert gradients[0].weights == pytest.approx(np.array([[-0.4, -0.1], [-0.95, 0.025]]))
    assert gradients[0].bias == pytest.approx(np.array([-0.5, 0.0]))
    # w - 0.5 g
    optimiser = SGD(learning_rate=0.5, momentum=0.0, nesterov=False)
    optimiser.step(vector, gradient, optimiser.initial_state(vector))
    assert params[0].weights == pytest.approx(np.array([[1.2, -0.95], [0.975, 0.2375]]))
    assert params[0].bias == pytest.approx(np.array([0.25, 0.25]))
    assert params[1].weights == pytest.approx(np.array([[1.45], [1.9]]))
    assert params[1].bias == pytest.approx(np.array([-1.75]))


def test_probabilities_of_one_logit_and_of_two_agree_and_sum_to_one() -> None:
    logits = np.array([[-1e4], [-30.0], [-1.0], [0.0], [2.0], [1e4]])
    one = probabilities(logits)
    assert one == pytest.approx(softmax(np.hstack([np.zeros_like(logits), logits])), rel=1e-12)
    assert one.sum(axis=1) == pytest.approx(np.ones(6), rel=1e-15)


def test_nothing_given_is_changed() -> None:
    generator = np.random.default_rng(0)
    X, y, weights = generator.normal(size=(4, 3)), np.array([0, 1, 1, 0]), np.ones(4)
    vector = initialise([3, 2, 1], "tanh", generator)
    before = [array.tobytes() for array in (X, y, weights, vector)]
    options: dict[str, Any] = {
        "activation": "tanh",
        "loss": "binary_cross_entropy",
        "l2": 1.0,
        "sample_weight": weights,
    }
    loss_and_gradients(as_layers(vector, [3, 2, 1]), X, y, **options)
    full_batch_objective(vector, [3, 2, 1], X, y, **options)
    assert [array.tobytes() for array in (X, y, weights, vector)] == before


@pytest.mark.parametrize(
    ("activation", "variance"),
    [("relu", 2 / 300), ("tanh", 2 / 500), ("identity", 2 / 500), ("sigmoid", 4 / 500)],
)
def test_initial_weights_have_the_variance_of_the_papers(activation: str, variance: float) -> None:
    # He: 2 / fan_in for relu. Glorot: 2 / (fan_in + fan_out), twice that for the sigmoid.
    layers = as_layers(initialise([300, 200, 4], activation, np.random.default_rng(1)), [300, 200, 4])
    assert layers[0].weights.var() == pytest.approx(variance, rel=0.03)
    assert layers[1].weights.var() == pytest.approx(2 / 204, rel=0.15)
    assert not layers[0].bias.any()


def test_a_vector_of_another_size_is_refused() -> None:
    assert n_params([3, 2, 1]) == 11
    with pytest.raises(ValueError, match="expected 11 parameters"):
        as_layers(np.zeros(10), [3, 2, 1])
