"""What a reader of the card should know before he believes a figure: one sentence each."""

from __future__ import annotations

import numpy as np

from trainer.evaluate import Evaluation
from trainer.fit.result import FitResult

UNBALANCED = 10
"""From so many times as many windows of the largest class as of the smallest on, the accuracy alone misleads."""

_LEAST_MISSING = 0.0005


def card_notes(result: FitResult) -> list[str]:
    """The sentences, for the card and for the person who fitted.

    Parameters
    ----------
    result : FitResult
    """
    data, notes = result.data, []
    if data.sampling_rate_hz is None:
        notes.append("The sampling rate of the training data is unknown: this model classifies windows, not streams.")
    n_groups = len(np.unique(data.groups[data.groups >= 0]))
    if data.group_key is None:
        notes.append(
            "No groups are known: figures are of windows like those in training, not of other people or devices."
        )
    elif n_groups == 1:
        notes.append(f"All training windows are of one {data.group_key}: what another one would give is not known.")
    missing = float(np.isnan(data.windows).mean())
    if missing >= _LEAST_MISSING:
        notes.append(f"{missing:.1%} of the training values were missing or padding.")
    notes += quality_notes(result.evaluation, data.rows_per_class())
    if result.flattery is not None and result.flattery.flatters:
        notes.append(result.flattery.sentence())
    return [*notes, *(f"{remark[:1].upper()}{remark[1:]}." for remark in result.plan.remarks)]


def quality_notes(evaluation: Evaluation, rows_per_class: dict[str, int]) -> list[str]:
    """What the accuracy does not say: unbalanced classes, classes that are never answered, answers by chance.

    Parameters
    ----------
    evaluation : Evaluation
        Of windows that were held out.
    rows_per_class : dict of str to int
        Training windows.

    Examples
    --------
    >>> from trainer.evaluate import evaluate_probabilities
    >>> found = evaluate_probabilities(np.tile([0.9, 0.1], (40, 1)), np.repeat([0, 1], [38, 2]), ("ok", "fault"))
    >>> for note in quality_notes(found, {"ok": 38, "fault": 2}):
    ...     print(note)
    Classes are unbalanced ('ok' 38, 'fault' 2): the balanced accuracy, 0.500, says more than the accuracy, 0.950.
    Never answered: 'fault'; more training windows of it are needed.
    Answers to held-out windows are no better than chance.
    """
    notes = []
    by_size = sorted(rows_per_class.items(), key=lambda item: item[1])
    (least, n_least), (most, n_most) = by_size[0], by_size[-1]
    if n_most >= UNBALANCED * n_least:
        notes.append(
            f"Classes are unbalanced ({most!r} {n_most}, {least!r} {n_least}): the balanced accuracy, "
            f"{evaluation.balanced_accuracy:.3f}, says more than the accuracy, {evaluation.accuracy:.3f}."
        )
    answered = np.array(evaluation.confusion).sum(axis=0)
    never = [name for name, count in zip(evaluation.classes, answered, strict=True) if not count]
    if never:
        some = ", ".join(repr(name) for name in never[:5]) + (f" and {len(never) - 5} more" if len(never) > 5 else "")
        notes.append(
            f"Never answered: {some}; more training windows of {'it' if len(never) == 1 else 'them'} are needed."
        )
    low, _ = evaluation.intervals["balanced_accuracy"]
    if min(low, evaluation.balanced_accuracy) <= 1.0 / len(evaluation.classes):
        notes.append("Answers to held-out windows are no better than chance.")
    return notes
