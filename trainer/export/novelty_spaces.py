"""The directions that the novelty output measures along: discriminants between classes, and principal components."""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

_OVERSAMPLING = 10
_N_ITERATIONS = 5
# Below this share of the largest, a direction between classes is rounding.
_RANK_TOLERANCE = 1e-9


def principal_components(centred: FloatArray, n_components: int) -> FloatArray:
    """Return orthonormal directions of the largest spread, shape ``(n_features, at most n_components)``.

    By subspace iteration from a fixed seed: Halko, Martinsson & Tropp, SIAM Review 53 (2011), algorithm 4.4.

    Examples
    --------
    >>> np.abs(principal_components(np.array([[3.0, 0.1], [-3.0, 0.1], [0.0, -0.2]]), 1)).round(2).tolist()
    [[1.0], [0.0]]
    """
    n_windows, n_features = centred.shape
    rank = max(1, min(n_components, n_features, n_windows - 1))
    n_vectors = min(n_features, rank + _OVERSAMPLING)
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(n_features, n_vectors)))[0]
    for _ in range(_N_ITERATIONS):
        basis = np.linalg.qr(centred.T @ (centred @ basis))[0]
    _, _, rotation = np.linalg.svd(centred @ basis, full_matrices=False)
    result: FloatArray = basis @ rotation[:rank].T
    return result


def ledoit_wolf(within: FloatArray) -> float:
    """Return the share of a round covariance in the best mixture with the sample's: near 1 for few windows.

    In the notation of Ledoit & Wolf, J. Multivariate Analysis 88 (2004) 365, section 3.3: ``b^2 / d^2``, with norms
    taken on the smaller of the two Gram matrices.

    Examples
    --------
    >>> ledoit_wolf(np.array([[1.0, 0.0], [0.0, 1.0]]))
    1.0
    """
    n_windows, n_features = within.shape
    gram = within @ within.T if n_windows < n_features else within.T @ within
    squared_norm = float((gram**2).sum()) / n_windows**2
    level = float(np.trace(gram)) / n_windows / n_features
    spread = squared_norm - n_features * level**2
    error = (float(((within**2).sum(axis=1) ** 2).sum()) / n_windows - squared_norm) / n_windows
    return min(1.0, max(0.0, error) / spread) if spread > 0.0 else 1.0


def discriminants(
    within: FloatArray, class_means: FloatArray, counts: npt.NDArray[np.intp], shrinkage: float, most: int
) -> FloatArray:
    """Return the directions between the class means, whitened by the shrunk covariance within classes.

    Distances between class means along them equal the full Mahalanobis distances, as long as there are no more than
    `most` of them; else the directions along which classes lie closest are left out.

    Parameters
    ----------
    within : ndarray of shape (n_windows, n_features)
        Windows less the mean of their class.
    class_means : ndarray of shape (n_classes, n_features)
        Less the mean of all windows.
    counts : ndarray of shape (n_classes,), int
    shrinkage : float
        Share of a round covariance, between 0 and 1.
    most : int

    Returns
    -------
    directions : ndarray of shape (n_features, n_directions)
        At least one column; a column of zeros where there is no direction.
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
    is_real[: max(0, len(values) - most)] = False
    if not is_real.any():
        return np.zeros((n_features, 1))
    result: FloatArray = solved @ (vectors[:, is_real] / np.sqrt(values[is_real]))
    return result


def as_float32(values: FloatArray) -> FloatArray:
    """Return the nearest float32 numbers, as float64: numpy and the graph then start from the very same."""
    return values.astype(np.float32).astype(np.float64)
