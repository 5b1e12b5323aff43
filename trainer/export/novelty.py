"""The novelty output: how far a window lies from everything that the model was fitted on.

Three distances add up, each 1 on average for the training windows: to the nearest class where classes differ
(discriminants), to the nearest class where windows vary most (principal components), and out of the space of the
components (residual). The first tells a new class between the known ones, the others a new kind of signal.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from trainer.features import Value

FloatArray = npt.NDArray[np.float64]

METHOD = "mahalanobis"
"""What the card calls it."""

_OVERSAMPLING = 10
_N_ITERATIONS = 5
# Below this share of the largest, a direction between classes is rounding.
_RANK_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class NoveltyModel:
    """A fitted novelty output. All arrays hold float32 numbers, as the graph does.

    Parameters
    ----------
    mean : ndarray of shape (n_features,)
    components : ndarray of shape (n_features, n_components)
        Orthonormal columns: the directions in which the training windows vary most.
    projection : ndarray of shape (n_features, n_discriminants)
        Scaled discriminants.
    whitening : ndarray of shape (n_components, n_components)
        Takes components to coordinates in which classes are round.
    class_means : ndarray of shape (n_classes, n_discriminants + n_components)
    residual_weight : float
        One over the mean squared residual in training.
    threshold : float
        The distance at which novelty is 1.
    false_alarm_rate : float
        Expected share of familiar windows above the threshold.
    shrinkage : float
        What the discriminants took; see `fit_novelty`.
    """

    mean: FloatArray
    components: FloatArray
    projection: FloatArray
    whitening: FloatArray
    class_means: FloatArray
    residual_weight: float
    threshold: float
    false_alarm_rate: float
    shrinkage: float

    @property
    def n_features(self) -> int:
        """How many features it takes."""
        return len(self.mean)

    def scores(self, standardised: npt.NDArray[np.floating]) -> FloatArray:
        """Return the distance of each window from the training classes.

        Parameters
        ----------
        standardised : ndarray of shape (n_windows, n_features)
            Standardised features.

        Returns
        -------
        scores : ndarray of shape (n_windows,)
            About the square root of 3 for a typical training window; see `with_threshold`.
        """
        centred = standardised.astype(np.float64) - self.mean
        components = centred @ self.components
        place = np.hstack([centred @ self.projection, components @ self.whitening])
        to_class = np.stack([((place - class_mean) ** 2).sum(axis=1) for class_mean in self.class_means])
        residual = (centred**2).sum(axis=1) - (components**2).sum(axis=1)
        squared = to_class.min(axis=0) + np.maximum(residual, 0.0) * self.residual_weight
        result: FloatArray = np.sqrt(squared)
        return result

    def novelty(self, standardised: npt.NDArray[np.floating]) -> FloatArray:
        """Return the scores in units of the threshold: above 1 is novel."""
        return self.scores(standardised) / self.threshold

    def with_threshold(
        self, calibration_scores: npt.NDArray[np.floating], false_alarm_rate: float = 0.01
    ) -> "NoveltyModel":
        """Return the same model with a threshold that familiar windows cross at a stated rate.

        Parameters
        ----------
        calibration_scores : ndarray of shape (n_windows,)
            Scores of windows by models that had not seen their group (person, run, device): windows that overlap with
            training windows, or come from the same device, are closer than anything the model will meet.
        false_alarm_rate : float
            Between 0 and 1. With fewer than ``1 / false_alarm_rate`` windows the largest score is the threshold, and
            the model states the rate that such a threshold really has, ``1 / (n_windows + 1)``.

        Raises
        ------
        ValueError
            If there are no scores, one is not finite, or the rate is not between 0 and 1.

        Notes
        -----
        Split conformal prediction: the ``ceil((n + 1) (1 - rate))``-th smallest of n exchangeable scores is crossed
        by the next one with probability of at most the rate. Vovk, Gammerman & Shafer, *Algorithmic Learning in a
        Random World*, section 4.1.
        """
        if not 0.0 < false_alarm_rate < 1.0:
            raise ValueError(f"false_alarm_rate: a number between 0 and 1 expected, got {false_alarm_rate}")
        threshold, rate = _conformal_threshold(np.asarray(calibration_scores, dtype=np.float64), false_alarm_rate)
        return replace(self, threshold=threshold, false_alarm_rate=rate)

    def build(self, standardised: Value) -> Value:
        """Add the same formula to a graph and return the novelty ``(N,)``."""
        graph = standardised.graph
        centred = standardised - graph.constant(self.mean)
        components = centred @ graph.constant(self.components)
        place = graph.concat([centred @ graph.constant(self.projection), components @ graph.constant(self.whitening)])
        # The differences themselves: the expanded square would cancel in float32 where a window lies close to a class.
        n_classes, n_places = self.class_means.shape
        to_class = ((place.reshape([-1, 1, n_places]) - graph.constant(self.class_means)) ** 2).sum()
        nearest = to_class.reshape([-1, n_classes]).min()
        residual = (centred**2).sum() - (components**2).sum()
        squared = nearest + residual.at_least(0.0) * self.residual_weight
        return (squared.sqrt() / self.threshold).reshape([-1])


def fit_novelty(
    standardised: npt.NDArray[np.floating],
    class_indices: npt.NDArray[np.integer],
    *,
    n_components: int = 32,
    shrinkage: float = 0.1,
    false_alarm_rate: float = 0.01,
) -> NoveltyModel:
    """Return a novelty model of the training windows, with a threshold taken from the training windows themselves.

    That threshold is too low for windows of people or machines that were not in training: replace it by
    `NoveltyModel.with_threshold` where out-of-fold scores are at hand.

    Parameters
    ----------
    standardised : ndarray of shape (n_windows, n_features)
        Standardised features.
    class_indices : ndarray of shape (n_windows,), int
        Rows of a negative class (unlabelled) are left out.
    n_components : int
        Most principal components.
    shrinkage : float
        How far, at least, the covariance within classes is drawn to a round one, between 0 and 1. With few windows for
        many features the discriminants take more, as Ledoit & Wolf estimate it.
    false_alarm_rate : float
        See `NoveltyModel.with_threshold`.

    Raises
    ------
    ValueError
        If there is no labelled window, or the numbers of rows differ.

    Notes
    -----
    Class-conditional Gaussians with one covariance: Lee et al., *A Simple Unified Framework for Detecting
    Out-of-Distribution Samples*, NeurIPS 2018, eq. 2. Residual: the "Q statistic" of Jackson & Mudholkar,
    Technometrics 21 (1979) 341. Shrinkage: Ledoit & Wolf, J. Multivariate Analysis 88 (2004) 365. Components by
    subspace iteration: Halko, Martinsson & Tropp, SIAM Review 53 (2011), algorithm 4.4, from a fixed seed.

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> features = generator.normal(size=(200, 5)) + 4.0 * np.repeat([[0.0], [1.0]], 100, axis=0)
    >>> model = fit_novelty(features, np.repeat([0, 1], 100))
    >>> bool(model.novelty(np.full((1, 5), 2.0))[0] > 1.0), bool(model.novelty(np.full((1, 5), 4.0))[0] < 1.0)
    (True, True)
    """
    if standardised.ndim != 2 or class_indices.shape != standardised.shape[:1]:
        raise ValueError(
            f"standardised features: (n_windows, n_features) and as many classes expected, "
            f"got {standardised.shape} and {class_indices.shape}"
        )
    rows = class_indices >= 0
    features = standardised[rows].astype(np.float64)
    if not len(features):
        raise ValueError("standardised features: at least one labelled window expected, got none")
    classes, members = np.unique(class_indices[rows], return_inverse=True)
    counts = np.bincount(members)
    mean = _as_float32(features.mean(axis=0))
    centred = features - mean
    class_means = np.stack([centred[members == index].mean(axis=0) for index in range(len(classes))])
    within = centred - class_means[members]

    components = _as_float32(_principal_components(centred, n_components))
    projected = centred @ components
    residual = float(np.mean(np.maximum((centred**2).sum(axis=1) - (projected**2).sum(axis=1), 0.0)))
    own_shrinkage = max(shrinkage, _ledoit_wolf(within))
    whitening = _whitening(within @ components, shrinkage)
    projection = _discriminants(within, class_means, counts, own_shrinkage)
    spread = float(np.mean(((within @ projection) ** 2).sum(axis=1)))
    projection = _as_float32(projection / np.sqrt(spread) if spread > 0.0 else projection)

    places = np.hstack([centred @ projection, projected @ whitening])
    model = NoveltyModel(
        mean=mean,
        components=components,
        projection=projection,
        whitening=whitening,
        class_means=_as_float32(np.stack([places[members == index].mean(axis=0) for index in range(len(classes))])),
        # Where the components hold everything there is no residual but rounding, and any real one is far out.
        residual_weight=float(np.float32(1.0 / max(residual, 1e-3 * float(np.mean((centred**2).sum(axis=1))), 1e-3))),
        threshold=1.0,
        false_alarm_rate=false_alarm_rate,
        shrinkage=own_shrinkage,
    )
    return model.with_threshold(model.scores(features), false_alarm_rate)


def _principal_components(centred: FloatArray, n_components: int) -> FloatArray:
    n_windows, n_features = centred.shape
    rank = max(1, min(n_components, n_features, n_windows - 1))
    n_vectors = min(n_features, rank + _OVERSAMPLING)
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(n_features, n_vectors)))[0]
    for _ in range(_N_ITERATIONS):
        basis = np.linalg.qr(centred.T @ (centred @ basis))[0]
    _, _, rotation = np.linalg.svd(centred @ basis, full_matrices=False)
    result: FloatArray = basis @ rotation[:rank].T
    return result


def _whitening(within: FloatArray, shrinkage: float) -> FloatArray:
    """Return the matrix after which the rows are round, with a mean squared length of about 1."""
    n_windows, n_components = within.shape
    covariance = within.T @ within / n_windows
    level = max(float(np.trace(covariance)) / n_components, 1e-6)
    shrunk = (1.0 - shrinkage) * covariance + (shrinkage * level + 1e-6) * np.eye(n_components)
    values, vectors = np.linalg.eigh(shrunk)
    return _as_float32(vectors / np.sqrt(values * n_components))


def _ledoit_wolf(within: FloatArray) -> float:
    """Return the share of a round covariance in the best mixture with the sample's: near 1 for few windows.

    In the notation of the paper, section 3.3: ``b^2 / d^2``, with norms taken on the smaller of the two Gram matrices.
    """
    n_windows, n_features = within.shape
    gram = within @ within.T if n_windows < n_features else within.T @ within
    squared_norm = float((gram**2).sum()) / n_windows**2
    level = float(np.trace(gram)) / n_windows / n_features
    spread = squared_norm - n_features * level**2
    error = (float(((within**2).sum(axis=1) ** 2).sum()) / n_windows - squared_norm) / n_windows
    return min(1.0, max(0.0, error) / spread) if spread > 0.0 else 1.0


def _discriminants(
    within: FloatArray, class_means: FloatArray, counts: npt.NDArray[np.intp], shrinkage: float
) -> FloatArray:
    """Return the directions between the class means, whitened by the shrunk covariance within classes.

    Distances between class means along them equal the full Mahalanobis distances.
    """
    n_windows, n_features = within.shape
    level = max(float((within**2).sum()) / (n_windows * n_features), 1e-6)
    scale, ridge = (1.0 - shrinkage) / n_windows, shrinkage * level + 1e-6
    weighted = class_means * np.sqrt(counts / counts.sum())[:, None]
    if n_features <= n_windows:
        covariance = scale * (within.T @ within) + ridge * np.eye(n_features)
        solved = np.linalg.solve(covariance, weighted.T)
    else:
        # Woodbury's identity: a system of n_windows instead of n_features.
        gram = scale * (within @ within.T) + ridge * np.eye(n_windows)
        solved = (weighted.T - scale * within.T @ np.linalg.solve(gram, within @ weighted.T)) / ridge
    values, vectors = np.linalg.eigh(weighted @ solved)
    is_real = values > _RANK_TOLERANCE * max(float(values[-1]), 1.0)
    result: FloatArray = solved @ (vectors[:, is_real] / np.sqrt(values[is_real]))
    return result


def _conformal_threshold(scores: FloatArray, false_alarm_rate: float) -> tuple[float, float]:
    n = len(scores)
    if not n or not np.isfinite(scores).all():
        raise ValueError(
            f"calibration_scores: finite scores expected, got {n} with {int(np.sum(~np.isfinite(scores)))} not"
        )
    rank = int(np.ceil((n + 1) * (1.0 - false_alarm_rate)))
    rate = false_alarm_rate if rank <= n else 1.0 / (n + 1)
    threshold = float(np.float32(np.sort(scores)[min(rank, n) - 1]))
    return max(threshold, 1e-6), rate


def _as_float32(values: FloatArray) -> FloatArray:
    """Return the nearest float32 numbers, as float64: numpy and the graph then start from the very same."""
    return values.astype(np.float32).astype(np.float64)
