"""Figures of how right the answers are: confusion, classes, calibration, confidence, groups."""

from __future__ import annotations

from collections.abc import Sequence

from trainer.evaluate import Interval
from trainer.evaluate.groups import GroupFacts
from trainer.report.drawing import ACCENT, BAD, INK, MUTED, PAPER, Chart, add_tile, new_figure, page_style, short
from trainer.report.quality import CalibrationBin, ClassFacts, QualityFacts

MAX_MATRIX_CLASSES = 30
MAX_BARS = 40
_DARK_TILE = 0.55
"""A tile stronger than this takes letters in the colour of the paper."""


def confusion_chart(
    confusion: Sequence[Sequence[int]],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    x_label: str = "answered",
    y_label: str = "was",
    name: str = "confusion",
) -> Chart:
    """Counts as a matrix of tiles, each row coloured by its shares.

    Parameters
    ----------
    confusion : sequence of rows of int
    rows, columns : sequence of str
        Names; there may be more or fewer columns than rows (clusters against labels).
    x_label, y_label, name : str
    """
    n_rows, n_columns = len(rows), len(columns)
    cell = 0.52 if max(n_rows, n_columns) <= 8 else 0.42 if max(n_rows, n_columns) <= 16 else 0.3
    with page_style():
        # Long names need room of their own beside the tiles.
        margin = 0.35 + 0.068 * max(len(short(label)) for label in (*rows, *columns))
        figure, axes = new_figure(max(2.6, n_columns * cell + margin), max(2.4, n_rows * cell + margin))
        for index, row in enumerate(confusion):
            total = max(1, sum(row))
            for column, count in enumerate(row):
                if not count:
                    continue
                share = count / total
                is_right = n_rows == n_columns and rows[index] == columns[column]
                add_tile(axes, column, index, 0.08 + 0.92 * share, ACCENT if is_right or n_rows != n_columns else BAD)
                size = 9.0 if cell > 0.5 else 7.0 if cell > 0.4 else 5.0
                colour = PAPER if share > _DARK_TILE else INK
                axes.text(column, index, f"{count}", ha="center", va="center", fontsize=size, color=colour)
        axes.set(xlim=(-0.5, n_columns - 0.5), ylim=(n_rows - 0.5, -0.5), xlabel=x_label, ylabel=y_label)
        axes.set_aspect("equal")
        slant = 0.0 if max(len(short(label)) for label in columns) * 0.07 < cell else 90.0
        axes.set_xticks(range(n_columns), [short(label) for label in columns], rotation=slant)
        axes.set_yticks(range(n_rows), [short(label) for label in rows])
        axes.set_xticks([edge + 0.5 for edge in range(n_columns - 1)], minor=True)
        axes.set_yticks([edge + 0.5 for edge in range(n_rows - 1)], minor=True)
        axes.grid(visible=False)
        axes.grid(visible=True, which="minor")
        axes.tick_params(which="both", length=0)
    n_all, n_right = sum(map(sum, confusion)), sum(row[at] for at, row in enumerate(confusion) if at < len(row))
    if rows == columns or list(rows) == list(columns):
        alt = f"Confusion matrix of {n_rows} classes: {n_right} of {n_all} windows lie on the diagonal."
    else:
        alt = f"Counts of {n_all} windows, {n_rows} rows by {n_columns} columns."
    return Chart(name, alt, figure)


def classes_chart(classes: Sequence[ClassFacts]) -> Chart:
    """Precision and recall of each class with their intervals, a line a class."""
    shown = list(classes)
    with page_style():
        figure, axes = new_figure(4.2, 0.9 + 0.36 * len(shown))
        styles = (("precision", -0.15, ACCENT, "o"), ("recall", 0.15, INK, "s"))
        for label, offset, colour, marker in styles:
            for index, score in enumerate(shown):
                value: float = getattr(score, label)
                interval: Interval | None = getattr(score, f"{label}_interval")
                if interval is None:
                    continue
                axes.plot(interval, [index + offset] * 2, color=colour, linewidth=1.2)
                axes.plot(
                    [value],
                    [index + offset],
                    marker,
                    color=colour,
                    markersize=4.5,
                    label=label if index == _first_with(shown, label) else None,
                )
        lowest = min(
            (low for score in shown for low, _ in filter(None, (score.precision_interval, score.recall_interval))),
            default=0.0,
        )
        axes.set_yticks(range(len(shown)), [short(score.name) for score in shown])
        axes.set(ylim=(len(shown) - 0.5, -0.5), xlim=(max(0.0, min(0.5, lowest - 0.05)), 1.01), xlabel="share")
        axes.grid(visible=False, axis="y")
        axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, borderaxespad=0.2)
    worst = min(shown, key=lambda score: score.recall)
    return Chart(
        "classes",
        f"Precision and recall of {len(shown)} classes; lowest recall: {worst.recall:.2f}, {short(worst.name)}.",
        figure,
    )


def _first_with(classes: Sequence[ClassFacts], label: str) -> int:
    return next((index for index, score in enumerate(classes) if getattr(score, f"{label}_interval")), 0)


def calibration_chart(bins: Sequence[CalibrationBin], ece: float) -> Chart:
    """Accuracy against confidence, bin by bin, with the number of windows below."""
    filled = [part for part in bins if part.count]
    with page_style():
        figure, axes = new_figure(4.6, 4.0)
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)), label="as sure as right")
        for part in filled:
            if part.interval is not None:
                axes.plot([part.confidence or 0.0] * 2, part.interval, color=ACCENT, linewidth=1.2)
        most = max(part.count for part in filled)
        axes.scatter(
            [part.confidence or 0.0 for part in filled],
            [part.accuracy or 0.0 for part in filled],
            # The area says how many windows stand behind a point.
            s=[12.0 + 110.0 * part.count / most for part in filled],
            color=ACCENT,
            linewidths=0.0,
            zorder=3,
            label=f"this model (ECE {ece:.3f})",
        )
        lowest = min(part.low for part in filled)
        axes.set(xlim=(max(0.0, lowest - 0.03), 1.02), ylim=(-0.02, 1.02), xlabel="confidence", ylabel="share right")
        axes.legend(loc="lower right", markerscale=0.6)
        for part in filled:
            axes.annotate(
                f"{part.count}",
                ((part.low + part.high) / 2.0, 1.0),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                xytext=(0, 3),
                ha="center",
                fontsize=6.5,
                color=MUTED,
                rotation=45.0,
            )
    return Chart(
        "calibration",
        f"Reliability curve in {len(filled)} bins of confidence; expected calibration error {ece:.3f}.",
        figure,
    )


def confidence_chart(facts: QualityFacts) -> Chart:
    """How sure the answers are, right and wrong ones, with the line below which a gateway says it is unsure."""
    bins = facts.bins
    lowest = min(part.low for part in bins if part.count)
    with page_style():
        figure, axes = new_figure(4.6, 3.0)
        width = 1.0 / len(bins)
        right = [round((part.accuracy or 0.0) * part.count) for part in bins]
        wrong = [part.count - n_right for part, n_right in zip(bins, right, strict=True)]
        places = [part.low + width / 2.0 for part in bins]
        axes.bar([place - width * 0.23 for place in places], right, width * 0.42, color=ACCENT, label="right")
        axes.bar([place + width * 0.23 for place in places], wrong, width * 0.42, color=BAD, label="wrong")
        # Most answers are sure: on a straight scale the few that matter would be flat.
        axes.set_yscale("log")
        axes.set_ylim(0.7, 2.0 * max(part.count for part in bins))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.minorticks_off()
        if facts.unsure_below > 0.0:
            axes.axvline(facts.unsure_below, color=INK, linewidth=1.2, linestyle=(0, (4, 3)))
            axes.annotate(
                f"unsure below {facts.unsure_below:.2f}",
                (facts.unsure_below, 0.98),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                xytext=(-4, 0),
                ha="right",
                va="top",
                rotation=90.0,
                fontsize=8.0,
            )
        axes.set(
            xlim=(max(0.0, min(lowest, facts.unsure_below or lowest) - 0.08), 1.01),
            xlabel="confidence",
            ylabel="windows (log scale)",
        )
        axes.grid(visible=False, axis="x")
        axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, borderaxespad=0.2)
    return Chart(
        "confidence",
        f"Histogram of the confidence; {facts.unsure_share:.1%} of the windows lie below {facts.unsure_below:.2f}, "
        "where a gateway says unsure.",
        figure,
    )


def groups_chart(facts: GroupFacts) -> Chart:
    """Accuracy of each group with its interval, the worst first, odd ones as red diamonds; at most 40 groups."""
    shown = facts.scores[:MAX_BARS]
    with page_style():
        figure, axes = new_figure(5.2, 0.9 + 0.24 * len(shown))
        for index, score in enumerate(shown):
            colour = BAD if score.is_odd else ACCENT
            axes.plot(score.interval, [index] * 2, color=colour, linewidth=3.0, alpha=0.45)
            axes.plot([score.accuracy], [index], "D" if score.is_odd else "o", color=colour, markersize=5.0)
        axes.axvline(facts.accuracy, color=MUTED, linewidth=1.0, linestyle=(0, (4, 3)))
        lowest = min(score.interval[0] for score in shown)
        axes.set_yticks(range(len(shown)), [f"{short(score.name)} ({score.n_windows})" for score in shown])
        axes.set(ylim=(len(shown) - 0.4, -0.6), xlim=(max(0.0, lowest - 0.05), 1.01), xlabel="accuracy")
    return Chart(
        "groups",
        f"Accuracy of {len(shown)} groups by {facts.key}, from {shown[0].accuracy:.2f} to {shown[-1].accuracy:.2f}; "
        f"{len(facts.odd)} of them worse than chance explains.",
        figure,
    )
