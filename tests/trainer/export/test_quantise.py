"""Smaller weights: fewer bytes, the same features, a file that a gateway takes; and what they change is said."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from edge_agent.shell.guard import inspect_model
from schemas import ContractError
from tests.trainer.export.fitted import Fitted, fit_example
from trainer.errors import TrainerError
from trainer.export import check_model, export_model, load_model
from trainer.export.quantise import WeightKind, head_nodes, quantise_file, quantise_model, rounded, runtime_int8

SMALL: tuple[WeightKind, ...] = ("float16", "int8")


@pytest.fixture(scope="module")
def mlp(tmp_path_factory: pytest.TempPathFactory) -> tuple[Fitted, Path]:
    fitted = fit_example(head="relu")
    path = tmp_path_factory.mktemp("quantise") / "pump.onnx"
    export_model(fitted.model, fitted.card, path, fitted.windows, fitted.class_indices)
    return fitted, path


def tensors(content: bytes) -> dict[str, TensorProto]:
    return {tensor.name: tensor for tensor in onnx.load_model_from_string(content).graph.initializer}


@pytest.mark.parametrize("weights", SMALL)
def test_a_smaller_file_is_proven_and_taken_by_trainer_and_gateway(
    mlp: tuple[Fitted, Path], tmp_path: Path, weights: WeightKind
) -> None:
    fitted, path = mlp
    out = tmp_path / "small.onnx"
    found = quantise_file(path, out, fitted.windows, weights=weights)
    content = out.read_bytes()
    assert found.n_bytes == len(content) < found.n_bytes_before == path.stat().st_size
    assert inspect_model(content, "small") == check_model(content, "small")
    # load_model answers the golden windows, which were made anew: those of the float file are off.
    loaded = load_model(out)
    assert loaded.digest == found.digest
    assert loaded.card.golden != load_model(path).card.golden
    assert loaded.card.notes[-1] == (
        f"Head and novelty weights are stored as {weights}: "
        f"{found.n_flips} of {len(fitted.windows)} windows got another label."
    )


@pytest.mark.parametrize("weights", SMALL)
def test_what_is_said_of_the_difference_is_the_difference(
    mlp: tuple[Fitted, Path], tmp_path: Path, weights: WeightKind
) -> None:
    fitted, path = mlp
    found = quantise_file(path, tmp_path / "small.onnx", fitted.windows, weights=weights)
    before, after = load_model(path).run(fitted.windows), load_model(tmp_path / "small.onnx").run(fitted.windows)
    assert found.n_windows == len(fitted.windows)
    assert found.n_flips == int((before.labels != after.labels).sum())
    assert found.max_probability_difference == float(np.abs(before.probabilities - after.probabilities).max())
    assert 0.0 < found.max_probability_difference < (1e-3 if weights == "float16" else 0.2)
    assert 0.0 < found.max_novelty_difference < 0.2


def test_weights_of_two_bytes_are_nearer_than_those_of_one(mlp: tuple[Fitted, Path], tmp_path: Path) -> None:
    fitted, path = mlp
    half, byte = (quantise_file(path, tmp_path / kind, fitted.windows, weights=kind) for kind in SMALL)
    assert half.max_probability_difference < byte.max_probability_difference
    assert byte.n_bytes < half.n_bytes


@pytest.mark.parametrize("weights", SMALL)
def test_only_matrices_behind_the_features_are_touched(mlp: tuple[Fitted, Path], weights: WeightKind) -> None:
    fitted, path = mlp
    before, after = tensors(path.read_bytes()), tensors(quantise_model(path.read_bytes(), weights))
    nodes = head_nodes(onnx.load_model_from_string(path.read_bytes()))
    touched = {node.input[1] for node in nodes}
    first = fitted.model.extractor.n_features
    # Every constant of the feature graph, the Fourier matrix among them, is still there bit by bit.
    constants = fitted.model.extractor.model.graph.initializer
    assert max(len(tensor.raw_data) for tensor in constants) >= 64 * 64 * 4
    assert {tensor.raw_data for tensor in constants} <= {tensor.raw_data for tensor in after.values()}
    assert any(list(before[name].dims) == [first, 8] for name in touched)  # the first layer of the head
    for name in set(before) - touched:
        assert after[name] == before[name]
    assert not touched & set(after)
    kinds = {tensor.data_type for name, tensor in after.items() if name not in before}
    assert kinds == ({TensorProto.FLOAT16} if weights == "float16" else {TensorProto.INT8, TensorProto.FLOAT})


def test_the_integers_of_onnxruntime_are_what_rounded_says(mlp: tuple[Fitted, Path]) -> None:
    _, path = mlp
    before, after = tensors(path.read_bytes()), tensors(quantise_model(path.read_bytes(), "int8"))
    for node in head_nodes(onnx.load_model_from_string(path.read_bytes())):
        name = node.input[1]
        integers, scales = (numpy_helper.to_array(after[f"{name}_{part}"]) for part in ("int8", "scales"))
        assert scales.shape == (1, before[name].dims[1])
        assert abs(integers.astype(int)).max() == 127
        expected = rounded(numpy_helper.to_array(before[name]), "int8")
        steps = np.abs(integers * scales - expected) / scales
        # A weight exactly between two steps may go either way.
        assert steps.max() <= 1.0 + 1e-3
        assert np.mean(steps > 1e-3) < 0.01


def test_rounding_by_hand() -> None:
    weights = np.array([[1.27, 0.0], [0.633, 0.0], [-0.637, 0.0]])
    assert rounded(weights, "int8").round(6).tolist() == [[1.27, 0.0], [0.63, 0.0], [-0.64, 0.0]]
    assert rounded(np.array([[1.0 + 2.0**-11]]), "float16").tolist() == [[1.0]]
    assert rounded(np.array([[0.1]]), "float32").tolist() == [[float(np.float32(0.1))]]


def test_the_same_file_twice_is_the_same_bytes(mlp: tuple[Fitted, Path]) -> None:
    content = mlp[1].read_bytes()
    assert quantise_model(content, "int8") == quantise_model(content, "int8")
    assert quantise_model(content, "float32") == content


def test_int8_arithmetic_of_onnxruntime_is_what_gateways_refuse(mlp: tuple[Fitted, Path], tmp_path: Path) -> None:
    fitted, path = mlp
    arithmetic = runtime_int8(onnx.load(path), tmp_path, fitted.windows)
    assert {"QuantizeLinear", "DequantizeLinear"} <= {node.op_type for node in arithmetic.graph.node}
    with pytest.raises(ContractError, match="allow-list"):
        check_model(arithmetic.SerializeToString(), "int8")


def test_a_file_with_nothing_to_gain_is_said_and_nothing_is_written(mlp: tuple[Fitted, Path], tmp_path: Path) -> None:
    fitted, path = mlp
    half, out = tmp_path / "half.onnx", tmp_path / "small.onnx"
    quantise_file(path, half, fitted.windows, weights="float16")
    with pytest.raises(TrainerError, match=r"half\.onnx: weights: a matrix of at least 512 numbers"):
        quantise_file(half, out, fitted.windows, weights="int8")
    assert not out.exists()


def test_an_unreadable_file_or_no_windows_are_refused(mlp: tuple[Fitted, Path], tmp_path: Path) -> None:
    fitted, path = mlp
    with pytest.raises(ContractError, match="a readable model file expected"):
        quantise_file(tmp_path / "absent.onnx", tmp_path / "o.onnx", fitted.windows)
    with pytest.raises(ValueError, match="windows: at least one"):
        quantise_file(path, tmp_path / "o.onnx", fitted.windows[:0])
    with pytest.raises(ValueError, match="weights: one of"):
        quantise_model(path.read_bytes(), "int4")  # type: ignore[arg-type]  # on purpose
