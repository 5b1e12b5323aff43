"""The card of a fit is complete, comes back from the file, and says what was measured and how."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from schemas import CARD_METADATA_KEY, parse_card
from trainer.data import CutOptions, WindowedData, read_source
from trainer.data.examples import example_windows
from trainer.data.plan import CutPlan
from trainer.errors import DatasetError
from trainer.evaluate.model import evaluate_model
from trainer.export import export_model, load_model
from trainer.fit import FitOptions, fit, fit_file, model_card


def silent(_what: str, _done: int, _of: int) -> None:
    """Report to nobody."""


def plan_of(data: WindowedData) -> CutPlan:
    return CutPlan(data.window_length, data.hop_length, data.sampling_rate_hz, "nearest", None, None, 0.8)


def saved(path: Path, data: WindowedData) -> Path:
    np.savez(
        path,
        X=data.windows,
        y=data.class_indices,
        classes=np.array(data.classes),
        channels=np.array(data.channels),
        fs=np.asarray(32.0),
        groups=data.groups,
    )
    return path


def test_the_card_is_complete_and_comes_back_from_the_file(tmp_path: Path) -> None:
    data = replace(example_windows(n_recordings=6), sampling_rate_hz=None)
    result = fit(data, FitOptions(features="spectral", head="logistic", name="toy", seed=7), silent)
    card = model_card(result, plan_of(data))
    export_model(result.model, card, tmp_path / "m.onnx", data.windows, data.class_indices)
    found = load_model(tmp_path / "m.onnx").card
    assert parse_card(found.model_dump_json(), CARD_METADATA_KEY) == found
    assert (found.name, found.classes, found.channel_names) == ("toy", ["slow", "fast"], ["x", "y"])
    assert (found.window_length, found.hop_length, found.sampling_rate_hz) == (32, 16, None)
    assert found.channels[0].unit == "m/s2"
    assert any("classifies windows, not streams" in note for note in found.notes)
    assert found.data.rows_per_class == {"slow": 30, "fast": 30}
    assert (found.data.group_key, found.data.n_groups, found.data.seed) == ("device", 6, 7)
    assert found.data.sha256 == data.sha256()
    assert set(found.data.libraries) == {"numpy", "scipy", "onnx", "onnxruntime"}
    accuracy = next(metric for metric in found.metrics if metric.name == "accuracy")
    assert accuracy.split == "grouped 5-fold cross-validation"
    assert accuracy.low is not None
    assert accuracy.high is not None
    assert accuracy.low <= accuracy.value <= accuracy.high
    assert found.head.hyper_parameters["C"] > 0
    assert found.golden


def test_figures_of_groups_and_of_a_random_split_are_plain_json(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.npz", example_windows(n_recordings=6))
    made = fit_file(path, tmp_path / "m.onnx", CutOptions(), FitOptions(features="statistics", head="ridge"), silent)
    value = json.loads(json.dumps(made.as_dict(), allow_nan=False))["cross_validated"]
    assert [sorted(group) for group in value["groups"]] == [["accuracy", "group", "high", "low", "n_windows"]] * 6
    assert value["odd_group"] is None
    assert value["split"] == "grouped 5-fold cross-validation"
    assert value["random_split"]["grouped_accuracy"] == value["accuracy"]


@pytest.mark.parametrize("weights", ["float16", "int8"])
def test_smaller_weights_are_on_the_card_and_in_the_file(tmp_path: Path, weights: str) -> None:
    path = saved(tmp_path / "a.npz", example_windows(n_recordings=6))
    options = FitOptions(features="minirocket:2000", head="ridge")
    whole = fit_file(path, tmp_path / "whole.onnx", CutOptions(), options, silent)
    small = fit_file(
        path,
        tmp_path / "m.onnx",
        CutOptions(),
        replace(options, weights="int8" if weights == "int8" else "float16"),
        silent,
    )
    assert small.n_bytes == (tmp_path / "m.onnx").stat().st_size < whole.n_bytes
    assert small.digest == load_model(tmp_path / "m.onnx").digest != whole.digest
    [note] = [note for note in small.card.notes if f"stored as {weights}" in note]
    assert note in small.remarks


def test_where_smaller_weights_gain_nothing_the_file_stays_as_it_is_and_that_is_said(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.npz", example_windows(n_recordings=6, window_length=4))
    options = FitOptions(features="raw", head="ridge", weights="int8")
    made = fit_file(path, tmp_path / "m.onnx", CutOptions(), options, silent)
    assert any(remark.startswith("weights stay float32: ") for remark in made.remarks)
    assert load_model(tmp_path / "m.onnx").digest == made.digest


def test_a_name_that_no_card_can_hold_is_refused() -> None:
    data = example_windows()
    result = fit(data, FitOptions(features="statistics", head="ridge", name="Not a slug"), silent)
    with pytest.raises(DatasetError, match="model card: name"):
        model_card(result, plan_of(data))


@pytest.mark.real_data
@pytest.mark.slow
def test_uci_har_of_people_never_seen(datasets: Path, tmp_path: Path) -> None:
    path = datasets / "uci_har.npz"
    if not path.is_file():
        pytest.skip(f"{path.name} is not among the recordings")
    made = fit_file(path, tmp_path / "m.onnx", CutOptions(), FitOptions(features="edge", name="har"), silent)
    judged = evaluate_model(load_model(tmp_path / "m.onnx"), read_source(path), "test")
    assert judged.evaluation.n_windows == 2947
    assert judged.evaluation.accuracy >= 0.95
    # Calibrated on people that were held out, it holds for people that were not there.
    assert judged.evaluation.ece <= 0.03
    assert made.evaluation.ece <= 0.03
    # Windows of one person resemble each other, and a random split would have hidden it.
    assert made.result.flattery is not None
    assert made.result.flattery.flatters
