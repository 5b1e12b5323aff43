"""Out-of-fold logits: every window answered by a model that saw neither it nor its group.

Settings (feature blocks and penalty) are compared by out-of-fold log-likelihood. The answers that are *reported* for
a fold come from the setting, and the temperature, that the other folds would have chosen, so that choosing does not
flatter the figures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from signals import IntArray
from trainer.data import Fold
from trainer.export import fit_standardiser
from trainer.fit.path import PENALTY_PATH, Features, Logits, PenaltyPath, losses
from trainer.fit.threads import fold_threads
from trainer.fit.thresholds import calibrated, careful_temperature

_FINER = (10.0**0.5, 10.0**-0.5)
_WORSE = 1e-3
"""Relative. A step of the path counts as worse from here on; less is the tolerance of the fits."""

Report = Callable[[str, int, int], None]
"""Called with (what, done, of)."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One thing to try: named feature blocks at one penalty."""

    blocks: str
    penalty: float


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """What a setting gave: logits of all held-out windows (NaN elsewhere), and the summed loss of each fold."""

    setting: Setting
    logits: Logits
    fold_losses: NDArray[np.float64]

    @property
    def loss(self) -> float:
        """Summed cross-entropy of all held-out windows, in nats."""
        return float(self.fold_losses.sum())


def try_penalties(
    candidates: Mapping[str, Features],
    class_indices: IntArray,
    folds: Sequence[Fold],
    *,
    n_classes: int,
    report: Report,
) -> list[Trial]:
    """The trials of every candidate along the path of penalties until it gets worse, and finer ones around the best.

    Parameters
    ----------
    candidates : mapping of str to ndarray of shape (n_windows, n_features)
        Features by the name of their blocks, not standardised: each fold standardises by its fitted rows.
    class_indices : ndarray of shape (n_windows,), int
    folds : sequence of Fold
    n_classes : int
    report : callable
    """
    trials: list[Trial] = []
    n_steps = len(PENALTY_PATH)
    for number, (name, features) in enumerate(candidates.items()):
        # Each fold is one task on one thread, which makes the sums the same on every machine.
        with fold_threads(features.size) as pool:
            paths = list(pool.map(lambda fold, X=features: _path(X, class_indices, fold, n_classes), folds))

            def attempt(
                penalty: float, name: str = name, paths: list[PenaltyPath] = paths, pool: Executor = pool
            ) -> Trial:
                answers = list(pool.map(lambda path: path.logits_at(penalty), paths))
                return _trial(Setting(name, penalty), answers, class_indices, folds)

            tried: list[Trial] = []
            for step, penalty in enumerate(PENALTY_PATH):
                report(f"{name}, C = {penalty:g}", number * n_steps + step, len(candidates) * n_steps)
                tried.append(attempt(penalty))
                if step and tried[-1].loss > min(trial.loss for trial in tried[:-1]) * (1.0 + _WORSE):
                    break
            best = best_trial(tried)
            if not trials or best.loss < best_trial(trials).loss:
                tried += [attempt(best.setting.penalty * factor) for factor in _FINER]
            trials += tried
    return trials


def _path(features: Features, class_indices: IntArray, fold: Fold, n_classes: int) -> PenaltyPath:
    scaling = fit_standardiser(features[fold.fitted])
    return PenaltyPath(
        scaling.apply(features[fold.fitted]),
        class_indices[fold.fitted],
        scaling.apply(features[fold.held_out]),
        n_classes=n_classes,
    )


def _trial(setting: Setting, answers: Sequence[Logits], class_indices: IntArray, folds: Sequence[Fold]) -> Trial:
    logits = np.full((len(class_indices), answers[0].shape[1]), np.nan)
    for fold, answer in zip(folds, answers, strict=True):
        logits[fold.held_out] = answer
    sums = [
        float(losses(answer, class_indices[fold.held_out]).sum()) for fold, answer in zip(folds, answers, strict=True)
    ]
    return Trial(setting, logits, np.array(sums))


def best_trial(trials: Sequence[Trial], left_out: int | None = None) -> Trial:
    """The trial with the least summed loss over the folds, leaving one fold out of the judgement where asked.

    Equal losses go to the earlier trial: the one with fewer features and the stronger penalty, as candidates are
    listed.
    """
    totals = [
        float(trial.fold_losses.sum() - (trial.fold_losses[left_out] if left_out is not None else 0.0))
        for trial in trials
    ]
    return trials[int(np.argmin(totals))]


def honest_probabilities(
    trials: Sequence[Trial], class_indices: IntArray, folds: Sequence[Fold]
) -> NDArray[np.float64]:
    """Calibrated out-of-fold probabilities, setting and temperature of each fold chosen by the other folds.

    Rows that no fold holds out stay NaN. With a single fold there are no others, and its own choice is used.
    """
    probabilities = np.full_like(trials[0].logits, np.nan)
    for number, fold in enumerate(folds):
        chosen = best_trial(trials, number if len(folds) > 1 else None)
        others = np.concatenate(
            [other.held_out for index, other in enumerate(folds) if index != number or len(folds) == 1]
        )
        temperature = careful_temperature(chosen.logits[others], class_indices[others])
        probabilities[fold.held_out] = calibrated(chosen.logits[fold.held_out], temperature)
    return probabilities
