"""The commands as a person and as a script use them: results on stdout, one line on stderr, exit codes 0 and 2."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from schemas import LabelEvent
from trainer.cli import app
from trainer.cli.console import Reporter
from trainer.data.examples import example_windows

Arrays = dict[str, NDArray[Any]]
EVALUATE_KEYS = [
    "n_windows",
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "log_loss",
    "ece",
    "classes",
    "confusion",
    "per_class",
]


def save(path: Path, arrays: Arrays) -> None:
    np.savez(path, **arrays)  # type: ignore[arg-type]  # numpy's stub takes any keyword for allow_pickle


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


def windowed(n_recordings: int = 8) -> Arrays:
    data = example_windows(n_recordings=n_recordings)
    return {
        "X": data.windows,
        "y": data.class_indices,
        "classes": np.array(data.classes),
        "channels": np.array(data.channels),
        "fs": np.asarray(32.0),
        "groups": data.groups,
        "split": (data.groups >= n_recordings - 2).astype(np.int8),
    }


def stream() -> Arrays:
    """Eight recordings of 20 s at 32 Hz, slow and fast in turn; the last two are for testing."""
    generator = np.random.default_rng(1)
    n = 640
    phase = np.arange(n) / 32.0 * 2 * np.pi
    pieces = [np.stack([np.sin(f * phase), np.cos(f * phase)], axis=1) for f in (2.0, 5.0) * 4]
    return {
        "X": (np.concatenate(pieces) + 0.3 * generator.standard_normal((8 * n, 2))).astype(np.float32),
        "t": 1000.0 + np.arange(8 * n) / 32.0,
        "y": np.repeat(np.arange(8) % 2, n),
        "run": np.repeat(np.arange(8), n),
        "run_names": np.array([f"Pump {index}" for index in range(8)]),
        "classes": np.array(["slow", "fast"]),
        "channels": np.array(["x", "y"]),
        "fs": np.asarray(32.0),
        "split": np.repeat(np.arange(8) >= 6, n).astype(np.int8),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data files of every kind, and a model of each, fitted once."""
    path = tmp_path_factory.mktemp("cli")
    save(path / "windows.npz", windowed())
    save(path / "norate.npz", (windowed() | {"fs": np.asarray(np.nan)}))
    save(path / "stream.npz", stream())
    for name, options in (("windows", ()), ("norate", ()), ("stream", ("--window", "2", "--hop", "1"))):
        arguments = ("fit", path / f"{name}.npz", "--out", path / f"{name}.onnx", "--features", "statistics", *options)
        assert run(*arguments).exit_code == 0
    return path


@pytest.mark.parametrize("head", ["logistic", "mlp"])
def test_fit_prints_one_json_document(folder: Path, head: str, tmp_path: Path) -> None:
    result = run("fit", folder / "windows.npz", "--out", tmp_path / "m.onnx", "--head", head, "--json", "--name", "toy")
    assert result.exit_code == 0
    value = json.loads(result.stdout)
    assert set(value) == {"out", "digest", "bytes", "card", "cross_validated", "remarks", "seconds"}
    assert value["bytes"] == (tmp_path / "m.onnx").stat().st_size
    assert value["card"]["name"] == "toy"
    assert value["card"]["window_length"] == 32
    assert value["card"]["hop_length"] == 16
    assert value["cross_validated"]["accuracy"] > 0.9
    assert "20 test windows were not looked at" in value["remarks"]


def test_fit_says_what_it_chose_and_counts(folder: Path, tmp_path: Path) -> None:
    result = run("fit", folder / "stream.npz", "--out", tmp_path / "m.onnx", "--features", "spectral")
    assert result.exit_code == 0
    for sentence in (
        "windows of 128 samples (4 s at 32 Hz)",
        "hop of 64 samples: half a window",
        "windows dropped, incomplete",
    ):
        assert sentence in result.stdout
    assert "wrote" in result.stdout


def test_evaluate_prints_exactly_the_promised_keys(folder: Path) -> None:
    result = run("evaluate", folder / "windows.onnx", folder / "windows.npz", "--json")
    assert result.exit_code == 0
    value = json.loads(result.stdout)
    assert [key for key in value if key not in ("split", "intervals", "groups", "odd_group")] == EVALUATE_KEYS
    assert (value["n_windows"], value["split"]) == (20, "test")
    assert value["accuracy"] > 0.9
    assert np.array(value["confusion"]).sum() == 20


@pytest.mark.parametrize(("split", "n_windows"), [("train", 60), ("test", 20), ("all", 80)])
def test_evaluate_takes_the_split_asked_for(folder: Path, split: str, n_windows: int) -> None:
    result = run("evaluate", folder / "windows.onnx", folder / "windows.npz", "--split", split, "--json")
    assert json.loads(result.stdout)["n_windows"] == n_windows


def test_a_file_without_split_is_evaluated_whole_and_it_is_said(folder: Path, tmp_path: Path) -> None:
    arrays = windowed()
    del arrays["split"]
    save(tmp_path / "a.npz", arrays)
    result = run("evaluate", folder / "windows.onnx", tmp_path / "a.npz", "--json")
    assert json.loads(result.stdout)["split"] == "all"
    assert "no split: all rows are used" in result.stderr


def test_evaluate_prints_tables_for_a_person(folder: Path) -> None:
    result = run("evaluate", folder / "windows.onnx", folder / "windows.npz")
    assert result.exit_code == 0
    for word in ("accuracy", "95 % interval", "slow", "recall"):
        assert word in result.stdout


def test_channels_in_another_order_change_nothing(folder: Path, tmp_path: Path) -> None:
    arrays = windowed()
    turned = arrays | {"X": arrays["X"][:, ::-1], "channels": arrays["channels"][::-1]}
    save(tmp_path / "turned.npz", turned)
    straight = run("evaluate", folder / "windows.onnx", folder / "windows.npz", "--json")
    result = run("evaluate", folder / "windows.onnx", tmp_path / "turned.npz", "--json")
    assert json.loads(result.stdout) == json.loads(straight.stdout)
    assert "another order" in result.stderr


def events(*arguments: str | Path) -> list[dict[str, Any]]:
    result = run("predict", *arguments)
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_predict_gives_one_label_event_a_row(folder: Path) -> None:
    found = events(folder / "windows.onnx", folder / "windows.npz")
    assert sorted(event["row"] for event in found) == list(range(80))
    for event in found:
        row = event.pop("row")
        parsed = LabelEvent.model_validate(event)
        assert (parsed.gateway, parsed.pipeline) == ("trainer", "predict")
        assert parsed.id == f"{parsed.device}/windows@1/{parsed.window.index}"
        assert parsed.device == f"rows-{row // 10 * 10}-{row // 10 * 10 + 9}"
        assert parsed.window.index == row % 10
    labels = {event["label"] for event in found}
    assert labels == {"slow", "fast"}


def test_predict_and_evaluate_say_the_same(folder: Path) -> None:
    arrays = windowed()
    found = events(folder / "windows.onnx", folder / "windows.npz", "--split", "test")
    right = [event["label"] == arrays["classes"][arrays["y"][event["row"]]] for event in found]
    value = json.loads(run("evaluate", folder / "windows.onnx", folder / "windows.npz", "--json").stdout)
    assert (len(right), float(np.mean(right))) == (value["n_windows"], value["accuracy"])


def test_predict_on_a_stream_is_in_time_and_by_device(folder: Path) -> None:
    found = events(folder / "stream.onnx", folder / "stream.npz", "--split", "test")
    assert {event["device"] for event in found} == {"pump-6", "pump-7"}
    complete = [event for event in found if event["state"] != "incomplete"]
    assert len(complete) == 2 * 19
    assert all("row" not in event for event in found)
    assert complete[0]["ts"].startswith("1970-01-01T00:18:")
    assert np.mean([event["label"] == ("slow" if event["device"] == "pump-6" else "fast") for event in complete]) > 0.9
    assert all(event["label"] is None for event in found if event["state"] == "incomplete")


def test_a_model_of_unknown_rate_labels_windows_without_a_place_in_time(folder: Path) -> None:
    found = events(folder / "norate.onnx", folder / "norate.npz")
    assert sorted(event["row"] for event in found) == list(range(80))
    assert {event["ts"] for event in found} == {"unknown"}
    assert all(event["label"] for event in found)


def test_a_row_without_values_is_incomplete_and_not_guessed(folder: Path, tmp_path: Path) -> None:
    arrays = windowed()
    arrays["X"] = arrays["X"].copy()
    arrays["X"][5] = np.nan
    save(tmp_path / "a.npz", arrays)
    by_row = {event["row"]: event for event in events(folder / "windows.onnx", tmp_path / "a.npz")}
    assert len(by_row) == 80
    assert (by_row[5]["state"], by_row[5]["label"]) == ("incomplete", None)
    assert by_row[4]["label"] == "slow"


def test_inspect_shows_the_card(folder: Path) -> None:
    result = run("inspect", folder / "windows.onnx")
    assert result.exit_code == 0
    for text in ("windows@1", "32 samples = 1 s at 32 Hz", "statistics", "slow", "opset 17"):
        assert text in result.stdout
    value = json.loads(run("inspect", folder / "windows.onnx", "--json").stdout)
    assert value["card"]["schema"] == "card/1"
    assert value["bytes"] == (folder / "windows.onnx").stat().st_size


def test_the_version_is_printed() -> None:
    result = run("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("trainer ")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a | {"y": np.zeros(80, int)}, "y: training windows of at least 2 classes expected, got one class"),
        (lambda a: a | {"y": np.full(80, -1)}, "y: labelled training windows expected"),
        (lambda a: a | {"split": np.ones(80, int)}, "y: labelled training windows expected"),
        (lambda a: a | {"X": a["X"][:, :, 0]}, "t: this key is expected"),
        (lambda a: a | {"y": a["y"][:5]}, "y: one value a row"),
        (lambda a: a | {"channels": np.array(["x" * 200, "y"])}, "channels: names of 1 to 128 characters"),
    ],
)
def test_bad_data_is_one_line_and_leaves_no_file(
    tmp_path: Path, change: Callable[[Arrays], Arrays], message: str
) -> None:
    save(tmp_path / "bad.npz", change(windowed()))
    line = refused("fit", tmp_path / "bad.npz", "--out", tmp_path / "m.onnx", "--features", "statistics", "--json")
    assert "bad.npz" in line
    assert message in line
    assert [path.name for path in tmp_path.iterdir()] == ["bad.npz"]


def test_a_refused_fit_leaves_the_older_model_whole(folder: Path, tmp_path: Path) -> None:
    save(tmp_path / "bad.npz", (windowed() | {"y": np.zeros(80, int)}))
    (tmp_path / "m.onnx").write_bytes((folder / "windows.onnx").read_bytes())
    refused("fit", tmp_path / "bad.npz", "--out", tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx").read_bytes() == (folder / "windows.onnx").read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a | {"fs": np.asarray(16.0)}, "fs: 32 Hz expected by windows@1, got 16 Hz"),
        (lambda a: a | {"channels": np.array(["x", "z"])}, "channels: y expected by windows@1"),
        (lambda a: a | {"classes": np.array(["slow", "broken"])}, "classes: 'broken' label rows to evaluate"),
        (lambda a: a | {"X": a["X"][:, :, :16]}, "X: windows of 32 samples expected by windows@1, got 16"),
        (lambda a: a | {"split": np.zeros(80, int)}, "split: rows for 'test' expected"),
        (lambda a: a | {"y": np.full(80, -1)}, "y: labelled rows expected"),
    ],
)
def test_data_that_do_not_fit_the_model_are_refused(
    folder: Path, tmp_path: Path, change: Callable[[Arrays], Arrays], message: str
) -> None:
    save(tmp_path / "other.npz", change(windowed()))
    assert message in refused("evaluate", folder / "windows.onnx", tmp_path / "other.npz")


def test_a_stream_is_refused_by_a_model_of_unknown_rate(folder: Path) -> None:
    for command in ("evaluate", "predict"):
        assert "it classifies windows, not streams" in refused(command, folder / "norate.onnx", folder / "stream.npz")


def test_a_truncated_model_is_refused(folder: Path, tmp_path: Path) -> None:
    whole = (folder / "windows.onnx").read_bytes()
    for n_bytes in (0, 100, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.onnx").write_bytes(whole[:n_bytes])
        for arguments in (("inspect",), ("evaluate", folder / "windows.npz"), ("predict", folder / "windows.npz")):
            assert "cut.onnx" in refused(arguments[0], tmp_path / "cut.onnx", *arguments[1:])


def test_a_model_without_a_place_to_go_is_refused_before_any_work(folder: Path, tmp_path: Path) -> None:
    assert "a folder that exists" in refused("fit", folder / "windows.npz", "--out", tmp_path / "no" / "m.onnx")
    assert "another file" in refused("fit", folder / "windows.npz", "--out", folder / "windows.npz")
    assert np.load(folder / "windows.npz")["X"].shape == (80, 2, 32)


def test_an_unknown_option_value_is_a_usage_error(folder: Path) -> None:
    assert run("fit", folder / "windows.npz", "--out", "m.onnx", "--head", "forest").exit_code == 2


def test_the_command_itself_exits_with_two_and_one_line(folder: Path, repository: Path) -> None:
    command = [sys.executable, "-c", "from trainer.cli import main; main()", "inspect", str(folder / "windows.npz")]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [["fit"], ["fit", "a.npz"], ["fit", "a", "--out", "b", "--head", "tree"], ["grow"]]
)
def test_a_usage_error_is_one_line_too(arguments: list[str], repository: Path) -> None:
    command = [sys.executable, "-m", "trainer", *arguments]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_predictions_into_a_closed_pipe_end_quietly(folder: Path, repository: Path) -> None:
    program = "from trainer.cli import main; main()"
    command = [sys.executable, "-c", program, "predict", str(folder / "windows.onnx"), str(folder / "windows.npz")]
    with subprocess.Popen(command, cwd=repository, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0


def test_progress_speaks_after_two_seconds_and_not_more_often(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter([0.0, 1.0, 2.5, 3.0, 4.6])
    with Reporter(clock=lambda: next(times)) as report:
        for what in ("a", "b", "c", "d"):
            report(what, 1, 4)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert [line.split()[2] for line in captured.err.splitlines()] == ["b", "d"]
