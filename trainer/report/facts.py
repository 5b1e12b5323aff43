"""All that a report says, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas import ModelCard
from trainer.evaluate.groups import GroupFacts
from trainer.report.feature_map import MapFacts
from trainer.report.importance import ImportanceFacts
from trainer.report.learning_curve import LearningCurveFacts
from trainer.report.quality import QualityFacts
from trainer.report.windows import NoveltyShares, WorstFacts

_FEW = 30
"""Windows of a class below which its figures say little."""


@dataclass(frozen=True, slots=True)
class Head:
    """What stands at the top: the model, the data, and when the page was made (passed in, or nothing)."""

    card: ModelCard
    digest: str
    n_bytes: int
    data_name: str
    data_sha256: str
    split: str
    was_fitted_on: bool | None
    has_new_groups: bool | None
    n_windows: int
    made: str = ""


@dataclass(frozen=True, slots=True)
class CostFacts:
    """What a model costs: named figures with their unit, in the order they are to be shown."""

    rows: tuple[tuple[str, str], ...]
    machine: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class ReportFacts:
    """The facts of every section; None where there is nothing to say, with the reason in ``left_out``."""

    head: Head
    quality: QualityFacts
    groups: GroupFacts | None
    worst: WorstFacts
    novelty: NoveltyShares
    map: MapFacts | None
    importance: ImportanceFacts | None
    learning_curve: LearningCurveFacts | None
    cost: CostFacts | None
    commands: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)


def percent(value: float) -> str:
    """A share for a sentence; never rounded up to "100 %" or down to "0 %".

    Examples
    --------
    >>> percent(0.9684), percent(0.9996), percent(1.0), percent(0.0004)
    ('96.8 %', '99.9 %', '100 %', '0.1 %')
    """
    if value in {0.0, 1.0}:
        return f"{value * 100:.0f} %"
    return f"{min(99.9, max(0.1, value * 100)):.1f} %"


def verdict(facts: ReportFacts) -> str:
    """One sentence for somebody who has never heard of a metric."""
    head, quality = facts.head, facts.quality
    accuracy = quality.figures[0]
    between = ""
    if accuracy.interval is not None:
        between = f" (95 % interval: {percent(accuracy.interval[0])} to {percent(accuracy.interval[1])})"
    return (
        f"Of the {head.n_windows} windows {_which(head)}, {percent(accuracy.value)} are named rightly{between}. "
        f"Always answering “{quality.majority[0]}” would name {percent(quality.majority[1])} rightly."
    )


def _which(head: Head) -> str:
    key = head.card.data.group_key
    if head.was_fitted_on:
        return "that the model was fitted on"
    if head.has_new_groups and key:
        return f"of {key}s that the model was not fitted on"
    if head.split == "test":
        return "that were kept for testing"
    if head.was_fitted_on is False:
        return f"judged by {head.split}, each by a model that had not seen it,"
    return "of this file"


def warnings_of(facts: ReportFacts) -> tuple[str, ...]:
    """What a reader must know before believing a figure, most serious first."""
    head, quality = facts.head, facts.quality
    found = []
    if head.was_fitted_on:
        found.append("The model was fitted on windows that are judged here: every figure of this page is too good.")
    if head.was_fitted_on is None:
        found.append(
            "The file does not say which rows are for testing. Where windows judged here were fitted on, "
            "figures are too good."
        )
    if head.has_new_groups is False:
        found.append(
            f"Some {head.card.data.group_key}s of these windows were fitted on too: on new ones the model may do worse."
        )
    accuracy = quality.figures[0]
    if accuracy.interval is not None and accuracy.interval[0] <= quality.majority[1]:
        found.append(f"Not shown to be better than always answering “{quality.majority[0]}”.")
    curve = facts.learning_curve
    if curve is not None and curve.random_accuracy is not None:
        honest = curve.points[-1].accuracy
        # A fit that saw it itself has it among its notes.
        if curve.random_accuracy - honest > 0.005 and not any("random split" in note for note in head.card.notes):
            found.append(
                f"A split at random would have claimed {percent(curve.random_accuracy)} where held-out "
                f"{curve.unit}s give {percent(honest)} (same head, same training windows): "
                "neighbours of a window give its label away."
            )
    if facts.groups is not None:
        found.extend(
            f"{score.name[:1].upper()}{score.name[1:]} is odd: {percent(score.accuracy)} of its {score.n_windows} "
            f"windows are named rightly, where all together have {percent(facts.groups.accuracy)}."
            for score in facts.groups.odd[:5]
        )
    absent = [item.name for item in quality.classes if not item.support]
    if absent:
        found.append(f"No window of {_names(absent)} is among them: nothing is known of how these are met.")
    few = [item.name for item in quality.classes if 0 < item.support < _FEW]
    if few:
        found.append(f"Fewer than {_FEW} windows of {_names(few)}: mind the width of the intervals.")
    if facts.novelty.is_more_than_stated:
        found.append(
            f"{percent(facts.novelty.share)} of the windows look novel, where {percent(facts.novelty.stated_rate)} "
            "were expected: these windows are unlike those fitted on."
        )
    return (*found, *head.card.notes)


def _names(names: list[str], limit: int = 8) -> str:
    shown = ", ".join(f"“{name}”" for name in names[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown
