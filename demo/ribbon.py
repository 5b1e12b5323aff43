"""A plot of what the sensors saw, with ribbons below: what was true, and what the agents said. Plain SVG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from demo.look import number
from signals import Recording

Points = NDArray[np.float64]

WIDTH, PANEL_HEIGHT, MARGIN_LEFT, MARGIN_RIGHT = 1000, 190, 86, 20
_PLOT_WIDTH = WIDTH - MARGIN_LEFT - MARGIN_RIGHT
_SIGNAL_HEIGHT, _RIBBON_HEIGHT = 96, 13
_COLOURS = ("#9aa0a6", "#2e9e5b", "#e3a008", "#d93025", "#1a73e8", "#a142f4", "#f2711c", "#12a4af")
_LINES = ("#1a4b8c", "#3f8fd0", "#8fbfe6")
_NOTHING = "#eceff1"


class Stretch(NamedTuple):
    """A label over a time, in seconds after the start of the plot."""

    start_s: float
    end_s: float
    label: str | None


class Panel(NamedTuple):
    """One device: its signal, and ribbons.

    Attributes
    ----------
    title : str
    channels : sequence of str
        Channels that are drawn.
    recording : Recording
    ribbons : sequence of (str, sequence of Stretch)
        From top to bottom.
    classes : sequence of str
        In the order of their colours.
    seconds_per_unit, unit : float, str
        Of the time axis.
    """

    title: str
    channels: Sequence[str]
    recording: Recording
    ribbons: Sequence[tuple[str, Sequence[Stretch]]]
    classes: Sequence[str]
    seconds_per_unit: float
    unit: str


def draw(panels: Sequence[Panel]) -> str:
    """The panels below each other, as the text of an SVG file."""
    height = 16 + PANEL_HEIGHT * len(panels)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#ffffff"/>',
    ]
    for position, panel in enumerate(panels):
        parts += _panel(panel, 12 + PANEL_HEIGHT * position)
    return "\n".join([*parts, "</svg>", ""])


def write(path: Path, panels: Sequence[Panel]) -> None:
    """Write the picture, complete or not at all."""
    beside = path.with_name(f".{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    beside.write_text(draw(panels), encoding="utf-8")
    beside.replace(path)


def true_stretches(recording: Recording, classes: Sequence[str]) -> list[Stretch]:
    """The labels of a recording as stretches; a report holds until the next one.

    Examples
    --------
    >>> recording = Recording(
    ...     "a", ("x",), np.array([0, 1, 2]) * 10**9, np.zeros((1, 3), np.float32), np.array([0, 0, 1])
    ... )
    >>> true_stretches(recording, ["idle", "busy"])
    [Stretch(start_s=0.0, end_s=2.0, label='idle'), Stretch(start_s=2.0, end_s=2.0, label='busy')]
    """
    if recording.class_indices is None:
        return []
    t_s = seconds(recording)
    edges = [0, *(np.flatnonzero(np.diff(recording.class_indices)) + 1).tolist()]
    stretches = []
    for first, following in zip(edges, [*edges[1:], len(t_s) - 1], strict=True):
        class_index = int(recording.class_indices[first])
        stretches.append(
            Stretch(float(t_s[first]), float(t_s[following]), classes[class_index] if class_index >= 0 else None)
        )
    return stretches


def seconds(recording: Recording) -> Points:
    """Times of a recording in seconds after its first sample."""
    elapsed: Points = (recording.t_ns - recording.t_ns[0]) / 1e9
    return elapsed


def _panel(panel: Panel, top: int) -> Iterable[str]:
    t_s = seconds(panel.recording)
    end_s = float(t_s[-1]) or 1.0
    bottom = top + 20 + _SIGNAL_HEIGHT
    yield _text(MARGIN_LEFT, top + 12, panel.title, "start", size=13, fill="#202124")
    yield from _legend(panel.classes, top + 12)
    rows = [panel.recording.channels.index(name) for name in panel.channels]
    values = panel.recording.values[rows].astype(np.float64)
    # Each channel around its own mean: gravity is no news.
    values -= np.nanmean(values, axis=1, keepdims=True) if len(rows) > 1 else 0.0
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    scale = _SIGNAL_HEIGHT / ((high - low) or 1.0)
    for position, row in enumerate(values):
        known = np.isfinite(row)
        shape = _envelope(t_s[known] / end_s * _PLOT_WIDTH, (high - row[known]) * scale)
        path = " ".join(f"{MARGIN_LEFT + x:.1f},{top + 20 + y:.1f}" for x, y in shape)
        stroke = f'stroke="{_LINES[position % 3]}" stroke-width="0.9" stroke-opacity="0.75"'
        yield f'<polyline points="{path}" fill="none" {stroke}/>'
    for value, y in ((high, top + 26), (low, bottom)):
        yield _text(MARGIN_LEFT - 6, y, _tick(value), "end")
    for position, (name, stretches) in enumerate(panel.ribbons):
        y = bottom + 7 + position * (_RIBBON_HEIGHT + 3)
        yield _text(MARGIN_LEFT - 6, y + 10, name, "end", size=11, fill="#202124")
        for stretch in stretches:
            begin, end = max(0.0, stretch.start_s), min(end_s, stretch.end_s)
            if end <= begin:
                continue
            x, width = MARGIN_LEFT + begin / end_s * _PLOT_WIDTH, (end - begin) / end_s * _PLOT_WIDTH
            fill = _colour(stretch.label, panel.classes)
            yield f'<rect x="{x:.1f}" y="{y}" width="{width + 0.3:.1f}" height="{_RIBBON_HEIGHT}" fill="{fill}"/>'
    y = bottom + 7 + len(panel.ribbons) * (_RIBBON_HEIGHT + 3) + 10
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        text = f"{share * end_s / panel.seconds_per_unit:.0f} {panel.unit}"
        yield _text(MARGIN_LEFT + round(share * _PLOT_WIDTH), y, text, "middle")


def _text(x: int, y: int, text: str, anchor: str, *, size: int = 10, fill: str = "#5f6368") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="{size}" fill="{fill}">{escape(text)}</text>'


def _legend(classes: Sequence[str], y: int) -> Iterable[str]:
    x = WIDTH - MARGIN_RIGHT
    for name in reversed(classes):
        x -= 8 * len(name) + 24
        yield f'<rect x="{x}" y="{y - 9}" width="10" height="10" rx="2" fill="{_colour(name, classes)}"/>'
        yield _text(x + 14, y, name, "start", size=12, fill="#202124")


def _colour(label: str | None, classes: Sequence[str]) -> str:
    if label is None or label not in classes:
        return _NOTHING
    return _COLOURS[list(classes).index(label) % len(_COLOURS)]


def _tick(value: float) -> str:
    return number(round(value)) if abs(value) >= 100 else f"{value:.1f}"


def _envelope(x: Points, y: Points) -> list[tuple[float, float]]:
    """Least and greatest value of every half pixel: what a line through all points would cover."""
    columns = np.floor(2.0 * x).astype(np.int64)
    starts = np.flatnonzero(np.diff(columns, prepend=-1))
    if len(starts) * 2 >= len(x):
        return list(zip(x.tolist(), y.tolist(), strict=True))
    low, high = np.minimum.reduceat(y, starts), np.maximum.reduceat(y, starts)
    at = x[starts]
    pairs = np.stack([np.stack([at, low], axis=1), np.stack([at, high], axis=1)], axis=1)
    pairs[1::2] = pairs[1::2, ::-1]
    return [(float(a), float(b)) for a, b in pairs.reshape(-1, 2)]
