"""Would more data help? Accuracy on held-out groups against the number of groups a cheap head was fitted on.

And what a split at random would have claimed: the same head with windows dealt at random, so that neighbours of a
held-out window are among the fitted ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from signals import IntArray
from trainer.data import WindowedData, plan_folds
from trainer.evaluate import Interval
from trainer.evaluate.intervals import mean_interval
from trainer.fit.path import PenaltyPath
from trainer.fit.threads import one_blas_thread

Features = NDArray[np.float64]
FitAndScore = Callable[[Features, IntArray, Features, int], Features]
"""(features fitted on, their classes, features to answer, number of classes) -> a score for each class."""

Report = Callable[[str, int, int], None]

MAX_WINDOWS = 4000
MAX_FEATURES = 600
N_FOLDS = 4
_SHARES = (0.06, 0.12, 0.25, 0.5, 0.75)
_PENALTY = 0.1


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Accuracy on held-out windows after a fit on so many units (mean over the folds)."""

    n_units: float
    n_windows: float
    accuracy: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class LearningCurveFacts:
    """Accuracy against data, and the same head under a split at random.

    Attributes
    ----------
    points : tuple of CurvePoint
        Fewest units first.
    unit : str
        What a unit is: the group key, ``recording`` or ``window``.
    split : str
        The folds in words.
    random_accuracy : float or None
        Of the same head, windows dealt at random; None where every window is a unit of its own.
    n_windows : int
        That all this was done with.
    """

    points: tuple[CurvePoint, ...]
    unit: str
    split: str
    random_accuracy: float | None
    n_windows: int


def fit_cheap_head(fitted: Features, class_indices: IntArray, held_out: Features, n_classes: int) -> Features:
    """Logits of a logistic head at a fixed penalty, its optimiser stopped early: enough to compare sizes of data.

    The features are standardised already, by the model; standardising principal components again would blow up those
    that hold nothing but noise.
    """
    return PenaltyPath(fitted, class_indices, held_out, n_classes=n_classes).logits_at(_PENALTY)


def learning_curve(
    data: WindowedData,
    features: NDArray[np.floating],
    *,
    seed: int,
    report: Report,
    fit_and_score: FitAndScore = fit_cheap_head,
) -> LearningCurveFacts:
    """Accuracy on held-out groups, fitted on 6 to 100 % of the other groups.

    Parameters
    ----------
    data : WindowedData
        Labelled training windows, every class at least twice; at most 4,000 are used (2,000 with many features).
    features : ndarray of shape (n_windows, n_features)
        Of the model's extractor, standardised. More than 600 are reduced to as many principal components.
    seed : int
    report : callable
        Called with (what, done, of).
    fit_and_score : callable
        See `FitAndScore`.

    Raises
    ------
    DatasetError
        If there is nothing to hold out.
    """
    with one_blas_thread():
        # The Gram matrix of many features is as large as the square of the windows.
        chosen = _fewer(data, seed, MAX_WINDOWS if features.shape[1] <= MAX_FEATURES else MAX_WINDOWS // 2)
        rows = data.take(chosen).without_unused_classes()
        columns = reduced(np.asarray(features, np.float64)[chosen])
        plan = plan_folds(rows, seed, N_FOLDS)
        y, n_classes = rows.class_indices, len(rows.classes)
        generator = np.random.default_rng(seed)
        orders = [generator.permutation(np.unique(plan.units[fold.fitted])) for fold in plan.folds]
        judged = np.concatenate([fold.held_out for fold in plan.folds])
        groups = plan.units[judged] if len(np.unique(plan.units)) < len(plan.units) else None
        fewest = min(map(len, orders))
        # 0 stands for all that there are.
        sizes = [*sorted({max(1, round(share * fewest)) for share in _SHARES}), 0]
        points = []
        for number, size in enumerate(sizes):
            right, n_fitted, n_units = [], [], []
            for at, (fold, order) in enumerate(zip(plan.folds, orders, strict=True)):
                report("learning curve", number * len(plan.folds) + at, (len(sizes) + 1) * len(plan.folds))
                taken = order[:size] if size else order
                part = fold.fitted[np.isin(plan.units[fold.fitted], taken)]
                right.append(
                    _is_right(columns, y, part, fold.held_out, n_classes=n_classes, fit_and_score=fit_and_score)
                )
                n_fitted.append(len(part))
                n_units.append(len(taken))
            values = np.concatenate(right).astype(np.float64)
            points.append(
                CurvePoint(
                    n_units=float(np.mean(n_units)),
                    n_windows=float(np.mean(n_fitted)),
                    accuracy=float(values.mean()),
                    interval=mean_interval(values, groups=groups, seed=seed),
                )
            )
        report("split at random, for comparison", len(sizes), len(sizes) + 1)
        at_random = None if groups is None else _random_accuracy(columns, y, n_classes, generator, fit_and_score)
    return LearningCurveFacts(tuple(points), _unit_name(data, groups), plan.name, at_random, len(rows))


def _unit_name(data: WindowedData, groups: IntArray | None) -> str:
    if groups is None:
        return "window"
    return data.group_key or "recording"


def _is_right(
    features: Features,
    y: IntArray,
    part: IntArray,
    held_out: IntArray,
    *,
    n_classes: int,
    fit_and_score: FitAndScore,
) -> NDArray[np.bool_]:
    known = np.unique(y[part])
    if len(known) < 2:
        # Of one class alone nothing is fitted: that class is the answer.
        right: NDArray[np.bool_] = y[held_out] == known[0]
        return right
    position = np.zeros(n_classes, np.int64)
    position[known] = np.arange(len(known))
    scores = fit_and_score(features[part], position[y[part]], features[held_out], len(known))
    answered: NDArray[np.bool_] = known[scores.argmax(axis=1)] == y[held_out]
    return answered


def _random_accuracy(
    features: Features, y: IntArray, n_classes: int, generator: np.random.Generator, fit_and_score: FitAndScore
) -> float:
    parts = np.array_split(generator.permutation(len(y)), N_FOLDS)
    n_right = 0
    for part in parts:
        fitted = np.setdiff1d(np.arange(len(y)), part)
        n_right += int(_is_right(features, y, fitted, part, n_classes=n_classes, fit_and_score=fit_and_score).sum())
    return n_right / len(y)


def _fewer(data: WindowedData, seed: int, limit: int) -> IntArray:
    """Rows of at most so many windows: of every group and class the same share, neighbours thinned evenly."""
    n_windows = len(data)
    if n_windows <= limit:
        return np.arange(n_windows)
    order = np.lexsort((data.rows, data.starts, data.recordings, data.class_indices, data.groups))
    offset = np.random.default_rng(seed).random()
    places = np.floor((np.arange(limit) + offset) * n_windows / limit).astype(np.int64)
    return np.sort(order[places])


def reduced(features: Features, limit: int = MAX_FEATURES) -> Features:
    """The features, or the first principal components of them where there are more than ``limit``.

    Examples
    --------
    >>> reduced(np.eye(4), limit=2).shape, reduced(np.eye(4)).shape
    ((4, 2), (4, 4))
    """
    n_windows, n_features = features.shape
    if n_features <= limit:
        return features
    centred = features - features.mean(axis=0)
    if n_windows <= n_features:
        values, vectors = np.linalg.eigh(centred @ centred.T)
        scores: Features = vectors[:, ::-1][:, :limit] * np.sqrt(np.maximum(values[::-1][:limit], 0.0))
        return scores
    _, vectors = np.linalg.eigh(centred.T @ centred)
    projected: Features = centred @ vectors[:, ::-1][:, :limit]
    return projected
