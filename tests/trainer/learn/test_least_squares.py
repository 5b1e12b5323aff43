"""Closed-form held-out decisions against fits that really leave the rows out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from trainer.learn import least_squares
from trainer.learn.arrays import AnyArray, FloatArray, IntArray
from trainer.learn.least_squares import LeastSquares, blocks_of, ridge_path, signed_targets


def refitted(  # what the closed forms must give: a fit without the rows
    X: FloatArray, targets: FloatArray, weights: FloatArray, alpha: float, left_out: IntArray, *, fit_intercept: bool
) -> FloatArray:
    kept = np.setdiff1d(np.arange(len(X)), left_out)
    oracle = Ridge(alpha=alpha, fit_intercept=fit_intercept, solver="svd")
    answers: FloatArray = oracle.fit(X[kept], targets[kept], weights[kept]).predict(X[left_out])
    return answers.reshape(len(left_out), -1)


SHAPES = [(30, 9), (30, 70), (12, 40), (30, 2)]


@pytest.mark.parametrize("noise", [1e-3, 1.0, 100.0])
@pytest.mark.parametrize("weighted", [False, True], ids=["even", "weighted"])
@pytest.mark.parametrize("fit_intercept", [True, False], ids=["intercept", "origin"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("is_large", [False, True], ids=["eigen", "cholesky"])
def test_held_out_decisions_are_those_of_fits_without_the_rows(
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_large: bool,
    shape: tuple[int, int],
    fit_intercept: bool,
    weighted: bool,
    noise: float,
) -> None:
    if is_large:
        monkeypatch.setattr(least_squares, "_EIGEN_SIZE", 1)
    generator = np.random.default_rng(5)
    X = generator.normal(size=shape) + 1.0
    targets = signed_targets(np.arange(len(X)) % 3, 3)
    weights = generator.uniform(0.2, 3.0, len(X)) if weighted else np.ones(len(X))
    problem = LeastSquares(X, targets, weights, fit_intercept=fit_intercept)
    assert problem.is_large == is_large
    alpha = noise * problem.unit
    tolerance = 2e-3 if is_large else 1e-8  # float32 judges the alphas of a large problem
    alone = problem.held_out(alpha)
    for row in range(len(X)):
        truth = refitted(X, targets, weights, alpha, np.array([row]), fit_intercept=fit_intercept)
        assert alone[[row]] == pytest.approx(truth, abs=tolerance)
    blocks = blocks_of(generator.integers(0, 4, len(X)))
    grouped = problem.held_out(alpha, blocks)
    for left_out, _ in blocks:
        truth = refitted(X, targets, weights, alpha, left_out, fit_intercept=fit_intercept)
        assert grouped[left_out] == pytest.approx(truth, abs=tolerance)
    oracle = Ridge(alpha=alpha, fit_intercept=fit_intercept, solver="svd").fit(X, targets, weights)
    coefficients, bias = problem.solution(alpha)
    assert pytest.approx(oracle.coef_, abs=1e-8) == coefficients.T  # the solution is float64 either way
    assert bias == pytest.approx(np.broadcast_to(oracle.intercept_, bias.shape), abs=1e-8)


def test_an_alpha_below_what_float32_can_tell_is_solved_in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(least_squares, "_EIGEN_SIZE", 1)
    generator = np.random.default_rng(0)
    X = generator.normal(size=(40, 1)) @ generator.normal(size=(1, 90)) + 1e-4 * generator.normal(size=(40, 90))
    targets = signed_targets(np.arange(40) % 2, 2)
    problem = LeastSquares(X, targets)
    alpha = 1e-9 * problem.unit
    held_out = problem.held_out(alpha)
    truth = refitted(X, targets, np.ones(40), alpha, np.array([3]), fit_intercept=True)
    assert held_out[[3]] == pytest.approx(truth, rel=1e-4)


def test_a_row_without_weight_moves_nothing_and_is_answered() -> None:
    generator = np.random.default_rng(1)
    X, targets = generator.normal(size=(20, 6)), signed_targets(np.arange(20) % 2, 2)
    weights = np.ones(20)
    weights[4] = 0.0
    some = np.delete(np.arange(20), 4)
    with_it, without = LeastSquares(X, targets, weights), LeastSquares(X[some], targets[some])
    assert with_it.solution(2.0)[0] == pytest.approx(without.solution(2.0)[0], abs=1e-9)
    coefficients, bias = without.solution(2.0)
    assert with_it.held_out(2.0)[4] == pytest.approx(X[4] @ coefficients + bias, abs=1e-6)


@given(st.integers(0, 2**32), st.booleans())
def test_purged_rows_are_fitted_on_by_nobody_and_judged_by_nobody(seed: int, is_wide: bool) -> None:
    generator = np.random.default_rng(seed)
    X, y = generator.normal(size=(16, 40 if is_wide else 3)), np.arange(16) % 3
    order = generator.permutation(16)
    fitted, judged = order[:9], order[12:]
    decisions = ridge_path(X, y, [(fitted, judged)], [0.5, 7.0])
    assert decisions.shape == (2, 16, 3)
    for alpha, found in zip([0.5, 7.0], decisions, strict=True):
        oracle = Ridge(alpha=alpha, solver="svd").fit(X[fitted], signed_targets(y, 3)[fitted])
        assert found[judged] == pytest.approx(oracle.predict(X[judged]), abs=1e-7)
        assert np.isnan(found[order[:12]]).all()


def test_every_row_alone_is_the_default_of_the_path_and_a_missing_class_keeps_its_column() -> None:
    generator = np.random.default_rng(2)
    X, y = generator.normal(size=(10, 4)), np.arange(10) % 2
    alone = ridge_path(X, y, None, [1.0], n_classes=3)
    assert alone.shape == (1, 10, 3)
    assert alone[0, :, 2] == pytest.approx(-np.ones(10))
    folds = [(np.delete(np.arange(10), row), np.array([row])) for row in range(10)]
    assert alone == pytest.approx(ridge_path(X, y, folds, [1.0], n_classes=3), abs=1e-12)


def test_features_without_variance_answer_with_the_shares_of_the_classes() -> None:
    y = np.array([0, 0, 0, 1])
    problem = LeastSquares(np.ones((4, 3)), signed_targets(y, 2))
    coefficients, bias = problem.solution(problem.unit)
    assert not coefficients.any()
    assert bias.tolist() == [-0.5]
    assert problem.held_out(problem.unit)[:, 0] == pytest.approx(np.array([-1 / 3, -1 / 3, -1 / 3, -1.0]))


@pytest.mark.parametrize(
    ("folds", "alphas", "message"),
    [
        (None, [0.0], "alphas: expected numbers > 0"),
        (None, [], "alphas: expected numbers > 0"),
        ([([0, 1, 2], [])], [1.0], r"folds\[0\]: expected rows on both sides, got 3 fitted and 0 held out"),
        ([([0, 1], [2]), ([0, 1], [1])], [1.0], r"folds\[1\]: row 1 is both fitted and held out"),
        ([([0, 1], [9])], [1.0], r"folds\[0\]: expected rows in 0 \.\. 3"),
    ],
)
def test_folds_and_alphas_that_cannot_be_used_are_refused(
    folds: list[tuple[list[int], list[int]]] | None, alphas: list[float], message: str
) -> None:
    rows = None if folds is None else [(np.array(fitted, int), np.array(held_out, int)) for fitted, held_out in folds]
    with pytest.raises(ValueError, match=message):
        ridge_path(np.eye(4), np.array([0, 1, 0, 1]), rows, alphas)


def test_nothing_given_is_changed() -> None:
    generator = np.random.default_rng(0)
    arrays: list[AnyArray] = [generator.normal(size=(8, 5)), signed_targets(np.arange(8) % 2, 2), np.ones(8)]
    before = [array.tobytes() for array in arrays]
    problem = LeastSquares(*arrays)
    problem.held_out(1.0)
    problem.solution(1.0)
    assert [array.tobytes() for array in arrays] == before
