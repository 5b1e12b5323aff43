"""Named groups as labels: windows that trainer fit reads, intervals that never overlap."""

import csv
import io
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trainer.cluster.streams import plant_windows
from trainer.cluster.label_files import check_labels_path, csv_bytes, label_intervals, npz_bytes, write_labels
from trainer.cluster.names import named_groups
from trainer.cluster.places import WindowPlaces
from trainer.data import CutOptions, WindowedData, cut_source, plan_cut, read_source
from trainer.data.examples import example_windows
from trainer.errors import DatasetError

NAMED = named_groups({0: "idle", 2: "pumping"}, 3)


def streamed(n_recordings: int = 1, n_windows: int = 5) -> tuple[WindowedData, WindowPlaces]:
    """Windows of 1 s that overlap by half."""
    data = replace(example_windows(n_recordings=n_recordings, windows_per_recording=n_windows), is_stream=True)
    return data, WindowPlaces(data, tuple(f"pump-{number}" for number in range(n_recordings)))


def test_the_npz_is_what_the_trainer_reads_and_keeps_windows_and_groups(tmp_path: Path) -> None:
    data, kinds = plant_windows()
    out = tmp_path / "labels.npz"
    n_named = write_labels(out, data, WindowPlaces(data, ()), kinds, NAMED)
    assert n_named == 120
    source = read_source(out)
    found, _ = cut_source(source, plan_cut(source, CutOptions()))
    assert found.classes == ("idle", "pumping")
    assert found.class_indices.tolist() == np.array([0, -1, 1])[kinds].tolist()
    assert found.windows.tobytes() == data.windows.tobytes()
    assert found.groups.tolist() == data.groups.tolist()
    assert found.units == (None, "g")
    assert found.sampling_rate_hz == data.sampling_rate_hz
    assert list(tmp_path.iterdir()) == [out]


def test_the_same_labels_give_the_same_bytes() -> None:
    data, kinds = plant_windows()
    assert npz_bytes(data, kinds, ("a", "b", "c")) == npz_bytes(data, kinds.copy(), ("a", "b", "c"))


def test_an_unknown_rate_and_no_groups_are_written_as_such(tmp_path: Path) -> None:
    data, kinds = plant_windows()
    bare = replace(data, sampling_rate_hz=None, groups=np.full(len(data), -1), units=(None, None))
    out = tmp_path / "labels.npz"
    write_labels(out, bare, WindowPlaces(bare, ()), kinds, NAMED)
    with np.load(out) as archive:
        assert np.isnan(archive["fs"])
        assert sorted(archive.files) == ["X", "channels", "classes", "fs", "y"]


def test_intervals_worked_by_hand() -> None:
    # Five windows of 32 samples at 32 Hz, 16 apart: 0-1 s, 0.5-1.5 s, ... 2-3 s. Each speaks for its middle 0.5 s.
    data, places = streamed()
    found = label_intervals(data, places, np.array([0, 0, 1, -1, 0]), ("idle", "on"))
    # 0 and 1: from the begin 0 s to 0.5 + 0.75; 2 (1-2 s): 1.25 to 1.75; 3 is unnamed; 4 (2-3 s): 2.25 to the end 3 s.
    assert [(item.start_ns / 1e9, item.end_ns / 1e9, item.label) for item in found] == [
        (0.0, 1.25, "idle"),
        (1.25, 1.75, "on"),
        (2.25, 3.0, "idle"),
    ]
    rows = list(csv.reader(io.StringIO(csv_bytes(found).decode())))
    assert rows[0] == ["device", "start", "end", "label"]
    assert rows[1] == ["pump-0", "1970-01-01T00:00:00.000000Z", "1970-01-01T00:00:01.250000Z", "idle"]


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=2, max_size=30), st.integers(1, 3))
def test_intervals_never_overlap_and_cover_what_is_named(kinds: list[tuple[int, bool]], n_recordings: int) -> None:
    data, places = streamed(n_recordings, len(kinds))
    labels = np.tile([kind - 1 for kind, _ in kinds], n_recordings)
    present = np.tile([is_present for _, is_present in kinds], n_recordings)
    data = data.take(present)
    places = replace(places, data=data)
    found = label_intervals(data, places, labels[present], ("idle", "on"))
    for before, after in pairwise(found):
        assert before.device != after.device or before.end_ns <= after.start_ns
    for item in found:
        assert item.end_ns > item.start_ns
    for row, label in enumerate(labels[present].tolist()):
        middle = places.sample_ns(int(data.starts[row]) + 16)
        said = [
            item.label for item in found if item.device == places.device(row) and item.start_ns <= middle < item.end_ns
        ]
        assert said == ([] if label < 0 else [("idle", "on")[label]])


@pytest.mark.parametrize(
    ("name", "groups", "message"),
    [
        ("labels.txt", {0: "idle"}, "a file that ends in .npz or .csv expected for --labels"),
        ("labels.npz", {}, "--labels: at least one group with a name expected, such as --name 0=idle"),
        ("labels.csv", {0: "idle"}, "intervals need continuous recordings with times, got ready-cut windows"),
        ("nowhere/labels.npz", {0: "idle"}, "a file in a folder that exists expected"),
    ],
)
def test_what_cannot_be_written_is_said_and_nothing_is(
    tmp_path: Path, name: str, groups: dict[int, str], message: str
) -> None:
    data, _ = plant_windows()
    with pytest.raises(DatasetError) as caught:
        check_labels_path(tmp_path / name, data, named_groups(groups, 3))
    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == []
