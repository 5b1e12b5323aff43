"""A page of sections, figures and tables as one HTML file that needs nothing else.

The template escapes everything that is not a figure drawn here: a class may be called ``<script>``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from trainer.report.drawing import Chart


@dataclass(frozen=True, slots=True)
class Table:
    """Headings and rows of text; the first ``n_text`` columns are words, the others numbers."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    n_text: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A chart with the words below it."""

    chart: Chart
    title: str = ""
    caption: str = ""

    @property
    def svg(self) -> Markup:
        """The figure; drawn by `drawing.Chart`, whose texts are escaped there."""
        return Markup(self.chart.svg())  # noqa: S704 - markup of our own drawing, letters escaped by matplotlib


@dataclass(frozen=True, slots=True, eq=False)
class Section:
    """One part of a page: what it is called, one sentence that says what to see, figures, tables, notes.

    Attributes
    ----------
    key : str
        Its anchor, ``[a-z0-9-]``.
    title, sentence : str
    pictures : sequence of Picture
    tables : sequence of Table
    notes : sequence of str
    commands : sequence of str
        Shown as they are typed.
    """

    key: str
    title: str
    sentence: str
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()
    notes: Sequence[str] = ()
    commands: Sequence[str] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """A figure in large letters: name, value, interval, meaning."""

    name: str
    value: str
    between: str
    meaning: str


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """A whole page."""

    title: str
    subtitle: str
    verdict: str
    tiles: Sequence[Tile]
    tiles_note: str
    warnings: Sequence[str]
    sections: Sequence[Section]
    footer: str


_ENVIRONMENT = Environment(
    loader=PackageLoader("trainer.report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def _firm(text: str) -> str:
    """The same words, with percent signs that stay on the line of their number."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


_ENVIRONMENT.filters["firm"] = _firm


def render_document(document: Document) -> str:
    """The page as HTML; the same document gives the same text.

    Examples
    --------
    >>> page = render_document(Document("<b>", "", "", (), "", (), (Section("a", "A", "See."),), ""))
    >>> "<title>&lt;b&gt;</title>" in page, page.startswith("<!doctype html>")
    (True, True)
    """
    return _ENVIRONMENT.get_template("page.html.j2").render(document=document)
