"""Where the windows lie: their standardised features seen from the side that shows most of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from signals import IntArray
from trainer.report.inside import OpenedModel, evenly
from trainer.report.judged import Judged

MAX_POINTS = 2000


@dataclass(frozen=True, slots=True, eq=False)
class MapFacts:
    """Points of a two-dimensional projection.

    Attributes
    ----------
    points : ndarray of shape (n_points, 2)
    class_indices : ndarray of shape (n_points,), int
    is_wrong, is_novel : ndarray of shape (n_points,), bool
    classes : tuple of str
    explained : (float, float)
        Share of the variance that each axis shows.
    n_windows : int
        Of which these points are a part.
    """

    points: NDArray[np.float64]
    class_indices: IntArray
    is_wrong: NDArray[np.bool_]
    is_novel: NDArray[np.bool_]
    classes: tuple[str, ...]
    explained: tuple[float, float]
    n_windows: int


def map_facts(judged: Judged, opened: OpenedModel, classes: tuple[str, ...]) -> MapFacts:
    """The two principal components of the standardised features of at most 2,000 windows, evenly taken."""
    chosen = evenly(len(judged.data), MAX_POINTS)
    points, explained = principal_plane(opened.features(judged.data.windows[chosen]).astype(np.float64))
    return MapFacts(
        points=points,
        class_indices=judged.data.class_indices[chosen],
        is_wrong=~judged.is_right[chosen],
        is_novel=judged.novelty[chosen] > 1.0,
        classes=classes,
        explained=explained,
        n_windows=len(judged.data),
    )


def principal_plane(features: NDArray[np.float64]) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Projection on the two directions of most variance, and the share of the variance along each.

    Parameters
    ----------
    features : ndarray of shape (n_windows, n_features)

    Returns
    -------
    points : ndarray of shape (n_windows, 2)
        Centred. The sign of an axis is the one for which its largest weight is positive, on every machine.
    explained : (float, float)

    Notes
    -----
    Pearson, *On lines and planes of closest fit*, 1901. By the smaller of the two Gram matrices.

    Examples
    --------
    >>> points, explained = principal_plane(np.array([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]]))
    >>> points.round(6).tolist(), explained
    ([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]], (0.9, 0.1))
    """
    centred = features - features.mean(axis=0)
    total = float(np.square(centred).sum())
    n_windows, n_features = centred.shape
    if total <= 0.0:
        return np.zeros((n_windows, 2)), (0.0, 0.0)
    if n_features <= n_windows:
        values, vectors = np.linalg.eigh(centred.T @ centred)
        axes = vectors[:, ::-1][:, :2]
    else:
        values, vectors = np.linalg.eigh(centred @ centred.T)
        axes = centred.T @ vectors[:, ::-1][:, :2]
        axes /= np.maximum(np.linalg.norm(axes, axis=0), np.finfo(np.float64).tiny)
    axes = axes * np.where(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])] < 0.0, -1.0, 1.0)
    points = np.zeros((n_windows, 2))
    points[:, : axes.shape[1]] = centred @ axes
    shares = [max(0.0, float(value)) / total for value in values[::-1][:2]] + [0.0]
    return points, (shares[0], shares[1])
