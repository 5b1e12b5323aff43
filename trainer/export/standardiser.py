"""Features to a common size, as a formula of the graph and once more in numpy."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainer.features import Value

FloatArray = npt.NDArray[np.float64]

# The sigma of a feature is taken as at least this: below lie the rounding errors of float32 (a de-meaned channel has
# features of sigma 1e-8), and dividing by them moves probabilities by 0.3.
_SIGMA_FLOOR = 1e-3
# Standardised features end at this many sigma: a broken sensor can push a window so far, and no further.
_CLIP = 10.0


@dataclass(frozen=True, slots=True)
class Standardiser:
    """Features to mean 0 and deviation 1, cut at 10 deviations.

    Parameters
    ----------
    mean, sigma : ndarray of shape (n_features,)
        `sigma` has its floor already.
    is_constant : ndarray of shape (n_features,), bool
        Features that never moved in training.
    """

    mean: FloatArray
    sigma: FloatArray
    is_constant: npt.NDArray[np.bool_]

    def apply(self, features: npt.NDArray[np.floating]) -> FloatArray:
        """Return the standardised features, float64, of shape (n_windows, n_features)."""
        result: FloatArray = np.clip((features.astype(np.float64) - self.mean) / self.sigma, -_CLIP, _CLIP)
        return result

    def take(self, columns: slice | npt.NDArray[np.integer]) -> "Standardiser":
        """Return the standardiser of some of the features."""
        return Standardiser(self.mean[columns], self.sigma[columns], self.is_constant[columns])

    def build(self, features: Value) -> Value:
        """Add the same formula to a graph."""
        graph = features.graph
        return ((features - graph.constant(self.mean)) / graph.constant(self.sigma)).clip(-_CLIP, _CLIP)


def fit_standardiser(features: npt.NDArray[np.floating]) -> Standardiser:
    """Return the standardiser of these training features.

    Parameters
    ----------
    features : ndarray of shape (n_windows, n_features)

    Raises
    ------
    ValueError
        If there are no windows, or a feature is not finite.

    Notes
    -----
    The floor on sigma is 1e-3, absolute (features are taken from scaled channels, so that they are of order 1) and
    relative to the size of the mean, whichever is more. Mean and sigma are rounded to float32, the precision of the
    graph, so that the head is fitted on the very numbers it will see.

    Examples
    --------
    >>> standardiser = fit_standardiser(np.array([[0.0, 5.0], [2.0, 5.0]]))
    >>> standardiser.apply(np.array([[3.0, 5.0]])).tolist(), standardiser.is_constant.tolist()
    ([[2.0, 0.0]], [False, True])
    """
    if features.ndim != 2 or not len(features):
        raise ValueError(f"features: shape (n_windows, n_features) with windows expected, got {features.shape}")
    if not np.isfinite(features).all():
        raise ValueError("features: finite numbers expected, got NaN or infinity")
    mean = features.mean(axis=0, dtype=np.float64)
    sigma = features.std(axis=0, dtype=np.float64)
    floor = _SIGMA_FLOOR * np.maximum(1.0, np.abs(mean))
    is_constant = sigma <= 1e-3 * floor
    return Standardiser(
        mean.astype(np.float32).astype(np.float64),
        np.maximum(sigma, floor).astype(np.float32).astype(np.float64),
        is_constant,
    )
