"""k-means: the clustering of least squared distance that Lloyd's algorithm finds from k-means++ starts."""

import warnings
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trainer.learn.arrays import FloatArray, IntArray
from trainer.learn.estimator import ConvergenceWarning, kin_of_sklearn
from trainer.learn.unsupervised import Clusterer


class KMeans(Clusterer):
    """k-means with k-means++ starts.

    Parameters
    ----------
    n_clusters : int
        Groups to find, >= 1.
    n_init : int
        Starts; the result of least inertia is kept.
    max_iter : int
        Most rounds of Lloyd's algorithm in a start.
    tol : float
        It stops when the centres move less than this (sum of squares, relative to the mean variance of a feature).
    random_state : int, numpy.random.Generator or None
        Seed of the starts. The same seed gives the same bytes.

    Attributes
    ----------
    cluster_centers_ : ndarray of shape (n_clusters, n_features)
    labels_ : ndarray of shape (n_windows,), int64
    inertia_ : float
        Sum of the squared distances of the rows to their centres.
    n_iter_ : int
        Rounds of the start that was kept.
    n_features_in_, feature_names_in_
        As in `UnsupervisedEstimator`.

    Notes
    -----
    Start: Arthur & Vassilvitskii, *k-means++: The Advantages of Careful Seeding*, SODA 2007, with the greedy choice of
    the best of ``2 + log k`` candidates that its authors report in section 6. Rounds: Lloyd, IEEE Trans. Inf. Theory 28
    (1982). A centre that loses all its rows is put on the row that lies farthest from its own centre.

    Examples
    --------
    >>> X = np.array([[0.0], [0.2], [5.0], [5.2], [9.0], [9.2]])
    >>> groups = KMeans(3, random_state=0).fit(X)
    >>> sorted(groups.cluster_centers_.round(3).ravel().tolist()), round(groups.inertia_, 4)
    ([0.1, 5.1, 9.1], 0.06)
    """

    inertia_: float
    n_iter_: int

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        n_init: int = 10,
        max_iter: int = 300,
        tol: float = 1e-4,
        random_state: int | np.random.Generator | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def _fit_rows(self, features: FloatArray) -> None:
        # Around 0 the expanded square (see `squared_distances`) loses the fewest digits.
        middle = features.mean(axis=0)
        centred = features - middle
        tolerance = self.tol * float(centred.var(axis=0).mean())
        generator = np.random.default_rng(self.random_state)
        best: _Run | None = None
        for _ in range(self.n_init):
            start = plus_plus_centers(centred, self.n_clusters, generator)
            run = _lloyd(centred, start, self.max_iter, tolerance)
            # Equal but for rounding: the earlier start stays, so that the last bit does not decide.
            if best is None or run.inertia < best.inertia * (1.0 - 1e-9):
                best = run
        assert best is not None  # noqa: S101 - n_init >= 1
        n_found = len(np.unique(best.labels))
        if n_found < self.n_clusters:
            msg = f"X: at least n_clusters={self.n_clusters} different rows expected, got {n_found} but for rounding"
            raise ValueError(msg)
        if not best.has_converged:
            warnings.warn(
                f"k-means still moved after max_iter={self.max_iter} rounds",
                kin_of_sklearn(ConvergenceWarning),
                stacklevel=3,
            )
        self._middle, self._around_middle = middle, best.centers
        self.cluster_centers_ = best.centers + middle
        self.labels_ = best.labels
        self.inertia_ = best.inertia
        self.n_iter_ = best.n_iter

    def transform(self, X: npt.ArrayLike) -> FloatArray:
        """Return the distance of every row to every centre, shape (n_windows, n_clusters).

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ValueError
            If X is not finite, or does not have the features of the fit.
        """
        distances: FloatArray = np.sqrt(self._squared_distances(X))
        return distances

    def fit_transform(self, X: npt.ArrayLike, y: object = None) -> FloatArray:
        """Fit, and return the distances of the same rows."""
        return self.fit(X).transform(X)

    def predict(self, X: npt.ArrayLike) -> IntArray:
        """Return the nearest group of every row, shape (n_windows,); a tie goes to the lower one. Errors as above."""
        labels: IntArray = self._squared_distances(X).argmin(axis=1)
        return labels

    def score(self, X: npt.ArrayLike, y: object = None) -> float:
        """Return minus the sum of the squared distances to the nearest centres: larger is better."""
        return -float(self._squared_distances(X).min(axis=1).sum())

    def _squared_distances(self, X: npt.ArrayLike) -> FloatArray:
        features = self._checked_like_fit(X, "cluster_centers_")
        return squared_distances(features - self._middle, self._around_middle)


def squared_distances(X: FloatArray, centers: FloatArray) -> FloatArray:
    """Return the squared distance of every row to every centre, never below 0.

    Parameters
    ----------
    X : ndarray of shape (n_windows, n_features)
    centers : ndarray of shape (n_clusters, n_features)

    Notes
    -----
    By ``||x||^2 - 2 x c + ||c||^2``: one matrix product. Its rounding error is that of the squared lengths, so take the
    common mean out of both arguments first.

    Examples
    --------
    >>> squared_distances(np.array([[0.0, 3.0]]), np.array([[4.0, 0.0], [0.0, 3.0]])).tolist()
    [[25.0, 0.0]]
    """
    result: FloatArray = X @ (-2.0 * centers.T)
    result += (X * X).sum(axis=1)[:, None]
    result += (centers * centers).sum(axis=1)
    np.maximum(result, 0.0, out=result)
    return result


def plus_plus_centers(X: FloatArray, n_clusters: int, generator: np.random.Generator) -> FloatArray:
    """Return rows of X to start from, far from each other: each drawn by its squared distance to those before.

    Parameters
    ----------
    X : ndarray of shape (n_windows, n_features)
    n_clusters : int
    generator : numpy.random.Generator

    Returns
    -------
    centers : ndarray of shape (n_clusters, n_features)

    Notes
    -----
    Arthur & Vassilvitskii, SODA 2007, section 2.2; of ``2 + log k`` drawn candidates the one that lowers the sum most.

    Examples
    --------
    >>> X = np.array([[0.0], [0.0], [0.0], [7.0]])
    >>> sorted(plus_plus_centers(X, 2, np.random.default_rng(0)).ravel().tolist())
    [0.0, 7.0]
    """
    n_candidates = 2 + int(np.log(n_clusters))
    centers = np.empty((n_clusters, X.shape[1]))
    centers[0] = X[generator.integers(len(X))]
    nearest = squared_distances(X, centers[:1])[:, 0]
    for number in range(1, n_clusters):
        cumulated = np.cumsum(nearest)
        drawn = generator.random(n_candidates) * cumulated[-1]
        candidates = np.minimum(np.searchsorted(cumulated, drawn, side="right"), len(X) - 1)
        with_candidate = np.minimum(squared_distances(X, X[candidates]), nearest[:, None])
        chosen = int(with_candidate.sum(axis=0).argmin())
        centers[number], nearest = X[candidates[chosen]], with_candidate[:, chosen]
    return centers


class _Run(NamedTuple):
    """Where one start ended."""

    centers: FloatArray
    labels: IntArray
    inertia: float
    n_iter: int
    has_converged: bool


def _lloyd(X: FloatArray, centers: FloatArray, max_iter: int, tolerance: float) -> _Run:
    """Return where the rounds "nearest centre, then mean" end from these centres."""
    labels: IntArray = np.full(len(X), -1)
    has_converged, n_iter = False, 0
    while not has_converged and n_iter < max_iter:
        before, labels = labels, _assigned(X, centers)
        moved = _means(X, labels, len(centers))
        has_converged = bool((labels == before).all()) or float(((moved - centers) ** 2).sum()) <= tolerance
        centers, n_iter = moved, n_iter + 1
    # The labels belong to the centres that are handed out, also after the last move. A centre that is moved onto a lone
    # row may draw more rows to it; rows that differ by rounding alone could draw them to and fro for ever.
    for _ in range(len(centers)):
        labels = _assigned(X, centers)
        if (labels == squared_distances(X, centers).argmin(axis=1)).all():
            break
    labels = squared_distances(X, centers).argmin(axis=1)
    inertia = float(((X - centers[labels]) ** 2).sum())
    return _Run(centers, labels, inertia, n_iter, has_converged)


def _assigned(X: FloatArray, centers: FloatArray) -> IntArray:
    """Return the nearest centre of every row; a centre without rows is moved, in place, onto the farthest row."""
    distances = squared_distances(X, centers)
    labels: IntArray = distances.argmin(axis=1)
    counts = np.bincount(labels, minlength=len(centers))
    while not counts.all():
        empty = int(np.flatnonzero(counts == 0)[0])
        own = ((X - centers[labels]) ** 2).sum(axis=1)
        # Not from a group of one row, which would be empty then.
        own[counts[labels] == 1] = -1.0
        farthest = int(own.argmax())
        counts[labels[farthest]] -= 1
        counts[empty] += 1
        labels[farthest] = empty
        centers[empty] = X[farthest]
    return labels


def _means(X: FloatArray, labels: IntArray, n_clusters: int) -> FloatArray:
    """Return the mean of the rows of every group; none is empty."""
    members = np.zeros((n_clusters, len(X)))
    members[labels, np.arange(len(X))] = 1.0
    means: FloatArray = (members @ X) / members.sum(axis=1)[:, None]
    return means
