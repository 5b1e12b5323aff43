"""Novelty of a fit: where a window counts as one that the model has never seen, judged by groups that were held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from signals import IntArray
from trainer.data import Fold, FoldPlan, WindowedData, plan_folds
from trainer.export import NoveltyModel, Standardiser, fit_novelty, fit_standardiser
from trainer.features import FeatureExtractor
from trainer.fit.candidates import columns_of
from trainer.fit.conformal import Threshold, conformal_threshold
from trainer.fit.threads import fold_threads

_MAX_COLUMNS = 4096
MAX_FOLDS = 30
"""Folds, as many as there are groups up to this: a model that saw four fifths of the people finds a new one stranger
than the final model will, and the threshold would be crossed less often than is stated."""

_WITH_LEVEL = ("raw", "summary", "statistics", "spectral", "quantiles")


def judged_novelty(
    extractor: FeatureExtractor,
    features: NDArray[np.float32],
    standardiser: Standardiser,
    *,
    rows: WindowedData,
    plan: FoldPlan,
    rate: float,
    seed: int,
) -> NoveltyModel:
    """Novelty fitted on all windows, its threshold set by the distances of windows whose group was held out.

    It looks at the features that see the level of a channel, where the model has such; random convolutions do not.

    Parameters
    ----------
    extractor : FeatureExtractor
        Of the final model.
    features : ndarray of shape (n_windows, n_features)
        As the extractor gives them, of the training windows.
    standardiser : Standardiser
        Of these features.
    rows : WindowedData
    plan : FoldPlan
    rate : float
        Share of familiar windows of a new group that may be called novel.
    seed : int
        Of the folds.
    """
    columns = _columns(extractor)
    seen, y = features[:, columns], rows.class_indices
    folds = plan_folds(rows, seed, max_folds=MAX_FOLDS).folds
    threshold = held_out_threshold(seen, y, folds, plan.units, rate)
    model = fit_novelty(standardiser.take(columns).apply(seen), y).with_stated(threshold.value, threshold.rate)
    return replace(model, columns=columns[model.columns], n_features=extractor.n_features)


def held_out_threshold(
    features: NDArray[np.floating], class_indices: IntArray, folds: Sequence[Fold], units: IntArray, rate: float
) -> Threshold:
    """The threshold of a novelty model, by the distances of held-out windows from those that each fold is fitted on.

    Parameters
    ----------
    features : ndarray of shape (n_windows, n_features)
        Those that the model looks at.
    class_indices : ndarray of shape (n_windows,), int
    folds : sequence of Fold
    units : ndarray of shape (n_windows,), int
        What stays whole: people, machines, recordings.
    rate : float
        Share of familiar windows of a new unit that may be called novel.
    """

    def distances(fold: Fold) -> NDArray[np.float64]:
        scaling = fit_standardiser(features[fold.fitted])
        part = fit_novelty(scaling.apply(features[fold.fitted]), class_indices[fold.fitted])
        return part.scores(scaling.apply(features[fold.held_out]))

    with fold_threads(features.size) as pool:
        scores = np.concatenate(list(pool.map(distances, folds)))
    judged = np.concatenate([fold.held_out for fold in folds])
    return conformal_threshold(scores, rate, groups=units[judged])


def _columns(extractor: FeatureExtractor) -> IntArray:
    kinds = [kind for kind in extractor.spans if kind in _WITH_LEVEL] or list(extractor.spans)
    every = columns_of(extractor, kinds)
    return every[:: -(-len(every) // _MAX_COLUMNS)]
