"""The logistic head against scikit-learn's optimum of the same objective."""

import itertools
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning as SklearnConvergenceWarning
from sklearn.linear_model import LogisticRegression

from trainer import LogisticClassifier
from trainer.learn import ConvergenceWarning, MLPClassifier, logistic, row_space
from trainer.learn.arrays import FloatArray, IntArray
from trainer.learn.class_weights import ClassWeight
from trainer.learn.network import as_layers, full_batch_objective, loss_name_for


def problem(n_classes: int, n_windows: int = 300, n_features: int = 12, seed: int = 3) -> tuple[FloatArray, IntArray]:
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(n_windows, n_features)) @ (np.eye(n_features) + 0.3)
    scores = X @ generator.normal(size=(n_features, n_classes)) + 3 * generator.normal(size=(n_windows, n_classes))
    return X, scores.argmax(axis=1)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("class_weight", [None, "balanced", {0: 4.0}], ids=["even", "balanced", "mapping"])
@pytest.mark.parametrize("strength", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("n_classes", [2, 5])
def test_coefficients_are_those_of_scikit_learn(
    n_classes: int, strength: float, class_weight: ClassWeight, fit_intercept: bool
) -> None:
    X, y = problem(n_classes)
    options: dict[str, Any] = {
        "C": strength,
        "class_weight": class_weight,
        "fit_intercept": fit_intercept,
        "tol": 1e-8,
        "max_iter": 5000,
    }
    weights = np.random.default_rng(0).uniform(0.2, 3.0, size=len(y))
    for sample_weight in (None, weights):
        ours = LogisticClassifier(**options).fit(X, y, sample_weight)
        oracle = LogisticRegression(**options).fit(X, y, sample_weight)
        assert ours.coef_.shape == oracle.coef_.shape
        assert np.abs(ours.coef_ - oracle.coef_).max() < 1e-3
        assert np.abs(ours.intercept_ - oracle.intercept_).max() < 1e-3
        assert ours.predict_proba(X) == pytest.approx(oracle.predict_proba(X), abs=1e-4)
        assert ours.decision_function(X).shape == oracle.decision_function(X).shape
        assert (ours.predict(X) == oracle.predict(X)).all()
        assert ours.score(X, y, sample_weight) == pytest.approx(oracle.score(X, y, sample_weight))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_default_tolerance_stops_where_scikit_learn_stops(n_classes: int) -> None:
    X, y = problem(n_classes)
    ours, oracle = LogisticClassifier().fit(X, y), LogisticRegression(max_iter=1000).fit(X, y)
    assert np.abs(ours.coef_ - oracle.coef_).max() < 1e-3


def test_logistic_regression_is_the_network_of_one_layer() -> None:
    X, y = problem(3)
    head = LogisticClassifier(C=0.05, tol=1e-7).fit(X, y)
    l2 = 1.0 / (0.05 * len(y))
    network = MLPClassifier(
        (), l2=l2, learning_rate=0.02, early_stopping=False, max_epochs=3000, batch_size=len(y), random_state=0
    ).fit(X, y)
    assert pytest.approx(head.coef_, abs=1e-3) == network.layers_[0].weights.T
    # And its optimum is a stationary point of exactly the code that the MLP runs.
    (layer,) = head.layers_
    vector = np.concatenate([layer.weights.ravel(), layer.bias])
    loss, gradient = full_batch_objective(
        vector, [12, 3], X, y, activation="relu", loss=loss_name_for(3), l2=l2, block_length=len(y)
    )
    assert np.abs(gradient).max() <= 1e-7
    assert loss == pytest.approx(head.loss_curve_[-1], rel=1e-12)
    assert network.loss_curve_[-1] == pytest.approx(loss, abs=1e-5)


def test_loss_curve_falls_and_callback_sees_it() -> None:
    seen: list[tuple[int, float]] = []
    head = LogisticClassifier().fit(*problem(3), callback=lambda iteration, loss: seen.append((iteration, loss)))
    assert seen == list(enumerate(head.loss_curve_, start=1))
    assert head.n_iter_.tolist() == [len(seen)]
    assert all(later < earlier for earlier, later in itertools.pairwise(head.loss_curve_))


def test_layers_hold_what_the_exporter_writes() -> None:
    X, y = problem(2)
    head = LogisticClassifier().fit(X, y)
    (layer,) = head.layers_
    assert layer.weights.dtype == np.float64
    assert head.activation == "identity"
    assert head.decision_function(X) == pytest.approx((X @ layer.weights + layer.bias)[:, 0], rel=1e-12)
    assert as_layers(np.zeros(13), [12, 1])[0].weights.shape == layer.weights.shape


def test_two_fits_give_the_same_bytes_and_change_no_argument() -> None:
    X, y = problem(3)
    weights = np.ones(len(y))
    before = [array.tobytes() for array in (X, y, weights)]
    one, two = (LogisticClassifier(class_weight="balanced").fit(X, y, weights) for _ in range(2))
    assert one.coef_.tobytes() == two.coef_.tobytes()
    one.predict_proba(X)
    assert [array.tobytes() for array in (X, y, weights)] == before


def test_too_few_iterations_are_told() -> None:
    X, y = problem(3)
    with pytest.warns(ConvergenceWarning, match="stopped after 2 iteration") as caught:
        LogisticClassifier(max_iter=2).fit(X, y)
    assert issubclass(caught[0].category, SklearnConvergenceWarning)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"C": 0.0}, "C: expected a number > 0, got 0.0"),
        ({"C": True}, "C: expected a number > 0, got True"),
        ({"multi_class": "ovr"}, "multi_class: expected one of multinomial, one_vs_rest, got 'ovr'"),
        ({"dtype": "float16"}, "dtype: expected one of float64, float32, got 'float16'"),
        ({"max_iter": 0}, "max_iter: expected a whole number >= 1, got 0"),
        ({"tol": float("nan")}, "tol: expected a number > 0, got nan"),
        ({"class_weight": "even"}, "class_weight: expected a mapping, 'balanced' or None, got 'even'"),
        ({"class_weight": 3}, "class_weight: expected a mapping, 'balanced' or None, got 3"),
        ({"class_weight": {9: 1.0}}, r"class_weight: expected labels of \[0, 1\], got \[9\]"),
        ({"class_weight": {0: -1.0}}, "class_weight: expected finite weights >= 0"),
        ({"class_weight": {0: 0.0, 1: 0.0}}, "class_weight: expected finite weights >= 0, at least one above"),
    ],
)
def test_a_parameter_out_of_range_is_named(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LogisticClassifier(**parameters).fit(*problem(2))


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_one_against_the_rest_is_a_binary_problem_for_each_class(
    class_weight: ClassWeight, *, fit_intercept: bool
) -> None:
    X, y = problem(4)
    options: dict[str, Any] = {"C": 0.5, "fit_intercept": fit_intercept, "tol": 1e-8, "max_iter": 5000}
    head = LogisticClassifier(multi_class="one_vs_rest", class_weight=class_weight, **options).fit(X, y)
    weights = None if class_weight is None else (len(y) / (4 * np.bincount(y)))[y]
    sigmoids = []
    for k in range(4):
        oracle = LogisticRegression(**options).fit(X, y == k, weights)
        assert head.coef_[k] == pytest.approx(oracle.coef_[0], abs=1e-3)
        assert head.intercept_[k] == pytest.approx(oracle.intercept_[0], abs=1e-3)
        sigmoids.append(oracle.predict_proba(X)[:, 1])
    shares = np.stack(sigmoids, axis=1)
    assert head.predict_proba(X) == pytest.approx(shares / shares.sum(axis=1, keepdims=True), abs=1e-4)


def test_one_against_the_rest_of_two_classes_is_the_binary_problem_and_far_rows_have_probabilities() -> None:
    X, y = problem(2)
    both = [LogisticClassifier(multi_class=kind).fit(X, y) for kind in ("multinomial", "one_vs_rest")]
    assert both[0].coef_.tobytes() == both[1].coef_.tobytes()
    assert both[0].predict_proba(X).tobytes() == both[1].predict_proba(X).tobytes()
    X, y = problem(3)
    far = LogisticClassifier(multi_class="one_vs_rest").fit(X, y).predict_proba(1e5 * X)
    assert far.sum(axis=1) == pytest.approx(np.ones(len(X)))


@pytest.mark.parametrize("multi_class", ["multinomial", "one_vs_rest"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_more_features_than_windows_end_at_the_same_optimum(
    monkeypatch: pytest.MonkeyPatch, n_classes: int, multi_class: str
) -> None:
    X, y = problem(n_classes, n_windows=25, n_features=200)
    X[:, 7] = X[:, 3]  # not of full rank
    X[4] = X[2]
    options: dict[str, Any] = {"C": 2.0, "tol": 1e-9, "max_iter": 5000, "multi_class": multi_class}
    rotated = LogisticClassifier(**options).fit(X, y)
    monkeypatch.setattr(logistic, "_MOST_ROTATED", 0)
    direct = LogisticClassifier(**options).fit(X, y)
    assert rotated.coef_.shape == (1 if n_classes == 2 else 3, 200)
    assert rotated.coef_ == pytest.approx(direct.coef_, abs=1e-4)
    # Classes that can be told apart leave the intercept nearly free, and it has no penalty: its last digits hang on the
    # order of sums. What it does to the objective does not.
    assert rotated.intercept_ == pytest.approx(direct.intercept_, abs=1e-3)
    assert rotated.loss_curve_[-1] == pytest.approx(direct.loss_curve_[-1], rel=1e-9)


def test_the_row_space_keeps_every_length_and_angle() -> None:
    X = np.random.default_rng(0).normal(size=(9, 50))
    coordinates, basis = row_space(X)
    assert coordinates.shape == (9, 9)
    assert basis.T @ basis == pytest.approx(np.eye(9), abs=1e-13)
    assert coordinates @ basis.T == pytest.approx(X, abs=1e-13)


def test_a_large_problem_ends_in_float64_where_it_was_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = problem(4)
    slow = LogisticClassifier(tol=1e-7).fit(X, y)
    monkeypatch.setattr(logistic, "_LARGE", 100)
    seen: list[tuple[int, float]] = []
    quick = LogisticClassifier(tol=1e-7).fit(X, y, callback=lambda iteration, loss: seen.append((iteration, loss)))
    assert quick.coef_ == pytest.approx(slow.coef_, abs=1e-4)
    assert seen == list(enumerate(quick.loss_curve_, start=1))
    assert quick.n_iter_.tolist() == [len(seen)]
    single = LogisticClassifier(dtype="float32").fit(X, y)
    assert single.coef_ == pytest.approx(slow.coef_, abs=1e-2)
    assert single.layers_[0].weights.dtype == np.float64
    with pytest.warns(ConvergenceWarning, match="stopped after 3 iteration"):
        LogisticClassifier(max_iter=3).fit(X, y)
