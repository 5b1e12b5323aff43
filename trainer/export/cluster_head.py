"""A clustering as a head: places along principal components, then the nearest centre or the most likely Gaussian."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainer.features import Value
from trainer.learn.activations import softmax

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ClusterHead:
    """Groups of windows as classes.

    A window ``x`` has the place ``z = (x - mean) components``. Its score for group k is ``bias_k + z c_k`` for k-means
    (half the squared distance to the centre, but for a term that all groups share) and
    ``bias_k - ||(z - c_k) R_k||^2 / 2`` for a Gaussian mixture. Groups of one class add their probabilities.

    Parameters
    ----------
    mean : ndarray of shape (n_features,)
    components : ndarray of shape (n_features, n_components)
    centers : ndarray of shape (n_groups, n_components)
    bias : ndarray of shape (n_groups,)
        k-means: ``-||c||^2 / 2``. Mixture: log weight plus log-determinant of the root.
    roots : ndarray of shape (n_groups, n_components, n_components), or None
        ``R R^T`` is the inverse covariance; None: k-means.
    class_of_group : tuple of int
        Class index of every group; every class has a group.
    temperature : float
        Scores are divided by it, > 0.
    """

    mean: FloatArray
    components: FloatArray
    centers: FloatArray
    bias: FloatArray
    roots: FloatArray | None
    class_of_group: tuple[int, ...]
    temperature: float = 1.0

    def __post_init__(self) -> None:
        """Refuse parts that do not fit each other, and round them to float32, the precision of the graph."""
        n_groups, n_components = self.centers.shape
        n_features = len(self.mean)
        expected = {
            "components": (self.components, (n_features, n_components)),
            "bias": (self.bias, (n_groups,)),
            "roots": (self.roots, (n_groups, n_components, n_components)),
        }
        for name, (part, shape) in expected.items():
            if part is not None and part.shape != shape:
                raise ValueError(f"{name}: shape {shape} expected, got {part.shape}")
        if sorted(set(self.class_of_group)) != list(range(self.n_classes)) or len(self.class_of_group) != n_groups:
            raise ValueError(
                f"class_of_group: a class index from 0 for each of {n_groups} groups expected, without gaps, "
                f"got {list(self.class_of_group)}"
            )
        if not (np.isfinite(self.temperature) and self.temperature > 0.0):
            raise ValueError(f"temperature: a finite number above 0 expected, got {self.temperature}")
        for name in ("mean", "components", "centers", "bias", "roots"):
            part = getattr(self, name)
            if part is not None:
                if not np.isfinite(part).all():
                    raise ValueError(f"{name}: finite numbers expected, got NaN or infinity")
                # Numpy and the graph then start from the very same numbers.
                object.__setattr__(self, name, part.astype(np.float32).astype(np.float64))

    @property
    def n_features(self) -> int:
        """How many features it takes."""
        return len(self.mean)

    @property
    def n_classes(self) -> int:
        """How many probabilities come out."""
        return max(self.class_of_group) + 1

    def build(self, standardised: Value) -> Value:
        """Add the head to a graph and return the probabilities ``(N, n_classes)``."""
        graph = standardised.graph
        place = (standardised - graph.constant(self.mean)) @ graph.constant(self.components)
        if self.roots is None:
            scores = graph.apply("Gemm", place, graph.constant(self.centers.T), graph.constant(self.bias))
        else:
            n_groups, n_components = self.centers.shape
            centred = place.reshape([-1, 1, n_components]) - graph.constant(self.centers)
            # Groups first, so that one product takes all Gaussians: (k, N, r) @ (k, r, r).
            whitened = centred.transpose([1, 0, 2]) @ graph.constant(self.roots)
            squared = (whitened**2).sum().reshape([n_groups, -1]).transpose([1, 0])
            scores = graph.constant(self.bias) - squared * 0.5
        by_group = graph.apply("Softmax", scores / self.temperature, axis=1)
        return by_group if self._is_plain else by_group @ graph.constant(self._membership)

    def probabilities(self, standardised: FloatArray) -> FloatArray:
        """Return the same in numpy, float64, shape ``(n_windows, n_classes)``."""
        by_group = softmax(self.scores(standardised) / self.temperature)
        result: FloatArray = np.asarray(by_group if self._is_plain else by_group @ self._membership, np.float64)
        return result

    def scores(self, standardised: FloatArray) -> FloatArray:
        """Return the score of every group, shape ``(n_windows, n_groups)``."""
        place = (standardised - self.mean) @ self.components
        if self.roots is None:
            return np.asarray(place @ self.centers.T + self.bias, np.float64)
        squared = np.stack(
            [
                (((place - center) @ root) ** 2).sum(axis=1)
                for center, root in zip(self.centers, self.roots, strict=True)
            ],
            axis=1,
        )
        return np.asarray(self.bias - 0.5 * squared, np.float64)

    @property
    def _is_plain(self) -> bool:
        """Whether every group is a class of its own, in their order."""
        return self.class_of_group == tuple(range(len(self.class_of_group)))

    @property
    def _membership(self) -> FloatArray:
        """1 where a group belongs to a class, shape ``(n_groups, n_classes)``."""
        return np.eye(self.n_classes)[list(self.class_of_group)]
