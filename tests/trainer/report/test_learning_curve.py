"""More groups, better answers; and a split at random that flatters."""

from dataclasses import replace

import numpy as np
import pytest

from signals import IntArray
from trainer.data.examples import example_windows
from trainer.report.learning_curve import Features, learning_curve, reduced


def _nothing(_what: str, _done: int, _of: int) -> None:
    pass


def test_what_only_a_person_has_in_common_is_found_out_as_flattery() -> None:
    # 20 devices, each of one class and with a fingerprint that says nothing of others; no feature tells the class.
    data = example_windows(n_recordings=20, windows_per_recording=10)
    generator = np.random.default_rng(0)
    features = 3.0 * generator.standard_normal((20, 40))[data.groups] + 0.1 * generator.standard_normal((200, 40))
    facts = learning_curve(data, features, seed=0, report=_nothing)
    assert facts.random_accuracy is not None
    assert facts.random_accuracy > 0.95
    assert facts.points[-1].accuracy < 0.8
    assert facts.unit == "device"


def test_points_count_the_units_and_windows_that_were_fitted_on() -> None:
    data = example_windows(n_recordings=16, windows_per_recording=10)
    seen: list[tuple[int, int]] = []

    def majority(fitted: Features, class_indices: IntArray, held_out: Features, n_classes: int) -> Features:
        seen.append((len(fitted), len(held_out)))
        return np.tile(np.bincount(class_indices, minlength=n_classes).astype(np.float64), (len(held_out), 1))

    facts = learning_curve(data, np.zeros((160, 3)), seed=0, report=_nothing, fit_and_score=majority)
    assert facts.points[-1].n_units == 12.0  # 4 folds of 4 devices each
    assert facts.points[-1].n_windows == 120.0
    sizes = [point.n_units for point in facts.points]
    assert sizes == sorted(sizes)
    assert sizes[0] < 4
    assert (120, 40) in seen


def test_a_feature_that_tells_the_class_is_learnt_from_few() -> None:
    data = example_windows(n_recordings=12)
    features = np.stack([data.class_indices * 2.0 - 1.0, np.ones(120)], axis=1)
    facts = learning_curve(data, features, seed=0, report=_nothing)
    assert facts.points[-1].accuracy == 1.0
    assert facts.points[-1].interval == (1.0, 1.0)


def test_windows_without_groups_or_recordings_in_common_have_no_random_split_to_compare() -> None:
    data = example_windows(n_recordings=6)
    single = replace(
        data, groups=np.full(60, -1), group_key=None, recordings=np.arange(60), starts=np.zeros(60, np.int64)
    )
    facts = learning_curve(single, np.asarray(data.class_indices, np.float64)[:, None], seed=0, report=_nothing)
    assert (facts.random_accuracy, facts.unit) == (None, "window")


def test_fewer_components_keep_distances_where_nothing_is_lost() -> None:
    features = np.random.default_rng(0).standard_normal((8, 5)) @ np.random.default_rng(1).standard_normal((5, 40))
    less = reduced(features, limit=7)
    assert less.shape == (8, 7)
    expected = np.linalg.norm(features[0] - features[3])
    assert np.linalg.norm(less[0] - less[3]) == pytest.approx(expected)
