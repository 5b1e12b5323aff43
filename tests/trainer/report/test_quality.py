"""Figures, classes, mistakes, bins and groups, against numbers worked out by hand."""

import numpy as np
import pytest

from tests.trainer.report.made import answers
from trainer.evaluate import evaluate_probabilities, wilson_interval
from trainer.learn import expected_calibration_error
from trainer.report.quality import calibration_bins, confused_pairs, group_facts, quality_facts

CLASSES = ("class 0", "class 1", "class 2")


def test_classes_mistakes_and_majority_of_six_windows_are_those_counted_by_hand() -> None:
    # was 0: answered 0, 0, 1; was 1: answered 1, 1; was 2: answered 1
    judged = answers([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 1, 1], n_classes=3)
    facts = quality_facts(judged, CLASSES, unsure_below=0.5, seed=0)
    first, second, third = facts.classes
    assert (first.support, first.answered, first.precision) == (3, 2, 1.0)
    assert first.recall == pytest.approx(2 / 3)
    assert (second.support, second.answered, second.precision, second.recall) == (2, 4, 0.5, 1.0)
    assert (third.support, third.answered, third.recall, third.precision_interval) == (1, 0, 0.0, None)
    assert first.recall_interval == wilson_interval(2, 3)
    assert facts.majority == ("class 0", 0.5)
    assert [(pair.true, pair.predicted, pair.count) for pair in facts.pairs] == [
        ("class 0", "class 1", 1),
        ("class 2", "class 1", 1),
    ]
    assert facts.pairs[0].share == pytest.approx(1 / 3)
    assert facts.figures[0].value == pytest.approx(4 / 6)


def test_every_figure_lies_inside_its_interval() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 400)
    predicted = np.where(generator.random(400) < 0.8, labels, (labels + 1) % 3)
    judged = answers(
        labels.tolist(), predicted.tolist(), confidence=0.7, groups=(np.arange(400) % 8).tolist(), n_classes=3
    )
    for figure in quality_facts(judged, CLASSES, unsure_below=0.0, seed=0).figures:
        assert figure.interval is not None
        assert figure.interval[0] <= figure.value <= figure.interval[1], figure.name
        assert figure.interval[0] < figure.interval[1], figure.name


def test_the_line_of_unsure_divides_the_windows() -> None:
    judged = answers([0, 0, 1, 1], [0, 1, 1, 0], confidence=[0.9, 0.55, 0.9, 0.9])
    facts = quality_facts(judged, CLASSES[:2], unsure_below=0.6, seed=0)
    assert facts.unsure_share == 0.25
    assert facts.sure_accuracy == pytest.approx(2 / 3)


def test_the_bins_hold_every_window_once_and_add_up_to_the_calibration_error() -> None:
    judged = answers([0, 0, 1, 1, 1], [0, 1, 1, 0, 1], confidence=[1.0, 0.6, 0.8, 0.8, 0.61])
    bins = calibration_bins(judged)
    assert sum(part.count for part in bins) == 5
    assert bins[-1].count == 1  # a confidence of exactly 1 belongs to the last bin
    gaps = [part.count * abs((part.accuracy or 0.0) - (part.confidence or 0.0)) for part in bins]
    expected = expected_calibration_error(judged.probabilities, judged.data.class_indices)
    assert sum(gaps) / 5 == pytest.approx(expected)


def test_pairs_are_the_largest_and_no_more_than_asked_for() -> None:
    found = evaluate_probabilities(np.eye(3)[[1, 1, 2, 0]], np.array([0, 0, 0, 1]), CLASSES)
    assert [(pair.count, pair.predicted) for pair in confused_pairs(found, limit=1)] == [(2, "class 1")]


def test_the_odd_group_is_named_and_the_others_are_not() -> None:
    # Devices 0 to 4: 50 windows each, all right but those of device 3, half of which are wrong.
    labels = [0] * 250
    groups = np.repeat(np.arange(5), 50)
    predicted = ((groups == 3) & (np.arange(250) % 2 == 0)).astype(int)
    facts = group_facts(answers(labels, predicted.tolist(), groups=groups.tolist()))
    assert facts is not None
    assert [score.name for score in facts.odd] == ["device 3"]
    assert facts.scores[0].accuracy == 0.5
    assert facts.scores[0].interval == wilson_interval(25, 50)
    assert facts.accuracy == 0.9


def test_a_group_that_chance_explains_is_not_odd_among_many() -> None:
    # Of 40 groups of 20 windows one has 16 right where all have 19: at 95 % alone it would be odd, among 40 it is not.
    groups = np.repeat(np.arange(40), 20)
    place = np.tile(np.arange(20), 40)
    predicted = np.where(groups == 7, place < 4, place < 1).astype(int)
    facts = group_facts(answers([0] * 800, predicted.tolist(), groups=groups.tolist()))
    assert facts is not None
    assert facts.scores[0].interval[1] < facts.accuracy
    assert facts.odd == ()


def test_without_groups_there_is_nothing_to_say_of_them() -> None:
    assert group_facts(answers([0, 1], [0, 1])) is None
    assert group_facts(answers([0, 1], [0, 1], groups=[4, 4])) is None
