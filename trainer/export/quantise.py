"""Model files whose weights take one or two bytes each instead of four.

Only what stands behind the features is stored smaller: the matrices of head and novelty. The features stay as they
are, because they span many powers of ten or hang on a comparison. Measured on UCI HAR with onnxruntime's own quantiser:
a Fourier matrix in int8 turned 1 label in 90, int8 convolutions 2 in 3, the whole graph 1 in 4, and all of it was
slower than float. The integers of the head are those of that quantiser; the graph casts them back when it is loaded.
onnxruntime folds that into a constant, so that a window costs the same time and memory as before. The allow-list of a
gateway has no quantised arithmetic (QuantizeLinear, MatMulInteger), and this needs none.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from schemas import CARD_METADATA_KEY, ContractError, ModelCard
from schemas.card import golden_bytes
from trainer.errors import TrainerError
from trainer.export.guard import MAX_FILE_BYTES, check_model
from trainer.export.read import LoadedModel, model_of_bytes, open_session
from trainer.export.write import write_atomically

WeightKind = Literal["float32", "float16", "int8"]
"""How the weights of head and novelty are stored."""

WEIGHT_KINDS: tuple[WeightKind, ...] = ("float32", "float16", "int8")

LEAST_VALUES = 512
"""Smaller matrices stay as they are: the nodes that would cast them back are no smaller."""

_INT8_LIMIT = 127.0
# With this entry in the metadata the quantiser does not advise to optimise the graph first, which is of no use here.
_PREPARED = {"onnx.quant.pre_process": "onnxruntime.quant"}


@dataclass(frozen=True, slots=True)
class Quantised:
    """A written file, and how its answers differ from those of the file it was made from.

    Attributes
    ----------
    path : Path
    digest : str
    weights : str
    n_bytes, n_bytes_before : int
    n_windows, n_flips : int
        Windows compared, and how many of them got another label.
    max_probability_difference, max_novelty_difference : float
        The latter relative to the novelty, at least 1.
    """

    path: Path
    digest: str
    weights: WeightKind
    n_bytes: int
    n_bytes_before: int
    n_windows: int
    n_flips: int
    max_probability_difference: float
    max_novelty_difference: float


def quantise_file(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    windows: npt.NDArray[np.floating],
    *,
    weights: WeightKind = "int8",
) -> Quantised:
    """Write a model file with smaller weights beside the original, and say what that changed.

    Its golden windows are answered anew, so that a gateway proves the very file it got, and its card carries a note.

    Parameters
    ----------
    path, out : path
        The file, and where the smaller one goes; it appears whole or not at all.
    windows : ndarray of shape (n_windows, n_channels, window_length)
        What both are compared on, at least one window.
    weights : {"int8", "float16", "float32"}
        The last copies the file.

    Raises
    ------
    ContractError
        If the file is refused by the guard, or `out` cannot be written.
    TrainerError
        If no matrix is large enough for anything to be gained.
    ValueError
        If the windows do not fit the model.
    """
    where = os.fspath(path)
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ContractError(where, [f"file: a readable model file expected, got: {error.strerror}"]) from error
    if not len(windows):
        raise ValueError("windows: at least one expected, got none")
    before = model_of_bytes(content, where)
    answers = before.run(windows)
    unnoted = model_of_bytes(quantise_model(content, weights, where), where).run(windows)
    n_flips = int(np.count_nonzero(unnoted.labels != answers.labels))
    note = f"Head and novelty weights are stored as {weights}: {n_flips} of {len(windows)} windows got another label."
    smaller = quantise_model(content, weights, where, note=note if weights != "float32" else None)
    digest = model_of_bytes(smaller, where).digest
    write_atomically(Path(out), smaller)
    scale = np.maximum(1.0, np.abs(answers.novelty))
    return Quantised(
        path=Path(out),
        digest=digest,
        weights=weights,
        n_bytes=len(smaller),
        n_bytes_before=len(content),
        n_windows=len(windows),
        n_flips=n_flips,
        max_probability_difference=float(np.abs(unnoted.probabilities - answers.probabilities).max()),
        max_novelty_difference=float((np.abs(unnoted.novelty - answers.novelty) / scale).max()),
    )


def quantise_model(content: bytes, weights: WeightKind, where: str = "model", *, note: str | None = None) -> bytes:
    """Return the content of a model file with smaller weights, its golden windows answered anew.

    Parameters
    ----------
    content : bytes
        A file that passes the guard.
    weights : {"int8", "float16", "float32"}
    where : str
        Its name, for errors.
    note : str, optional
        A sentence for the card.

    Raises
    ------
    ContractError
        If the file is refused by the guard.
    TrainerError
        If no matrix is large enough for anything to be gained.
    """
    if weights not in WEIGHT_KINDS:
        raise ValueError(f"weights: one of {', '.join(WEIGHT_KINDS)} expected, got {weights!r}")
    card = check_model(content, where)
    if weights == "float32":
        return content
    model = onnx.load_model_from_string(content)
    nodes = head_nodes(model)
    if not nodes:
        raise TrainerError(
            f"{where}: weights: a matrix of at least {LEAST_VALUES} numbers behind the features expected, got none: "
            f"{weights} would not make the file smaller"
        )
    names = {node.input[1] for node in nodes}
    int8 = _int8_of_onnxruntime(model, nodes) if weights == "int8" else {}
    kept: list[TensorProto] = []
    casts: list[NodeProto] = []
    for tensor in model.graph.initializer:
        if tensor.name not in names:
            kept.append(tensor)
        elif weights == "float16":
            half = numpy_helper.to_array(tensor).astype(np.float16)
            kept.append(numpy_helper.from_array(half, f"{tensor.name}_half"))
            casts.append(_cast(f"{tensor.name}_half", tensor.name))
        else:
            values, scales = int8[tensor.name]
            kept += [numpy_helper.from_array(values, f"{tensor.name}_int8")]
            kept += [numpy_helper.from_array(scales, f"{tensor.name}_scales")]
            casts.append(_cast(f"{tensor.name}_int8", f"{tensor.name}_whole"))
            inputs = [f"{tensor.name}_whole", f"{tensor.name}_scales"]
            casts.append(helper.make_node("Mul", inputs, [tensor.name], name=f"Mul_{tensor.name}"))
    computed = list(model.graph.node)
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.initializer.extend(kept)
    model.graph.node.extend([*casts, *computed])
    notes = [*card.notes, note] if note else card.notes
    return _with_card(model, card.model_copy(update={"notes": notes}))


def rounded(weights: npt.NDArray[np.floating], kind: WeightKind) -> npt.NDArray[np.float64]:
    """Return what a matrix of weights becomes when it is stored so.

    Parameters
    ----------
    weights : ndarray of shape (fan_in, fan_out)
        int8: each column has its own scale, its largest weight being 127 steps.
    kind : {"float32", "float16", "int8"}

    Examples
    --------
    >>> rounded(np.array([[1.27, 0.1], [-0.013, 0.0]]), "int8").round(3).tolist()
    [[1.27, 0.1], [-0.01, 0.0]]
    """
    exact = weights.astype(np.float32)
    if kind == "int8":
        steps = np.maximum(np.abs(exact).max(axis=0) / np.float32(_INT8_LIMIT), np.finfo(np.float32).tiny)
        exact = (np.rint(exact / steps) * steps).astype(np.float32)
    elif kind == "float16":
        exact = exact.astype(np.float16).astype(np.float32)
    return exact.astype(np.float64)


def head_nodes(model: ModelProto) -> list[NodeProto]:
    """Return the products with a large constant matrix that stand behind the features.

    The features end at the last value that both ``probabilities`` and ``novelty`` are computed from.
    """
    nodes = list(model.graph.node)
    large = {
        tensor.name
        for tensor in model.graph.initializer
        if tensor.data_type == TensorProto.FLOAT
        and len(tensor.dims) == 2
        and tensor.dims[0] * tensor.dims[1] >= LEAST_VALUES
    }
    shared = _ancestors(nodes, "probabilities") & _ancestors(nodes, "novelty")
    last = max(shared, default=-1)
    behind = set(nodes[last].output) if shared else set()
    found = []
    for node in nodes[last + 1 :]:
        if behind.intersection(node.input):
            behind.update(node.output)
            if node.op_type in {"Gemm", "MatMul"} and node.input[1] in large:
                found.append(node)
    return found


def _ancestors(nodes: list[NodeProto], output: str) -> set[int]:
    """Positions of the nodes that an output is computed by, except the one that names it."""
    wanted, found = {output}, set()
    for position in range(len(nodes) - 1, -1, -1):
        if wanted.intersection(nodes[position].output):
            wanted.update(nodes[position].input)
            if output not in nodes[position].output:
                found.add(position)
    return found


def _int8_of_onnxruntime(
    model: ModelProto, nodes: list[NodeProto]
) -> dict[str, tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]]:
    """Integers and scales of the weights, by name, as the quantiser of onnxruntime gives them: one scale a column."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        quantised = runtime_int8(model, Path(folder), _noise(model), [node.name for node in nodes])
    tensors = {tensor.name: tensor for tensor in quantised.graph.initializer}
    names = {node.input[1] for node in nodes}
    for node in quantised.graph.node:
        if node.op_type != "DequantizeLinear" or node.input[0] not in tensors:
            continue
        name = node.input[0].removesuffix("_quantized")
        values = numpy_helper.to_array(tensors[node.input[0]])
        if name in names and values.dtype == np.int8:
            scales = numpy_helper.to_array(tensors[node.input[1]]).astype(np.float32)
            found[name] = (values, scales.reshape(1, -1))
    missing = sorted(names - set(found))
    if missing:
        raise TrainerError(f"int8: weights of {', '.join(missing)} expected of onnxruntime's quantiser, got none")
    return found


def runtime_int8(
    model: ModelProto,
    folder: Path,
    windows: npt.NDArray[np.floating],
    nodes: list[str] | None = None,
) -> ModelProto:
    """Return the graph with int8 arithmetic as onnxruntime's static quantiser writes it.

    Parameters
    ----------
    model : ModelProto
    folder : Path
        An empty one, for its files.
    windows : ndarray of shape (n_windows, n_channels, window_length)
        Calibration: the range of every value is taken on them.
    nodes : list of str, optional
        Names of the products to quantise; all products and convolutions where None.
    """
    # Heavy, and only here.
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Windows(CalibrationDataReader):
        def __init__(self) -> None:
            self._batches: Iterator[npt.NDArray[np.float32]] = iter(
                np.array_split(windows.astype(np.float32), -(-len(windows) // 64))
            )

        def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
            batch = next(self._batches, None)
            return None if batch is None else {"window": batch}

    source, target = folder / "float.onnx", folder / "int8.onnx"
    prepared = ModelProto()
    prepared.CopyFrom(model)
    helper.set_model_props(prepared, _PREPARED)
    source.write_bytes(prepared.SerializeToString())
    quantize_static(
        source,
        target,
        Windows(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["Gemm", "MatMul", "Conv"],
        nodes_to_quantize=nodes,
    )
    return onnx.load(target)


def _noise(model: ModelProto) -> npt.NDArray[np.float32]:
    """Windows for a calibration whose ranges nobody uses: the weights do not depend on them."""
    axes = model.graph.input[0].type.tensor_type.shape.dim
    shape = (1, *(axis.dim_value for axis in axes[1:]))
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def _with_card(model: ModelProto, card: ModelCard) -> bytes:
    """The file with golden windows that it answers itself."""
    unproven = LoadedModel(card, open_session(model.SerializeToString()), digest="")
    shape = (1, len(card.channels), card.window_length)
    golden = []
    for window in card.golden:
        answers = unproven.run(np.frombuffer(golden_bytes(window), dtype="<f4").reshape(shape))
        given = {
            "label": int(answers.labels[0]),
            "probabilities": [float(value) for value in answers.probabilities[0]],
            "novelty": float(answers.novelty[0]),
        }
        golden.append(window.model_copy(update=given))
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    completed = card.model_copy(update={"golden": golden})
    metadata[CARD_METADATA_KEY] = completed.model_dump_json(by_alias=True)
    helper.set_model_props(model, metadata)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _cast(source: str, target: str) -> NodeProto:
    return helper.make_node("Cast", [source], [target], name=f"Cast_{source}", to=TensorProto.FLOAT)
