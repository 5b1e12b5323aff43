"""Cards and figures as tables for a person."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from schemas import Metric, ModelCard
from trainer.evaluate import Evaluation


def _number(value: float | None, digits: int = 4) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def metrics_table(metrics: Sequence[Metric]) -> Table:
    """Name, value, 95 % interval and split of each metric."""
    table = Table("metric", "value", "95 % interval", "measured on", title="Metrics", title_justify="left")
    for metric in metrics:
        interval = "" if metric.low is None else f"{_number(metric.low)} to {_number(metric.high)}"
        table.add_row(metric.name, _number(metric.value), interval, f"{metric.split}, {metric.n_windows} windows")
    return table


def figures_table(evaluation: Evaluation, split: str) -> Table:
    """The figures of an evaluation in one table."""
    table = Table(
        "metric", "value", "95 % interval", title=f"{evaluation.n_windows} windows, split {split}", title_justify="left"
    )
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "ece"):
        interval = evaluation.intervals.get(name)
        between = "" if interval is None else f"{_number(interval[0])} to {_number(interval[1])}"
        table.add_row(name, _number(float(getattr(evaluation, name))), between)
    return table


_MOST_COLUMNS = 20
"""Classes whose confusions a terminal has room for."""

_MOST_ROWS = 40


def classes_table(evaluation: Evaluation) -> Table:
    """Precision, recall, F1, number of windows, and what each class was taken for.

    With more than 20 classes without the last, with more than 40 only the 40 that were met worst.
    """
    names = evaluation.classes
    shown, columns = list(range(len(names))), names if len(names) <= _MOST_COLUMNS else ()
    title = "Classes (a row is what it was, a column what it was taken for)" if columns else "Classes"
    if len(names) > _MOST_ROWS:
        shown = sorted(shown, key=lambda index: evaluation.per_class[names[index]].f1)[:_MOST_ROWS]
        title = f"Classes: the {_MOST_ROWS} of {len(names)} that were met worst"
    table = Table(title=title, title_justify="left")
    for heading in ("class", "precision", "recall", "f1", "windows", *(_short(name) for name in columns)):
        table.add_column(heading, justify="left" if heading == "class" else "right")
    for index in shown:
        score = evaluation.per_class[names[index]]
        counts = [
            Text(str(count), style="green" if column == index else "red" if count else "dim")
            for column, count in enumerate(evaluation.confusion[index][: len(columns)])
        ]
        table.add_row(
            Text(names[index]),
            _number(score.precision, 3),
            _number(score.recall, 3),
            _number(score.f1, 3),
            str(score.support),
            *counts,
        )
    return table


def _short(name: str, limit: int = 12) -> str:
    return name if len(name) <= limit else name[: limit - 1] + "…"


def card_tables(card: ModelCard, digest: str, n_bytes: int) -> list[Table]:
    """A model card as tables: what it is, its channels, its classes, how right it was."""
    rate = card.sampling_rate_hz
    length = f"{card.window_length} samples" + (f" = {card.window_length / rate:g} s at {rate:g} Hz" if rate else "")
    facts = Table("fact", "value", title=f"Model {card.ref}", title_justify="left")
    rows = {
        "file": f"{n_bytes} bytes, sha256 {digest}",
        "window": length if rate else f"{length}, rate unknown: it classifies windows, not streams",
        "hop": f"{card.hop_length} samples" + (f" = {card.hop_length / rate:g} s" if rate else ""),
        "grid": f"{card.grid.policy}, at most {card.grid.max_age_s:g} s old"
        if card.grid.max_age_s
        else card.grid.policy,
        "incomplete below": f"{card.min_present:.0%} of values present",
        "features": " + ".join(f"{block.kind} ({block.n_features})" for block in card.features),
        "head": str(card.head),
        "temperature": f"{card.temperature:.4g}",
        "unsure below": f"confidence {card.unsure_below:.4g}",
        "novelty": f"{card.novelty.method}; 1 in {1 / card.novelty.false_alarm_rate:.0f} familiar windows is above 1"
        if card.novelty.false_alarm_rate
        else card.novelty.method,
        "fitted on": f"{sum(card.data.rows_per_class.values())} windows, {card.data.n_groups} groups"
        + (f" by {card.data.group_key}" if card.data.group_key else "")
        + f", seed {card.data.seed}",
        "data sha256": card.data.sha256,
        "libraries": ", ".join(f"{name} {version}" for name, version in sorted(card.data.libraries.items())),
        "format": f"opset {card.opset}, IR {card.ir_version}, {len(card.golden)} golden windows",
    }
    for name, value in rows.items():
        facts.add_row(name, Text(value))
    for note in card.notes:
        facts.add_row("note", Text(note))
    channels = Table("channel", "unit", title="Channels", title_justify="left")
    for channel in card.channels:
        channels.add_row(Text(channel.name), channel.unit or "unknown")
    classes = Table("class", "training windows", title="Classes", title_justify="left")
    for name in card.classes:
        classes.add_row(Text(name), str(card.data.rows_per_class.get(name, 0)))
    return [facts, channels, classes, metrics_table(card.metrics)]
