from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from trainer import LogisticClassifier, MLPClassifier
from trainer.errors import DivergedError
from trainer.learn import mlp
from trainer.learn.arrays import FloatArray, IntArray
from trainer.learn.mlp import settings_for
from trainer.learn.network import Layer, as_layers, forward, initialise, loss_and_gradients
from trainer.learn.optimisers import OPTIMISERS
from trainer.learn.schedules import SCHEDULES


def rings(n_windows: int = 240, seed: int = 0) -> tuple[FloatArray, IntArray]:
    """Class by distance from the middle: no linear model can tell."""
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(n_windows, 2))
    radius = np.hypot(X[:, 0], X[:, 1])
    return X, np.digitize(radius, [0.8, 1.5])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_it_learns_what_no_linear_model_can(activation: str, optimiser: str, dtype: str) -> None:
    X, y = rings()
    rate = 0.01 if optimiser == "adam" else 0.1
    head = MLPClassifier(
        (24, 12), activation=activation, optimiser=optimiser, learning_rate=rate, dtype=dtype, random_state=1
    ).fit(X, y)
    assert head.score(*rings(seed=1)) > 0.9
    assert all(part.dtype == np.float64 for layer in head.layers_ for part in layer)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_seed_gives_the_same_bytes_and_another_does_not(dtype: str) -> None:
    X, y = rings()
    options: dict[str, Any] = {"max_epochs": 5, "dtype": dtype, "class_weight": "balanced"}
    one, two, other = (MLPClassifier(**options, random_state=seed).fit(X, y) for seed in (4, 4, 5))

    def as_bytes(head: MLPClassifier) -> bytes:
        return b"".join(part.tobytes() for layer in head.layers_ for part in layer)

    assert as_bytes(one) == as_bytes(two)
    assert as_bytes(one) != as_bytes(other)
    assert one.validation_loss_curve_ == two.validation_loss_curve_


def test_fit_and_predict_change_no_argument() -> None:
    X, y = rings()
    groups = np.arange(len(y)) // 10
    before = [array.tobytes() for array in (X, y, groups)]
    MLPClassifier(max_epochs=2, random_state=0).fit(X, y, groups).predict_proba(X)
    assert [array.tobytes() for array in (X, y, groups)] == before


def test_a_subset_is_answered_as_within_the_whole_and_rows_sum_to_one() -> None:
    X, y = rings()
    head = MLPClassifier(max_epochs=5, random_state=0).fit(X, y)
    whole = head.predict_proba(X)
    assert np.vstack([head.predict_proba(X[[row]]) for row in range(40)]) == pytest.approx(whole[:40], rel=1e-12)
    assert whole.sum(axis=1) == pytest.approx(np.ones(len(X)), rel=1e-14)


def test_layers_and_activation_are_all_that_an_exporter_needs() -> None:
    X, y = rings()
    head = MLPClassifier((5, 4), activation="tanh", max_epochs=2, random_state=0).fit(X, y)
    assert [layer.weights.shape for layer in head.layers_] == [(2, 5), (5, 4), (4, 3)]
    first, second, last = head.layers_
    values = np.tanh(np.tanh(X @ first.weights + first.bias) @ second.weights + second.bias)
    assert head.decision_function(X) == pytest.approx(values @ last.weights + last.bias, rel=1e-12)


def test_the_weights_of_the_best_epoch_are_kept() -> None:
    generator = np.random.default_rng(0)
    X, y = generator.normal(size=(80, 30)), np.arange(80) % 2  # noise: the hold-out soon gets worse
    groups = np.arange(80) // 4
    best: dict[str, float] = {}

    def keep(epoch: int, _: float, validation_loss: float | None) -> None:
        assert validation_loss is not None
        if not best or validation_loss < best["loss"]:
            best.update(epoch=epoch, loss=validation_loss)

    head = MLPClassifier(learning_rate=0.01, patience=4, random_state=3).fit(X, y, groups, callback=keep)
    assert head.best_epoch_ == best["epoch"]
    assert head.best_epoch_ < head.n_iter_ < 200
    assert head.n_iter_ == len(head.loss_curve_) == len(head.validation_loss_curve_)
    # A fit that ends at that very epoch has the same weights: they are those after it, not the last ones.
    ended = MLPClassifier(learning_rate=0.01, patience=4, max_epochs=head.best_epoch_, random_state=3).fit(X, y, groups)
    assert ended.layers_[0].weights.tobytes() == head.layers_[0].weights.tobytes()


def test_patience_counts_epochs_without_improvement() -> None:
    X, y = rings()
    # No epoch can improve by a million nats, apart from the first, which has nothing to improve on.
    head = MLPClassifier(tol=1e6, patience=3, random_state=0).fit(X, y)
    assert head.n_iter_ == 1 + 3


def test_without_early_stopping_every_epoch_is_run_on_every_row() -> None:
    X, y = rings()
    seen: list[tuple[int, float, float | None]] = []
    head = MLPClassifier(early_stopping=False, max_epochs=7, random_state=0)
    head.fit(X, y, callback=lambda epoch, loss, validation_loss: seen.append((epoch, loss, validation_loss)))
    assert seen == [(epoch, loss, None) for epoch, loss in enumerate(head.loss_curve_, start=1)]
    assert head.n_iter_ == head.best_epoch_ == 7
    assert head.validation_loss_curve_ == []


def test_one_full_batch_step_of_sgd_is_the_gradient_of_the_mean_loss() -> None:
    # One feature, no hidden layer, two rows x = 1 (class 1) and x = -3 (class 0), one epoch in one batch.
    X, y = np.array([[1.0], [-3.0]]), np.array([0, 1])[::-1]
    head = MLPClassifier(
        (), optimiser="sgd", learning_rate=0.5, momentum=0.0, l2=0.0, early_stopping=False, max_epochs=1, random_state=0
    ).fit(X, y)
    # The first draw of the generator is the start: Glorot's limit for 1 -> 1 is sqrt(6 / 2).
    start = np.random.default_rng(0).uniform(-np.sqrt(3.0), np.sqrt(3.0))
    p = 1 / (1 + np.exp(-start * X[:, 0]))
    # d loss / d w = mean of (p - y) x; d loss / d b = mean of (p - y)
    assert head.layers_[0].weights[0, 0] == pytest.approx(start - 0.5 * np.mean((p - y) * X[:, 0]), rel=1e-14)
    assert head.layers_[0].bias[0] == pytest.approx(-0.5 * np.mean(p - y), rel=1e-14)


def test_class_weights_move_the_decision() -> None:
    generator = np.random.default_rng(0)
    X = np.concatenate([generator.normal(-0.5, 1, 200), generator.normal(0.5, 1, 200)])[:, np.newaxis]
    y = np.repeat(["idle", "pumping"], 200)
    shares = [
        np.mean(MLPClassifier((8,), class_weight=weight, random_state=0).fit(X, y).predict(X) == "pumping")
        for weight in ({"idle": 10.0}, None, {"pumping": 10.0})
    ]
    assert shares[0] < 0.25 < shares[1] < 0.75 < shares[2]


def test_a_fit_that_runs_away_says_when_and_keeps_the_model_before() -> None:
    X, y = rings()
    head = MLPClassifier((8,), optimiser="sgd", early_stopping=False, max_epochs=20, random_state=0).fit(X, y)
    before = head.predict_proba(X)
    head.set_params(learning_rate=1e200)
    with pytest.raises(DivergedError, match="lower the learning rate") as caught:
        head.fit(X, y)
    assert caught.value.epoch >= 1
    assert not np.isfinite(caught.value.loss)
    assert (head.predict_proba(X) == before).all()


def test_groups_of_another_length_are_refused() -> None:
    X, y = rings()
    with pytest.raises(ValueError, match=r"groups: expected shape \(240,\), got \(3,\)"):
        MLPClassifier().fit(X, y, [1, 2, 3])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"hidden_layer_sizes": (4, 0)}, "hidden_layer_sizes: expected a whole number >= 1, got 0"),
        ({"hidden_layer_sizes": 5}, "hidden_layer_sizes: expected a sequence of whole numbers, got 5"),
        ({"activation": "rleu"}, "activation: expected one of identity, sigmoid, tanh, relu, got 'rleu'"),
        ({"optimiser": "rprop"}, "optimiser: expected one of sgd, adam, got 'rprop'"),
        ({"dtype": "float16"}, "dtype: expected one of float32, float64"),
        ({"learning_rate": 0}, "learning_rate: expected a number > 0, got 0"),
        ({"momentum": 1.0}, "momentum: expected a number >= 0 and < 1, got 1.0"),
        ({"l2": -1.0}, "l2: expected a number >= 0"),
        ({"batch_size": 2.5}, "batch_size: expected a whole number >= 1, got 2.5"),
        ({"validation_fraction": 1.0}, "validation_fraction: expected a number > 0 and < 1"),
        ({"weight_decay": -1.0}, "weight_decay: expected a number >= 0"),
        ({"dropout": 1.0}, "dropout: expected a number >= 0 and < 1, got 1.0"),
        ({"input_dropout": -0.1}, "input_dropout: expected a number >= 0 and < 1"),
        ({"label_smoothing": 2}, "label_smoothing: expected a number >= 0 and < 1, got 2"),
        ({"schedule": "linear"}, "schedule: expected one of constant, cosine, plateau, got 'linear'"),
        ({"patience": 0}, "patience: expected a whole number >= 1"),
    ],
)
def test_a_parameter_out_of_range_is_named(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MLPClassifier(**parameters).fit(*rings())


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_layers_run_through_forward_give_the_logits(activation: str) -> None:
    X, y = rings()
    head = MLPClassifier((6,), activation=activation, max_epochs=2, random_state=0).fit(X, y)
    assert (forward(head.layers_, X, head.activation)[-1] == head.decision_function(X)).all()


def test_every_epoch_sees_every_row_once_in_an_order_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []

    def spy(params: list[Layer], X: FloatArray, y: IntArray, **options: Any) -> tuple[float, Sequence[Layer]]:
        seen.extend(X[:, 0])
        return loss_and_gradients(params, X, y, **options)

    monkeypatch.setattr(mlp, "loss_and_gradients", spy)
    X = np.arange(20.0)[:, np.newaxis]
    MLPClassifier((), batch_size=8, max_epochs=2, early_stopping=False, random_state=0).fit(X, np.arange(20) % 2)
    first, second = seen[:20], seen[20:]
    assert sorted(first) == sorted(second) == X[:, 0].tolist()
    assert first != second
    assert first != X[:, 0].tolist()


def test_decoupled_decay_shrinks_weights_beside_the_step_and_leaves_biases() -> None:
    X, y = rings()
    options: dict[str, Any] = {"early_stopping": False, "max_epochs": 1, "batch_size": 240, "l2": 0.0}
    plain, decayed = (
        MLPClassifier((6,), **options, learning_rate=0.01, weight_decay=decay, random_state=0).fit(X, y)
        for decay in (0.0, 5.0)
    )
    start = as_layers(initialise([2, 6, 3], "relu", np.random.default_rng(0)), [2, 6, 3])
    for before, one, other in zip(start, plain.layers_, decayed.layers_, strict=True):
        # w - rate * decay * w, and the very step that was taken without: it does not pass through Adam's denominator.
        assert other.weights == pytest.approx(one.weights - 0.01 * 5.0 * before.weights, rel=1e-12)
        assert (other.bias == one.bias).all()


def test_dropout_and_smoothing_are_for_fitting_only_and_soften_the_answers() -> None:
    X, y = rings()
    options: dict[str, Any] = {"early_stopping": False, "max_epochs": 60, "learning_rate": 0.01, "random_state": 0}
    plain = MLPClassifier((24,), **options).fit(X, y)
    others: list[dict[str, Any]] = [
        {"dropout": 0.5},
        {"label_smoothing": 0.3},
        {"input_dropout": 0.5},
    ]
    for other in others:
        soft = MLPClassifier((24,), **options, **other).fit(X, y)
        assert soft.predict_proba(X).max(axis=1).mean() < plain.predict_proba(X).max(axis=1).mean() - 0.02
        assert soft.predict_proba(X).tobytes() == soft.predict_proba(X).tobytes()
        again = MLPClassifier((24,), **options, **other).fit(X, y)
        assert again.layers_[0].weights.tobytes() == soft.layers_[0].weights.tobytes()


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_learns(schedule: str) -> None:
    X, y = rings()
    head = MLPClassifier((24,), schedule=schedule, learning_rate=0.02, max_epochs=80, random_state=0).fit(X, y)
    assert head.score(*rings(seed=1)) > 0.85


def test_the_cosine_ends_in_steps_of_nothing() -> None:
    X, y = rings()
    losses = (
        MLPClassifier(
            (8,),
            schedule="cosine",
            learning_rate=0.05,
            batch_size=240,
            max_epochs=100,
            early_stopping=False,
            random_state=0,
        )
        .fit(X, y)
        .loss_curve_
    )
    assert abs(losses[-1] - losses[-2]) < 0.01 * abs(losses[30] - losses[29])


@pytest.mark.parametrize("n_classes", [2, 6])
def test_twenty_windows_are_learned_nearly_as_well_as_by_a_linear_model(n_classes: int) -> None:
    shares = []
    for seed in range(5):
        generator = np.random.default_rng(seed)
        y = np.arange(20 + 600) % n_classes
        X = generator.normal(size=(620, 36)) + 1.2 * generator.normal(size=(n_classes, 36))[y]
        head = MLPClassifier((64,), **settings_for(20), random_state=seed).fit(X[:20], y[:20])
        linear = LogisticClassifier().fit(X[:20], y[:20])
        shares.append((head.score(X[20:], y[20:]), linear.score(X[20:], y[20:])))
    ours, theirs = np.mean(shares, axis=0)
    assert ours > theirs - 0.04
