"""``trainer report`` as a person and as a script use it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tests.trainer.report.made import write_data, write_model
from trainer.cli import app


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["report", *(str(argument) for argument in arguments)])


def refused(*arguments: str | Path) -> str:
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    data = write_data(tmp_path_factory.mktemp("report-cli") / "pumps.npz")
    return write_model(data, data.with_name("pumps.onnx")), data


def test_a_page_is_written_and_the_verdict_is_said(files: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    result = run(*files, "--out", out, "--no-cost")
    assert result.exit_code == 0, result.output
    assert "of groups that the model was not fitted on" in " ".join(result.stdout.split())
    assert f"wrote {out}" in result.stdout
    assert out.read_text().startswith("<!doctype html>")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_json_is_one_document_and_pictures_are_of_this_run(files: tuple[Path, Path], tmp_path: Path) -> None:
    result = run(*files, "--out", tmp_path / "page.html", "--pictures", tmp_path, "--no-cost", "--json")
    found = json.loads(result.stdout)
    assert 0.5 < found["figures"]["accuracy"]["value"] < 1.0
    names = {Path(place).name for place in found["pictures"]}
    assert {"confusion.png", "calibration.png", "map.png", "worst-1.png"} <= names
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


def test_training_rows_are_judged_only_with_a_warning(files: tuple[Path, Path], tmp_path: Path) -> None:
    result = run(*files, "--out", tmp_path / "page.html", "--split", "train", "--no-cost", "--json")
    assert "too good" in json.loads(result.stdout)["warnings"][0]


def test_a_page_that_cannot_be_written_is_refused_before_any_work(files: tuple[Path, Path], tmp_path: Path) -> None:
    assert "a file in a folder that exists expected" in refused(*files, "--out", tmp_path)
    assert "a file in a folder that exists expected" in refused(*files, "--out", tmp_path / "no" / "page.html")
    assert "a folder that exists expected" in refused(
        *files, "--out", tmp_path / "p.html", "--pictures", tmp_path / "no"
    )
    assert list(tmp_path.iterdir()) == []


def test_neither_model_nor_data_is_overwritten(files: tuple[Path, Path]) -> None:
    before = [path.read_bytes() for path in files]
    assert "another file than" in refused(*files, "--out", files[0])
    assert "another file than" in refused(*files, "--out", files[1])
    assert [path.read_bytes() for path in files] == before


def test_data_that_does_not_fit_is_refused_and_the_old_page_stays(files: tuple[Path, Path], tmp_path: Path) -> None:
    out, other = tmp_path / "page.html", tmp_path / "other.npz"
    out.write_text("old")
    np.savez(
        other, X=np.zeros((3, 1, 4), np.float32), y=np.zeros(3, int), classes=["a"], channels=["z"], fs=np.asarray(1.0)
    )
    assert "channels: x, y expected" in refused(files[0], other, "--out", out)
    assert "a readable model file expected" in refused(tmp_path / "none.onnx", files[1], "--out", out)
    assert out.read_text() == "old"
