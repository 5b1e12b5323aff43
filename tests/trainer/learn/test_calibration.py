import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.learn.activations import softmax
from trainer.learn.arrays import FloatArray, IntArray
from trainer.learn.calibration import careful_temperature, expected_calibration_error, fit_temperature
from trainer.learn.losses import cross_entropy


def sampled(n_windows: int, n_classes: int, seed: int = 0) -> tuple[FloatArray, IntArray]:
    """Logits, and classes drawn from exactly their softmax: calibrated by construction."""
    generator = np.random.default_rng(seed)
    logits = 2 * generator.normal(size=(n_windows, n_classes))
    uniform = generator.uniform(size=(n_windows, 1))
    classes = (softmax(logits).cumsum(axis=1) < uniform).sum(axis=1)
    return logits, np.minimum(classes, n_classes - 1)


@pytest.mark.parametrize("temperature", [0.2, 1.0, 5.0])
def test_the_temperature_that_was_put_in_is_found(temperature: float) -> None:
    logits, classes = sampled(20000, 4)
    assert fit_temperature(temperature * logits, classes) == pytest.approx(temperature, rel=0.03)


def test_calibration_error_falls_and_labels_stay() -> None:
    logits, classes = sampled(5000, 4)
    logits *= 4
    cooled = logits / fit_temperature(logits, classes)
    assert expected_calibration_error(softmax(logits), classes) > 0.15
    assert expected_calibration_error(softmax(cooled), classes) < 0.03
    assert (cooled.argmax(axis=1) == logits.argmax(axis=1)).all()


@given(st.lists(st.tuples(st.floats(-50, 50), st.floats(-50, 50), st.integers(0, 1)), min_size=1, max_size=30))
def test_no_temperature_in_range_does_better_than_the_fitted_one(rows: list[tuple[float, float, int]]) -> None:
    columns = np.array(rows)
    logits, classes = columns[:, :2], columns[:, 2].astype(int)
    temperature = fit_temperature(logits, classes)
    assert 0.05 <= temperature <= 20.0
    best = cross_entropy(logits / temperature, classes)[0]
    for other in (0.05, 0.3, 1.0, temperature * 0.99, temperature * 1.01, 4.0, 20.0):
        if 0.05 <= other <= 20.0:
            assert best <= cross_entropy(logits / other, classes)[0] + 1e-9


def test_one_logit_and_two_logits_ask_for_the_same_temperature() -> None:
    logits, classes = sampled(500, 2)
    difference = 3 * (logits[:, 1] - logits[:, 0])
    two = fit_temperature(3 * logits, classes)
    assert fit_temperature(difference, classes) == pytest.approx(two, rel=1e-9)
    assert fit_temperature(difference[:, np.newaxis], classes) == pytest.approx(two, rel=1e-9)


def test_sets_that_ask_for_zero_or_infinity_get_the_bounds() -> None:
    logits = np.array([[3.0, 0.0], [0.0, 3.0]])
    assert fit_temperature(logits, np.array([0, 1])) == 0.05
    assert fit_temperature(logits, np.array([1, 0])) == 20.0
    assert fit_temperature(np.zeros((2, 2)), np.array([0, 1])) == 1.0


@pytest.mark.parametrize("logits", [np.zeros((0, 2)), np.array([[np.nan, 0.0]])])
def test_logits_that_say_nothing_are_refused(logits: FloatArray) -> None:
    with pytest.raises(ValueError, match="expected at least one window and finite numbers"):
        fit_temperature(logits, np.zeros(len(logits), dtype=int))


def test_calibration_error_worked_by_hand() -> None:
    # Ten bins. (0.8, 0.9]: 0.85 right, 0.85 wrong: |1 - 1.7| = 0.7. (0.5, 0.6]: 0.6 wrong: 0.6. (0.9, 1]: 1 right: 0
    probabilities = np.array([[0.85, 0.15], [0.85, 0.15], [0.4, 0.6], [0.0, 1.0]])
    classes = np.array([0, 1, 0, 1])
    assert expected_calibration_error(probabilities, classes, n_bins=10) == pytest.approx((0.7 + 0.6) / 4)


def test_calibration_error_refuses_what_it_cannot_count() -> None:
    with pytest.raises(ValueError, match="as many class indices"):
        expected_calibration_error(np.zeros((2, 2)), np.array([0]))
    with pytest.raises(ValueError, match="n_bins: expected at least 1, got 0"):
        expected_calibration_error(np.ones((1, 1)), np.array([0]), n_bins=0)


def test_a_confidence_on_the_edge_belongs_to_the_bin_below() -> None:
    # Two bins. (0, 0.5]: 0.5 right, |1 - 0.5|. (0.5, 1]: 0.75 wrong, |0 - 0.75|. In one bin the two would cancel.
    probabilities = np.array([[0.5, 0.5], [0.25, 0.75]])
    assert expected_calibration_error(probabilities, np.array([0, 0]), n_bins=2) == (0.5 + 0.75) / 2


def test_smoothed_targets_keep_a_separable_set_from_certainty() -> None:
    logits, classes = np.array([[3.0, 0.0], [0.0, 3.0]]), np.array([0, 1])
    # Two windows and one more for each class: the best probability of the true class is 3 / 4, a logit of log 3.
    assert fit_temperature(logits, classes, label_smoothing=2 / (2 + 2)) == pytest.approx(3.0 / np.log(3.0))


@pytest.mark.parametrize("n_classes", [2, 4])
def test_one_more_error_keeps_few_windows_from_certainty_and_is_nothing_among_many(n_classes: int) -> None:
    logits, classes = sampled(20000, n_classes)
    assert careful_temperature(logits, classes) == pytest.approx(fit_temperature(logits, classes), rel=1e-2)
    sure = 3.0 * np.eye(n_classes)
    assert fit_temperature(sure, np.arange(n_classes)) == 0.05
    assert careful_temperature(sure, np.arange(n_classes)) > 1.0


def test_one_column_and_two_ask_for_the_same_care() -> None:
    logits, classes = sampled(30, 2)
    difference = logits[:, 1] - logits[:, 0]
    two = careful_temperature(np.stack([np.zeros(30), difference], axis=1), classes)
    assert careful_temperature(difference, classes) == pytest.approx(two, rel=1e-9)
    with pytest.raises(ValueError, match="at least one window"):
        careful_temperature(np.zeros((0, 2)), np.zeros(0, dtype=int))
