"""Novelty of a fit: where a window counts as one that the model has never seen, judged by groups that were held out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from signals import IntArray
from trainer.data import Fold, FoldPlan, WindowedData
from trainer.export import NoveltyModel, Standardiser, fit_novelty, fit_standardiser
from trainer.features import FeatureExtractor
from trainer.fit.candidates import columns_of
from trainer.fit.conformal import conformal_threshold
from trainer.fit.threads import fold_threads

_MAX_COLUMNS = 4096
_WITH_LEVEL = ("raw", "statistics", "spectral", "quantiles")


def judged_novelty(
    extractor: FeatureExtractor,
    features: NDArray[np.float32],
    standardiser: Standardiser,
    *,
    rows: WindowedData,
    plan: FoldPlan,
    rate: float,
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
    """
    columns = _columns(extractor)
    seen, y = features[:, columns], rows.class_indices

    def distances(fold: Fold) -> NDArray[np.float64]:
        scaling = fit_standardiser(seen[fold.fitted])
        part = fit_novelty(scaling.apply(seen[fold.fitted]), y[fold.fitted])
        return part.scores(scaling.apply(seen[fold.held_out]))

    with fold_threads(seen.size) as pool:
        scores = np.concatenate(list(pool.map(distances, plan.folds)))
    judged = np.concatenate([fold.held_out for fold in plan.folds])
    threshold = conformal_threshold(scores, rate, groups=plan.units[judged])
    model = fit_novelty(standardiser.take(columns).apply(seen), y).with_stated(threshold.value, threshold.rate)
    return replace(model, columns=columns[model.columns], n_features=extractor.n_features)


def _columns(extractor: FeatureExtractor) -> IntArray:
    kinds = [kind for kind in extractor.spans if kind in _WITH_LEVEL] or list(extractor.spans)
    every = columns_of(extractor, kinds)
    return every[:: -(-len(every) // _MAX_COLUMNS)]
