"""Every importer ends in the same arrays, and every bad file in one line that names file and field."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from numpy.typing import NDArray

from trainer.data import read_source
from trainer.errors import DatasetError

Arrays = dict[str, NDArray[Any]]


def windowed(n: int = 6) -> Arrays:
    generator = np.random.default_rng(0)
    return {
        "X": generator.standard_normal((n, 2, 8)).astype(np.float32),
        "y": np.arange(n) % 2,
        "classes": np.array(["off", "on"]),
        "channels": np.array(["x", "y"]),
        "fs": np.asarray(4.0),
    }


def stream(n: int = 40) -> Arrays:
    return {
        "X": np.zeros((n, 2), np.float32),
        "t": np.arange(n) / 4.0,
        "y": np.arange(n) // 20,
        "run": np.zeros(n, np.int32),
        "classes": np.array(["off", "on"]),
        "channels": np.array(["x", "y"]),
        "fs": np.asarray(4.0),
    }


def saved(path: Path, arrays: Arrays) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]  # numpy's stub takes any keyword for allow_pickle
    return path


def with_value(arrays: Arrays, index: tuple[int, ...], value: float) -> NDArray[Any]:
    copy: NDArray[Any] = arrays["X"].copy()
    copy[index] = value
    return copy


def test_a_windowed_file_keeps_names_rate_and_missing_values(tmp_path: Path) -> None:
    arrays = windowed() | {"X": with_value(windowed(), (0, 1, 3), np.nan)}
    source = read_source(saved(tmp_path / "a.npz", arrays))
    assert (source.kind, source.channels, source.classes, source.sampling_rate_hz) == (
        "windows",
        ("x", "y"),
        ("off", "on"),
        4.0,
    )
    assert np.array_equal(source.arrays["X"], arrays["X"], equal_nan=True)
    assert any("missing" in remark for remark in source.remarks)


def test_a_rate_of_nan_is_an_unknown_rate(tmp_path: Path) -> None:
    assert read_source(saved(tmp_path / "a.npz", windowed() | {"fs": np.asarray(np.nan)})).sampling_rate_hz is None


def test_a_stream_is_told_by_its_two_dimensions(tmp_path: Path) -> None:
    assert read_source(saved(tmp_path / "a.npz", stream())).kind == "stream"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda a: a | {"X": a["X"][:, 0, 0]}, r"X: \(n_windows"),
        (lambda a: a | {"X": a["X"][:0], "y": a["y"][:0]}, "X: at least one row"),
        (lambda a: a | {"X": a["X"][:, :0], "channels": a["channels"][:0]}, "X: at least one channel"),
        (lambda a: a | {"X": with_value(a, (2, 1, 0), np.inf)}, r"X: finite values .* \[2, 1, 0\]"),
        (lambda a: a | {"X": a["X"].astype(np.float64) + 1e300}, "X: finite values"),
        (lambda a: a | {"X": np.full_like(a["X"], np.nan)}, "X: at least one value"),
        (lambda a: a | {"X": a["X"].astype(str)}, "X: numbers expected"),
        (lambda a: {k: v for k, v in a.items() if k != "X"}, "X: this key is expected"),
        (lambda a: {k: v for k, v in a.items() if k != "channels"}, "channels: this key is expected"),
        (lambda a: a | {"y": a["y"][:-1]}, "y: one value a row"),
        (lambda a: a | {"y": a["y"] + 1}, "y: -1 .* got 2 in row 1"),
        (lambda a: a | {"y": a["y"] - 2}, "y: -1 .* got -2 in row 0"),
        (lambda a: a | {"y": a["y"] + 0.5}, "y: whole numbers"),
        (lambda a: a | {"channels": np.array(["x", "x"])}, "channels: unique names"),
        (lambda a: a | {"channels": np.array(["x"])}, "channels: one name a channel"),
        (lambda a: a | {"classes": np.array(["off", "off"])}, "classes: unique names"),
        (lambda a: a | {"fs": np.asarray(0.0)}, "fs: a rate above 0"),
        (lambda a: a | {"fs": np.asarray([1.0, 2.0])}, "fs: one number"),
        (lambda a: a | {"split": np.full(6, 7)}, "split: -1, 0"),
        (lambda a: a | {"groups": np.zeros(3, int)}, "groups: one value a row"),
        (lambda a: a | {"lengths": np.full(6, 9)}, "lengths: 0 to window_length"),
    ],
)
def test_a_wrong_array_is_refused_by_name(tmp_path: Path, change: Callable[[Arrays], Arrays], field: str) -> None:
    path = saved(tmp_path / "bad.npz", change(windowed()))
    with pytest.raises(DatasetError, match=rf"bad\.npz: {field}") as caught:
        read_source(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda a: {k: v for k, v in a.items() if k != "t"}, "t: this key is expected"),
        (lambda a: a | {"t": a["t"][:-1]}, "t: one time a row"),
        (lambda a: a | {"t": np.where(a["t"] > 5, np.nan, a["t"])}, "t: finite seconds"),
        (lambda a: a | {"t": a["t"] * 1e12}, "t: seconds expected"),
        (lambda a: a | {"run": a["run"] - 1}, "run: 0 or more"),
        (lambda a: a | {"run_names": np.array([], str)}, "run_names: one entry a run"),
    ],
)
def test_a_wrong_stream_array_is_refused_by_name(
    tmp_path: Path, change: Callable[[Arrays], Arrays], field: str
) -> None:
    with pytest.raises(DatasetError, match=rf"bad\.npz: {field}"):
        read_source(saved(tmp_path / "bad.npz", change(stream())))


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    whole = saved(tmp_path / "a.npz", windowed()).read_bytes()
    for n_bytes in (4, len(whole) // 2, len(whole) - 10):
        path = tmp_path / "cut.npz"
        path.write_bytes(whole[:n_bytes])
        with pytest.raises(DatasetError, match=r"cut\.npz: "):
            read_source(path)


def test_pickled_objects_are_never_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "evil.npz"
    saved(path, windowed() | {"classes": np.array(["off", object()], dtype=object)})
    with pytest.raises(DatasetError, match=r"classes: .* pickled"):
        read_source(path)


@pytest.mark.parametrize(
    ("name", "content"), [("a.npz", b""), ("a.txt", b"x"), ("a", b"x"), ("a.npz", b"not a zip archive")]
)
def test_an_empty_or_unknown_file_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=name):
        read_source(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"gone\.npz: .* nothing at this path"):
        read_source(tmp_path / "gone.npz")


def csv_file(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_long_csv_becomes_one_run_a_device_sorted_by_time(tmp_path: Path) -> None:
    path = csv_file(
        tmp_path / "a.csv",
        "timestamp,x,label,device,split\n"
        "2024-01-01T00:00:01Z,2,on,b,test\n"
        "2024-01-01T00:00:00Z,1,,b,test\n"
        "2024-01-01T02:00:00+02:00,5,off,a,train\n",
    )
    source = read_source(path)
    assert source.kind == "stream"
    assert source.arrays["X"][:, 0].tolist() == [5.0, 1.0, 2.0]
    assert source.arrays["t"].tolist() == [1704067200.0, 1704067200.0, 1704067201.0]
    assert source.arrays["y"].tolist() == [0, -1, 1]
    assert source.arrays["split"].tolist() == [0, 1, 1]
    assert source.arrays["run"].tolist() == [0, 1, 1]
    assert (source.classes, source.group_key, source.sampling_rate_hz) == (("off", "on"), "device", 1.0)


@pytest.mark.parametrize(
    ("unit", "factor"), [("seconds", 1), ("milliseconds", 10**3), ("microseconds", 10**6), ("nanoseconds", 10**9)]
)
def test_the_unit_of_numeric_timestamps_is_inferred_and_said(tmp_path: Path, unit: str, factor: int) -> None:
    rows = "".join(f"{(1_700_000_000 + index) * factor};{index}\n" for index in range(5))
    source = read_source(csv_file(tmp_path / "a.csv", "timestamp;x\n" + rows))
    assert np.allclose(source.arrays["t"], 1_700_000_000 + np.arange(5), atol=1e-3)
    assert source.sampling_rate_hz == 1.0
    assert any(f"read as {unit}" in remark for remark in source.remarks)


def test_empty_cells_are_missing_values(tmp_path: Path) -> None:
    source = read_source(csv_file(tmp_path / "a.csv", "timestamp,x,y\n0,1,\n1,nan,4\n"))
    assert np.array_equal(source.arrays["X"], np.array([[1, np.nan], [np.nan, 4]], np.float32), equal_nan=True)


def test_numeric_labels_are_put_in_order_of_size(tmp_path: Path) -> None:
    assert read_source(csv_file(tmp_path / "a.csv", "timestamp,x,label\n0,1,10\n1,1,9\n")).classes == ("9", "10")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an empty one"),
        ("\n", "an empty file"),
        ("timestamp,x\n", "at least one row"),
        ("time,x\n0,1\n", "timestamp: columns timestamp"),
        ("timestamp,label\n0,a\n", "at least one channel"),
        ("timestamp,x,x\n0,1,2\n", "unique column names"),
        ("timestamp,x\n0,1\n1,two\n", "x: numbers expected, got 'two' in data row 2"),
        ("timestamp,x\n0,1,9\n", "readable table"),
        ("timestamp,x\n2024-01-01T00:00:00,1\n", "timestamp: ISO 8601 with a zone"),
        ("timestamp,x\nyesterday,1\n", "timestamp: ISO 8601 with a zone"),
        ("timestamp,x\n,1\n", "timestamp: a time in every row"),
        ("timestamp,x\n0,1\nlater,2\n", "timestamp: finite numbers"),
        ("timestamp,x,split\n0,1,dev\n", "split: train or test"),
    ],
)
def test_a_bad_csv_is_refused_by_column_and_row(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=rf"a\.csv: .*{message}") as caught:
        read_source(csv_file(tmp_path / "a.csv", text))
    assert "\n" not in str(caught.value)


def test_a_folder_of_labels_is_one_recording_a_file(tmp_path: Path) -> None:
    rows = "timestamp,x\n" + "".join(f"{index / 10},{index}\n" for index in range(20))
    for name in ("idle/a", "idle/b", "pump/a"):
        csv_file(tmp_path / "set" / f"{name}.csv", rows)
    source = read_source(tmp_path / "set")
    assert source.classes == ("idle", "pump")
    assert np.bincount(source.arrays["run"]).tolist() == [20, 20, 20]
    assert [int(source.arrays["y"][source.arrays["run"] == run][0]) for run in range(3)] == [0, 0, 1]
    assert (source.sampling_rate_hz, source.group_key) == (10.0, "recording")


def test_a_folder_without_csv_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="a folder with <label>/"):
        read_source(tmp_path)


def test_parquet_reads_as_csv_does(tmp_path: Path) -> None:
    text = "timestamp,x,label,device\n2024-01-01T00:00:00Z,1.5,on,a\n2024-01-01T00:00:01Z,,off,a\n"
    from_csv = read_source(csv_file(tmp_path / "a.csv", text))
    connection = duckdb.connect()
    connection.execute("SET TimeZone='UTC'")
    connection.execute(
        "CREATE TABLE t AS SELECT timestamp::TIMESTAMPTZ AS timestamp, x::FLOAT AS x, label, device "
        "FROM read_csv($path, all_varchar=true)",
        {"path": str(tmp_path / "a.csv")},
    )
    connection.execute(f"COPY t TO '{tmp_path / 'a.parquet'}'")
    connection.close()
    from_parquet = read_source(tmp_path / "a.parquet")
    for key in ("X", "t", "y", "run", "classes", "channels"):
        equal_nan = key == "X"
        assert np.array_equal(from_parquet.arrays[key], from_csv.arrays[key], equal_nan=equal_nan), key


def test_a_damaged_parquet_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(DatasetError, match=r"a\.parquet: a readable table"):
        read_source(tmp_path / "a.parquet")


TS = "@problemName Toy\n@timestamps false\n@univariate false\n@classLabel true up down\n@data\n"


def test_a_pair_of_ts_files_gives_training_and_test_rows(tmp_path: Path) -> None:
    csv_file(tmp_path / "Toy_TRAIN.ts", TS + "1,2,?:4,5,6:up\n7,8:9,10:down\n")
    csv_file(tmp_path / "Toy_TEST.ts", TS + "0,0,0,0:1,1,1,1:down\n")
    for name in ("Toy_TRAIN.ts", "Toy_TEST.ts"):
        source = read_source(tmp_path / name)
        assert source.arrays["X"].shape == (3, 2, 4)
        assert source.arrays["split"].tolist() == [0, 0, 1]
        assert source.arrays["y"].tolist() == [0, 1, 1]
        assert source.arrays["lengths"].tolist() == [3, 2, 4]
        assert np.isnan(source.arrays["X"][0, 0, 2])
        assert np.isnan(source.arrays["X"][1, :, 2:]).all()
        assert source.sampling_rate_hz is None


def test_a_single_ts_file_has_no_split(tmp_path: Path) -> None:
    source = read_source(csv_file(tmp_path / "toy.ts", TS + "1,2:3,4:up\n1,2:3,4:down\n"))
    assert source.arrays["split"].tolist() == [-1, -1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TS, "@data and at least one series"),
        (TS + "1,2:3,4:left\n", "line 6: one of the classes up, down"),
        (TS + "1,x:3,4:up\n", "line 6: numbers between commas"),
        (TS + "1,2:3,4:up\n1,2:up\n", "line 7: 2 dimensions expected, got 1"),
        ("@timestamps true\n@data\n", "line 1: series without timestamps"),
        ("@targetlabel true\n@data\n", "line 1: classes"),
        ("hello\n", "line 1: a header line"),
    ],
)
def test_a_bad_ts_file_is_refused_by_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=rf"toy\.ts: {message}"):
        read_source(csv_file(tmp_path / "toy.ts", text))
