"""The machine as an estimator: what it learns, what it refuses, and that the seed decides."""

from typing import Any

import numpy as np
import pytest

from trainer.errors import DivergedError
from trainer.learn.arrays import FloatArray
from trainer.learn.estimator import NotFittedError
from trainer.learn.rbm import RestrictedBoltzmannMachine, initial_machine

BARS = np.repeat([[1.0, 1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0, 1.0]], 40, axis=0)


def two_clouds(n_rows: int = 400) -> FloatArray:
    generator = np.random.default_rng(0)
    centres = np.repeat([[1.5, -1.5, 0.0], [-1.5, 1.5, 0.0]], n_rows // 2, axis=0)
    return centres + 0.3 * generator.normal(size=centres.shape)


def test_seen_patterns_become_more_probable_than_any_other() -> None:
    machine = RestrictedBoltzmannMachine(
        4, visible="bernoulli", n_steps=10, learning_rate=0.2, batch_size=10, max_epochs=150, random_state=0
    ).fit(BARS)
    every = np.array([[int(bit) for bit in f"{number:05b}"] for number in range(32)], dtype=float)
    best_two = every[np.argsort(machine.free_energy(every))[:2]]
    assert sorted(best_two.tolist()) == sorted(np.unique(BARS, axis=0).tolist())
    assert machine.score_samples(every) == pytest.approx(-machine.free_energy(every))


def test_a_pattern_goes_up_and_comes_down_again() -> None:
    machine = RestrictedBoltzmannMachine(
        8, visible="bernoulli", learning_rate=0.5, batch_size=10, max_epochs=200, random_state=1
    ).fit(BARS)
    hidden = machine.transform(BARS)
    assert hidden.shape == (80, 8)
    assert 0.0 <= hidden.min() <= hidden.max() <= 1.0
    assert (machine.inverse_transform(hidden).round() == BARS).all()
    assert machine.reconstruction_curve_[-1] < 0.2 * machine.reconstruction_curve_[0]


def test_gaussian_units_learn_where_the_rows_lie() -> None:
    X = two_clouds()
    machine = RestrictedBoltzmannMachine(8, learning_rate=0.02, max_epochs=60, random_state=0).fit(X)
    inside, between = machine.free_energy([[1.5, -1.5, 0.0], [1.5, 1.5, 0.0]])
    assert inside < between - 2.0
    assert machine.n_iter_ == len(machine.reconstruction_curve_) == 60


def test_the_seed_decides_every_bit_and_the_rows_stay_as_they_were() -> None:
    X = two_clouds(100)
    before = X.tobytes()
    one, same, other = (
        RestrictedBoltzmannMachine(4, max_epochs=3, random_state=seed).fit(X).weights_.tobytes() for seed in (7, 7, 8)
    )
    assert one == same != other
    assert X.tobytes() == before


def test_weight_decay_keeps_the_weights_small() -> None:
    norms = [
        float(np.linalg.norm(RestrictedBoltzmannMachine(4, l2=l2, random_state=0).fit(two_clouds()).weights_))
        for l2 in (0.0, 1.0)
    ]
    assert norms[1] < 0.5 * norms[0]


def test_single_precision_finds_nearly_the_same() -> None:
    X = two_clouds()
    machine = RestrictedBoltzmannMachine(8, learning_rate=0.02, max_epochs=60, dtype="float32", random_state=0).fit(X)
    assert machine.weights_.dtype == np.float64
    inside, between = machine.free_energy([[1.5, -1.5, 0.0], [1.5, 1.5, 0.0]])
    assert inside < between - 2.0


def test_a_unit_that_never_changes_starts_with_a_finite_bias() -> None:
    start = initial_machine(np.ones((3, 1)), 2, "bernoulli", np.random.default_rng(0))
    assert start.visible_bias[0] == pytest.approx(np.log(99.0))


def test_a_step_that_is_far_too_long_is_named_and_the_earlier_fit_stays() -> None:
    machine = RestrictedBoltzmannMachine(4, max_epochs=30, random_state=0).fit(two_clouds())
    before = machine.weights_.tobytes()
    with pytest.raises(DivergedError, match="the fit diverged in epoch"):
        machine.set_params(learning_rate=1e6).fit(two_clouds())
    assert machine.weights_.tobytes() == before


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"n_hidden": 0}, "n_hidden: expected a whole number >= 1, got 0"),
        ({"visible": "relu"}, "visible: expected one of gaussian, bernoulli, got 'relu'"),
        ({"n_steps": 0}, "n_steps: expected a whole number >= 1"),
        ({"learning_rate": 0.0}, "learning_rate: expected a number > 0"),
        ({"momentum": 1.0}, "momentum: expected a number >= 0 and < 1"),
        ({"l2": -1.0}, "l2: expected a number >= 0"),
        ({"batch_size": 0.5}, "batch_size: expected a whole number >= 1"),
        ({"max_epochs": 0}, "max_epochs: expected a whole number >= 1"),
        ({"dtype": "float16"}, "dtype: expected one of float32, float64"),
        ({"visible": "bernoulli"}, r"X: values in 0 .. 1 expected for bernoulli units, got -\d"),
    ],
)
def test_what_cannot_be_is_refused(bad: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RestrictedBoltzmannMachine(**bad).fit(two_clouds())


def test_hidden_rows_of_another_width_are_refused_and_so_is_asking_before_the_fit() -> None:
    machine = RestrictedBoltzmannMachine(4, max_epochs=1, random_state=0)
    with pytest.raises(NotFittedError):
        machine.inverse_transform([[0.0] * 4])
    machine.fit(two_clouds())
    with pytest.raises(ValueError, match="hidden: expected 4 units, got 3"):
        machine.inverse_transform([[0.0] * 3])


def test_every_epoch_is_reported() -> None:
    seen: list[tuple[int, float]] = []
    machine = RestrictedBoltzmannMachine(4, max_epochs=3, random_state=0)
    machine.fit(two_clouds(), callback=lambda epoch, error: seen.append((epoch, error)))
    assert seen == list(enumerate(machine.reconstruction_curve_, start=1))
