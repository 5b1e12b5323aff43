"""The novelty output: how far a window lies from everything that the model was fitted on.

Three distances add up, each 1 on average for the training windows: to the nearest class where classes differ
(discriminants), to the same class feature by feature, in deviations within a class, and out of the space in which
training windows vary (residual). The first tells a new class between the known ones, the second one that is known by a
few features only, the third a new kind of signal.

Of many features a few are looked at (`trainer.export.novelty_columns`), so that the output costs a gateway the same
for 500 features as for 50,000.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from trainer.export.novelty_columns import choose_columns
from trainer.export.novelty_spaces import as_float32, discriminants, ledoit_wolf, principal_components
from trainer.features import Value

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

METHOD = "mahalanobis"
"""What the card calls it."""

MAX_WEIGHTS = 16_384
"""Numbers that the output may hold by default: 64 KiB of float32, up to about 40 classes. See `_n_columns`."""

MAX_COLUMNS = 256
MAX_DISCRIMINANTS = 16
_LEAST_COLUMNS = 32
# Standardised features have a variance of 1; one that hardly moves within a class counts as if it did by this much.
_VARIANCE_FLOOR = 0.02
_LEAST_THRESHOLD = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class NoveltyModel:
    """A fitted novelty output. All arrays hold float32 numbers, as the graph does.

    Parameters
    ----------
    n_features : int
        How many features it takes.
    columns : ndarray of shape (n_columns,), int
        Those it looks at, sorted.
    mean : ndarray of shape (n_columns,)
    projection : ndarray of shape (n_columns, n_discriminants)
        Scaled discriminants.
    scales : ndarray of shape (n_columns,)
        Take each column to deviations within a class.
    components : ndarray of shape (n_columns, n_components)
        Orthonormal columns: the directions in which the training windows vary most.
    class_means : ndarray of shape (n_classes, n_discriminants + n_columns)
    residual_weight : float
        One over the mean squared residual in training.
    threshold : float
        The distance at which novelty is 1.
    false_alarm_rate : float
        Expected share of familiar windows above the threshold.
    shrinkage : float
        What the discriminants took; see `fit_novelty`.
    """

    n_features: int
    columns: IntArray
    mean: FloatArray
    projection: FloatArray
    scales: FloatArray
    components: FloatArray
    class_means: FloatArray
    residual_weight: float
    threshold: float
    false_alarm_rate: float
    shrinkage: float

    @property
    def n_weights(self) -> int:
        """Numbers that it adds to the model file."""
        arrays = (self.columns, self.mean, self.projection, self.scales, self.components, self.class_means)
        return sum(array.size for array in arrays)

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
        place, residual = self._places(standardised)
        to_class = np.stack([((place - class_mean) ** 2).sum(axis=1) for class_mean in self.class_means])
        result: FloatArray = np.sqrt(to_class.min(axis=0) + residual)
        return result

    def _places(self, standardised: npt.NDArray[np.floating]) -> tuple[FloatArray, FloatArray]:
        centred = standardised[:, self.columns].astype(np.float64) - self.mean
        residual = (centred**2).sum(axis=1) - ((centred @ self.components) ** 2).sum(axis=1)
        place = np.hstack([centred @ self.projection, centred * self.scales])
        return place, np.maximum(residual, 0.0) * self.residual_weight

    def novelty(self, standardised: npt.NDArray[np.floating]) -> FloatArray:
        """Return the scores in units of the threshold: above 1 is novel."""
        return self.scores(standardised) / self.threshold

    def with_stated(self, threshold: float, false_alarm_rate: float) -> "NoveltyModel":
        """Return the same model with this threshold and the rate that whoever set it found for it.

        Raises
        ------
        ValueError
            If the threshold is not a finite number of at least 0, or the rate is not between 0 and 1.
        """
        if not (np.isfinite(threshold) and threshold >= 0.0):
            raise ValueError(f"threshold: a finite number of at least 0 expected, got {threshold}")
        if not 0.0 < false_alarm_rate < 1.0:
            raise ValueError(f"false_alarm_rate: a number between 0 and 1 expected, got {false_alarm_rate}")
        rounded = float(np.float32(threshold))
        return replace(self, threshold=max(rounded, _LEAST_THRESHOLD), false_alarm_rate=false_alarm_rate)

    def with_threshold(
        self, calibration_scores: npt.NDArray[np.floating], false_alarm_rate: float = 0.01
    ) -> "NoveltyModel":
        """Return the same model with a threshold that familiar windows cross at a stated rate.

        The scores are taken as independent of each other; where they come in groups (people, runs), find the
        threshold with `trainer.fit.conformal.conformal_threshold` and give it to `with_stated`.

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
        return self.with_stated(threshold, rate)

    def build(self, standardised: Value) -> Value:
        """Add the same formula to a graph and return the novelty ``(N,)``."""
        graph = standardised.graph
        looked_at = standardised if len(self.columns) == self.n_features else standardised.take(self.columns.tolist())
        centred = looked_at - graph.constant(self.mean)
        place = graph.concat([centred @ graph.constant(self.projection), centred * graph.constant(self.scales)])
        # The differences themselves: the expanded square would cancel in float32 where a window lies close to a class.
        n_classes, n_places = self.class_means.shape
        to_class = ((place.reshape([-1, 1, n_places]) - graph.constant(self.class_means)) ** 2).sum()
        nearest = to_class.reshape([-1, n_classes]).min()
        residual = (centred**2).sum() - ((centred @ graph.constant(self.components)) ** 2).sum()
        squared = nearest + residual.at_least(0.0) * self.residual_weight
        return (squared.sqrt() / self.threshold).reshape([-1])


def fit_novelty(
    standardised: npt.NDArray[np.floating],
    class_indices: npt.NDArray[np.integer],
    *,
    max_columns: int | None = None,
    n_components: int = 32,
    shrinkage: float = 0.1,
    false_alarm_rate: float = 0.01,
) -> NoveltyModel:
    """Return a novelty model of the training windows, with a threshold taken from the training windows themselves.

    That threshold is too low for windows of people or machines that were not in training: replace it by
    `NoveltyModel.with_stated` where out-of-fold scores are at hand.

    Parameters
    ----------
    standardised : ndarray of shape (n_windows, n_features)
        Standardised features.
    class_indices : ndarray of shape (n_windows,), int
        Rows of a negative class (unlabelled) are left out.
    max_columns : int, optional
        Most features to look at, >= 1; None = as many as `MAX_WEIGHTS` allows, at most `MAX_COLUMNS`.
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
        If there is no labelled window, the numbers of rows differ, or `max_columns` is below 1.

    Notes
    -----
    Class-conditional Gaussians with one covariance: Lee et al., *A Simple Unified Framework for Detecting
    Out-of-Distribution Samples*, NeurIPS 2018, eq. 2; once with the shrunk covariance and once with its diagonal.
    Residual: the "Q statistic" of Jackson & Mudholkar, Technometrics 21 (1979) 341. Shrinkage: Ledoit & Wolf,
    J. Multivariate Analysis 88 (2004) 365.

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
    if max_columns is not None and max_columns < 1:
        raise ValueError(f"max_columns: at least 1 expected, got {max_columns}")
    rows = class_indices >= 0
    if not rows.any():
        raise ValueError("standardised features: at least one labelled window expected, got none")
    _, members = np.unique(class_indices[rows], return_inverse=True)
    n_columns = max_columns or _n_columns(int(members.max()) + 1, n_components)
    columns = choose_columns(standardised[rows], members, n_columns)
    features = standardised[rows][:, columns].astype(np.float64)
    model = _fitted(features, members, n_components, shrinkage)
    model = replace(model, n_features=standardised.shape[1], columns=columns)
    return model.with_threshold(model.scores(standardised[rows]), false_alarm_rate)


def _fitted(
    features: FloatArray, members: npt.NDArray[np.integer], n_components: int, shrinkage: float
) -> NoveltyModel:
    """A model that looks at all of these features; each of its parts has a mean of 1 over these windows."""
    n_classes = int(members.max()) + 1
    mean = as_float32(features.mean(axis=0))
    centred = features - mean
    class_means = np.stack([centred[members == index].mean(axis=0) for index in range(n_classes)])
    within = centred - class_means[members]

    own_shrinkage = max(shrinkage, ledoit_wolf(within))
    projection = _unit(
        within, discriminants(within, class_means, np.bincount(members), own_shrinkage, MAX_DISCRIMINANTS)
    )
    # Each class counts alike, however many windows it has.
    variance = np.mean([(within[members == index] ** 2).mean(axis=0) for index in range(n_classes)], axis=0)
    scales = np.sqrt(1.0 / (variance + _VARIANCE_FLOOR))
    spread = float(np.mean(((within * scales) ** 2).sum(axis=1)))
    scales = as_float32(scales / np.sqrt(spread if spread > 0.0 else len(scales)))

    components = as_float32(principal_components(centred, n_components))
    residual = float(np.mean(np.maximum((centred**2).sum(axis=1) - ((centred @ components) ** 2).sum(axis=1), 0.0)))
    return NoveltyModel(
        n_features=features.shape[1],
        columns=np.arange(features.shape[1]),
        mean=mean,
        projection=projection,
        scales=scales,
        components=components,
        class_means=as_float32(np.hstack([class_means @ projection, class_means * scales])),
        # Where the components hold everything there is no residual but rounding, and any real one is far out.
        residual_weight=float(np.float32(1.0 / max(residual, 1e-3 * float(np.mean((centred**2).sum(axis=1))), 1e-3))),
        threshold=1.0,
        false_alarm_rate=0.01,
        shrinkage=own_shrinkage,
    )


def _n_columns(n_classes: int, n_components: int) -> int:
    """How many columns `MAX_WEIGHTS` allows; never below 32, so that a thousand classes take more than it."""
    n_discriminants = min(n_classes - 1, MAX_DISCRIMINANTS)
    # Of a column: index (8 bytes), mean, scale, and one weight for each direction and each class.
    of_column = 4 + n_discriminants + n_components + n_classes
    allowed = (MAX_WEIGHTS - n_classes * n_discriminants) // of_column
    return int(np.clip(allowed, _LEAST_COLUMNS, MAX_COLUMNS))


def _unit(within: FloatArray, projection: FloatArray) -> FloatArray:
    """Return the projection scaled so that the rows have a mean squared length of 1 along it."""
    spread = float(np.mean(((within @ projection) ** 2).sum(axis=1)))
    return as_float32(projection / np.sqrt(spread) if spread > 0.0 else projection)


def _conformal_threshold(scores: FloatArray, false_alarm_rate: float) -> tuple[float, float]:
    n = len(scores)
    if not n or not np.isfinite(scores).all():
        raise ValueError(
            f"calibration_scores: finite scores expected, got {n} with {int(np.sum(~np.isfinite(scores)))} not"
        )
    rank = int(np.ceil((n + 1) * (1.0 - false_alarm_rate)))
    rate = false_alarm_rate if rank <= n else 1.0 / (n + 1)
    return float(np.sort(scores)[min(rank, n) - 1]), rate
