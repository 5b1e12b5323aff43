"""The forward pass of models as ``trainer`` writes them: time and size, and numpy against onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime as ort

from benchmarks.measure import Effort, cpu_of_calls, ratio, spread
from benchmarks.table import Table
from benchmarks.workload import CHANNELS, CLASSES, SAMPLING_RATE_HZ, labelled_windows
from signals import FloatArray
from trainer.data import CutOptions, cut_source, plan_cut, read_source
from trainer.export import Answers, FittedModel, export_model, forward_features
from trainer.features import FeatureExtractor
from trainer.fit import FitOptions, HeadKind, fit, model_card

_MODELS: tuple[tuple[str, HeadKind], ...] = (
    ("raw", "logistic"),
    ("raw", "mlp"),
    ("statistics", "logistic"),
    ("spectral", "logistic"),
    ("statistics+spectral", "mlp"),
)
_BATCH = 64
_PARITY_WINDOWS = 10_000
_OUTPUTS = ("label", "probabilities", "novelty")
_DOUBTFUL = 0.9


class Exported(NamedTuple):
    """A model in memory, and the bytes of its file."""

    name: str
    fitted: FittedModel
    content: bytes


def run(effort: Effort, work: Path) -> list[Table]:
    """The tables of speed and of parity."""
    data = work / "windows.npz"
    n_groups, n_windows = 12, effort.of(60, least=12)
    windows, class_indices = labelled_windows(n_groups, n_windows)
    groups = np.repeat(np.arange(n_groups), n_windows)
    np.savez(data, X=windows, y=class_indices, classes=CLASSES, channels=CHANNELS, fs=SAMPLING_RATE_HZ, groups=groups)
    models = [_fit(data, work / f"{number}.onnx", *choice) for number, choice in enumerate(_MODELS)]
    hard = _hard_windows(effort.of(_PARITY_WINDOWS, least=50))
    return [_speed(models, hard[:_BATCH], effort), _parity(models, hard)]


def _fit(data: Path, out: Path, features: str, head: HeadKind) -> Exported:
    source = read_source(data)
    plan = plan_cut(source, CutOptions())
    windows, _ = cut_source(source, plan)
    result = fit(windows, FitOptions(features, head, name="benchmark"), lambda *_: None)
    export_model(result.model, model_card(result, plan), out, result.data.windows, result.data.class_indices)
    own = result.model.extractor
    # A second thread of the runtime would spin beside everything that is timed here.
    alone = FeatureExtractor(own.blocks, own.scaling, own.window_length, own.sampling_rate_hz, n_threads=1)
    name = f"{features}, {head}, {own.n_features} features"
    return Exported(name, replace(result.model, extractor=alone), out.read_bytes())


def _hard_windows(n_windows: int) -> FloatArray:
    """Windows unlike those of the fit: from clean to drowned in noise, so that answers come close to ties."""
    windows, _ = labelled_windows(100, -(-n_windows // 100), seed=3)
    random = np.random.default_rng(4)
    noise = random.standard_normal(windows.shape, dtype=np.float32)
    mixed = windows * random.uniform(0.0, 1.0, (len(windows), 1, 1)) + noise * random.uniform(
        0.0, 2.0, (len(windows), 1, 1)
    )
    chosen: FloatArray = random.permutation(mixed.astype(np.float32))[:n_windows]
    return chosen


def _session(content: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _speed(models: list[Exported], windows: FloatArray, effort: Effort) -> Table:
    table = Table(
        "forward pass, CPU µs per window, one thread",
        ("model", "file, KiB", "onnxruntime, batch 1", "batch 64", "numpy, batch 64", "numpy, times onnxruntime at 64"),
    )
    batch = np.resize(windows, (_BATCH, *windows.shape[1:]))
    n_calls = effort.of(200, least=3)
    for name, fitted, content in models:
        session = _session(content)
        one: list[float] = []
        many: list[float] = []
        by_numpy: list[float] = []
        for _ in range(effort.repeats):
            one.append(_per_window(partial(session.run, _OUTPUTS, {"window": batch[:1]}), 10 * n_calls, 1))
            many.append(_per_window(partial(session.run, _OUTPUTS, {"window": batch}), n_calls, _BATCH))
            by_numpy.append(_per_window(partial(_numpy, fitted, batch), n_calls, _BATCH))
        table.add(name, len(content) / 1024, spread(one), spread(many), spread(by_numpy), ratio(by_numpy, many))
    table.notes.append(
        "numpy: the features by their graph, which is their only form, then standardising, head and novelty in float64"
    )
    return table


def _per_window(call: Callable[[], object], n_calls: int, batch_length: int) -> float:
    def work() -> None:
        for _ in range(n_calls):
            call()

    call()
    return 1e6 * cpu_of_calls(work) / (n_calls * batch_length)


def _numpy(fitted: FittedModel, windows: FloatArray) -> Answers:
    return forward_features(fitted, fitted.extractor.transform(windows))


def _parity(models: list[Exported], windows: FloatArray) -> Table:
    table = Table(
        f"numpy against onnxruntime on {len(windows):,} windows",
        (
            "model",
            "labels differing",
            "probability, largest difference",
            "novelty, largest relative",
            "answers below 0.9",
        ),
    )
    for name, fitted, content in models:
        session = _session(content)
        parts = [session.run(_OUTPUTS, {"window": windows[at : at + _BATCH]}) for at in range(0, len(windows), _BATCH)]
        labels, probabilities, novelty = (np.concatenate(output) for output in zip(*parts, strict=True))
        expected = _numpy(fitted, windows)
        table.add(
            name,
            int((labels != expected.labels).sum()),
            float(np.abs(probabilities - expected.probabilities).max()),
            float((np.abs(novelty - expected.novelty) / np.maximum(1.0, expected.novelty)).max()),
            int((expected.probabilities.max(axis=1) < _DOUBTFUL).sum()),
        )
    table.notes.append(
        "the windows run from clean to drowned in noise; answers below 0.9 are those where a small error could show"
    )
    return table
