"""A clustering as a model file: groups as classes, with a confidence that means something and a novelty output."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from schemas import Grid, HeadFacts, Metric, ModelCard, NoveltyFacts
from schemas.card import describe_problems
from signals import IntArray
from trainer.cluster.agreement import matched
from trainer.cluster.grouping import Grouping
from trainer.cluster.models import fit_groups
from trainer.cluster.names import NamedGroups
from trainer.cluster.units import random_halves, resampling_units
from trainer.data import CutPlan, Fold, WindowedData, overlapping
from trainer.data.facts import card_channels, data_facts
from trainer.data.plan import min_present_for
from trainer.errors import DatasetError
from trainer.export import FittedModel, LoadedModel, NoveltyModel, export_model, fit_novelty
from trainer.export.cluster_head import ClusterHead
from trainer.export.novelty import METHOD
from trainer.fit.novelty import MAX_FOLDS, held_out_threshold
from trainer.fit.thresholds import calibrated, unsure_below
from trainer.learn import ConvergenceWarning
from trainer.learn.calibration import careful_temperature
from trainer.learn.mixture import precision_roots

FALSE_ALARM_RATE = 0.01
"""Share of familiar windows that may be called novel."""

_N_SPLITS = 3
_LARGEST_SCORE = 50.0
"""Scores of training windows are brought below this: float32 then keeps probabilities to 1e-5."""


class Confidence(NamedTuple):
    """What a score is worth, by windows whose people or devices had no part in drawing the groups."""

    temperature: float
    unsure_below: float


def export_grouping(
    grouping: Grouping, named: NamedGroups, plan: CutPlan, out: Path, *, name: str, metrics: list[Metric]
) -> LoadedModel:
    """Write the clustering as one model file and return it as it was read back.

    Parameters
    ----------
    grouping : Grouping
    named : NamedGroups
        A class for every group; at least two classes.
    plan : CutPlan
        How the windows were cut.
    out : Path
        Appears whole or not at all.
    name : str
        Of the model.
    metrics : list of Metric
        For the card.

    Raises
    ------
    DatasetError
        If there is one class only, or the card cannot hold a name.
    ContractError
        If the file would not pass the guard, or cannot be written.
    """
    if len(named.classes) < 2:
        raise DatasetError(f"--out: a model of at least 2 classes expected, got one ({named.classes[0]!r})")
    data, placement = grouping.data, grouping.placement
    class_indices = named.class_indices(grouping.labels)
    confidence = fit_confidence(grouping)
    head = cluster_head(grouping, named, confidence.temperature)
    novelty = fit_group_novelty(data, placement.standardised, grouping.labels)
    model = FittedModel(placement.extractor, placement.standardiser, head, novelty)
    card = _card(grouping, named, plan, name=name, metrics=metrics, model=model, unsure=confidence.unsure_below)
    return export_model(model, card, out, data.windows, class_indices)


def cluster_head(grouping: Grouping, named: NamedGroups, temperature: float) -> ClusterHead:
    """The clustering as nodes of a graph; a temperature that float32 cannot bear is raised to one that it can."""
    placement, model = grouping.placement, grouping.model
    components = placement.components.components.copy()
    components[placement.standardiser.is_constant] = 0.0
    bias: NDArray[np.float64]
    if model.mixture is None:
        roots, bias = None, -0.5 * (model.centers**2).sum(axis=1)
    else:
        roots = np.array(precision_roots(model.mixture.covariances, model.n_groups), np.float64)
        bias = np.log(np.diagonal(roots, axis1=1, axis2=2)).sum(axis=1) + np.log(
            np.maximum(model.mixture.weights, 1e-30)
        )
    head = ClusterHead(
        np.asarray(placement.components.mean, np.float64),
        np.asarray(components, np.float64),
        model.centers,
        bias,
        roots,
        named.class_of_group,
    )
    largest = float(np.abs(head.scores(placement.standardised)).max())
    return ClusterHead(
        head.mean,
        head.components,
        head.centers,
        head.bias,
        head.roots,
        named.class_of_group,
        max(temperature, largest / _LARGEST_SCORE),
    )


def fit_confidence(grouping: Grouping) -> Confidence:
    """The temperature at which a confidence is the chance that other data would have put the window in the same group.

    Groups are drawn from one half of the people or devices, matched with the final groups, and asked for the windows of
    the other half. Where there is one unit only, the windows themselves must do.
    """
    places, model, labels = grouping.placement.places, grouping.model, grouping.labels
    units, _ = resampling_units(grouping.data)
    generator = np.random.default_rng(grouping.setting.seed)
    scores, truth = [], []
    for drawn_from, asked in random_halves(grouping.data, units, _N_SPLITS, generator):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            try:
                other = fit_groups(places[drawn_from], model.n_groups, grouping.setting, n_init=3)
            except ValueError:
                # Too few different windows in this half to draw so many groups: it cannot be asked.
                continue
        counts = np.zeros((model.n_groups, model.n_groups))
        np.add.at(counts, (other.predict(places[drawn_from]), labels[drawn_from]), 1.0)
        partner = matched(counts)
        scores.append(other.in_order(np.argsort(partner)).logits(places[asked]))
        truth.append(labels[asked])
    if not scores:
        scores, truth = [model.logits(places)], [labels]
    logits, expected = np.concatenate(scores), np.concatenate(truth)
    temperature = careful_temperature(logits, expected)
    return Confidence(temperature, unsure_below(calibrated(logits, temperature), expected))


def fit_group_novelty(data: WindowedData, standardised: NDArray[np.float64], labels: IntArray) -> NoveltyModel:
    """Novelty of all windows, its threshold set by windows of people or devices that were held out."""
    units, _ = resampling_units(data)
    whole = fit_novelty(standardised, labels)
    folds = list(_unit_folds(data, units))
    if not folds:
        return whole
    threshold = held_out_threshold(standardised, labels, folds, units, FALSE_ALARM_RATE)
    return whole.with_stated(threshold.value, threshold.rate)


def _unit_folds(data: WindowedData, units: IntArray) -> Iterator[Fold]:
    """Folds that hold out whole units, and fit on windows that share no sample with them."""
    n_units = int(units.max()) + 1
    n_folds = min(MAX_FOLDS, n_units)
    fold_of_unit = np.random.default_rng(0).permutation(n_units) % n_folds
    for number in range(n_folds):
        is_held_out = fold_of_unit[units] == number
        fitted = np.flatnonzero(~is_held_out & ~overlapping(data, is_held_out))
        if len(fitted):
            yield Fold(fitted, np.flatnonzero(is_held_out))


def _card(
    grouping: Grouping,
    named: NamedGroups,
    plan: CutPlan,
    *,
    name: str,
    metrics: list[Metric],
    model: FittedModel,
    unsure: float,
) -> ModelCard:
    data = grouping.data
    class_indices = named.class_indices(grouping.labels)
    counts = np.bincount(class_indices, minlength=len(named.classes))
    try:
        return ModelCard(
            name=name,
            classes=list(named.classes),
            channels=card_channels(data),
            sampling_rate_hz=data.sampling_rate_hz,
            window_length=data.window_length,
            hop_length=data.hop_length,
            grid=Grid(policy=plan.policy, max_age_s=plan.max_age_s or 0.0),
            min_present=min_present_for(data, plan),
            features=model.extractor.card_blocks,
            head=HeadFacts(
                kind="clusters",
                hyper_parameters={
                    "method": grouping.setting.method,
                    "groups": grouping.model.n_groups,
                    "components": int(grouping.placement.places.shape[1]),
                },
            ),
            temperature=model.head.temperature,
            unsure_below=unsure,
            novelty=NoveltyFacts(method=METHOD, false_alarm_rate=model.novelty.false_alarm_rate),
            data=data_facts(data, dict(zip(named.classes, counts.tolist(), strict=True)), grouping.setting.seed),
            metrics=metrics,
            notes=[
                "Groups were found without labels: a class is windows that look alike, whatever they mean.",
                *(f"{reason[:1].upper()}{reason[1:]}." for reason in grouping.choice.reasons),
            ],
        )
    except ValidationError as error:
        raise DatasetError(f"{data.name}: {'; '.join(describe_problems(error, prefix='model card: '))}") from error
