"""Who stands where: wins, draws and losses, means and ranks over problems, of accuracies as they are printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import NamedTuple

PLACES = 4
"""Accuracies are compared as the literature prints them; less is no difference."""

Scores = Mapping[str, float]
"""Problem -> accuracy."""


class Record(NamedTuple):
    """How one fared against another on the problems that both have."""

    wins: int
    draws: int
    losses: int

    def __str__(self) -> str:
        """Wins, draws and losses, in this order."""
        return f"{self.wins} / {self.draws} / {self.losses}"


def record_against(ours: Scores, theirs: Scores) -> Record:
    """Our wins, draws and losses over the problems that both have.

    Examples
    --------
    >>> str(record_against({"a": 0.9, "b": 0.8, "c": 0.7}, {"a": 0.8, "b": 0.80004, "d": 1.0}))
    '1 / 1 / 0'
    """
    differences = [round(ours[name], PLACES) - round(theirs[name], PLACES) for name in ours if name in theirs]
    wins, losses = sum(one > 0.0 for one in differences), sum(one < 0.0 for one in differences)
    return Record(wins, len(differences) - wins - losses, losses)


def mean_on(scores: Scores, problems: Sequence[str]) -> float | None:
    """The mean over these problems; None where one of them is missing, or there are none.

    Examples
    --------
    >>> mean_on({"a": 0.5, "b": 1.0}, ["a", "b"]), mean_on({"a": 0.5}, ["a", "b"])
    (0.75, None)
    """
    return mean(scores[name] for name in problems) if problems and all(name in scores for name in problems) else None


def mean_ranks(scores: Mapping[str, Scores], problems: Sequence[str]) -> dict[str, float]:
    """The mean rank of all that have every one of these problems; 1 is best, equals share the mean of their ranks.

    Examples
    --------
    >>> mean_ranks({"x": {"a": 0.9, "b": 0.9}, "y": {"a": 0.8, "b": 0.9}, "z": {"a": 0.1}}, ["a", "b"])
    {'x': 1.25, 'y': 1.75}
    """
    complete = {who: own for who, own in scores.items() if mean_on(own, problems) is not None}
    return {
        who: mean(_rank(own[name], [other[name] for other in complete.values()]) for name in problems)
        for who, own in complete.items()
    }


def _rank(own: float, everybody: Sequence[float]) -> float:
    mine, all_of_them = round(own, PLACES), [round(one, PLACES) for one in everybody]
    better, equal = sum(one > mine for one in all_of_them), sum(one == mine for one in all_of_them)
    return better + (equal + 1) / 2
