"""The table of results, and its place in the documentation."""

from collections.abc import Sequence
from pathlib import Path

from tests.edge_agent.gateway import ROOT
from tests.faults.runner import Result

PAGE = ROOT / "docs" / "reliability.md"
_HEAD = (
    "row",
    "fault",
    "injections",
    "windows",
    "whole",
    "partial",
    "gaps",
    "silent",
    "wrong",
    "duplicates",
    "msg/s",
    "seconds",
    "held",
)


def cells(result: Result) -> tuple[str, ...]:
    """One line of the table."""
    if result.verdict is None:
        return (result.number, result.fault, *["–"] * 10, f"skipped: {result.skipped}")
    verdict = result.verdict
    numbers = (
        result.injections,
        verdict.windows,
        verdict.whole,
        verdict.partial,
        verdict.declared,
        verdict.silent,
        verdict.wrong,
        verdict.duplicates,
        round(result.rate_hz),
        round(result.seconds),
    )
    notes = "; ".join(
        f"{name} {value:,}" if isinstance(value, int) else f"{name} {value}" for name, value in result.notes.items()
    )
    held = "**no**: " + "; ".join(result.failures) if result.failures else "yes"
    return (
        result.number,
        result.fault,
        *(f"{number:,}" for number in numbers),
        f"{held}{f' ({notes})' if notes else ''}",
    )


def line_of(result: Result) -> str:
    """One result as plain text, for the terminal."""
    return "  ".join(f"{name}={value}" for name, value in zip(_HEAD, cells(result), strict=True))


def table(results: Sequence[Result]) -> str:
    """Markdown."""
    rows = [_HEAD, ("---",) * len(_HEAD), *(cells(result) for result in results)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def write_results(part: str, text: str, page: Path = PAGE) -> None:
    """Replace what stands between the markers of this part.

    Raises
    ------
    ValueError
        If the page has no such markers.
    """
    begin, end = f"<!-- {part} -->", f"<!-- end of {part} -->"
    content = page.read_text()
    if begin not in content or end not in content:
        raise ValueError(f"{page.name}: the markers {begin} and {end} expected")
    head, _, rest = content.partition(begin)
    tail = rest.partition(end)[2]
    page.write_text(f"{head}{begin}\n{text}\n{end}{tail}")
