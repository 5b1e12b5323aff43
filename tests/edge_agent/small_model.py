"""A model file small enough to be read: the mean of each channel decides, without the trainer.

``high`` where the mean of the first channel is above 0, ``low`` below; novelty is a tenth of the largest absolute mean.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from onnx import ModelProto, TensorProto, helper, numpy_helper

from schemas import (
    CARD_METADATA_KEY,
    Channel,
    DataFacts,
    FeatureBlock,
    GoldenWindow,
    Grid,
    HeadFacts,
    ModelCard,
    NoveltyFacts,
)
from schemas.card import encode_golden_values

CLASSES = ["low", "high"]


def build_graph(n_channels: int, window_length: int, *, by_place: bool = False, gain: float = 4.0) -> ModelProto:
    """The graph without a card; ``by_place`` = each place of the window has a weight, so that no two may be swapped."""
    weights = np.zeros((n_channels, 2), dtype=np.float32)
    weights[0] = [-gain, gain]
    constants = {
        "zero": np.zeros((), dtype=np.float32),
        "weights": weights,
        "bias": np.zeros(2, dtype=np.float32),
        "ten": np.full((), 10.0, dtype=np.float32),
    }
    weighted = []
    if by_place:
        constants["places"] = np.linspace(0.5, 1.5, window_length, dtype=np.float32).reshape(1, 1, -1)
        weighted = [helper.make_node("Mul", ["filled", "places"], ["weighted"])]
    nodes = [
        helper.make_node("IsNaN", ["window"], ["missing"]),
        helper.make_node("Where", ["missing", "zero", "window"], ["filled"]),
        *weighted,
        helper.make_node("ReduceMean", ["weighted" if by_place else "filled"], ["mean"], axes=[2], keepdims=0),
        helper.make_node("Gemm", ["mean", "weights", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0),
        helper.make_node("Abs", ["mean"], ["size"]),
        helper.make_node("ReduceMax", ["size"], ["largest"], axes=[1], keepdims=0),
        helper.make_node("Div", ["largest", "ten"], ["novelty"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("window", TensorProto.FLOAT, ["N", n_channels, window_length])],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, ["N"]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 2]),
            helper.make_tensor_value_info("novelty", TensorProto.FLOAT, ["N"]),
        ],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="test")
    model.ir_version = 8
    return model


def build_model(
    channels: Sequence[str] = ("x", "y"),
    *,
    window_length: int = 10,
    hop_length: int = 5,
    by_place: bool = False,
    gain: float = 4.0,
    change: Callable[[ModelProto], None] | None = None,
    **card_facts: Any,
) -> bytes:
    """The bytes of a whole model file; ``change`` may spoil the graph, ``card_facts`` replace fields of the card."""
    model = build_graph(len(channels), window_length, by_place=by_place, gain=gain)
    golden = []
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for level in (-1.0, 1.0):
        window = np.full((1, len(channels), window_length), level, dtype=np.float32)
        label, probabilities, novelty = session.run(None, {"window": window})
        golden.append(
            GoldenWindow(
                window=encode_golden_values(window.ravel().tolist()),
                label=int(label[0]),
                probabilities=probabilities[0].tolist(),
                novelty=float(novelty[0]),
            )
        )
    facts: dict[str, Any] = {
        "name": "small",
        "classes": CLASSES,
        "channels": [Channel(name=name) for name in channels],
        "sampling_rate_hz": 100.0,
        "window_length": window_length,
        "hop_length": hop_length,
        "grid": Grid(),
        "features": [FeatureBlock(kind="raw", n_features=len(channels))],
        "head": HeadFacts(kind="logistic"),
        "temperature": 1.0,
        "novelty": NoveltyFacts(method="largest mean", false_alarm_rate=0.01),
        "data": DataFacts(sha256="0" * 64, rows_per_class={"low": 1, "high": 1}, seed=0),
        "golden": golden,
    }
    card = ModelCard.model_validate(facts | card_facts)
    helper.set_model_props(model, {CARD_METADATA_KEY: card.model_dump_json(by_alias=True)})
    if change is not None:
        change(model)
    content: bytes = model.SerializeToString()
    return content


def write_model(path: Path, **options: Any) -> Path:
    """The path of a model file with these options."""
    path.write_bytes(build_model(**options))
    return path
