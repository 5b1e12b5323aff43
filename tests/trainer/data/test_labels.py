"""Labels are read as people write them: names, numbers, gaps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from trainer.data.labels import with_class_indices
from trainer.errors import DatasetError

PATH = Path("a.npz")


@pytest.mark.parametrize(
    ("labels", "indices", "classes"),
    [
        (np.array(["on", "off", " on "]), [1, 0, 1], ["off", "on"]),
        (np.array([b"on", b"off"]), [1, 0], ["off", "on"]),
        (np.array(["on", "", "NaN", "?", "null", "off"]), [1, -1, -1, -1, -1, 0], ["off", "on"]),
        (np.array([10, 3, 10, -1]), [1, 0, 1, -1], ["3", "10"]),
        (np.array([2.0, np.nan, 1.0]), [1, -1, 0], ["1", "2"]),
        (np.array([True, False]), [1, 0], ["0", "1"]),
    ],
)
def test_labels_without_classes_become_classes_of_their_name(
    labels: NDArray[np.generic], indices: list[int], classes: list[str]
) -> None:
    found, remarks = with_class_indices(PATH, {"y": labels})
    assert found["y"].tolist() == indices
    assert found["classes"].tolist() == classes
    assert remarks == (f"{len(classes)} classes by the names in y: {', '.join(classes)}",)


def test_texts_beside_classes_are_taken_by_name() -> None:
    found, remarks = with_class_indices(PATH, {"y": np.array(["b", "", "a"]), "classes": np.array(["b", "a"])})
    assert (found["y"].tolist(), found["classes"].tolist(), remarks) == ([0, -1, 1], ["b", "a"], ())


def test_a_name_that_is_no_class_is_refused() -> None:
    with pytest.raises(DatasetError, match=r"a\.npz: y: one of the classes \(b, a\) expected, got 'c'"):
        with_class_indices(PATH, {"y": np.array(["b", "c"]), "classes": np.array(["b", "a"])})


def test_class_indices_stay_what_they_are() -> None:
    arrays = {"y": np.array([1, 0, -1]), "classes": np.array(["off", "on"])}
    assert with_class_indices(PATH, arrays) == (arrays, ())
    # NaN beside classes: unlabelled, the others as they were.
    found, _ = with_class_indices(PATH, arrays | {"y": np.array([1.0, np.nan, 0.0])})
    assert found["y"].tolist() == [1.0, -1.0, 0.0]


def test_what_is_no_label_is_left_to_the_checks() -> None:
    for arrays in ({}, {"y": np.array([0.5, 1.0])}, {"y": np.zeros((2, 2))}):
        assert with_class_indices(PATH, arrays) == (arrays, ())
