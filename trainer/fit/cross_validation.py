"""Trials: every window answered by a model that saw neither it nor its group, for each thing that could be chosen.

A trial is one set of feature blocks with one head at one penalty. Logistic trials fit every fold; ridge trials take the
exact answers of every fold from one factorisation. What is chosen from them, and what is reported, is `recipe`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from signals import IntArray
from trainer.data import Fold
from trainer.fit.path import PENALTY_PATH, Logits, PenaltyPath, losses, two_columns
from trainer.fit.threads import fold_threads
from trainer.learn.least_squares import LeastSquares, blocks_of_folds, signed_targets
from trainer.learn.ridge import NOISE_TO_SIGNAL

if TYPE_CHECKING:
    from trainer.fit.candidates import Candidate

_FINER = (10.0**0.5, 10.0**-0.5)
_MARGIN, _LEAST_MARGIN = 3.0, 1e-9
_DECIMALS = 9
_WORSE = 1e-3
"""Relative. A step of the path counts as worse from here on; less is the tolerance of the fits."""

Report = Callable[[str, int, int], None]
"""Called with (what, done, of)."""

AnyRows = NDArray[np.integer[Any]]

LinearHead = Literal["logistic", "one-vs-rest", "ridge"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One thing to try: named feature blocks under a head at one penalty (C of logistic, alpha of ridge)."""

    blocks: str
    penalty: float
    head: str = "logistic"


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """What a setting gave: logits of all held-out windows (NaN elsewhere), and how bad each fold was.

    Attributes
    ----------
    setting : Setting
    logits : ndarray of shape (n_windows, n_classes)
    fold_losses : ndarray of shape (n_folds,)
        Summed; what the penalty is chosen by: cross-entropy in nats, for ridge the squared distance to the targets.
    scale : float
        The logits are the outputs of the fit times this.
    """

    setting: Setting
    logits: Logits
    fold_losses: NDArray[np.float64]
    scale: float = 1.0

    @property
    def loss(self) -> float:
        """Sum over all held-out windows."""
        return float(self.fold_losses.sum())


def try_all(
    candidates: Sequence[tuple[Candidate, Sequence[LinearHead]]],
    class_indices: IntArray,
    folds: Sequence[Fold],
    *,
    n_classes: int,
    report: Report,
) -> list[list[Trial]]:
    """The trials of every candidate under each of its heads: one list for each pair, in the order given.

    Parameters
    ----------
    candidates : sequence of (Candidate, heads)
    class_indices : ndarray of shape (n_windows,), int
    folds : sequence of Fold
    n_classes : int
    report : callable
    """
    pairs = [(candidate, head) for candidate, heads in candidates for head in heads]
    families = []
    for number, (candidate, head) in enumerate(pairs):
        report(f"{candidate.name}, {head}", number, len(pairs))
        if head == "ridge":
            families.append(try_ridge(candidate, class_indices, folds, n_classes=n_classes))
        else:
            families.append(try_logistic(candidate, class_indices, folds, n_classes=n_classes, head=head))
    return families


def try_logistic(
    candidate: Candidate,
    class_indices: IntArray,
    folds: Sequence[Fold],
    *,
    n_classes: int,
    head: Literal["logistic", "one-vs-rest"] = "logistic",
) -> list[Trial]:
    """The trials along the path of penalties until it gets worse, and finer ones around the best.

    Parameters
    ----------
    candidate : Candidate
    class_indices : ndarray of shape (n_windows,), int
    folds : sequence of Fold
    n_classes : int
    head : {"logistic", "one-vs-rest"}
    """

    def path_of(fold: Fold) -> PenaltyPath:
        fitted, held_out = candidate.parts(fold)
        split = head == "one-vs-rest"
        return PenaltyPath(fitted, class_indices[fold.fitted], held_out, n_classes=n_classes, one_vs_rest=split)

    # Each fold is one task on one thread, which makes the sums the same on every machine.
    with fold_threads(candidate.space.coordinates.size) as pool:
        paths = list(pool.map(path_of, folds))

        def attempt(penalty: float, pool: Executor = pool) -> Trial:
            answers = list(pool.map(lambda path: path.logits_at(penalty), paths))
            return _trial(Setting(candidate.name, penalty, head), answers, class_indices, folds)

        tried: list[Trial] = []
        for step, penalty in enumerate(PENALTY_PATH):
            tried.append(attempt(penalty))
            if step and tried[-1].loss > min(trial.loss for trial in tried[:-1]) * (1.0 + _WORSE):
                break
        best = best_trial(tried)
        return tried + [attempt(best.setting.penalty * factor) for factor in _FINER]


def try_ridge(candidate: Candidate, class_indices: IntArray, folds: Sequence[Fold], *, n_classes: int) -> list[Trial]:
    """The trials at every alpha of the grid, exact for every fold and without a fit for any.

    The decisions become logits by one factor for each alpha, which brings them near the size of logits; the temperature
    of a recipe does the rest.
    """
    targets = signed_targets(class_indices, n_classes)
    problem = LeastSquares(candidate.space.coordinates, targets)
    blocks = blocks_of_folds(folds, len(class_indices))
    judged = np.concatenate([fold.held_out for fold in folds])

    def attempt(alpha: float) -> Trial:
        decisions = held_out_decisions(problem, alpha, blocks)
        errors = ((decisions - targets) ** 2).sum(axis=1)
        outputs = two_columns(decisions)
        scale = _natural_scale(outputs[judged])
        sums = np.array([float(errors[fold.held_out].sum()) for fold in folds])
        return Trial(Setting(candidate.name, alpha, "ridge"), scale * outputs, sums, scale)

    # Strong to weak by decades until it gets worse, then halfway to the neighbours of the best. Ties go to the earlier
    # trial, the stronger penalty.
    grid = (NOISE_TO_SIGNAL[::-1] * problem.unit).tolist()
    trials: list[Trial] = []
    for alpha in grid[::2]:
        trials.append(attempt(alpha))
        if trials[-1].loss > min(trial.loss for trial in trials) * (1.0 + _WORSE):
            break
    best = grid.index(best_trial(trials).setting.penalty)
    trials += [attempt(grid[near]) for near in (best - 1, best + 1) if 0 <= near < len(grid)]
    return sorted(trials, key=lambda trial: -trial.setting.penalty)


def held_out_decisions(
    problem: LeastSquares, alpha: float, blocks: Sequence[tuple[AnyRows, AnyRows]]
) -> NDArray[np.float64]:
    """Ridge decisions without the block of each row, shape ``(n_windows, n_outputs)``, to nine decimals.

    The closed form takes them from the row's own target, so that their rounding error knows the label: where windows
    say nothing, and every decision is a tie, the last bit would be right more often than chance.
    """
    return np.round(problem.held_out(alpha, blocks), _DECIMALS)


def _natural_scale(outputs: Logits) -> float:
    """The factor that brings the median distance between the best and the second answer to 3 nats: 95 % sure."""
    ranked = np.partition(outputs, -2, axis=1)
    margin = float(np.median(ranked[:, -1] - ranked[:, -2]))
    return _MARGIN / margin if margin > _LEAST_MARGIN else 1.0


def logistic_logits(
    candidate: Candidate,
    penalties: Sequence[float],
    class_indices: IntArray,
    folds: Sequence[Fold],
    *,
    n_classes: int,
    head: str = "logistic",
) -> Logits:
    """Held-out logits at the last of these penalties, each fit starting where the last one ended.

    Parameters
    ----------
    candidate : Candidate
    penalties : sequence of float
        Strong to weak.
    class_indices : ndarray of shape (n_windows,), int
    folds : sequence of Fold
    n_classes : int
    head : {"logistic", "one-vs-rest"}
    """

    def last_of(fold: Fold) -> Logits:
        fitted, held_out = candidate.parts(fold)
        split = head == "one-vs-rest"
        path = PenaltyPath(fitted, class_indices[fold.fitted], held_out, n_classes=n_classes, one_vs_rest=split)
        return [path.logits_at(penalty) for penalty in penalties][-1]

    with fold_threads(candidate.space.coordinates.size) as pool:
        return _joined(list(pool.map(last_of, folds)), folds, len(class_indices))


def _joined(answers: Sequence[Logits], folds: Sequence[Fold], n_windows: int) -> Logits:
    logits = np.full((n_windows, answers[0].shape[1]), np.nan)
    for fold, answer in zip(folds, answers, strict=True):
        logits[fold.held_out] = answer
    return logits


def _trial(setting: Setting, answers: Sequence[Logits], class_indices: IntArray, folds: Sequence[Fold]) -> Trial:
    logits = _joined(answers, folds, len(class_indices))
    sums = [
        float(losses(answer, class_indices[fold.held_out]).sum()) for fold, answer in zip(folds, answers, strict=True)
    ]
    return Trial(setting, logits, np.array(sums))


def best_trial(trials: Sequence[Trial], left_out: int | None = None) -> Trial:
    """The trial with the least summed loss over the folds, leaving one fold out of the judgement where asked.

    Equal losses go to the earlier trial: the stronger penalty. All trials must be of one head.
    """
    totals = [
        float(trial.fold_losses.sum() - (trial.fold_losses[left_out] if left_out is not None else 0.0))
        for trial in trials
    ]
    return trials[int(np.argmin(totals))]
