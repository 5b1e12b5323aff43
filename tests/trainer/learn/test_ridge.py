"""The ridge head against scikit-learn, and what its held-out decisions are used for."""

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier as SklearnRidge
from sklearn.linear_model import RidgeClassifierCV

from trainer import RidgeClassifier
from trainer.learn import least_squares, ridge, ridge_path
from trainer.learn.arrays import FloatArray, IntArray
from trainer.learn.calibration import careful_temperature
from trainer.learn.class_weights import ClassWeight
from trainer.learn.network import as_layers, full_batch_objective, probabilities


def problem(n_classes: int, n_windows: int = 90, n_features: int = 12, seed: int = 3) -> tuple[FloatArray, IntArray]:
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(n_windows, n_features))
    scores = X[:, :5] @ generator.normal(size=(5, n_classes)) + generator.normal(size=(n_windows, n_classes))
    return X, scores.argmax(axis=1)


@pytest.mark.parametrize("class_weight", [None, "balanced", {0: 4.0}], ids=["even", "balanced", "mapping"])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize(("n_classes", "n_features"), [(2, 12), (4, 12), (2, 300), (4, 300)])
def test_coefficients_and_labels_are_those_of_scikit_learn(
    n_classes: int, n_features: int, class_weight: ClassWeight, *, fit_intercept: bool
) -> None:
    X, y = problem(n_classes, n_features=n_features)
    options: dict[str, Any] = {"class_weight": class_weight, "fit_intercept": fit_intercept}
    ours = RidgeClassifier(3.0, **options).fit(X, y)
    oracle = SklearnRidge(3.0, **options, solver="svd").fit(X, y)
    assert ours.coef_ == pytest.approx(np.atleast_2d(oracle.coef_), abs=1e-9)
    assert ours.intercept_ == pytest.approx(np.broadcast_to(oracle.intercept_, len(ours.coef_)), abs=1e-9)
    assert (ours.predict(X) == oracle.predict(X)).all()


@pytest.mark.parametrize(("n_classes", "n_features"), [(2, 12), (4, 12), (2, 300), (4, 300)])
def test_leave_one_out_chooses_what_scikit_learn_chooses(n_classes: int, n_features: int) -> None:
    X, y = problem(n_classes, n_features=n_features)
    ours = RidgeClassifier().fit(X, y)
    oracle = RidgeClassifierCV(alphas=ours.alphas_, store_cv_results=True).fit(X, y)
    assert ours.alpha_ == oracle.alpha_
    losses = oracle.cv_results_.reshape(-1, len(ours.alphas_)).mean(axis=0)
    assert ours.held_out_losses_ == pytest.approx(losses, rel=1e-6)


def test_its_optimum_is_where_the_registered_squared_error_has_no_slope() -> None:
    X, y = problem(3)
    head = RidgeClassifier(5.0).fit(X, y)
    vector = np.concatenate([head.coef_.T.ravel(), head.intercept_])
    _, gradient = full_batch_objective(
        vector, [12, 3], X, y, activation="identity", loss="squared_error", l2=5.0 / len(y)
    )
    assert np.abs(gradient).max() < 1e-12
    assert as_layers(vector, [12, 3])[0].weights.any()


def test_rows_of_a_group_do_not_vouch_for_each_other() -> None:
    # Every window comes in five near-copies, and which class it is says nothing: alone, each is betrayed by its twins.
    generator = np.random.default_rng(0)
    X = np.repeat(generator.normal(size=(30, 60)), 5, axis=0) + 1e-3 * generator.normal(size=(150, 60))
    groups = np.repeat(np.arange(30), 5)
    y = np.repeat(np.arange(30) % 2, 5)
    alone, grouped = RidgeClassifier().fit(X, y), RidgeClassifier().fit(X, y, groups)
    assert alone.alpha_ < grouped.alpha_
    assert alone.held_out_losses_.min() < 0.1
    assert grouped.held_out_losses_.min() > 0.8
    assert np.ptp(grouped.predict_proba(X)[:, 0]) < 0.6 < np.ptp(alone.predict_proba(X)[:, 0])


def test_folds_give_the_decisions_of_the_path_and_leave_the_others_open() -> None:
    X, y = problem(3)
    rows = np.arange(len(y))
    folds = [(rows[rows % 3 != part], rows[(rows % 3 == part) & (rows > 20)]) for part in range(3)]
    head = RidgeClassifier().fit(X, y, folds=folds)
    path = ridge_path(X, y, folds, head.alphas_)
    best = int(np.flatnonzero(head.alphas_ == head.alpha_)[0])
    assert head.held_out_decision_ == pytest.approx(path[best], nan_ok=True)
    assert np.isnan(head.held_out_decision_[:21]).all()
    assert not np.isnan(head.held_out_decision_[21:]).any()
    errors = ((path[:, 21:] - np.where(np.arange(3) == y[21:, np.newaxis], 1, -1)) ** 2).mean(axis=(1, 2))
    assert head.held_out_losses_ == pytest.approx(errors)
    assert best == errors.argmin()


@pytest.mark.parametrize("n_classes", [2, 4])
def test_probabilities_are_the_softmax_of_scaled_decisions_and_the_layers_carry_the_scale(n_classes: int) -> None:
    X, y = problem(n_classes)
    head = RidgeClassifier().fit(X, y)
    decisions = X @ head.coef_.T + head.intercept_
    [layer] = head.layers_
    assert X @ layer.weights + layer.bias == pytest.approx(head.scale_ * decisions)
    assert head.predict_proba(X) == pytest.approx(probabilities(head.scale_ * decisions))
    assert head.scale_ == pytest.approx(1 / careful_temperature(head.held_out_decision_, y))
    assert head.scale_ > 1.0  # decisions around 1 and -1 say less than the rows bear out


@pytest.mark.parametrize("criterion", ["squared_error", "log_loss", "accuracy"])
def test_every_criterion_prefers_its_own_best_and_of_equals_the_strongest(criterion: str) -> None:
    X, y = problem(3)
    head = RidgeClassifier(criterion=criterion).fit(X, y)
    best = np.flatnonzero(head.held_out_losses_ == head.held_out_losses_.min())
    assert head.alpha_ == head.alphas_[best[-1]]
    if criterion == "accuracy":
        wrong = head.held_out_decision_.argmax(axis=1) != y
        assert head.held_out_losses_.min() == pytest.approx(wrong.mean())


def test_a_large_problem_is_searched_from_a_sample_and_ends_where_the_full_grid_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    X, y = problem(3, n_windows=160, n_features=300)
    groups = np.arange(160) // 4
    everywhere = RidgeClassifier().fit(X, y, groups)
    monkeypatch.setattr(least_squares, "_EIGEN_SIZE", 80)
    monkeypatch.setattr(ridge, "_SCOUTS", 60)
    tried: list[tuple[int, int]] = []
    searched = RidgeClassifier().fit(X, y, groups, callback=lambda done, of: tried.append((done, of)))
    assert searched.alpha_ == pytest.approx(everywhere.alpha_, rel=1e-5)
    assert searched.coef_ == pytest.approx(everywhere.coef_, abs=1e-5)
    assert tried == [(done, 13) for done in range(1, len(tried) + 1)]
    assert len(tried) < 13
    assert np.isnan(searched.held_out_losses_).sum() == 13 - len(tried)


def test_two_windows_a_class_and_a_thousand_classes_are_fitted() -> None:
    generator = np.random.default_rng(0)
    y = np.repeat(np.arange(1000), 2)
    X = np.repeat(generator.normal(size=(1000, 30)), 2, axis=0) + 0.1 * generator.normal(size=(2000, 30))
    head = RidgeClassifier().fit(X, y)
    assert head.predict_proba(X[:3]).shape == (3, 1000)
    assert head.score(X, y) > 0.8
    few = RidgeClassifier().fit(X[:4], y[:4])
    assert few.score(X[:4], y[:4]) == 1.0


def test_a_hundred_to_one_needs_balanced_weights() -> None:
    generator = np.random.default_rng(0)
    y = np.array(["run"] * 1000 + ["leak"] * 10)
    X = generator.normal(size=(1010, 5)) + 2.0 * (y == "leak")[:, np.newaxis]
    recall = [
        np.mean(RidgeClassifier(class_weight=weight).fit(X, y).predict(X)[y == "leak"] == "leak")
        for weight in (None, "balanced")
    ]
    assert recall[0] < 0.5
    assert recall[1] >= 0.9


def test_two_fits_give_the_same_bytes() -> None:
    X, y = problem(3)
    one, two = (RidgeClassifier().fit(X, y) for _ in range(2))
    assert one.layers_[0].weights.tobytes() == two.layers_[0].weights.tobytes()
    assert one.activation == "identity"


@pytest.mark.parametrize(
    ("parameters", "options", "message"),
    [
        ({"alpha": 0.0}, {}, "alpha: expected a number > 0, got 0.0"),
        ({"alphas": [1.0, -1.0]}, {}, r"alphas: expected a sequence of finite numbers > 0, got \[1.0, -1.0\]"),
        ({"alphas": []}, {}, "alphas: expected a sequence of finite numbers > 0"),
        ({"criterion": "gcv"}, {}, "criterion: expected one of squared_error, log_loss, accuracy, got 'gcv'"),
        ({"class_weight": {9: 1.0}}, {}, r"class_weight: expected labels of \[0, 1\], got \[9\]"),
        ({}, {"groups": [1, 2]}, r"groups: expected shape \(90,\), got \(2,\)"),
        ({}, {"groups": [1] * 90}, "groups: expected at least 2 different ones"),
        ({}, {"folds": []}, r"folds: expected at least one \(fitted, held_out\), got none"),
        ({}, {"folds": [([0], [1])], "groups": [1] * 90}, "groups, folds: expected one of them, got both"),
    ],
)
def test_what_cannot_be_used_is_named(parameters: dict[str, Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RidgeClassifier(**parameters).fit(*problem(2), **options)
