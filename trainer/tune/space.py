"""What is tried where nobody said what: sets of blocks that fit the windows, simple ones first."""

from __future__ import annotations

import re

from trainer.data import WindowedData
from trainer.features import BLOCKS

_PLAIN = ("statistics", "spectral", "raw", "quantiles", "statistics+spectral", "statistics+quantiles")
_SIZED = (
    "minirocket:500",
    "minirocket:1000",
    "hydra:1000",
    "minirocket:2000",
    "multirocket:2000",
    "minirocket:5000",
    "multirocket:5000",
    "multirocket:10000",
)
_UNIONS = (
    "statistics+minirocket:500",
    "statistics+spectral+minirocket:1000",
    "minirocket:2000+hydra:1000",
    "multirocket:5000+hydra:2000+statistics",
)

_MAX_RAW_FEATURES = 1024
_MIN_SPECTRAL_LENGTH = 8


def candidate_blocks(data: WindowedData) -> tuple[str, ...]:
    """Sets of blocks to try on these windows.

    Examples
    --------
    >>> from trainer.data.examples import example_windows
    >>> candidate_blocks(example_windows())[:2]
    ('statistics', 'spectral')
    """
    left_out = set()
    if data.windows.shape[1] * data.window_length > _MAX_RAW_FEATURES:
        left_out.add("raw")
    if data.window_length < _MIN_SPECTRAL_LENGTH:
        left_out.add("spectral")
    usable = set(BLOCKS) - left_out
    return tuple(name for name in (*_PLAIN, *_SIZED, *_UNIONS) if set(kinds_of(name)) <= usable)


def kinds_of(name: str) -> tuple[str, ...]:
    """The kinds of blocks in a name.

    Examples
    --------
    >>> kinds_of("statistics+minirocket:1000")
    ('statistics', 'minirocket')
    """
    return tuple(part.partition(":")[0] for part in name.split("+"))


def resized(name: str, factor: float, least: int = 84, most: int = 50_000) -> str:
    """The same blocks with their sizes times a factor; the name itself where none has a size.

    Examples
    --------
    >>> resized("statistics+minirocket:1000", 2**0.5), resized("spectral", 2.0)
    ('statistics+minirocket:1414', 'spectral')
    """
    return re.sub(r"(?<=:)\d+", lambda size: str(min(most, max(least, round(int(size.group()) * factor)))), name)
