from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.learn.losses import LOSSES, binary_cross_entropy, cross_entropy, one_vs_rest, squared_error


def test_an_uninformed_model_loses_log_of_the_number_of_classes() -> None:
    loss, gradient = cross_entropy(np.zeros((3, 4)), np.array([0, 1, 3]))
    assert loss == pytest.approx(np.log(4.0), rel=1e-15)
    assert gradient[0] == pytest.approx(np.array([-0.75, 0.25, 0.25, 0.25]) / 3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cross_entropy_is_exact_at_logits_of_ten_thousand(dtype: type[np.floating[Any]]) -> None:
    logits = np.array([[1e4, -1e4], [1e4, -1e4]], dtype=dtype)
    loss, gradient = cross_entropy(logits, np.array([0, 1]))
    assert loss == 1e4  # (0 + 20000) / 2
    assert gradient.tolist() == [[0.0, 0.0], [0.5, -0.5]]
    assert gradient.dtype == dtype


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_binary_cross_entropy_is_exact_at_logits_of_ten_thousand(dtype: type[np.floating[Any]]) -> None:
    logits = np.array([[1e4], [1e4], [-1e4], [-1e4]], dtype=dtype)
    loss, gradient = binary_cross_entropy(logits, np.array([1, 0, 1, 0]))
    assert loss == 5e3  # (0 + 10000 + 10000 + 0) / 4
    assert gradient.ravel().tolist() == [0.0, 0.25, -0.25, 0.0]
    assert gradient.dtype == dtype


def test_binary_keeps_its_digits_where_the_loss_is_tiny() -> None:
    loss, gradient = binary_cross_entropy(np.array([50.0]), np.array([1]))
    assert loss == pytest.approx(np.exp(-50.0), rel=1e-12)
    assert gradient[0] == pytest.approx(-np.exp(-50.0), rel=1e-12)


@given(st.lists(st.tuples(st.floats(-100, 100), st.integers(0, 1), st.floats(0.01, 10)), min_size=1, max_size=20))
def test_one_logit_and_two_logits_tell_the_same(rows: list[tuple[float, int, float]]) -> None:
    logits, targets, weights = (np.array(column) for column in zip(*rows, strict=True))
    one, one_gradient = binary_cross_entropy(logits, targets, weights)
    two, two_gradient = cross_entropy(np.stack([np.zeros_like(logits), logits], axis=1), targets, weights)
    assert one == pytest.approx(two, rel=1e-12, abs=1e-14)
    assert one_gradient == pytest.approx(two_gradient[:, 1], rel=1e-9, abs=1e-14)
    assert two_gradient.sum(axis=1) == pytest.approx(np.zeros(len(rows)), abs=1e-14)


def test_a_row_of_weight_two_counts_as_two_rows() -> None:
    logits, classes = np.array([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]]), np.array([0, 2])
    weighted, _ = cross_entropy(logits, classes, np.array([2.0, 1.0]))
    repeated, _ = cross_entropy(logits[[0, 0, 1]], classes[[0, 0, 1]])
    assert weighted == pytest.approx(repeated, rel=1e-14)


def test_parts_add_up_to_the_whole_when_they_know_its_weight() -> None:
    logits, classes, weights = np.array([[1.0, 2.0], [0.0, -1.0]]), np.array([0, 1]), np.array([0.5, 3.0])
    whole, whole_gradient = cross_entropy(logits, classes, weights)
    parts = [cross_entropy(logits[[row]], classes[[row]], weights[[row]], 3.5) for row in (0, 1)]
    assert sum(loss for loss, _ in parts) == pytest.approx(whole, rel=1e-14)
    assert np.vstack([gradient for _, gradient in parts]) == pytest.approx(whole_gradient, rel=1e-14)


def test_arguments_are_left_as_they_were() -> None:
    logits, classes, weights = np.ones((2, 1)), np.array([0, 1]), np.array([1.0, 2.0])
    binary_cross_entropy(logits, classes, weights)
    cross_entropy(np.hstack([logits, logits]), classes, weights)
    both = np.ones((2, 2))
    cross_entropy(both, classes, weights)
    assert (logits == 1).all()
    assert (both == 1).all()
    assert classes.tolist() == [0, 1]
    assert weights.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("class_indices", [[0, 3], [-1, 0]])
def test_a_class_index_out_of_range_is_refused(class_indices: list[int]) -> None:
    with pytest.raises(ValueError, match=r"class_indices: expected 0 \.\. 2"):
        cross_entropy(np.zeros((2, 3)), np.array(class_indices))


def test_targets_other_than_zero_and_one_are_refused() -> None:
    with pytest.raises(ValueError, match=r"targets: expected 0 or 1, got \[2\]"):
        binary_cross_entropy(np.zeros((2, 1)), np.array([0, 2]))


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="expected logits"):
        cross_entropy(np.zeros((2, 3)), np.array([0]))
    with pytest.raises(ValueError, match="expected logits"):
        binary_cross_entropy(np.zeros((2, 2)), np.array([0, 1]))
    with pytest.raises(ValueError, match="sample_weight: expected shape"):
        cross_entropy(np.zeros((2, 3)), np.array([0, 1]), np.ones(3))


def test_smoothed_targets_worked_by_hand() -> None:
    # Three classes, e = 0.3: targets 0.8, 0.1, 0.1 on probabilities 0.5, 0.25, 0.25.
    loss, gradient = cross_entropy(np.log([[0.5, 0.25, 0.25]]), np.array([0]), None, None, 0.3)
    assert loss == pytest.approx(-0.8 * np.log(0.5) - 0.2 * np.log(0.25))
    assert gradient == pytest.approx(np.array([[0.5 - 0.8, 0.15, 0.15]]))
    # Two classes, e = 0.2: target 0.9 on a probability of 0.75.
    loss, gradient = binary_cross_entropy(np.log([[3.0]]), np.array([1]), None, None, 0.2)
    assert loss == pytest.approx(-0.9 * np.log(0.75) - 0.1 * np.log(0.25))
    assert gradient == pytest.approx(np.array([[0.75 - 0.9]]))


@given(st.lists(st.tuples(st.floats(-100, 100), st.integers(0, 1)), min_size=1, max_size=20), st.floats(0, 1))
def test_one_logit_and_two_logits_tell_the_same_of_smoothed_targets(
    rows: list[tuple[float, int]], label_smoothing: float
) -> None:
    logits, targets = (np.array(column) for column in zip(*rows, strict=True))
    one, one_gradient = binary_cross_entropy(logits, targets, None, None, label_smoothing)
    both = np.stack([np.zeros_like(logits), logits], axis=1)
    two, two_gradient = cross_entropy(both, targets, None, None, label_smoothing)
    assert one == pytest.approx(two, rel=1e-11, abs=1e-12)
    assert one_gradient == pytest.approx(two_gradient[:, 1], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.25])
def test_one_against_the_rest_is_the_sum_of_the_binary_problems(label_smoothing: float) -> None:
    generator = np.random.default_rng(0)
    logits, y = 3 * generator.normal(size=(12, 4)), np.arange(12) % 4
    weights = generator.uniform(0.5, 2.0, 12)
    loss, gradient = one_vs_rest(logits, y, weights, None, label_smoothing)
    parts = [binary_cross_entropy(logits[:, k], (y == k).astype(int), weights, None, label_smoothing) for k in range(4)]
    assert loss == pytest.approx(sum(part for part, _ in parts), rel=1e-14)
    assert gradient == pytest.approx(np.stack([part for _, part in parts], axis=1), rel=1e-12)
    far, slope = one_vs_rest(np.array([[1e4, -1e4, 1e4]]), np.array([0]))
    assert far == 1e4
    assert slope.tolist() == [[0.0, 0.0, 1.0]]


def test_squared_error_of_one_column_aims_at_plus_and_minus_one() -> None:
    loss, gradient = squared_error(np.array([[0.5], [0.5]]), np.array([1, 0]))
    assert loss == (0.5 * 0.25 + 0.5 * 2.25) / 2
    assert gradient.ravel().tolist() == [-0.25, 0.75]


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_keeps_the_dtype_and_refuses_a_class_it_has_no_column_for(name: str) -> None:
    n_columns = 1 if name == "binary_cross_entropy" else 3
    loss, gradient = LOSSES[name](np.zeros((2, n_columns), np.float32), np.array([0, 1]))
    assert loss > 0.0
    assert gradient.dtype == np.float32
    for classes in ([0, 3], [-1, 0]):
        with pytest.raises(ValueError, match="expected 0"):
            LOSSES[name](np.zeros((2, n_columns)), np.array(classes))
