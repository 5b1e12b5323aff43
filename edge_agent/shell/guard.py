"""What a model file must be before a runtime may load it; files of other kinds have leaked and crashed runtimes.

The bounds follow the attacks measured on onnxruntime: external data that reads other files, foreign domains,
functions and subgraphs that loop for ever, operators that make large tensors out of small files, and tensors whose
bytes do not fit their shape.
"""

from __future__ import annotations

from edge_agent.errors import ModelError
from edge_agent.shell.onnx_file import DATA_TYPES, OnnxFile, Tensor, read_onnx
from edge_agent.shell.protobuf import FormatError
from edge_agent.shell.sizes import check_sizes
from schemas import CARD_METADATA_KEY, ContractError, ModelCard, parse_card

MAX_FILE_BYTES = 20 * 1024 * 1024
MAX_NODES = 2_000
MAX_PARAMETERS = 20_000_000
MAX_CARD_CHARACTERS = 8 * 1024 * 1024
MAX_CARD_VALUES = 200_000
"""Golden windows are long texts; what makes a parser eat memory is many small values."""

MAX_OPSET = 17
MAX_IR_VERSION = 8

ALLOWED_OPERATORS = frozenset(
    {
        "Abs",
        "Acos",
        "Add",
        "And",
        "ArgMax",
        "ArgMin",
        "Asin",
        "Atan",
        "AveragePool",
        "BatchNormalization",
        "Cast",
        "Ceil",
        "Clip",
        "Concat",
        "Constant",
        "Conv",
        "Cos",
        "Cosh",
        "CumSum",
        "DFT",
        "Div",
        "Dropout",
        "Elu",
        "Equal",
        "Erf",
        "Exp",
        "Flatten",
        "Floor",
        "Gather",
        "GatherElements",
        "GatherND",
        "Gemm",
        "GlobalAveragePool",
        "GlobalMaxPool",
        "Greater",
        "GreaterOrEqual",
        "HardSigmoid",
        "Identity",
        "IsInf",
        "IsNaN",
        "LayerNormalization",
        "LeakyRelu",
        "Less",
        "LessOrEqual",
        "Log",
        "LogSoftmax",
        "MatMul",
        "Max",
        "MaxPool",
        "Mean",
        "Min",
        "Mod",
        "Mul",
        "Neg",
        "Not",
        "Or",
        "PRelu",
        "Pow",
        "Reciprocal",
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSumExp",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceProd",
        "ReduceSum",
        "ReduceSumSquare",
        "Relu",
        "Reshape",
        "Round",
        "Selu",
        "Shape",
        "Sigmoid",
        "Sign",
        "Sin",
        "Sinh",
        "Slice",
        "Softmax",
        "Softplus",
        "Softsign",
        "Split",
        "Sqrt",
        "Squeeze",
        "Sub",
        "Sum",
        "Tan",
        "Tanh",
        "TopK",
        "Transpose",
        "Unsqueeze",
        "Where",
        "Xor",
    }
)
"""Arithmetic, reductions, shapes, convolution and pooling. Not: control flow, random numbers, sequences, text, and what
makes a large tensor out of a small file (ConstantOfShape, Einsum, HannWindow, Expand, Tile, Range, Resize, Pad, OneHot,
EyeLike)."""

_OUTPUTS = (("label", "int64", 1), ("probabilities", "float32", 2), ("novelty", "float32", 1))


def inspect_model(content: bytes, where: str) -> ModelCard:
    """The card of a model file that passed every check that needs no runtime.

    Parameters
    ----------
    content : bytes
        The whole file.
    where : str
        Its name, for errors.

    Raises
    ------
    ModelError
        One line: what was expected and what came instead.
    """
    if len(content) > MAX_FILE_BYTES:
        raise ModelError(where, f"at most {MAX_FILE_BYTES} bytes expected, got {len(content)}")
    if not content:
        raise ModelError(where, "an ONNX file expected, got an empty file")
    try:
        found = read_onnx(content)
        _check_format(found)
        _check_nodes(found)
        _check_tensors(found)
        check_sizes(found)
        text = found.metadata.get(CARD_METADATA_KEY)
        if text is None:
            raise FormatError(
                f"metadata: a model card under {CARD_METADATA_KEY!r} expected; this file is from another exporter"
            )
        if len(text) > MAX_CARD_CHARACTERS:
            raise FormatError(f"metadata: a card of at most {MAX_CARD_CHARACTERS} characters expected, got {len(text)}")
        if text.count(",") + text.count("[") + text.count("{") > MAX_CARD_VALUES:
            raise FormatError(f"metadata: a card of at most {MAX_CARD_VALUES} values expected, got more")
        card = parse_card(text, where)
        if not card.golden:
            raise FormatError("card: at least one golden window expected, got none: the model could not prove itself")
        _check_ports(found, card)
    except FormatError as error:
        raise ModelError(where, f"no usable model file: {error}") from error
    except ContractError as error:
        raise ModelError(where, "; ".join(error.problems)) from error
    return card


def _check_format(found: OnnxFile) -> None:
    if not found.has_graph:
        raise FormatError("model: a graph expected, got none")
    if not 1 <= found.ir_version <= MAX_IR_VERSION:
        raise FormatError(f"model: an IR version up to {MAX_IR_VERSION} expected, got {found.ir_version}")
    foreign = sorted(set(found.opsets) - {"", "ai.onnx"})
    if foreign:
        raise FormatError(f"model: operators of ONNX only expected, got the domain {foreign[0]!r}")
    version = max(found.opsets.values(), default=0)
    if not 1 <= version <= MAX_OPSET:
        raise FormatError(f"model: an opset up to {MAX_OPSET} expected, got {version}")
    if found.n_functions:
        raise FormatError(f"model: no functions expected, got {found.n_functions}")
    if found.has_training:
        raise FormatError("model: no training graph expected, got one")
    if found.has_sparse:
        raise FormatError("graph: no sparse initializers expected, got one")


def _check_nodes(found: OnnxFile) -> None:
    if not 1 <= len(found.nodes) <= MAX_NODES:
        raise FormatError(f"graph: 1 to {MAX_NODES} nodes expected, got {len(found.nodes)}")
    for node in found.nodes:
        if node.domain not in {"", "ai.onnx"}:
            raise FormatError(f"node {node.name!r}: an operator of ONNX expected, got the domain {node.domain!r}")
        if node.op_type not in ALLOWED_OPERATORS:
            raise FormatError(f"node {node.name!r}: an operator of the allow-list expected, got {node.op_type!r}")
        if node.has_subgraph:
            raise FormatError(f"node {node.name!r}: no subgraph expected, got one")
        if node.has_sparse:
            raise FormatError(f"node {node.name!r}: no sparse tensor expected, got one")


def _check_tensors(found: OnnxFile) -> None:
    n_parameters = 0
    for tensor in [*found.initializers, *(tensor for node in found.nodes for tensor in node.tensors)]:
        _check_tensor(tensor)
        n_parameters += tensor.n_elements
    if n_parameters > MAX_PARAMETERS:
        raise FormatError(f"graph: at most {MAX_PARAMETERS} parameters expected, got {n_parameters}")


def _check_tensor(tensor: Tensor) -> None:
    name = f"tensor {tensor.name!r}"
    if tensor.has_external_data:
        raise FormatError(f"{name}: data inside the file expected, got a reference to another file")
    if tensor.is_segment:
        raise FormatError(f"{name}: a whole tensor expected, got a segment")
    if tensor.data_type not in DATA_TYPES:
        raise FormatError(f"{name}: one of {', '.join(DATA_TYPES.values())} expected, got data type {tensor.data_type}")
    if any(size < 0 for size in tensor.dims):
        raise FormatError(f"{name}: dimensions of at least 0 expected, got {tensor.dims}")
    if tensor.n_raw_bytes and tensor.n_values:
        raise FormatError(f"{name}: its values once expected, got them twice")
    fits = tensor.n_raw_bytes == tensor.n_expected_bytes if tensor.n_raw_bytes else tensor.n_values == tensor.n_elements
    if not fits:
        got = f"{tensor.n_raw_bytes} bytes" if tensor.n_raw_bytes else f"{tensor.n_values} values"
        raise FormatError(f"{name}: {tensor.n_elements} values of shape {tensor.dims} expected, got {got}")


def _check_ports(found: OnnxFile, card: ModelCard) -> None:
    constants = {tensor.name for tensor in found.initializers}
    inputs = [port for port in found.inputs if port.name not in constants]
    if [port.name for port in inputs] != ["window"]:
        raise FormatError(f"graph: the one input 'window' expected, got {[port.name for port in inputs]}")
    window = inputs[0]
    expected = [len(card.channels), card.window_length]
    dims = window.dims or []
    if DATA_TYPES.get(window.data_type) != "float32" or len(dims) != 3 or dims[1:] != expected:
        raise FormatError(
            f"input 'window': float32 (N, {expected[0]}, {expected[1]}) of the card expected, got {_port(window.dims)}"
        )
    if isinstance(dims[0], int):
        raise FormatError(f"input 'window': any number of windows expected, got a fixed {dims[0]}")
    by_name = {port.name: port for port in found.outputs}
    for name, data_type, n_dims in _OUTPUTS:
        port = by_name.get(name)
        if port is None:
            raise FormatError(f"graph: an output {name!r} expected, got {sorted(by_name)}")
        if DATA_TYPES.get(port.data_type) != data_type or (port.dims is not None and len(port.dims) != n_dims):
            raise FormatError(f"output {name!r}: {data_type} of {n_dims} dimensions expected, got {_port(port.dims)}")


def _port(dims: list[int | str | None] | None) -> str:
    return "no shape" if dims is None else f"shape ({', '.join('?' if size is None else str(size) for size in dims)})"
