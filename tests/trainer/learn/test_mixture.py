"""Gaussian mixtures: beside scikit-learn, against counted densities, and where a Gaussian would shrink to a point."""

import warnings
from typing import Any

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture as SklearnMixture

from trainer.learn.arrays import FloatArray
from trainer.learn.estimator import ConvergenceWarning, NotFittedError
from trainer.learn.mixture import COVARIANCE_TYPES, GaussianMixture, log_sum_exp, precision_roots


def clouds(n_rows: int = 600, seed: int = 0) -> FloatArray:
    """Three overlapping clouds of different shapes in three dimensions."""
    generator = np.random.default_rng(seed)
    shapes = [np.diag([1.0, 2.0, 0.5]), np.array([[1.0, 0.8, 0], [0, 0.6, 0], [0, 0.3, 1.5]]), 0.7 * np.eye(3)]
    centres = [[0.0, 0.0, 0.0], [4.0, 1.0, -2.0], [-3.0, 4.0, 2.0]]
    return np.concatenate(
        [generator.normal(size=(n_rows // 3, 3)) @ s + c for s, c in zip(shapes, centres, strict=True)]
    )


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_the_likelihood_is_that_of_scikit_learn(covariance_type: str) -> None:
    X = clouds()
    ours = GaussianMixture(3, covariance_type=covariance_type, tol=1e-7, max_iter=1000, random_state=0).fit(X)
    theirs = SklearnMixture(3, covariance_type=covariance_type, tol=1e-7, max_iter=1000, n_init=3, random_state=0)
    theirs.fit(X)
    assert ours.score(X) == pytest.approx(theirs.score(X), abs=1e-3)
    assert ours.log_likelihood_ == pytest.approx(ours.score(X), abs=1e-6)
    assert ours.bic(X) == pytest.approx(theirs.bic(X), abs=2e-3 * len(X))
    assert ours.aic(X) == pytest.approx(theirs.aic(X), abs=2e-3 * len(X))
    assert ours.n_parameters == theirs._n_parameters()
    assert ours.covariances_.shape == np.asarray(theirs.covariances_).shape
    assert sorted(ours.weights_) == pytest.approx(sorted(np.asarray(theirs.weights_)), abs=0.01)


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_densities_are_those_of_the_formula(covariance_type: str) -> None:
    X = clouds(90)
    mixture = GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X)
    full = np.stack([np.diag(c) for c in mixture.covariances_]) if covariance_type == "diag" else mixture.covariances_
    full = np.broadcast_to(full, (3, 3, 3))
    joint = np.stack(
        [
            w * multivariate_normal(m, c).pdf(X)
            for w, m, c in zip(mixture.weights_, mixture.cluster_centers_, full, strict=True)
        ],
        axis=1,
    )
    assert mixture.score_samples(X) == pytest.approx(np.log(joint.sum(axis=1)), rel=1e-9)
    assert mixture.predict_proba(X) == pytest.approx(joint / joint.sum(axis=1, keepdims=True), abs=1e-9)
    assert (mixture.predict(X) == joint.argmax(axis=1)).all()
    assert (mixture.labels_ == mixture.predict(X)).all()
    assert (mixture.fit_predict(X) == mixture.labels_).all()


def test_the_likelihood_never_falls_with_more_rounds() -> None:
    X = clouds(150, seed=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        values = [
            GaussianMixture(4, max_iter=rounds, tol=0.0, random_state=0).fit(X).log_likelihood_
            for rounds in (1, 2, 3, 5, 8, 13, 40)
        ]
    assert (np.diff(values) >= -1e-9).all()
    assert values[-1] > values[0] + 0.01


def test_one_gaussian_is_mean_and_covariance() -> None:
    X = clouds()
    one = GaussianMixture(1, reg_covar=0.0).fit(X)
    assert one.cluster_centers_[0] == pytest.approx(X.mean(axis=0))
    assert one.covariances_[0] == pytest.approx(np.cov(X.T, bias=True), rel=1e-9)


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_a_gaussian_on_equal_rows_does_not_shrink_to_a_point(covariance_type: str) -> None:
    X = np.concatenate([np.full((20, 2), 5.0), np.random.default_rng(0).normal(size=(40, 2))])
    mixture = GaussianMixture(2, covariance_type=covariance_type, reg_covar=1e-3, random_state=0).fit(X)
    assert np.isfinite(mixture.score_samples(X)).all()
    assert precision_roots(mixture.parameters.covariances, 2).max() < 1.01 / np.sqrt(1e-3)


def test_a_constant_feature_and_units_of_any_size_are_borne() -> None:
    X = clouds() * [1e6, 1e-3, 0.0]
    mixture = GaussianMixture(3, reg_covar=0.0, random_state=0).fit(X)
    assert np.isfinite(mixture.score_samples(X)).all()


def test_rows_far_away_get_finite_densities_and_probabilities_that_sum_to_one() -> None:
    mixture = GaussianMixture(3, random_state=0).fit(clouds())
    far = np.array([[1e6, -1e6, 1e6], [0.0, 1e4, 0.0]])
    assert np.isfinite(mixture.score_samples(far)).all()
    assert mixture.predict_proba(far).sum(axis=1) == pytest.approx([1.0, 1.0])


def test_log_sum_exp_of_a_lost_gaussian_is_that_of_the_others() -> None:
    assert log_sum_exp(np.array([[-np.inf, 2.0]])).tolist() == [2.0]


def test_the_seed_decides_every_bit_and_more_starts_never_do_worse() -> None:
    X = clouds(150, seed=5)
    one, same = (GaussianMixture(5, random_state=1).fit(X).covariances_.tobytes() for _ in range(2))
    assert one == same
    single = GaussianMixture(5, n_init=1, random_state=1).fit(X).log_likelihood_
    assert GaussianMixture(5, n_init=5, random_state=1).fit(X).log_likelihood_ >= single


def test_too_few_rounds_are_said() -> None:
    with pytest.warns(ConvergenceWarning, match="still rose after max_iter=1 rounds"):
        stopped = GaussianMixture(4, max_iter=1, tol=0.0, random_state=0).fit(clouds())
    assert stopped.n_iter_ == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_clusters": 0}, "n_clusters: expected a whole number >= 1"),
        ({"covariance_type": "round"}, "covariance_type: expected one of full, tied, diag, got 'round'"),
        ({"n_init": 0}, "n_init: expected a whole number >= 1"),
        ({"max_iter": 0}, "max_iter: expected a whole number >= 1"),
        ({"tol": -1.0}, "tol: expected a number >= 0"),
        ({"reg_covar": -1.0}, "reg_covar: expected a number >= 0"),
        ({"n_clusters": 700}, "n_samples=600 should be >= n_clusters=700"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GaussianMixture(**options).fit(clouds())


def test_asking_before_the_fit_is_refused() -> None:
    with pytest.raises(NotFittedError, match="not fitted yet"):
        GaussianMixture().score_samples([[0.0]])
