"""One frame: a view of the agent as something rich can print, for any size of terminal."""

from __future__ import annotations

import time
import zlib
from datetime import datetime
from typing import NamedTuple

from rich.box import ROUNDED
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from edge_agent.top.choices import Choices
from edge_agent.top.drawing import bar, braille, duration, log_histogram, quantile, short, spark
from edge_agent.top.history import History
from schemas import DeviceView, TopView

PALETTE = ("#7dd3fc", "#86efac", "#fcd34d", "#f9a8d4", "#c4b5fd", "#fdba74", "#5eead4", "#fca5a5")
"""Colours of labels and channels, readable on dark and light ground; nothing is told by colour alone."""

_HEALTH = {"ok": "bold #86efac", "starting": "bold #fcd34d", "stopping": "bold #fcd34d", "degraded": "bold #fca5a5"}
_STATES = {
    "ok": ("●", ""),
    "unsure": ("?", "#fcd34d"),
    "novel": ("✱", "bold #f9a8d4"),
    "incomplete": ("○", "dim"),
    "unlabelled": ("◌", "#7dd3fc"),
}
_DIM = "dim"
_LOW_MS, _HIGH_MS = 0.1, 1_000.0
_HEAD_LINES = 7
_ROWS_TALL = 2
_WIDE, _NARROW = 100, 72
_BESIDE_SPARKS = 23


class Size(NamedTuple):
    """Of the terminal, in characters."""

    width: int
    height: int | None
    """None = as many lines as there are devices."""


def frame(view: TopView, history: History, choices: Choices, size: Size, trouble: str | None = None) -> RenderableType:
    """The whole screen.

    Parameters
    ----------
    view : TopView
    history : History
        Rates up to this view.
    choices : Choices
    size : Size
    trouble : str or None
        Why the view is old, if it is.
    """
    parts: list[RenderableType] = [_head(view, size)]
    problems = ([trouble] if trouble else []) + view.health.problems
    parts += [_line(f"! {problem}", "bold #fca5a5", size) for problem in problems[:3]]
    parts.append(_gauges(view, history, size))
    used = 3 + len(problems[:3]) + _HEAD_LINES + 1
    last = view.errors[-1:] if size.height is None or size.height > used + 8 else []
    room = None if size.height is None else max(3, size.height - used - len(last))
    parts.append(_devices(view, choices, size, room))
    parts += [_line(line, _DIM, size) for line in last]
    parts.append(_foot(choices))
    return Group(*parts)


def _line(text: str, style: str, size: Size) -> Text:
    line = Text(f" {_clean(text)}", style=style, no_wrap=True, overflow="ellipsis")
    line.truncate(size.width - 1, overflow="ellipsis")
    return line


def _clean(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


# ---------------------------------------------------------------------------------------------------------------- head


def _head(view: TopView, size: Size) -> Panel:
    info, health = view.info, view.health
    grid = Table.grid(expand=True)
    grid.add_column(no_wrap=True, ratio=1)
    grid.add_column(no_wrap=True, justify="right")
    who = Text.assemble(
        (_clean(info.gateway), "bold"), ("  ● ", _HEALTH[health.state]), (health.state, _HEALTH[health.state])
    )
    link = info.protocol if health.connected else "no broker"
    models = ", ".join(dict.fromkeys(pipeline.model for pipeline in info.pipelines))
    right = Text.assemble(
        (f"{_clean(models)}  " if size.width >= 110 else "", _DIM),
        (f"{_clean(health.broker)} ", ""),
        (f"{link}  ", _DIM if health.connected else "bold #fca5a5"),
        (f"up {duration(view.metrics.uptime_s)}", ""),
    )
    grid.add_row(who, right)
    title = Text.assemble(("edge-agent", "bold"), (f" {info.agent_version}", _DIM))
    return Panel(grid, box=ROUNDED, title=title, title_align="left", border_style=_DIM, padding=(0, 1))


# -------------------------------------------------------------------------------------------------------------- gauges


def _gauges(view: TopView, history: History, size: Size) -> RenderableType:
    grid = Table.grid(expand=True)
    is_wide = size.width >= _WIDE
    inside = size.width * 3 // (7 if is_wide else 5) - _BESIDE_SPARKS
    panels = [_panel("rates", _rates(view, history, max(8, inside)))]
    panels.append(_panel("latency", _latency(view)))
    if is_wide:
        panels.append(_panel("waiting, windows", _waiting(view)))
    for position in range(len(panels)):
        grid.add_column(ratio=3 if position == 0 else 2)
    grid.add_row(*panels)
    return grid


def _panel(title: str, inside: RenderableType) -> Panel:
    return Panel(
        inside, box=ROUNDED, title=title, title_align="left", border_style=_DIM, padding=(0, 1), height=_HEAD_LINES
    )


def _rates(view: TopView, history: History, width: int) -> Table:
    grid = Table.grid(padding=(0, 1))
    for justify in ("left", "right", "left"):
        grid.add_column(justify=justify, no_wrap=True)
    newest = history.newest
    rows = (
        ("messages/s", view.messages_hz if newest is None else newest.messages, [r.messages for r in history.rates], 0),
        ("windows/s", None if newest is None else newest.windows, [r.windows for r in history.rates], 1),
        ("answers/s", None if newest is None else newest.answers, [r.answers for r in history.rates], 4),
        ("rejected/s", None if newest is None else newest.rejected, [r.rejected for r in history.rates], 7),
    )
    for name, now, before, colour in rows:
        grid.add_row(
            Text(name, style=_DIM),
            Text("-" if now is None else short(now), style="bold"),
            Text(spark(before, width), style=PALETTE[colour]),
        )
    metrics = view.metrics
    lost = sum(metrics.labels_dropped.values())
    said = f"{short(metrics.messages_received)} messages, {metrics.gaps} gaps, {lost} given up, "
    said += f"{metrics.reconnects} reconnects"
    table = Table.grid()
    table.add_row(grid)
    table.add_row(Text(said, style=_DIM, no_wrap=True, overflow="ellipsis"))
    return table


def _latency(view: TopView) -> Table:
    values = view.latencies_ms
    middle, late = quantile(values, 0.5), quantile(values, 0.99)
    said = Text(no_wrap=True)
    for name, value in (("p50", middle), ("p99", late)):
        said.append(f"{name} ", style=_DIM)
        said.append("-" if value is None else f"{short(value)} ms", style="bold")
        said.append("  ")
    table = Table.grid()
    table.add_row(said)
    for line in log_histogram(values, _LOW_MS, _HIGH_MS, 24, 3):
        table.add_row(Text(line, style=PALETTE[0]))
    table.add_row(Text("0.1   1     10    100 ms", style=_DIM))
    return table


def _waiting(view: TopView) -> Table:
    health, metrics = view.health, view.metrics
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, justify="right")
    for name, n, limit in (
        ("held back", metrics.unacknowledged, health.unacknowledged_limit),
        ("outbox", health.outbox, health.outbox_limit),
    ):
        share = n / limit if limit else 0.0
        grid.add_row(Text(name, style=_DIM), _bar(share, 8, _alarm(share)), Text(short(n), style="bold"))
    states = view.metrics.windows
    total = sum(states.values())
    for state, colour in (("ok", 1), ("unlabelled", 0), ("unsure", 2), ("novel", 3), ("incomplete", 4)):
        if (n := states.get(state, 0)) and len(grid.rows) < _HEAD_LINES - 2:
            grid.add_row(Text(state, style=_DIM), _bar(n / total, 8, PALETTE[colour]), Text(short(n), style="bold"))
    return grid


def _alarm(share: float) -> str:
    return PALETTE[7] if share > 0.9 else PALETTE[2] if share > 0.5 else PALETTE[1]


def _bar(share: float, width: int, style: str) -> Text:
    filled, rest = bar(share, width)
    return Text.assemble((filled, style), (rest, _DIM))


# ------------------------------------------------------------------------------------------------------------- devices


def _devices(view: TopView, choices: Choices, size: Size, room: int | None) -> Table:
    rows = choices.rows(view.devices)
    lines = _ROWS_TALL if room is None or _ROWS_TALL * len(rows) + 1 <= room else 1
    fit = len(rows) if room is None else max(1, (room - 1) // lines)
    choices.first_row = min(choices.first_row, max(0, len(rows) - fit))
    table = Table(box=None, expand=True, padding=(0, 1), header_style=_DIM, show_edge=False, pad_edge=True)
    is_wide, is_narrow = size.width >= _WIDE, size.width < _NARROW
    many = f"{len(rows)} of {view.metrics.devices}" if len(rows) < view.metrics.devices else str(len(rows))
    table.add_column(f"device ({many})", no_wrap=True, overflow="ellipsis", max_width=28)
    table.add_column("label", no_wrap=True, overflow="ellipsis", max_width=24, min_width=12)
    table.add_column("confidence", no_wrap=True, min_width=13)
    if not is_narrow:
        table.add_column("age", no_wrap=True, justify="right", min_width=5)
    if is_wide:
        table.add_column("samples/s", no_wrap=True, justify="right")
        table.add_column("novelty", no_wrap=True, justify="right")
        table.add_column("ms", no_wrap=True, justify="right", min_width=5)
    width = min(56, max(12, size.width // 3))
    table.add_column("signal", no_wrap=True, min_width=width, ratio=1)
    colours = _colours(view)
    for device in rows[choices.first_row : choices.first_row + fit]:
        cells: list[RenderableType] = [
            _name(device, lines),
            _label(device, colours, lines),
            _confidence(device, colours),
        ]
        if not is_narrow:
            cells.append(Text(_age(device)))
        if is_wide:
            novelty = "-" if device.novelty is None else short(device.novelty)
            is_novel = device.novelty is not None and device.novelty > 1.0
            cells += [Text(short(device.rate_hz)), Text(novelty, style="bold #f9a8d4" if is_novel else "")]
            cells.append(Text("-" if device.latency_ms is None else short(device.latency_ms)))
        cells.append(_signal(device, width, lines))
        table.add_row(*cells)
    if not rows:
        said = "nothing passes the filter" if view.devices else "no window yet"
        table.add_row(Text(said, style=_DIM))
    return table


def _colours(view: TopView) -> dict[tuple[str, str], str]:
    """Pipeline and label -> colour, by the label's place among the classes of its model."""
    return {
        (pipeline.name, name): PALETTE[position % len(PALETTE)]
        for pipeline in view.info.pipelines
        for position, name in enumerate(pipeline.classes)
    }


def _colour(device: DeviceView, colours: dict[tuple[str, str], str]) -> str:
    if device.label is None:
        return _STATES.get(device.state or "", ("", _DIM))[1] or _DIM
    known = colours.get((device.pipeline, device.label))
    return known or PALETTE[zlib.crc32(device.label.encode()) % len(PALETTE)]


def _name(device: DeviceView, lines: int) -> Text:
    text = Text(_clean(device.device), style="bold")
    if lines > 1:
        text.append(f"\n{_clean(device.pipeline)}", style="not bold dim")
    return text


def _label(device: DeviceView, colours: dict[tuple[str, str], str], lines: int) -> Text:
    mark, style = _STATES.get(device.state or "", ("·", _DIM))
    text = Text()
    text.append(f"{mark} ", style=style or _colour(device, colours))
    is_collected = device.state == "unlabelled"
    text.append(
        _clean(device.label or ("collecting" if is_collected else device.state) or "-"),
        style=f"bold {_colour(device, colours)}",
    )
    if lines > 1:
        text.append(f"\n  {device.state or 'no window yet'}", style=_DIM)
    elif device.label is not None and device.state != "ok":
        text.append(f" {device.state}", style=style)
    return text


def _confidence(device: DeviceView, colours: dict[tuple[str, str], str]) -> Text:
    if device.confidence is None:
        return Text("-", style=_DIM)
    text = _bar(device.confidence, 8, _colour(device, colours))
    text.append(f" {device.confidence:4.0%}")
    return text


def _age(device: DeviceView) -> str:
    try:
        end_s = datetime.fromisoformat(device.ts or "").timestamp()
    except ValueError:
        return "-"
    return duration(time.time() - end_s)


def _signal(device: DeviceView, width: int, lines: int) -> Text:
    """Each channel in a colour of its own, side by side, as many as fit with 8 characters each."""
    shown = device.signal[: max(1, width // 9)]
    more = len(device.signal) - len(shown)
    each = (width - len(shown) + 1 - (3 if more else 0)) // max(1, len(shown))
    drawn = [braille(channel, min(each, max(8, (len(channel) + 1) // 2)), lines) for channel in shown]
    text = Text()
    for line in range(lines):
        if line:
            text.append("\n")
        for position, picture in enumerate(drawn):
            text.append(f"{picture[line]} ", style=PALETTE[position % len(PALETTE)])
        if more > 0 and line == lines - 1:
            text.append(f"+{more}", style=_DIM)
    return text


def _foot(choices: Choices) -> Text:
    if choices.is_typing:
        return Text.assemble((" filter: ", "bold"), choices.filter, ("▏", "blink"), ("  enter keeps, esc clears", _DIM))
    text = Text(no_wrap=True, overflow="ellipsis")
    for key, what in (
        ("q", "quit"),
        ("s", f"sort: {choices.order}"),
        ("/", f"filter: {choices.filter}" if choices.filter else "filter"),
        ("p", "go on" if choices.is_paused else "pause"),
    ):
        text.append(f" {key} ", style="bold reverse")
        text.append(f" {what}  ", style=_DIM)
    if choices.is_paused:
        text.append("PAUSED", style="bold #fcd34d")
    return text
