"""`trainer fit` as a person types it: what it can be asked for, what it says, and what it leaves on disk."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from trainer.cli import app
from trainer.data.examples import example_windows
from trainer.export import load_model


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refused(*arguments: str | Path) -> str:
    """The one line of a refusal."""
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight recordings; the first two of each class say the opposite of their label: odd groups."""
    windows = example_windows(n_recordings=8, windows_per_recording=20)
    path = tmp_path_factory.mktemp("data") / "pumps.npz"
    labels = np.where(windows.groups < 1, 1 - windows.class_indices, windows.class_indices)
    np.savez(
        path,
        X=windows.windows,
        y=labels,
        classes=np.array(windows.classes),
        channels=np.array(windows.channels),
        fs=np.asarray(32.0),
        groups=windows.groups,
    )
    return path


def test_groups_are_held_out_alone_and_the_odd_one_is_named(data: Path, tmp_path: Path) -> None:
    arguments = ("fit", data, "--out", tmp_path / "m.onnx", "--features", "statistics", "--folds", "groups")
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)["cross_validated"]
    assert found["split"] == "leave-one-group-out cross-validation"
    assert found["odd_group"] == "group 0"
    assert len(found["groups"]) == 8
    worst = found["groups"][0]
    assert (worst["group"], worst["n_windows"]) == ("group 0", 20)
    assert worst["low"] <= worst["accuracy"] <= worst["high"] < found["accuracy"]
    plain = run(*arguments)
    assert "odd: group 0 with 0.000 of 20 windows" in plain.stdout


def test_an_evaluation_names_the_odd_group_too(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.onnx"
    assert run("fit", data, "--out", out, "--features", "statistics", "--head", "ridge").exit_code == 0
    value = json.loads(run("evaluate", out, data, "--json").stdout)
    assert value["odd_group"] == "group 0"
    assert len(value["groups"]) == 8
    assert "odd: group 0" in run("evaluate", out, data).stdout


@pytest.mark.parametrize(
    ("options", "kind", "blocks"),
    [
        (("--features", "statistics+minirocket:200", "--head", "ridge"), "ridge", ["statistics", "minirocket"]),
        (("--features", "raw", "--head", "mlp", "--hidden", "8,4"), "mlp", ["raw"]),
        (("--features", "raw", "--head", "deep-belief", "--hidden", "8"), "deep-belief", ["raw"]),
    ],
)
def test_features_and_head_are_what_was_asked_for(
    data: Path, tmp_path: Path, options: tuple[str, ...], kind: str, blocks: list[str]
) -> None:
    result = run("fit", data, "--out", tmp_path / "m.onnx", *options, "--false-alarm-rate", "0.05", "--json")
    assert result.exit_code == 0, result.stderr
    card = json.loads(result.stdout)["card"]
    assert card["head"]["kind"] == kind
    assert [block["kind"] for block in card["features"]] == blocks
    assert 0.03 <= card["false_alarm_rate"] <= 0.2
    if kind == "mlp":
        assert card["head"]["hyper_parameters"]["hidden_layer_sizes"] == [8, 4]


def test_weights_are_stored_as_asked(data: Path, tmp_path: Path) -> None:
    arguments = ("--features", "minirocket:1000", "--head", "ridge", "--weights", "int8", "--json")
    result = run("fit", data, "--out", tmp_path / "m.onnx", *arguments)
    assert result.exit_code == 0, result.stderr
    assert any("stored as int8" in note for note in load_model(tmp_path / "m.onnx").card.notes)
    assert json.loads(result.stdout)["bytes"] == (tmp_path / "m.onnx").stat().st_size


def test_a_page_of_the_fit_shows_the_figures_of_held_out_windows(data: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    arguments = ("--features", "statistics", "--head", "ridge", "--report", page, "--json")
    result = run("fit", data, "--out", tmp_path / "m.onnx", *arguments)
    assert result.exit_code == 0, result.stderr
    value = json.loads(result.stdout)
    assert value["report"] == str(page)
    text = page.read_text()
    assert "grouped 5-fold cross-validation" in text
    # The fitted model would be right about more windows of its own training than it was about held-out ones.
    assert f"{value['cross_validated']['accuracy']:.3f}" in text
    assert "http://" not in text.replace("http://www.w3.org", "")


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--features", "wavelets"), "--features: some of raw"),
        (("--features", "minirocket:x"), "--features: minirocket:"),
        (("--hidden", "eight"), "--hidden: whole numbers"),
        (("--folds", "1"), "--folds: 2 to 50, or groups"),
        (("--folds", "each"), "--folds: 2 to 50, or groups"),
        (("--false-alarm-rate", "2"), "--false-alarm-rate: a share between 0 and 1"),
        (("--report", "/no/such/folder/page.html"), "--report: "),
    ],
)
def test_an_option_that_makes_no_sense_is_one_line_and_leaves_no_file(
    data: Path, tmp_path: Path, options: tuple[str, ...], line: str
) -> None:
    assert line in refused("fit", data, "--out", tmp_path / "m.onnx", *options)
    assert list(tmp_path.iterdir()) == []


def test_a_page_never_takes_the_place_of_the_model_or_the_data(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.onnx"
    assert "another file than" in refused("fit", data, "--out", out, "--report", out)
    assert "another file than" in refused("fit", data, "--out", out, "--report", data)
    assert np.load(data)["X"].shape == (160, 2, 32)


def test_without_groups_none_can_be_held_out_and_that_is_one_line(tmp_path: Path) -> None:
    windows = example_windows()
    np.savez(
        tmp_path / "a.npz",
        X=windows.windows,
        y=windows.class_indices,
        classes=np.array(windows.classes),
        channels=np.array(windows.channels),
    )
    line = refused("fit", tmp_path / "a.npz", "--out", tmp_path / "m.onnx", "--folds", "groups")
    assert "--folds groups: at least 2 groups (people, devices, runs) expected, got none" in line
