"""From labelled windows to a fitted model: choose, calibrate, judge, refit.

Only training rows are looked at. What is chosen (feature blocks, heads, penalties, temperatures, thresholds) is chosen
by windows that the model in question was not fitted on; what is reported of them was chosen without them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from schemas import HeadFacts
from signals import IntArray
from trainer.data import FoldPlan, WindowedData, drop_empty, plan_folds, plan_groups
from trainer.errors import DatasetError
from trainer.evaluate import evaluate_probabilities, group_facts
from trainer.export import FittedModel, Head, Member, NetworkHead, Standardiser, VoteHead, fit_standardiser
from trainer.features import FeatureExtractor
from trainer.fit.candidates import Candidate, FeatureSet, Pool, build_pool, feature_sets
from trainer.fit.cross_validation import LinearHead, Report, Setting, Trial, best_trial, try_all, try_ridge
from trainer.fit.flattery import Compared, find_flattery
from trainer.fit.heads import fit_network, fit_voice, network_logits
from trainer.fit.novelty import judged_novelty
from trainer.fit.options import AUTO, EDGE, FitOptions
from trainer.fit.recipe import Choice, Recipe, make_recipe
from trainer.fit.result import FitResult
from trainer.fit.threads import one_blas_thread
from trainer.fit.thresholds import calibrated, unsure_below
from trainer.learn import MLPClassifier
from trainer.learn.calibration import careful_temperature


@dataclass(frozen=True, slots=True, eq=False)
class _Fitted:
    """What the two ways of fitting, by trials and by backpropagation, leave behind."""

    extractor: FeatureExtractor
    features: NDArray[np.float32]
    standardiser: Standardiser
    head: Head
    facts: HeadFacts
    temperature: float
    final: NDArray[np.float64]
    """Out-of-fold answers at the final choice and temperature: what thresholds are set by."""
    honest: NDArray[np.float64]
    """Out-of-fold answers, chosen and calibrated by other folds: what is reported."""
    compared: Compared
    """What is asked again under a random split."""
    trials: tuple[Trial, ...]
    remarks: tuple[str, ...]


def training_rows(data: WindowedData) -> tuple[WindowedData, tuple[str, ...]]:
    """The labelled windows that are not for testing, and what was left out.

    Raises
    ------
    DatasetError
        If fewer than two classes are left.
    """
    remarks: list[str] = []
    chosen = data
    if data.has_split:
        chosen = data.take(data.split != 1)
        remarks.append(f"{len(data) - len(chosen)} test windows were not looked at")
    is_labelled = chosen.class_indices >= 0
    if not is_labelled.any():
        raise DatasetError(f"{data.name}: y: labelled training windows expected, got only unlabelled ones")
    if not is_labelled.all():
        remarks.append(f"{int((~is_labelled).sum())} unlabelled windows left out")
    chosen, empty = drop_empty(chosen.take(is_labelled))
    used = chosen.without_unused_classes()
    if len(used.classes) < 2:
        got = f"one class only ({used.classes[0]!r})" if used.classes else "none with any value"
        raise DatasetError(f"{data.name}: y: training windows of at least 2 classes expected, got {got}")
    gone = [name for name in data.classes if name not in used.classes]
    if gone:
        remarks.append(f"classes without training windows are left out: {', '.join(gone)}")
    return used, (*remarks, *empty)


def fit(data: WindowedData, options: FitOptions, report: Report) -> FitResult:
    """A model fitted on the training rows of these windows.

    Parameters
    ----------
    data : WindowedData
        Test and unlabelled rows may be among them; they are not looked at (a deep-belief network learns from the
        unlabelled training rows).
    options : FitOptions
    report : callable
        Called with (what, done, of) as the work goes on.

    Raises
    ------
    DatasetError
        If there is too little to fit on, naming what was expected.
    """
    rows, remarks = training_rows(data)
    if options.folds == "groups":
        plan = plan_groups(rows, options.seed)
    else:
        plan = plan_folds(rows, options.seed, options.folds)
    with one_blas_thread():
        sets = feature_sets(options.features, rows)
        if options.head in {"mlp", "deep-belief"}:
            # Thousands of small witnesses are for a linear head; a network makes its own out of few. The few hundred of
            # a small gateway it can take, and beside them a summary alone would not see the shape of a signal.
            sets = tuple(one for one in sets if one.seat != "convolution" or options.features == EDGE) or sets
        pool = build_pool(sets, rows, options.seed, report, fan_out=_fan_out(options, len(rows.classes)))
        if options.head in {"mlp", "deep-belief"}:
            fitted = _by_backpropagation(rows, data, options, plan=plan, pool=pool, report=report)
        else:
            fitted = _by_trials(rows, options, plan, pool, report)
        return _finished(rows, options, plan, fitted, remarks=(*remarks, *plan.remarks, *fitted.remarks), report=report)


def _fan_out(options: FitOptions, n_classes: int) -> int:
    """Outputs of the first layer of the head: its weights for every feature."""
    if options.head in {"mlp", "deep-belief"}:
        return options.hidden_layer_sizes[0]
    return 1 if n_classes == 2 else n_classes


def _by_trials(rows: WindowedData, options: FitOptions, plan: FoldPlan, pool: Pool, report: Report) -> _Fitted:
    y, n_classes = rows.class_indices, len(rows.classes)
    families = _families(rows, options, plan, pool, report)
    may_vote = options.head == "auto" and options.features in {AUTO, EDGE}
    seats = {candidate.name: candidate.feature_set.seat for candidate in pool.candidates}
    choice = Choice(
        families={f"{family[0].setting.blocks}, {family[0].setting.head}": family for family in families},
        seats={
            f"{family[0].setting.blocks}, {family[0].setting.head}": seats[family[0].setting.blocks]
            for family in families
        },
        class_indices=y,
        units=plan.units,
        folds=plan.folds,
        may_vote=may_vote,
    )
    recipe = choice.best()
    report("fitting the final model", 0, 1)
    extractor, columns = pool.only(_kinds_of(recipe, pool))
    features = pool.features[:, columns]
    standardiser = fit_standardiser(features)
    heads, remarks = _voices(recipe, pool, extractor, standardiser, class_indices=y, n_classes=n_classes)
    return _Fitted(
        extractor=extractor,
        features=features,
        standardiser=standardiser,
        head=_one_head(recipe, heads, extractor.n_features),
        facts=_facts(recipe),
        temperature=recipe.temperature if len(recipe.voices) > 1 else recipe.temperatures[0],
        final=recipe.probabilities(np.arange(len(rows))),
        honest=choice.honest_probabilities(),
        compared=Compared(tuple(pool[voice.setting.blocks] for voice in recipe.voices), recipe),
        trials=tuple(trial for family in families for trial in family),
        remarks=remarks,
    )


def _families(rows: WindowedData, options: FitOptions, plan: FoldPlan, pool: Pool, report: Report) -> list[list[Trial]]:
    """The trials: ridge on thousands of small witnesses, logistic on few features with a meaning of their own."""

    def heads_for(feature_set: FeatureSet) -> tuple[LinearHead, ...]:
        if options.head in {"logistic", "one-vs-rest", "ridge"}:
            return (options.head,)
        if options.features not in {AUTO, EDGE}:
            return ("logistic", "ridge")
        return ("ridge",) if feature_set.seat == "convolution" else ("logistic",)

    pairs = [(candidate, heads_for(candidate.feature_set)) for candidate in pool.candidates]
    return try_all(pairs, rows.class_indices, plan.folds, n_classes=len(rows.classes), report=report)


def _kinds_of(recipe: Recipe, pool: Pool) -> set[str]:
    """The kinds of blocks of the final model; one that sees the level of a channel is among them where it can be.

    Random convolutions do not: novelty would be blind to a sensor that shows another level.
    """
    kinds = {kind for voice in recipe.voices for kind in pool[voice.setting.blocks].feature_set.blocks}
    seeing = [kind for kind in ("summary", "statistics") if kind in pool.extractor.spans]
    return kinds if kinds & set(seeing) else kinds | set(seeing[:1])


def _voices(
    recipe: Recipe,
    pool: Pool,
    extractor: FeatureExtractor,
    standardiser: Standardiser,
    *,
    class_indices: IntArray,
    n_classes: int,
) -> tuple[list[Member], tuple[str, ...]]:
    """Each voice fitted on all windows, with the columns of the final model that it looks at."""
    members: list[Member] = []
    remarks: list[str] = []
    for voice, temperature in zip(recipe.voices, recipe.temperatures, strict=True):
        candidate = pool[voice.setting.blocks]
        spans = [extractor.spans[kind] for kind in candidate.feature_set.blocks]
        first, last = min(span.start for span in spans), max(span.stop for span in spans)
        head, more = fit_voice(
            candidate,
            voice,
            class_indices,
            n_classes=n_classes,
            temperature=temperature,
            standardiser=standardiser.take(slice(first, last)),
        )
        members.append(Member(head, first, last))
        remarks += more
    return members, tuple(remarks)


def _one_head(recipe: Recipe, members: list[Member], n_features: int) -> Head:
    if len(members) == 1 and members[0].last - members[0].first == n_features:
        return members[0].head
    return VoteHead(tuple(members), (1.0,) * len(members), n_features, recipe.temperature)


def _facts(recipe: Recipe) -> HeadFacts:
    settings = [voice.setting for voice in recipe.voices]

    def parameters(head: str, penalty: float) -> dict[str, Any]:
        return {"alpha" if head == "ridge" else "C": float(f"{penalty:.6g}")}

    if len(settings) == 1:
        [one] = settings
        return HeadFacts(
            kind=cast("LinearHead", one.head),
            hyper_parameters={"features": one.blocks, **parameters(one.head, one.penalty)},
        )
    voices = [{"head": one.head, "features": one.blocks, **parameters(one.head, one.penalty)} for one in settings]
    return HeadFacts(kind="vote", hyper_parameters={"voices": voices})


def _by_backpropagation(
    rows: WindowedData, data: WindowedData, options: FitOptions, *, plan: FoldPlan, pool: Pool, report: Report
) -> _Fitted:
    y, n_classes = rows.class_indices, len(rows.classes)
    families: list[list[Trial]] = []
    name = pool.candidates[0].name
    remarks: tuple[str, ...] = ()
    if len(pool.candidates) > 1:
        pairs: list[Any] = [(candidate, ("logistic",)) for candidate in pool.candidates]
        families = try_all(pairs, y, plan.folds, n_classes=n_classes, report=report)
        by_name = {family[0].setting.blocks: family for family in families}
        choice = Choice(by_name, dict.fromkeys(by_name, "level"), y, plan.units, plan.folds, may_vote=False)
        name = choice.best().voices[0].setting.blocks
        remarks = ("the feature blocks were chosen with a logistic head on the same folds",)
    extractor, columns = pool.only(set(pool[name].feature_set.blocks))
    features = pool.features[:, columns]
    more = _unlabelled(data, extractor) if options.head == "deep-belief" else None
    if more is not None:
        remarks = (*remarks, f"{len(more)} unlabelled windows were learned from before the labelled ones")
    logits = network_logits(
        features, y, plan.units, plan.folds, options, n_classes=n_classes, unlabelled=more, report=report
    )
    report("fitting the final model", 0, 1)
    standardiser = fit_standardiser(features)
    network = fit_network(
        standardiser.apply(features),
        y,
        plan.units,
        options,
        unlabelled=None if more is None else standardiser.apply(more),
    )
    judged = np.flatnonzero(np.isfinite(logits[:, 0]))
    temperature = careful_temperature(logits[judged], y[judged])
    layers = [(layer.weights, layer.bias) for layer in network.layers_]
    trial = Trial(Setting(name, 0.0, options.head), logits, np.zeros(len(plan.folds)))
    alone = Choice({name: [trial]}, {name: "level"}, y, plan.units, plan.folds, may_vote=False)
    wanted = ("hidden_layer_sizes", "activation", "optimiser", "learning_rate", "l2", "weight_decay", "batch_size")
    found = {key: value for key, value in network.get_params().items() if key in wanted}
    epochs = {"epochs": network.best_epoch_} if isinstance(network, MLPClassifier) else {"epochs": network.n_iter_}
    return _Fitted(
        extractor=extractor,
        features=features,
        standardiser=standardiser,
        head=NetworkHead.of(layers, network.activation, temperature, standardiser=standardiser),
        facts=HeadFacts(
            kind="mlp" if options.head == "mlp" else "deep-belief",
            hyper_parameters=found | {"hidden_layer_sizes": list(options.hidden_layer_sizes)} | epochs,
        ),
        temperature=temperature,
        final=calibrated(logits, temperature),
        honest=alone.honest_probabilities(),
        compared=_stand_in(pool[name], y, plan, n_classes),
        trials=tuple(one for family in families for one in family),
        remarks=remarks,
    )


def _stand_in(candidate: Candidate, class_indices: IntArray, plan: FoldPlan, n_classes: int) -> Compared:
    """A ridge head on the features of a network: it need not be fitted anew for another split."""
    trial = best_trial(try_ridge(candidate, class_indices, plan.folds, n_classes=n_classes))
    judged = np.unique(np.concatenate([fold.held_out for fold in plan.folds]))
    return Compared((candidate,), make_recipe([trial], class_indices, judged), "ridge")


def _unlabelled(data: WindowedData, extractor: FeatureExtractor) -> NDArray[np.float32] | None:
    """Features of the unlabelled training windows, float32; None where there are none."""
    chosen, _ = drop_empty(data.take((data.class_indices < 0) & (data.split != 1)))
    return extractor.transform(chosen.windows) if len(chosen) else None


def _finished(
    rows: WindowedData,
    options: FitOptions,
    plan: FoldPlan,
    fitted: _Fitted,
    *,
    remarks: tuple[str, ...],
    report: Report,
) -> FitResult:
    y = rows.class_indices
    judged = np.unique(np.concatenate([fold.held_out for fold in plan.folds]))
    report("novelty", 0, 1)
    novelty = judged_novelty(
        fitted.extractor,
        fitted.features,
        fitted.standardiser,
        rows=rows,
        plan=plan,
        rate=options.false_alarm_rate,
        seed=options.seed,
    )
    evaluation = evaluate_probabilities(
        fitted.honest[judged], y[judged], rows.classes, groups=_independent_units(plan, judged), seed=options.seed
    )
    report("a random split, for comparison", 0, 1)
    return FitResult(
        data=rows,
        options=options,
        model=FittedModel(fitted.extractor, fitted.standardiser, fitted.head, novelty),
        head_facts=fitted.facts,
        temperature=fitted.temperature,
        unsure_below=unsure_below(fitted.final[judged], y[judged]),
        probabilities=fitted.honest,
        evaluation=evaluation,
        groups=group_facts(fitted.honest[judged].argmax(axis=1) == y[judged], rows.groups[judged], rows.group_key),
        flattery=find_flattery(fitted.compared, rows, plan, evaluation, seed=options.seed),
        plan=plan,
        trials=fitted.trials,
        remarks=remarks,
    )


def _independent_units(plan: FoldPlan, judged: IntArray) -> IntArray | None:
    """The units that intervals are taken over; None where every window stands for itself."""
    units = plan.units[judged]
    return units if len(np.unique(units)) < len(units) else None
