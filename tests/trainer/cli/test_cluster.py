"""``trainer cluster`` as a person and as a script use it: tables or JSON, refusals in one line, exit 0 or 2."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tests.trainer.cluster.streams import Arrays, plant
from trainer.cli import app


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def saved(path: Path, arrays: Arrays) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]  # numpy's stub takes any keyword for allow_pickle
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return saved(tmp_path / "plant.npz", plant(n_devices=4, stretch_s=10, labelled=False))


def test_groups_are_named_fitted_and_recognised(data: Path, tmp_path: Path) -> None:
    """The whole way: group, look, name, fit a model on the names, and ask it."""
    labels, model = tmp_path / "labels.npz", tmp_path / "named.onnx"
    found = run("cluster", data, "--window", "1", "--max-groups", "4", "--json")
    assert found.exit_code == 0, found.output
    groups = json.loads(found.stdout)["groups"]
    assert len(groups) == 3
    named = run(
        *("cluster", data, "--window", "1", "--groups", "3", "--max-groups", "3", "--labels", labels),
        *("--name", "0=a", "--name", "1=b", "--name", "2=c"),
    )
    assert named.exit_code == 0, named.output
    assert f"wrote {labels}" in named.stdout
    fitted = run("fit", labels, "--out", model, "--features", "statistics", "--json")
    assert fitted.exit_code == 0, fitted.output
    card = json.loads(fitted.stdout)["card"]
    assert card["classes"] == ["a", "b", "c"]
    assert sum(card["rows_per_class"].values()) == sum(group["n_windows"] for group in groups)


def test_a_person_sees_evidence_groups_and_signals(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "groups.onnx"
    result = run(
        "cluster", data, "--window", "1", "--groups", "3", "--max-groups", "4", "--name", "1=busy", "--out", out
    )
    assert result.exit_code == 0, result.output
    for words in ("How many groups?", "→ 3", "3 groups as asked", "busy", "acc_x", "least typical windows", "sha256"):
        assert words in result.stdout
    assert any(line.strip().startswith("acc_x") and set(line) & set("▁▂▃▄▅▆▇█") for line in result.stdout.splitlines())
    inspected = run("inspect", out, "--json")
    assert json.loads(inspected.stdout)["card"]["head"]["kind"] == "clusters"
    assert run("predict", out, data).exit_code == 0


def test_a_mixture_shows_its_bic_and_labels_their_agreement(tmp_path: Path) -> None:
    data = saved(tmp_path / "plant.npz", plant(n_devices=3, stretch_s=10))
    result = run("cluster", data, "--window", "1", "--method", "mixture", "--max-groups", "4")
    assert result.exit_code == 0, result.output
    assert "BIC" in result.stdout
    assert "adjusted Rand" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--groups", "some"), "--groups: a number such as 4, or auto, expected, got 'some'"),
        (("--groups", "1"), "--groups: 2 or more expected, or auto, got 1"),
        (("--groups", "4000"), "at least 4000 windows expected for 4000 groups"),
        (("--groups", "3", "--name", "99=x"), "--name 99=x: a group from 0 to 2 expected"),
        (("--name", "idle"), "--name: GROUP=NAME such as 3=idle expected, got 'idle'"),
        (("--name", "1=a", "--name", "1=b"), "one name a group expected, got two for group 1"),
        (("--features", "wavelets"), "--features wavelets does not do"),
        (("--labels", "labels.parquet"), "ends in .npz or .csv"),
        (("--window", "-1"), "--window: a number above 0 expected"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_2(data: Path, arguments: tuple[str, ...], message: str) -> None:
    result = run("cluster", data, *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("error: ")
    assert message in result.stderr


def test_windows_that_hold_nothing_or_never_differ_are_one_line(tmp_path: Path) -> None:
    arrays = {
        "X": np.zeros((30, 2, 16), np.float32),
        "channels": np.array(["x", "y"]),
        "fs": np.asarray(16.0),
    }
    flat = run("cluster", saved(tmp_path / "flat.npz", arrays))
    assert (flat.exit_code, flat.stdout) == (2, "")
    assert "windows that differ expected, got 30 whose features are all the same" in flat.stderr
    empty = run("cluster", saved(tmp_path / "empty.npz", arrays | {"X": np.full((30, 2, 16), np.nan, np.float32)}))
    assert (empty.exit_code, empty.stdout) == (2, "")
    assert "got NaN everywhere" in empty.stderr
