"""What stands in words at the top: the verdict, and what a reader must know before believing a figure."""

from dataclasses import replace

import pytest

from schemas.card import example_card
from tests.trainer.report.made import answers
from trainer.report.facts import Head, ReportFacts, percent, verdict, warnings_of
from trainer.report.judged import Judged
from trainer.report.learning_curve import CurvePoint, LearningCurveFacts
from trainer.report.quality import group_facts, quality_facts
from trainer.report.windows import novelty_shares, worst_facts


def facts_of(judged: Judged, *, notes: tuple[str, ...] = ()) -> ReportFacts:
    card = example_card().model_copy(update={"notes": list(notes)})
    classes = tuple(card.classes)
    return ReportFacts(
        head=Head(
            card,
            "0" * 64,
            1000,
            "made.npz",
            "1" * 64,
            judged.split,
            judged.was_fitted_on,
            judged.has_new_groups,
            len(judged.data),
        ),
        quality=quality_facts(judged, classes, unsure_below=0.5, seed=0),
        groups=group_facts(judged),
        worst=worst_facts(judged, classes),
        novelty=novelty_shares(judged.novelty, 0.01),
        map=None,
        importance=None,
        learning_curve=None,
        cost=None,
    )


GOOD = answers([0, 1] * 50, [0, 1] * 49 + [0, 0])


def test_the_verdict_says_how_many_of_what_and_what_no_model_at_all_would_get() -> None:
    said = verdict(facts_of(GOOD))
    assert said == (
        "Of the 100 windows that were kept for testing, 99.0 % are named rightly (95 % interval: 94.6 % to 99.8 %). "
        "Always answering “idle” would name 50.0 % rightly."
    )


def test_a_good_model_on_enough_test_windows_is_no_reason_for_a_warning() -> None:
    assert warnings_of(facts_of(GOOD)) == ()


@pytest.mark.parametrize(
    ("judged", "warning"),
    [
        (replace(GOOD, was_fitted_on=True), "every figure of this page is too good"),
        (replace(GOOD, was_fitted_on=None), "does not say which rows are for testing"),
        (replace(GOOD, has_new_groups=False), "were fitted on too"),
        (answers([0, 1] * 50, [0] * 100), "Not shown to be better than always answering “idle”"),
        (answers([0] * 100, [0] * 100), "No window of “pumping” is among them"),
        (answers([0] * 80 + [1] * 20, [0] * 80 + [1] * 20), "Fewer than 30 windows of “pumping”"),
        (answers([0, 1] * 50, [0, 1] * 50, novelty=[1.5] * 20 + [0.1] * 80), "20.0 % of the windows look novel"),
        (
            answers([0, 1] * 50, [0, 1] * 40 + [1, 0] * 10, groups=[0] * 80 + [1] * 20),
            "Device 1 is odd: 0 % of its 20 windows",
        ),
    ],
    ids=["fitted on", "unknown", "known groups", "no better", "absent", "few", "novel", "odd"],
)
def test_what_makes_a_figure_doubtful_is_said(judged: Judged, warning: str) -> None:
    assert any(warning in line for line in warnings_of(facts_of(judged)))


def test_both_numbers_are_given_where_a_split_at_random_flatters() -> None:
    curve = LearningCurveFacts((CurvePoint(9, 90, 0.9, (0.8, 0.95)),), "person", "grouped", 0.99, 100)
    said = warnings_of(replace(facts_of(GOOD), learning_curve=curve))
    assert len(said) == 1
    assert "would have claimed 99.0 % where held-out persons give 90.0 %" in said[0]
    assert warnings_of(replace(facts_of(GOOD), learning_curve=replace(curve, random_accuracy=0.9))) == ()


def test_notes_of_the_card_are_repeated() -> None:
    assert warnings_of(facts_of(GOOD, notes=("No groups are known.",))) == ("No groups are known.",)


def test_a_share_is_never_rounded_to_certainty() -> None:
    assert [percent(value) for value in (0.99999, 1.0, 0.00001, 0.0)] == ["99.9 %", "100 %", "0.1 %", "0 %"]
