"""Reads the parts of an ONNX file that a gateway must look at before it lets a runtime load it.

A gateway installs no onnx and no protobuf package: this reads the wire format itself
(protobuf.dev/programming-guides/encoding), with bounds checked everywhere. Field numbers are those of onnx.proto
(onnx/onnx, file onnx/onnx.proto). A field that is not known here is refused: what was not understood was not
checked. So is a field that stands twice where one may stand, because parsers merge the two and a reader that looks
at one would be shown half of the file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from edge_agent.shell.protobuf import FormatError, Once, as_bytes, as_int, as_ints, as_text, fields

DATA_TYPES = {1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 9: "bool", 10: "float16", 11: "float64"}
"""``TensorProto.DataType`` of what a Telltale graph may hold."""

_ITEM_BYTES = {"float32": 4, "uint8": 1, "int8": 1, "int32": 4, "int64": 8, "bool": 1, "float16": 2, "float64": 8}


@dataclass(slots=True)
class Tensor:
    """An initializer or a constant: its shape, its type, and how many values it really holds."""

    name: str = ""
    data_type: int = 0
    dims: list[int] = field(default_factory=list)
    n_raw_bytes: int = 0
    n_values: int = 0
    has_external_data: bool = False
    is_segment: bool = False

    @property
    def n_elements(self) -> int:
        """Product of the dimensions."""
        return math.prod(self.dims)

    @property
    def n_expected_bytes(self) -> int:
        """Bytes of ``raw_data`` that the dimensions ask for; 0 for a type that is not allowed anyway."""
        return self.n_elements * _ITEM_BYTES.get(DATA_TYPES.get(self.data_type, ""), 0)


@dataclass(slots=True)
class Node:
    """One operator of the graph."""

    op_type: str = ""
    domain: str = ""
    name: str = ""
    has_subgraph: bool = False
    has_sparse: bool = False
    tensors: list[Tensor] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Port:
    """An input or output: element type and dimensions; a text or None is a dimension without a number."""

    name: str = ""
    data_type: int = 0
    dims: list[int | str | None] | None = None
    is_tensor: bool = False


@dataclass(slots=True)
class OnnxFile:
    """What was found in the file."""

    ir_version: int = 0
    opsets: dict[str, int] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    initializers: list[Tensor] = field(default_factory=list)
    inputs: list[Port] = field(default_factory=list)
    outputs: list[Port] = field(default_factory=list)
    n_functions: int = 0
    has_training: bool = False
    has_sparse: bool = False
    has_graph: bool = False


def read_onnx(content: bytes) -> OnnxFile:
    """The parts of an ONNX ``ModelProto``.

    Raises
    ------
    FormatError
        If the bytes are truncated, no protobuf, or hold a field that is not known here.
    """
    found = OnnxFile()
    once = Once("model", singular={1, 2, 3, 4, 5, 6, 7})
    for number, value in fields(memoryview(content), "model"):
        once.check(number)
        if number == 1:
            found.ir_version = as_int(value, "model.ir_version")
        elif number == 7:
            found.has_graph = True
            _read_graph(as_bytes(value, "model.graph"), found)
        elif number == 8:
            domain, version = _read_opset(as_bytes(value, "model.opset_import"))
            if domain in found.opsets:
                raise FormatError(f"model.opset_import: each domain once expected, got {domain!r} twice")
            found.opsets[domain] = version
        elif number == 14:
            key, text = _read_entry(as_bytes(value, "model.metadata_props"))
            if key in found.metadata:
                raise FormatError(f"model.metadata_props: each key once expected, got {key!r} twice")
            found.metadata[key] = text
        elif number == 20:
            found.has_training = True
        elif number == 25:
            found.n_functions += 1
        elif number not in {2, 3, 4, 5, 6}:
            raise FormatError(f"model: a known field expected, got field {number}")
    return found


def _read_graph(data: memoryview, found: OnnxFile) -> None:
    once = Once("graph", singular={2, 10})
    for number, value in fields(data, "graph"):
        once.check(number)
        if number == 1:
            found.nodes.append(_read_node(as_bytes(value, "graph.node")))
        elif number == 5:
            found.initializers.append(_read_tensor(as_bytes(value, "graph.initializer")))
        elif number == 11:
            found.inputs.append(_read_port(as_bytes(value, "graph.input")))
        elif number == 12:
            found.outputs.append(_read_port(as_bytes(value, "graph.output")))
        elif number == 15:
            found.has_sparse = True
        elif number not in {2, 10, 13, 14, 16}:
            raise FormatError(f"graph: a known field expected, got field {number}")


def _read_node(data: memoryview) -> Node:
    node = Node()
    once = Once("node", singular={3, 4, 6, 7, 8})
    for number, value in fields(data, "node"):
        once.check(number)
        if number == 1:
            node.inputs.append(as_text(value, "node.input"))
        elif number == 2:
            node.outputs.append(as_text(value, "node.output"))
        elif number == 3:
            node.name = as_text(value, "node.name")
        elif number == 4:
            node.op_type = as_text(value, "node.op_type")
        elif number == 5:
            _read_attribute(as_bytes(value, "node.attribute"), node)
        elif number == 7:
            node.domain = as_text(value, "node.domain")
        elif number not in {1, 2, 6, 8, 9}:
            raise FormatError(f"node: a known field expected, got field {number}")
    return node


def _read_attribute(data: memoryview, node: Node) -> None:
    once = Once("attribute", singular={1, 2, 3, 4, 5, 6, 13, 14, 20, 21, 22})
    for number, value in fields(data, "attribute"):
        once.check(number)
        if number in {5, 10}:
            node.tensors.append(_read_tensor(as_bytes(value, "attribute.tensor")))
        elif number in {6, 11}:
            node.has_subgraph = True
        elif number in {22, 23}:
            node.has_sparse = True
        elif number not in {1, 2, 3, 4, 7, 8, 9, 13, 20}:
            raise FormatError(f"attribute: a known field expected, got field {number}")


def _read_tensor(data: memoryview) -> Tensor:
    tensor = Tensor()
    once = Once("tensor", singular={2, 3, 8, 9, 12, 14})
    for number, value in fields(data, "tensor"):
        once.check(number)
        if number == 1:
            tensor.dims += as_ints(value, "tensor.dims")
        elif number == 2:
            tensor.data_type = as_int(value, "tensor.data_type")
        elif number == 3:
            tensor.is_segment = True
        elif number in {4, 5, 6, 7, 10, 11}:
            tensor.n_values += _count_values(number, value)
        elif number == 8:
            tensor.name = as_text(value, "tensor.name")
        elif number == 9:
            tensor.n_raw_bytes = len(as_bytes(value, "tensor.raw_data"))
        elif number == 13:
            tensor.has_external_data = True
        elif number == 14:
            tensor.has_external_data |= as_int(value, "tensor.data_location") != 0
        elif number not in {12, 16}:
            raise FormatError(f"tensor: a known field expected, got field {number}")
    return tensor


def _count_values(number: int, value: int | memoryview) -> int:
    """How many values one field of typed data holds, packed or not."""
    if number in {4, 10}:  # float_data, double_data: fixed width
        return 1 if isinstance(value, int) else len(value) // (4 if number == 4 else 8)
    if number == 6:  # string_data: one text a field
        return 1
    return len(as_ints(value, "tensor.data"))


def _read_port(data: memoryview) -> Port:
    port = Port()
    once = Once("value", singular={1, 2, 3})
    for number, value in fields(data, "value"):
        once.check(number)
        if number == 1:
            port.name = as_text(value, "value.name")
        elif number == 2:
            kinds = list(fields(as_bytes(value, "value.type"), "value.type"))
            tensors = [inner for kind, inner in kinds if kind == 1]
            port.is_tensor = len(tensors) == 1 and all(kind in {1, 6} for kind, _ in kinds)
            if port.is_tensor:
                _read_tensor_type(as_bytes(tensors[0], "value.type.tensor_type"), port)
    return port


def _read_tensor_type(data: memoryview, port: Port) -> None:
    once = Once("tensor_type", singular={1, 2})
    for number, value in fields(data, "tensor_type"):
        once.check(number)
        if number == 1:
            port.data_type = as_int(value, "tensor_type.elem_type")
        elif number == 2:
            port.dims = [
                _read_dimension(as_bytes(inner, "shape.dim"))
                for kind, inner in fields(as_bytes(value, "tensor_type.shape"), "shape")
                if kind == 1
            ]


def _read_dimension(data: memoryview) -> int | str | None:
    size: int | str | None = None
    for number, value in fields(data, "dim"):
        if number == 1:
            size = as_int(value, "dim.dim_value")
        elif number == 2:
            size = as_text(value, "dim.dim_param")
    return size


def _read_opset(data: memoryview) -> tuple[str, int]:
    domain, version = "", 0
    for number, value in fields(data, "opset"):
        if number == 1:
            domain = as_text(value, "opset.domain")
        elif number == 2:
            version = as_int(value, "opset.version")
    return domain, version


def _read_entry(data: memoryview) -> tuple[str, str]:
    key, text = "", ""
    for number, value in fields(data, "metadata"):
        if number == 1:
            key = as_text(value, "metadata.key")
        elif number == 2:
            text = as_text(value, "metadata.value")
    return key, text
