"""From a file to groups, labels, a model and a page: what was found is what is written, and labels decide nothing."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_agent.shell.guard import inspect_model
from schemas import LabelEvent
from tests.trainer.cluster.streams import KINDS, Arrays, plant, plant_windows, quiet
from trainer.cluster import ClusterOptions, ClusterResult, Files, cluster_file
from trainer.cluster.agreement import adjusted_rand
from trainer.cluster.exporting import fit_confidence, fit_group_novelty
from trainer.cluster.options import Method
from trainer.data import CutOptions, cut_source, plan_cut, read_source
from trainer.errors import DatasetError
from trainer.evaluate.predictions import predictions
from trainer.export import load_model

OPTIONS = ClusterOptions(max_groups=5, name="plant")


def saved(folder: Path, arrays: Arrays) -> Path:
    path = folder / "plant.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]  # numpy's stub takes any keyword for allow_pickle
    return path


def clustered(path: Path, options: ClusterOptions = OPTIONS, files: Files | None = None) -> ClusterResult:
    return cluster_file(path, CutOptions(window_s=1.0), options, files if files is not None else Files(), quiet)


def test_the_kinds_of_a_plant_are_found_and_agree_with_its_labels(tmp_path: Path) -> None:
    found = clustered(saved(tmp_path, plant()))
    assert found.grouping.model.n_groups == 3
    assert found.agreement is not None
    assert found.agreement.adjusted_rand > 0.95
    assert found.agreement.classes == KINDS
    assert sum(map(sum, found.agreement.counts)) == found.agreement.n_windows <= len(found.grouping.data)
    plain = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert plain["n_groups"] == 3
    assert [group["n_windows"] for group in plain["groups"]] == [group.n_windows for group in found.grouping.groups]
    assert plain["groups"][0]["medoid"]["device"].startswith("run-")
    assert plain["groups"][0]["medoid"]["start"].startswith("2023-11-")


def test_labels_decide_nothing(tmp_path: Path) -> None:
    with_labels = clustered(saved(tmp_path, plant()))
    without = clustered(saved(tmp_path, plant(labelled=False)))
    assert without.agreement is None
    assert with_labels.grouping.labels.tobytes() == without.grouping.labels.tobytes()
    # Windows that hold two kinds have no label, and are grouped all the same.
    assert with_labels.agreement is not None
    assert with_labels.agreement.n_windows < len(with_labels.grouping.data)


def test_windows_for_testing_are_not_looked_at(tmp_path: Path) -> None:
    arrays = plant()
    arrays["split"] = (arrays["run"] >= 4).astype(np.int8)
    found = clustered(saved(tmp_path, arrays))
    assert set(found.grouping.data.groups.tolist()) == {0, 1, 2, 3}
    assert any("test windows were not looked at" in remark for remark in found.remarks)


@pytest.mark.parametrize("method", ["kmeans", "mixture"])
def test_the_model_gives_every_window_its_group_in_trainer_and_gateway(tmp_path: Path, method: Method) -> None:
    path, out = saved(tmp_path, plant()), tmp_path / "plant.onnx"
    options = ClusterOptions(n_groups=3, max_groups=4, method=method, name="plant", names={0: "zero"})
    found = clustered(path, options, Files(model=out))
    loaded = load_model(out)
    inspect_model(out.read_bytes(), str(out))
    assert loaded.card.classes == ["zero", "group 1", "group 2"]
    assert loaded.card.head.kind == "clusters"
    assert loaded.card.unsure_below < 1.0
    assert {"silhouette", "stability", "adjusted_rand"} <= {metric.name for metric in loaded.card.metrics}
    answers = loaded.run(found.grouping.data.windows)
    assert (answers.labels == found.grouping.labels).mean() > 0.995
    assert np.median(answers.probabilities.max(axis=1)) > 0.8
    assert (answers.novelty > 1.0).mean() < 0.05
    events = [LabelEvent.model_validate(event) for event in predictions(loaded, read_source(path), "all")]
    assert len(events) >= len(found.grouping.data)
    strange = 30.0 * np.random.default_rng(0).normal(size=(20, 2, 32)).astype(np.float32)
    assert (loaded.run(strange).novelty > 1.0).all()


def test_the_same_file_and_seed_give_the_same_model_and_page(tmp_path: Path) -> None:
    path = saved(tmp_path, plant(n_devices=3, stretch_s=10))
    contents = []
    for _ in range(2):
        files = Files(tmp_path / "labels.npz", tmp_path / "plant.onnx", tmp_path / "plant.html")
        clustered(path, ClusterOptions(n_groups=3, max_groups=3, names={0: "a", 1: "b"}), files)
        contents.append([part.read_bytes() for part in (files.labels, files.model, files.page) if part is not None])
    assert contents[0] == contents[1]


def test_named_groups_become_labels_that_the_trainer_cuts_and_counts(tmp_path: Path) -> None:
    out = tmp_path / "labels.npz"
    found = clustered(
        saved(tmp_path, plant()),
        ClusterOptions(n_groups=3, max_groups=3, names={0: "on", 1: "on", 2: "off"}),
        Files(labels=out),
    )
    source = read_source(out)
    windows, _ = cut_source(source, plan_cut(source, CutOptions()))
    assert windows.classes == ("on", "off")
    assert windows.class_indices.tolist() == np.array([0, 0, 1])[found.grouping.labels].tolist()
    assert found.written["labels"].endswith(f"{len(windows)} of {len(windows)} windows named on, off")


def test_intervals_lie_on_the_devices_and_times_of_the_stream(tmp_path: Path) -> None:
    arrays, out = plant(n_devices=3), tmp_path / "labels.csv"
    found = clustered(
        saved(tmp_path, arrays), ClusterOptions(n_groups=3, max_groups=3, names={0: "a", 1: "b", 2: "c"}), Files(out)
    )
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert {row["device"] for row in rows} == set(found.places.devices)
    # Three stretches a device; a window across two of them may be a stretch of its own.
    assert 9 <= len(rows) <= 15
    kinds = arrays["y"]
    times = arrays["t"]
    for row in rows:
        start, end = (np.datetime64(row[key].rstrip("Z"), "us").astype(np.int64) / 1e6 for key in ("start", "end"))
        inside = kinds[(times >= start) & (times < end)]
        assert np.bincount(inside).max() > 0.6 * len(inside)


def test_the_page_shows_evidence_groups_windows_and_nothing_from_outside(tmp_path: Path) -> None:
    out = tmp_path / "groups.html"
    names = {0: "<script>alert(1)</script>"}
    clustered(saved(tmp_path, plant()), ClusterOptions(n_groups=3, max_groups=4, names=names), Files(page=out))
    page = out.read_text()
    assert page.startswith("<!doctype html>")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    for words in (
        "How many groups?",
        "A typical window of each group",
        "Map of the windows",
        "least typical",
        "group 2",
    ):
        assert words in page
    assert page.count("<svg") >= 2 + 3 + 1 + 5


@pytest.mark.parametrize(
    ("options", "files", "message"),
    [
        (ClusterOptions(n_groups=3, names={99: "x"}), {}, "--name 99=x: a group from 0 to 2 expected"),
        (ClusterOptions(max_groups=3, names={99: "x"}), {}, "--name 99=x: a group from 0 to"),
        (ClusterOptions(n_groups=2, max_groups=2), {"labels": "l.npz"}, "at least one group with a name expected"),
        (ClusterOptions(n_groups=2), {"labels": "l.txt"}, "ends in .npz or .csv"),
        (ClusterOptions(n_groups=2), {"model": "no/m.onnx"}, "a file in a folder that exists expected"),
        (ClusterOptions(n_groups=2), {"page": "plant.npz"}, "another file than the data expected"),
        (
            ClusterOptions(n_groups=2, max_groups=2, names={0: "a", 1: "a"}),
            {"model": "m.onnx"},
            "a model of at least 2 classes expected, got one ('a')",
        ),
    ],
)
def test_what_cannot_be_done_is_said_and_no_file_is_left(
    tmp_path: Path, options: ClusterOptions, files: dict[str, str], message: str
) -> None:
    path = saved(tmp_path, plant(n_devices=2, stretch_s=10))
    before = path.read_bytes()
    with pytest.raises(DatasetError) as caught:
        clustered(path, options, Files(**{key: tmp_path / name for key, name in files.items()}))
    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == before


def test_a_confidence_is_the_chance_that_other_devices_would_have_said_the_same(tmp_path: Path) -> None:
    clear = clustered(saved(tmp_path, plant()), ClusterOptions(n_groups=3, max_groups=3))
    # One kind cut into six groups: halves cannot agree on them, and the scores must be worth less.
    vague = clustered(saved(tmp_path, plant()), ClusterOptions(n_groups=9, max_groups=9))
    sure, unsure = (
        np.exp(scores / fit_confidence(one.grouping).temperature)
        for one in (clear, vague)
        for scores in [one.grouping.model.logits(one.grouping.placement.places)]
        for scores in [scores - scores.max(axis=1, keepdims=True)]
    )
    assert np.median(1.0 / sure.sum(axis=1)) > np.median(1.0 / unsure.sum(axis=1)) + 0.05


def test_the_false_alarm_rate_is_met_by_devices_that_were_held_out() -> None:
    data, kinds = plant_windows(n_per_kind=400, n_devices=8)
    features = data.windows.reshape(len(data), -1).astype(np.float64)
    novelty = fit_group_novelty(data, features, kinds)
    fresh, _ = plant_windows(n_per_kind=400, seed=9)
    assert novelty.false_alarm_rate == pytest.approx(0.01)
    assert (novelty.novelty(fresh.windows.reshape(len(fresh), -1).astype(np.float64)) > 1.0).mean() < 0.03


def test_each_device_counts_alike_when_false_alarms_are_counted() -> None:
    data, kinds = plant_windows(n_per_kind=400, n_devices=8)
    # One quiet device sends nine windows of ten; the other seven are noisier, each window as much as it happens.
    rows = np.arange(len(data))
    devices = np.where(rows % 10 == 0, rows // 10 % 7, 7)
    generator = np.random.default_rng(1)
    noise = generator.exponential(size=(len(data), 1)) * generator.normal(size=(len(data), 64))
    features = data.windows.reshape(len(data), -1).astype(np.float64) + noise * (devices < 7)[:, None]
    novelty = fit_group_novelty(replace(data, groups=devices), features, kinds)
    is_novel = novelty.novelty(features) > 1.0
    rates = np.bincount(devices, is_novel) / np.bincount(devices)
    assert rates.mean() <= 0.02


@pytest.mark.real_data
def test_people_at_rest_and_in_motion_are_the_two_groups_of_uci_har(datasets: Path) -> None:
    source = read_source(datasets / "uci_har.npz")
    data, _ = cut_source(source, plan_cut(source, CutOptions()))
    rows = np.flatnonzero((data.split == 0) & (data.groups <= 8))
    from trainer.cluster.pipeline import cluster
    from trainer.cluster.places import WindowPlaces

    few = data.take(rows)
    found = cluster(few, WindowPlaces(few, ()), ClusterOptions(features="statistics", max_groups=4), quiet)
    assert found.grouping.model.n_groups == 2
    is_moving = np.isin(few.class_indices, [0, 1, 2]).astype(np.int64)
    assert adjusted_rand(found.grouping.labels, is_moving) > 0.95
