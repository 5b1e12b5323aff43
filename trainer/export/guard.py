"""What a model file must be before it is written, signed or loaded: the trainer's side of the guard.

A gateway repeats what it can without the onnx package. The attacks behind each bound were measured: external data that
reads other files, foreign domains, subgraphs and functions that never end, tensors whose bytes do not fit their shape.
"""

from collections.abc import Iterator

import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, ModelProto, TensorProto, ValueInfoProto

from schemas import CARD_METADATA_KEY, ContractError, ModelCard, parse_card
from trainer.features import IR_VERSION, OPSET

MAX_FILE_BYTES = 20 * 1024 * 1024
MAX_NODES = 2_000
MAX_PARAMETERS = 20_000_000

ALLOWED_OPERATORS = frozenset(
    {
        *(
            "Abs",
            "Add",
            "Div",
            "Exp",
            "Greater",
            "GreaterOrEqual",
            "IsNaN",
            "Less",
            "LessOrEqual",
            "Log",
            "Max",
            "Min",
            "Mul",
            "Neg",
            "Sqrt",
            "Sub",
            "Where",
        ),
        *("ArgMax", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "TopK"),
        *(
            "Cast",
            "Clip",
            "Concat",
            "Flatten",
            "Gather",
            "Identity",
            "Reshape",
            "Slice",
            "Squeeze",
            "Transpose",
            "Unsqueeze",
        ),
        *("Conv", "Gemm", "HardSigmoid", "MatMul", "Relu", "Sigmoid", "Softmax", "Tanh"),
    }
)
"""What feature graphs and heads are made of. Every one is known to the gateway's guard too."""

_BYTES_PER_VALUE: dict[int, int] = {
    TensorProto.FLOAT: 4,
    TensorProto.INT64: 8,
    TensorProto.INT32: 4,
    TensorProto.BOOL: 1,
    # Weights stored small (`trainer.export.quantise`), cast to float32 by the graph itself.
    TensorProto.FLOAT16: 2,
    TensorProto.INT8: 1,
}
_OUTPUTS = {
    "label": (TensorProto.INT64, "int64", 1),
    "probabilities": (TensorProto.FLOAT, "float32", 2),
    "novelty": (TensorProto.FLOAT, "float32", 1),
}


_LEAST_NODES_BEHIND = 30
"""Standardising, the smallest head and the novelty: what every model has beside its features."""

_BYTES_PER_FEATURE = 8
"""Mean and deviation of the standardiser."""


def size_problem(features: ModelProto, n_features: int, fan_out: int) -> str | None:
    """Say why no model on these features could pass the guard; None where one may.

    To be asked before a fit: `check_model` refuses the same file, minutes later.

    Parameters
    ----------
    features : ModelProto
        The graph of the features alone.
    n_features : int
    fan_out : int
        Weights of the head for every feature: outputs of its first layer.

    Examples
    --------
    >>> from trainer.features import ChannelScaling, FeatureExtractor, RawBlock
    >>> raw = FeatureExtractor([RawBlock()], ChannelScaling(("current",), (1.0,)), window_length=40)
    >>> size_problem(raw.model, 40, fan_out=6) is None
    True
    >>> size_problem(raw.model, 50_000, fan_out=1000)
    'a model file of at most 20 MiB expected, got 191 MiB for 50000 features with 1000 weights each'
    """
    n_nodes, most = len(features.graph.node), MAX_NODES - _LEAST_NODES_BEHIND
    if n_nodes > most:
        return f"features of at most {most} nodes expected, got {n_nodes}"
    n_bytes = features.ByteSize() + n_features * (4 * fan_out + _BYTES_PER_FEATURE)
    if n_bytes > MAX_FILE_BYTES:
        return (
            f"a model file of at most {MAX_FILE_BYTES >> 20} MiB expected, got {n_bytes / 2**20:.0f} MiB "
            f"for {n_features} features with {fan_out} weights each"
        )
    return None


def check_model(content: bytes, where: str) -> ModelCard:
    """Return the card of a model file that passed every check that needs no runtime.

    Parameters
    ----------
    content : bytes
        The whole file.
    where : str
        Its name, for errors.

    Raises
    ------
    ContractError
        With every problem found; no later stage is tried once an earlier one failed.
    """
    if not 0 < len(content) <= MAX_FILE_BYTES:
        raise ContractError(where, [f"file: 1 to {MAX_FILE_BYTES} bytes expected, got {len(content)}"])
    try:
        model = onnx.load_model_from_string(content)
    except DecodeError as error:
        raise ContractError(where, ["file: an ONNX model expected, got bytes that are none (truncated?)"]) from error
    if not model.HasField("graph"):
        raise ContractError(where, ["file: an ONNX model expected, got one without a graph (truncated?)"])
    _raise_if_any(where, [*_format_problems(model), *_node_problems(model), *_tensor_problems(model)])
    texts = [entry.value for entry in model.metadata_props if entry.key == CARD_METADATA_KEY]
    if len(texts) != 1:
        raise ContractError(where, [f"metadata: one {CARD_METADATA_KEY!r} (a model card) expected, got {len(texts)}"])
    card = parse_card(texts[0], where)
    _raise_if_any(where, _port_problems(model, card))
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise ContractError(where, [f"graph: a valid ONNX graph expected, got: {first_line}"]) from error
    return card


def _raise_if_any(where: str, problems: list[str]) -> None:
    if problems:
        raise ContractError(where, problems)


def _format_problems(model: ModelProto) -> Iterator[str]:
    if model.ir_version != IR_VERSION:
        yield f"ir_version: {IR_VERSION} expected, got {model.ir_version}"
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    if opsets != {"": OPSET}:
        yield f"opset_import: {OPSET} of the ONNX domain alone expected, got {opsets}"
    if model.functions:
        yield f"functions: none expected, got {len(model.functions)}"
    if model.training_info:
        yield f"training_info: none expected, got {len(model.training_info)}"
    if model.graph.sparse_initializer:
        yield f"sparse_initializer: none expected, got {len(model.graph.sparse_initializer)}"


def _node_problems(model: ModelProto) -> Iterator[str]:
    nodes = model.graph.node
    if not 0 < len(nodes) <= MAX_NODES:
        yield f"nodes: 1 to {MAX_NODES} expected, got {len(nodes)}"
    for node in nodes:
        if node.domain:
            yield f"node {node.name!r}: an operator of ONNX expected, got the domain {node.domain!r}"
        elif node.op_type not in ALLOWED_OPERATORS:
            yield f"node {node.name!r}: an operator of the allow-list expected, got {node.op_type!r}"
        for attribute in node.attribute:
            if attribute.type not in _PLAIN_ATTRIBUTES:
                got = f"one of type {attribute.type}"
                yield f"node {node.name!r}: attribute {attribute.name!r}: numbers or text expected, got {got}"


_PLAIN_ATTRIBUTES = frozenset(
    {
        AttributeProto.FLOAT,
        AttributeProto.INT,
        AttributeProto.STRING,
        AttributeProto.FLOATS,
        AttributeProto.INTS,
        AttributeProto.STRINGS,
    }
)


def _tensor_problems(model: ModelProto) -> Iterator[str]:
    n_parameters = 0
    for tensor in model.graph.initializer:
        name = f"initializer {tensor.name!r}"
        if tensor.data_location != TensorProto.DEFAULT or tensor.external_data:
            yield f"{name}: data inside the file expected, got a reference to another file"
            continue
        size = _BYTES_PER_VALUE.get(tensor.data_type)
        if size is None:
            yield f"{name}: float32, int64, int32, bool, float16 or int8 expected, got data type {tensor.data_type}"
            continue
        if any(length < 0 for length in tensor.dims):
            yield f"{name}: lengths of at least 0 expected, got {list(tensor.dims)}"
            continue
        n_values = 1
        for length in tensor.dims:
            n_values *= length
        n_parameters += n_values
        if len(tensor.raw_data) != n_values * size:
            yield f"{name}: {n_values * size} bytes for shape {list(tensor.dims)} expected, got {len(tensor.raw_data)}"
    if n_parameters > MAX_PARAMETERS:
        yield f"initializers: at most {MAX_PARAMETERS} numbers expected, got {n_parameters}"


def _port_problems(model: ModelProto, card: ModelCard) -> list[str]:
    problems = []
    names = [value.name for value in model.graph.input]
    if names != ["window"]:
        problems.append(f"inputs: 'window' alone expected, got {names}")
    else:
        window, expected = model.graph.input[0], (None, len(card.channels), card.window_length)
        if window.type.tensor_type.elem_type != TensorProto.FLOAT or _shape(window) != expected:
            problems.append(f"input 'window': float32 of shape {_text(expected)} expected, got {_text(_shape(window))}")
    outputs = {value.name: value for value in model.graph.output}
    if set(outputs) != set(_OUTPUTS) or len(model.graph.output) != len(_OUTPUTS):
        problems.append(f"outputs: {', '.join(_OUTPUTS)} expected, got {', '.join(o.name for o in model.graph.output)}")
        return problems
    for name, (kind, type_name, n_axes) in _OUTPUTS.items():
        shape = (None, len(card.classes))[:n_axes]
        value = outputs[name]
        if value.type.tensor_type.elem_type != kind or _shape(value) != shape:
            problems.append(
                f"output {name!r}: {type_name} of shape {_text(shape)} expected, got {_text(_shape(value))}"
            )
    return problems


def _shape(value: ValueInfoProto) -> tuple[int | None, ...]:
    """Return the lengths of the axes; None for one that is free."""
    axes = value.type.tensor_type.shape.dim
    return tuple(axis.dim_value if axis.HasField("dim_value") else None for axis in axes)


def _text(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join("N" if length is None else str(length) for length in shape) + ")"
