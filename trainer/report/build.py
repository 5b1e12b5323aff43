"""From a model file and a data file to a page: gather the facts, draw, write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainer.cost.measure import measure_model
from trainer.data import WindowedData, drop_empty, read_source, with_classes
from trainer.errors import DatasetError, TrainerError
from trainer.evaluate.model import SplitChoice
from trainer.export import LoadedModel, load_model
from trainer.export.write import write_atomically
from trainer.report.facts import CostFacts, Head, ReportFacts, verdict, warnings_of
from trainer.report.feature_map import map_facts
from trainer.report.importance import importance_facts
from trainer.report.inside import OpenedModel, open_model
from trainer.report.judged import Judged, judge_file
from trainer.report.learning_curve import LearningCurveFacts, learning_curve
from trainer.report.page import all_charts, render_page
from trainer.report.quality import group_facts, quality_facts
from trainer.report.windows import novelty_shares, worst_facts

Report = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """What is asked of a report.

    Attributes
    ----------
    learning_curve : bool
        Refit a cheap head on parts of the training rows; takes seconds.
    made : str
        Date for the head of the page, or nothing: the page is the same every day.
    commands : tuple of str
        How to repeat this, a line each.
    measures_cost : bool
        Time and memory of the model on this machine; the only figures of the page that differ from run to run.
    cost : CostFacts or None
        Figures that were measured already.
    """

    learning_curve: bool = False
    made: str = ""
    commands: tuple[str, ...] = ()
    measures_cost: bool = False
    cost: CostFacts | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """Which model, which data, which rows; where the page goes and, where wanted, its figures as PNG."""

    model: Path
    data: Path
    out: Path
    split: SplitChoice = "test"
    pictures: Path | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What was written."""

    out: Path
    n_bytes: int
    pictures: tuple[Path, ...]
    facts: ReportFacts

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values, as ``trainer report --json`` prints them."""
        return {
            "out": str(self.out),
            "bytes": self.n_bytes,
            "pictures": [str(place) for place in self.pictures],
            "verdict": verdict(self.facts),
            "warnings": list(warnings_of(self.facts)),
            "split": self.facts.head.split,
            "figures": {
                figure.name: {"value": figure.value, "interval": figure.interval}
                for figure in self.facts.quality.figures
            },
        }


def write_report(question: Question, options: ReportOptions, report: Report) -> Written:
    """The page of a model on the rows of a data file, written in one step.

    Raises
    ------
    DatasetError
        If the data does not fit the model, or there is no folder to write to.
    ContractError
        If the model file cannot be used, or the page cannot be written.
    """
    _check_places(question)
    report("reading", 0, 1)
    model, source = load_model(question.model), read_source(question.data)
    report("answering", 0, 1)
    judged, every = judge_file(model, source, question.split)
    facts = gather(
        model,
        judged,
        options,
        report,
        content=question.model.read_bytes(),
        training=training_rows(every, model) if options.learning_curve else None,
    )
    report("drawing", 0, 1)
    content = render_page(facts).encode()
    write_atomically(question.out, content)
    pictures = []
    if question.pictures is not None:
        for chart in all_charts(facts):
            place = question.pictures / f"{chart.name}.png"
            write_atomically(place, chart.png())
            pictures.append(place)
    return Written(question.out, len(content), tuple(pictures), facts)


def _check_places(question: Question) -> None:
    """Refuse before minutes of work, not after them."""
    if question.out.is_dir() or not question.out.parent.is_dir():
        raise DatasetError(f"{question.out}: a file in a folder that exists expected, got none")
    for other in (question.model, question.data):
        if question.out.exists() and other.exists() and question.out.samefile(other):
            raise DatasetError(f"{question.out}: another file than {other} expected")
    if question.pictures is not None and not question.pictures.is_dir():
        raise DatasetError(f"{question.pictures}: a folder that exists expected, got none")


def training_rows(every: WindowedData, model: LoadedModel) -> WindowedData:
    """The labelled rows that a fit may see, with the classes of the model."""
    rows = every.take(every.split != 1) if every.has_split else every
    used, _ = drop_empty(rows.take(rows.class_indices >= 0))
    return with_classes(used, model.card.classes)


def gather(
    model: LoadedModel,
    judged: Judged,
    options: ReportOptions,
    report: Report,
    *,
    content: bytes,
    training: WindowedData | None = None,
) -> ReportFacts:
    """The facts of every section.

    Parameters
    ----------
    model : LoadedModel
    judged : Judged
        The windows that the figures are of, with their answers: from `judge_file`, or from `judge` with the out-of-fold
        probabilities of a fit.
    options : ReportOptions
    report : callable
        Called with (what, done, of).
    content : bytes
        Of the model file.
    training : WindowedData, optional
        Rows for the learning curve.
    """
    card, seed = model.card, model.card.data.seed
    classes = tuple(card.classes)
    left_out: dict[str, str] = {}
    opened = _opened(content, model, left_out)
    curve = None
    if training is None or opened is None:
        left_out.setdefault("learning-curve", "Not asked for: it refits on parts of the training windows.")
    else:
        curve = _curve(training, opened, seed, report, left_out)
    groups = group_facts(judged)
    if groups is None:
        left_out["groups"] = "The data names no groups (people, devices, runs), or only one."
    cost = options.cost
    if cost is None and options.measures_cost:
        report("measuring time and memory", 0, 1)
        cost = measured_cost(content)
    if cost is None:
        left_out["cost"] = "Not measured."
    report("judging", 0, 1)
    return ReportFacts(
        head=Head(
            card=card,
            digest=model.digest,
            n_bytes=len(content),
            data_name=Path(judged.data.name).name,
            data_sha256=judged.data.sha256(),
            split=judged.split,
            was_fitted_on=judged.was_fitted_on,
            has_new_groups=judged.has_new_groups,
            n_windows=len(judged.data),
            made=options.made,
        ),
        quality=quality_facts(judged, classes, unsure_below=card.unsure_below, seed=seed),
        groups=groups,
        worst=worst_facts(judged, classes),
        novelty=novelty_shares(judged.novelty, card.novelty.false_alarm_rate),
        map=map_facts(judged, opened, classes) if opened else None,
        importance=importance_facts(model, opened, judged, seed=seed, report=report) if opened else None,
        learning_curve=curve,
        cost=cost,
        commands=options.commands,
        remarks=judged.remarks,
        left_out=left_out,
    )


def _opened(content: bytes, model: LoadedModel, left_out: dict[str, str]) -> OpenedModel | None:
    try:
        return open_model(content, model.card)
    except TrainerError as error:
        for section in ("map", "importance", "learning-curve"):
            left_out[section] = f"The graph of this file could not be opened at its features: {error}"
        return None


def _curve(
    training: WindowedData, opened: OpenedModel, seed: int, report: Report, left_out: dict[str, str]
) -> LearningCurveFacts | None:
    report("features for the learning curve", 0, 1)
    counts = training.rows_per_class()
    kept = np.flatnonzero([counts[name] >= 2 for name in training.classes])
    rows = training.take(np.isin(training.class_indices, kept))
    try:
        return learning_curve(rows, opened.features(rows.windows), seed=seed, report=report)
    except DatasetError as error:
        left_out["learning-curve"] = f"Not possible: {error}"
        return None


def measured_cost(content: bytes) -> CostFacts:
    """What the model costs on this machine, in a fresh process."""
    cost = measure_model(content)
    return CostFacts(
        rows=(
            ("one window at a time", f"{_microseconds(cost.us_per_window_batch_1, cost.us_batch_1_range)} a window"),
            ("64 windows at once", f"{_microseconds(cost.us_per_window_batch_64, cost.us_batch_64_range)} a window"),
            ("slowest 5 % of single windows", f"above {cost.us_p95_batch_1:.0f} µs"),
            ("size of the file", f"{cost.kib:.0f} KiB, {cost.n_nodes} nodes, {cost.n_parameters} parameters"),
            ("memory", f"{cost.rss_mib:.1f} MiB"),
            ("time to load", f"{cost.load_ms:.0f} ms"),
        ),
        machine=f"CPU time on one thread: median of {cost.n_rounds} rounds, least and most in brackets.",
    )


def _microseconds(value: float, between: tuple[float, float]) -> str:
    return f"{value:.0f} µs ({between[0]:.0f} to {between[1]:.0f})"
