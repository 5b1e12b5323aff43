"""Reads the console blocks of a page: what a person types, and what the page says is printed."""

import re
from dataclasses import dataclass, field
from pathlib import Path

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)

ELLIPSIS = "..."
"""A line that stands for any number of lines, or the end of a line that stands for the rest of it."""


@dataclass(slots=True)
class Command:
    """One command as a shell takes it, and the lines that the page shows below it."""

    text: str
    shown: list[str] = field(default_factory=list)

    @property
    def first_line(self) -> str:
        return self.text.splitlines()[0]


def read_commands(page: Path) -> list[Command]:
    """Every command of every console block: ``$ `` begins one, ``> `` continues it, all else is output."""
    commands: list[Command] = []
    for block in _BLOCK.findall(page.read_text(encoding="utf-8")):
        for line in block.splitlines():
            if line.startswith("$ "):
                commands.append(Command(line[2:]))
            elif line.startswith(">"):
                commands[-1].text += "\n" + line.removeprefix(">").removeprefix(" ")
            else:
                commands[-1].shown.append(line)
    return commands


def without_numbers(line: str) -> str:
    """The line without what may differ from run to run: numbers, digests, the width of columns and borders.

    ``│ 0.99 │ a ┃`` and ``┃ 1.0000 ┃  a │`` are the same line.
    """
    kept = re.sub(r"\b(?=[0-9a-f]*[0-9])[0-9a-f]{12,64}\b|(?<![A-Za-z0-9.])[0-9]+(\.[0-9]+)?", "#", line)
    return " ".join(re.sub(r"[┃│]", "|", kept).split())


def missing_lines(shown: list[str], printed: str) -> list[str]:
    """Lines that the page shows and the command did not print, numbers apart, in order."""
    rest = [without_numbers(line) for line in printed.splitlines()]
    missing = []
    for line in shown:
        if line.strip() in {"", ELLIPSIS}:
            continue
        wanted = without_numbers(line)
        starts = [index for index, found in enumerate(rest) if _matches(wanted, found)]
        if starts:
            rest = rest[starts[0] + 1 :]
        else:
            missing.append(line)
    return missing


def _matches(wanted: str, found: str) -> bool:
    head, dots, tail = wanted.partition(ELLIPSIS)
    return found.startswith(head.strip()) and found.endswith(tail.strip()) if dots else wanted == found
