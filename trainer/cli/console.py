"""How the commands speak: results on standard output, progress and errors on standard error."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NoReturn, Self

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from schemas import EdgeError

QUIET_S = 2.0
"""What takes less is over before anyone could read of it."""

EXIT_REFUSED = 2


def print_json(value: dict[str, Any]) -> None:
    """One JSON document on standard output, and nothing else."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def results() -> Console:
    """The console of the results. Wide enough for a table where the output is no terminal."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 120)


def print_remarks(remarks: tuple[str, ...], *, is_json: bool) -> None:
    """One plain line a remark; beside the JSON they go to standard error."""
    stream = sys.stderr if is_json else sys.stdout
    for remark in dict.fromkeys(remarks):
        stream.write(f"- {remark}\n")


@contextmanager
def refusals() -> Iterator[None]:
    """Turn every known error into one line and exit code 2; leave the unexpected ones to their traceback."""
    try:
        yield
    except EdgeError as error:
        _refuse(str(error))
    except BrokenPipeError:
        # The reader has seen enough (`| head`). Point the descriptor elsewhere, or Python complains once more at exit.
        sys.stdout = None  # as the library reference of `signal` has it, "Note on SIGPIPE"
        raise typer.Exit(0) from None


def _refuse(message: str) -> NoReturn:
    sys.stderr.write(f"error: {' '.join(message.split())}\n")
    raise typer.Exit(EXIT_REFUSED)


class Reporter:
    """Progress of long work: a bar on a terminal, else a plain line now and then; silent in the first two seconds.

    A context manager; the value is called with (what, done, of), as the fit reports it.
    """

    def __init__(self, *, clock: Any = time.monotonic) -> None:  # noqa: ANN401 - any callable without arguments
        self._clock = clock
        self._is_terminal = sys.stderr.isatty()
        self._started = self._spoken = float(clock())
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def __call__(self, what: str, done: int, of: int) -> None:
        """Say how far the work is."""
        now = float(self._clock())
        if now - self._started < QUIET_S:
            return
        if self._is_terminal:
            self._draw(what, done, of)
        elif now - self._spoken >= QUIET_S:
            self._spoken = now
            sys.stderr.write(f"{now - self._started:6.1f} s  {what} ({done}/{of})\n")
            sys.stderr.flush()

    def _draw(self, what: str, done: int, of: int) -> None:
        if self._progress is None or self._task is None:
            columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
            self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
            self._progress.start()
            self._task = self._progress.add_task(what, total=of)
        self._progress.update(self._task, description=what, completed=done, total=of)
