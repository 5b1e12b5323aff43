from collections.abc import Callable

import numpy as np
import onnxruntime as ort
import pytest

from trainer.features import Graph, Value

X = np.array([[1.0, 4.0, 9.0], [0.25, 2.0, -3.0]], dtype=np.float32)


def _run(formula: Callable[[Value], Value], x: np.ndarray) -> np.ndarray:
    graph = Graph()
    result = formula(graph.input("x", (None, 3)))
    model = graph.model({"result": result}, {"result": (None, None)})
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


@pytest.mark.parametrize(
    ("graph_formula", "numpy_formula"),
    [
        (lambda x: x + 2.0, lambda x: x + 2.0),
        (lambda x: x - x.mean(), lambda x: x - x.mean(1, keepdims=True)),
        (lambda x: 1.0 - x, lambda x: 1.0 - x),
        (lambda x: 1.0 / x, lambda x: 1.0 / x),
        (lambda x: -(x**3) * 0.5, lambda x: -(x**3) * 0.5),
        (lambda x: x @ x.graph.constant(np.eye(3) * 2.0), lambda x: 2.0 * x),
        (lambda x: x[1:] - x[:-1], np.diff),
        (lambda x: x.max() - x.min(), lambda x: np.ptp(x, axis=1, keepdims=True)),
        (lambda x: x.sum(axis=0), lambda x: x.sum(0, keepdims=True)),
        (lambda x: x.abs().sqrt().log(), lambda x: np.log(np.sqrt(np.abs(x)))),
        (lambda x: x.at_least(1.5).clip(0.0, 4.0), lambda x: np.clip(x, 1.5, 4.0)),
        (lambda x: x.take([2, 0]), lambda x: x[:, [2, 0]]),
        (lambda x: x.transpose([1, 0]), lambda x: x.T),
        (lambda x: x.greater(1.0), lambda x: (x > 1.0).astype(np.float32)),
        (lambda x: x.reshape([-1, 1]), lambda x: x.reshape(-1, 1)),
    ],
)
def test_a_graph_computes_what_numpy_computes(
    graph_formula: Callable[[Value], Value], numpy_formula: Callable[[np.ndarray], np.ndarray]
) -> None:
    np.testing.assert_allclose(_run(graph_formula, X), numpy_formula(X), rtol=1e-6)


def test_the_same_expression_is_one_node_and_the_same_constant_one_initializer() -> None:
    graph = Graph()
    x = graph.input("x", (None, 3))
    value = (x - x.mean()) * (x - x.mean()) + 2.0 + 2.0
    model = graph.model({"y": value}, {"y": (None, 3)})
    assert [node.op_type for node in model.graph.node] == ["ReduceMean", "Sub", "Mul", "Add", "Add", "Identity"]
    assert len(model.graph.initializer) == 1


def test_constants_of_another_type_or_shape_are_kept_apart() -> None:
    graph = Graph()
    names = {
        graph.constant(0.0).name,
        graph.constant([0.0]).name,
        graph.constant([[0.0]]).name,
        graph.constant(0, np.int64).name,
        graph.constant(0, np.int32).name,
    }
    assert len(names) == 5


def test_constants_that_no_node_uses_are_left_out() -> None:
    graph = Graph()
    x = graph.input("x", (None, 3))
    graph.constant([1.0, 2.0, 3.0])
    assert not graph.model({"y": x.abs()}, {"y": (None, 3)}).graph.initializer
