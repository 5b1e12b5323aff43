"""A model file opened in its middle: the standardised features that it computes, and the head that answers to them.

The file is one graph. Its probabilities and its novelty are both computed from the standardised features; the last
value that both depend on is where the graph is cut. Nothing is refitted and nothing is written a second time: what a
report says about features is said about the very nodes that ship.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from schemas import ModelCard
from signals import FloatArray
from trainer.errors import TrainerError
from trainer.export.read import open_session

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when the package is imported

from onnxruntime import InferenceSession

_BATCH_LENGTH = 64


@dataclass(frozen=True, slots=True, eq=False)
class OpenedModel:
    """The two halves of a model file.

    Attributes
    ----------
    n_features : int
    spans : dict of str to slice
        Columns of each kind of feature block, in the order of the card.
    """

    n_features: int
    spans: dict[str, slice]
    _front: InferenceSession
    _head: InferenceSession

    def features(self, windows: FloatArray) -> FloatArray:
        """Standardised features of the windows, shape ``(n_windows, n_features)``, float32."""
        return _run(self._front, "window", windows, self.n_features)

    def probabilities(self, features: FloatArray, n_classes: int) -> NDArray[np.float64]:
        """Probabilities of standardised features, shape ``(n_windows, n_classes)``."""
        return _run(self._head, "features", features, n_classes).astype(np.float64)


def open_model(content: bytes, card: ModelCard) -> OpenedModel:
    """The two halves of the content of a model file that passed the guard.

    Parameters
    ----------
    content : bytes
    card : ModelCard

    Raises
    ------
    TrainerError
        If probabilities and novelty share no value of as many columns as the card has features.
    """
    model = onnx.load_from_string(content)
    between = shared_value(model.graph)
    n_features = sum(block.n_features for block in card.features)
    try:
        front = open_session(_cut(model, (), between, "features", (None, n_features)))
        head = open_session(
            _cut(model, (between, n_features), "probabilities", "probabilities", (None, len(card.classes)))
        )
    except Exception as error:  # the runtime has a dozen error classes without a common root
        raise TrainerError(
            f"{card.ref}: {n_features} features between window and answer expected, got others"
        ) from error
    spans: dict[str, slice] = {}
    start = 0
    for block in card.features:
        name = block.kind if block.kind not in spans else f"{block.kind} {len(spans) + 1}"
        spans[name] = slice(start, start + block.n_features)
        start += block.n_features
    return OpenedModel(n_features, spans, front, head)


def shared_value(graph: onnx.GraphProto) -> str:
    """Name of the last value that both the probabilities and the novelty are computed from.

    Raises
    ------
    TrainerError
        If they share nothing but the window.
    """
    wanted = _ancestors(graph, "probabilities") & _ancestors(graph, "novelty")
    for node in reversed(graph.node):
        for name in node.output:
            # A graph lists a node after all that it needs: the last shared one is nearest to the answers.
            if name in wanted:
                return str(name)
    raise TrainerError("graph: features that probabilities and novelty share expected, got none")


def _ancestors(graph: onnx.GraphProto, output: str) -> set[str]:
    by_output = {name: node for node in graph.node for name in node.output}
    inputs = {value.name for value in graph.input}
    found, reached, open_names = set(), {output}, [output]
    while open_names:
        node = by_output.get(open_names.pop())
        if node is None:
            continue
        new = [name for name in node.input if name and name not in reached]
        reached.update(new)
        open_names += new
    # What hangs on constants alone is no value of a window.
    depends = set(inputs)
    for node in graph.node:
        if any(name in depends for name in node.input):
            depends.update(node.output)
    found = reached & depends - inputs
    return found - {output}


def _cut(
    model: onnx.ModelProto, start: tuple[()] | tuple[str, int], end: str, name: str, shape: tuple[int | None, int]
) -> bytes:
    """The nodes from the window (or from the start value, then called ``features``) to the end value."""
    graph = model.graph
    by_output = {output: node for node in graph.node for output in node.output}
    first = start[0] if start else ""
    needed: set[str] = set()
    open_names = [end]
    while open_names:
        value = open_names.pop()
        if value in needed or value == first:
            continue
        needed.add(value)
        if value in by_output:
            open_names += list(by_output[value].input)
    nodes = [node for node in graph.node if any(output in needed for output in node.output)]
    if start:
        inputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, (None, start[1]))]
        nodes.insert(0, helper.make_node("Identity", ["features"], [first]))
    else:
        inputs = list(graph.input)
    if end != name:
        nodes.append(helper.make_node("Identity", [end], [name]))
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)]
    weights = [weight for weight in graph.initializer if weight.name in needed]
    part = helper.make_model(
        helper.make_graph(nodes, "part", inputs, outputs, weights),
        opset_imports=list(model.opset_import),
        ir_version=model.ir_version,
    )
    return bytes(part.SerializeToString())


def _run(session: InferenceSession, name: str, values: FloatArray, n_columns: int) -> FloatArray:
    found = np.empty((len(values), n_columns), np.float32)
    for start in range(0, len(values), _BATCH_LENGTH):
        batch = np.ascontiguousarray(values[start : start + _BATCH_LENGTH], np.float32)
        found[start : start + len(batch)] = session.run(None, {name: batch})[0]
    return found


def evenly(n_items: int, limit: int) -> NDArray[np.int64]:
    """At most ``limit`` positions, spread evenly over ``n_items``.

    Examples
    --------
    >>> evenly(10, 4).tolist(), evenly(3, 4).tolist()
    ([0, 3, 6, 9], [0, 1, 2])
    """
    if n_items <= limit:
        return np.arange(n_items)
    step = math.ceil(n_items / limit)
    return np.arange(0, n_items, step)
