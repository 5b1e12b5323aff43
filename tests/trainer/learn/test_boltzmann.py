"""Boltzmann machines of a few units, where every state can be counted: energies, gradients, contrastive divergence."""

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest

from trainer.learn.arrays import FloatArray
from trainer.learn.boltzmann import (
    VISIBLE_KINDS,
    Boltzmann,
    contrastive_divergence,
    free_energy,
    free_energy_gradient,
    gibbs_step,
    hidden_probabilities,
    visible_means,
)

N_VISIBLE, N_HIDDEN = 4, 3


@pytest.fixture
def machine() -> Boltzmann:
    generator = np.random.default_rng(5)
    return Boltzmann(
        0.8 * generator.normal(size=(N_VISIBLE, N_HIDDEN)),
        0.5 * generator.normal(size=N_VISIBLE),
        0.5 * generator.normal(size=N_HIDDEN),
    )


def states(n_units: int) -> FloatArray:
    """Every state of binary units, (2 ** n_units, n_units)."""
    return np.array(list(product([0.0, 1.0], repeat=n_units)))


def rows_of(kind: str, n_rows: int = 6) -> FloatArray:
    generator = np.random.default_rng(1)
    if kind == "bernoulli":
        return (generator.random((n_rows, N_VISIBLE)) < [0.9, 0.7, 0.2, 0.5]).astype(np.float64)
    return generator.normal(loc=[1.0, -1.0, 0.5, 0.0], size=(n_rows, N_VISIBLE))


def energies(machine: Boltzmann, visible: FloatArray, kind: str) -> FloatArray:
    """E(v, h) of every row and every hidden state, as the head of the module defines it."""
    hidden = states(N_HIDDEN)
    own = (
        -(visible @ machine.visible_bias)
        if kind == "bernoulli"
        else 0.5 * ((visible - machine.visible_bias) ** 2).sum(axis=1)
    )
    return own[:, None] - (hidden @ machine.hidden_bias)[None, :] - visible @ machine.weights @ hidden.T


def log_partition(machine: Boltzmann, kind: str) -> float:
    """log Z: a sum over all states; over Gaussian units an integral in closed form for every hidden state."""
    if kind == "bernoulli":
        return float(np.logaddexp.reduce(-energies(machine, states(N_VISIBLE), kind).ravel()))
    hidden = states(N_HIDDEN)
    push = hidden @ machine.weights.T
    exponents = hidden @ machine.hidden_bias + push @ machine.visible_bias + 0.5 * (push**2).sum(axis=1)
    return float(np.logaddexp.reduce(exponents)) + 0.5 * N_VISIBLE * float(np.log(2.0 * np.pi))


def log_likelihood(machine: Boltzmann, visible: FloatArray, kind: str) -> float:
    return float(-free_energy(machine, visible, kind).mean()) - log_partition(machine, kind)


def differences(function: Callable[[Boltzmann], float], machine: Boltzmann, step: float = 1e-3) -> FloatArray:
    """Derivative by ``(-f(+2h) + 8 f(+h) - 8 f(-h) + f(-2h)) / 12h``, entry by entry, in one vector."""
    slopes = []
    for number, part in enumerate(machine):
        for position in np.ndindex(part.shape):
            moved = {}
            for k in (-2, -1, 1, 2):
                shifted = Boltzmann(*(own.copy() for own in machine))
                shifted[number][position] += k * step
                moved[k] = function(shifted)
            slopes.append((moved[-2] - 8 * moved[-1] + 8 * moved[1] - moved[2]) / (12 * step))
    return np.array(slopes)


def flat(machine: Boltzmann) -> FloatArray:
    return np.concatenate([part.ravel() for part in machine])


def cosine(one: FloatArray, other: FloatArray) -> float:
    return float(one @ other / np.sqrt((one @ one) * (other @ other)))


@pytest.mark.parametrize("kind", VISIBLE_KINDS)
def test_free_energy_is_the_sum_over_all_hidden_states(machine: Boltzmann, kind: str) -> None:
    visible = rows_of(kind)
    counted = -np.logaddexp.reduce(-energies(machine, visible, kind), axis=1)
    assert free_energy(machine, visible, kind) == pytest.approx(counted, rel=1e-12)


def test_free_energy_worked_by_hand() -> None:
    # One visible unit v = 1, one hidden unit; W = 2, a = 0.5, b = -1: F = -0.5 - log(1 + e^(2 - 1)) = -1.8133
    machine = Boltzmann(np.array([[2.0]]), np.array([0.5]), np.array([-1.0]))
    assert free_energy(machine, np.array([[1.0]]), "bernoulli")[0] == pytest.approx(-0.5 - np.log1p(np.e), rel=1e-15)
    # Gaussian: (1 - 0.5)^2 / 2 = 0.125 instead of -0.5
    assert free_energy(machine, np.array([[1.0]]), "gaussian")[0] == pytest.approx(0.125 - np.log1p(np.e), rel=1e-15)
    # The hidden unit is on with sigmoid(2 - 1); d F / d W = -v p(h) = -0.7311, d F / d b = -0.7311
    gradient = free_energy_gradient(machine, np.array([[1.0]]), "gaussian")
    assert gradient.weights[0, 0] == pytest.approx(-1.0 / (1.0 + np.exp(-1.0)))
    assert gradient.hidden_bias[0] == gradient.weights[0, 0]
    assert gradient.visible_bias[0] == -0.5


@pytest.mark.parametrize("kind", VISIBLE_KINDS)
def test_gradient_of_the_free_energy_agrees_with_differences(machine: Boltzmann, kind: str) -> None:
    visible = rows_of(kind)
    numeric = differences(lambda at: float(free_energy(at, visible, kind).mean()), machine)
    assert np.abs(numeric).min() > 1e-3  # a check against zeros would check nothing
    assert flat(free_energy_gradient(machine, visible, kind)) == pytest.approx(numeric, rel=1e-6, abs=1e-9)


def test_gradient_of_the_likelihood_is_the_difference_of_two_free_energy_gradients(machine: Boltzmann) -> None:
    visible, every = rows_of("bernoulli"), states(N_VISIBLE)
    exact = differences(lambda at: log_likelihood(at, visible, "bernoulli"), machine)
    share = np.exp(-free_energy(machine, every, "bernoulli") - log_partition(machine, "bernoulli"))
    assert share.sum() == pytest.approx(1.0, rel=1e-12)
    of_model = sum(
        p * flat(free_energy_gradient(machine, row[None], "bernoulli")) for p, row in zip(share, every, strict=True)
    )
    of_data = flat(free_energy_gradient(machine, visible, "bernoulli"))
    assert of_model - of_data == pytest.approx(exact, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("kind", VISIBLE_KINDS)
def test_contrastive_divergence_of_many_steps_points_along_the_exact_gradient(machine: Boltzmann, kind: str) -> None:
    visible = rows_of(kind)
    exact = differences(lambda at: log_likelihood(at, visible, kind), machine)
    chains = np.tile(visible, (4000, 1))
    estimates = {
        n_steps: flat(contrastive_divergence(machine, chains, kind, n_steps, np.random.default_rng(0))[0])
        for n_steps in (1, 60)
    }
    assert cosine(estimates[60], exact) > 0.999
    assert np.linalg.norm(estimates[60] - exact) < 0.05 * np.linalg.norm(exact)
    # One step is biased, and still goes uphill: that is why it works, and why more steps are worth something.
    assert 0.5 < cosine(estimates[1], exact) < cosine(estimates[60], exact)


@pytest.mark.parametrize("kind", VISIBLE_KINDS)
def test_gibbs_sampling_comes_to_the_distribution_of_the_machine(machine: Boltzmann, kind: str) -> None:
    generator = np.random.default_rng(3)
    chain: FloatArray = np.zeros((20_000, N_VISIBLE))
    for _ in range(60):
        chain, _ = gibbs_step(machine, chain, kind, generator)
    if kind == "bernoulli":
        every = states(N_VISIBLE)
        share = np.exp(-free_energy(machine, every, kind) - log_partition(machine, kind))
        found = np.bincount(chain.astype(int) @ [8, 4, 2, 1], minlength=16) / len(chain)
        assert found == pytest.approx(share, abs=0.015)
        return
    hidden = states(N_HIDDEN)
    push = hidden @ machine.weights.T
    weight = np.exp(hidden @ machine.hidden_bias + push @ machine.visible_bias + 0.5 * (push**2).sum(axis=1))
    assert chain.mean(axis=0) == pytest.approx(machine.visible_bias + weight @ push / weight.sum(), abs=0.05)


@pytest.mark.parametrize("kind", VISIBLE_KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extreme_values_stay_finite_and_keep_their_precision(kind: str, dtype: type) -> None:
    machine = Boltzmann(np.full((2, 2), 1e3, dtype), np.full(2, -1e3, dtype), np.full(2, 1e3, dtype))
    visible: FloatArray = np.array([[1.0, 1.0], [-1e1, 1e1]], dtype)
    assert np.isfinite(free_energy(machine, visible, kind)).all()
    assert hidden_probabilities(machine, visible).dtype == dtype
    assert visible_means(machine, np.ones((1, 2), dtype), kind).dtype == dtype
    chain, means = gibbs_step(machine, visible, kind, np.random.default_rng(0))
    assert chain.dtype == means.dtype == dtype
