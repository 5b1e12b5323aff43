import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_agent.cli import main
from tests.edge_agent.gateway import write_config
from tests.edge_agent.small_model import write_model

CHANNELS = ["x", "y"]


def stream(path: Path, n_samples: int = 100, rate_hz: float = 100.0, **changes: Any) -> Path:
    arrays: dict[str, Any] = {
        "X": np.ones((n_samples, 2), dtype=np.float32),
        "t": 1000.0 + np.arange(n_samples) / rate_hz,
        "run": np.zeros(n_samples, dtype=np.int32),
        "channels": np.array(CHANNELS),
        "fs": rate_hz,
    } | changes
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    return path


def replay(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[dict[str, Any]]:
    assert main(["replay", *map(str, arguments)]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["replay", *map(str, arguments)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "m.onnx")


def test_stream_gives_one_event_for_each_grid_window(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = replay(capsys, model, stream(tmp_path / "r.npz"), "--gateway", "lab")
    indices = [event["window"]["index"] for event in events]
    assert indices == list(range(indices[0], indices[0] + 21))
    assert [event["state"] for event in events].count("ok") == 19
    assert {event["gateway"] for event in events} == {"lab"}
    assert events[1]["label"] == "high"
    assert events[0]["state"] == "incomplete"
    assert "row" not in events[0]


def test_gateway_is_that_of_the_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(tmp_path, 1883)
    events = replay(capsys, tmp_path / "small.onnx", stream(tmp_path / "r.npz"), "--config", config)
    assert {event["gateway"] for event in events} == {"gw"}


def test_channels_are_matched_by_name(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = np.stack([np.full(100, 9.0), -np.ones(100)], axis=1).astype(np.float32)
    path = stream(tmp_path / "r.npz", X=values, channels=np.array(["y", "x"]))
    assert {event["label"] for event in replay(capsys, model, path)} == {"low", None}


def test_ready_cut_windows_give_one_event_a_row_in_any_overlap(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = np.random.default_rng(2)
    signal = chance.standard_normal((2, 60)).astype(np.float32)
    chained = [signal[:, at : at + 10] for at in range(0, 51, 5)]
    lonely = list(chance.standard_normal((4, 2, 10)).astype(np.float32))
    windows = np.stack([*chained, *lonely])
    split = np.array([0] * 11 + [1] * 4)
    path = tmp_path / "w.npz"
    np.savez(path, X=windows, channels=CHANNELS, fs=100.0, split=split)
    events = replay(capsys, model, path)
    assert sorted(event["row"] for event in events) == list(range(15))
    for event in events:
        expected = "high" if windows[event["row"], 0].mean() > 0 else "low"
        assert event["label"] == expected
    assert {event["row"] for event in replay(capsys, model, path, "--split", "test")} == {11, 12, 13, 14}


@pytest.mark.parametrize("times", ["iso", "s", "ms", "ns"])
def test_csv_of_several_devices_in_any_order(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], times: str
) -> None:
    def text(step: int) -> str:
        whole = 1_700_000_000 + step // 100
        if times == "iso":
            return f"2023-11-14T23:13:{20 + step // 100:02d}.{step % 100:02d}0+01:00"
        factor = {"s": 1, "ms": 1000, "ns": 10**9}[times]
        return (
            str(whole * factor + step % 100 * factor / 100)
            if factor == 1
            else str(whole * factor + step % 100 * factor // 100)
        )

    rows = [f"{text(step)};{level};{device};" for step in range(50) for device, level in (("A b", 1.0), ("c", -1.0))]
    rows.reverse()
    path = tmp_path / "r.csv"
    path.write_text("timestamp;x;device;y\n" + "\n".join(rows) + "\n")
    events = replay(capsys, write_model(tmp_path / "x.onnx", channels=["x"]), path)
    labels = {(event["device"], event["label"]) for event in events if event["state"] == "ok"}
    assert labels == {("a-b", "high"), ("c", "low")}
    assert {event["ts"][:17] for event in events} == {"2023-11-14T22:13:"}


def test_missing_file_truncated_file_and_another_kind_of_file_are_one_line(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = stream(tmp_path / "r.npz").read_bytes()
    assert "No such file" in refusal(capsys, model, tmp_path / "absent.npz")
    for length in (0, 10, 100, len(whole) // 2, len(whole) - 5):
        (tmp_path / "cut.npz").write_bytes(whole[:length])
        assert "cut.npz: " in refusal(capsys, model, tmp_path / "cut.npz")
    (tmp_path / "t.npz").write_text("timestamp,x\n")
    refusal(capsys, model, tmp_path / "t.npz")
    np.savez(tmp_path / "o.npz", X=np.array([{"a": 1}], dtype=object))
    refusal(capsys, model, tmp_path / "o.npz")


def test_missing_channel_is_named(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = refusal(capsys, model, stream(tmp_path / "r.npz", channels=np.array(["x", "z"])))
    assert "channels: y expected by small@1, got only x, z" in text


def test_other_rate_names_both(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "100 Hz expected by small@1, got 50 Hz" in refusal(capsys, model, stream(tmp_path / "a.npz", rate_hz=50.0))
    unknown = stream(tmp_path / "b.npz", rate_hz=50.0, fs=None)
    assert "100 Hz expected by small@1, got 50 Hz" in refusal(capsys, model, unknown)


def test_model_of_unknown_rate_says_that_it_classifies_windows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_model(tmp_path / "m.onnx", sampling_rate_hz=None)
    assert "it classifies windows, not streams" in refusal(capsys, model, stream(tmp_path / "r.npz"))


def test_windows_of_another_length_name_both(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "w.npz", X=np.zeros((3, 2, 12), dtype=np.float32), channels=CHANNELS, fs=100.0)
    assert "windows of 10 samples expected by small@1, got 12" in refusal(capsys, model, tmp_path / "w.npz")


def test_split_that_the_file_does_not_have_is_refused(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "split 'test'" in refusal(capsys, model, stream(tmp_path / "r.npz"), "--split", "test")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "'timestamp' expected, got an empty file"),
        ("time,x,y\n1,2,3\n", "'timestamp' expected, got time, x, y"),
        ("timestamp,x\n1,2\n", "channels: y expected"),
        ("timestamp,x,y\n", "at least one row"),
        ("timestamp,x,y\n1,2\n", "line 2: 3 columns expected, got 2"),
        ("timestamp,x,y\n1,2,3\n2,a,3\n", "line 3: x: a number expected, got 'a'"),
        ("timestamp,x,y\n2024-01-01T00:00:00,2,3\n", "line 2: timestamp: a time with a zone expected"),
        ("timestamp,x,y\nnow,2,3\n", "line 2: timestamp: ISO 8601 or a number expected, got 'now'"),
        ("timestamp,x,y,split\n1,2,3,half\n", "split: one of train, test, 0, 1 expected, got 'half'"),
    ],
)
def test_csv_that_cannot_be_read_names_line_and_column(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, expected: str
) -> None:
    (tmp_path / "r.csv").write_text(content)
    assert re.search(re.escape(expected), refusal(capsys, model, tmp_path / "r.csv"))
