"""Recordings: files become the same windows that a live stream gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from schemas import ContractError
from signals import ClosedWindow, WindowSpec, cut, find_overlap_hop, recordings_from_stream, recordings_from_windows
from signals.recording import select_channels


def stream_arrays(**changes: Any) -> dict[str, np.ndarray]:
    n = 40
    arrays: dict[str, Any] = {
        "X": np.stack([np.arange(n), np.arange(n) * 2.0], axis=1).astype(np.float32),
        "t": np.arange(n) / 10.0,
        "y": np.repeat([0, 1], n // 2).astype(np.int16),
        "run": np.repeat([3, 1], n // 2).astype(np.int32),
        "run_group": np.array([9, 8, 7, 6]),
        "run_names": np.array(["zero", "Pump B", "two", "Pump A"]),
        "channels": np.array(["x", "y"]),
        "classes": np.array(["a", "b"]),
        "fs": np.array(10.0),
    }
    arrays |= changes
    return {key: np.asarray(value) for key, value in arrays.items() if value is not None}


def test_each_run_is_a_recording_with_its_name_group_and_labels() -> None:
    first, second = recordings_from_stream(stream_arrays(), "f.npz")
    assert (first.device, second.device) == ("pump-a", "pump-b")
    assert (first.group, second.group) == (6, 8)
    assert first.values[:, 1].tolist() == [1.0, 2.0]
    assert first.t_ns[:3].tolist() == [0, 100_000_000, 200_000_000]
    assert second.class_indices is not None
    assert set(second.class_indices.tolist()) == {1}


def test_runs_with_one_id_get_names_of_their_own() -> None:
    names = [
        recording.device
        for recording in recordings_from_stream(stream_arrays(run_names=np.array(["", "A b", "", "a-b"])), "f")
    ]
    assert names == ["run-3", "run-1"]


def test_a_run_that_the_split_divides_is_a_device_for_each_part() -> None:
    split = np.concatenate([np.zeros(15), np.ones(5), np.ones(20)]).astype(np.int8)
    recordings = recordings_from_stream(stream_arrays(split=split), "f.npz")
    assert [(item.device, item.split, len(item.t_ns)) for item in recordings] == [
        ("pump-a-split-0", 0, 15),
        ("pump-a-split-1", 1, 5),
        ("pump-b", 1, 20),
    ]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"t": None}, "f.npz: t: expected, but the file has only X"),
        ({"X": np.zeros((40, 2, 2))}, "f.npz: X: 2 dimensions expected, got shape (40, 2, 2)"),
        ({"t": np.arange(39.0)}, "f.npz: t: 40 values expected (rows of X), got 39"),
        ({"t": np.full(40, np.nan)}, "f.npz: t: finite seconds expected, got NaN or infinity"),
        ({"channels": np.array(["x"])}, "f.npz: channels: 2 names expected (columns of X), got 1"),
        (
            {"X": np.zeros((0, 2)), "t": np.zeros(0), "y": None, "run": None},
            "f.npz: X: at least one sample expected, got none",
        ),
    ],
)
def test_a_broken_stream_file_is_named_with_what_was_expected(change: dict[str, Any], expected: str) -> None:
    with pytest.raises(ContractError) as caught:
        recordings_from_stream(stream_arrays(**change), "f.npz")
    assert str(caught.value).startswith(expected)


def windowed_arrays(hop: int, length: int = 8, count: int = 6) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    line = rng.normal(size=(2, hop * (count - 1) + length)).astype(np.float32)
    windows = np.stack([line[:, i * hop : i * hop + length] for i in range(count)])
    other = rng.normal(size=(2, 2, length)).astype(np.float32)
    return {
        "X": np.concatenate([windows, other]),
        "y": np.array([0] * count + [1, 1]),
        "channels": np.array(["x", "y"]),
        "fs": np.array(4.0),
        "groups": np.zeros(count + 2, dtype=np.int64),
    }


@pytest.mark.parametrize("hop", [1, 3, 4])
def test_the_hop_of_overlapping_windows_is_found(hop: int) -> None:
    assert find_overlap_hop(windowed_arrays(hop, count=12)) == hop


def test_windows_that_do_not_overlap_have_no_hop() -> None:
    assert find_overlap_hop(windowed_arrays(8, count=12)) is None
    constant = {"X": np.zeros((9, 2, 8), dtype=np.float32)}
    assert find_overlap_hop(constant) is None


@pytest.mark.parametrize("hop", [2, 4, 8, 11])
def test_ready_cut_windows_stand_on_the_grid_where_the_file_has_them(hop: int) -> None:
    arrays = windowed_arrays(min(hop, 8))
    recordings = recordings_from_windows(arrays, "f", hop_length=hop)
    seen = []
    for recording in recordings:
        assert recording.rows is not None
        for window in cut(recording, WindowSpec(("x", "y"), 4.0, 8, hop)):
            if isinstance(window, ClosedWindow) and 0 <= window.index < len(recording.rows):
                row = int(recording.rows[window.index])
                assert np.array_equal(window.values, arrays["X"][row])
                seen.append(row)
            else:
                assert isinstance(window, ClosedWindow)
                assert window.present < 1.0
    assert sorted(seen) == list(range(8))
    assert len(recordings) == (3 if hop < 8 else 8)


def test_windows_of_unknown_rate_cannot_stand_on_a_time_axis() -> None:
    arrays = windowed_arrays(4) | {"fs": np.array(np.nan)}
    with pytest.raises(ContractError, match="known sampling rate"):
        recordings_from_windows(arrays, "f", hop_length=4)


def test_channels_are_matched_by_name_and_missing_ones_are_named() -> None:
    recording = recordings_from_stream(stream_arrays(), "f")[0]
    turned = select_channels(recording, ("y", "x"), "f")
    assert turned.values[:, 1].tolist() == [2.0, 1.0]
    with pytest.raises(ContractError, match="channels: z expected, but the recording has only x, y"):
        select_channels(recording, ("z", "x"), "f")


def test_every_window_of_uci_har_is_found_again_on_the_grid(datasets: Path) -> None:
    with np.load(datasets / "uci_har.npz", allow_pickle=False) as file:
        arrays = {key: file[key] for key in ("X", "y", "groups", "split", "channels", "fs")}
    assert find_overlap_hop(arrays) == 64
    few = {key: value[:1500] if value.ndim and key != "channels" else value for key, value in arrays.items()}
    spec = WindowSpec(tuple(arrays["channels"].tolist()), 50.0, 128, 64)
    found = 0
    for recording in recordings_from_windows(few, "uci_har.npz", hop_length=64):
        assert recording.rows is not None
        for window in cut(recording, spec):
            assert isinstance(window, ClosedWindow)
            if 0 <= window.index < len(recording.rows):
                found += np.array_equal(window.values, few["X"][recording.rows[window.index]])
    assert found == 1500
