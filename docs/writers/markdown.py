"""Markdown from values: tables whose cells cannot break them, and the line that every generated page opens with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

GENERATED = "<!-- Written by docs/generate.py. Change the code, then run: make docs -->"


def code(text: object) -> str:
    r"""The text as code of one table cell.

    Examples
    --------
    >>> code("a|b")
    '`a\\|b`'
    """
    return f"`{_cell(str(text))}`"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; an empty cell says so with a dash.

    Examples
    --------
    >>> print(table(["key", "meaning"], [["a", "first"], ["b", ""]]))
    | key | meaning |
    | --- | --- |
    | a | first |
    | b | – |
    """
    lines = ["| " + " | ".join(headings) + " |", "|" + " --- |" * len(headings)]
    lines += ["| " + " | ".join(" ".join(cell.split()) or "–" for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def page(title: str, *parts: str) -> str:
    """A whole generated page: the notice, a title, and its parts with a blank line between them."""
    return "\n\n".join([GENERATED, f"# {title}", *(part.strip("\n") for part in parts)]) + "\n"
