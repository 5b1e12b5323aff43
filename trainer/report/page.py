"""From facts to the page: which section says what, in which words."""

from __future__ import annotations

from collections.abc import Iterator

from trainer.evaluate import Interval
from trainer.report.document import Document, Section, Table, Tile, render_document
from trainer.report.drawing import Chart
from trainer.report.facts import ReportFacts, percent, verdict, warnings_of
from trainer.report.sections_quality import (
    calibration_section,
    classes_section,
    confusion_section,
    curve_section,
    empty_section,
    groups_section,
)
from trainer.report.sections_windows import importance_section, map_section, novelty_section, worst_section

_METRIC_NAMES = {"balanced_accuracy": "balanced accuracy", "macro_f1": "macro F1", "log_loss": "log-loss", "ece": "ECE"}
_PERCENT_FIGURES = ("accuracy", "balanced accuracy")


def render_page(facts: ReportFacts) -> str:
    """The whole page as HTML; the same facts give the same text."""
    card = facts.head.card
    return render_document(
        Document(
            title=f"Model {card.ref}",
            subtitle=_subtitle(facts),
            verdict=verdict(facts),
            tiles=_tiles(facts),
            tiles_note=facts.quality.interval_note,
            warnings=warnings_of(facts),
            sections=tuple(_sections(facts)),
            footer=f"Telltale report of {card.ref}, model sha256 {facts.head.digest}.",
        )
    )


def all_charts(facts: ReportFacts) -> tuple[Chart, ...]:
    """Every figure of the page, in its order."""
    return tuple(picture.chart for section in _sections(facts) for picture in section.pictures)


def _subtitle(facts: ReportFacts) -> str:
    head = facts.head
    parts = [f"Judged on {head.n_windows} windows of {head.data_name}", f"rows: {head.split}"]
    return ", ".join([*parts, head.made] if head.made else parts)


def _number(value: float, *, as_percent: bool) -> str:
    return percent(value) if as_percent else f"{value:.3f}"


def _between(interval: Interval | None, *, as_percent: bool) -> str:
    if interval is None:
        return ""
    return f"{_number(interval[0], as_percent=as_percent)} to {_number(interval[1], as_percent=as_percent)}"


def _tiles(facts: ReportFacts) -> tuple[Tile, ...]:
    return tuple(
        Tile(
            figure.name,
            _number(figure.value, as_percent=figure.name in _PERCENT_FIGURES),
            _between(figure.interval, as_percent=figure.name in _PERCENT_FIGURES),
            figure.meaning,
        )
        for figure in facts.quality.figures
    )


def _sections(facts: ReportFacts) -> Iterator[Section]:
    yield _model(facts)
    yield confusion_section(facts)
    yield classes_section(facts)
    yield calibration_section(facts)
    yield groups_section(facts)
    yield curve_section(facts)
    yield worst_section(facts)
    yield map_section(facts)
    yield importance_section(facts)
    yield novelty_section(facts)
    yield _cost(facts)
    yield _repeat(facts)


def _model(facts: ReportFacts) -> Section:
    card, head = facts.head.card, facts.head
    rate = card.sampling_rate_hz
    length = f"{card.window_length} samples"
    hop = f"{card.hop_length} samples"
    window = f"{length} ({card.window_length / rate:g} s at {rate:g} Hz)" if rate else f"{length}, rate unknown"
    rows = (
        ("file", f"{card.ref}, {head.n_bytes / 1024:.0f} KiB, sha256 {head.digest}"),
        ("classes", ", ".join(f"{name} ({card.data.rows_per_class.get(name, 0)})" for name in card.classes)),
        ("channels", ", ".join(f"{item.name} [{item.unit}]" if item.unit else item.name for item in card.channels)),
        ("window", f"{window}, one every {hop}; grid policy {card.grid.policy}"),
        ("features", " + ".join(f"{block.kind} ({block.n_features})" for block in card.features)),
        ("head", f"{card.head}, temperature {card.temperature:.3g}"),
        ("fitted on", _fitted_on(facts)),
        ("judged on", f"{head.n_windows} windows of {head.data_name} ({head.split}), sha256 {head.data_sha256}"),
    )
    metrics = tuple(
        (
            _METRIC_NAMES.get(metric.name, metric.name),
            metric.split,
            f"{metric.value:.3f}",
            _between((metric.low, metric.high), as_percent=False)
            if metric.low is not None and metric.high is not None
            else "",
            str(metric.n_windows),
        )
        for metric in card.metrics
    )
    headings = ("figure of the card", "measured by", "value", "95 % interval", "windows")
    tables = [Table(("", ""), rows, n_text=2)]
    if metrics:
        tables.append(Table(headings, metrics, "What the fit itself measured, on training rows only", n_text=2))
    return Section("model", "The model", "What it is, what it was fitted on, and what it is judged on.", tables=tables)


def _fitted_on(facts: ReportFacts) -> str:
    data = facts.head.card.data
    groups = f", {data.n_groups} groups ({data.group_key})" if data.group_key else ", no groups known"
    return f"{sum(data.rows_per_class.values())} windows{groups}, seed {data.seed}, sha256 {data.sha256}"


def _cost(facts: ReportFacts) -> Section:
    if facts.cost is None:
        return empty_section("cost", "What it costs to run", facts)
    return Section(
        "cost",
        "What it costs to run",
        "Measured on the machine that made this page; a gateway is slower, in about the same proportions.",
        tables=(Table(("", ""), facts.cost.rows, n_text=2),),
        notes=(facts.cost.machine,) if facts.cost.machine else (),
    )


def _repeat(facts: ReportFacts) -> Section:
    data = facts.head.card.data
    rows = (
        ("data (training windows, labels, groups)", data.sha256),
        ("data (windows judged here)", facts.head.data_sha256),
        ("model file", facts.head.digest),
        *sorted(data.libraries.items()),
    )
    return Section(
        "repeat",
        "How to repeat this",
        "The same files and versions give the same model, byte for byte, and the same figures.",
        tables=(Table(("", "sha256 or version"), rows, n_text=2),),
        notes=tuple(facts.remarks),
        commands=facts.commands,
    )
