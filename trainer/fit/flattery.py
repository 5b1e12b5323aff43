"""What a random split of windows would have said: the figure that looks better, and is not true of anyone new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from signals import IntArray
from trainer.data import Fold, FoldPlan, WindowedData
from trainer.evaluate import Evaluation, Interval
from trainer.fit.candidates import Candidate
from trainer.fit.cross_validation import Trial, held_out_decisions, logistic_logits
from trainer.fit.path import PENALTY_PATH, Logits, two_columns
from trainer.fit.recipe import Recipe, mean_over_units
from trainer.learn.least_squares import LeastSquares, blocks_of_folds, signed_targets

N_PARTS = 5

_ENOUGH = 1000
"""Windows to judge; where one part of the windows is as many, only that part is held out."""

_WORTH_A_LINE = 0.01
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Flattery:
    """The accuracy of one way of answering under two ways of splitting.

    Attributes
    ----------
    at_random : float
        Accuracy where windows were held out at random: their neighbours were fitted on.
    grouped : float
        Accuracy where whole groups, recordings or blocks of time were held out.
    difference : tuple of float
        Of the two, on the same windows: least and most by a 95 % interval over the units that stay whole.
    n_windows : int
        That the random split was judged on.
    flatters : bool
        Whether the difference is worth a warning.
    unit : str
        What windows share: a person, a recording.
    stands_in : str
        The head that both were measured with, where it is not the fitted one.
    """

    at_random: float
    grouped: float
    difference: Interval
    n_windows: int
    flatters: bool
    unit: str
    stands_in: str = ""

    def sentence(self) -> str:
        """One line with both numbers.

        Examples
        --------
        >>> Flattery(0.985, 0.948, (0.01, 0.06), 900, True, "subject").sentence()
        'A random split of windows would have said 0.985 instead of 0.948: windows of one subject resemble each other.'
        """
        head = f" (measured with a {self.stands_in} head)" if self.stands_in else ""
        return (
            f"A random split of windows would have said {self.at_random:.3f} instead of {self.grouped:.3f}{head}: "
            f"windows of one {self.unit} resemble each other."
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "accuracy": self.at_random,
            "grouped_accuracy": self.grouped,
            "difference_low": self.difference[0],
            "difference_high": self.difference[1],
            "n_windows": self.n_windows,
            "flatters": self.flatters,
            **({"measured_with": self.stands_in} if self.stands_in else {}),
        }


def random_folds(class_indices: IntArray, seed: int) -> tuple[Fold, ...]:
    """Folds that hold out a random fifth of the windows of each class; as few of them as judge 1,000 windows.

    Examples
    --------
    >>> folds = random_folds(np.repeat([0, 1], [30, 5]), seed=0)
    >>> [(len(fold.fitted), len(fold.held_out)) for fold in folds]
    [(28, 7), (28, 7), (28, 7), (28, 7), (28, 7)]
    >>> len(random_folds(np.zeros(10_000, int), seed=0))
    1
    """
    n_windows = len(class_indices)
    generator = np.random.default_rng(seed)
    drawn = generator.permutation(n_windows)
    by_class = drawn[np.argsort(class_indices[drawn], kind="stable")]
    part = np.empty(n_windows, np.int64)
    part[by_class] = np.arange(n_windows) % N_PARTS
    n_folds = min(N_PARTS, -(-_ENOUGH * N_PARTS // n_windows))
    splits = [(np.flatnonzero(part != number), np.flatnonzero(part == number)) for number in range(n_folds)]
    return tuple(Fold(fitted, held_out) for fitted, held_out in splits if len(fitted) and len(held_out))


def random_logits(candidate: Candidate, trial: Trial, class_indices: IntArray, folds: Sequence[Fold]) -> Logits:
    """Logits of a trial's head at its penalty under other folds, NaN for rows that none holds out.

    Parameters
    ----------
    candidate : Candidate
        That the trial is of.
    trial : Trial
    class_indices : ndarray of shape (n_windows,), int
    folds : sequence of Fold
    """
    n_classes = trial.logits.shape[1]
    if trial.setting.head == "ridge":
        problem = LeastSquares(candidate.space.coordinates, signed_targets(class_indices, n_classes))
        decisions = held_out_decisions(problem, trial.setting.penalty, blocks_of_folds(folds, len(class_indices)))
        return trial.scale * two_columns(decisions)
    # By way of one stronger penalty, which is faster than straight from zero.
    path = [*[penalty for penalty in PENALTY_PATH if penalty < trial.setting.penalty][-1:], trial.setting.penalty]
    return logistic_logits(candidate, path, class_indices, folds, n_classes=n_classes, head=trial.setting.head)


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """What is asked again under a random split.

    Attributes
    ----------
    candidates : tuple of Candidate
        One for each voice of the recipe.
    recipe : Recipe
    stands_in : str
        The head of the recipe, where it stands in for a network that would have to be fitted anew; else nothing.
    """

    candidates: tuple[Candidate, ...]
    recipe: Recipe
    stands_in: str = ""


def find_flattery(
    compared: Compared, rows: WindowedData, plan: FoldPlan, evaluation: Evaluation, *, seed: int
) -> Flattery | None:
    """How much better a random split would have made this fit look; None where every window stands for itself.

    It is worth a warning where the random figure lies above the interval of the grouped one, or where it is more than
    one point higher and the difference, window by window, is more than the luck of the units.

    Parameters
    ----------
    compared : Compared
    rows : WindowedData
        The training windows.
    plan : FoldPlan
        That the recipe was tried under.
    evaluation : Evaluation
        What is reported of the fit.
    seed : int
        Draws the random split.
    """
    y, recipe = rows.class_indices, compared.recipe
    if len(np.unique(plan.units)) == len(y):
        return None
    folds = random_folds(y, seed)
    judged = np.unique(np.concatenate([fold.held_out for fold in plan.folds]))
    both = np.intersect1d(judged, np.concatenate([fold.held_out for fold in folds]))
    if not len(both):
        return None
    voices = tuple(
        Trial(voice.setting, random_logits(candidate, voice, y, folds), np.zeros(len(folds)), voice.scale)
        for candidate, voice in zip(compared.candidates, recipe.voices, strict=True)
    )
    at_random = _is_right(Recipe(voices, recipe.temperatures, recipe.temperature), both, y)
    grouped = float(_is_right(recipe, judged, y).mean()) if compared.stands_in else evaluation.accuracy
    difference, error = mean_over_units(at_random - _is_right(recipe, both, y), plan.units[both])
    n_units = len(np.unique(plan.units[both]))
    half = error * float(stats.t.ppf(0.5 + _CONFIDENCE / 2.0, n_units - 1)) if n_units > 1 else 1.0
    figure = float(at_random.mean())
    is_outside = figure > evaluation.intervals["accuracy"][1] and figure > grouped
    return Flattery(
        at_random=figure,
        grouped=grouped,
        difference=(max(-1.0, difference - half), min(1.0, difference + half)),
        n_windows=len(both),
        flatters=is_outside or (figure - grouped > _WORTH_A_LINE and difference > half),
        unit=str(rows.group_key or "recording"),
        stands_in=compared.stands_in,
    )


def _is_right(recipe: Recipe, chosen: IntArray, class_indices: IntArray) -> NDArray[np.float64]:
    """1 where the answer is the label, else 0."""
    right: NDArray[np.bool_] = recipe.probabilities(chosen).argmax(axis=1) == class_indices[chosen]
    return right.astype(np.float64)
