"""``trainer tune`` as a person and as a script use it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from edge_agent.shell.guard import inspect_model
from trainer.cli import app
from trainer.data.examples import example_windows
from trainer.export import load_model


@pytest.fixture(scope="module")
def data_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Windows of six devices, two of them for testing."""
    data = example_windows(n_recordings=6)
    path = tmp_path_factory.mktemp("tune") / "pumps.npz"
    np.savez(
        path,
        X=data.windows,
        y=data.class_indices,
        classes=np.array(data.classes),
        channels=np.array(data.channels),
        fs=np.array(32.0),
        groups=data.groups,
        split=np.where(data.groups >= 4, 1, 0).astype(np.int8),
    )
    return path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["tune", *map(str, arguments)])


def refused(*arguments: str | Path) -> str:
    """The one line of a refusal."""
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return lines[0]


def test_a_search_prints_its_table_and_writes_the_recommended_model_within_the_budget(
    data_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "pumps.onnx"
    asked = ("--features", "statistics,raw", "--heads", "logistic", "--budget-kb", "60", "--weights", "int8")
    result = run(data_file, *asked, "--out", out)
    assert result.exit_code == 0, result.output
    assert "recommended (>)" in result.stdout
    assert "20 test windows were not looked at" in result.stdout
    assert "µs a window" in result.stdout
    for row in ("float32", "float16", "int8"):
        assert row in result.stdout
    content = out.read_bytes()
    card = load_model(out).card
    assert inspect_model(content, "pumps") == card
    assert len(content) / 1024 <= 60
    assert card.name == "pumps"
    assert card.head.kind == "logistic"
    assert sum(card.data.rows_per_class.values()) == 40
    assert any("stored as int8" in note for note in card.notes)
    assert list(tmp_path.iterdir()) == [out]


def test_one_json_document_holds_every_trial_and_the_written_file(data_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "pumps.onnx"
    result = run(data_file, "--features", "raw", "--heads", "logistic,ridge", "--json", "--out", out, "--seed", "3")
    assert result.exit_code == 0, result.output
    told: dict[str, Any] = json.loads(result.stdout)
    assert {(trial["features"], trial["head"]) for trial in told["trials"]} == {("raw", "ridge"), ("raw", "logistic")}
    assert told["recommended"] in told["trials"]
    assert told["recommended"]["cost"]["us_per_window_batch_1"] > 0
    assert told["seed"] == 3
    written = told["written"]
    assert written["digest"] == load_model(out).digest
    assert written["bytes"] == out.stat().st_size
    assert written["out"] == str(out)
    # What was fitted is what was recommended, of the size that its trial was measured with.
    assert written["card"]["head"]["kind"] == told["recommended"]["head"]
    assert [block["kind"] for block in written["card"]["features"]] == ["raw"]
    assert written["cost"]["n_parameters"] == pytest.approx(told["recommended"]["cost"]["n_parameters"], rel=0.1)
    assert {"float32", "float16", "int8"} <= {row["weights"] for row in written["weights"]}


def test_without_out_nothing_is_fitted_or_written(data_file: Path) -> None:
    before = sorted(data_file.parent.iterdir())
    result = run(data_file, "--features", "raw", "--heads", "ridge", "--json")
    assert json.loads(result.stdout)["written"] is None
    assert sorted(data_file.parent.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--budget-us", "0"), "budget-us: a number above 0 expected, got 0"),
        (("--budget-kb", "-3"), "budget-kb: a number above 0 expected, got -3"),
        (("--trials", "0"), "trials: a number above 0 expected, got 0"),
        (("--features", "wavelets"), "got 'wavelets'"),
        (("--heads", "forest"), "got 'forest'"),
        (
            ("--features", "raw", "--budget-us", "0.001"),
            "budget: a model of at most 0.001 µs a window expected, got none",
        ),
        (("--out", "absent/folder/m.onnx"), "a file in a folder that exists expected"),
    ],
)
def test_what_cannot_be_done_is_one_line(data_file: Path, arguments: tuple[str, ...], message: str) -> None:
    assert message in refused(data_file, *arguments)


def test_a_budget_that_nothing_fits_leaves_the_file_that_stood_there(data_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "old.onnx"
    out.write_bytes(b"old")
    refused(data_file, "--features", "raw", "--heads", "ridge", "--budget-us", "0.001", "--out", out)
    assert out.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [out]


def test_the_data_is_never_overwritten(data_file: Path) -> None:
    before = data_file.read_bytes()
    assert "another file than the data expected" in refused(data_file, "--features", "raw", "--out", data_file)
    assert data_file.read_bytes() == before


def test_missing_data_is_one_line(tmp_path: Path) -> None:
    assert "absent.npz" in refused(tmp_path / "absent.npz")
