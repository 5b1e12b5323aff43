"""Gaussian mixtures by expectation maximisation, in logarithms throughout."""

import warnings
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trainer.learn.arrays import FloatArray, IntArray
from trainer.learn.estimator import ConvergenceWarning, kin_of_sklearn, require_name, require_number
from trainer.learn.kmeans import KMeans
from trainer.learn.unsupervised import Clusterer

COVARIANCE_TYPES = ("full", "tied", "diag")

_LOG_2_PI = float(np.log(2.0 * np.pi))
# A covariance below this share of the largest variance cannot be inverted in float64, whatever floor was asked for.
_LEAST_RELATIVE_FLOOR = 1e-10


class GaussianMixture(Clusterer):
    """A mixture of Gaussians, started from k-means.

    Parameters
    ----------
    n_clusters : int
        Gaussians, >= 1.
    covariance_type : {"full", "tied", "diag"}
        A covariance each, one for all, or variances only.
    n_init : int
        Starts, each from another k-means; the result of largest likelihood is kept.
    max_iter : int
        Most rounds of a start.
    tol : float
        It stops when the mean log-likelihood of a row rises by less, in nats.
    reg_covar : float
        Added to every variance: a Gaussian on few rows cannot shrink to a point.
    random_state : int, numpy.random.Generator or None
        Seed of the starts. The same seed gives the same bytes.

    Attributes
    ----------
    weights_ : ndarray of shape (n_clusters,)
        Share of each Gaussian; they sum to 1.
    cluster_centers_ : ndarray of shape (n_clusters, n_features)
        The means.
    covariances_ : ndarray of shape (n_clusters, n_features, n_features), (n_features, n_features) or (n_clusters, \
n_features)
        For "full", "tied" and "diag".
    labels_ : ndarray of shape (n_windows,), int64
    log_likelihood_ : float
        Mean over the rows of the fit, in nats.
    n_iter_ : int
    converged_ : bool
    n_features_in_, feature_names_in_
        As in `UnsupervisedEstimator`.

    Notes
    -----
    Dempster, Laird & Rubin, J. Royal Statistical Society B 39 (1977); the three covariances as in Fraley & Raftery,
    J. American Statistical Association 97 (2002), table 1.

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> X = np.concatenate([generator.normal(0.0, 1.0, (200, 1)), generator.normal(8.0, 0.5, (100, 1))])
    >>> mixture = GaussianMixture(2, random_state=0).fit(X)
    >>> sorted(mixture.weights_.round(2).tolist()), float(mixture.cluster_centers_.max().round(1))
    ([0.33, 0.67], 7.9)
    """

    weights_: FloatArray
    covariances_: FloatArray
    log_likelihood_: float
    n_iter_: int
    converged_: bool

    def __init__(
        self,
        n_clusters: int = 2,
        *,
        covariance_type: str = "full",
        n_init: int = 1,
        max_iter: int = 200,
        tol: float = 1e-4,
        reg_covar: float = 1e-6,
        random_state: int | np.random.Generator | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.covariance_type = covariance_type
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.reg_covar = reg_covar
        self.random_state = random_state

    def _check_parameters(self) -> None:
        super()._check_parameters()
        require_name("covariance_type", self.covariance_type, COVARIANCE_TYPES)
        require_number("reg_covar", self.reg_covar, 0.0)

    def _fit_rows(self, features: FloatArray) -> None:
        floor = max(self.reg_covar, _LEAST_RELATIVE_FLOOR * float(features.var(axis=0).max()))
        generator = np.random.default_rng(self.random_state)
        best: _Run | None = None
        for _ in range(self.n_init):
            start = KMeans(self.n_clusters, random_state=generator).fit(features).labels_
            run = self._run(features, start, floor)
            if best is None or run.log_likelihood > best.log_likelihood + 1e-9:
                best = run
        assert best is not None  # noqa: S101 - n_init >= 1
        if not best.has_converged:
            warnings.warn(
                f"the likelihood still rose after max_iter={self.max_iter} rounds",
                kin_of_sklearn(ConvergenceWarning),
                stacklevel=3,
            )
        self.weights_, self.cluster_centers_, covariances = best.parameters
        self.covariances_ = covariances[0] if self.covariance_type == "tied" else covariances
        self.n_iter_, self.converged_, self.log_likelihood_ = best.n_iter, best.has_converged, best.log_likelihood
        self.labels_ = log_joint(features, best.parameters).argmax(axis=1)

    def predict(self, X: npt.ArrayLike) -> IntArray:
        """Return the most probable group of every row, shape (n_windows,). Errors as in `score_samples`."""
        labels: IntArray = self._log_joint(X).argmax(axis=1)
        return labels

    def predict_proba(self, X: npt.ArrayLike) -> FloatArray:
        """Return the probability of every group, shape (n_windows, n_clusters); rows sum to 1. Errors as below."""
        joint = self._log_joint(X)
        probabilities: FloatArray = np.exp(joint - log_sum_exp(joint)[:, None])
        return probabilities

    def score_samples(self, X: npt.ArrayLike) -> FloatArray:
        """Return the log-density of every row in nats, shape (n_windows,).

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ValueError
            If X is not finite, or does not have the features of the fit.
        """
        return log_sum_exp(self._log_joint(X))

    def score(self, X: npt.ArrayLike, y: object = None) -> float:
        """Return the mean log-density of the rows in nats: larger is better."""
        return float(self.score_samples(X).mean())

    @property
    def parameters(self) -> "MixtureParameters":
        """What was fitted, in the shapes that `log_joint` takes."""
        covariances = self.covariances_[None] if self.covariance_type == "tied" else self.covariances_
        return MixtureParameters(self.weights_, self.cluster_centers_, covariances)

    @property
    def n_parameters(self) -> int:
        """How many free numbers were fitted: weights (one less, they sum to 1), means and covariances."""
        n_clusters, n_features = self.cluster_centers_.shape
        triangle = n_features * (n_features + 1) // 2
        per_type = {"full": n_clusters * triangle, "tied": triangle, "diag": n_clusters * n_features}
        return int(n_clusters - 1 + n_clusters * n_features + per_type[self.covariance_type])

    def bic(self, X: npt.ArrayLike) -> float:
        """Return the Bayesian information criterion on these rows: smaller is better.

        Notes
        -----
        Schwarz, Annals of Statistics 6 (1978) 461.
        """
        log_densities = self.score_samples(X)
        return float(self.n_parameters * np.log(len(log_densities)) - 2.0 * log_densities.sum())

    def aic(self, X: npt.ArrayLike) -> float:
        """Return Akaike's information criterion on these rows: smaller is better."""
        return float(2.0 * self.n_parameters - 2.0 * self.score_samples(X).sum())

    def _log_joint(self, X: npt.ArrayLike) -> FloatArray:
        features = self._checked_like_fit(X, "covariances_")
        return log_joint(features, self.parameters)

    def _run(self, X: FloatArray, labels: IntArray, floor: float) -> "_Run":
        """Return where the rounds end that start with these rows in these groups."""
        responsibilities = np.zeros((len(X), self.n_clusters))
        responsibilities[np.arange(len(X)), labels] = 1.0
        parameters = maximise(X, responsibilities, self.covariance_type, floor)
        before = -np.inf
        for n_iter in range(1, self.max_iter + 1):
            joint = log_joint(X, parameters)
            densities = log_sum_exp(joint)
            now = float(densities.mean())
            if now - before < self.tol:
                return _Run(parameters, now, n_iter, has_converged=True)
            before = now
            parameters = maximise(X, np.exp(joint - densities[:, None]), self.covariance_type, floor)
        return _Run(parameters, float(log_sum_exp(log_joint(X, parameters)).mean()), self.max_iter, has_converged=False)


class MixtureParameters(NamedTuple):
    """What a mixture is made of.

    Parameters
    ----------
    weights : ndarray of shape (n_clusters,)
    means : ndarray of shape (n_clusters, n_features)
    covariances : ndarray of shape (n_clusters, n_features), (1, n_features, n_features) or (n_clusters, n_features, \
n_features)
        Variances; one covariance for all; or one for each.
    """

    weights: FloatArray
    means: FloatArray
    covariances: FloatArray


class _Run(NamedTuple):
    """Where one start ended."""

    parameters: MixtureParameters
    log_likelihood: float
    n_iter: int
    has_converged: bool


def log_sum_exp(values: FloatArray) -> FloatArray:
    """Return ``log(sum(exp(values)))`` of every row, with the maximum taken out first.

    Examples
    --------
    >>> log_sum_exp(np.array([[-1e4, -1e4], [0.0, -np.inf]])).round(4).tolist()
    [-9999.3069, 0.0]
    """
    highest = values.max(axis=1)
    result: FloatArray = highest + np.log(np.exp(values - highest[:, None]).sum(axis=1))
    return result


def precision_roots(covariances: FloatArray, n_clusters: int) -> FloatArray:
    """Return for every Gaussian the matrix R with ``R R^T = inverse covariance``, (n_clusters, n_features, n_features).

    Parameters
    ----------
    covariances : ndarray
        As in `MixtureParameters`.
    n_clusters : int

    Examples
    --------
    >>> precision_roots(np.array([[4.0, 0.25]]), 1).tolist()  # a diagonal: 1 / deviation
    [[[0.5, 0.0], [0.0, 2.0]]]
    """
    n_features = covariances.shape[-1]
    if covariances.ndim == 2:
        return np.eye(n_features) / np.sqrt(covariances)[:, None, :]
    lower = np.linalg.cholesky(covariances)
    roots: FloatArray = np.linalg.inv(lower).transpose(0, 2, 1)
    return np.broadcast_to(roots, (n_clusters, n_features, n_features))


def log_joint(X: FloatArray, parameters: MixtureParameters) -> FloatArray:
    """Return log(weight) + log-density under every Gaussian, shape (n_windows, n_clusters).

    Parameters
    ----------
    X : ndarray of shape (n_windows, n_features)
    parameters : MixtureParameters

    Examples
    --------
    >>> standard = MixtureParameters(np.ones(1), np.zeros((1, 2)), np.ones((1, 2)))
    >>> log_joint(np.zeros((1, 2)), standard).round(4).tolist()  # -log(2 pi)
    [[-1.8379]]
    """
    weights, means, covariances = parameters
    n_clusters, n_features = means.shape
    roots = precision_roots(covariances, n_clusters)
    result = np.empty((len(X), n_clusters))
    for number in range(n_clusters):
        # The differences themselves: the expanded square would cancel where a row lies close to the mean.
        place = (X - means[number]) @ roots[number]
        result[:, number] = (place * place).sum(axis=1)
    log_determinants = np.log(np.diagonal(roots, axis1=1, axis2=2)).sum(axis=1)
    with np.errstate(divide="ignore"):
        # A Gaussian may lose all its rows: its weight is 0 then, and log 0 = -inf is what it counts.
        log_weights = np.log(weights)
    joint: FloatArray = -0.5 * (result + n_features * _LOG_2_PI) + log_determinants + log_weights
    return joint


def maximise(X: FloatArray, responsibilities: FloatArray, covariance_type: str, floor: float) -> MixtureParameters:
    """Return the most likely parameters for rows that belong to the Gaussians by these shares.

    Parameters
    ----------
    X : ndarray of shape (n_windows, n_features)
    responsibilities : ndarray of shape (n_windows, n_clusters)
        Rows sum to 1.
    covariance_type : {"full", "tied", "diag"}
    floor : float
        Added to every variance.

    Examples
    --------
    >>> weights, means, variances = maximise(np.array([[1.0], [3.0]]), np.ones((2, 1)), "diag", 0.5)
    >>> weights.tolist(), means.tolist(), variances.tolist()
    ([1.0], [[2.0]], [[1.5]])
    """
    n_windows, n_features = X.shape
    counts = responsibilities.sum(axis=0)
    # A Gaussian without rows keeps finite numbers.
    divisors = np.maximum(counts, 10.0 * np.finfo(np.float64).eps)
    means = responsibilities.T @ X / divisors[:, None]
    if covariance_type == "diag":
        variances = np.stack([responsibilities[:, k] @ (X - mean) ** 2 for k, mean in enumerate(means)])
        return MixtureParameters(counts / n_windows, means, variances / divisors[:, None] + floor)
    scatters = np.empty((len(means), n_features, n_features))
    for number, mean in enumerate(means):
        centred = X - mean
        scatters[number] = (responsibilities[:, number, None] * centred).T @ centred
    on_diagonal = floor * np.eye(n_features)
    if covariance_type == "tied":
        return MixtureParameters(
            counts / n_windows, means, scatters.sum(axis=0, keepdims=True) / n_windows + on_diagonal
        )
    return MixtureParameters(counts / n_windows, means, scatters / divisors[:, None, None] + on_diagonal)
