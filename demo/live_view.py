"""The live view: a row a device, with what is true, what the sensor does, and what each agent says.

Drawn on a terminal eight times a second, told in a plain line every five seconds elsewhere.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from rich.console import Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from demo.labels import LabelBook
from demo.look import class_style, number, sparkline, verdict_text
from demo.plant.messages import Message
from demo.screen import Screen
from schemas import LabelEvent

_SPARK_WIDTH = 22
_MOST_ROWS = 10
_LINE_EVERY_S = 5.0

TruthOfLabel = Callable[[LabelEvent], str | None]
"""True state of the window that a label speaks about."""


class LiveView:
    """What is drawn while labels flow; use it as a context manager around the live run.

    Parameters
    ----------
    screen : Screen
        Where to.
    columns : mapping of str to str
        Gateway to the heading of its column.
    classes : mapping of str to sequence of str
        Pipeline to its classes, for the colours.
    truth_of_label : callable
        True state of the window of a label.
    state_now : callable
        True state of a device at a time in nanoseconds.
    title : str
        What runs, and how fast.
    """

    def __init__(
        self,
        screen: Screen,
        *,
        columns: Mapping[str, str],
        classes: Mapping[str, Sequence[str]],
        truth_of_label: TruthOfLabel,
        state_now: Callable[[str, int], str | None],
        title: str,
    ) -> None:
        self._screen = screen
        self._columns = dict(columns)
        self._styles = {
            name: class_style(position) for names in classes.values() for position, name in enumerate(names)
        }
        self._truth_of_label = truth_of_label
        self._state_now = state_now
        self._title = title
        self._levels: dict[str, deque[float]] = {}
        self._newest_ns: dict[str, int] = {}
        self._n_right = self._n_judged = self._n_seen = 0
        self._told_s = 0.0
        self._live: Live | None = None
        self._frame: RenderableType = Text("")

    def __enter__(self) -> Self:
        if self._screen.is_live:
            self._live = Live(console=self._screen.console, auto_refresh=False, transient=False)
            self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)
        self._screen.keep(self._frame)

    def saw(self, message: Message) -> None:
        """Take in a message that left."""
        if message.is_truth:
            return
        # Most recently active last: with many devices, those are drawn.
        levels = self._levels.pop(message.device, None) or deque(maxlen=4 * _SPARK_WIDTH)
        self._levels[message.device] = levels
        self._newest_ns[message.device] = message.newest_ns
        if math.isfinite(message.level):
            levels.append(message.level)

    def refresh(self, book: LabelBook, *, n_sent: int, elapsed_s: float) -> None:
        """Draw, or tell every five seconds."""
        self._judge(book)
        share = f"{self._n_right / self._n_judged:.1%} right" if self._n_judged else "nothing to judge yet"
        told = f"{elapsed_s:5.1f} s  {number(n_sent)} messages out, {number(len(book.arrivals))} labels in, {share}"
        self._frame = Panel(
            Group(self._table(book), Text(told, "dim")),
            title=self._title,
            title_align="left",
            border_style="cyan",
            padding=(0, 1),
        )
        if self._live is not None:
            self._live.update(self._frame, refresh=True)
        elif elapsed_s - self._told_s >= _LINE_EVERY_S:
            self._told_s = elapsed_s
            self._screen.console.print(f"  {told}", highlight=False)

    def _judge(self, book: LabelBook) -> None:
        arrivals = list(book.arrivals.values())
        for event, _ in arrivals[self._n_seen :]:
            truth = self._truth_of_label(event) if event.label is not None else None
            if truth is not None:
                self._n_judged += 1
                self._n_right += truth == event.label
        self._n_seen = len(arrivals)

    def _table(self, book: LabelBook) -> Table:
        table = Table(box=None, padding=(0, 1), expand=False)
        table.add_column("device", style="bold", no_wrap=True, width=10)
        table.add_column("true state", no_wrap=True, width=13)
        table.add_column("signal", no_wrap=True, width=_SPARK_WIDTH)
        for heading in self._columns.values():
            table.add_column(heading, no_wrap=True, width=26)
        for device in sorted(list(self._levels)[-_MOST_ROWS:]):
            state = self._state_now(device, self._newest_ns[device])
            style = self._styles.get(state or "", "dim")
            cells = [Text(state or "–", style), Text(sparkline(self._levels[device], _SPARK_WIDTH), style)]
            for gateway in self._columns:
                event = book.newest.get((gateway, device))
                if event is None:
                    cells.append(Text("–", "dim"))
                    continue
                truth = self._truth_of_label(event)
                label_style = self._styles.get(event.label or "", "dim")
                cells.append(verdict_text(event.label, event.confidence, truth, label_style, event.state))
            table.add_row(device, *cells)
        return table
