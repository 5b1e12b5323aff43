"""Data as it comes: each kind works, or is refused in one line that says what is needed. Never a traceback."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from trainer.cli import app

Arrays = dict[str, NDArray[Any]]


def waves(n_per_class: list[int], *, n_channels: int = 2, window_length: int = 32, level: float = 0.5) -> Arrays:
    """Sines whose frequency and level tell the class, in noise."""
    generator = np.random.default_rng(0)
    y = np.repeat(np.arange(len(n_per_class)), n_per_class)
    phase = 2.0 * np.pi * np.arange(window_length) / max(window_length, 2)
    shape = (len(y), n_channels, window_length)
    signal = np.sin(phase * (1.0 + 1.5 * y[:, None, None]) + generator.uniform(0.0, 6.0, (len(y), 1, 1)))
    windows = signal + level * y[:, None, None] + 0.3 * generator.standard_normal(shape)
    return {
        "X": windows.astype(np.float32),
        "y": y,
        "classes": np.array([f"class {index}" for index in range(len(n_per_class))]),
        "channels": np.array([f"channel {index}" for index in range(n_channels)]),
        "fs": np.asarray(32.0),
    }


def changed(arrays: Arrays, change: Callable[[Arrays], None]) -> Arrays:
    change(arrays)
    return arrays


def set_values(place: Any, value: float) -> Callable[[Arrays], None]:  # noqa: ANN401 - any index of numpy
    def change(arrays: Arrays) -> None:
        arrays["X"][place] = value

    return change


def scaled(arrays: Arrays) -> None:
    arrays["X"][:, 0] *= 1e-9
    arrays["X"][:, 1] *= 1e9


def repeated(arrays: Arrays) -> None:
    for key in ("X", "y"):
        arrays[key] = np.repeat(arrays[key], 10, axis=0)


def named(arrays: Arrays) -> None:
    arrays["y"] = np.array(["on", "off"])[arrays["y"]]
    arrays["y"][0] = ""
    del arrays["classes"]


def numbered(arrays: Arrays) -> None:
    arrays["y"] = arrays["y"] * 7 + 3
    del arrays["classes"]


def with_gaps(arrays: Arrays) -> None:
    arrays["y"] = np.where(np.arange(len(arrays["y"])) % 5 == 0, np.nan, arrays["y"])


FINE = {
    "two windows of each class": lambda: waves([2, 2]),
    "two windows of each of nine classes": lambda: waves([2] * 9),
    "one group only": lambda: waves([10, 10]) | {"groups": np.zeros(20, int)},
    "each class in one group only": lambda: waves([10, 10]) | {"groups": np.repeat([4, 5], 10)},
    "a constant channel": lambda: changed(waves([10, 10]), set_values((slice(None), 1), 3.0)),
    "a channel without a value": lambda: changed(waves([10, 10]), set_values((slice(None), 1), np.nan)),
    "a channel that one class lacks": lambda: changed(waves([10, 10]), set_values((slice(10), 1), np.nan)),
    "a window without a value": lambda: changed(waves([10, 10]), set_values(3, np.nan)),
    "channels of wildly different units": lambda: changed(waves([10, 10], n_channels=3), scaled),
    "a hundred to one": lambda: waves([400, 4], level=1.0),
    "every window ten times": lambda: changed(waves([3, 3]), repeated),
    "one channel": lambda: waves([10, 10], n_channels=1),
    "two hundred channels": lambda: waves([6, 6], n_channels=200),
    "windows of two samples": lambda: waves([20, 20], window_length=2, level=3.0),
    "windows of one sample": lambda: waves([20, 20], window_length=1, level=3.0),
    "windows of five samples": lambda: waves([10, 10], window_length=5, level=3.0),
    "windows of nine samples": lambda: waves([10, 10], window_length=9, level=3.0),
    "labels that are texts": lambda: changed(waves([10, 10]), named),
    "labels that are numbers": lambda: changed(waves([10, 10]), numbered),
    "labels that are missing": lambda: changed(waves([10, 10]), with_gaps),
    "a class only in the test split": lambda: waves([10, 10, 5]) | {"split": np.repeat([0, 1], [20, 5])},
}


def fitted(arrays: Arrays, folder: Path, *options: str) -> dict[str, Any]:
    np.savez(folder / "data.npz", **arrays)  # type: ignore[arg-type]  # numpy's stub takes any keyword for allow_pickle
    arguments = ["fit", str(folder / "data.npz"), "--out", str(folder / "m.onnx"), "--json", *options]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    value: dict[str, Any] = json.loads(result.stdout)
    return value


@pytest.mark.parametrize("name", FINE)
def test_it_works(name: str, tmp_path: Path) -> None:
    value = fitted(FINE[name](), tmp_path, "--features", "edge")
    least = 0.5 if name == "two windows of each class" else 0.9
    assert value["cross_validated"]["balanced_accuracy"] >= least
    # What was written is proven by its golden windows, and answers a window of zeros with something finite.
    result = CliRunner().invoke(
        app, ["evaluate", str(tmp_path / "m.onnx"), str(tmp_path / "data.npz"), "--split", "train"]
    )
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("value", [0.0, 1.0, -1e20])
def test_nothing_but_one_value_is_fitted_and_said_to_be_chance(value: float, tmp_path: Path) -> None:
    found = fitted(changed(waves([10, 10]), set_values(slice(None), value)), tmp_path, "--features", "edge")
    assert "Answers to held-out windows are no better than chance." in found["card"]["notes"]


def test_a_rare_class_is_not_passed_over_where_it_can_be_told(tmp_path: Path) -> None:
    found = fitted(waves([400, 4], level=1.0), tmp_path, "--features", "edge")
    assert found["cross_validated"]["per_class"]["class 1"]["recall"] >= 0.75
    assert any(
        note.startswith("Classes are unbalanced ('class 0' 400, 'class 1' 4)") for note in found["card"]["notes"]
    )


@pytest.mark.parametrize("n_channels", [1, 3])
def test_windows_beyond_ten_thousand_samples(n_channels: int, tmp_path: Path) -> None:
    arrays = waves([4, 4], n_channels=n_channels, window_length=10_500)
    found = fitted(arrays, tmp_path, "--features", "edge")
    assert found["cross_validated"]["accuracy"] == 1.0
    assert found["bytes"] < 1_000_000


def test_many_classes_fit_into_a_file_that_a_gateway_takes(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    arrays = waves([2] * 150, window_length=16, level=0.0)
    arrays["X"] += np.repeat(generator.standard_normal((150, 2, 16)), 2, axis=0).astype(np.float32)
    found = fitted(arrays, tmp_path, "--features", "edge")
    assert len(found["card"]["classes"]) == 150
    assert found["cross_validated"]["accuracy"] > 10 / 150
    assert found["bytes"] < 20 * 2**20


def infinite(arrays: Arrays) -> None:
    arrays["X"][3, 1, 4] = np.inf


def unlabelled(arrays: Arrays) -> None:
    arrays["y"][:] = -1


def unnamed(arrays: Arrays) -> None:
    arrays["y"] = np.full(20, "")


def unknown(arrays: Arrays) -> None:
    arrays["y"] = np.array(["class 0", "class 9"])[arrays["y"]]


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: waves([10, 1]), "y: at least 2 windows of every class expected, got 'class 1' (1)"),
        (lambda: waves([10]), "y: training windows of at least 2 classes expected, got one class only ('class 0')"),
        (lambda: changed(waves([10, 10]), infinite), "X: finite values or NaN (= missing) expected, got infinity"),
        (lambda: changed(waves([10, 10]), unlabelled), "y: labelled training windows expected"),
        (lambda: changed(waves([10, 10]), unnamed), "y: labelled training windows expected"),
        (lambda: changed(waves([10, 10]), unknown), "y: one of the classes (class 0, class 1) expected, got 'class 9'"),
        (lambda: {k: v for k, v in waves([10, 10]).items() if k != "y"}, "y: labelled training windows expected"),
        (lambda: waves([10, 10]) | {"split": np.repeat([0, 1], 10)}, "at least 2 classes expected"),
    ],
)
def test_it_is_refused_in_one_line(make: Callable[[], Arrays], line: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", **make())  # type: ignore[arg-type]  # as above
    result = CliRunner().invoke(app, ["fit", str(tmp_path / "data.npz"), "--out", str(tmp_path / "m.onnx"), "--json"])
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert line in result.stderr
    assert not (tmp_path / "m.onnx").exists()


def table(labels: list[str], n_samples: int = 200) -> str:
    """A CSV of one recording a label, 200 samples each."""
    generator = np.random.default_rng(0)
    rows = ["timestamp,level,label,device"]
    for number, label in enumerate(labels):
        values = np.sin(np.arange(n_samples) * (0.3 + 0.5 * (number % 2))) + 0.1 * generator.standard_normal(n_samples)
        rows += [
            f"{number * 1000 + index / 10:.1f},{value:.4f},{label},pump {number}" for index, value in enumerate(values)
        ]
    return "\n".join(rows) + "\n"


@pytest.mark.parametrize(
    "labels", [["on", "off"] * 3, ["1", "0"] * 3, ["on", "off"] * 3 + [""], ["on", "off"] * 3 + ["NaN"]]
)
def test_labels_of_a_table_may_be_texts_numbers_or_missing(labels: list[str], tmp_path: Path) -> None:
    (tmp_path / "pumps.csv").write_text(table(labels))
    arguments = ["--out", str(tmp_path / "m.onnx"), "--features", "statistics", "--window", "2", "--json"]
    result = CliRunner().invoke(app, ["fit", str(tmp_path / "pumps.csv"), *arguments])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["card"]["classes"] == sorted(set(labels[:2]))


def test_labels_of_a_folder_are_its_names(tmp_path: Path) -> None:
    for number, label in enumerate(["0", "1"] * 3):
        place = tmp_path / "data" / label
        place.mkdir(parents=True, exist_ok=True)
        lines = table([label] if number % 2 == 0 else ["", label]).splitlines()
        own = [lines[0], *lines[-200:]]
        (place / f"{number}.csv").write_text("\n".join(",".join(line.split(",")[:2]) for line in own) + "\n")
    (tmp_path / "data" / "empty").mkdir()
    arguments = ["--out", str(tmp_path / "m.onnx"), "--features", "statistics", "--window", "2", "--json"]
    result = CliRunner().invoke(app, ["fit", str(tmp_path / "data"), *arguments])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["card"]["classes"] == ["0", "1"]
