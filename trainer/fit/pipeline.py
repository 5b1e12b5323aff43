"""From labelled windows to a model file: choose, calibrate, judge, refit, and write the card.

Only training rows are looked at. What is chosen (feature blocks, penalty, temperature, thresholds) is chosen by
windows that the model in question was not fitted on; what is reported of them was chosen without them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas import Metric
from signals import IntArray
from trainer.data import Fold, FoldPlan, WindowedData, drop_empty, plan_folds
from trainer.errors import DatasetError
from trainer.evaluate import Evaluation, evaluate_probabilities
from trainer.export import FittedModel, NoveltyModel, Standardiser, fit_novelty, fit_standardiser
from trainer.export import NetworkHead
from trainer.fit.candidates import Candidate, build_candidates, candidate_names
from trainer.fit.cross_validation import Report, Setting, Trial, best_trial, honest_probabilities, try_penalties
from trainer.fit.heads import Head, fit_logistic, fit_mlp, mlp_logits
from trainer.fit.options import FitOptions
from trainer.fit.path import Features, Logits
from trainer.fit.threads import fold_threads, one_blas_thread
from trainer.fit.thresholds import calibrated, careful_temperature, unsure_below

FALSE_ALARM_RATE = 0.01
"""Share of familiar windows that may be called novel."""


@dataclass(frozen=True, slots=True, eq=False)
class FitResult:
    """A fitted model in parts, ready to be written.

    Attributes
    ----------
    data : WindowedData
        The training windows that were used.
    options : FitOptions
    candidate : Candidate
        The chosen feature blocks.
    standardiser : Standardiser
    head : LogisticClassifier or MLPClassifier
    novelty : NoveltyModel
        Its threshold is crossed by 1 % of familiar windows of groups that it was not fitted on.
    temperature, unsure_below : float
    evaluation : Evaluation
        Out-of-fold, on training rows.
    plan : FoldPlan
    remarks : tuple of str
    """

    data: WindowedData
    options: FitOptions
    candidate: Candidate
    standardiser: Standardiser
    head: Head
    novelty: NoveltyModel
    temperature: float
    unsure_below: float
    evaluation: Evaluation
    plan: FoldPlan
    penalty: float
    trials: tuple[Trial, ...]
    remarks: tuple[str, ...]

    @property
    def model(self) -> FittedModel:
        """The parts that become one graph."""
        head = NetworkHead.of(
            [(layer.weights, layer.bias) for layer in self.head.layers_],
            self.head.activation,
            self.temperature,
            standardiser=self.standardiser,
        )
        return FittedModel(self.candidate.extractor, self.standardiser, head, self.novelty)

    @property
    def metrics(self) -> list[Metric]:
        """The figures for the card, each with the split it was measured on."""
        intervals = self.evaluation.intervals
        figures = {
            "accuracy": self.evaluation.accuracy,
            "balanced_accuracy": self.evaluation.balanced_accuracy,
            "macro_f1": self.evaluation.macro_f1,
            "log_loss": self.evaluation.log_loss,
            "ece": self.evaluation.ece,
        }
        return [
            Metric(
                name=name,
                split=self.plan.name,
                value=round(value, 6),
                low=round(intervals[name][0], 6) if name in intervals else None,
                high=round(intervals[name][1], 6) if name in intervals else None,
                n_windows=self.evaluation.n_windows,
            )
            for name, value in figures.items()
        ]


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
        Test and unlabelled rows may be among them; they are not looked at.
    options : FitOptions
    report : callable
        Called with (what, done, of) as the work goes on.

    Raises
    ------
    DatasetError
        If there is too little to fit on, naming what was expected.
    """
    rows, remarks = training_rows(data)
    plan = plan_folds(rows, options.seed)
    with one_blas_thread():
        candidates = build_candidates(candidate_names(options.features, rows), rows, report)
        return _fit(rows, options, plan, candidates, remarks=(*remarks, *plan.remarks), report=report)


def _fit(
    rows: WindowedData,
    options: FitOptions,
    plan: FoldPlan,
    candidates: list[Candidate],
    *,
    remarks: tuple[str, ...],
    report: Report,
) -> FitResult:
    y, n_classes = rows.class_indices, len(rows.classes)
    trials: list[Trial] = []
    if options.head == "logistic" or len(candidates) > 1:
        features = {candidate.name: candidate.features for candidate in candidates}
        trials = try_penalties(features, y, plan.folds, n_classes=n_classes, report=report)
    best = best_trial(trials) if trials else None
    chosen = next(item for item in candidates if best is None or item.name == best.setting.blocks)
    standardiser = fit_standardiser(chosen.features)
    standardised = standardiser.apply(chosen.features)
    judged = np.unique(np.concatenate([fold.held_out for fold in plan.folds]))
    head: Head
    if options.head == "logistic" and best is not None:
        logits = best.logits
        probabilities = honest_probabilities(trials, y, plan.folds)
        report("fitting the final model", 0, 1)
        head, more = fit_logistic(standardised, y, best.setting.penalty)
        remarks = (*remarks, *more)
    else:
        sizes, seed = options.hidden_layer_sizes, options.seed
        logits = mlp_logits(
            chosen.features,
            y,
            plan.units,
            plan.folds,
            n_classes=n_classes,
            hidden_layer_sizes=sizes,
            seed=seed,
            report=report,
        )
        probabilities = _calibrated_by_others(logits, y, plan)
        report("fitting the final model", 0, 1)
        head = fit_mlp(standardised, y, plan.units, hidden_layer_sizes=sizes, seed=seed)
        if len(candidates) > 1:
            remarks = (*remarks, "the feature blocks were chosen with a logistic head on the same folds")
    temperature = careful_temperature(logits[judged], y[judged])
    return FitResult(
        data=rows,
        options=options,
        candidate=chosen,
        standardiser=standardiser,
        head=head,
        novelty=_novelty(chosen.features, standardised, y, plan, report),
        temperature=temperature,
        unsure_below=unsure_below(calibrated(logits[judged], temperature), y[judged]),
        evaluation=evaluate_probabilities(
            probabilities[judged], y[judged], rows.classes, groups=_independent_units(plan, judged), seed=options.seed
        ),
        plan=plan,
        penalty=best.setting.penalty if best is not None else 0.0,
        trials=tuple(trials),
        remarks=remarks,
    )


def _novelty(
    features: Features, standardised: Features, class_indices: IntArray, plan: FoldPlan, report: Report
) -> NoveltyModel:
    """Novelty fitted on all rows, its threshold set by the distances of windows whose group was held out."""
    report("novelty", 0, 1)

    def distances(fold: Fold) -> Features:
        scaling = fit_standardiser(features[fold.fitted])
        part = fit_novelty(scaling.apply(features[fold.fitted]), class_indices[fold.fitted])
        return part.scores(scaling.apply(features[fold.held_out]))

    with fold_threads(features.size) as pool:
        scores = list(pool.map(distances, plan.folds))
    return fit_novelty(standardised, class_indices).with_threshold(np.concatenate(scores), FALSE_ALARM_RATE)


def _calibrated_by_others(logits: Logits, class_indices: IntArray, plan: FoldPlan) -> NDArray[np.float64]:
    """Probabilities of each fold at the temperature that the other folds ask for."""
    whole = np.zeros(len(plan.folds))
    return honest_probabilities([Trial(Setting("mlp", 0.0), logits, whole)], class_indices, plan.folds)


def _independent_units(plan: FoldPlan, judged: IntArray) -> IntArray | None:
    """The units that intervals are taken over; None where every window stands for itself."""
    units = plan.units[judged]
    return units if len(np.unique(units)) < len(units) else None
