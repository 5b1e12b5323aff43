"""The pipeline learns from training rows only, reports honestly, and gives the same bytes for the same seed."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from schemas import CARD_METADATA_KEY, parse_card
from trainer.data import WindowedData
from trainer.data.examples import example_windows
from trainer.data.folds import Fold
from trainer.data.plan import CutPlan
from trainer.errors import DatasetError
from trainer.export import export_model, load_model
from trainer.features import blocks_of
from trainer.fit import FitOptions, fit, model_name, training_rows
from trainer.fit.candidates import candidate_names
from trainer.fit.cross_validation import Setting, Trial, best_trial, honest_probabilities, try_penalties
from trainer.fit.heads import logits_of, new_mlp
from trainer.fit.path import PENALTY_PATH, PenaltyPath, losses
from trainer.fit.thresholds import calibrated, careful_temperature, unsure_below
from trainer.fit.writing import model_card
from trainer.learn import LogisticClassifier


def silent(_what: str, _done: int, _of: int) -> None:
    """Report to nobody."""


def plan_of(data: WindowedData) -> CutPlan:
    return CutPlan(data.window_length, data.hop_length, data.sampling_rate_hz, "nearest", None, None, 0.8)


@pytest.mark.parametrize("head", ["logistic", "mlp"])
def test_a_fit_tells_slow_from_fast_on_recordings_it_never_saw(head: str, tmp_path: Path) -> None:
    data = example_windows(n_recordings=8, windows_per_recording=20)
    unseen = example_windows(n_recordings=4, seed=9)
    result = fit(data, FitOptions(head="mlp" if head == "mlp" else "logistic", name="toy"), silent)
    loaded = export_model(
        result.model,
        model_card(result, plan_of(data)),
        tmp_path / "m.onnx",
        result.data.windows,
        result.data.class_indices,
    )
    assert np.mean(loaded.run(unseen.windows).labels == unseen.class_indices) > 0.95
    assert result.evaluation.accuracy > 0.95
    assert result.plan.name == "grouped 5-fold cross-validation"


def test_labels_without_meaning_give_honest_figures() -> None:
    data = example_windows(n_recordings=20, windows_per_recording=6)
    # Every recording gets one label, drawn by chance: whatever is chosen among many settings, nothing can be learned.
    by_recording = np.random.default_rng(5).permutation(np.repeat([0, 1], 10))[data.groups]
    found = fit(replace(data, class_indices=by_recording.astype(np.int64)), FitOptions(), silent).evaluation
    assert found.accuracy < 0.75
    assert found.log_loss > 0.5


def test_test_rows_cannot_change_the_model() -> None:
    data = example_windows(n_recordings=8)
    data = replace(data, split=(data.recordings >= 6).astype(np.int64))
    spoiled = data.windows.copy()
    spoiled[data.split == 1] = 1e6
    labels = np.where(data.split == 1, 1 - data.class_indices, data.class_indices)
    one = fit(data, FitOptions(features="statistics"), silent)
    other = fit(replace(data, windows=spoiled, class_indices=labels), FitOptions(features="statistics"), silent)
    assert np.array_equal(one.head.layers_[0].weights, other.head.layers_[0].weights)
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
result = fit(data, FitOptions(head=sys.argv[1], seed=4), lambda *_: None)
plan = CutPlan(data.window_length, data.hop_length, data.sampling_rate_hz, "nearest", None, None, 0.8)
print(export_model(result.model, model_card(result, plan), Path(sys.argv[2]), data.windows, data.class_indices).digest)
"""


@pytest.mark.parametrize("head", ["logistic", "mlp"])
def test_the_same_seed_gives_the_same_bytes_whatever_the_number_of_threads(
    head: str, tmp_path: Path, repository: Path
) -> None:
    digests = set()
    for threads in ("1", "2"):
        environment = os.environ | {"OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
        command = [sys.executable, "-c", SCRIPT, head, str(tmp_path / f"{threads}.onnx")]
        done = subprocess.run(command, env=environment, cwd=repository, capture_output=True, text=True, check=True)
        digests.add(done.stdout.strip())
    assert len(digests) == 1
    assert (tmp_path / "1.onnx").read_bytes() == (tmp_path / "2.onnx").read_bytes()


def test_the_card_is_complete_and_comes_back_from_the_file(tmp_path: Path) -> None:
    data = replace(example_windows(n_recordings=6), sampling_rate_hz=None)
    result = fit(data, FitOptions(features="spectral", name="toy", seed=7), silent)
    card = model_card(result, plan_of(data))
    export_model(result.model, card, tmp_path / "m.onnx", data.windows, data.class_indices)
    found = load_model(tmp_path / "m.onnx").card
    assert parse_card(found.model_dump_json(), CARD_METADATA_KEY) == found
    assert (found.name, found.classes, found.channel_names) == ("toy", ["slow", "fast"], ["x", "y"])
    assert (found.window_length, found.hop_length, found.sampling_rate_hz) == (32, 16, None)
    assert found.channels[0].unit == "m/s2"
    assert any("classifies windows, not streams" in note for note in found.notes)
    assert found.data.rows_per_class == {"slow": 30, "fast": 30}
    assert (found.data.group_key, found.data.n_groups, found.data.seed) == ("device", 6, 7)
    assert found.data.sha256 == data.sha256()
    assert set(found.data.libraries) == {"numpy", "scipy", "onnx", "onnxruntime"}
    accuracy = next(metric for metric in found.metrics if metric.name == "accuracy")
    assert accuracy.split == "grouped 5-fold cross-validation"
    assert accuracy.low is not None
    assert accuracy.high is not None
    assert accuracy.low <= accuracy.value <= accuracy.high
    assert found.head.hyper_parameters["C"] > 0
    assert found.golden


def test_novelty_is_above_one_for_a_signal_of_another_world() -> None:
    data = example_windows(n_recordings=10, windows_per_recording=20)
    result = fit(data, FitOptions(features="statistics"), silent)

    def novelty(windows: np.typing.NDArray[np.float32]) -> np.typing.NDArray[np.float64]:
        features = result.candidate.extractor.transform(windows)
        return result.novelty.novelty(result.standardiser.apply(features))

    familiar = example_windows(n_recordings=10, seed=11).windows
    assert np.mean(novelty(familiar) > 1.0) < 0.1
    assert np.mean(novelty(10.0 * familiar) > 1.0) > 0.95


def test_a_name_that_no_card_can_hold_is_refused() -> None:
    data = example_windows()
    result = fit(data, FitOptions(features="statistics", name="Not a slug"), silent)
    with pytest.raises(DatasetError, match="model card: name"):
        model_card(result, plan_of(data))


def test_what_auto_tries_depends_on_the_size_of_a_window() -> None:
    assert candidate_names("auto", example_windows()) == ("statistics", "spectral", "raw", "statistics+spectral")
    assert candidate_names("auto", example_windows(window_length=1024)) == (
        "statistics",
        "spectral",
        "statistics+spectral",
    )
    assert candidate_names("auto", example_windows(window_length=4)) == ("statistics", "raw")
    with pytest.raises(ValueError, match="some of raw, statistics, spectral expected, got 'wavelets'"):
        blocks_of("raw+wavelets")


# --- the parts --------------------------------------------------------------------------------------------------------


def test_the_path_of_penalties_ends_where_the_estimator_does() -> None:
    generator = np.random.default_rng(0)
    for n_windows, n_features in ((60, 5), (20, 50)):
        X = generator.standard_normal((n_windows, n_features))
        y = np.arange(n_windows) % 3
        path = PenaltyPath(X, y, X, n_classes=3)
        for penalty in PENALTY_PATH[:4]:
            found = path.logits_at(penalty)
        head = LogisticClassifier(C=PENALTY_PATH[3], tol=1e-8).fit(X, y)
        assert np.abs(found - logits_of(head, X, 3)).max() < 0.05


def test_losses_are_stable_at_ten_thousand() -> None:
    logits = np.array([[1e4, -1e4], [-1e4, 1e4], [0.0, 0.0]])
    assert losses(logits, np.array([0, 0, 1])) == pytest.approx([0.0, 2e4, np.log(2)])


def test_the_best_trial_of_a_fold_is_chosen_by_the_others() -> None:
    logits = np.zeros((4, 2))
    # The first setting looks best over all folds, but only because of fold 0.
    trials = [
        Trial(Setting("a", 1.0), logits + np.array([[3.0, 0.0]]), np.array([0.0, 5.0])),
        Trial(Setting("b", 1.0), logits, np.array([6.0, 1.0])),
    ]
    assert best_trial(trials).setting.blocks == "a"
    assert best_trial(trials, left_out=0).setting.blocks == "b"
    folds = (Fold(np.array([2, 3]), np.array([0, 1])), Fold(np.array([0, 1]), np.array([2, 3])))
    found = honest_probabilities(trials, np.zeros(4, np.int64), folds)
    assert found[:2] == pytest.approx(0.5)
    assert (found[2:, 0] > 0.6).all()


def test_a_class_that_was_not_fitted_gets_the_lowest_logit() -> None:
    X = np.array([[0.0], [1.0], [2.0], [3.0]])
    head = LogisticClassifier().fit(X, np.array([0, 0, 2, 2]))
    logits = logits_of(head, X, 3)
    assert logits.shape == (4, 3)
    assert (logits.argmin(axis=1) == 1).all()


def test_penalties_are_tried_until_they_get_worse_and_finer_around_the_best() -> None:
    generator = np.random.default_rng(1)
    X = generator.standard_normal((80, 10))
    y = (X[:, 0] + generator.standard_normal(80) > 0).astype(np.int64)
    folds = tuple(
        Fold(np.flatnonzero(np.arange(80) % 4 != k), np.flatnonzero(np.arange(80) % 4 == k)) for k in range(4)
    )
    trials = try_penalties({"raw": X}, y, folds, n_classes=2, report=silent)
    tried = [trial.setting.penalty for trial in trials]
    assert tried[-2] == pytest.approx(tried[-1] * 10)
    assert len(tried) < len(PENALTY_PATH) + 2
    assert all(np.isfinite(trial.logits).all() for trial in trials)


def test_no_error_among_few_windows_is_not_certainty() -> None:
    sure = np.tile([[8.0, 0.0]], (20, 1))
    few = careful_temperature(sure, np.zeros(20, np.int64))
    many = careful_temperature(np.tile(sure, (500, 1)), np.zeros(10_000, np.int64))
    assert calibrated(sure, few).max() < 0.98
    assert many < few


def test_unsure_is_where_more_than_half_is_wrong() -> None:
    confidence = np.repeat([0.35, 0.45, 0.9], 20)
    probabilities = np.stack([confidence, (1 - confidence) / 2, (1 - confidence) / 2], axis=1)
    truth = np.concatenate([np.repeat([1, 0], [15, 5]), np.repeat([1, 0], [8, 12]), np.zeros(20, int)])
    # Below 0.4: 15 of 20 wrong. Up to 0.45: 23 of 40 wrong, still more than half. Up to 0.9: 23 of 60.
    assert unsure_below(probabilities, truth) == pytest.approx(0.675)
    assert unsure_below(probabilities, np.zeros(60, np.int64)) == 0.0


def test_an_mlp_with_a_number_of_epochs_holds_nothing_out() -> None:
    assert not new_mlp((4,), 30, 0, max_epochs=3).early_stopping
    assert new_mlp((4,), 30, 0).early_stopping


@pytest.mark.parametrize(("stem", "name"), [("A b", "a-b"), ("é", "model"), ("x" * 90, "x" * 64), ("9-", "9")])
def test_a_model_is_named_after_its_data(stem: str, name: str) -> None:
    assert model_name(Path(f"{stem}.npz")) == name


@pytest.mark.real_data
@pytest.mark.slow
def test_uci_har_of_people_never_seen(datasets: Path, tmp_path: Path) -> None:
    from trainer.data import CutOptions, read_source
    from trainer.evaluate.model import evaluate_model
    from trainer.fit import fit_file

    path = datasets / "uci_har.npz"
    if not path.is_file():
        pytest.skip(f"{path.name} is not among the recordings")
    # The blocks that auto chooses, asked for by name to spare the search.
    fit_file(path, tmp_path / "m.onnx", CutOptions(), FitOptions(features="statistics+spectral", name="har"), silent)
    judged = evaluate_model(load_model(tmp_path / "m.onnx"), read_source(path), "test")
    assert judged.evaluation.n_windows == 2947
    assert judged.evaluation.accuracy >= 0.95
