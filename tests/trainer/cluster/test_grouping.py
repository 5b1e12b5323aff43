"""From windows to groups: the kinds that are there are found, described, and the same for the same seed."""

from dataclasses import replace

import numpy as np
import pytest

from tests.trainer.cluster.streams import plant_windows, quiet
from trainer.cluster import ClusterOptions, group_windows
from trainer.cluster.agreement import adjusted_rand
from trainer.cluster.options import Method
from trainer.cluster.typical import sparkline, typical_features
from trainer.data.examples import example_windows
from trainer.errors import DatasetError


@pytest.mark.parametrize("method", ["kmeans", "mixture"])
def test_the_three_kinds_of_a_plant_are_found_without_a_label(method: Method) -> None:
    data, kinds = plant_windows()
    found = group_windows(data, ClusterOptions(method=method, max_groups=6), quiet)
    assert found.model.n_groups == 3
    assert adjusted_rand(found.labels, kinds) > 0.95
    assert found.unit == "device"
    assert [item.n_groups for item in found.evidence] == [1, 2, 3, 4, 5, 6]
    assert found.chosen_evidence.n_groups == 3
    for group in found.groups:
        members = np.flatnonzero(found.labels == group.number)
        assert group.n_windows == len(members)
        assert group.medoid in members
        assert group.units == 4
        assert group.typical


def test_the_medoid_is_the_window_nearest_to_the_mean_of_its_group() -> None:
    data, _ = plant_windows()
    found = group_windows(data, ClusterOptions(n_groups=3), quiet)
    places = found.placement.places
    for group in found.groups:
        members = np.flatnonzero(found.labels == group.number)
        distances = np.linalg.norm(places[members] - places[members].mean(axis=0), axis=1)
        assert group.medoid == members[distances.argmin()]


def test_groups_are_numbered_by_size() -> None:
    data, _ = plant_windows(n_per_kind=50)
    smaller = data.take(np.sort(np.random.default_rng(0).choice(len(data), 120, replace=False)))
    sizes = [group.n_windows for group in group_windows(smaller, ClusterOptions(n_groups=3), quiet).groups]
    assert sizes == sorted(sizes, reverse=True)
    assert sum(sizes) == 120


def test_a_broken_window_is_named_as_the_least_typical_one() -> None:
    data, _ = plant_windows()
    windows = data.windows.copy()
    windows[17] = 40.0 * np.sign(np.random.default_rng(0).normal(size=windows[17].shape))
    found = group_windows(replace(data, windows=windows), ClusterOptions(n_groups=3), quiet)
    assert found.outliers[0] == 17


def test_outliers_share_no_samples() -> None:
    data = example_windows(n_recordings=4, windows_per_recording=20)
    found = group_windows(data, ClusterOptions(n_groups=2), quiet)
    near = [
        (a, b)
        for a in found.outliers
        for b in found.outliers
        if a < b and data.recordings[a] == data.recordings[b] and abs(data.starts[a] - data.starts[b]) < 32
    ]
    assert len(found.outliers) == 5
    assert near == []


def test_the_seed_decides_and_labels_do_not() -> None:
    data, kinds = plant_windows()
    one = group_windows(data, ClusterOptions(max_groups=4), quiet)
    labelled = replace(data, class_indices=kinds, classes=("a", "b", "c"))
    same = group_windows(labelled, ClusterOptions(max_groups=4), quiet)
    assert one.labels.tobytes() == same.labels.tobytes()
    assert one.evidence == same.evidence or repr(one.evidence) == repr(same.evidence)
    assert one.model.centers.tobytes() == same.model.centers.tobytes()


def test_missing_values_and_constant_channels_are_borne() -> None:
    data, kinds = plant_windows()
    windows = data.windows.copy()
    windows[:, 1] = 5.0
    windows[::7, 0, :5] = np.nan
    found = group_windows(replace(data, windows=windows), ClusterOptions(n_groups=3), quiet)
    assert adjusted_rand(found.labels, kinds) > 0.8
    assert not any("acc_y" in words and "min" in words for group in found.groups for words in group.typical)


@pytest.mark.parametrize(
    ("options", "n_windows", "message"),
    [
        (ClusterOptions(n_groups=9), 5, "at least 9 windows expected for 9 groups, got 5"),
        (ClusterOptions(n_groups=1), 60, "--groups: 2 or more expected, or auto, got 1"),
        (ClusterOptions(max_groups=1), 60, "--max-groups: 2 or more expected, got 1"),
        (ClusterOptions(), 1, "at least 2 windows expected for 2 groups, got 1"),
        (ClusterOptions(features="wavelets"), 60, "--features wavelets does not do"),
    ],
)
def test_what_cannot_be_grouped_is_one_line(options: ClusterOptions, n_windows: int, message: str) -> None:
    data, _ = plant_windows()
    with pytest.raises(DatasetError) as caught:
        group_windows(data.take(np.arange(n_windows)), options, quiet)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_windows_that_are_all_the_same_cannot_be_grouped() -> None:
    data, _ = plant_windows()
    same = replace(data, windows=np.repeat(data.windows[:1], len(data), axis=0))
    with pytest.raises(DatasetError, match="windows that differ expected, got 180 whose features are all the same"):
        group_windows(same, ClusterOptions(), quiet)
    two = replace(data, windows=np.repeat(data.windows[:2], len(data) // 2, axis=0))
    assert group_windows(two, ClusterOptions(), quiet).model.n_groups == 2
    with pytest.raises(DatasetError, match=r"at least 3 windows that differ in their features expected .* got 2"):
        group_windows(two, ClusterOptions(n_groups=3), quiet)


def test_two_windows_are_two_groups() -> None:
    data, kinds = plant_windows()
    pair = data.take(np.array([int(np.flatnonzero(kinds == 0)[0]), int(np.flatnonzero(kinds == 2)[0])]))
    assert group_windows(pair, ClusterOptions(), quiet).model.n_groups == 2


def test_features_are_told_by_how_far_they_are_and_one_a_channel() -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(200, 4))
    features[:50, 0] += 3.0
    features[:50, 1] += 4.0
    features[:50, 2] -= 1.0
    names = ["acc_x.sd", "acc_x.rms", "acc_y.mean", "acc_z.mean"]
    told = typical_features(features, np.arange(50), names, np.zeros(4, bool))
    assert told[:2] == ("acc_x.rms very high", "acc_y.mean low")
    constant = typical_features(features, np.arange(50), names, np.array([False, True, False, False]))
    assert constant[0] == "acc_x.sd very high"
    assert typical_features(features, np.arange(0), names, np.zeros(4, bool)) == ()


def test_a_line_of_blocks_goes_from_low_to_high() -> None:
    assert sparkline(np.arange(8.0), 0.0, 7.0, width=8) == "▁▂▃▄▅▆▇█"
    assert sparkline(np.array([-9.0, 99.0]), 0.0, 1.0) == "▁█"
    assert sparkline(np.full(3, 5.0), 5.0, 5.0) == "▅▅▅"
    assert len(sparkline(np.zeros(500), 0.0, 1.0, width=24)) == 24
