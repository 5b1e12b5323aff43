"""Fronts, standard errors and Breiman's rule, by numbers worked by hand."""

import numpy as np
import pytest

from trainer.cost import ModelCost
from trainer.tune import Trial, accuracy_with_error, one_standard_error, pareto_front
from trainer.tune.choice import best_trial


def trial(
    name: str,
    accuracy: float | None,
    *,
    us: float = 50.0,
    kib: float = 100.0,
    rss: float = 20.0,
    numbers: int = 1000,
    error: float = 0.01,
) -> Trial:
    cost = ModelCost(us, (us, us), us / 2, (us / 2, us / 2), us, kib, rss, 5.0, 10, numbers, 5)
    return Trial(name, "ridge", 10, {}, cost, accuracy, None if accuracy is None else error, 100)


def names(trials: list[Trial]) -> list[str]:
    return [trial.features for trial in trials]


def test_the_front_is_what_no_other_beats_in_everything() -> None:
    trials = [
        trial("cheap", 0.80, us=10.0),
        trial("beaten", 0.79, us=20.0),  # cheap is more right and faster
        trial("right", 0.95, us=90.0),
        trial("small", 0.70, us=80.0, kib=10.0),  # slow and often wrong, but nothing is smaller
        trial("light", 0.60, us=85.0, rss=5.0),
    ]
    assert names(pareto_front(trials)) == ["right", "cheap", "small", "light"]


def test_differences_below_what_can_be_measured_do_not_keep_a_model_on_the_front() -> None:
    # 101 and 104 µs are both 1.0e2; 20.1 and 19.9 MiB are both 20.
    trials = [trial("right", 0.9, us=104.0, rss=20.1), trial("noise", 0.8, us=101.0, rss=19.9)]
    assert names(pareto_front(trials)) == ["right"]


def test_of_equal_models_the_front_shows_the_first() -> None:
    assert names(pareto_front([trial("first", 0.9), trial("second", 0.9)])) == ["first"]


def test_what_was_never_judged_is_on_no_front() -> None:
    assert pareto_front([trial("left out", None)]) == []


def test_the_simplest_within_one_standard_error_is_recommended() -> None:
    trials = [
        trial("best", 0.950, numbers=9000, error=0.010),
        trial("edge", 0.940, numbers=500),  # exactly one standard error below
        trial("below", 0.939, numbers=10),
        trial("between", 0.945, numbers=2000),
    ]
    assert best_trial(trials).features == "best"
    assert one_standard_error(trials).features == "edge"


def test_without_an_error_only_equals_of_the_best_are_as_good() -> None:
    trials = [trial("best", 1.0, numbers=900, error=0.0), trial("less", 0.999, numbers=1)]
    assert one_standard_error(trials).features == "best"
    assert one_standard_error([*trials, trial("same", 1.0, numbers=800, error=0.0)]).features == "same"


def test_of_equally_simple_models_the_faster_is_taken() -> None:
    assert one_standard_error([trial("slow", 0.9, us=60.0), trial("fast", 0.9, us=40.0)]).features == "fast"


def test_of_two_heads_on_one_graph_the_one_that_is_right_more_often_is_taken() -> None:
    assert one_standard_error([trial("ridge", 0.90), trial("logistic", 0.91)]).features == "logistic"


def test_the_error_counts_units_and_not_windows() -> None:
    # Two people of 50 windows, one always right, one never: 0.5 with an error of 0.5, not of 0.05.
    is_right = np.repeat([True, False], 50)
    by_person = accuracy_with_error(is_right, np.repeat([0, 1], 50))
    assert by_person.value == 0.5
    assert by_person.standard_error == pytest.approx(0.5)
    by_window = accuracy_with_error(is_right, np.arange(100))
    assert by_window.standard_error == pytest.approx((0.25 / 99) ** 0.5)


def test_the_error_of_units_of_unequal_size_by_hand() -> None:
    # share 4/6; units of 4 (3 right) and 2 (1 right): excess 3 - 8/3 = 1/3 and 1 - 4/3 = -1/3; 2 * 2/9 / 36 = 1/81.
    found = accuracy_with_error(np.array([True, True, True, False, True, False]), np.array([7, 7, 7, 7, 3, 3]))
    assert found.value == pytest.approx(4 / 6)
    assert found.standard_error == pytest.approx(1 / 9)


def test_one_unit_alone_is_judged_by_its_windows() -> None:
    one = accuracy_with_error(np.array([True, False, True, True]), np.zeros(4, np.int64))
    assert one.standard_error == pytest.approx((0.75 * 0.25 / 3) ** 0.5)
    assert accuracy_with_error(np.array([True]), np.array([5])).standard_error == 0.0


def test_nothing_to_choose_from_is_said() -> None:
    with pytest.raises(ValueError, match="at least one that was judged"):
        one_standard_error([trial("left out", None)])
    with pytest.raises(ValueError, match="at least one window"):
        accuracy_with_error(np.array([], bool), np.array([], np.int64))
