"""One fitted network in two files: a scikit-learn pipeline, and the same weights as the model file of an agent.

So the rivals of the agent answer with the very numbers it answers with, and their labels can be compared one by one.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
import onnxruntime as ort
from onnx import ModelProto
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.workload import CHANNELS, CLASSES, HOP_LENGTH, SAMPLING_RATE_HZ, WINDOW_LENGTH, labelled_windows
from schemas import (
    CARD_METADATA_KEY,
    Channel,
    DataFacts,
    FeatureBlock,
    GoldenWindow,
    HeadFacts,
    ModelCard,
    NoveltyFacts,
)
from schemas.card import encode_golden_values
from signals import FloatArray
from trainer.features import Graph

HIDDEN = (64, 32)
_GOLDEN_WINDOWS = 4
_NOVELTY_QUANTILE = 0.99


class ModelFiles(NamedTuple):
    """The two files, and the share of fresh windows that the network labels rightly."""

    joblib_file: Path
    onnx_file: Path
    accuracy: float


def write_model_files(folder: Path, n_devices: int = 20, n_windows: int = 100, max_epochs: int = 20) -> ModelFiles:
    """Fit a StandardScaler and an MLP of 64 and 32 units on raw windows, and write both files."""
    windows, class_indices = labelled_windows(n_devices, n_windows)
    flat = windows.reshape(len(windows), -1)
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(HIDDEN, max_iter=max_epochs, random_state=0))
    with warnings.catch_warnings():
        # The speed of a network does not depend on its last digit of accuracy.
        warnings.simplefilter("ignore", ConvergenceWarning)
        pipeline.fit(flat, class_indices)
    joblib_file, onnx_file = folder / "model.joblib", folder / "model.onnx"
    joblib.dump(pipeline, joblib_file)
    onnx_file.write_bytes(_onnx_bytes(pipeline, windows))
    fresh, truth = labelled_windows(max(2, n_devices // 4), n_windows, seed=2)
    return ModelFiles(joblib_file, onnx_file, float(pipeline.score(fresh.reshape(len(fresh), -1), truth)))


def _onnx_bytes(pipeline: Any, windows: FloatArray) -> bytes:  # noqa: ANN401 - a pipeline of scikit-learn, untyped
    scaler, head = pipeline[0], pipeline[1]
    bare = _graph(scaler, head, threshold=_novelty_threshold(scaler, windows)).SerializeToString()
    session = ort.InferenceSession(bare, providers=["CPUExecutionProvider"])
    step = max(1, len(windows) // _GOLDEN_WINDOWS)
    card = ModelCard(
        name="benchmark",
        classes=list(CLASSES),
        channels=[Channel(name=name) for name in CHANNELS],
        sampling_rate_hz=SAMPLING_RATE_HZ,
        window_length=WINDOW_LENGTH,
        hop_length=HOP_LENGTH,
        features=[FeatureBlock(kind="raw", n_features=windows[0].size)],
        head=HeadFacts(kind="mlp", hyper_parameters={"hidden_layer_sizes": list(HIDDEN)}),
        temperature=1.0,
        novelty=NoveltyFacts(method="root mean square of the standardised samples", false_alarm_rate=0.01),
        data=DataFacts(sha256="0" * 64, rows_per_class=dict.fromkeys(CLASSES, len(windows) // len(CLASSES)), seed=1),
        golden=[_golden(session, window) for window in windows[::step][:_GOLDEN_WINDOWS]],
    )
    model = _graph(
        scaler,
        head,
        threshold=_novelty_threshold(scaler, windows),
        metadata={CARD_METADATA_KEY: card.model_dump_json(by_alias=True)},
    )
    content: bytes = model.SerializeToString()
    return content


def _novelty_threshold(scaler: Any, windows: FloatArray) -> float:  # noqa: ANN401 - untyped
    standard = (windows.reshape(len(windows), -1) - scaler.mean_) / scaler.scale_
    return float(np.quantile(np.sqrt((standard**2).mean(axis=1)), _NOVELTY_QUANTILE))


def _graph(scaler: Any, head: Any, *, threshold: float, metadata: Mapping[str, str] | None = None) -> ModelProto:  # noqa: ANN401
    graph = Graph()
    window = graph.input("window", (None, len(CHANNELS), WINDOW_LENGTH))
    known = graph.apply("Where", graph.apply("IsNaN", window), graph.constant(0.0), window)
    standard = (graph.apply("Flatten", known, axis=1) - graph.constant(scaler.mean_)) / graph.constant(scaler.scale_)
    value = standard
    for depth, (weights, bias) in enumerate(zip(head.coefs_, head.intercepts_, strict=True)):
        value = graph.apply("Gemm", value, graph.constant(weights), graph.constant(bias))
        if depth < len(head.coefs_) - 1:
            value = graph.apply("Relu", value)
    probabilities = graph.apply("Softmax", value, axis=1)
    return graph.model(
        {
            "label": graph.apply("ArgMax", value, axis=1, keepdims=0),
            "probabilities": probabilities,
            "novelty": ((standard**2).mean().sqrt() / threshold).reshape([-1]),
        },
        {"label": (None,), "probabilities": (None, len(CLASSES)), "novelty": (None,)},
        integers=["label"],
        metadata=metadata,
    )


def _golden(session: ort.InferenceSession, window: FloatArray) -> GoldenWindow:
    label, probabilities, novelty = session.run(["label", "probabilities", "novelty"], {"window": window[None]})
    return GoldenWindow(
        window=encode_golden_values(window.ravel().tolist()),
        label=int(label[0]),
        probabilities=probabilities[0].tolist(),
        novelty=float(novelty[0]),
    )
