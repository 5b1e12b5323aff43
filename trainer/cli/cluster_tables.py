"""Groups as tables and lines for a person: the evidence, the groups, what their windows look like."""

from __future__ import annotations

import math

import numpy as np
from rich.table import Table
from rich.text import Text

from trainer.cluster import ClusterResult
from trainer.cluster.evidence import Evidence
from trainer.cluster.pipeline import Agreement
from trainer.cluster.typical import sparkline

_MOST_CHANNELS = 6
_CHANNEL_WIDTH = 14


def _number(value: float, digits: int = 3) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else ""


def evidence_table(result: ClusterResult) -> Table:
    """One row a number of groups; the chosen one is marked."""
    is_mixture = result.options.method == "mixture"
    table = Table(
        title="How many groups? (stability: adjusted Rand of groups found in two random halves)", title_justify="left"
    )
    headings = ("groups", "silhouette", "BIC" if is_mixture else "gap", "stability", "smallest group")
    for heading in headings:
        table.add_column(heading, justify="right")
    for item in result.grouping.evidence:
        chosen = item.n_groups == result.grouping.model.n_groups
        table.add_row(*_evidence_cells(item, is_mixture=is_mixture, chosen=chosen), style="bold" if chosen else None)
    return table


def _evidence_cells(item: Evidence, *, is_mixture: bool, chosen: bool) -> tuple[str, ...]:
    second = _number(item.bic, 0) if is_mixture else f"{_number(item.gap)} ± {_number(item.gap_error)}"
    stability = f"{_number(item.stability)} ± {_number(item.stability_error)}" if math.isfinite(item.stability) else ""
    mark = "→ " if chosen else ""
    return (f"{mark}{item.n_groups}", _number(item.silhouette), second, stability, f"{item.smallest_share:.1%}")


def groups_table(result: ClusterResult) -> Table:
    """Size, share, the window to look at, and what sets each group apart."""
    grouping, places = result.grouping, result.places
    table = Table(title="Groups", title_justify="left")
    for heading in ("group", "name", "windows", "share", f"{grouping.unit}s", "typical window", "typical features"):
        table.add_column(heading, justify="right" if heading in ("windows", "share") else "left")
    for group in grouping.groups:
        table.add_row(
            str(group.number),
            Text(result.options.names.get(group.number, "")),
            str(group.n_windows),
            f"{group.n_windows / len(grouping.data):.1%}",
            str(group.units),
            Text(places.text(group.medoid)),
            Text(", ".join(group.typical) or "nothing that all windows do not have"),
        )
    return table


def medoid_lines(result: ClusterResult) -> list[str]:
    """The typical window of every group, drawn in one line a channel, each on the usual range of the channel."""
    data = result.grouping.data
    shown = list(data.channels)[:_MOST_CHANNELS]
    ranges = []
    for index in range(len(shown)):
        values = data.windows[:, index]
        present = values[np.isfinite(values)]
        ranges.append(np.percentile(present, (1.0, 99.0)) if len(present) else np.zeros(2))
    lines = []
    for group in result.grouping.groups:
        name = result.options.names.get(group.number)
        lines.append(f"group {group.number}" + (f" ({name})" if name else "") + f": {result.places.text(group.medoid)}")
        for index, channel in enumerate(shown):
            drawn = sparkline(data.windows[group.medoid, index], float(ranges[index][0]), float(ranges[index][1]), 48)
            lines.append(f"  {_short(channel):<{_CHANNEL_WIDTH}} {drawn}")
    if len(data.channels) > len(shown):
        lines.append(f"  ({len(data.channels) - len(shown)} more channels are drawn in the page of --report)")
    return lines


def outlier_lines(result: ClusterResult) -> list[str]:
    """The windows that are least like the others of their group."""
    grouping = result.grouping
    found = [f"{result.places.text(row)} (group {grouping.labels[row]})" for row in grouping.outliers.tolist()]
    return [f"least typical windows: {'; '.join(found)}"] if found else []


def agreement_table(agreement: Agreement) -> Table:
    """Windows of each group and label; nothing was decided by the labels."""
    table = Table(
        title=f"Beside the labels of the data: adjusted Rand {agreement.adjusted_rand:.3f}, "
        f"NMI {agreement.normalised_mutual_information:.3f} over {agreement.n_windows} windows",
        title_justify="left",
    )
    table.add_column("group")
    for name in agreement.classes:
        table.add_column(Text(_short(name)), justify="right")
    for number, row in enumerate(agreement.counts):
        table.add_row(str(number), *(str(count) if count else "" for count in row))
    return table


def _short(name: str) -> str:
    return name if len(name) <= _CHANNEL_WIDTH else name[: _CHANNEL_WIDTH - 1] + "…"
