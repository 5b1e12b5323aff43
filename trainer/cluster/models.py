"""The two ways to group places, behind one face: k-means and Gaussian mixtures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from signals import IntArray
from trainer.cluster.options import Method
from trainer.learn import GaussianMixture, KMeans
from trainer.learn.kmeans import squared_distances
from trainer.learn.mixture import MixtureParameters, log_joint, log_sum_exp

Places = NDArray[np.float64]

_ROWS_PER_COVARIANCE = 10
"""A full covariance is fitted where every group has so many windows a dimension; variances alone below."""

_LEAST_VARIANCE = 1e-3
"""Floor of a variance, as a share of the mean variance along a component."""


@dataclass(frozen=True, slots=True, eq=False)
class GroupModel:
    """Fitted groups: a centre each, and for a mixture its Gaussian.

    Attributes
    ----------
    method : {"kmeans", "mixture"}
    centers : ndarray of shape (n_groups, n_components)
    mixture : MixtureParameters or None
        None for k-means.
    """

    method: Method
    centers: Places
    mixture: MixtureParameters | None = None

    @property
    def n_groups(self) -> int:
        """How many groups there are."""
        return len(self.centers)

    def logits(self, places: Places) -> Places:
        """Scores whose largest is the group, shape (n_windows, n_groups).

        k-means: minus half the squared distance to the centre. Mixture: log(weight) + log-density.
        """
        if self.mixture is not None:
            return np.asarray(log_joint(places, self.mixture), np.float64)
        return np.asarray(-0.5 * squared_distances(places, self.centers), np.float64)

    def predict(self, places: Places) -> IntArray:
        """The group of every window, shape (n_windows,)."""
        labels: IntArray = self.logits(places).argmax(axis=1)
        return labels

    def typicality(self, places: Places) -> NDArray[np.float64]:
        """How typical each window is of the groups, shape (n_windows,): small for outliers."""
        logits = self.logits(places)
        return np.asarray(log_sum_exp(logits) if self.mixture is not None else logits.max(axis=1), np.float64)

    def inertia(self, places: Places) -> float:
        """Sum of the squared distances to the own centre."""
        return float(((places - self.centers[self.predict(places)]) ** 2).sum())

    def bic(self, places: Places) -> float:
        """Bayesian information criterion of a mixture: smaller is better; NaN for k-means."""
        if self.mixture is None:
            return float("nan")
        n_groups, n_components = self.centers.shape
        per_group = n_components if self.mixture.covariances.ndim == 2 else n_components * (n_components + 1) // 2
        n_parameters = n_groups - 1 + n_groups * (n_components + per_group)
        return float(n_parameters * np.log(len(places)) - 2.0 * self.typicality(places).sum())

    def in_order(self, order: IntArray) -> GroupModel:
        """The same groups in another order."""
        mixture = self.mixture
        if mixture is not None:
            mixture = MixtureParameters(*(part[order] for part in mixture))
        return GroupModel(self.method, self.centers[order], mixture)


def covariance_type_for(n_windows: int, n_components: int, most_groups: int) -> str:
    """What the windows can carry: a full covariance each, or variances alone.

    Examples
    --------
    >>> covariance_type_for(7000, 32, 12), covariance_type_for(300, 32, 12)
    ('full', 'diag')
    """
    return "full" if n_windows >= _ROWS_PER_COVARIANCE * most_groups * n_components else "diag"


@dataclass(frozen=True, slots=True)
class GroupSetting:
    """How groups are fitted, the same for every number of them.

    Attributes
    ----------
    method : {"kmeans", "mixture"}
    covariance_type : str
        Of a mixture, see `covariance_type_for`.
    seed : int
    """

    method: Method
    covariance_type: str
    seed: int


def fit_groups(places: Places, n_groups: int, setting: GroupSetting, *, n_init: int = 10) -> GroupModel:
    """Groups of these places; the same setting gives the same groups.

    Raises
    ------
    ValueError
        If there are fewer different places than groups.

    Examples
    --------
    >>> places = np.array([[0.0], [0.2], [5.0], [5.2]])
    >>> sorted(fit_groups(places, 2, GroupSetting("kmeans", "full", 0)).centers.round(3).ravel().tolist())
    [0.1, 5.1]
    """
    if setting.method == "kmeans":
        found = KMeans(n_groups, n_init=n_init, random_state=setting.seed).fit(places)
        return GroupModel("kmeans", np.asarray(found.cluster_centers_, np.float64))
    mixture = GaussianMixture(
        n_groups,
        covariance_type=setting.covariance_type,
        reg_covar=_LEAST_VARIANCE * float(places.var(axis=0).mean()),
        tol=1e-3,
        random_state=setting.seed,
    ).fit(places)
    return GroupModel("mixture", np.asarray(mixture.cluster_centers_, np.float64), mixture.parameters)
