"""Novelty of a class that was not in training, and whether its false alarms come at the stated rate."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from threadpoolctl import threadpool_limits

from benchmarks.measure import Effort
from benchmarks.rivals import ROOT
from benchmarks.table import Table
from signals import IntArray
from trainer.data import CutOptions, WindowedData, cut_source, plan_cut, read_source
from trainer.export import NoveltyModel, Standardiser, fit_novelty, fit_standardiser
from trainer.features import FeatureExtractor, blocks_of, fit_scaling
from trainer.fit.conformal import Threshold, conformal_threshold

_DATASETS = Path(os.environ.get("TELLTALE_DATASETS", ROOT.parent / "shared" / "datasets"))
_BLOCKS = "statistics+spectral"
_RATES = (0.01, 0.05, 0.1)
_WINDOW_S = 60.0
_FULL_SHARE = 1.0
_SEED = 0
_OF_RIG = ("AUROC, all others familiar", "AUROC, normal familiar", "AUROC, odd runs")

Scores = NDArray[np.float64]


class Rows(NamedTuple):
    """Windows with their features; ``units`` are people or runs."""

    data: WindowedData
    features: NDArray[np.float32]
    units: IntArray

    def take(self, chosen: NDArray[np.bool_] | IntArray) -> Rows:
        """The chosen ones."""
        return Rows(self.data.take(chosen), self.features[chosen], self.units[chosen])


class Fitted(NamedTuple):
    """A novelty model with the standardiser before it."""

    standardiser: Standardiser
    novelty: NoveltyModel

    def scores(self, rows: Rows) -> Scores:
        """Distances of the windows."""
        return self.novelty.scores(self.standardiser.apply(rows.features))


def run(effort: Effort, work: Path) -> list[Table]:
    """The tables of the people and of the rig, where the data are."""
    del work  # nothing is written
    with threadpool_limits(1):  # type: ignore[no-untyped-call] # it ships no types
        return [table for tables in (_people(effort), _rig(effort)) for table in tables]


def _people(effort: Effort) -> list[Table]:
    path = _DATASETS / "uci_har.npz"
    title = "UCI HAR: a class left out of training, judged on people who were not in training"
    auroc = Table(title, ("class left out", "AUROC, all others familiar", "AUROC, nearest class familiar"))
    alarms = _alarm_table("UCI HAR: false alarms among people who were not in training")
    if not path.is_file():
        return _skipped(path, auroc, alarms)
    data = _cut(path, CutOptions())
    rows = _with_features(data, np.flatnonzero(data.split == 0), data.groups)
    train, test = rows.take(data.split == 0), rows.take(data.split == 1)
    train = train.take(np.arange(0, len(train.data), 1 if effort.share >= _FULL_SHARE else 4))
    found = []
    for left_out, name in enumerate(data.classes):
        model = _fit(train.take(train.data.class_indices != left_out))
        scores = model.scores(test)
        is_new = test.data.class_indices == left_out
        pairs = [
            _auroc(scores[is_new], scores[test.data.class_indices == other])
            for other in range(len(data.classes))
            if other != left_out
        ]
        found.append(_auroc(scores[is_new], scores[~is_new]))
        auroc.add(name, found[-1], min(pairs))
    auroc.add("mean", float(np.mean(found)), "")
    auroc.notes.append(f"{_BLOCKS}; nothing was chosen on the test people; the last column is the hardest pair")
    model, held_out = _fit(train), _held_out_scores(train)
    scores = model.scores(test)
    for rate in _RATES:
        _add_alarms(alarms, conformal_threshold(held_out, rate, train.units), scores, test.units)
    return [auroc, alarms]


def _rig(effort: Effort) -> list[Table]:
    path = _DATASETS / "skab_stream.npz"
    title = f"SKAB water rig, {_WINDOW_S:g} s windows: a fault left out, judged on runs that were not in training"
    auroc = Table(title, ("class left out", *_OF_RIG))
    alarms = _alarm_table("SKAB water rig: false alarms in runs that were not in training")
    if not path.is_file():
        return _skipped(path, auroc, alarms)
    data = _cut(path, CutOptions(window_s=_WINDOW_S, hop_s=_WINDOW_S / 4.0))
    rows = _with_features(data, np.arange(len(data)), data.recordings)
    folds = 5 if effort.share >= _FULL_SHARE else 2
    fold_of = np.random.default_rng(_SEED).permutation(np.arange(int(rows.units.max()) + 1) % folds)[rows.units]
    found = []
    y, is_odd = data.class_indices, data.recordings % 2 == 1
    for left_out, name in enumerate(data.classes):
        if left_out == 0:
            continue  # normal running is not a fault
        of_all, of_normal, of_odd = [], [], []
        for fold in range(folds):
            is_new, is_known = (fold_of == fold) & (y == left_out), (fold_of == fold) & (y != left_out)
            if is_new.any() and is_known.any():
                scores = _fit(rows.take((fold_of != fold) & (y != left_out))).scores(rows)
                of_all.append(_auroc(scores[is_new], scores[is_known]))
                of_normal.append(_auroc(scores[is_new], scores[is_known & (y == 0)]))
                if np.any(is_new & is_odd) and np.any(is_known & is_odd):
                    of_odd.append(_auroc(scores[is_new & is_odd], scores[is_known & is_odd]))
        found.append([float(np.mean(part)) if part else np.nan for part in (of_all, of_normal, of_odd)])
        auroc.add(name, *("no run" if np.isnan(value) else value for value in found[-1]))
    auroc.add("mean", *np.nanmean(found, axis=0).tolist())
    auroc.notes.append("the form of the score was chosen on even runs (among other data), never on odd ones")
    crossed: dict[float, list[tuple[Threshold, Scores, IntArray]]] = {rate: [] for rate in _RATES}
    for fold in range(folds):
        inside, outside = rows.take(fold_of != fold), rows.take(fold_of == fold)
        held_out, scores = _held_out_scores(inside), _fit(inside).scores(outside)
        for rate in _RATES:
            crossed[rate].append((conformal_threshold(held_out, rate, inside.units), scores, outside.units))
    for rate, parts in crossed.items():
        ratios = np.concatenate([scores / threshold.value for threshold, scores, _ in parts])
        units = np.concatenate([units for _, _, units in parts])
        thresholds = [threshold for threshold, _, _ in parts]
        middle = Threshold(
            1.0,
            float(np.mean([one.rate for one in thresholds])),
            float(np.mean([one.low for one in thresholds])),
            float(np.mean([one.high for one in thresholds])),
            thresholds[0].n_groups,
            thresholds[0].n_scores,
        )
        _add_alarms(alarms, middle, ratios, units, asked=rate)
    return [auroc, alarms]


def _alarm_table(title: str) -> Table:
    return Table(
        title, ("asked", "stated", "stated, 90 % interval", "seen, groups alike", "seen, all windows", "groups")
    )


def _add_alarms(table: Table, stated: Threshold, scores: Scores, units: IntArray, asked: float | None = None) -> None:
    of_groups = [float(np.mean(scores[units == unit] > stated.value)) for unit in np.unique(units)]
    table.add(
        f"{asked or stated.rate:.1%}",
        f"{stated.rate:.1%}",
        f"{stated.low:.1%} to {stated.high:.1%}",
        f"{np.mean(of_groups):.2%}",
        f"{np.mean(scores > stated.value):.2%}",
        len(of_groups),
    )


def _skipped(path: Path, *tables: Table) -> list[Table]:
    for table in tables:
        table.notes.append(f"skipped: {path.name} is not in the folder of data sets")
    return list(tables)


def _cut(path: Path, options: CutOptions) -> WindowedData:
    source = read_source(path)
    return cut_source(source, plan_cut(source, options))[0]


def _with_features(data: WindowedData, fitted: IntArray, units: IntArray) -> Rows:
    scaling = fit_scaling(data.windows[fitted], list(data.channels))
    extractor = FeatureExtractor(blocks_of(_BLOCKS), scaling, data.window_length, data.sampling_rate_hz, n_threads=1)
    return Rows(data, extractor.transform(data.windows), units)


def _fit(rows: Rows) -> Fitted:
    standardiser = fit_standardiser(rows.features)
    return Fitted(standardiser, fit_novelty(standardiser.apply(rows.features), rows.data.class_indices))


def _held_out_scores(rows: Rows) -> Scores:
    """The score of each window by a model that had not seen its person or run."""
    scores = np.full(len(rows.data), np.nan)
    for fold in _folds(rows):
        scores[fold[1]] = _fit(rows.take(fold[0])).scores(rows.take(fold[1]))
    return scores


def _folds(rows: Rows, max_folds: int = 30) -> Sequence[tuple[IntArray, IntArray]]:
    names, units = np.unique(rows.units, return_inverse=True)
    n_folds = min(max_folds, len(names))
    fold_of = np.random.default_rng(_SEED).permutation(np.arange(len(names)) % n_folds)[units]
    return [(np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)) for fold in range(n_folds)]


def _auroc(novel: Scores, familiar: Scores) -> float:
    """The share of pairs in which the novel window has the larger score; Mann & Whitney (1947)."""
    ranks = rankdata(np.concatenate([novel, familiar]))[: len(novel)]
    return float((ranks.sum() - len(novel) * (len(novel) + 1) / 2.0) / (len(novel) * len(familiar)))
