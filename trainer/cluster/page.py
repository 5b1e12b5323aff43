"""The page of a clustering: the evidence as curves, the map of the windows, and the windows to look at, drawn."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from signals import IntArray
from trainer.cluster.evidence import Evidence
from trainer.cluster.pipeline import ClusterResult
from trainer.export.write import write_atomically
from trainer.report.charts_quality import MAX_MATRIX_CLASSES, confusion_chart
from trainer.report.charts_windows import map_chart, signal_chart
from trainer.report.document import Document, Picture, Section, Table, Tile, render_document
from trainer.report.drawing import ACCENT, INK, MUTED, Chart, new_figure, page_style, short
from trainer.report.feature_map import MAX_POINTS, MapFacts
from trainer.report.windows import DrawnWindow


def write_page(result: ClusterResult, out: Path) -> None:
    """Write the page; it appears whole or not at all, and needs nothing but itself.

    Raises
    ------
    ContractError
        If it cannot be written.
    """
    write_atomically(out, render_page(result).encode())


def render_page(result: ClusterResult) -> str:
    """The whole page as HTML; the same result gives the same text."""
    grouping = result.grouping
    own = grouping.chosen_evidence
    return render_document(
        Document(
            title=f"Groups in {Path(grouping.data.name).name}",
            subtitle=f"{len(grouping.data)} windows of {grouping.data.window_length} samples, "
            f"{result.options.method} on {result.options.features}, seed {result.options.seed}",
            verdict=f"{grouping.model.n_groups} groups",
            tiles=(
                Tile("groups", str(grouping.model.n_groups), "", "kinds of windows that look alike"),
                Tile("silhouette", _figure(own.silhouette), "", "1 = far apart, 0 = touching"),
                Tile(
                    "stability",
                    _figure(own.stability),
                    f"± {own.stability_error:.3f}" if math.isfinite(own.stability_error) else "",
                    "1 = two halves of the data find the same groups",
                ),
            ),
            tiles_note=f"Halves share no {grouping.unit}.",
            warnings=tuple(reason for reason in grouping.choice.reasons if reason.startswith(("weak", "the gap"))),
            sections=tuple(_sections(result)),
            footer=f"Telltale groups of {grouping.data.name}, data sha256 {grouping.data.sha256()}.",
        )
    )


def _sections(result: ClusterResult) -> Iterator[Section]:
    yield _evidence(result)
    yield _groups(result)
    yield _medoids(result)
    yield _map(result)
    yield _outliers(result)
    if result.agreement is not None:
        yield _agreement(result)


def _figure(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "–"


def group_name(result: ClusterResult, number: int) -> str:
    """The name that a person gave, else ``group 3``."""
    return result.options.names.get(number, f"group {number}")


def _evidence(result: ClusterResult) -> Section:
    is_mixture = result.options.method == "mixture"
    rows = tuple(
        (
            str(item.n_groups),
            _figure(item.silhouette),
            f"{item.bic:.0f}" if is_mixture else f"{item.gap:.3f} ± {item.gap_error:.3f}",
            _figure(item.stability),
            f"{item.smallest_share:.1%}",
        )
        for item in result.grouping.evidence
    )
    headings = ("groups", "silhouette", "BIC" if is_mixture else "gap", "stability", "smallest group")
    evidence = result.grouping.evidence
    chosen = result.grouping.model.n_groups
    second = evidence_chart(evidence, chosen, ("bic",) if is_mixture else ("gap",), name="evidence-density")
    return Section(
        "evidence",
        "How many groups?",
        "Groups that two halves of the data agree on, and that lie apart, are worth a name. The dashed line is the "
        "number that was taken.",
        (
            Picture(
                evidence_chart(evidence, chosen, ("stability", "silhouette"), name="evidence"),
                "Stability and silhouette",
                "Both: higher is better. Bars: one standard error.",
            ),
            Picture(
                second,
                "BIC" if is_mixture else "Gap",
                "Lower is better." if is_mixture else "How much tighter than uniform noise: higher is better.",
            ),
        ),
        (Table(headings, rows, n_text=0),),
        tuple(f"{reason[:1].upper()}{reason[1:]}." for reason in result.grouping.choice.reasons),
    )


def evidence_chart(evidence: tuple[Evidence, ...], chosen: int, figures: tuple[str, ...], *, name: str) -> Chart:
    """Curves of the evidence over the number of groups."""
    with page_style():
        figure, axes = new_figure(4.6, 3.0)
        numbers = np.array([item.n_groups for item in evidence], float)
        for figure_name, colour, marker in zip(figures, (ACCENT, MUTED), "os", strict=False):
            values = np.array([getattr(item, figure_name) for item in evidence], float)
            errors = np.array([getattr(item, f"{figure_name}_error", 0.0) for item in evidence], float)
            is_known = np.isfinite(values)
            axes.errorbar(
                numbers[is_known],
                values[is_known],
                np.nan_to_num(errors[is_known]),
                color=colour,
                marker=marker,
                markersize=4.0,
                linewidth=1.2,
                label=figure_name,
            )
        axes.axvline(chosen, color=INK, linewidth=1.0, linestyle=(0, (4, 3)))
        axes.set(xlabel="groups", ylabel=figures[0] if len(figures) == 1 else "")
        axes.set_xticks(numbers[:: max(1, len(numbers) // 12)])
        if len(figures) > 1:
            axes.legend(loc="best")
    listed = " and ".join(figures)
    return Chart(name, f"{listed} for {int(numbers[0])} to {int(numbers[-1])} groups; {chosen} were taken.", figure)


def _groups(result: ClusterResult) -> Section:
    grouping = result.grouping
    rows = tuple(
        (
            group_name(result, group.number),
            result.places.text(group.medoid),
            ", ".join(group.typical) or "–",
            str(group.n_windows),
            f"{group.n_windows / len(grouping.data):.1%}",
            str(group.units),
        )
        for group in grouping.groups
    )
    return Section(
        "groups",
        "The groups",
        "What sets each group apart from all windows. A group that only one device has may be the device, not a state.",
        tables=(
            Table(
                ("group", "typical window", "typical features", "windows", "share", f"{grouping.unit}s"), rows, n_text=3
            ),
        ),
        commands=(f"trainer cluster {Path(grouping.data.name).name} --name 0=NAME --labels labels.npz",),
    )


def _drawn(result: ClusterResult, row: int, name: str, caption: str) -> Picture:
    data = result.grouping.data
    label = group_name(result, int(result.grouping.labels[row]))
    ranges = tuple(_range(data.windows[:, index]) for index in range(len(data.channels)))
    window = DrawnWindow(
        values=data.windows[row],
        true=label,
        predicted=label,
        confidence=1.0,
        true_probability=1.0,
        novelty=0.0,
        place=result.places.text(row),
        ranges=ranges,
    )
    chart = signal_chart(window, data.channels, ranges, sampling_rate_hz=data.sampling_rate_hz, name=name)
    return Picture(
        Chart(chart.name, f"Signals of a window of {short(label)}.", chart.figure), label, f"{window.place}{caption}"
    )


def _range(values: np.typing.NDArray[np.float32]) -> tuple[float, float]:
    present = values[np.isfinite(values)]
    if not present.size:
        return 0.0, 1.0
    low, high = np.quantile(present, (0.01, 0.99))
    return float(low), float(high)


def _medoids(result: ClusterResult) -> Section:
    grouping = result.grouping
    return Section(
        "typical",
        "A typical window of each group",
        "The window nearest to the middle of its group: look at it, and give the group a name.",
        tuple(
            _drawn(
                result,
                group.medoid,
                f"typical-{group.number}",
                f". {group.n_windows} windows, {group.n_windows / len(grouping.data):.1%}.",
            )
            for group in grouping.groups
        ),
        notes=("Each channel is drawn on its usual range over all windows (1st to 99th percentile).",),
    )


def _map(result: ClusterResult) -> Section:
    grouping = result.grouping
    rows = _evenly(len(grouping.data), MAX_POINTS)
    places = grouping.placement.places
    points = np.zeros((len(rows), 2))
    points[:, : min(2, places.shape[1])] = places[rows, :2]
    explained = [*grouping.placement.components.explained.tolist(), 0.0]
    facts = MapFacts(
        points=points,
        class_indices=grouping.labels[rows],
        is_wrong=np.isin(rows, grouping.outliers),
        is_novel=np.zeros(len(rows), bool),
        classes=tuple(group_name(result, group.number) for group in grouping.groups),
        explained=(float(explained[0]), float(explained[1])),
        n_windows=len(grouping.data),
    )
    return Section(
        "map",
        "Map of the windows",
        "Every point is a window, near to others that look alike. Clouds that lie apart are groups without doubt; a "
        "cut through one cloud is a matter of taste.",
        (
            Picture(
                map_chart(facts, rings="least typical"),
                "",
                f"{len(rows)} of {len(grouping.data)} windows; principal components of the standardised features.",
            ),
        ),
    )


def _evenly(n_rows: int, at_most: int) -> IntArray:
    rows: IntArray = np.unique(np.linspace(0, n_rows - 1, min(n_rows, at_most)).round().astype(np.int64))
    return rows


def _outliers(result: ClusterResult) -> Section:
    rows = result.grouping.outliers.tolist()
    return Section(
        "outliers",
        "The least typical windows",
        "Windows that fit their group worst: a loose sensor, a state that came up once, or the start of something new.",
        tuple(_drawn(result, row, f"outlier-{number}", ".") for number, row in enumerate(rows, start=1)),
    )


def _agreement(result: ClusterResult) -> Section:
    found = result.agreement
    assert found is not None  # noqa: S101 - asked for only where there are labels
    names = tuple(group_name(result, group.number) for group in result.grouping.groups)
    sentence = (
        f"Nothing was decided by the labels. Adjusted Rand index {found.adjusted_rand:.3f}, normalised mutual "
        f"information {found.normalised_mutual_information:.3f} over {found.n_windows} labelled windows."
    )
    if max(len(names), len(found.classes)) > MAX_MATRIX_CLASSES:
        return Section("labels", "Beside the labels of the data", sentence)
    chart = confusion_chart(found.counts, names, found.classes, x_label="label", y_label="group", name="labels")
    return Section("labels", "Beside the labels of the data", sentence, (Picture(chart),))
