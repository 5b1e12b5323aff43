"""Small pictures out of characters: pure functions from numbers to text, without colour and without a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

_BLOCKS = " ▁▂▃▄▅▆▇█"
_BRAILLE = 0x2800
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""Bits of the left and the right column of a cell, top to bottom (Unicode, Braille Patterns)."""

Signal = Sequence[float | None]


def spark(values: Sequence[float], width: int) -> str:
    """The last values as blocks, the largest as seven eighths of a line, so that lines do not touch; blank = not yet.

    Examples
    --------
    >>> spark([0, 1, 2, 4], 6)
    '  ▁▂▄▇'
    """
    shown = list(values)[-width:]
    top = max(shown, default=0.0)
    marks = [_BLOCKS[max(1, round(7 * value / top))] if top > 0 else _BLOCKS[1] for value in shown]
    return "".join(marks).rjust(width)


def bar(share: float, width: int) -> tuple[str, str]:
    """A bar in halves of a character: what is filled, and the rest. What is not nothing shows.

    Examples
    --------
    >>> bar(0.5, 3)
    ('━╸', '─')
    >>> bar(2.0, 3), bar(0.001, 3)
    (('━━━', ''), ('╸', '──'))
    """
    halves = min(2 * width, max(round(2 * width * share), 1 if share > 0.0 else 0))
    filled = "━" * (halves // 2) + "╸" * (halves % 2)
    return filled, "─" * (width - len(filled))


def braille(values: Signal, width: int, height: int = 1) -> list[str]:
    """A line through the values, two points a character and four dots a line; gaps stay empty.

    Parameters
    ----------
    values : sequence of float or None
        None = missing. More than ``2 * width`` are thinned by taking the farthest of each piece from the mean.
    width, height : int
        Characters and lines.

    Returns
    -------
    list of str
        ``height`` lines of ``width`` characters.

    Examples
    --------
    >>> braille([0, 1, 2, 3], 2)
    ['⡠⠊']
    """
    points = _thin(values, 2 * width)
    known = [value for value in points if value is not None]
    cells = [[0] * width for _ in range(height)]
    if known:
        low, high = min(known), max(known)
        last_row = 4 * height - 1
        before: int | None = None
        for column, value in enumerate(points):
            if value is None:
                before = None
                continue
            row = last_row // 2 if high == low else round(last_row * (high - value) / (high - low))
            for between in _between(before, row):
                cells[between // 4][column // 2] |= _DOTS[column % 2][between % 4]
            before = row
    return ["".join(chr(_BRAILLE + bits) if bits else " " for bits in line) for line in cells]


def _between(before: int | None, row: int) -> range:
    """The rows that join this point to the one before it, half of the way."""
    if before is None or abs(before - row) <= 1:
        return range(row, row + 1)
    return range(row, before) if row < before else range(before + 1, row + 1)


def _thin(values: Signal, most: int) -> list[float | None]:
    if len(values) <= most:
        return list(values)
    known = [value for value in values if value is not None]
    mean = sum(known) / len(known) if known else 0.0
    points: list[float | None] = []
    for position in range(most):
        piece = values[position * len(values) // most : (position + 1) * len(values) // most]
        inside = [value for value in piece if value is not None]
        points.append(max(inside, key=lambda value: abs(value - mean)) if inside else None)
    return points


def log_histogram(values: Sequence[float], low: float, high: float, width: int, height: int) -> list[str]:
    """How often each size occurs, on a logarithmic scale from ``low`` to ``high``; what is beyond stands at the ends.

    Examples
    --------
    >>> log_histogram([1.0, 1.0, 10.0], 1.0, 100.0, 4, 1)
    ['█ ▄ ']
    """
    counts = [0] * width
    span = math.log(high / low)
    for value in values:
        place = math.log(max(value, low) / low) / span
        counts[min(width - 1, int(place * width))] += 1
    top = max(counts, default=0)
    levels = [max(1, round(8 * height * count / top)) if count else 0 for count in counts]
    return [
        "".join(_BLOCKS[min(8, max(0, level - 8 * line))] for level in levels) for line in range(height - 1, -1, -1)
    ]


def quantile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that ``share`` of all do not exceed; None without any.

    Examples
    --------
    >>> quantile([3.0, 1.0, 2.0], 0.5), quantile([], 0.5)
    (2.0, None)
    """
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)] if ordered else None


def short(number: float) -> str:
    """A number in at most five characters.

    Examples
    --------
    >>> short(0.0), short(0.254), short(12.34), short(1234.0), short(61_234.0), short(2_345_678.0)
    ('0', '0.25', '12.3', '1234', '61.2k', '2.35M')
    """
    for limit, divisor, mark in ((1e4, 1.0, ""), (1e6, 1e3, "k"), (1e9, 1e6, "M"), (math.inf, 1e9, "G")):
        if number < limit:
            scaled = number / divisor
            digits = 0 if scaled >= 1000 or (not mark and scaled == int(scaled)) else 1 if scaled >= 10 else 2
            return f"{scaled:.{digits}f}{mark}"
    return "?"


def duration(seconds: float) -> str:
    """A time span in two units at most.

    Examples
    --------
    >>> duration(0.4), duration(75), duration(3 * 86400 + 4 * 3600)
    ('0 s', '1 m 15 s', '3 d 4 h')
    """
    whole = max(0, int(seconds))
    for size, name, smaller, smaller_name in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {name} {rest} {smaller_name}" if rest else f"{whole // size} {name}"
    return f"{whole} s"
