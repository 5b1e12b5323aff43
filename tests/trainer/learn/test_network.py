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
    Workspace,
    as_layers,
    dropout_masks,
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


@pytest.mark.parametrize("with_dropout", [False, True], ids=["whole", "dropout"])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.2], ids=["certain", "smoothed"])
@pytest.mark.parametrize("hidden", HIDDEN, ids=lambda hidden: f"depth{len(hidden)}")
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("loss", LOSSES)
def test_backpropagation_agrees_with_differences(
    loss: str, activation: str, hidden: tuple[int, ...], label_smoothing: float, *, with_dropout: bool
) -> None:
    generator = np.random.default_rng(7)
    n_classes = 2 if loss == "binary_cross_entropy" else 3
    layer_sizes = [4, *hidden, 1 if n_classes == 2 else n_classes]
    X, y = generator.normal(size=(9, 4)), np.arange(9) % n_classes
    weights = row_weights({0: 0.5, 1: 3.0}, np.arange(n_classes), y)
    vector = initialise(layer_sizes, activation, generator)
    # Biases away from 0: a gradient that forgets them must not pass.
    vector += 0.1 * generator.normal(size=vector.size)
    masks = dropout_masks([(9, units) for units in hidden], 0.4, generator, np.float64) if with_dropout else None
    keep_away_from_the_kink(vector, layer_sizes, X, activation, masks)
    options: dict[str, Any] = {
        "activation": activation,
        "loss": loss,
        "l2": 0.3,
        "sample_weight": weights,
        "label_smoothing": label_smoothing,
    }

    def value(at: FloatArray) -> float:
        return loss_and_gradients(as_layers(at, layer_sizes), X, y, **options, masks=masks)[0]

    gradient, room = np.empty_like(vector), Workspace(layer_sizes, 12, np.float64)
    loss_and_gradients(
        as_layers(vector, layer_sizes),
        X,
        y,
        **options,
        masks=masks,
        out=as_layers(gradient, layer_sizes),
        workspace=room,
    )
    numeric = fourth_order_differences(value, vector)
    assert np.abs(numeric).max() > 0.01  # a check against zeros would check nothing
    assert gradient == pytest.approx(numeric, rel=1e-6, abs=1e-9)
    if masks is not None:
        return  # the sum over blocks is for the heads without dropout
    in_blocks_loss, in_blocks = full_batch_objective(vector, layer_sizes, X, y, **options, block_length=4)
    assert in_blocks == pytest.approx(gradient, rel=1e-10, abs=1e-13)
    assert in_blocks_loss == pytest.approx(value(vector), rel=1e-13)


def keep_away_from_the_kink(
    vector: FloatArray, layer_sizes: list[int], X: FloatArray, activation: str, masks: list[FloatArray] | None
) -> None:
    """Shift biases until no relu changes sides within the steps of the differences: it has no derivative at 0."""
    if activation != "relu":
        return
    inputs = X
    for depth, layer in enumerate(as_layers(vector, layer_sizes)[:-1]):
        for unit in range(layer.bias.size):
            while np.abs(inputs @ layer.weights[:, unit] + layer.bias[unit]).min() < 0.03:
                layer.bias[unit] += 0.01
        inputs = np.maximum(inputs @ layer.weights + layer.bias, 0.0) * (1.0 if masks is None else masks[depth])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_derivatives_agree_with_differences(name: str) -> None:
    z = np.array([-3.0, -0.7, 0.4, 2.5])
    value, derivative = ACTIVATIONS[name].value, ACTIVATIONS[name].derivative
    numeric = np.array([fourth_order_differences(lambda at: float(value(at)[0]), z[[i]])[0] for i in range(4)])
    assert derivative(value(z)) == pytest.approx(numeric, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_in_place_are_those_of_a_new_array_and_step_back_by_their_derivative(name: str) -> None:
    z, delta = np.array([-3.0, -0.7, 0.4, 2.5]), np.array([1.0, 2.0, -3.0, 4.0])
    function = ACTIVATIONS[name]
    a, in_place = function.value(z), z.copy()
    assert function.value(in_place, out=in_place) is in_place
    assert (in_place == a).all()
    wanted = delta * function.derivative(a)
    function.backward(delta, a)
    assert (delta == wanted).all()


def test_dropout_keeps_the_mean_and_drops_the_share_it_was_asked_for() -> None:
    first, second = dropout_masks([(400, 300), (400, 20)], 0.3, np.random.default_rng(0), np.float32)
    assert first.dtype == np.float32
    assert first.shape == (400, 300)
    assert second.shape == (400, 20)
    assert np.mean(first == 0.0) == pytest.approx(0.3, abs=0.01)
    assert first.mean() == pytest.approx(1.0, abs=0.01)
    assert set(np.unique(first)) == {np.float32(0.0), np.float32(1 / 0.7)}


def test_a_dropped_unit_is_as_good_as_gone() -> None:
    generator = np.random.default_rng(0)
    vector = initialise([3, 2, 3], "tanh", generator)
    first, last = as_layers(vector, [3, 2, 3])
    X, y = generator.normal(size=(5, 3)), np.arange(5) % 3
    options: dict[str, Any] = {"activation": "tanh", "loss": "cross_entropy"}
    with_mask, _ = loss_and_gradients([first, last], X, y, **options, masks=[np.tile([1.0, 0.0], (5, 1))])
    alone = [Layer(first.weights[:, :1], first.bias[:1]), Layer(last.weights[:1], last.bias)]
    assert with_mask == pytest.approx(loss_and_gradients(alone, X, y, **options)[0], rel=1e-14)


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
