"""The cost of a model is measured on the file itself, in a process of its own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from schemas import ContractError
from schemas.card import example_card
from tests.trainer.export.fitted import fit_example
from trainer.cost import ModelCost, measure_graph, measure_model
from trainer.cost.measure import windows_of_card
from trainer.errors import TrainerError
from trainer.export import export_model


@pytest.fixture(scope="module")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cost") / "pump.onnx"
    fitted = fit_example("statistics")
    export_model(fitted.model, fitted.card, path, fitted.windows, fitted.class_indices)
    return path


@pytest.fixture(scope="module")
def cost(model_path: Path) -> ModelCost:
    return measure_model(model_path, n_rounds=3)


def graph_of(width: int) -> bytes:
    """A product with a square matrix of that width."""
    weights = np.full((width, width), 1e-3, np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["window", "w"], ["out"])],
        "g",
        [helper.make_tensor_value_info("window", TensorProto.FLOAT, [None, 1, width])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [None, 1, width])],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    opset = helper.make_opsetid("", 17)
    content: bytes = helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString()
    return content


def test_every_figure_of_an_exported_model_is_measured(model_path: Path, cost: ModelCost) -> None:
    times = (cost.us_per_window_batch_1, cost.us_per_window_batch_64, cost.us_p95_batch_1, cost.load_ms)
    assert all(np.isfinite(value) and value > 0.0 for value in times)
    assert cost.us_batch_1_range[0] <= cost.us_per_window_batch_1 <= cost.us_batch_1_range[1]
    assert cost.us_batch_64_range[0] <= cost.us_per_window_batch_64 <= cost.us_batch_64_range[1]
    assert cost.n_rounds == 3
    assert cost.kib == model_path.stat().st_size / 1024
    graph = onnx.load(model_path).graph
    assert cost.n_nodes == len(graph.node)
    assert cost.n_parameters == sum(onnx.numpy_helper.to_array(tensor).size for tensor in graph.initializer)


def test_the_memory_of_a_session_leaves_out_what_the_imports_take(cost: ModelCost) -> None:
    # numpy and onnxruntime alone take more than 40 MiB; a small model takes a part of that.
    assert 0.0 < cost.rss_mib < 40.0


def test_the_memory_of_large_weights_is_counted() -> None:
    windows = np.zeros((1, 1, 2048), np.float32)
    small = measure_graph(graph_of(64), windows[:, :, :64], n_rounds=1)
    large = measure_graph(graph_of(2048), windows, n_rounds=1)
    assert large.n_parameters == 2048 * 2048
    assert large.kib > 10 * small.kib
    assert large.rss_mib > small.rss_mib + 10.0


def test_a_path_and_its_content_are_the_same_model(model_path: Path, cost: ModelCost) -> None:
    of_bytes = measure_model(model_path.read_bytes(), n_rounds=1)
    assert (of_bytes.kib, of_bytes.n_nodes, of_bytes.n_parameters) == (cost.kib, cost.n_nodes, cost.n_parameters)


def test_it_is_measured_on_the_golden_windows_and_on_noise_where_there_are_none() -> None:
    card = example_card()
    assert windows_of_card(card).tolist() == [[[0.0, 0.5, 1.0, 1.5]]]
    noise = windows_of_card(card.model_copy(update={"golden": []}))
    assert noise.shape == (1, 1, 4)
    assert noise.std() > 0.0


def test_a_file_that_is_no_model_is_refused_before_anything_runs(tmp_path: Path) -> None:
    path = tmp_path / "noise.onnx"
    path.write_bytes(b"\x00\x01" * 50)
    with pytest.raises(ContractError, match=r"noise\.onnx"):
        measure_model(path)
    with pytest.raises(ContractError, match="a readable model file expected"):
        measure_model(tmp_path / "absent.onnx")


def test_a_graph_that_cannot_run_is_one_line() -> None:
    wrong = np.zeros((1, 1, 63), np.float32)  # the graph wants 64
    with pytest.raises(TrainerError, match=r"^pump: cost: a graph that onnxruntime can run expected, got: ") as caught:
        measure_graph(graph_of(64), wrong, where="pump", n_rounds=1)
    assert "\n" not in str(caught.value)


def test_a_measurement_that_takes_too_long_is_given_up_in_one_line() -> None:
    # The interpreter alone needs longer than a millisecond to start.
    with pytest.raises(TrainerError, match=r"^model: cost: figures within 0\.001 s expected, got none$"):
        measure_graph(graph_of(8), np.zeros((1, 1, 8), np.float32), timeout_s=0.001)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"n_rounds": 0}, "n_rounds"), ({"timeout_s": 0.0}, "timeout_s"), ({"timeout_s": float("nan")}, "timeout_s")],
)
def test_arguments_out_of_range_are_named(change: dict[str, float], message: str) -> None:
    arguments = {"n_rounds": 1, "timeout_s": 1.0, **change}
    with pytest.raises(ValueError, match=message):
        measure_graph(graph_of(8), np.zeros((1, 1, 8), np.float32), **arguments)  # type: ignore[arg-type]  # on purpose


def test_no_windows_are_refused() -> None:
    with pytest.raises(ValueError, match="windows: shape"):
        measure_graph(graph_of(8), np.zeros((0, 1, 8), np.float32))


def test_the_figures_become_plain_json_values(cost: ModelCost) -> None:
    values = replace(cost, us_batch_1_range=(1.0, 2.0)).as_dict()
    assert values["us_batch_1_range"] == [1.0, 2.0]
    assert values["n_rounds"] == 3
