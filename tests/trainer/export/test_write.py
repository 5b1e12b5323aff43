import os
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from schemas import ContractError
from schemas.card import golden_bytes
from tests.trainer.export.fitted import Fitted, fit_example, vibrations
from trainer.errors import ExportParityError
from trainer.export import (
    FittedModel,
    Member,
    NetworkHead,
    VoteHead,
    build_model,
    export_model,
    load_model,
)
from trainer.export import write as write_module
from trainer.export.write import GOLDEN_BUDGET_BYTES, check_parity, choose_golden_windows


def test_the_same_model_gives_the_same_bytes(fitted: Fitted, exported: bytes, tmp_path: Path) -> None:
    again = fit_example()
    path = tmp_path / "again.onnx"
    export_model(again.model, again.card, path, again.windows, again.class_indices)
    assert path.read_bytes() == exported


def test_no_window_gives_an_answer_that_is_not_finite(fitted: Fitted, exported: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(exported)
    model = load_model(path)
    generator = np.random.default_rng(0)
    shape = (3, 64)
    wild = [
        np.full(shape, np.nan),
        np.zeros(shape),
        np.full(shape, 1e30),
        np.full(shape, -3.4e38),
        generator.choice([-1e30, 1e30], size=shape),
        generator.choice([1e-40, 1e30, np.nan], size=shape),
        *(generator.normal(size=shape) * scale for scale in (1e-30, 1e-9, 1e9, 1e20)),
    ]
    answers = model.run(np.asarray(wild, dtype=np.float32))
    assert np.isfinite(answers.probabilities).all()
    assert np.isfinite(answers.novelty).all()
    assert (answers.novelty >= 0.0).all()


def test_a_strange_signal_is_novel_and_a_familiar_one_is_not(fitted: Fitted, tmp_path: Path) -> None:
    parts = fitted.model
    held_out, _ = vibrations(50, 3, seed=4)
    scores = parts.novelty.scores(parts.standardiser.apply(parts.extractor.transform(held_out)))
    calibrated = replace(parts, novelty=parts.novelty.with_threshold(scores, 0.05))
    model = export_model(calibrated, fitted.card, tmp_path / "m.onnx", fitted.windows, fitted.class_indices)
    assert model.card.novelty.false_alarm_rate == 0.05
    familiar, _ = vibrations(50, 3, seed=5)
    strange = familiar + 30.0 * np.sign(np.sin(np.arange(64))).astype(np.float32)
    assert np.mean(model.run(strange).novelty > 1.0) == 1.0
    assert np.mean(model.run(familiar).novelty > 1.0) < 0.15


def test_the_card_is_completed_with_what_the_export_knows(fitted: Fitted, exported: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(exported)
    card = load_model(path).card
    assert [block.kind for block in card.features] == ["statistics", "spectral"]
    assert sum(block.n_features for block in card.features) == fitted.model.extractor.n_features
    assert card.temperature == 1.3
    assert (card.novelty.method, card.novelty.false_alarm_rate) == ("mahalanobis", 0.01)
    assert (card.opset, card.ir_version) == (17, 8)
    assert card.name == fitted.card.name


def test_golden_windows_are_real_training_windows_one_per_class(
    fitted: Fitted, exported: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(exported)
    golden = load_model(path).card.golden
    assert [window.label for window in golden] == [0, 1, 2]
    known = {window.astype("<f4").tobytes() for window in fitted.windows}
    assert {bytes(golden_bytes(window)) for window in golden} <= known
    assert sum(len(golden_bytes(window)) for window in golden) <= GOLDEN_BUDGET_BYTES


def test_one_golden_window_is_kept_however_large(
    fitted: Fitted, exported: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(exported)
    for budget, expected in ((10, 1), (2 * 3 * 64 * 4, 2)):
        monkeypatch.setattr(write_module, "GOLDEN_BUDGET_BYTES", budget)
        assert len(choose_golden_windows(load_model(path), fitted.windows, fitted.class_indices)) == expected


def test_a_graph_that_answers_otherwise_is_not_written(
    fitted: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"the model before")
    build = build_model

    def with_other_weights(model: FittedModel, metadata: dict[str, str] | None = None) -> onnx.ModelProto:
        assert isinstance(model.head, NetworkHead)
        (weights, bias), *rest = model.head.layers
        return build(replace(model, head=replace(model.head, layers=((weights * 1.01, bias), *rest))), metadata)

    monkeypatch.setattr(write_module, "build_model", with_other_weights)
    with pytest.raises(ExportParityError) as caught:
        export_model(fitted.model, fitted.card, path, fitted.windows, fitted.class_indices)
    assert caught.value.max_abs_diff > caught.value.tolerance
    assert path.read_bytes() == b"the model before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.onnx"]


def test_a_graph_that_no_gateway_takes_is_refused_in_one_line_and_not_written(fitted: Fitted, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"the model before")
    n_features = fitted.model.extractor.n_features
    # Of each voice: a part of the features, its logits, a softmax, its weight and the sum.
    voices = tuple(Member(NetworkHead.of([(np.full((1, 3), 0.1 * k), np.zeros(3))]), 0, 1) for k in range(500))
    model = replace(fitted.model, head=VoteHead(voices, (1.0,) * 500, n_features))
    with pytest.raises(ContractError, match=r"m\.onnx: nodes: 1 to 2000 expected, got 2\d\d\d$"):
        export_model(model, fitted.card, path, fitted.windows, fitted.class_indices)
    assert path.read_bytes() == b"the model before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.onnx"]


def test_parity_holds_on_windows_with_missing_values(fitted: Fitted, exported: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(exported)
    windows = fitted.windows.copy()
    windows[::3, 0, 10:40] = np.nan
    assert check_parity(fitted.model, load_model(path), windows) <= 1e-5


def test_a_disk_that_refuses_leaves_the_old_file_and_nothing_beside(
    fitted: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"the model before")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ContractError, match=r"m\.onnx: file: a place to write expected, got: No space left on device"):
        export_model(fitted.model, fitted.card, path, fitted.windows, fitted.class_indices)
    assert path.read_bytes() == b"the model before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.onnx"]


def test_a_folder_that_is_not_there_is_one_clear_line(fitted: Fitted, tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="a place to write expected, got: No such file or directory"):
        export_model(fitted.model, fitted.card, tmp_path / "no" / "m.onnx", fitted.windows, fitted.class_indices)


def test_a_service_can_read_the_file(fitted: Fitted, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    export_model(fitted.model, fitted.card, path, fitted.windows, fitted.class_indices)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"window_length": 65}, "card: window_length 64 expected, got 65"),
        ({"sampling_rate_hz": None}, "card: sampling_rate_hz 100.0 expected, got None"),
        ({"classes": ["a", "b"]}, "card: 3 classes expected, got 2"),
    ],
)
def test_a_card_of_another_model_is_refused(
    change: dict[str, object], problem: str, fitted: Fitted, tmp_path: Path
) -> None:
    card = fitted.card.model_copy(update=change)
    with pytest.raises(ValueError, match=problem):
        export_model(fitted.model, card, tmp_path / "m.onnx", fitted.windows, fitted.class_indices)


def test_channels_in_another_order_are_refused(fitted: Fitted, tmp_path: Path) -> None:
    card = fitted.card.model_copy(update={"channels": fitted.card.channels[::-1]})
    with pytest.raises(ValueError, match="card: channels"):
        export_model(fitted.model, card, tmp_path / "m.onnx", fitted.windows, fitted.class_indices)
    with pytest.raises(ValueError, match="class_indices: shape"):
        export_model(fitted.model, fitted.card, tmp_path / "m.onnx", fitted.windows, fitted.class_indices[:-1])
