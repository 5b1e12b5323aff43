"""From a matplotlib figure to an SVG that lives inside a page, or to a PNG.

The SVG takes its colours from the page (light, dark, print), keeps its letters as text (any script, searchable, small),
holds no reference to anything outside, no date and no identifier that a second figure of the page could share. The same
facts give the same bytes.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

# What these look like on paper; in a page each becomes a variable of its style sheet. No two are equal, and none is a
# colour that a figure uses for anything else.
INK = "#1b1f24"
MUTED = "#69717b"
LINE = "#d3d8de"
ACCENT = "#1f6feb"
BAD = "#cf3a1e"
PAPER = "#fffffe"
_VARIABLES = {INK: "ink", MUTED: "muted", LINE: "line", ACCENT: "accent", BAD: "bad", PAPER: "paper"}

CLASS_COLOURS = (
    "#2f81d6", "#e07b22", "#2fa36b", "#b65fc0", "#d1495b", "#8a6d3b",
    "#17a2b8", "#c2a30f", "#6b7fd7", "#5f8f29", "#e377a8", "#7f8c96",
)  # fmt: skip
"""Of middle lightness, so that they stand out from white and from black; from the 13th class on they come again."""

CLASS_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""Beside the colour, for eyes and printers that see none; changes after every 12 classes and with each."""

PNG_DPI = 160
_RASTER_DPI = 130
_STYLE = mpl.RcParams(
    {
        "axes.axisbelow": True,
        "axes.edgecolor": MUTED,
        "axes.facecolor": "none",
        "axes.grid": True,
        "axes.labelcolor": INK,
        "axes.labelsize": 9.0,
        "axes.linewidth": 0.7,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "figure.constrained_layout.use": True,
        "figure.facecolor": "none",
        "font.family": ["sans-serif"],
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 9.0,
        "grid.color": LINE,
        "grid.linewidth": 0.6,
        "legend.fontsize": 8.0,
        "legend.frameon": False,
        "path.simplify": True,
        "savefig.facecolor": "none",
        "svg.fonttype": "none",
        "svg.hashsalt": "telltale",
        # A class may be called "$x$".
        "text.parse_math": False,
        "text.color": INK,
        "xtick.color": MUTED,
        "xtick.labelcolor": INK,
        "xtick.labelsize": 8.0,
        "ytick.color": MUTED,
        "ytick.labelcolor": INK,
        "ytick.labelsize": 8.0,
    }
)


@contextmanager
def page_style() -> Iterator[None]:
    """Within this block figures are made in the style of the page; a letter that the font lacks is no warning."""
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # The SVG holds text: the reader's machine has the fonts for the reader's language.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


@dataclass(frozen=True, slots=True, eq=False)
class Chart:
    """A figure with what a page needs to know about it.

    Parameters
    ----------
    name : str
        Of the file where it is written as a picture, and of its place in the page; ``[a-z0-9-]``.
    alt : str
        What the figure shows, for those who cannot see it.
    figure : matplotlib.figure.Figure
    """

    name: str
    alt: str
    figure: Figure

    @property
    def width_px(self) -> int:
        """Natural width in the page, CSS pixels."""
        return round(float(self.figure.get_size_inches()[0]) * 96.0)

    def svg(self) -> str:
        """The figure as one ``<svg>`` element for a page that defines the colour variables.

        Examples
        --------
        >>> with page_style():
        ...     chart = Chart("empty", "nothing", Figure(figsize=(1.0, 1.0)))
        >>> chart.svg().startswith("<svg"), "http" in chart.svg(), chart.svg() == chart.svg()
        (True, False, True)
        """
        buffer = io.StringIO()
        with page_style(), mpl.rc_context({"svg.hashsalt": self.name}):
            self.figure.savefig(buffer, format="svg", dpi=_RASTER_DPI, metadata={"Date": None})
        return _for_page(buffer.getvalue())

    def png(self) -> bytes:
        """The figure as a PNG on white."""
        buffer = io.BytesIO()
        with page_style():
            self.figure.savefig(buffer, format="png", dpi=PNG_DPI, facecolor="white", metadata={"Software": None})
        return buffer.getvalue()


def render_png(chart: Chart) -> bytes:
    """The chart as a PNG on white, for a README or a slide."""
    return chart.png()


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of so many inches with one pair of axes. Call it within `page_style`."""
    figure = Figure(figsize=(width, height))
    return figure, figure.add_subplot()


def add_tile(axes: Axes, x: float, y: float, share: float, colour: str = ACCENT) -> None:
    """A cell of a matrix: the square of side 1 around (x, y), as strong as its share."""
    axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1.0, 1.0, facecolor=colour, edgecolor="none", alpha=share))


def class_style(index: int) -> tuple[str, str]:
    """Colour and marker of a class.

    Examples
    --------
    >>> class_style(0), class_style(12)[0] == class_style(0)[0], class_style(12)[1] == class_style(0)[1]
    (('#2f81d6', 'o'), True, False)
    """
    return CLASS_COLOURS[index % len(CLASS_COLOURS)], CLASS_MARKERS[index % len(CLASS_MARKERS)]


def short(name: str, limit: int = 22) -> str:
    r"""A name that fits into a figure: its middle left out, unprintable characters replaced.

    Examples
    --------
    >>> short("walking"), short("a" * 30 + "b" * 30, 11), short("x\ny")
    ('walking', 'aaaaaaa…bbb', 'x·y')
    """
    clean = "".join(letter if letter.isprintable() else "·" for letter in name)
    if len(clean) <= limit:
        return clean
    end = (limit - 1) // 3
    return f"{clean[: limit - 1 - end]}…{clean[-end:]}"


_NUMBER = re.compile(r"-?\d+\.\d{3,}")


def _for_page(document: str) -> str:
    svg = document[document.index("<svg") :].strip()
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\s+xmlns(:\w+)?="[^"]*"', "", svg).replace("xlink:href", "href")
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
    svg = re.sub(r'\s+id="([^"]*)"', lambda found: found[0] if found[1] in used else "", svg)
    svg = re.sub(r"<[^<>]*>", lambda tag: _tag_for_page(tag[0]), svg)
    # The size comes from the style sheet, the shape from the viewBox.
    svg = re.sub(r'^<svg([^>]*?)\s+height="[^"]*"', r"<svg\1", svg)
    svg = re.sub(r'^<svg([^>]*?)\s+width="[^"]*"', r"<svg\1", svg)
    return re.sub(r"\n\s*", "\n", svg)


def _tag_for_page(tag: str) -> str:
    """Shorter numbers, and variables for colours: in tags only, never in the text between them."""
    if "base64" not in tag:
        tag = _NUMBER.sub(lambda found: f"{float(found[0]):.2f}", tag)
    for colour, variable in _VARIABLES.items():
        tag = tag.replace(colour, f"var(--{variable})")
    return tag.replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, system-ui")
