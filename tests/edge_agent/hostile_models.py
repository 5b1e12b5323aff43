"""Model files built to hurt: each with what the guard must say of it, and what becomes of it without the guard."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from schemas import CARD_METADATA_KEY
from tests.edge_agent.small_model import build_model

SECRET = b"root:x:0:0:this must never leave the file\n"

Alone = Literal["refused", "killed", "runs"]
"""What the trial child makes of a file that no guard has seen. ``runs``: harmless there, so the guard alone decides."""


@dataclass(frozen=True, slots=True)
class Hostile:
    """One file of the corpus."""

    name: str
    content: bytes
    guard: str | None
    """A part of the guard's line; None = only the trial can find it."""
    alone: tuple[Alone, ...]


Change = Callable[[ModelProto], None]


def corpus(folder: Path) -> list[Hostile]:
    """The files; ``folder`` holds what the external data of some point to."""
    lure(folder)
    spoiled: list[tuple[str, Change, str | None, tuple[Alone, ...]]] = [
        *(
            (f"external data: {name}", _external(location), "another file", ("refused",))
            for name, location in _locations(folder).items()
        ),
        ("constant-fold bomb", _constant_bomb, "'Expand'", ("refused", "killed")),
        ("run-time Expand bomb", _expand_bomb, "'Expand'", ("refused", "killed")),
        ("broadcast bomb of allowed operators", _broadcast_bomb, None, ("refused", "killed")),
        ("40 MatMuls of allowed operators", _matmul_chain, None, ("killed",)),
        ("sleeper: a size out of the data", _sleeper, "depends on the data", ("runs",)),
        ("bomb of the batch size squared", _squared_batch, None, ("refused", "killed")),
        ("Loop of 2^62 rounds", endless_loop, "'Loop'", ("killed",)),
        ("If, 20 deep", _nested_if, "'If'", ("runs", "killed")),
        ("functions", _function, "no functions", ("runs", "refused")),
        ("training graph", _training, "no training graph", ("runs", "refused")),
        ("sparse initializer", _sparse, "no sparse", ("refused", "runs", "killed")),
        ("foreign domain", _foreign_domain, "the domain 'com.attacker'", ("refused",)),
        ("text operators of the vendor's domain", _vendor_domain, "the domain 'com.microsoft'", ("refused", "runs")),
        ("lying dimensions", _lying_dims, "values of shape", ("refused",)),
        ("negative dimensions", _negative_dims, "at least 0", ("refused",)),
        ("text input", _text_input, "float32", ("refused",)),
        ("text tensor", _text_tensor, "data type 8", ("refused", "runs")),
        ("fixed batch", _fixed_batch, "any number of windows", ("refused",)),
        ("a cycle", _cycle, None, ("refused",)),
        ("too many nodes", _too_many_nodes, "2000 nodes", ("runs",)),
        ("NaN weights", _nan_weights, None, ("refused",)),
        ("infinite weights", _infinite_weights, None, ("refused",)),
        ("wrong answers", _turned_weights, None, ("refused",)),
        ("class out of range", _class_out_of_range, None, ("refused",)),
        ("output of another shape", _other_shape, None, ("refused",)),
        ("card of 9 MB", _huge_card, "characters expected", ("runs",)),
        ("card of a million values", _card_of_values, "200000 values", ("runs",)),
        ("card nested 100 000 deep", _deep_card, "JSON expected", ("runs",)),
        ("card with forged golden windows", _forged_golden, "golden window: whole float32 values", ("runs",)),
        ("card without golden windows", _no_golden, "at least one golden window", ("runs",)),
        ("card of golden windows that are no numbers", _nan_golden, "finite", ("runs",)),
        ("card twice", _card_twice, "twice", ("runs",)),
        ("another key twice", _key_twice, "twice", ("runs",)),
    ]
    good = build_model()
    chance = np.random.default_rng(5)
    return [
        *(Hostile(name, build_model(change=change), guard, alone) for name, change, guard, alone in spoiled),
        Hostile("truncated", good[: len(good) // 2], "truncated", ("refused",)),
        Hostile("random bytes", chance.bytes(100_000), "no usable model file", ("refused",)),
        Hostile("empty", b"", "empty file", ("refused",)),
        Hostile("zeros", bytes(100_000), "no usable model file", ("refused",)),
        Hostile("graph twice", good + b"\x3a\x00", "twice", ("refused", "runs")),
        Hostile("a number of eleven bytes", b"\xff" * 11 + good, "no usable model file", ("refused",)),
        Hostile("a length beyond the file", b"\x3a\xff\xff\xff\xff\x7f" + good, "truncated", ("refused",)),
    ]


def lure(folder: Path) -> None:
    """Put files where the external data point to: one in reach, one above, one behind a link, and a pipe."""
    (folder / "models").mkdir(exist_ok=True)
    (folder / "secret").write_bytes(SECRET)
    if not (folder / "models" / "link").is_symlink():
        (folder / "models" / "link").symlink_to(folder / "secret")
        os.mkfifo(folder / "models" / "pipe")


def _locations(folder: Path) -> dict[str, str]:
    return {
        "absolute path": str(folder / "secret"),
        "/etc/passwd": "/etc/passwd",
        "parent folder": "../secret",
        "link": "link",
        "/proc/self/environ": "/proc/self/environ",
        "pipe": "pipe",
        "memory marker": "*/_ORT_MEM_ADDR_/*",
        "memory marker with an address": "*/_ORT_MEM_ADDR_/*140000000000000",
    }


def _external(location: str) -> Change:
    def change(model: ModelProto) -> None:
        """16 bytes of the file would be the weights: they would come out as probabilities."""
        tensor = model.graph.initializer[1]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", "0"), ("length", "16")):
            entry = tensor.external_data.add()
            entry.key, entry.value = key, value

    return change


def _constant(model: ModelProto, name: str, values: Any) -> None:  # noqa: ANN401 - whatever numpy takes
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(values), name))


def _feed(model: ModelProto, tensor: str) -> None:
    """Let the novelty depend on a tensor, so that no optimiser throws it away."""
    node = next(node for node in model.graph.node if node.op_type == "Div")
    node.input[0] = "with_bomb"
    model.graph.node.insert(
        list(model.graph.node).index(node), helper.make_node("Add", ["largest", tensor], ["with_bomb"])
    )


def _constant_bomb(model: ModelProto) -> None:
    """16 GB out of 20 bytes, made while the session opens."""
    _constant(model, "one", np.float32(0.0))
    _constant(model, "shape", np.array([4, 1024, 1024, 1024]))
    model.graph.node.insert(0, helper.make_node("Expand", ["one", "shape"], ["huge"]))
    model.graph.node.insert(1, helper.make_node("ReduceMax", ["huge"], ["bomb"], keepdims=0))
    _feed(model, "bomb")


def _expand_bomb(model: ModelProto) -> None:
    """20 GB when the first window comes."""
    _constant(model, "shape", np.array([5, 1024, 1024, 1024, 1]))
    model.graph.node.insert(3, helper.make_node("ReduceMax", ["mean"], ["top"], keepdims=0))
    model.graph.node.insert(4, helper.make_node("Expand", ["top", "shape"], ["huge"]))
    model.graph.node.insert(5, helper.make_node("ReduceMax", ["huge"], ["bomb"], keepdims=0))
    _feed(model, "bomb")


def _broadcast_bomb(model: ModelProto) -> None:
    """A column plus a row: 40 GB out of 800 kB, and every operator is on the list."""
    _constant(model, "column", np.zeros((100_000, 1), dtype=np.float32))
    _constant(model, "row", np.zeros((1, 100_000), dtype=np.float32))
    model.graph.node.insert(3, helper.make_node("ReduceMax", ["mean"], ["top"], keepdims=0))
    model.graph.node.insert(4, helper.make_node("Add", ["column", "top"], ["column_now"]))
    model.graph.node.insert(5, helper.make_node("Add", ["column_now", "row"], ["huge"]))
    model.graph.node.insert(6, helper.make_node("ReduceMax", ["huge"], ["bomb"], keepdims=0))
    _feed(model, "bomb")


def _matmul_chain(model: ModelProto) -> None:
    """Forty products of 3000 x 3000, which a column times a row makes out of 24 kB."""
    _constant(model, "column", np.full((3000, 1), 1e-3, dtype=np.float32))
    _constant(model, "row", np.full((1, 3000), 1e-3, dtype=np.float32))
    chain = [
        helper.make_node("ReduceMax", ["mean"], ["top"], keepdims=0),
        helper.make_node("Mul", ["column", "top"], ["column_now"]),
        helper.make_node("MatMul", ["column_now", "row"], ["p0"]),
        *(helper.make_node("MatMul", [f"p{index}", f"p{index}"], [f"p{index + 1}"]) for index in range(40)),
        helper.make_node("ReduceMax", ["p40"], ["bomb"], keepdims=0),
    ]
    for at, node in enumerate(chain):
        model.graph.node.insert(3 + at, node)
    _feed(model, "bomb")


def _sleeper(model: ModelProto) -> None:
    """As many rows as the largest value says, times as many columns: harmless on every golden window."""
    _constant(model, "row", np.zeros(100_000, dtype=np.float32))
    _constant(model, "start", np.array([0]))
    _constant(model, "column_shape", np.array([-1, 1]))
    _constant(model, "one_shape", np.array([1]))
    chain = [
        helper.make_node("ReduceMax", ["mean"], ["top"], keepdims=0),
        helper.make_node("Reshape", ["top", "one_shape"], ["top_one"]),
        helper.make_node("Abs", ["top_one"], ["top_size"]),
        helper.make_node("Ceil", ["top_size"], ["top_up"]),
        helper.make_node("Cast", ["top_up"], ["stop"], to=TensorProto.INT64),
        helper.make_node("Slice", ["row", "start", "stop"], ["part"]),
        helper.make_node("Reshape", ["part", "column_shape"], ["column"]),
        helper.make_node("Add", ["part", "column"], ["huge"]),
        helper.make_node("ReduceSum", ["huge"], ["bomb"], keepdims=0),
    ]
    for at, node in enumerate(chain):
        model.graph.node.insert(3 + at, node)
    _feed(model, "bomb")


def _squared_batch(model: ModelProto) -> None:
    """Every window against every other, wide: nothing for one window, 3.3 GB for a full pass."""
    _constant(model, "wide", np.zeros((1, 1, 200_000), dtype=np.float32))
    _constant(model, "axes_column", np.array([1, 2]))
    _constant(model, "axes_row", np.array([0, 2]))
    chain = [
        helper.make_node("ReduceMax", ["mean"], ["of_each"], axes=[1], keepdims=0),
        helper.make_node("Unsqueeze", ["of_each", "axes_column"], ["column"]),
        helper.make_node("Unsqueeze", ["of_each", "axes_row"], ["row"]),
        helper.make_node("Sub", ["column", "row"], ["pairs"]),
        helper.make_node("Add", ["pairs", "wide"], ["huge"]),
        helper.make_node("Sub", ["huge", "huge"], ["none"]),
        helper.make_node("ReduceMax", ["none"], ["bomb"], keepdims=0),
    ]
    for at, node in enumerate(chain):
        model.graph.node.insert(3 + at, node)
    _feed(model, "bomb")


def endless_loop(model: ModelProto) -> None:
    """2^62 rounds before the first node: nothing but the clock ends it."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_on"], ["go_on_out"]),
            helper.make_node("Add", ["sum", "sum"], ["sum_out"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, [2]),
        ],
        [
            helper.make_tensor_value_info("go_on_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum_out", TensorProto.FLOAT, [2]),
        ],
    )
    _constant(model, "rounds", np.array(2**62))
    _constant(model, "yes", np.array(True))
    model.graph.node.insert(0, helper.make_node("Loop", ["rounds", "yes", "bias"], ["biased"], body=body))
    gemm = next(node for node in model.graph.node if node.op_type == "Gemm")
    gemm.input[2] = "biased"


def _nested_if(model: ModelProto) -> None:
    value = helper.make_tensor_value_info("out0", TensorProto.FLOAT, [])
    body = helper.make_graph([helper.make_node("Identity", ["zero"], ["out0"])], "deep0", [], [value])
    for depth in range(1, 21):
        value = helper.make_tensor_value_info(f"out{depth}", TensorProto.FLOAT, [])
        inner = helper.make_node("If", ["yes"], [f"out{depth}"], then_branch=body, else_branch=_leaf(depth))
        body = helper.make_graph([inner], f"deep{depth}", [], [value])
    _constant(model, "yes", np.array(True))
    model.graph.node.insert(0, helper.make_node("If", ["yes"], ["bomb"], then_branch=body, else_branch=_leaf(99)))
    _feed(model, "bomb")


def _leaf(depth: int) -> Any:  # noqa: ANN401 - GraphProto has no types
    name = f"leaf{depth}"
    value = helper.make_tensor_value_info(name, TensorProto.FLOAT, [])
    return helper.make_graph([helper.make_node("Identity", ["zero"], [name])], f"{name}_graph", [], [value])


def _function(model: ModelProto) -> None:
    model.functions.append(helper.make_function("", "Abs", ["x"], ["y"], [], [helper.make_opsetid("", 17)]))


def _training(model: ModelProto) -> None:
    model.training_info.add()


def _sparse(model: ModelProto) -> None:
    model.graph.sparse_initializer.add()


def _foreign_domain(model: ModelProto) -> None:
    model.graph.node[0].domain = "com.attacker"


def _vendor_domain(model: ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def _lying_dims(model: ModelProto) -> None:
    model.graph.initializer[1].dims[0] = 1 << 40


def _negative_dims(model: ModelProto) -> None:
    model.graph.initializer[1].dims[0] = -2


def _text_input(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.STRING


def _text_tensor(model: ModelProto) -> None:
    model.graph.initializer.append(TensorProto(name="text", data_type=TensorProto.STRING, dims=[1], string_data=[b"x"]))


def _fixed_batch(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def _cycle(model: ModelProto) -> None:
    model.graph.node[0].input[0] = "filled"


def _too_many_nodes(model: ModelProto) -> None:
    model.graph.node.extend(helper.make_node("Abs", ["mean"], [f"n{number}"]) for number in range(2001))


def _weights(model: ModelProto, values: Any) -> None:  # noqa: ANN401 - whatever numpy takes
    model.graph.initializer[1].raw_data = np.asarray(values, dtype=np.float32).tobytes()


def _nan_weights(model: ModelProto) -> None:
    _weights(model, np.full((2, 2), np.nan))


def _infinite_weights(model: ModelProto) -> None:
    _weights(model, np.full((2, 2), np.inf))


def _turned_weights(model: ModelProto) -> None:
    _weights(model, [[4.0, -4.0], [0.0, 0.0]])


def _class_out_of_range(model: ModelProto) -> None:
    """Class 7 of two, but only where nothing was measured: the golden windows are answered well."""
    _constant(model, "seven", np.array(7))
    _constant(model, "none", np.array(0))
    argmax = next(node for node in model.graph.node if node.op_type == "ArgMax")
    argmax.output[0] = "honest"
    chain = [
        helper.make_node("Equal", ["mean", "zero"], ["is_zero"]),
        helper.make_node("Cast", ["is_zero"], ["is_zero_number"], to=TensorProto.INT64),
        helper.make_node("ReduceMax", ["is_zero_number"], ["any_zero"], axes=[1], keepdims=0),
        helper.make_node("Mul", ["any_zero", "seven"], ["extra"]),
        helper.make_node("Add", ["honest", "extra"], ["label"]),
    ]
    model.graph.node.extend(chain)


def _other_shape(model: ModelProto) -> None:
    """All windows get one novelty together."""
    node = next(node for node in model.graph.node if node.op_type == "Div")
    node.output[0] = "each"
    model.graph.node.append(helper.make_node("ReduceMax", ["each"], ["novelty"], axes=[0], keepdims=1))


def _card(model: ModelProto, text: str) -> None:
    model.metadata_props[0].value = text


def _with(model: ModelProto, more: str) -> None:
    text = model.metadata_props[0].value
    _card(model, text[:-1] + more + "}")


def _huge_card(model: ModelProto) -> None:
    _with(model, f', "padding": "{"x" * 9_000_000}"')


def _card_of_values(model: ModelProto) -> None:
    _with(model, f', "padding": [{"{}," * 1_000_000}0]')


def _deep_card(model: ModelProto) -> None:
    _with(model, f', "padding": {"[" * 100_000}{"]" * 100_000}')


def _forged_golden(model: ModelProto) -> None:
    text = model.metadata_props[0].value
    at = text.index('"window":"') + len('"window":"')
    _card(model, text[:at] + "AAAA" + text[at:])


def _no_golden(model: ModelProto) -> None:
    card = json.loads(model.metadata_props[0].value)
    _card(model, json.dumps(card | {"golden": []}))


def _nan_golden(model: ModelProto) -> None:
    text = model.metadata_props[0].value
    at = text.index('"novelty":', text.index('"golden"')) + len('"novelty":')
    end = next(index for index in range(at, len(text)) if text[index] in ",}")
    _card(model, f"{text[:at]}NaN{text[end:]}")


def _card_twice(model: ModelProto) -> None:
    entry = model.metadata_props.add()
    entry.key, entry.value = CARD_METADATA_KEY, model.metadata_props[0].value


def _key_twice(model: ModelProto) -> None:
    for value in ("a", "b"):
        entry = model.metadata_props.add()
        entry.key, entry.value = "note", value
