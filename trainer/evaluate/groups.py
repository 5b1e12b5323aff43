"""How right the answers are on each group: per person, machine or run, with the groups that stand out."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from signals import IntArray
from trainer.evaluate.intervals import Interval, wilson_interval


@dataclass(frozen=True, slots=True)
class GroupScore:
    """How right the answers are on one group."""

    name: str
    n_windows: int
    accuracy: float
    interval: Interval
    is_odd: bool


@dataclass(frozen=True, slots=True)
class GroupFacts:
    """Accuracy of each group, worst first.

    Attributes
    ----------
    key : str
        What a group is.
    scores : tuple of GroupScore
    accuracy : float
        Of all windows together.
    """

    key: str
    scores: tuple[GroupScore, ...]
    accuracy: float

    @property
    def odd(self) -> tuple[GroupScore, ...]:
        """The groups that are worse than chance explains, worst first."""
        return tuple(score for score in self.scores if score.is_odd)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values: ``groups``, worst first, and ``odd_group`` (None where none stands out)."""
        return {
            "groups": [
                {
                    "group": score.name,
                    "n_windows": score.n_windows,
                    "accuracy": score.accuracy,
                    "low": score.interval[0],
                    "high": score.interval[1],
                }
                for score in self.scores
            ],
            "odd_group": self.odd[0].name if self.odd else None,
        }

    def sentence(self) -> str:
        """One line: the range over groups, and the odd one by name.

        Examples
        --------
        >>> right = np.repeat([True, False, True], [40, 10, 50])
        >>> group_facts(right, np.repeat([1, 2], 50), "person").sentence()
        'accuracy of 2 groups (person): 0.800 to 1.000; odd: person 1 with 0.800 of 50 windows'
        """
        lowest, highest = self.scores[0].accuracy, self.scores[-1].accuracy
        line = f"accuracy of {len(self.scores)} groups ({self.key}): {lowest:.3f} to {highest:.3f}"
        if not self.odd:
            return f"{line}; none is worse than chance explains"
        worst = self.odd[0]
        others = f" (and {len(self.odd) - 1} more)" if len(self.odd) > 1 else ""
        return f"{line}; odd: {worst.name} with {worst.accuracy:.3f} of {worst.n_windows} windows{others}"


def group_facts(is_right: NDArray[np.bool_], groups: IntArray | None, key: str | None) -> GroupFacts | None:
    """Accuracy per person, device or run; None where fewer than two groups are known.

    A group is odd where its whole interval lies below the accuracy of all windows, the interval widened for as many
    comparisons as there are groups (Bonferroni): of 30 groups one would else look odd by chance.

    Parameters
    ----------
    is_right : ndarray of shape (n_windows,), bool
    groups : ndarray of shape (n_windows,), int, or None
        -1 = unknown, and not judged by itself.
    key : str or None
        What a group is; None = no groups are known.
    """
    if groups is None or key is None:
        return None
    known = [int(name) for name in np.unique(groups[groups >= 0])]
    if len(known) < 2:
        return None
    overall = float(is_right.mean())
    strict = NormalDist().inv_cdf(1.0 - 0.025 / len(known))
    scores = []
    for number in known:
        inside = groups == number
        n_windows, n_right = int(inside.sum()), int(is_right[inside].sum())
        scores.append(
            GroupScore(
                name=f"{key} {number}",
                n_windows=n_windows,
                accuracy=n_right / n_windows,
                interval=wilson_interval(n_right, n_windows),
                is_odd=wilson_interval(n_right, n_windows, strict)[1] < overall,
            )
        )
    scores.sort(key=lambda score: score.accuracy)
    return GroupFacts(key, tuple(scores), overall)
