"""Held-out answers come from fits that had not seen the window, fitted or taken from a closed form."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.data import Fold
from trainer.fit.candidates import Candidate, FeatureSet
from trainer.fit.cross_validation import (
    Setting,
    Trial,
    best_trial,
    held_out_decisions,
    logistic_logits,
    try_all,
    try_logistic,
    try_ridge,
)
from trainer.fit.heads import logits_of
from trainer.fit.path import PENALTY_PATH, PenaltyPath, losses
from trainer.fit.space import make_space
from trainer.learn import LogisticClassifier, RidgeClassifier
from trainer.learn.least_squares import LeastSquares, signed_targets


def silent(_what: str, _done: int, _of: int) -> None:
    """Report to nobody."""


def problem(n_classes: int = 2) -> tuple[Candidate, np.typing.NDArray[np.int64], tuple[Fold, ...]]:
    generator = np.random.default_rng(1)
    X = generator.standard_normal((80, 10)).astype(np.float32)
    y = (np.digitize(X[:, 0] + generator.standard_normal(80), np.arange(n_classes - 1) - (n_classes - 2) / 2)).astype(
        np.int64
    )
    numbers = np.arange(80) % 4
    folds = tuple(Fold(np.flatnonzero(numbers != k), np.flatnonzero(numbers == k)) for k in range(4))
    return Candidate(FeatureSet("raw", "level"), X, make_space(X, 0)), y, folds


def test_the_best_trial_is_chosen_by_all_folds_but_the_one_left_out() -> None:
    logits = np.zeros((4, 2))
    # The first setting looks best over all folds, but only because of fold 0.
    trials = [
        Trial(Setting("a", 1.0), logits, np.array([0.0, 5.0])),
        Trial(Setting("b", 1.0), logits, np.array([6.0, 1.0])),
    ]
    assert best_trial(trials).setting.blocks == "a"
    assert best_trial(trials, left_out=0).setting.blocks == "b"
    equal = [Trial(Setting(name, 1.0), logits, np.array([1.0, 1.0])) for name in ("strong", "weak")]
    assert best_trial(equal).setting.blocks == "strong"


def test_penalties_are_tried_until_they_get_worse_and_finer_around_the_best() -> None:
    candidate, y, folds = problem()
    trials = try_logistic(candidate, y, folds, n_classes=2)
    tried = [trial.setting.penalty for trial in trials]
    assert tried[-2] == pytest.approx(tried[-1] * 10)
    assert len(tried) < len(PENALTY_PATH) + 2
    assert all(np.isfinite(trial.logits).all() for trial in trials)
    assert all(trial.setting.head == "logistic" for trial in trials)


def test_logits_at_one_penalty_are_those_of_its_trial() -> None:
    candidate, y, folds = problem(3)
    trials = try_logistic(candidate, y, folds, n_classes=3)
    path = [trial.setting.penalty for trial in trials[:3]]
    assert path == list(PENALTY_PATH[:3])
    assert np.array_equal(logistic_logits(candidate, path, y, folds, n_classes=3), trials[2].logits)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_ridge_trials_are_the_answers_of_fits_without_the_fold(n_classes: int) -> None:
    candidate, y, folds = problem(n_classes)
    trials = try_ridge(candidate, y, folds, n_classes=n_classes)
    penalties = [trial.setting.penalty for trial in trials]
    assert penalties == sorted(penalties, reverse=True)  # strong first: ties go to it
    trial = trials[len(trials) // 2]
    fitted, held_out = folds[1]
    X = candidate.space.coordinates
    alone = RidgeClassifier(alpha=trial.setting.penalty).fit(X[fitted], y[fitted])
    expected = X[held_out] @ np.atleast_2d(alone.coef_).T + alone.intercept_
    outputs = trial.logits[held_out] / trial.scale
    found = outputs[:, 1:] if n_classes == 2 else outputs
    assert np.allclose(found, expected, atol=1e-8)
    assert trial.scale > 0


def test_ridge_logits_are_of_the_size_of_logits() -> None:
    candidate, y, folds = problem()
    for trial in try_ridge(candidate, y, folds, n_classes=2):
        ranked = np.sort(trial.logits, axis=1)
        assert np.median(ranked[:, -1] - ranked[:, -2]) == pytest.approx(3.0)


def test_features_that_say_nothing_give_finite_trials() -> None:
    candidate, y, folds = problem()
    flat = np.zeros((80, 3), np.float32)
    nothing = Candidate(FeatureSet("raw", "level"), flat, make_space(flat, 0))
    for trial in [*try_ridge(nothing, y, folds, n_classes=2), *try_logistic(nothing, y, folds, n_classes=2)]:
        assert np.isfinite(trial.logits).all()
        assert np.isfinite(trial.loss)
    assert candidate.name == "raw"


def test_a_tie_is_a_tie_and_no_rounding_error_that_knows_the_label() -> None:
    y = np.repeat([0, 1], 10)
    nothing = LeastSquares(np.zeros((20, 3)), signed_targets(y, 2))
    left_out = [np.flatnonzero(np.arange(20) % 5 == k) for k in range(5)]
    for alpha in (0.003, 0.07, 1.0, 30.0):
        decisions = held_out_decisions(nothing, alpha, [(rows, rows) for rows in left_out])
        assert np.unique(decisions).tolist() == [0.0]


def test_every_pair_of_features_and_head_is_a_family() -> None:
    candidate, y, folds = problem()
    said: list[str] = []
    families = try_all(
        [(candidate, ("logistic", "ridge"))], y, folds, n_classes=2, report=lambda what, _d, _o: said.append(what)
    )
    assert [family[0].setting.head for family in families] == ["logistic", "ridge"]
    assert said == ["raw, logistic", "raw, ridge"]


def test_a_fold_is_standardised_by_the_rows_it_is_fitted_on() -> None:
    X = np.array([[0.0], [2.0], [8.0]], np.float32)
    candidate = Candidate(FeatureSet("raw", "level"), X, make_space(X, 0))
    fitted, held_out = candidate.parts(Fold(np.array([0, 1]), np.array([2])))
    assert fitted.ravel().tolist() == pytest.approx([-1.0, 1.0])
    assert held_out.ravel().tolist() == pytest.approx([7.0])


def test_the_path_of_penalties_ends_where_the_estimator_does() -> None:
    generator = np.random.default_rng(0)
    for n_windows, n_features in ((60, 5), (20, 50)):
        X = generator.standard_normal((n_windows, n_features))
        y = np.arange(n_windows) % 3
        path = PenaltyPath(X, y, X, n_classes=3)
        for penalty in PENALTY_PATH[:4]:
            found = path.logits_at(penalty)
        head = LogisticClassifier(C=PENALTY_PATH[3], tol=1e-8).fit(X, y)
        assert np.abs(found - logits_of(head, X, 3)).max() < 0.05


def test_losses_are_stable_at_ten_thousand() -> None:
    logits = np.array([[1e4, -1e4], [-1e4, 1e4], [0.0, 0.0]])
    assert losses(logits, np.array([0, 0, 1])) == pytest.approx([0.0, 2e4, np.log(2)])
