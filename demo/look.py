"""How things look on the terminal: colours of classes, sparklines, bars. Pure: values in, rich text out."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.text import Text

PALETTE = ("grey62", "green3", "gold1", "red1", "deep_sky_blue1", "orchid", "dark_orange", "turquoise2")
"""A colour a class, by its position: what is quiet comes first, and so it is grey."""

_BARS = "▁▂▃▄▅▆▇█"


def class_style(position: int) -> str:
    """The colour of a class.

    Examples
    --------
    >>> class_style(0), class_style(8)
    ('grey62', 'grey62')
    """
    return PALETTE[position % len(PALETTE)]


def sparkline(values: Sequence[float], width: int) -> str:
    """The newest ``width`` values as bars, scaled from their least to their greatest; NaN is a space.

    Examples
    --------
    >>> sparkline([0.0, 7.0, float("nan"), 3.5], 4)
    '▁█ ▅'
    >>> sparkline([1.0], 3)
    '  ▁'
    """
    shown = list(values)[-width:]
    finite = [value for value in shown if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    bars = "".join(_BARS[round((value - low) * scale)] if math.isfinite(value) else " " for value in shown)
    return bars.rjust(width)


def share_bar(share: float, width: int) -> str:
    """A bar that fills ``share`` of ``width`` characters, in eighths.

    Examples
    --------
    >>> share_bar(0.5, 4), share_bar(1.0, 2), share_bar(0.0, 2)
    ('██  ', '██', '  ')
    """
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    whole, rest = divmod(eighths, 8)
    return ("█" * whole + (" ▏▎▍▌▋▊▉"[rest] if rest else "")).ljust(width)


def verdict_text(label: str | None, confidence: float | None, truth: str | None, style: str, state: str) -> Text:
    """A label with its confidence, and whether it is right; a window across a change of state is neither.

    Examples
    --------
    >>> verdict_text("idle", 0.98, "idle", "green", "ok").plain
    '✓ idle          0.98'
    """
    if label is None or confidence is None:
        return Text(f"· {state}", style="dim")
    mark, mark_style = ("·", "dim") if truth is None else ("✓", "bold green") if truth == label else ("✗", "bold red")
    text = Text()
    text.append(f"{mark} ", mark_style)
    text.append(f"{label[:13]:<13}", style)
    text.append(f" {confidence:.2f}", "dim" if state == "ok" else "yellow")
    if state != "ok":
        text.append(f" {state}", "yellow")
    return text


def file_size(n_bytes: int) -> str:
    """A size a person reads.

    Examples
    --------
    >>> file_size(900), file_size(1_234_567)
    ('0.9 kB', '1234.6 kB')
    """
    return f"{n_bytes / 1e3:.1f} kB"


def latency(milliseconds: float) -> str:
    """Milliseconds with one digit, or a dash where none were measured.

    Examples
    --------
    >>> latency(8.06), latency(float("nan"))
    ('8.1', '–')
    """
    return "–" if math.isnan(milliseconds) else f"{milliseconds:.1f}"


def number(count: int) -> str:
    """A count with a thin space between thousands.

    Examples
    --------
    >>> number(12345) == "12\u202f345"
    True
    """
    return f"{count:,}".replace(",", "\u202f")
