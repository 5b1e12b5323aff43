import numpy as np
import pytest

from trainer.learn.arrays import FloatArray
from trainer.learn.optimisers import OPTIMISERS, SGD, Adam, Optimiser, fit_lbfgs


def walk(optimiser: Optimiser, gradients: list[float], start: float = 1.0) -> list[float]:
    vector = np.array([start])
    state = optimiser.initial_state(vector)
    path = []
    for gradient in gradients:
        optimiser.step(vector, np.array([gradient]), state)
        path.append(float(vector[0]))
    return path


def test_sgd_with_momentum_worked_by_hand() -> None:
    # v1 = -0.1 * 2 = -0.2            w1 = 1 - 0.2 = 0.8
    # v2 = 0.5 * -0.2 - 0.1 * 1 = -0.2   w2 = 0.6
    # v3 = 0.5 * -0.2 + 0.1 * 4 = 0.3    w3 = 0.9
    assert walk(SGD(0.1, 0.5, nesterov=False), [2.0, 1.0, -4.0]) == pytest.approx([0.8, 0.6, 0.9])


def test_sgd_with_nesterov_worked_by_hand() -> None:
    # v1 = -0.2                     w1 = 1 + 0.5 * -0.2 - 0.2 = 0.7
    # v2 = -0.1 - 0.1 = -0.2        w2 = 0.7 + 0.5 * -0.2 - 0.1 = 0.5
    assert walk(SGD(0.1, 0.5, nesterov=True), [2.0, 1.0]) == pytest.approx([0.7, 0.5])


def test_adam_worked_by_hand() -> None:
    # beta_1 = 0.5, beta_2 = 0.75, epsilon = 1, rate = 0.1
    # g = 2: m = 1, v = 1; corrected m = 1 / 0.5 = 2, v = 1 / 0.25 = 4; w = 1 - 0.1 * 2 / (2 + 1)
    # g = 4: m = 2.5, v = 0.75 + 4 = 4.75; corrected m = 2.5 / 0.75, v = 4.75 / 0.4375
    first = 1 - 0.1 * 2 / 3
    second = first - 0.1 * (2.5 / 0.75) / (np.sqrt(4.75 / 0.4375) + 1)
    assert walk(Adam(0.1, 0.5, 0.75, 1.0), [2.0, 4.0]) == pytest.approx([first, second], rel=1e-14)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_every_optimiser_keeps_its_state_with_the_caller_and_the_dtype(name: str) -> None:
    optimiser = OPTIMISERS[name](learning_rate=0.05)
    vector, gradient = np.full(3, 2.0, dtype=np.float32), np.ones(3, dtype=np.float32)
    state = optimiser.initial_state(vector)
    optimiser.step(vector, gradient, state)
    assert vector.dtype == np.float32
    assert state.n_steps == 1
    assert (gradient == 1.0).all()
    again = np.full(3, 2.0, dtype=np.float32)
    optimiser.step(again, gradient, optimiser.initial_state(again))
    assert again.tobytes() == vector.tobytes()


@pytest.mark.parametrize("name", OPTIMISERS)
def test_every_optimiser_reaches_the_bottom_of_a_bowl(name: str) -> None:
    optimiser, vector = OPTIMISERS[name](learning_rate=0.02), np.array([1.0, -2.0])
    state = optimiser.initial_state(vector)
    for _ in range(2000):
        optimiser.step(vector, np.array([1.0, 5.0]) * vector, state)
    assert np.abs(vector).max() < 1e-3


def test_lbfgs_tells_where_and_why_it_stopped() -> None:
    def rosenbrock(v: FloatArray) -> tuple[float, FloatArray]:
        value = (1 - v[0]) ** 2 + 100 * (v[1] - v[0] ** 2) ** 2
        return value, np.array([-2 * (1 - v[0]) - 400 * v[0] * (v[1] - v[0] ** 2), 200 * (v[1] - v[0] ** 2)])

    seen: list[tuple[int, float]] = []
    start = np.array([-1.2, 1.0])
    found = fit_lbfgs(rosenbrock, start, max_iter=200, tol=1e-8, callback=lambda k, value: seen.append((k, value)))
    assert found.has_converged
    assert found.vector == pytest.approx(np.ones(2), abs=1e-6)
    assert seen == list(enumerate(found.loss_curve, start=1))
    assert len(seen) == found.n_iter
    assert start.tolist() == [-1.2, 1.0]
    short = fit_lbfgs(rosenbrock, start, max_iter=3, tol=1e-8)
    assert not short.has_converged
    assert "ITERATIONS" in short.reason
