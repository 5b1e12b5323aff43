"""The table of results, and its place in the documentation."""

import fcntl
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


def table(lines: Sequence[tuple[str, ...]]) -> str:
    """Markdown."""
    return "\n".join(f"| {' | '.join(line)} |" for line in (_HEAD, ("---",) * len(_HEAD), *lines))


def write_rows(results: Sequence[Result], order: Sequence[str], page: Path = PAGE) -> None:
    """Put these results into the table of the page, each in place of the earlier one of its row; others stay.

    Raises
    ------
    ValueError
        If the page has no such markers.
    """
    with page.with_suffix(".lock").open("w") as lock:  # several runs may write at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        lines: dict[str, tuple[str, ...]] = {}
        for line in _between("rows", page).splitlines()[2:]:
            parts = tuple(part.strip() for part in line.strip("| ").split(" | "))
            lines[parts[0]] = parts
        lines.update((result.number, cells(result)) for result in results)
        write_results("rows", table([lines[number] for number in order if number in lines]), page)
    page.with_suffix(".lock").unlink(missing_ok=True)


def write_results(part: str, text: str, page: Path = PAGE) -> None:
    """Replace what stands between the markers of this part.

    Raises
    ------
    ValueError
        If the page has no such markers.
    """
    old = f"{_begin(part)}\n{_between(part, page)}{_end(part)}"
    page.write_text(page.read_text().replace(old, f"{_begin(part)}\n{text}\n{_end(part)}"))


def _begin(part: str) -> str:
    return f"<!-- {part} -->"


def _end(part: str) -> str:
    return f"<!-- end of {part} -->"


def _between(part: str, page: Path) -> str:
    content = page.read_text()
    if _begin(part) not in content or _end(part) not in content:
        raise ValueError(f"{page.name}: the markers {_begin(part)} and {_end(part)} expected")
    return content.partition(f"{_begin(part)}\n")[2].partition(_end(part))[0]
