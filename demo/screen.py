"""The terminal: steps as they hold, the live view, the tables at the end. On no terminal, the same as plain lines."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from demo.errors import StepFailedError
from demo.look import class_style, file_size, latency, number, share_bar
from demo.score import Score
from schemas.errors import EdgeError

PICTURE_WIDTH = 112


def make_console(*, stderr: bool = False) -> Console:
    """A console that is wide enough for the tables where no terminal says how wide it is."""
    console = Console(stderr=stderr, highlight=False)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, width=PICTURE_WIDTH)


class Step:
    """One step while it runs; `note` says what came of it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.detail = ""

    def note(self, detail: str) -> None:
        """What stands behind the name once the step held."""
        self.detail = detail


class Screen:
    """Where the demo speaks.

    Parameters
    ----------
    console : rich.console.Console
        Where to.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.steps: list[str] = []
        self._shown: list[RenderableType] = []

    @property
    def is_live(self) -> bool:
        """Whether somebody watches a terminal."""
        return self.console.is_terminal

    def show(self, renderable: RenderableType) -> None:
        """Print, and keep for the picture."""
        self._shown.append(renderable)
        self.console.print(renderable)

    def keep(self, renderable: RenderableType) -> None:
        """Keep for the picture what stands on the terminal already."""
        self._shown.append(renderable)

    def title(self, text: str, rest: str) -> None:
        """The first line."""
        self.show(Text.assemble(("Telltale  ", "bold cyan"), (text + "  ", "bold"), (rest, "dim")))

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """A step: a spinner while it runs, one line with what came of it and how long it took.

        Raises
        ------
        StepFailedError
            If something inside failed; it names the step.
        """
        step, began = Step(name), time.monotonic()
        try:
            if self.is_live:
                with self.console.status(f"[bold]{name}[/] …", spinner="dots"):
                    yield step
            else:
                yield step
        except EdgeError as error:
            self.show(_step_line("✘", "bold red", name, str(error), time.monotonic() - began))
            failed = error if isinstance(error, StepFailedError) else StepFailedError(name, str(error))
            raise failed from error
        self.steps.append(name)
        self.show(_step_line("✔", "bold green", name, step.detail, time.monotonic() - began))

    def picture(self, path: Path, title: str) -> None:
        """Write what was shown as an SVG, complete or not at all; it links to nothing outside itself."""
        canvas = Console(
            record=True, width=PICTURE_WIDTH, file=StringIO(), force_terminal=True, color_system="truecolor"
        )
        for renderable in self._shown:
            canvas.print(renderable)
        code_format = re.sub(r"@font-face\s*\{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
        beside = path.with_name(f".{path.name}.part")
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(canvas.export_svg(title=title, code_format=code_format, unique_id="telltale"))
        beside.replace(path)


def _step_line(mark: str, style: str, name: str, detail: str, seconds: float) -> Table:
    line = Table.grid(padding=(0, 1), expand=False)
    line.add_column(min_width=1)
    line.add_column(min_width=7)
    line.add_column(width=88)
    line.add_column(justify="right", min_width=7)
    line.add_row(Text(mark, style), Text(name, "bold"), Text(detail), Text(f"{seconds:.1f} s", "dim"))
    return line


def score_tables(scores: Sequence[Score], *, speed_text: str) -> RenderableType:
    """The table at the end: a row a model, then a row a class.

    Parameters
    ----------
    scores : sequence of Score
        One a model.
    speed_text : str
        How fast the plant ran.
    """
    models = Table(
        title=f"Live labels of devices that were not in training ({speed_text})",
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
    )
    for heading in ("stream", "head"):
        models.add_column(heading)
    for heading in ("accuracy", "balanced", "windows", "scored", "windows/s", "p50 ms", "p99 ms", "model"):
        models.add_column(heading, justify="right")
    for one in scores:
        models.add_row(
            one.pipeline,
            one.head,
            Text(f"{one.accuracy:.1%}", "bold green" if one.accuracy >= 0.9 else "bold yellow"),
            f"{one.balanced_accuracy:.1%}",
            number(one.n_windows),
            number(one.n_scored),
            f"{one.windows_per_s:.1f}",
            latency(one.latency_p50_ms),
            latency(one.latency_p99_ms),
            file_size(one.model_bytes),
        )
    parts: list[RenderableType] = [Padding(models, (1, 0, 0, 0))]
    pipelines = dict.fromkeys(one.pipeline for one in scores)
    parts += [_class_table([one for one in scores if one.pipeline == pipeline]) for pipeline in pipelines]
    return Group(*parts)


def _class_table(scores: Sequence[Score]) -> Table:
    table = Table(
        title=f"{scores[0].pipeline}: precision and recall", title_justify="left", title_style="bold", box=SIMPLE_HEAD
    )
    table.add_column("class", min_width=14)
    for one in scores:
        table.add_column(f"{one.head} precision", justify="right")
        table.add_column("recall", justify="right")
        table.add_column("", width=10)
    table.add_column("windows", justify="right")
    for position, row in enumerate(scores[0].per_class):
        style = class_style(position)
        cells: list[Text | str] = [Text(row.name, style)]
        for one in scores:
            mine = one.per_class[position]
            cells += [f"{mine.precision:.3f}", f"{mine.recall:.3f}", Text(share_bar(mine.recall, 10), style)]
        table.add_row(*cells, number(row.support))
    return table
