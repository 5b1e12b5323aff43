"""The pipeline learns from training rows only, reports honestly, and gives the same bytes for the same seed."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trainer.data import WindowedData
from trainer.data.examples import example_windows
from trainer.data.plan import CutPlan
from trainer.errors import DatasetError
from trainer.evaluate import log_loss
from trainer.export import LoadedModel, export_model
from trainer.export.heads import NetworkHead, VoteHead
from trainer.fit import FitOptions, FitResult, HeadKind, fit, model_card, training_rows


def silent(_what: str, _done: int, _of: int) -> None:
    """Report to nobody."""


def plan_of(data: WindowedData) -> CutPlan:
    return CutPlan(data.window_length, data.hop_length, data.sampling_rate_hz, "nearest", None, None, 0.8)


def written(result: FitResult, path: Path) -> LoadedModel:
    card = model_card(result, plan_of(result.data))
    return export_model(result.model, card, path, result.data.windows, result.data.class_indices)


@pytest.mark.parametrize(
    ("features", "head"),
    [
        ("edge", "auto"),
        ("statistics", "logistic"),
        ("minirocket:200", "ridge"),
        ("edge", "mlp"),
        ("statistics", "deep-belief"),
    ],
)
def test_a_fit_tells_slow_from_fast_on_recordings_it_never_saw(features: str, head: HeadKind, tmp_path: Path) -> None:
    data = example_windows(n_recordings=8, windows_per_recording=20)
    unseen = example_windows(n_recordings=4, seed=9)
    result = fit(data, FitOptions(features=features, head=head, name="toy"), silent)
    loaded = written(result, tmp_path / "m.onnx")
    assert np.mean(loaded.run(unseen.windows).labels == unseen.class_indices) > 0.95
    assert result.evaluation.accuracy > 0.95
    assert result.plan.name == "grouped 5-fold cross-validation"
    if head != "auto":
        assert result.head_facts.kind == head


def noisy(n_recordings: int = 24) -> WindowedData:
    """Windows whose level says a little, and whose shape says a little."""
    data = example_windows(n_recordings=n_recordings, windows_per_recording=20)
    generator = np.random.default_rng(4)
    windows = data.windows + 2.5 * generator.standard_normal(data.windows.shape)
    windows += 0.7 * data.class_indices[:, np.newaxis, np.newaxis]
    return replace(data, windows=windows.astype(np.float32))


def test_a_vote_answers_in_the_file_as_its_voices_do_together(tmp_path: Path) -> None:
    data = noisy()
    result = fit(data, FitOptions(features="edge", name="toy"), silent)
    assert result.head_facts.kind == "vote"
    assert isinstance(result.model.head, VoteHead)
    assert {voice["head"] for voice in result.head_facts.hyper_parameters["voices"]} == {"ridge", "logistic"}
    answers = written(result, tmp_path / "m.onnx").run(data.windows)
    features = result.model.standardiser.apply(result.model.extractor.transform(data.windows))
    assert np.allclose(answers.probabilities, result.model.head.probabilities(features), atol=1e-4)


def test_out_of_fold_answers_are_kept_for_every_judged_window() -> None:
    data = noisy()
    result = fit(data, FitOptions(features="statistics", head="ridge"), silent)
    assert result.judged.tolist() == list(range(len(data)))
    assert np.allclose(result.probabilities.sum(axis=1), 1.0)
    right = result.probabilities.argmax(axis=1) == data.class_indices
    assert result.evaluation.accuracy == right.mean()
    # The very answers that are reported, each calibrated by the other folds.
    assert log_loss(result.probabilities, data.class_indices) == pytest.approx(result.evaluation.log_loss, rel=1e-9)
    assert result.groups is not None
    assert len(result.groups.scores) == 24


def test_every_group_can_be_held_out_alone() -> None:
    result = fit(noisy(7), FitOptions(features="statistics", head="ridge", folds="groups"), silent)
    assert result.plan.name == "leave-one-device-out cross-validation"
    assert len(result.plan.folds) == 7
    assert {metric.split for metric in result.metrics} == {result.plan.name}


def test_a_deep_belief_network_learns_from_unlabelled_training_windows_but_from_no_test_window() -> None:
    data = example_windows(n_recordings=8, windows_per_recording=20)
    labels, split = data.class_indices.copy(), np.zeros(len(data), np.int64)
    labels[data.recordings >= 4] = -1
    split[data.recordings >= 7] = 1
    result = fit(
        replace(data, class_indices=labels, split=split),
        FitOptions(features="statistics", head="deep-belief", hidden_layer_sizes=(8,)),
        silent,
    )
    assert "60 unlabelled windows were learned from before the labelled ones" in result.remarks
    assert len(result.data) == 80


def test_labels_without_meaning_give_honest_figures() -> None:
    data = example_windows(n_recordings=20, windows_per_recording=6)
    # Every recording gets one label, drawn by chance: whatever is chosen among many settings, nothing can be learned.
    by_recording = np.random.default_rng(5).permutation(np.repeat([0, 1], 10))[data.groups]
    found = fit(
        replace(data, class_indices=by_recording.astype(np.int64)), FitOptions(features="edge"), silent
    ).evaluation
    assert found.accuracy < 0.75
    assert found.log_loss > 0.5


def head_weights(result: FitResult) -> np.typing.NDArray[np.float64]:
    assert isinstance(result.model.head, NetworkHead)
    return np.asarray(result.model.head.layers[0][0])


def test_test_rows_cannot_change_the_model() -> None:
    data = example_windows(n_recordings=8)
    data = replace(data, split=(data.recordings >= 6).astype(np.int64))
    spoiled = data.windows.copy()
    spoiled[data.split == 1] = 1e6
    labels = np.where(data.split == 1, 1 - data.class_indices, data.class_indices)
    one = fit(data, FitOptions(features="statistics", head="ridge"), silent)
    other = fit(
        replace(data, windows=spoiled, class_indices=labels), FitOptions(features="statistics", head="ridge"), silent
    )
    assert np.array_equal(head_weights(one), head_weights(other))
    assert one.data.sha256() == other.data.sha256()
    assert any("20 test windows were not looked at" in remark for remark in one.remarks)


def test_unlabelled_and_unused_are_left_out_and_said() -> None:
    data = example_windows(n_recordings=4)
    labels = data.class_indices.copy()
    labels[:3] = -1
    rows, remarks = training_rows(replace(data, class_indices=labels, classes=("slow", "fast", "never")))
    assert rows.classes == ("slow", "fast")
    assert len(rows) == len(data) - 3
    assert remarks == ("3 unlabelled windows left out", "classes without training windows are left out: never")


@pytest.mark.parametrize(
    ("labels", "message"),
    [(-1, "got only unlabelled"), (1, r"at least 2 classes expected, got one class only \('fast'\)")],
)
def test_one_class_or_none_is_refused(labels: int, message: str) -> None:
    data = example_windows()
    with pytest.raises(DatasetError, match=message):
        training_rows(replace(data, class_indices=np.full(len(data), labels)))


SCRIPT = """
import sys
from pathlib import Path
from trainer.data.examples import example_windows
from trainer.data.plan import CutPlan
from trainer.export import export_model
from trainer.fit import FitOptions, fit
from trainer.fit.writing import model_card
data = example_windows(n_recordings=6, windows_per_recording=30)
result = fit(data, FitOptions(features=sys.argv[3], head=sys.argv[1], seed=4), lambda *_: None)
plan = CutPlan(data.window_length, data.hop_length, data.sampling_rate_hz, "nearest", None, None, 0.8)
print(export_model(result.model, model_card(result, plan), Path(sys.argv[2]), data.windows, data.class_indices).digest)
"""


@pytest.mark.parametrize(("features", "head"), [("edge", "auto"), ("statistics", "mlp")])
def test_the_same_seed_gives_the_same_bytes_whatever_the_number_of_threads(
    features: str, head: str, tmp_path: Path, repository: Path
) -> None:
    digests = set()
    for threads in ("1", "2"):
        environment = os.environ | {"OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
        command = [sys.executable, "-c", SCRIPT, head, str(tmp_path / f"{threads}.onnx"), features]
        done = subprocess.run(command, env=environment, cwd=repository, capture_output=True, text=True, check=True)
        digests.add(done.stdout.strip())
    assert len(digests) == 1
    assert (tmp_path / "1.onnx").read_bytes() == (tmp_path / "2.onnx").read_bytes()


def test_novelty_is_above_one_for_a_signal_of_another_world() -> None:
    data = example_windows(n_recordings=10, windows_per_recording=20)
    result = fit(data, FitOptions(features="statistics"), silent)

    def novelty(windows: np.typing.NDArray[np.float32]) -> np.typing.NDArray[np.float64]:
        features = result.model.extractor.transform(windows)
        return result.model.novelty.novelty(result.model.standardiser.apply(features))

    familiar = example_windows(n_recordings=10, seed=11).windows
    assert np.mean(novelty(familiar) > 1.0) < 0.1
    assert np.mean(novelty(10.0 * familiar) > 1.0) > 0.95
