"""From trials to one way of answering: a single head, or a vote of a few, and its temperature.

Recipes are compared by the cross-entropy of calibrated answers to held-out windows. The one that is expected to answer
best before any look at the data stands first, and another takes its place only where held-out windows say so by more
than one standard error, taken over the units that stay whole: with twenty windows the luck of the folds is larger than
most differences. What is *reported* of a fold is chosen, and calibrated, by the other folds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from signals import IntArray
from trainer.data import Fold
from trainer.fit.cross_validation import Trial, best_trial
from trainer.fit.path import Logits, losses
from trainer.fit.thresholds import calibrated
from trainer.learn.calibration import careful_temperature

Seat = Literal["convolution", "level", "alone"]

Family = Sequence[Trial]
"""The trials of one candidate under one head: they differ in their penalty."""

_LEAST_PROBABILITY = 1e-12
_STANDARD_ERRORS = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Recipe:
    """One way of answering.

    Attributes
    ----------
    voices : tuple of Trial
        One, or several that vote with equal weight.
    temperatures : tuple of float
        Of each voice.
    temperature : float
        Of the vote; 1 for a single voice.
    """

    voices: tuple[Trial, ...]
    temperatures: tuple[float, ...]
    temperature: float

    def probabilities(self, rows: IntArray) -> NDArray[np.float64]:
        """Calibrated answers to held-out rows, shape ``(n_rows, n_classes)``."""
        if len(self.voices) == 1:
            return calibrated(self.voices[0].logits[rows], self.temperatures[0])
        return calibrated(_pooled(self.voices, self.temperatures, rows), self.temperature)


def make_recipe(voices: Sequence[Trial], class_indices: IntArray, rows: IntArray) -> Recipe:
    """The recipe of these voices, calibrated on these rows."""
    y = class_indices[rows]
    temperatures = tuple(careful_temperature(voice.logits[rows], y) for voice in voices)
    if len(voices) == 1:
        return Recipe(tuple(voices), temperatures, 1.0)
    return Recipe(tuple(voices), temperatures, careful_temperature(_pooled(voices, temperatures, rows), y))


def _pooled(voices: Sequence[Trial], temperatures: Sequence[float], rows: IntArray) -> Logits:
    parts = [
        calibrated(voice.logits[rows], temperature) for voice, temperature in zip(voices, temperatures, strict=True)
    ]
    pooled: Logits = np.log(np.maximum(np.mean(parts, axis=0), _LEAST_PROBABILITY))
    return pooled


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """What there is to choose from.

    Attributes
    ----------
    families : mapping of str to sequence of Trial
        By a name of its own.
    seats : mapping of str to {"convolution", "level", "alone"}
        "convolution" families all have a seat in a vote, "level" families compete for one, "alone" is never joined.
    class_indices, units : ndarray of shape (n_windows,), int
    folds : sequence of Fold
    may_vote : bool
    """

    families: Mapping[str, Family]
    seats: Mapping[str, Seat]
    class_indices: IntArray
    units: IntArray
    folds: Sequence[Fold]
    may_vote: bool

    def best(self, left_out: int | None = None) -> Recipe:
        """The recipe that the folds, all or all but one, ask for."""
        kept = [fold.held_out for number, fold in enumerate(self.folds) if number != left_out]
        rows = np.unique(np.concatenate(kept)) if kept else self.folds[0].held_out
        recipes = [make_recipe(voices, self.class_indices, rows) for voices in self._tables(rows, left_out)]
        y = self.class_indices[rows]
        per_window = [losses(np.log(np.maximum(one.probabilities(rows), 1e-300)), y) for one in recipes]
        if not self.may_vote:
            return recipes[int(np.argmin([loss.sum() for loss in per_window]))]
        gains = [mean_over_units(per_window[0] - loss, self.units[rows]) for loss in per_window]
        means = [mean if mean > _STANDARD_ERRORS * error else 0.0 for mean, error in gains]
        return recipes[int(np.argmax(means))]

    def honest_probabilities(self) -> NDArray[np.float64]:
        """Answers to each fold by the recipe that the other folds ask for; rows that no fold holds out stay NaN.

        With a single fold there are no others, and its own choice is used.
        """
        shape = next(iter(self.families.values()))[0].logits.shape
        probabilities = np.full(shape, np.nan)
        for number, fold in enumerate(self.folds):
            recipe = self.best(number if len(self.folds) > 1 else None)
            probabilities[fold.held_out] = recipe.probabilities(fold.held_out)
        return probabilities

    def _tables(self, rows: IntArray, left_out: int | None) -> list[tuple[Trial, ...]]:
        """The voices of every recipe, the one expected to be best first."""
        best = {name: best_trial(family, left_out) for name, family in self.families.items()}
        if not self.may_vote:
            return [(voice,) for voice in best.values()]
        convolutions = tuple(voice for name, voice in best.items() if self.seats[name] == "convolution")
        levels = [voice for name, voice in best.items() if self.seats[name] == "level"]
        alone = [(voice,) for name, voice in best.items() if self.seats[name] == "alone"]
        if not convolutions or not levels:
            return [*([convolutions] if convolutions else [(voice,) for voice in levels]), *alone]
        y = self.class_indices[rows]
        first, *others = sorted(levels, key=lambda voice: _calibrated_loss(voice, rows, y))
        tables = [convolutions, (*convolutions, first), (first,), *alone]
        if len(convolutions) > 1:
            tables += [(convolutions[0], first), *((convolutions[0], first, second) for second in others[:1])]
        return tables


def _calibrated_loss(voice: Trial, rows: IntArray, class_indices: IntArray) -> float:
    logits = voice.logits[rows]
    return float(losses(logits / careful_temperature(logits, class_indices), class_indices).sum())


def mean_over_units(per_window: NDArray[np.float64], units: IntArray) -> tuple[float, float]:
    """Mean over windows, and its standard error over the units that stay whole; infinite for a single unit.

    Examples
    --------
    >>> mean_over_units(np.array([1.0, 1.0, 3.0, 3.0]), np.array([0, 0, 1, 1]))
    (2.0, 1.0)
    """
    mean = float(per_window.mean())
    _, members = np.unique(units, return_inverse=True)
    sums = np.bincount(members.reshape(-1), weights=per_window - mean)
    n_units = len(sums)
    if n_units < 2:
        return mean, np.inf
    return mean, float(np.sqrt((sums**2).sum() * n_units / (n_units - 1))) / len(per_window)
