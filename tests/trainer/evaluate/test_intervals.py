"""Intervals of classes, means and the calibration error."""

import numpy as np
import pytest

from trainer.evaluate import wilson_interval
from trainer.evaluate.intervals import class_intervals, ece_interval, mean_interval, n_independent_groups
from trainer.learn import expected_calibration_error


def test_a_class_has_wilson_intervals_of_its_own_counts() -> None:
    # was 0: answered 0 eight times, 1 twice; was 1: answered 1 five times
    y, predicted = np.array([0] * 10 + [1] * 5), np.array([0] * 8 + [1] * 7)
    first, second = class_intervals(y, predicted, 2, groups=None, seed=0)
    assert (first.recall, first.precision) == (wilson_interval(8, 10), wilson_interval(8, 8))
    assert (second.recall, second.precision) == (wilson_interval(5, 5), wilson_interval(5, 7))
    assert first.f1 is not None
    assert first.f1[0] < 16 / 18 < first.f1[1]


def test_what_was_never_there_or_never_answered_has_no_interval() -> None:
    absent, silent = class_intervals(np.array([1, 1]), np.array([0, 0]), 2, groups=None, seed=0)
    assert (absent.recall, absent.precision) == (None, wilson_interval(0, 2))
    assert (silent.recall, silent.precision) == (wilson_interval(0, 2), None)


def test_groups_widen_an_interval_and_never_narrow_it() -> None:
    # Ten devices of 20 windows: two of them are all wrong. Every window of a device says the same.
    groups = np.repeat(np.arange(10), 20)
    y, predicted = np.zeros(200, int), (groups < 2).astype(int)
    alone = class_intervals(y, predicted, 2, groups=None, seed=0)[0].recall
    grouped = class_intervals(y, predicted, 2, groups=groups, seed=0)[0].recall
    assert alone is not None
    assert grouped is not None
    assert grouped[0] < alone[0] - 0.1
    assert grouped[1] > alone[1] + 0.1
    right = class_intervals(y, y, 2, groups=groups, seed=0)[0].recall
    assert right == wilson_interval(200, 200)


def test_the_interval_of_a_mean_is_as_wide_as_theory_says() -> None:
    values = np.random.default_rng(0).standard_normal(400)
    low, high = mean_interval(values, groups=None, seed=0)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
    assert low < values.mean() < high


def test_the_interval_of_a_mean_over_groups_counts_groups() -> None:
    groups = np.repeat(np.arange(25), 16)
    values = np.random.default_rng(0).standard_normal(25)[groups]
    low, high = mean_interval(values, groups=groups, seed=0)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 5, rel=0.15)


def test_the_interval_of_the_calibration_error_holds_it_though_resampling_only_adds_to_it() -> None:
    generator = np.random.default_rng(1)
    confidence = generator.uniform(0.5, 1.0, 300)
    y = (generator.random(300) < confidence).astype(int)
    probabilities = np.stack([1.0 - confidence, confidence], axis=1)
    value = expected_calibration_error(probabilities, y)
    low, high = ece_interval(probabilities, y, groups=None, seed=0)
    assert low < value < high
    # The plain percentiles of the same resamples would begin above half of the value.
    assert low < 0.75 * value


def test_fewer_than_five_groups_say_nothing_of_other_groups() -> None:
    assert n_independent_groups(np.array([0, 1, 2, 3, 3])) == 0
    assert n_independent_groups(np.array([0, 1, 2, 3, 4, 4])) == 5
    assert n_independent_groups(np.full(9, -1)) == 0
