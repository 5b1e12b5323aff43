"""A group in words, and a window in a line of blocks: what a person needs to give a group its name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from signals import IntArray

N_TYPICAL = 3
"""Features that a group is described by."""

_WORDS = ((1.5, "very high"), (0.5, "high"), (0.0, "a little high"))
_BLOCKS = "▁▂▃▄▅▆▇█"
_MISSING = "·"


def typical_features(
    standardised: NDArray[np.float64], rows: IntArray, names: Sequence[str], is_constant: NDArray[np.bool_]
) -> tuple[str, ...]:
    """The features that set these windows apart from all others, the most telling first, one a channel if possible.

    A feature tells much where its mean over the group is far from that over all windows, in units of the spread
    within the group (and at least of half the spread over all).

    Parameters
    ----------
    standardised : ndarray of shape (n_windows, n_features)
    rows : ndarray of int
        Windows of the group.
    names : sequence of str
        ``channel.feature`` of each column.
    is_constant : ndarray of shape (n_features,), bool
        Features that never moved; they tell nothing.

    Examples
    --------
    >>> features = np.array([[2.0, 0.1], [2.0, -0.1], [-2.0, 0.0], [-2.0, 0.0]])
    >>> typical_features(features, np.array([0, 1]), ["acc_x.sd", "acc_y.sd"], np.array([False, False]))
    ('acc_x.sd very high',)
    """
    if not len(rows):
        return ()
    members = standardised[rows]
    # The median of the group: a few odd windows must not describe it.
    middle = np.median(members, axis=0)
    telling = np.abs(middle) / np.maximum(members.std(axis=0), 0.5)
    telling[is_constant | (np.abs(middle) < 0.1)] = 0.0
    order = [int(column) for column in np.argsort(-telling, kind="stable") if telling[column] > 0.0]
    chosen: list[int] = []
    for column in order:
        channels = {names[other].split(".", 1)[0] for other in chosen}
        if names[column].split(".", 1)[0] not in channels:
            chosen.append(column)
        if len(chosen) == N_TYPICAL:
            break
    return tuple(f"{names[column]} {in_words(float(middle[column]))}" for column in chosen)


def in_words(deviations: float) -> str:
    """A standardised value in words.

    Examples
    --------
    >>> in_words(2.0), in_words(-0.7), in_words(0.2)
    ('very high', 'low', 'a little high')
    """
    word = next(word for bound, word in _WORDS if abs(deviations) >= bound)
    return word if deviations >= 0.0 else word.replace("high", "low")


def sparkline(values: NDArray[np.floating], low: float, high: float, width: int = 24) -> str:
    """A signal as a line of blocks: means of equal stretches between `low` and `high`, missing ones as dots.

    Examples
    --------
    >>> sparkline(np.array([0.0, 1.0, 2.0, np.nan, 4.0]), 0.0, 4.0, width=5)
    '▁▃▅·█'
    """
    line = ""
    for part in np.array_split(values.astype(np.float64), min(width, len(values))):
        present = part[np.isfinite(part)]
        if not len(present):
            line += _MISSING
            continue
        place = (float(present.mean()) - low) / (high - low) if high > low else 0.5
        line += _BLOCKS[min(len(_BLOCKS) - 1, max(0, int(place * len(_BLOCKS))))]
    return line
