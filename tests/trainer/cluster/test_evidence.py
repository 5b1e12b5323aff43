"""Evidence for the number of groups: beside scikit-learn, on groups that are there, and on groups that are not."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import make_blobs
from sklearn.metrics import silhouette_score

from tests.trainer.cluster.streams import plant_windows, quiet
from trainer.cluster.evidence import Evidence, choose, doubts, gap_statistic, gather_evidence, silhouette
from trainer.cluster.models import GroupSetting
from trainer.cluster.options import Method

NAN = float("nan")


def evidence(n_groups: int, **figures: float) -> Evidence:
    usual = {
        "silhouette": 0.5,
        "gap": 1.0,
        "gap_error": 0.01,
        "bic": NAN,
        "stability": 0.9,
        "stability_error": 0.01,
        "smallest_share": 0.2,
    }
    return Evidence(n_groups=n_groups, **(usual | figures))


@pytest.mark.parametrize("n_groups", [2, 4, 7])
def test_the_silhouette_is_that_of_scikit_learn(n_groups: int) -> None:
    places, labels = make_blobs(150, n_features=4, centers=n_groups, cluster_std=3.0, random_state=1)
    assert silhouette(places, labels) == pytest.approx(silhouette_score(places, labels), abs=1e-9)


def test_the_silhouette_of_a_single_window_is_zero_and_of_one_group_unknown() -> None:
    places = np.array([[0.0], [1.0], [9.0]])
    # (1 alone in its group: 0) and two neighbours: (b - a) / b with a = 1, b = 9 and 8.
    assert silhouette(places, np.array([0, 0, 1])) == pytest.approx((8 / 9 + 7 / 8 + 0.0) / 3)
    assert np.isnan(silhouette(places, np.zeros(3, int)))
    assert silhouette(np.zeros((4, 2)), np.array([0, 0, 1, 1])) == 0.0


def test_the_gap_is_largest_at_the_groups_that_are_there_and_flat_in_noise() -> None:
    places, _ = make_blobs(300, n_features=2, centers=[[0, 0], [10, 0], [0, 10]], random_state=0)
    gaps = [gap_statistic(places, k, seed=0)[0] for k in (1, 2, 3)]
    assert gaps[2] > gaps[1] + 0.3 > gaps[0] + 0.3
    noise = np.random.default_rng(0).uniform(size=(300, 2))
    flat = [gap_statistic(noise, k, seed=0)[0] for k in (1, 2, 3)]
    assert np.ptp(flat) < 0.1


@pytest.mark.parametrize("method", ["kmeans", "mixture"])
@pytest.mark.parametrize("n_groups", [2, 3, 5])
def test_groups_that_are_there_are_counted(n_groups: int, method: Method) -> None:
    data, _ = plant_windows(n_per_kind=60 * n_groups // 3, n_devices=5)
    generator = np.random.default_rng(2)
    centres = 8.0 * np.eye(5)[:n_groups]
    places = centres[np.arange(len(data)) % n_groups] + generator.normal(size=(len(data), 5))
    # Devices must not be groups: 5 devices and 5 groups would go in step.
    data = replace(data, groups=np.sort(data.groups))
    found = gather_evidence(data, places, range(1, 8), GroupSetting(method, "diag", 0), quiet)
    choice = choose(found, method, "device")
    assert choice.n_groups == n_groups
    assert len(choice.reasons) == 2
    assert found[n_groups - 1].stability > 0.98
    assert found[n_groups - 1].smallest_share == pytest.approx(1.0 / n_groups, abs=0.02)


def test_one_cloud_is_said_to_be_one() -> None:
    data, _ = plant_windows(n_per_kind=80)
    places = np.random.default_rng(0).normal(size=(len(data), 4))
    found = gather_evidence(data, places, range(1, 6), GroupSetting("kmeans", "diag", 0), quiet)
    choice = choose(found, "kmeans", "device")
    assert any("the gap statistic sees no groups at all" in reason for reason in choice.reasons)


def test_a_group_that_is_one_device_is_no_stable_group() -> None:
    data, _ = plant_windows(n_per_kind=60, n_devices=2)
    generator = np.random.default_rng(0)
    # Two states on both devices, and an offset of the second device that is larger than the states.
    states = np.arange(len(data)) // 2 % 2
    places = np.stack([4.0 * states, 9.0 * data.groups], axis=1) + generator.normal(size=(len(data), 2))
    found = gather_evidence(data, places, range(1, 5), GroupSetting("kmeans", "diag", 0), quiet)
    # Halves are the two devices: each sees its own two states, and cannot agree about the other device.
    assert found[1].stability < 0.9


def test_the_choice_is_the_clearest_of_the_most_stable_ones() -> None:
    found = [
        evidence(1, silhouette=NAN, stability=NAN, gap=0.1),
        evidence(2, stability=0.99, silhouette=0.4),
        evidence(3, stability=0.97, silhouette=0.6),
        evidence(4, stability=0.80, silhouette=0.9),
    ]
    choice = choose(found, "kmeans", "device")
    assert choice.n_groups == 3
    assert choice.reasons[0] == "most stable between halves that share no device: 2, 3 groups"
    # A wide standard error makes more of them equal.
    found[1] = evidence(2, stability=0.99, silhouette=0.4, stability_error=0.2)
    assert choose(found, "kmeans", "device").n_groups == 4


def test_of_mixtures_the_least_bic_decides_and_without_halves_the_silhouette() -> None:
    found = [evidence(k, stability=0.9, bic=bic) for k, bic in ((1, 9.0), (2, 5.0), (3, 4.0), (4, 6.0))]
    assert choose(found, "mixture", "device").n_groups == 3
    alone = [evidence(k, stability=NAN, stability_error=NAN, silhouette=s) for k, s in ((2, 0.2), (3, 0.5))]
    choice = choose(alone, "kmeans", "recording")
    assert choice.n_groups == 3
    assert choice.reasons[0] == "stability unknown: all windows are of one recording"


def test_doubts_are_spoken() -> None:
    single = evidence(1, gap=2.0)
    assert doubts(evidence(2, gap=1.0), [single])[0].startswith("the gap statistic sees no groups at all")
    assert doubts(evidence(2, gap=3.0), [single]) == ()
    assert "agree on these groups with 0.20 only" in doubts(evidence(2, stability=0.2), [])[0]
    assert "silhouette 0.05" in doubts(evidence(2, silhouette=0.05), [])[0]


def test_figures_that_cannot_be_had_are_null_in_json() -> None:
    plain = evidence(2).as_dict()
    assert plain["bic"] is None
    assert plain["silhouette"] == 0.5
