"""Pre-training on all rows, fine-tuning on the labelled ones: what each stage does, and what is refused."""

from typing import Any

import numpy as np
import pytest

from trainer.errors import DivergedError
from trainer.learn import DeepBeliefClassifier, MLPClassifier, RestrictedBoltzmannMachine
from trainer.learn.arrays import FloatArray, IntArray
from trainer.learn.network import Layer


def clouds(n_rows: int = 300, seed: int = 0) -> tuple[FloatArray, IntArray]:
    """Three classes whose difference lies along the directions in which the rows vary most."""
    generator = np.random.default_rng(seed)
    y = np.arange(n_rows) % 3
    centres = np.array([[2.0, 0, 0, 0, 0, 0], [0, 2.0, 0, 0, 0, 0], [0, 0, 2.0, 0, 0, 0]])
    return (centres[y] + 0.6 * generator.normal(size=(n_rows, 6))) @ np.linalg.qr(generator.normal(size=(6, 6)))[0], y


def cosine(one: FloatArray, other: FloatArray) -> float:
    return float(np.vdot(one, other) / np.linalg.norm(one) / np.linalg.norm(other))


def small(**options: Any) -> DeepBeliefClassifier:
    usual: dict[str, Any] = {
        "hidden_layer_sizes": (16,),
        "pretrain_epochs": 60,
        "pretrain_learning_rate": 0.03,
        "learning_rate": 0.01,
        "max_epochs": 60,
        "min_steps": 0,
        "random_state": 0,
    }
    return DeepBeliefClassifier(**(usual | options))


def test_few_labels_and_many_rows_are_enough_where_the_rows_lie_in_clouds() -> None:
    X, y = clouds()
    labels = np.where(np.arange(len(y)) < 6, y, -1)
    head = small(unlabelled=-1).fit(X, labels)
    assert head.classes_.tolist() == [0, 1, 2]
    assert head.score(X, y) > 0.9
    assert head.predict_proba(X).sum(axis=1) == pytest.approx(np.ones(len(X)))


def test_the_first_layer_is_the_machine_that_was_fitted_on_all_rows() -> None:
    X, y = clouds()
    head = small(learning_rate=0.001).fit(X[:30], y[:30], X_unlabelled=X[30:])
    generator = np.random.default_rng(0)
    machine = RestrictedBoltzmannMachine(16, learning_rate=0.03, max_epochs=60, random_state=generator).fit(X)
    assert head.pretrained_layers_[0].weights.tobytes() == machine.weights_.tobytes()
    assert head.reconstruction_curves_ == [machine.reconstruction_curve_]
    # Fine-tuning starts there, and moves on.
    moved = np.abs(head.layers_[0].weights - machine.weights_).max()
    assert moved > 1e-3
    assert cosine(head.layers_[0].weights, machine.weights_) > 0.8


def test_each_layer_learns_from_the_one_below() -> None:
    X, y = clouds()
    head = small(hidden_layer_sizes=(12, 7)).fit(X, y)
    assert [layer.weights.shape for layer in head.pretrained_layers_] == [(6, 12), (12, 7)]
    assert [layer.weights.shape for layer in head.layers_] == [(6, 12), (12, 7), (7, 3)]
    generator = np.random.default_rng(0)
    first = RestrictedBoltzmannMachine(12, learning_rate=0.03, max_epochs=60, random_state=generator).fit(X)
    second = RestrictedBoltzmannMachine(
        7, visible="bernoulli", learning_rate=0.3, max_epochs=60, random_state=generator
    ).fit(first.transform(X))
    assert head.pretrained_layers_[1].weights.tobytes() == second.weights_.tobytes()
    assert head.transform(X).shape == (300, 7)
    assert head.activation == "sigmoid"
    again = head.transform(X) @ head.layers_[-1].weights + head.layers_[-1].bias
    assert head.decision_function(X) == pytest.approx(again)


def test_one_pre_training_serves_many_fits() -> None:
    X, y = clouds()
    first = small().fit(X, y)
    again = small().fit(X[:9], y[:9], pretrained=first.pretrained_layers_)
    assert again.pretrained_layers_[0].weights.tobytes() == first.pretrained_layers_[0].weights.tobytes()
    with pytest.raises(ValueError, match=r"initial_layers: expected weights of shapes \[\(6, 16\), \(16, 3\)\]"):
        small().fit(X, y, pretrained=[Layer(np.zeros((6, 5)), np.zeros(5))])


def test_without_pre_training_it_is_a_plain_network_of_sigmoid_layers() -> None:
    X, y = clouds()
    head = small(pretrain_epochs=0).fit(X, y)
    plain = MLPClassifier(
        (16,), activation="sigmoid", learning_rate=0.01, max_epochs=60, early_stopping=False, random_state=0
    ).fit(X, y)
    assert head.predict_proba(X).tobytes() == plain.predict_proba(X).tobytes()
    assert head.pretrained_layers_ == []


def test_few_rows_are_gone_over_until_there_are_steps_enough() -> None:
    X, y = clouds()
    # 9 rows are one step an epoch, 300 rows are five.
    assert small(min_steps=100).fit(X[:9], y[:9]).n_iter_ == 100
    assert small(min_steps=100).fit(X, y).n_iter_ == 60
    assert small(min_steps=400).fit(X, y).n_iter_ == 80


def test_minus_one_is_a_class_unless_said_otherwise() -> None:
    X, y = clouds()
    labels = np.where(y == 0, -1, 1)
    assert small().fit(X, labels).classes_.tolist() == [-1, 1]
    with pytest.raises(ValueError, match="at least 2 classes beside -1, got 1 class: 1"):
        small(unlabelled=-1).fit(X, labels)
    words = np.array(["idle", "?", "on"])[y]
    assert small(unlabelled="?").fit(X, words).classes_.tolist() == ["idle", "on"]


def test_the_seed_decides_every_bit_and_the_rows_stay_as_they_were() -> None:
    X, y = clouds()
    before = X.tobytes()
    one, same, other = (small(random_state=s).fit(X, y).predict_proba(X).tobytes() for s in (3, 3, 4))
    assert one == same != other
    assert X.tobytes() == before


def test_early_stopping_holds_out_whole_groups_of_labelled_rows() -> None:
    X, y = clouds()
    labels = np.where(np.arange(300) < 60, y, -1)
    head = small(unlabelled=-1, early_stopping=True, patience=3).fit(X, labels, np.arange(300) // 30)
    assert len(head.validation_loss_curve_) == head.n_iter_
    assert head.best_epoch_ <= head.n_iter_
    with pytest.raises(ValueError, match=r"groups: expected shape \(300,\), got \(3,\)"):
        small().fit(X, y, [1, 2, 3])


def test_every_epoch_of_every_stage_is_reported() -> None:
    X, y = clouds(60)
    said: list[tuple[str, int, int]] = []
    small(hidden_layer_sizes=(4, 3), pretrain_epochs=2, max_epochs=3).fit(
        X, y, report=lambda what, done, of: said.append((what, done, of))
    )
    assert said == [
        *[("pre-training layer 1", epoch, 2) for epoch in (1, 2)],
        *[("pre-training layer 2", epoch, 2) for epoch in (1, 2)],
        *[("fine-tuning", epoch, 3) for epoch in (1, 2, 3)],
    ]


def test_values_between_zero_and_one_may_be_bernoulli_units() -> None:
    X, y = clouds()
    assert small(visible="bernoulli", pretrain_learning_rate=0.05).fit((X > 0).astype(float), y).score(X > 0, y) > 0.8
    with pytest.raises(ValueError, match=r"values in 0 \.\. 1 expected for bernoulli units"):
        small(visible="bernoulli").fit(X, y)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"hidden_layer_sizes": ()}, r"hidden_layer_sizes: expected at least one whole number, got \(\)"),
        ({"hidden_layer_sizes": 8}, "hidden_layer_sizes: expected at least one whole number, got 8"),
        ({"hidden_layer_sizes": (0,)}, "expected a whole number >= 1, got 0"),
        ({"visible": "tanh"}, "visible: expected one of gaussian, bernoulli"),
        ({"pretrain_epochs": -1}, "pretrain_epochs: expected a whole number >= 0"),
        ({"pretrain_learning_rate": 0}, "pretrain_learning_rate: expected a number > 0"),
        ({"pretrain_batch_size": 0}, "pretrain_batch_size: expected a whole number >= 1"),
        ({"n_steps": 0}, "n_steps: expected a whole number >= 1"),
        ({"momentum": 1.0}, "momentum: expected a number >= 0 and < 1"),
        ({"pretrain_l2": -1}, "pretrain_l2: expected a number >= 0"),
        ({"learning_rate": -1}, "learning_rate: expected a number > 0"),
        ({"min_steps": -1}, "min_steps: expected a whole number >= 0"),
        ({"max_epochs": 0}, "max_epochs: expected a whole number >= 1"),
    ],
)
def test_hyper_parameters_out_of_range_are_refused(bad: dict[str, Any], message: str) -> None:
    X, y = clouds(30)
    with pytest.raises(ValueError, match=message):
        small(**bad).fit(X, y)


def test_rows_of_another_width_are_refused_and_a_runaway_is_named() -> None:
    X, y = clouds()
    with pytest.raises(ValueError, match="X_unlabelled: expected 6 features as X has, got 2"):
        small().fit(X, y, X_unlabelled=X[:, :2])
    with pytest.raises(DivergedError, match="diverged"):
        small(pretrain_learning_rate=1e8).fit(X, y)
