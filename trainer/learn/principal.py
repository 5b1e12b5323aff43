"""Principal components: the few directions along which rows differ most."""

from dataclasses import dataclass

import numpy as np

from trainer.learn.arrays import FloatArray


@dataclass(frozen=True, slots=True)
class PrincipalComponents:
    """A projection onto the directions of largest variance.

    Parameters
    ----------
    mean : ndarray of shape (n_features,)
    components : ndarray of shape (n_features, n_components)
        Orthonormal columns, the largest variance first.
    explained : ndarray of shape (n_components,)
        Share of the variance along each.
    """

    mean: FloatArray
    components: FloatArray
    explained: FloatArray

    def apply(self, X: FloatArray) -> FloatArray:
        """Return the rows along the components, shape (n_windows, n_components)."""
        places: FloatArray = (X - self.mean) @ self.components
        return places


def fit_principal_components(X: FloatArray, *, share: float = 0.9, max_components: int = 32) -> PrincipalComponents:
    """Return as many components as hold this share of the variance, at least one and at most `max_components`.

    Parameters
    ----------
    X : ndarray of shape (n_windows, n_features)
    share : float
        In (0, 1].
    max_components : int

    Raises
    ------
    ValueError
        If no feature varies: there is no direction then.

    Notes
    -----
    Jolliffe, *Principal Component Analysis*, section 6.1.1. By the eigenvectors of the smaller of the two Gram
    matrices. The sign of a component makes its largest entry positive, so that the same rows give the same bytes.

    Examples
    --------
    >>> found = fit_principal_components(np.array([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]]))
    >>> found.components.ravel().round(3).tolist(), found.explained.round(3).tolist()
    ([0.6, 0.8], [1.0])
    """
    values = np.asarray(X, dtype=np.float64)
    mean = values.mean(axis=0)
    centred = values - mean
    n_windows, n_features = centred.shape
    is_tall = n_windows >= n_features
    variances, vectors = np.linalg.eigh(centred.T @ centred if is_tall else centred @ centred.T)
    variances, vectors = np.maximum(variances[::-1], 0.0), vectors[:, ::-1]
    total = float(variances.sum())
    if not total > 0.0:
        msg = f"X: rows that differ expected, got {n_windows} equal ones"
        raise ValueError(msg)
    cumulated = np.cumsum(variances) / total
    n_components = min(max_components, int(np.searchsorted(cumulated, share - 1e-12)) + 1)
    # Directions of rounding errors are none.
    n_components = max(1, min(n_components, int((variances > 1e-12 * variances[0]).sum())))
    chosen = vectors[:, :n_components]
    components = chosen if is_tall else centred.T @ chosen / np.sqrt(variances[:n_components])
    largest = components[np.abs(components).argmax(axis=0), np.arange(n_components)]
    return PrincipalComponents(mean, components * np.sign(largest), variances[:n_components] / total)
