"""How right the answers are: figures with intervals, classes, confusions, calibration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainer.evaluate import Evaluation, Interval, evaluate_probabilities, wilson_interval
from trainer.evaluate.groups import GroupFacts
from trainer.evaluate.groups import group_facts as facts_of_groups
from trainer.evaluate.intervals import class_intervals, ece_interval, mean_interval, n_independent_groups
from trainer.evaluate.metrics import window_losses
from trainer.report.judged import Judged

N_BINS = 15
"""Of the confidence; those of `trainer.learn.expected_calibration_error`."""

MAX_PAIRS = 15


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric with its 95 % interval, and what it means in a sentence."""

    name: str
    value: float
    interval: Interval | None
    meaning: str


@dataclass(frozen=True, slots=True)
class ClassFacts:
    """How one class was met; intervals are None where there is nothing to take a share of."""

    name: str
    support: int
    answered: int
    precision: float
    recall: float
    f1: float
    precision_interval: Interval | None
    recall_interval: Interval | None
    f1_interval: Interval | None


@dataclass(frozen=True, slots=True)
class ConfusedPair:
    """How often one class was taken for another."""

    true: str
    predicted: str
    count: int
    share: float


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """The windows whose confidence lies in ``(low, high]``; accuracy and confidence are None where there are none."""

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class QualityFacts:
    """All that follows from labels and probabilities.

    Attributes
    ----------
    evaluation : Evaluation
    figures : tuple of Figure
        Accuracy, balanced accuracy, macro F1, log-loss, ECE.
    classes : tuple of ClassFacts
        In the order of the card.
    pairs : tuple of ConfusedPair
        Most frequent first, at most 15.
    bins : tuple of CalibrationBin
    unsure_below : float
    unsure_share, sure_accuracy : float or None
        Share of windows below the line; accuracy of the others (None where there are none).
    majority : tuple of (str, float)
        The most frequent class and its share: what an answer without looking would get.
    interval_note : str
        What the intervals are taken over.
    """

    evaluation: Evaluation
    figures: tuple[Figure, ...]
    classes: tuple[ClassFacts, ...]
    pairs: tuple[ConfusedPair, ...]
    bins: tuple[CalibrationBin, ...]
    unsure_below: float
    unsure_share: float
    sure_accuracy: float | None
    majority: tuple[str, float]
    interval_note: str


def quality_facts(judged: Judged, classes: tuple[str, ...], *, unsure_below: float, seed: int) -> QualityFacts:
    """How right these answers are.

    Parameters
    ----------
    judged : Judged
    classes : tuple of str
    unsure_below : float
        The confidence of the card below which a gateway says ``unsure``.
    seed : int
        Of the bootstraps.
    """
    y = judged.data.class_indices
    evaluation = evaluate_probabilities(judged.probabilities, y, classes, groups=judged.groups, seed=seed)
    is_sure = judged.confidence >= unsure_below
    counts = np.bincount(y, minlength=len(classes))
    most = int(counts.argmax())
    return QualityFacts(
        evaluation=evaluation,
        figures=_figures(judged, evaluation, seed),
        classes=_classes(judged, evaluation, seed),
        pairs=confused_pairs(evaluation),
        bins=calibration_bins(judged),
        unsure_below=unsure_below,
        unsure_share=float(1.0 - is_sure.mean()),
        sure_accuracy=float(judged.is_right[is_sure].mean()) if is_sure.any() else None,
        majority=(classes[most], float(counts[most] / counts.sum())),
        interval_note=_interval_note(judged),
    )


def _interval_note(judged: Judged) -> str:
    n_groups = n_independent_groups(judged.groups)
    if n_groups:
        key = judged.data.group_key
        kind = "" if key == "group" else f" ({key})"
        return f"95 % intervals are taken over {n_groups} groups{kind}: whole groups are drawn (cluster bootstrap)."
    return (
        "95 % intervals take the windows as independent of each other (Wilson; bootstrap). "
        "Where windows overlap or share a device, the truth is less certain than they say."
    )


def _figures(judged: Judged, evaluation: Evaluation, seed: int) -> tuple[Figure, ...]:
    y, intervals = judged.data.class_indices, evaluation.intervals
    loss = mean_interval(window_losses(judged.probabilities, y), groups=judged.groups, seed=seed)
    error = ece_interval(judged.probabilities, y, groups=judged.groups, seed=seed, n_bins=N_BINS)
    return (
        Figure("accuracy", evaluation.accuracy, intervals.get("accuracy"), "share of windows named rightly"),
        Figure(
            "balanced accuracy",
            evaluation.balanced_accuracy,
            intervals.get("balanced_accuracy"),
            "the same with every class counted alike",
        ),
        Figure(
            "macro F1",
            evaluation.macro_f1,
            intervals.get("macro_f1"),
            "false alarms and misses together, every class alike",
        ),
        Figure("log-loss", evaluation.log_loss, loss, "surprise per window in nats; 0 is perfect"),
        Figure("ECE", evaluation.ece, error, "mean gap between confidence and accuracy"),
    )


def _classes(judged: Judged, evaluation: Evaluation, seed: int) -> tuple[ClassFacts, ...]:
    confusion = np.array(evaluation.confusion)
    intervals = class_intervals(
        judged.data.class_indices, judged.predicted, len(evaluation.classes), groups=judged.groups, seed=seed
    )
    return tuple(
        ClassFacts(
            name=name,
            support=int(confusion[index].sum()),
            answered=int(confusion[:, index].sum()),
            precision=evaluation.per_class[name].precision,
            recall=evaluation.per_class[name].recall,
            f1=evaluation.per_class[name].f1,
            precision_interval=intervals[index].precision,
            recall_interval=intervals[index].recall,
            f1_interval=intervals[index].f1,
        )
        for index, name in enumerate(evaluation.classes)
    )


def confused_pairs(evaluation: Evaluation, limit: int = MAX_PAIRS) -> tuple[ConfusedPair, ...]:
    """The most frequent mistakes, first by number, then in the order of the classes.

    Examples
    --------
    >>> found = evaluate_probabilities(np.eye(2)[[0, 1, 1]], np.array([0, 0, 1]), ("off", "on"))
    >>> confused_pairs(found)
    (ConfusedPair(true='off', predicted='on', count=1, share=0.5),)
    """
    found = []
    for index, row in enumerate(evaluation.confusion):
        for column, count in enumerate(row):
            if count and column != index:
                pair = ConfusedPair(evaluation.classes[index], evaluation.classes[column], count, count / sum(row))
                found.append(pair)
    return tuple(sorted(found, key=lambda pair: -pair.count)[:limit])


def calibration_bins(judged: Judged, n_bins: int = N_BINS) -> tuple[CalibrationBin, ...]:
    """Confidence against accuracy in bins of equal width, with Wilson intervals.

    Bin k holds ``(k / n, (k + 1) / n]``, as the expected calibration error counts.
    """
    confidence, is_right = judged.confidence, judged.is_right
    bins = np.clip(np.ceil(confidence * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    found = []
    for index in range(n_bins):
        inside = bins == index
        count, n_right = int(inside.sum()), int(is_right[inside].sum())
        found.append(
            CalibrationBin(
                low=index / n_bins,
                high=(index + 1) / n_bins,
                count=count,
                confidence=float(confidence[inside].mean()) if count else None,
                accuracy=n_right / count if count else None,
                interval=wilson_interval(n_right, count) if count else None,
            )
        )
    return tuple(found)


def group_facts(judged: Judged) -> GroupFacts | None:
    """Accuracy per person, device or run, as `trainer.evaluate.groups.group_facts` has it."""
    return facts_of_groups(judged.is_right, judged.groups, judged.data.group_key)
