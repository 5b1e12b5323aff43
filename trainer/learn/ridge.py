"""The ridge classifier: least squares on targets of +1 and -1, its penalty and its scale judged by held-out rows."""

from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
import numpy.typing as npt

from trainer.learn.arrays import FloatArray, IntArray
from trainer.learn.calibration import careful_temperature
from trainer.learn.class_weights import ClassWeight, row_weights
from trainer.learn.estimator import Classifier, require_name, require_number
from trainer.learn.least_squares import (
    Float64Array,
    LeastSquares,
    blocks_of,
    blocks_of_folds,
    signed_targets,
)
from trainer.learn.losses import binary_cross_entropy, cross_entropy
from trainer.learn.network import Layer

Folds = Sequence[tuple[IntArray, IntArray]]

NOISE_TO_SIGNAL = np.logspace(-4.0, 2.0, 13)
"""The default grid: alphas in units of `LeastSquares.unit`."""

_SCOUTS = 1000
"""Rows that say where on the grid a large problem starts its search."""


class RidgeClassifier(Classifier):
    """Linear least squares on targets of +1 and -1 with an L2 penalty, calibrated on held-out decisions.

    One column a class; two classes share one. The penalty is chosen, and the probabilities are scaled, by what every
    row would have been answered had it (or its group, or its fold) not been fitted on: in closed form and exactly.

    Parameters
    ----------
    alpha : float or None
        Strength of the penalty on the squared weights, > 0. None: chosen among `alphas`.
    alphas : array-like of shape (n_alphas,), optional
        What to choose from, > 0, in rising order. Left out: 13 values from 0.0001 to 100 times the mean squared length
        of a centred row, which for standardised features is their number.
    criterion : {"squared_error", "log_loss", "accuracy"}
        What the held-out decisions are judged by: distance to the targets, cross-entropy after calibration, or share of
        right labels. Equal values go to the stronger penalty.
    class_weight : mapping, "balanced" or None
        Label to weight; see `class_weights.row_weights`.
    fit_intercept : bool
        False: the bias stays 0.

    Attributes
    ----------
    alpha_ : float
        The penalty of the fit.
    alphas_ : ndarray of shape (n_alphas,)
        What it was chosen from.
    held_out_losses_ : ndarray of shape (n_alphas,)
        The criterion at every alpha (accuracy: share of wrong labels); NaN where a search on a large problem did not
        look.
    held_out_decision_ : ndarray of shape (n_windows, n_outputs)
        Decision of each row at `alpha_`, by the fit that left it (or its group, or its fold) out, in the units of the
        targets: `scale_` times it are the logits. NaN for rows that no fold judges.
    scale_ : float
        The inverse of the temperature of those decisions.
    coef_ : ndarray of shape (n_classes, n_features), or (1, n_features) for two classes
    intercept_ : ndarray of shape (n_classes,), or (1,) for two classes
        Of the least squares: the decision in the units of the targets.
    classes_, n_features_in_, feature_names_in_, layers_
        As in `Classifier`. `layers_`, and with it `decision_function`, is `coef_` and `intercept_` times `scale_`: its
        softmax (two classes: sigmoid) is the calibrated probability.

    Notes
    -----
    Hastie, Tibshirani & Friedman, *The Elements of Statistical Learning*, sections 3.4.1, 7.10 and 18.3.5. Scale: Guo
    et al. 2017, by `calibration.careful_temperature`: few windows without an error do not ask for certainty.

    Examples
    --------
    >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array(["off", "off", "on", "on"])
    >>> head = RidgeClassifier().fit(X, y)
    >>> head.predict([[0.5], [2.5]]).tolist(), head.held_out_decision_.shape
    (['off', 'on'], (4, 1))
    """

    alpha_: float
    alphas_: Float64Array
    held_out_losses_: Float64Array
    held_out_decision_: Float64Array
    scale_: float
    coef_: Float64Array
    intercept_: Float64Array

    def __init__(
        self,
        alpha: float | None = None,
        *,
        alphas: npt.ArrayLike | None = None,
        criterion: str = "squared_error",
        class_weight: ClassWeight = None,
        fit_intercept: bool = True,
    ) -> None:
        self.alpha = alpha
        self.alphas = alphas
        self.criterion = criterion
        self.class_weight = class_weight
        self.fit_intercept = fit_intercept

    def fit(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike | None,
        groups: npt.ArrayLike | None = None,
        *,
        folds: Folds | None = None,
        callback: Callable[[int, int], None] | None = None,
    ) -> Self:
        """Fit and return self.

        Parameters
        ----------
        X : array-like of shape (n_windows, n_features)
            Standardised features: nothing is scaled here.
        y : array-like of shape (n_windows,)
            Labels, at least two different ones.
        groups : array-like of shape (n_windows,), optional
            What rows share (person, device, recording): whole groups are held out. Needed wherever windows overlap.
        folds : sequence of (fitted, held_out), optional
            Row numbers, instead of groups. Rows on neither side are left out and not judged.
        callback : callable, optional
            Called with (alphas tried, alphas to try at most).

        Raises
        ------
        ValueError
            If a hyper-parameter is out of range, or X, y, groups or folds cannot be used; TypeError for sparse input.
        """
        self._check_parameters()
        features, classes, class_indices = self._checked_for_fit(X, y)
        blocks = _blocks(groups, folds, len(features))
        weights = row_weights(self.class_weight, classes, class_indices)
        targets = signed_targets(class_indices, len(classes))
        problem = LeastSquares(features, targets, weights, fit_intercept=self.fit_intercept)
        alphas = self._candidates(problem.unit)
        search = _Search(
            problem,
            alphas,
            blocks,
            criterion=_CRITERIA[self.criterion],
            class_indices=class_indices,
            weights=weights,
        )
        if problem.is_large and len(alphas) > 1:
            best = search.around(self._scouted(features, targets, search), callback)
        else:
            best = search.everywhere(callback)
        judged = ~np.isnan(search.decisions[best][:, 0])
        scale = 1.0 / careful_temperature(search.decisions[best][judged], class_indices[judged])
        coefficients, intercept = problem.solution(float(alphas[best]))
        self.classes_ = classes
        self.alpha_, self.alphas_ = float(alphas[best]), alphas
        self.held_out_losses_, self.held_out_decision_ = search.losses, search.decisions[best]
        self.scale_ = scale
        self.coef_, self.intercept_ = coefficients.T.copy(), intercept
        self.layers_ = [Layer(scale * coefficients, scale * intercept)]
        return self

    def _scouted(self, features: FloatArray, targets: Float64Array, search: "_Search") -> int:
        """Return the best alpha of a sample: which one is right depends on the noise, hardly on how many rows."""
        scouts = np.linspace(0, len(features) - 1, _SCOUTS).astype(np.int64)
        weights = None if search.weights is None else search.weights[scouts]
        return _Search(
            LeastSquares(features[scouts], targets[scouts], weights, fit_intercept=self.fit_intercept),
            search.alphas,
            _blocks_within(search.blocks, scouts),
            criterion=search.criterion,
            class_indices=search.class_indices[scouts],
            weights=weights,
        ).everywhere()

    def _check_parameters(self) -> None:
        if self.alpha is not None:
            require_number("alpha", self.alpha, 0.0, low_allowed=False)
        require_name("criterion", self.criterion, list(_CRITERIA))

    def _candidates(self, unit: float) -> Float64Array:
        if self.alpha is not None:
            return np.array([float(self.alpha)])
        if self.alphas is None:
            return NOISE_TO_SIGNAL * unit
        alphas = np.asarray(self.alphas, np.float64)
        if alphas.ndim != 1 or not len(alphas) or not np.isfinite(alphas).all() or alphas.min() <= 0.0:
            msg = f"alphas: expected a sequence of finite numbers > 0, got {self.alphas!r}"
            raise ValueError(msg)
        return np.unique(alphas)

    @property
    def activation(self) -> str:
        """The activation of the hidden layers, of which there are none: "identity"."""
        return self._hidden_activation()


Criterion = Callable[[Float64Array, IntArray, FloatArray | None], float]


class _Search:
    """What the held-out rows say about the alphas that were tried."""

    def __init__(
        self,
        problem: LeastSquares,
        alphas: Float64Array,
        blocks: Folds | None,
        *,
        criterion: Criterion,
        class_indices: IntArray,
        weights: FloatArray | None,
    ) -> None:
        self.problem = problem
        self.alphas = alphas
        self.blocks = blocks
        self.criterion = criterion
        self.class_indices = class_indices
        self.weights = weights
        self.losses: Float64Array = np.full(len(alphas), np.nan)
        self.decisions: dict[int, Float64Array] = {}

    def everywhere(self, callback: Callable[[int, int], None] | None = None) -> int:
        """Try every alpha and return the number of the best."""
        for index in range(len(self.alphas)):
            self._try(index, callback)
        return self._best()

    def around(self, start: int, callback: Callable[[int, int], None] | None = None) -> int:
        """Try a few alphas, downhill from `start` until both neighbours are worse, and return the best."""
        self._try(start, callback)
        while True:
            best = self._best()
            beside = [at for at in (best + 1, best - 1) if 0 <= at < len(self.alphas) and np.isnan(self.losses[at])]
            if not beside:
                return best
            self._try(beside[0], callback)

    def _try(self, index: int, callback: Callable[[int, int], None] | None) -> None:
        decisions = self.problem.held_out(float(self.alphas[index]), self.blocks)
        rows = np.flatnonzero(~np.isnan(decisions[:, 0]))
        weights = None if self.weights is None else self.weights[rows]
        self.losses[index] = self.criterion(decisions[rows], self.class_indices[rows], weights)
        self.decisions[index] = decisions
        if self._best() == index:
            self.problem.keep()
        # Only the best is needed later, and each is as large as all rows.
        for tried in set(self.decisions) - {self._best()}:
            del self.decisions[tried]
        if callback is not None:
            callback(int(np.isfinite(self.losses).sum()), len(self.alphas))

    def _best(self) -> int:
        # From the strong end: equal losses go to the stronger penalty.
        return len(self.losses) - 1 - int(np.nanargmin(self.losses[::-1]))


def _blocks(groups: npt.ArrayLike | None, folds: Folds | None, n_windows: int) -> Folds | None:
    if groups is not None and folds is not None:
        msg = "groups, folds: expected one of them, got both"
        raise ValueError(msg)
    if folds is not None:
        if not len(folds):
            msg = "folds: expected at least one (fitted, held_out), got none"
            raise ValueError(msg)
        return blocks_of_folds(folds, n_windows)
    if groups is None:
        return None
    labels = np.asarray(groups)
    if labels.shape != (n_windows,):
        msg = f"groups: expected shape {(n_windows,)}, got {labels.shape}"
        raise ValueError(msg)
    blocks = blocks_of(labels)
    if len(blocks) < 2:
        msg = "groups: expected at least 2 different ones, one to hold out and one to fit on, got 1"
        raise ValueError(msg)
    return None if len(blocks) == n_windows else blocks


def _blocks_within(blocks: Folds | None, rows: IntArray) -> Folds | None:
    """Return the blocks in row numbers of a sorted sample, leaving out those it has no rows of."""
    if blocks is None:
        return None
    within = [
        (np.flatnonzero(np.isin(rows, left_out)), np.flatnonzero(np.isin(rows, judged))) for left_out, judged in blocks
    ]
    kept = [(left_out, judged) for left_out, judged in within if len(judged) and len(left_out) < len(rows)]
    return kept or None


def _squared_error(decisions: Float64Array, class_indices: IntArray, weights: FloatArray | None) -> float:
    n_classes = max(decisions.shape[1], 2)
    errors = ((decisions - signed_targets(class_indices, n_classes)) ** 2).mean(axis=1)
    return float(np.average(errors, weights=weights))


def _log_loss(decisions: Float64Array, class_indices: IntArray, weights: FloatArray | None) -> float:
    logits = decisions / careful_temperature(decisions, class_indices)
    loss = binary_cross_entropy if logits.shape[1] == 1 else cross_entropy
    return loss(logits, class_indices, weights)[0]


def _error_rate(decisions: Float64Array, class_indices: IntArray, weights: FloatArray | None) -> float:
    found = (decisions[:, 0] > 0.0).astype(np.int64) if decisions.shape[1] == 1 else decisions.argmax(axis=1)
    return float(np.average(found != class_indices, weights=weights))


_CRITERIA: dict[str, Criterion] = {
    "squared_error": _squared_error,
    "log_loss": _log_loss,
    "accuracy": _error_rate,
}
