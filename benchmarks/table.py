"""A measured table: printed for a person, kept as JSON, written into README.md."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from benchmarks.measure import Spread

Cell = str | int | float | Spread


@dataclass(slots=True)
class Table:
    """One table of a benchmark; the first column names the row.

    Examples
    --------
    >>> table = Table("decode", ("what", "µs"))
    >>> table.add("json", Spread(3.0, 2.5, 4.0, 5))
    >>> table.lines()
    ['| what | µs |', '|---|---|', '| json | 3.00 (2.50 … 4.00) |']
    """

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[Cell, ...]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    is_kept: bool = True
    """False: printed only, because the figures are not ours to publish."""

    def add(self, *cells: Cell) -> None:
        """Append a row.

        Raises
        ------
        ValueError
            If it has not one cell a column.
        """
        if len(cells) != len(self.columns):
            raise ValueError(f"{self.title}: {len(self.columns)} cells expected, got {len(cells)}")
        self.rows.append(cells)

    @property
    def n_rounds(self) -> int:
        """How often its figures were measured at most; 0 without such figures."""
        return max((cell.n for row in self.rows for cell in row if isinstance(cell, Spread)), default=0)

    def lines(self) -> list[str]:
        """The table in Markdown."""
        head = [_row(self.columns), "|" + "---|" * len(self.columns)]
        return head + [_row([show(cell) for cell in row]) for row in self.rows]

    def print(self, console: Console) -> None:
        """Print it."""
        # Titles and cells may hold brackets, which are words here and no markup.
        table = RichTable(title=Text(self.title, style="bold"), box=box.SIMPLE_HEAD, title_justify="left")
        for position, column in enumerate(self.columns):
            table.add_column(Text(column), justify="left" if position == 0 else "right")
        for row in self.rows:
            table.add_row(*(Text(show(cell)) for cell in row))
        console.print(table)
        for note in self.notes:
            console.print(Text(f"  {note}", style="dim"))

    def as_json(self) -> dict[str, Any]:
        """The table as plain JSON."""
        rows = [[_plain(cell) for cell in row] for row in self.rows]
        return {"title": self.title, "columns": list(self.columns), "rows": rows, "notes": self.notes}

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Table:
        """The table that `as_json` gave."""
        rows = [tuple(Spread(**cell) if isinstance(cell, dict) else cell for cell in row) for row in raw["rows"]]
        return cls(raw["title"], tuple(raw["columns"]), rows, list(raw["notes"]))


def _plain(cell: Cell) -> str | int | float | dict[str, float]:
    """A cell as JSON; six digits are more than any of these measurements has."""
    if isinstance(cell, Spread):
        return {name: float(f"{value:.6g}") if name != "n" else int(value) for name, value in cell._asdict().items()}
    return float(f"{cell:.6g}") if isinstance(cell, float) else cell


def show(cell: Cell) -> str:
    """A cell as text; a figure that was measured several times with its range.

    Examples
    --------
    >>> show(Spread(12345.6, 999.9, 20000.0, 3)), show(0.01234), show(3), show("none")
    ('12,346 (1,000 … 20,000)', '0.0123', '3', 'none')
    """
    if isinstance(cell, Spread):
        if cell.n == 1:
            return _digits(cell.median)
        return f"{_digits(cell.median)} ({_digits(cell.low)} … {_digits(cell.high)})"
    if isinstance(cell, float):
        return _digits(cell)
    return f"{cell:,}" if isinstance(cell, int) else cell


def _digits(value: float) -> str:
    """Three digits that count, and no exponent where a person reads it."""
    if value == 0.0 or not math.isfinite(value):
        return f"{value:g}"
    if abs(value) < 1e-4:
        return f"{value:.1e}"
    places = 2 - math.floor(math.log10(abs(value)))
    return f"{value:,.{max(0, places)}f}"


def _row(cells: tuple[str, ...] | list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
