import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from schemas import CARD_METADATA_KEY, ContractError
from tests.trainer.export.fitted import Fitted
from trainer.export import load_model


def _write(path: Path, model: onnx.ModelProto) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


def test_a_loaded_model_answers_any_number_of_windows_alike(fitted: Fitted, exported: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(exported)
    model = load_model(path)
    together = model.run(fitted.windows)
    assert len(together.labels) == len(fitted.windows) > 64
    alone = [model.run(window[None]) for window in fitted.windows]
    np.testing.assert_array_equal(together.labels, [answers.labels[0] for answers in alone])
    np.testing.assert_allclose(together.probabilities, [answers.probabilities[0] for answers in alone], atol=1e-6)
    np.testing.assert_allclose(together.novelty, [answers.novelty[0] for answers in alone], rtol=1e-4)
    assert model.run(fitted.windows[:0]).probabilities.shape == (0, 3)


def test_the_digest_is_that_of_the_file(exported: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(exported)
    assert load_model(path).digest == hashlib.sha256(exported).hexdigest()


def test_windows_of_another_shape_are_refused(exported: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(exported)
    with pytest.raises(ValueError, match=r"shape \(n_windows, 3, 64\) expected, got \(1, 64, 3\)"):
        load_model(path).run(np.zeros((1, 64, 3), np.float32))


def test_a_file_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"m\.onnx: file: a readable model file expected, got: No such file"):
        load_model(tmp_path / "m.onnx")


@pytest.mark.parametrize("content", [b"", b"\x00" * 10, b"PK\x03\x04 something else", b"{}"], ids=repr)
def test_a_file_of_another_kind_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(ContractError, match=r"m\.onnx: file: "):
        load_model(path)


def test_a_model_with_nan_weights_fails_its_golden_windows(exported: bytes, tmp_path: Path) -> None:
    model = onnx.load_model_from_string(exported)
    gemm = next(node for node in model.graph.node if node.op_type == "Gemm")
    weights = next(tensor for tensor in model.graph.initializer if tensor.name == gemm.input[1])
    poisoned = numpy_helper.from_array(np.full(tuple(weights.dims), np.nan, np.float32), weights.name)
    weights.CopyFrom(poisoned)
    with pytest.raises(ContractError, match=r"golden\.0: finite probabilities and novelty expected"):
        load_model(_write(tmp_path / "m.onnx", model))


def test_a_model_whose_weights_were_swapped_fails_its_golden_windows(exported: bytes, tmp_path: Path) -> None:
    model = onnx.load_model_from_string(exported)
    gemm = next(node for node in model.graph.node if node.op_type == "Gemm")
    weights = next(tensor for tensor in model.graph.initializer if tensor.name == gemm.input[1])
    swapped = numpy_helper.to_array(weights)[:, ::-1]
    weights.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(swapped), weights.name))
    with pytest.raises(ContractError, match=r"golden.0: label 0 within 0.0001 expected, got label"):
        load_model(_write(tmp_path / "m.onnx", model))


@pytest.mark.parametrize(("field", "change"), [("novelty", 0.05), ("probabilities", 0.001)])
def test_a_golden_answer_that_was_edited_is_found(field: str, change: float, exported: bytes, tmp_path: Path) -> None:
    model = onnx.load_model_from_string(exported)
    [entry] = [entry for entry in model.metadata_props if entry.key == CARD_METADATA_KEY]
    card = json.loads(entry.value)
    golden = card["golden"][1]
    golden[field] = [value + change for value in golden[field]] if field == "probabilities" else golden[field] + change
    entry.value = json.dumps(card)
    with pytest.raises(ContractError, match=r"golden\.1: label 1 within 0\.0001 expected"):
        load_model(_write(tmp_path / "m.onnx", model))
