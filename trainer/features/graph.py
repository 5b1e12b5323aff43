"""A small builder of ONNX graphs that reads like the mathematics.

A `Graph` collects nodes and constants; a `Value` is the name of one tensor in it, with the operators of numpy. The same
expression written twice is one node, the same constant is one initializer, and names count upwards in the order of
writing, so that the same calls always give the same bytes. Everything is float32 except where said.

Operators are those of ONNX opset 17 (https://onnx.ai/onnx/operators/): reductions other than the sum take their axes as
an attribute there, and `ReduceSum`, `Slice`, `Clip` and `Unsqueeze` take theirs as constants.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

OPSET = 17
"""Version of the operator set: the pair of opset and IR is stated in the model card (DESIGN section 4)."""

IR_VERSION = 8
"""Version of the file format that belongs to `OPSET`; newer ones are refused by the runtimes of gateways."""

PRODUCER = "telltale"

Constant = npt.NDArray[np.generic]
"""Arrays that become initializers."""


class Graph:
    """A graph under construction.

    Examples
    --------
    >>> graph = Graph()
    >>> x = graph.input("window", (None, 2, 4))
    >>> model = graph.model({"energy": ((x - x.mean()) ** 2).mean()}, {"energy": (None, 2, 1)})
    >>> [node.op_type for node in model.graph.node]
    ['ReduceMean', 'Sub', 'Mul', 'ReduceMean', 'Identity']
    """

    def __init__(self) -> None:
        self._nodes: list[NodeProto] = []
        self._inputs: list[ValueInfoProto] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], TensorProto] = {}
        self._written: dict[str, tuple[str, ...]] = {}

    def input(self, name: str, shape: Sequence[int | None]) -> Value:
        """Return a float32 input; None is the batch axis ``N``."""
        self._inputs.append(_tensor_info(name, TensorProto.FLOAT, shape))
        return Value(self, name)

    def constant(self, array: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> Value:
        """Return an initializer holding the array (float32 unless said); equal arrays share one."""
        values: Constant = np.ascontiguousarray(np.asarray(array, dtype=dtype))
        values = values.reshape(np.shape(array))
        key = (values.dtype.str, values.shape, values.tobytes())
        if key not in self._constants:
            self._constants[key] = numpy_helper.from_array(values, f"c{len(self._constants)}")
        return Value(self, self._constants[key].name)

    def apply(self, operator: str, *inputs: Value, **attributes: Any) -> Value:
        """Return the first output of an ONNX operator on these values."""
        return self.apply_many(operator, 1, *inputs, **attributes)[0]

    def apply_many(self, operator: str, n_outputs: int, *inputs: Value, **attributes: Any) -> tuple[Value, ...]:
        """Return the outputs of an ONNX operator; a node that is already there is used again."""
        names = [value.name for value in inputs]
        key = repr((operator, n_outputs, names, sorted(attributes.items())))
        if key not in self._written:
            stem = f"{operator}_{len(self._nodes)}"
            outputs = [stem] if n_outputs == 1 else [f"{stem}_{index}" for index in range(n_outputs)]
            self._nodes.append(helper.make_node(operator, names, outputs, name=stem, **attributes))
            self._written[key] = tuple(outputs)
        return tuple(Value(self, name) for name in self._written[key])

    def concat(self, values: Sequence[Value], axis: int = -1) -> Value:
        """Return the values side by side along an axis."""
        return values[0] if len(values) == 1 else self.apply("Concat", *values, axis=axis)

    def model(
        self,
        outputs: Mapping[str, Value],
        shapes: Mapping[str, Sequence[int | None]],
        *,
        integers: Sequence[str] = (),
        metadata: Mapping[str, str] | None = None,
    ) -> ModelProto:
        """Return the finished model.

        Parameters
        ----------
        outputs : mapping of str to Value
            Name of each output and the value it shows.
        shapes : mapping of str to sequence of int or None
            Shape of each output; None is the batch axis.
        integers : sequence of str
            The outputs that are int64; all others are float32.
        metadata : mapping of str to str, optional
            Entries of ``metadata_props``, written in sorted order.
        """
        ends = [helper.make_node("Identity", [value.name], [name], name=name) for name, value in outputs.items()]
        infos = [
            _tensor_info(name, TensorProto.INT64 if name in integers else TensorProto.FLOAT, shapes[name])
            for name in outputs
        ]
        used = {name for node in [*self._nodes, *ends] for name in node.input}
        constants = [tensor for tensor in self._constants.values() if tensor.name in used]
        graph = helper.make_graph([*self._nodes, *ends], PRODUCER, self._inputs, infos, constants)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name=PRODUCER,
            producer_version="1",
        )
        helper.set_model_props(model, dict(sorted((metadata or {}).items())))
        return model


@dataclass(frozen=True, slots=True)
class Value:
    """One tensor of a graph. Operators broadcast as numpy does; reductions keep the axis they reduce."""

    graph: Graph
    name: str

    def __add__(self, other: Value | float) -> Value:
        return self._binary("Add", other)

    def __sub__(self, other: Value | float) -> Value:
        return self._binary("Sub", other)

    def __mul__(self, other: Value | float) -> Value:
        return self._binary("Mul", other)

    def __truediv__(self, other: Value | float) -> Value:
        return self._binary("Div", other)

    def __rtruediv__(self, other: float) -> Value:
        return self.graph.constant(other)._binary("Div", self)

    def __rsub__(self, other: float) -> Value:
        return self.graph.constant(other)._binary("Sub", self)

    def __matmul__(self, other: Value) -> Value:
        return self.graph.apply("MatMul", self, other)

    def __neg__(self) -> Value:
        return self.graph.apply("Neg", self)

    def __pow__(self, exponent: int) -> Value:
        """Return the square, cube ...: products, which are exact where `Pow` is not and faster everywhere."""
        result = self
        for _ in range(exponent - 1):
            result = result * self
        return result

    def __getitem__(self, span: slice) -> Value:
        """Return a part of the last axis."""
        start = 0 if span.start is None else int(span.start)
        stop = np.iinfo(np.int64).max if span.stop is None else int(span.stop)
        arguments = [self.graph.constant([number], np.int64) for number in (start, stop, -1)]
        return self.graph.apply("Slice", self, *arguments)

    def mean(self, axis: int = -1) -> Value:
        """Return the mean along an axis."""
        return self.graph.apply("ReduceMean", self, axes=[axis], keepdims=1)

    def max(self, axis: int = -1) -> Value:
        """Return the largest along an axis."""
        return self.graph.apply("ReduceMax", self, axes=[axis], keepdims=1)

    def min(self, axis: int = -1) -> Value:
        """Return the smallest along an axis."""
        return self.graph.apply("ReduceMin", self, axes=[axis], keepdims=1)

    def sum(self, axis: int = -1) -> Value:
        """Return the sum along an axis."""
        return self.graph.apply("ReduceSum", self, self.graph.constant([axis], np.int64), keepdims=1)

    def abs(self) -> Value:
        """Return the absolute values."""
        return self.graph.apply("Abs", self)

    def sqrt(self) -> Value:
        """Return the square roots."""
        return self.graph.apply("Sqrt", self)

    def log(self) -> Value:
        """Return the natural logarithms."""
        return self.graph.apply("Log", self)

    def at_least(self, floor: Value | float) -> Value:
        """Return the larger of the two, element by element."""
        return self._binary("Max", floor)

    def clip(self, lowest: float, highest: float) -> Value:
        """Return the values, cut at both ends."""
        return self.graph.apply("Clip", self, self.graph.constant(lowest), self.graph.constant(highest))

    def reshape(self, shape: Sequence[int]) -> Value:
        """Return another view of the values; 0 keeps an axis, -1 takes what is left."""
        return self.graph.apply("Reshape", self, self.graph.constant(shape, np.int64))

    def transpose(self, axes: Sequence[int]) -> Value:
        """Return the axes in another order."""
        return self.graph.apply("Transpose", self, perm=list(axes))

    def take(self, indices: Sequence[int], axis: int = -1) -> Value:
        """Return the entries at fixed positions of an axis."""
        return self.graph.apply("Gather", self, self.graph.constant(indices, np.int64), axis=axis)

    def greater(self, other: Value | float) -> Value:
        """Return a mask as 0.0 and 1.0."""
        return self._binary("Greater", other).as_float()

    def as_float(self) -> Value:
        """Return the values as float32."""
        return self.graph.apply("Cast", self, to=TensorProto.FLOAT)

    def _binary(self, operator: str, other: Value | float) -> Value:
        right = other if isinstance(other, Value) else self.graph.constant(other)
        return self.graph.apply(operator, self, right)


def _tensor_info(name: str, kind: int, shape: Sequence[int | None]) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, ["N" if size is None else size for size in shape])
