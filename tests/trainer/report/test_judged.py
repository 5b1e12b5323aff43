"""Which windows the figures are of, and whether the model has seen them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.trainer.report.made import answers
from trainer.data import read_source
from trainer.export import load_model
from trainer.report.judged import judge, judge_file


def test_test_rows_of_new_devices_are_known_as_such(model_path: Path, data_path: Path) -> None:
    judged, every = judge_file(load_model(model_path), read_source(data_path), "test")
    assert (judged.split, judged.was_fitted_on, judged.has_new_groups) == ("test", False, True)
    assert len(judged.data) == int((every.split == 1).sum())


def test_training_rows_are_recognised_by_their_digest(model_path: Path, data_path: Path, tmp_path: Path) -> None:
    arrays = dict(np.load(data_path))
    chosen = arrays["split"] == 0
    rows = {
        name: value[chosen] if len(value.shape) and len(value) == len(chosen) else value
        for name, value in arrays.items()
    }
    del rows["split"]
    bare = tmp_path / "training.npz"
    np.savez(bare, **rows)
    model = load_model(model_path)
    assert judge_file(model, read_source(bare), "test")[0].was_fitted_on is True
    # One label of another class, and nobody can tell.
    rows["y"] = rows["y"].copy()
    rows["y"][0] = 1 - rows["y"][0]
    np.savez(bare, **rows)
    assert judge_file(model, read_source(bare), "test")[0].was_fitted_on is None


def test_a_device_on_both_sides_of_the_split_is_no_new_device(
    model_path: Path, data_path: Path, tmp_path: Path
) -> None:
    arrays = dict(np.load(data_path))
    arrays["groups"] = np.zeros_like(arrays["groups"])
    path = tmp_path / "one.npz"
    np.savez(path, **arrays)
    assert judge_file(load_model(model_path), read_source(path), "test")[0].has_new_groups is False


def test_probabilities_of_a_fit_are_taken_as_they_are_and_novelty_is_the_models(
    model_path: Path, data_path: Path
) -> None:
    model = load_model(model_path)
    data = judge_file(model, read_source(data_path), "train")[0].data
    own = np.tile([0.25, 0.75], (len(data), 1))
    judged = judge(model, data, split="folds", was_fitted_on=False, has_new_groups=True, probabilities=own)
    assert (judged.predicted == 1).all()
    assert (judged.confidence == 0.75).all()
    np.testing.assert_array_equal(judged.novelty, model.run(data.windows).novelty)
    with pytest.raises(ValueError, match="probabilities: shape"):
        judge(model, data, split="folds", was_fitted_on=False, has_new_groups=True, probabilities=own[:3])


def test_right_and_wrong_follow_the_highest_probability() -> None:
    judged = answers([0, 1, 1], [0, 0, 1])
    assert judged.is_right.tolist() == [True, False, True]
    assert replace(judged, data=replace(judged.data, group_key=None)).groups is None
