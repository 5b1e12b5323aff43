"""Features of one candidate in as few coordinates as a linear head can use of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_COORDINATES = 1500
"""More features than this are looked at from within the span of the windows, all of them up to this many."""

_N_DRAWN = 1200
"""Windows whose span stands for all where there are more."""

_BLOCK_LENGTH = 512
_COLUMNS = 4096
_RANK_TOLERANCE = 1e-9
_N_THREADS = 2

Matrix = NDArray[np.floating]


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """Standardised features, rotated.

    A linear head with an L2 penalty lies in the span of the windows that it was fitted on, so up to 1,500 windows
    nothing is lost by working there (Hastie & Tibshirani, Biostatistics 5 (2004), 329-340). With more windows the span
    of 1,200 of them, drawn at random, stands for all (the Nystroem method: Williams & Seeger, NIPS 2000).

    Attributes
    ----------
    coordinates : ndarray of shape (n_windows, n_coordinates), float64
    basis : ndarray of shape (n_features, n_coordinates), float64, or None
        Orthonormal columns; None where the features are the coordinates.
    """

    coordinates: NDArray[np.float64]
    basis: NDArray[np.float64] | None

    def weights_of(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weights on the features out of weights on the coordinates."""
        return weights if self.basis is None else self.basis @ weights


def make_space(standardised: Matrix, seed: int) -> Space:
    """The space of these windows.

    Parameters
    ----------
    standardised : ndarray of shape (n_windows, n_features)
    seed : int
        Draws the windows whose span is taken, where there are more than 1,500.

    Examples
    --------
    >>> wide = np.random.default_rng(0).standard_normal((3, 2000))
    >>> space = make_space(wide, seed=0)
    >>> space.coordinates.shape, bool(np.allclose(space.coordinates @ space.basis.T, wide))
    ((3, 3), True)
    """
    n_windows, n_features = standardised.shape
    if n_features <= MAX_COORDINATES:
        return Space(standardised.astype(np.float64), None)
    generator = np.random.default_rng(seed)
    n_drawn = n_windows if n_windows <= MAX_COORDINATES else _N_DRAWN
    drawn = np.sort(generator.permutation(n_windows)[:n_drawn])
    rows = standardised[drawn]
    gram = np.zeros((len(rows), len(rows)))
    for at in range(0, n_features, _COLUMNS):
        part = rows[:, at : at + _COLUMNS].astype(np.float64)
        gram += part @ part.T
    values, vectors = np.linalg.eigh(gram)
    kept = values > _RANK_TOLERANCE * max(float(values[-1]), 1e-30)
    rotation = vectors[:, kept] / np.sqrt(values[kept])
    basis = np.empty((n_features, rotation.shape[1]))
    for at in range(0, n_features, _COLUMNS):
        basis[at : at + _COLUMNS] = rows[:, at : at + _COLUMNS].T.astype(np.float64) @ rotation
    if len(rows) == n_windows:
        return Space(vectors[:, kept] * np.sqrt(values[kept]), basis)
    return Space(_product(standardised, basis), basis)


def _product(standardised: Matrix, basis: NDArray[np.float64]) -> NDArray[np.float64]:
    """The coordinates of all windows, block by block: which block runs on which thread changes no sum."""
    light = basis.astype(np.float32)
    result = np.empty((len(standardised), basis.shape[1]))

    def multiply(at: int) -> None:
        result[at : at + _BLOCK_LENGTH] = standardised[at : at + _BLOCK_LENGTH].astype(np.float32) @ light

    with ThreadPoolExecutor(_N_THREADS) as pool:
        list(pool.map(multiply, range(0, len(standardised), _BLOCK_LENGTH)))
    return result
