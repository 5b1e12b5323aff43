"""What a fit leaves behind: the model in parts, and what is known of how right it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas import HeadFacts, Metric
from signals import IntArray
from trainer.data import FoldPlan, WindowedData
from trainer.evaluate import Evaluation, GroupFacts
from trainer.export import FittedModel
from trainer.fit.cross_validation import Trial
from trainer.fit.flattery import Flattery
from trainer.fit.options import FitOptions


@dataclass(frozen=True, slots=True, eq=False)
class FitResult:
    """A fitted model in parts, ready to be written.

    Attributes
    ----------
    data : WindowedData
        The training windows that were used.
    options : FitOptions
    model : FittedModel
        Extractor, standardiser, head and novelty: the parts that become one graph.
    head_facts : HeadFacts
        Kind of the head and its hyper-parameters, for the card.
    temperature, unsure_below : float
    probabilities : ndarray of shape (n_windows, n_classes)
        Out-of-fold, calibrated; NaN for windows that no fold holds out.
    evaluation : Evaluation
        Of these.
    groups : GroupFacts or None
        How right they are on each group; None where no groups are known.
    flattery : Flattery or None
        What a random split would have said; None where every window stands for itself.
    plan : FoldPlan
    trials : tuple of Trial
        Everything that was tried.
    remarks : tuple of str
    """

    data: WindowedData
    options: FitOptions
    model: FittedModel
    head_facts: HeadFacts
    temperature: float
    unsure_below: float
    probabilities: NDArray[np.float64]
    evaluation: Evaluation
    groups: GroupFacts | None
    flattery: Flattery | None
    plan: FoldPlan
    trials: tuple[Trial, ...]
    remarks: tuple[str, ...]

    @property
    def judged(self) -> IntArray:
        """The windows that some fold held out, in order."""
        return np.unique(np.concatenate([fold.held_out for fold in self.plan.folds]))

    @property
    def metrics(self) -> list[Metric]:
        """The figures for the card, each with the split it was measured on."""
        intervals = self.evaluation.intervals
        figures = {
            "accuracy": self.evaluation.accuracy,
            "balanced_accuracy": self.evaluation.balanced_accuracy,
            "macro_f1": self.evaluation.macro_f1,
            "log_loss": self.evaluation.log_loss,
            "ece": self.evaluation.ece,
        }
        return [
            Metric(
                name=name,
                split=self.plan.name,
                value=round(value, 6),
                low=round(intervals[name][0], 6) if name in intervals else None,
                high=round(intervals[name][1], 6) if name in intervals else None,
                n_windows=self.evaluation.n_windows,
            )
            for name, value in figures.items()
        ]
