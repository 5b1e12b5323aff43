"""Figures of windows and features: signals, the map, novelty, importance, the learning curve."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from trainer.evaluate import Interval
from trainer.report.drawing import (
    ACCENT,
    BAD,
    INK,
    LINE,
    MUTED,
    Chart,
    class_style,
    new_figure,
    page_style,
    short,
)
from trainer.report.feature_map import MapFacts
from trainer.report.importance import Importance
from trainer.report.learning_curve import LearningCurveFacts
from trainer.report.windows import DrawnWindow, NoveltyShares, line_points

MAX_CHANNELS = 12
MAX_LEGEND = 24
MAX_BARS = 20


def signal_chart(
    window: DrawnWindow,
    channels: Sequence[str],
    ranges: Sequence[Interval],
    *,
    sampling_rate_hz: float | None,
    name: str,
) -> Chart:
    """The channels of one window, one below the other, each on its usual range (at most 12 channels).

    Parameters
    ----------
    window : DrawnWindow
    channels : sequence of str
    ranges : sequence of (low, high)
        Of each channel; widened where this window goes beyond.
    sampling_rate_hz : float or None
        None: the time axis counts samples.
    name : str
    """
    shown = list(channels)[:MAX_CHANNELS]
    with page_style():
        figure, axes = new_figure(3.4, 0.75 + (1.1 if len(shown) == 1 else 0.32 * len(shown)))
        for index in range(len(shown)):
            at, values = line_points(window.values[index])
            low, high = ranges[index]
            if np.isfinite(values).any():
                low, high = min(low, float(np.nanmin(values))), max(high, float(np.nanmax(values)))
            scaled = (values - low) / (high - low if high > low else 1.0)
            times = at / sampling_rate_hz if sampling_rate_hz else at
            axes.axhline(index + 0.95, color=LINE, linewidth=0.5)
            axes.plot(times, index + 0.9 - 0.8 * scaled, color=ACCENT, linewidth=0.9)
        length = window.values.shape[1]
        end = (length - 1) / sampling_rate_hz if sampling_rate_hz else length - 1
        axes.set(xlim=(0.0, max(end, 1e-9)), ylim=(len(shown), 0.0), xlabel="s" if sampling_rate_hz else "samples")
        axes.set_yticks([index + 0.5 for index in range(len(shown))], [short(channel, 14) for channel in shown])
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
    more = f" (the first {len(shown)} of {len(channels)} channels)" if len(channels) > len(shown) else ""
    alt = f"Signals of a window that was {short(window.true)} and was taken for {short(window.predicted)}{more}."
    return Chart(name, alt, figure)


def map_chart(facts: MapFacts, *, name: str = "map", rings: str = "named wrongly") -> Chart:
    """The projected windows in the colour of their class; wrong ones ringed, novel ones crossed."""
    with page_style():
        figure, axes = new_figure(6.2, 4.9)
        n_points = len(facts.points)
        size = 22.0 if n_points < 300 else 9.0
        for index, label in enumerate(facts.classes):
            inside = facts.class_indices == index
            if not inside.any():
                continue
            colour, marker = class_style(index)
            drawn = axes.scatter(
                facts.points[inside, 0],
                facts.points[inside, 1],
                s=size,
                c=colour,
                marker=marker,
                alpha=0.7,
                linewidths=0.0,
                rasterized=n_points > 300,
            )
            if index < MAX_LEGEND:
                drawn.set_label(short(label))
        if facts.is_wrong.any():
            axes.scatter(
                facts.points[facts.is_wrong, 0],
                facts.points[facts.is_wrong, 1],
                s=size * 4.0,
                facecolors="none",
                edgecolors=BAD,
                linewidths=1.0,
                label=rings,
                rasterized=int(facts.is_wrong.sum()) > 300,
            )
        if facts.is_novel.any():
            axes.scatter(
                facts.points[facts.is_novel, 0],
                facts.points[facts.is_novel, 1],
                s=size * 3.0,
                marker="x",
                c=INK,
                linewidths=0.9,
                label="novel",
                rasterized=int(facts.is_novel.sum()) > 300,
            )
        # A few far points would press all others into a corner: they are left outside the view.
        _show_most(axes, facts.points)
        axes.set(
            xlabel=f"1st component ({facts.explained[0]:.0%} of the variance)",
            ylabel=f"2nd component ({facts.explained[1]:.0%})",
        )
        n_entries = min(len(facts.classes), MAX_LEGEND) + 2
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), ncols=1 if n_entries <= 14 else 2, markerscale=1.2)
    alt = (
        f"Map of {n_points} windows of {len(facts.classes)} classes in two dimensions; {int(facts.is_wrong.sum())} "
        f"{rings}, {int(facts.is_novel.sum())} novel."
    )
    return Chart(name, alt, figure)


def _show_most(axes: Axes, points: NDArray[np.float64]) -> None:
    low, high = np.quantile(points, [0.002, 0.998], axis=0)
    margin = 0.06 * np.maximum(high - low, 1e-6)
    axes.set(xlim=(low[0] - margin[0], high[0] + margin[0]), ylim=(low[1] - margin[1], high[1] + margin[1]))


def novelty_chart(facts: NoveltyShares) -> Chart:
    """Histogram of the novelty with the threshold at 1; the last bar holds all beyond."""
    with page_style():
        figure, axes = new_figure(4.6, 3.0)
        width = facts.edge / len(facts.counts)
        for index, count in enumerate(facts.counts):
            colour = BAD if (index + 0.5) * width > 1.0 else ACCENT
            axes.bar((index + 0.5) * width, count, width * 0.92, color=colour)
        axes.axvline(1.0, color=INK, linewidth=1.2, linestyle=(0, (4, 3)))
        axes.annotate(
            f"{100.0 * facts.share:.1f} % novel",
            (1.0, 0.97),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            xytext=(5, 0),
            va="top",
            fontsize=8.0,
        )
        axes.set(xlim=(0.0, facts.edge), xlabel="novelty", ylabel="windows")
        axes.grid(visible=False, axis="x")
    return Chart(
        "novelty",
        f"Histogram of the novelty; {facts.n_novel} windows ({facts.share:.2%}) lie above the threshold of 1.",
        figure,
    )


def importance_chart(found: Sequence[Importance], what: str, *, name: str) -> Chart:
    """Rise of the log-loss when a channel or block is shuffled, with the spread over repeats; at most 20 bars."""
    shown = list(found)[:MAX_BARS]
    with page_style():
        figure, axes = new_figure(5.2, 0.9 + 0.26 * len(shown))
        for index, item in enumerate(shown):
            axes.barh(index, item.loss_rise, 0.62, color=ACCENT, alpha=0.55)
            low, high = item.loss_rise - item.loss_spread, item.loss_rise + item.loss_spread
            axes.plot((low, high), (index, index), color=INK, linewidth=1.2)
        axes.axvline(0.0, color=MUTED, linewidth=0.8)
        axes.set_yticks(range(len(shown)), [short(item.name) for item in shown])
        axes.set(ylim=(len(shown) - 0.4, -0.6), xlabel=f"rise of the log-loss when the {what} is shuffled")
        axes.grid(visible=False, axis="y")
    return Chart(name, f"Permutation importance by {what}: {short(shown[0].name)} matters most.", figure)


def learning_curve_chart(facts: LearningCurveFacts) -> Chart:
    """Accuracy against the amount of data fitted on, with intervals; the split at random as a line."""
    with page_style():
        figure, axes = new_figure(4.6, 3.4)
        places = [point.n_units for point in facts.points]
        for place, point in zip(places, facts.points, strict=True):
            axes.plot([place] * 2, point.interval, color=ACCENT, linewidth=1.2)
        values = [point.accuracy for point in facts.points]
        axes.plot(places, values, "-o", color=ACCENT, markersize=4.5, linewidth=1.2, label=f"other {facts.unit}s")
        if facts.random_accuracy is not None:
            axes.axhline(
                facts.random_accuracy,
                color=BAD,
                linewidth=1.0,
                linestyle=(0, (4, 3)),
                label="split at random: flatters",
            )
        axes.set(xlim=(0.0, max(places) * 1.05), xlabel=f"{facts.unit}s fitted on", ylabel="accuracy")
        axes.legend(loc="lower right")
    return Chart(
        "learning-curve",
        f"Accuracy on other {facts.unit}s: {values[0]:.2f} after {places[0]:g}, {values[-1]:.2f} after {places[-1]:g}.",
        figure,
    )
