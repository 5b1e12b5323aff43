"""k-means: what it finds beside scikit-learn, what it never does, and what it refuses."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans as SklearnKMeans
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score

from trainer.learn.arrays import FloatArray
from trainer.learn.estimator import ConvergenceWarning, NotFittedError
from trainer.learn.kmeans import KMeans, plus_plus_centers, squared_distances


def blobs(n_clusters: int, spread: float, seed: int) -> tuple[FloatArray, FloatArray]:
    X, y = make_blobs(400, n_features=5, centers=n_clusters, cluster_std=spread, random_state=seed)
    return X, y


@pytest.mark.parametrize("spread", [0.5, 2.0, 6.0])
@pytest.mark.parametrize("n_clusters", [2, 5, 9])
def test_the_inertia_is_that_of_scikit_learn(n_clusters: int, spread: float) -> None:
    X, _ = blobs(n_clusters, spread, seed=n_clusters)
    ours = KMeans(n_clusters, random_state=0).fit(X)
    theirs = SklearnKMeans(n_clusters, n_init=10, random_state=0).fit(X)
    assert ours.inertia_ <= 1.01 * theirs.inertia_
    assert ours.inertia_ == pytest.approx(float(((X - ours.cluster_centers_[ours.labels_]) ** 2).sum()), rel=1e-12)


def test_separate_blobs_are_found() -> None:
    X, y = blobs(5, 0.5, seed=1)
    groups = KMeans(5, random_state=0).fit(X)
    assert adjusted_rand_score(y, groups.labels_) == 1.0
    assert (groups.predict(X) == groups.labels_).all()
    assert groups.transform(X).argmin(axis=1).tolist() == groups.labels_.tolist()
    assert groups.score(X) == pytest.approx(-groups.inertia_, rel=1e-9)
    assert (groups.fit_predict(X) == groups.labels_).all()
    assert groups.fit_transform(X) == pytest.approx(np.linalg.norm(X[:, None] - groups.cluster_centers_, axis=2))


def test_one_round_worked_by_hand() -> None:
    # Rows 0, 1, 5, 9 and two groups: {0, 1} and {5, 9} have means 0.5 and 7, and no row moves.
    # Inertia: 0.25 + 0.25 + 4 + 4 = 8.5; {0, 1, 5} and {9} would have 4 + 1 + 9 + 0 = 14.
    groups = KMeans(2, random_state=3).fit([[0.0], [1.0], [5.0], [9.0]])
    assert sorted(groups.cluster_centers_.ravel().tolist()) == [0.5, 7.0]
    assert groups.inertia_ == 8.5


def test_far_from_the_origin_no_digits_are_lost() -> None:
    X, y = blobs(4, 0.5, seed=2)
    groups = KMeans(4, random_state=0).fit(X + 1e7)
    assert adjusted_rand_score(y, groups.labels_) == 1.0
    assert groups.inertia_ == pytest.approx(KMeans(4, random_state=0).fit(X).inertia_, rel=1e-5)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=4, max_size=30),
    n_clusters=st.integers(1, 6),
    seed=st.integers(0, 5),
)
def test_every_group_has_a_row_and_every_row_the_nearest_group(
    rows: list[tuple[int, int]], n_clusters: int, seed: int
) -> None:
    X = np.array(rows, dtype=np.float64)
    n_different = len(np.unique(X, axis=0))
    head = KMeans(n_clusters, n_init=2, random_state=seed)
    if n_different < n_clusters:
        with pytest.raises(ValueError, match=r"different rows expected, got|should be >= n_clusters"):
            head.fit(X)
        return
    head.fit(X)
    assert set(head.labels_.tolist()) == set(range(n_clusters))
    assert (head.predict(X) == head.labels_).all()
    # No worse than one group, and exact where every different row can have its own.
    assert head.inertia_ <= float(((X - X.mean(axis=0)) ** 2).sum()) + 1e-9
    if n_different == n_clusters:
        assert head.inertia_ == pytest.approx(0.0, abs=1e-9)


def test_a_centre_without_rows_is_moved_to_the_row_that_lies_farthest() -> None:
    from trainer.learn.kmeans import _lloyd

    X = np.array([[0.0], [0.1], [10.0], [10.1]])
    run = _lloyd(X, np.array([[5.0], [500.0]]), max_iter=20, tolerance=0.0)
    assert run.has_converged
    assert sorted(run.centers.ravel().round(3).tolist()) == [0.05, 10.05]


def test_rows_that_differ_by_rounding_alone_are_no_groups() -> None:
    X = np.repeat([[0.1, 7.0], [0.3, -7.0]], 40, axis=0) * (1.0 + 1e-16 * np.arange(80)[:, None])
    X = X + np.where(np.arange(80) % 3, 1e-15, -1e-15)[:, None]
    assert sorted(KMeans(2, random_state=0).fit(X).cluster_centers_[:, 1].round(3).tolist()) == [-7.0, 7.0]
    with pytest.raises(ValueError, match="at least n_clusters=3 different rows expected, got 2"):
        KMeans(3, random_state=0).fit(X)


def test_starts_are_drawn_by_squared_distance() -> None:
    # From 0 the squared distances are 1 and 9: without the choice among candidates the far row would come in 90 %.
    X = np.array([[0.0], [1.0], [3.0]])
    generator = np.random.default_rng(0)
    pairs = [tuple(sorted(plus_plus_centers(X, 2, generator).ravel().tolist())) for _ in range(600)]
    share_of_near = pairs.count((0.0, 1.0)) / len(pairs)
    # Two candidates, the better is kept. Start 0 (1/3): both candidates must be 1: 0.1^2. Start 1 (1/3): distances 1, 4
    # to rows 0, 3; keeping 3 leaves 1, keeping 0 leaves 4: row 0 needs both, 0.2^2. Start 3: never {0, 1}. Together
    # (0.01 + 0.04) / 3 = 0.0167.
    assert 0.003 < share_of_near < 0.04


def test_distances_are_never_below_zero_and_zero_to_itself() -> None:
    X = np.random.default_rng(0).normal(size=(50, 3))
    distances = squared_distances(X, X)
    assert distances.min() >= 0.0
    assert np.diag(distances) == pytest.approx(np.zeros(50), abs=1e-12)
    assert distances == pytest.approx(((X[:, None] - X[None]) ** 2).sum(axis=2), abs=1e-12)


def test_the_seed_decides_every_bit_and_the_rows_stay_as_they_were() -> None:
    X, _ = blobs(6, 4.0, seed=0)
    before = X.tobytes()
    one, same = (KMeans(6, n_init=1, random_state=4).fit(X).cluster_centers_.tobytes() for _ in range(2))
    others = {KMeans(6, n_init=1, random_state=seed).fit(X).cluster_centers_.tobytes() for seed in range(5)}
    assert one == same
    assert len(others) > 1  # seeds that all gave the same would prove nothing
    assert X.tobytes() == before


def test_too_few_rounds_are_said() -> None:
    X, _ = blobs(6, 4.0, seed=0)
    with pytest.warns(ConvergenceWarning, match="still moved after max_iter=1 rounds"):
        stopped = KMeans(6, n_init=1, max_iter=1, tol=0.0, random_state=0).fit(X)
    assert stopped.n_iter_ == 1


@pytest.mark.parametrize(
    ("options", "rows", "message"),
    [
        ({"n_clusters": 0}, np.eye(3), "n_clusters: expected a whole number >= 1, got 0"),
        ({"n_init": 0}, np.eye(3), "n_init: expected a whole number >= 1"),
        ({"max_iter": 1.5}, np.eye(3), "max_iter: expected a whole number >= 1"),
        ({"tol": -1.0}, np.eye(3), "tol: expected a number >= 0"),
        ({"n_clusters": 4}, np.eye(3), "n_samples=3 should be >= n_clusters=4"),
        ({"n_clusters": 2}, np.ones((30, 2)), "at least n_clusters=2 different rows expected, got 1"),
        ({"n_clusters": 2}, np.array([[np.nan, 1.0]] * 3), "contains NaN: row 0, column 0"),
    ],
)
def test_what_cannot_be_grouped_is_refused(options: dict[str, Any], rows: FloatArray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KMeans(**options).fit(rows)


def test_asking_before_the_fit_is_refused() -> None:
    with pytest.raises(NotFittedError, match="not fitted yet"):
        KMeans().predict([[0.0]])
