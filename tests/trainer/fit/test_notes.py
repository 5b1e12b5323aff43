"""The card says what a figure hides: unbalanced classes, one person only, answers by chance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from trainer.data.examples import example_windows
from trainer.evaluate import evaluate_probabilities
from trainer.fit import FitOptions, fit
from trainer.fit.notes import card_notes, quality_notes


def silent(_what: str, _done: int, _of: int) -> None:
    """Report to nobody."""


def test_balanced_classes_and_right_answers_need_no_note() -> None:
    y = np.repeat([0, 1], 30)
    assert quality_notes(evaluate_probabilities(np.eye(2)[y], y, ("a", "b")), {"a": 30, "b": 30}) == []


def test_unbalanced_classes_are_said_with_both_accuracies() -> None:
    y = np.repeat([0, 1], [100, 10])
    answers = np.eye(2)[np.repeat([0, 1], [105, 5])]
    [note] = quality_notes(evaluate_probabilities(answers, y, ("a", "b")), {"a": 100, "b": 10})
    assert note == (
        "Classes are unbalanced ('a' 100, 'b' 10): the balanced accuracy, 0.750, says more than the accuracy, 0.955."
    )


def test_nine_to_one_is_not_yet_unbalanced() -> None:
    y = np.repeat([0, 1], [90, 10])
    assert quality_notes(evaluate_probabilities(np.eye(2)[y], y, ("a", "b")), {"a": 90, "b": 10}) == []


def test_many_classes_that_are_never_answered_are_counted() -> None:
    y = np.arange(20) % 10
    answers = np.eye(10)[np.where(y < 2, y, 0)]
    [never] = quality_notes(evaluate_probabilities(answers, y, tuple("abcdefghij")), dict.fromkeys("abcdefghij", 2))[:1]
    assert never == "Never answered: 'c', 'd', 'e', 'f', 'g' and 3 more; more training windows of them are needed."


def test_one_group_is_said_and_windows_without_a_value_are_counted() -> None:
    data = replace(example_windows(), groups=np.zeros(40, np.int64), group_key="person")
    data.windows[:, 0, ::8] = np.nan
    notes = card_notes(fit(data, FitOptions(features="statistics", head="ridge"), silent))
    assert "All training windows are of one person: what another one would give is not known." in notes
    assert any("of the training values were missing" in note for note in notes)


def test_windows_that_are_all_the_same_are_answered_by_chance_and_that_is_said() -> None:
    data = example_windows()
    same = replace(data, windows=np.ones_like(data.windows))
    notes = card_notes(fit(same, FitOptions(features="edge"), silent))
    assert "Answers to held-out windows are no better than chance." in notes
