from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from demo.errors import DemoError
from demo.recording_demo import held_out_units, split_file


def stream(
    groups_of_runs: list[int], classes_of_runs: list[int], n_each: int = 10, **more: NDArray[Any]
) -> dict[str, NDArray[Any]]:
    n_runs = len(groups_of_runs)
    return {
        "X": np.zeros((n_runs * n_each, 1), np.float32),
        "t": np.arange(n_runs * n_each, dtype=np.float64),
        "y": np.repeat(classes_of_runs, n_each),
        "run": np.repeat(np.arange(n_runs), n_each),
        "run_group": np.array(groups_of_runs),
        "classes": np.array(["a", "b"]),
        "channels": np.array(["x"]),
        "fs": np.array(1.0),
        **more,
    }


def test_a_file_with_a_split_is_taken_as_it_is(tmp_path: Path) -> None:
    arrays = stream([0, 1], [0, 1], split=np.repeat([0, 1], 10))
    path, how = split_file(tmp_path / "a.npz", arrays, tmp_path)
    assert path == tmp_path / "a.npz"
    assert "its own split: 10 rows to learn from, 10 to play" in how
    assert list(tmp_path.iterdir()) == []


def test_without_a_split_whole_groups_are_held_out(tmp_path: Path) -> None:
    arrays = stream([0, 0, 1, 1, 2, 2, 3, 3], [0, 1] * 4, split=np.full(80, -1))
    path, how = split_file(tmp_path / "a.npz", arrays, tmp_path / ".")
    assert "1 of 4 groups held out" in how
    with np.load(path) as written:
        split, groups = written["split"], np.repeat([0, 0, 1, 1, 2, 2, 3, 3], 10)
        assert split.sum() == 20
        assert all(len(set(split[groups == group])) == 1 for group in range(4))


def test_a_class_that_only_one_group_has_is_never_held_out(tmp_path: Path) -> None:
    # Each group is a fault of its own: no group can be spared, so whole recordings are held out.
    arrays = stream([0, 0, 0, 0, 1, 1, 1, 1], [0] * 4 + [1] * 4)
    path, how = split_file(tmp_path / "a.npz", arrays, tmp_path)
    assert "of 8 recordings held out" in how
    with np.load(path) as written:
        assert set(written["y"][written["split"] == 1]) == set(written["y"][written["split"] == 0]) == {0, 1}
        assert 0 < written["split"].sum() <= 28


def test_what_cannot_be_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match=r"a\.npz: a split, or groups or runs whose classes others have too, expected"):
        split_file(tmp_path / "a.npz", stream([0, 1], [0, 1]), tmp_path)
    arrays = stream([0, 1], [0, 1])
    del arrays["y"]
    with pytest.raises(DemoError, match="labelled recordings expected"):
        split_file(tmp_path / "a.npz", arrays, tmp_path)


def test_held_out_rows_are_about_a_quarter() -> None:
    units = np.repeat(np.arange(20), 10)
    held_out = held_out_units(units, np.tile([0, 1], 100))
    assert len(held_out) == 5
    assert held_out == held_out_units(units, np.tile([0, 1], 100))


def test_one_class_alone_is_not_worth_playing() -> None:
    # Only the first unit could be spared, and it holds one class: whoever always says it would be right.
    units = np.repeat([0, 1, 2], [2, 4, 4])
    assert held_out_units(units, np.repeat([0, 0, 1], [2, 4, 4])) == []
