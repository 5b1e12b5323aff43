"""Sections of how right the answers are, in words."""

from __future__ import annotations

from trainer.evaluate import Interval
from trainer.report.charts_quality import (
    MAX_MATRIX_CLASSES,
    calibration_chart,
    classes_chart,
    confidence_chart,
    confusion_chart,
    groups_chart,
)
from trainer.report.charts_windows import learning_curve_chart
from trainer.report.document import Picture, Section, Table
from trainer.report.facts import ReportFacts, percent


def confusion_section(facts: ReportFacts) -> Section:
    """What is taken for what."""
    evaluation = facts.quality.evaluation
    classes = evaluation.classes
    pictures: tuple[Picture, ...] = ()
    notes = []
    if len(classes) <= MAX_MATRIX_CLASSES:
        pictures = (Picture(confusion_chart(evaluation.confusion, classes, classes)),)
    else:
        notes.append(f"A matrix of {len(classes)} classes cannot be read; these are its largest mistakes.")
    rows = tuple((pair.true, pair.predicted, str(pair.count), percent(pair.share)) for pair in facts.quality.pairs)
    if not rows:
        notes.append("Not one window was named wrongly.")
    table = Table(
        ("it was", "it was taken for", "windows", "of this class"), rows, "The most frequent mistakes", n_text=2
    )
    return Section(
        "confusion",
        "What is taken for what",
        "A row is what a window was, a column what the model called it: blue on the diagonal is right, red beside it "
        "is a mistake, stronger where it is more of the row.",
        pictures,
        (table,) if rows else (),
        notes,
    )


def classes_section(facts: ReportFacts) -> Section:
    """Precision, recall and F1 of each class."""
    rows = tuple(
        (
            item.name,
            str(item.support),
            _share(item.precision, item.precision_interval),
            _share(item.recall, item.recall_interval),
            _share(item.f1, item.f1_interval),
        )
        for item in facts.quality.classes
    )
    shown = facts.quality.classes if len(facts.quality.classes) <= MAX_MATRIX_CLASSES else ()
    return Section(
        "classes",
        "Class by class",
        "Precision: when the model says this, how often it is so. Recall: when it is so, how often the model says it. "
        "The lines are 95 % intervals; short ones can be relied on.",
        (Picture(classes_chart(shown)),) if shown else (),
        (Table(("class", "windows", "precision", "recall", "F1"), rows),),
    )


def _share(value: float, interval: Interval | None) -> str:
    return "–" if interval is None else f"{value:.3f} ({interval[0]:.2f} to {interval[1]:.2f})"


def calibration_section(facts: ReportFacts) -> Section:
    """Whether the confidence can be believed."""
    quality = facts.quality
    sure = ""
    if quality.sure_accuracy is not None and quality.unsure_below > 0.0:
        sure = (
            f" A gateway says “unsure” below a confidence of {quality.unsure_below:.2f}: "
            f"{percent(quality.unsure_share)} of these windows; of the others "
            f"{percent(quality.sure_accuracy)} are right."
        )
    return Section(
        "calibration",
        "Can its confidence be believed?",
        "Of the windows that it is 80 % sure of, 80 % should be right: points on the dashed line are honest, below it "
        "the model is too sure of itself, above it too modest." + sure,
        (
            Picture(
                calibration_chart(quality.bins, quality.evaluation.ece),
                "Reliability",
                "Small numbers: windows in the bin. Lines: 95 % intervals of their share right.",
            ),
            Picture(confidence_chart(quality), "How sure the answers are"),
        ),
    )


def groups_section(facts: ReportFacts) -> Section:
    """Accuracy of each group, or why there is none."""
    found = facts.groups
    if found is None:
        return empty_section("groups", "Group by group", facts)
    odd = ", ".join(score.name for score in found.odd)
    note = (
        f"Worse than chance explains (interval widened for {len(found.scores)} comparisons): {odd}."
        if odd
        else "No group is worse than chance explains."
    )
    return Section(
        "groups",
        "Group by group",
        f"Accuracy of each {found.key}, the worst first; the dashed line is all together. A red diamond is one that "
        "the model does not fit: look at its sensor, or collect more like it.",
        (Picture(groups_chart(found)),),
        notes=(
            note,
            "Windows of one group resemble each other, so the truth is less certain than these intervals say.",
        ),
    )


def curve_section(facts: ReportFacts) -> Section:
    """The learning curve, or why there is none."""
    curve = facts.learning_curve
    if curve is None:
        return empty_section("learning-curve", "Would more data help?", facts)
    how = (
        f"A logistic head on this model's features, fitted on parts of {curve.n_windows} training windows and judged "
        f"on the rest ({curve.split})."
    )
    notes = [how]
    if curve.random_accuracy is not None:
        notes.append(
            f"Held-out {curve.unit}s: {percent(curve.points[-1].accuracy)}. The same windows split at random: "
            f"{percent(curve.random_accuracy)}. Believe the first."
        )
    return Section(
        "learning-curve",
        "Would more data help?",
        "A curve that still climbs at its right end asks for more data; a flat one asks for other features or labels.",
        (Picture(learning_curve_chart(curve)),),
        notes=notes,
    )


def empty_section(key: str, title: str, facts: ReportFacts) -> Section:
    """A section that says why it has nothing to show."""
    return Section(key, title, facts.left_out.get(key, "Nothing to show."))
