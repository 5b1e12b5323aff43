"""The metrics are scikit-learn's, also where a class is missing, and stay finite where a probability is 0."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as oracle

from trainer.evaluate import evaluate_probabilities, log_loss, wilson_interval


def answers(
    n_windows: int, n_classes: int, seed: int, n_true: int | None = None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, n_true or n_classes, n_windows)
    logits = generator.standard_normal((n_windows, n_classes)) + 1.5 * np.eye(n_classes)[truth]
    values = np.exp(logits)
    return values / values.sum(axis=1, keepdims=True), truth.astype(np.int64)


def names(n_classes: int) -> tuple[str, ...]:
    return tuple(f"class {index}" for index in range(n_classes))


@given(st.integers(1, 60), st.integers(2, 6), st.integers(0, 10_000), st.integers(1, 6))
def test_every_metric_is_that_of_scikit_learn(n_windows: int, n_classes: int, seed: int, n_true: int) -> None:
    probabilities, truth = answers(n_windows, n_classes, seed, min(n_true, n_classes))
    found = evaluate_probabilities(probabilities, truth, names(n_classes))
    predicted = probabilities.argmax(axis=1)
    labels = list(range(n_classes))
    with warnings.catch_warnings():
        # scikit-learn warns about classes that are predicted but not there; that is the case under test.
        warnings.simplefilter("ignore")
        assert found.accuracy == pytest.approx(oracle.accuracy_score(truth, predicted))
        assert found.balanced_accuracy == pytest.approx(oracle.balanced_accuracy_score(truth, predicted))
        assert found.macro_f1 == pytest.approx(oracle.f1_score(truth, predicted, average="macro", zero_division=0))
        assert found.log_loss == pytest.approx(oracle.log_loss(truth, probabilities, labels=labels), abs=1e-9)
        assert np.array_equal(np.array(found.confusion), oracle.confusion_matrix(truth, predicted, labels=labels))
        table: Any = oracle.precision_recall_fscore_support(truth, predicted, labels=labels, zero_division=0)
    for index, name in enumerate(names(n_classes)):
        score = found.per_class[name]
        assert (score.precision, score.recall, score.f1, score.support) == pytest.approx(
            [column[index] for column in table]
        )


def test_a_case_worked_by_hand() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.5, 0.3, 0.2], [0.2, 0.2, 0.6]])
    found = evaluate_probabilities(probabilities, np.array([0, 1, 1, 2]), ("a", "b", "c"))
    assert found.confusion == ((1, 0, 0), (1, 1, 0), (0, 0, 1))
    assert found.accuracy == 0.75
    assert found.balanced_accuracy == pytest.approx((1 + 0.5 + 1) / 3)
    # F1: a = 2 * 1 / (1 + 2), b = 2 * 1 / (2 + 1), c = 1
    assert found.macro_f1 == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert found.log_loss == pytest.approx(-np.log([0.7, 0.6, 0.3, 0.6]).mean())
    assert found.per_class["a"].precision == 0.5


def test_the_log_loss_of_a_probability_of_zero_is_large_and_finite() -> None:
    assert log_loss(np.array([[1.0, 0.0]]), np.array([1])) == pytest.approx(-np.log(np.finfo(np.float32).eps))
    assert log_loss(np.array([[1.0, 0.0]]), np.array([0])) == 0.0


def test_the_json_has_the_promised_keys_and_plain_values() -> None:
    probabilities, truth = answers(20, 3, 0)
    value = evaluate_probabilities(probabilities, truth, names(3)).as_dict()
    expected = [
        "n_windows",
        "accuracy",
        "balanced_accuracy",
        "macro_f1",
        "log_loss",
        "ece",
        "classes",
        "confusion",
        "per_class",
    ]
    assert [*value] == [*expected, "intervals"]
    assert all(isinstance(value[key], float) for key in expected[1:6])
    assert isinstance(value["confusion"][0][0], int)
    assert set(value["per_class"]["class 0"]) == {"precision", "recall", "f1", "support"}


@pytest.mark.parametrize(
    ("probabilities", "truth"),
    [
        (np.zeros((0, 2)), np.zeros(0, np.int64)),
        (np.full((2, 3), 1 / 3), np.array([0, 1])),
        (np.full((2, 2), 0.5), np.array([0, 2])),
        (np.full((2, 2), 0.5), np.array([0, -1])),
    ],
)
def test_answers_that_do_not_fit_are_refused(probabilities: NDArray[np.float64], truth: NDArray[np.int64]) -> None:
    with pytest.raises(ValueError, match="expected"):
        evaluate_probabilities(probabilities, truth, ("a", "b"))


def test_the_wilson_interval_is_the_published_one() -> None:
    # Newcombe, Statistics in Medicine 17 (1998), table I, method 3: 81/263 and 0/20.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_intervals_hold_their_metric_and_do_not_leave_the_unit_range() -> None:
    probabilities, truth = answers(200, 4, 1)
    found = evaluate_probabilities(probabilities, truth, names(4))
    for name, (low, high) in found.intervals.items():
        assert 0.0 <= low <= getattr(found, name) <= high <= 1.0


def test_windows_of_few_people_say_less_than_as_many_independent_ones() -> None:
    truth = np.zeros(400, np.int64)
    truth[::2] = 1
    is_right = np.repeat(np.arange(8) < 6, 50)
    probabilities = np.where((truth == 1) == is_right, 0.1, 0.9)[:, np.newaxis]
    probabilities = np.hstack([probabilities, 1 - probabilities])
    groups = np.repeat(np.arange(8), 50)
    alone = evaluate_probabilities(probabilities, truth, ("a", "b")).intervals["accuracy"]
    grouped = evaluate_probabilities(probabilities, truth, ("a", "b"), groups=groups).intervals["accuracy"]
    assert grouped[1] - grouped[0] > 3 * (alone[1] - alone[0])
    assert grouped[0] < 0.75 < grouped[1]


def test_intervals_are_the_same_in_every_run() -> None:
    probabilities, truth = answers(50, 3, 2)
    one, other = (evaluate_probabilities(probabilities, truth, names(3), seed=4) for _ in range(2))
    assert one.intervals == other.intervals
