"""A model file that has been looked at, loaded, and made to prove itself; and its forward pass.

Order of the checks: size, format, operators and shapes without a runtime (``guard``); the session; the golden
windows of the card, which the model must answer as its trainer saw them answered; outputs that are finite for a
batch of any size.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_agent.errors import ModelError
from edge_agent.shell.guard import inspect_model
from edge_agent.shell.model_file import read_model_file
from schemas import ModelCard
from schemas.card import golden_bytes
from signals import FloatArray

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime as ort

CHUNK_WINDOWS = 64
"""Windows per forward pass: above this the activations leave the cache and each window gets slower."""

GOLDEN_TOLERANCE = 1e-4
_TRIAL_WINDOWS = 5
_OUTPUTS = ("label", "probabilities", "novelty")


class Answers(NamedTuple):
    """What the model says about n windows.

    Attributes
    ----------
    probabilities : ndarray of shape (n_windows, n_classes), float32
    novelty : ndarray of shape (n_windows,), float32
    """

    probabilities: FloatArray
    novelty: FloatArray


class Model:
    """A model that reproduced its golden windows.

    Parameters
    ----------
    path : Path
        The ``.onnx`` file. Opened here without a trial: ``trial.load_model`` is for files that nobody has tried yet.
    content : bytes or None
        What was read of it already; None reads it.
    card : ModelCard or None
        What the guard gave for this content; None asks the guard.

    Attributes
    ----------
    card : ModelCard
    digest : str
        sha256 of the file, hex.

    Raises
    ------
    ModelError
        If the file is missing, is refused by the guard or the runtime, or does not answer as its card says.
    """

    def __init__(self, path: Path, content: bytes | None = None, card: ModelCard | None = None) -> None:
        self.path = path
        content = read_model_file(path) if content is None else content
        self.card: ModelCard = inspect_model(content, path.name) if card is None else card
        self.digest = hashlib.sha256(content).hexdigest()
        self._session = _open_session(content, path.name)
        self._n_classes = len(self.card.classes)
        self._check_golden_windows()
        self._check_trial_batch()

    def run(self, windows: FloatArray) -> Answers:
        """The answers for a batch, in passes of at most 64 windows.

        Parameters
        ----------
        windows : ndarray of shape (n_windows, n_channels, window_length), float32
            NaN = missing; the graph fills it in.
        """
        if 0 < len(windows) <= CHUNK_WINDOWS:
            return Answers(*self._pass(windows)[1:])
        parts = [self._pass(windows[at : at + CHUNK_WINDOWS]) for at in range(0, len(windows), CHUNK_WINDOWS)]
        if not parts:
            return Answers(np.empty((0, self._n_classes), dtype=np.float32), np.empty(0, dtype=np.float32))
        return Answers(np.concatenate([part[1] for part in parts]), np.concatenate([part[2] for part in parts]))

    def try_full_pass(self) -> None:
        """Run as many windows at once as a pass ever has; ModelError if the graph cannot do it.

        Sizes follow from the number of windows (``sizes``), so none of the passes to come needs more memory.
        """
        shape = (CHUNK_WINDOWS, len(self.card.channels), self.card.window_length)
        self._checked_pass(np.zeros(shape, dtype=np.float32), f"a pass of {CHUNK_WINDOWS} windows")

    def _pass(self, windows: FloatArray) -> tuple[NDArray[np.int64], FloatArray, FloatArray]:
        label, probabilities, novelty = self._session.run(
            _OUTPUTS, {"window": np.ascontiguousarray(windows, np.float32)}
        )
        return label, probabilities, novelty

    def _check_golden_windows(self) -> None:
        shape = (len(self.card.channels), self.card.window_length)
        for index, golden in enumerate(self.card.golden):
            window = np.frombuffer(golden_bytes(golden), dtype="<f4").reshape(1, *shape)
            label, probabilities, novelty = self._checked_pass(window, f"golden window {index}")
            difference = float(np.abs(probabilities[0] - np.asarray(golden.probabilities)).max())
            if int(label[0]) != golden.label:
                name, got = self.card.classes[golden.label], int(label[0])
                raise ModelError(self.path.name, f"golden window {index}: the label {name!r} expected, got class {got}")
            if difference > GOLDEN_TOLERANCE:
                expected = f"probabilities within {GOLDEN_TOLERANCE:g} expected"
                problem = f"golden window {index}: {expected}, got {difference:.2g} off"
                raise ModelError(self.path.name, problem)
            scale = max(1.0, abs(golden.novelty))
            if abs(float(novelty[0]) - golden.novelty) > 100 * GOLDEN_TOLERANCE * scale:
                problem = f"golden window {index}: novelty {golden.novelty:.4g} expected, got {float(novelty[0]):.4g}"
                raise ModelError(self.path.name, problem)

    def _check_trial_batch(self) -> None:
        shape = (_TRIAL_WINDOWS, len(self.card.channels), self.card.window_length)
        # Numbers without a pattern, and without numpy.random: its import costs a start more than the whole check.
        windows = np.sin(np.arange(np.prod(shape), dtype=np.float32) ** 2).reshape(shape)
        windows[1] = np.nan  # nothing is there: the graph must still answer with numbers
        windows[2, :, ::2] = np.nan
        self._checked_pass(windows, "trial batch")

    def _checked_pass(self, windows: FloatArray, what: str) -> tuple[NDArray[np.int64], FloatArray, FloatArray]:
        try:
            label, probabilities, novelty = self._pass(windows)
        except Exception as error:
            raise ModelError(self.path.name, f"{what}: the graph cannot be run: {_one_line(error)}") from error
        n_windows = len(windows)
        shapes = [np.shape(label), np.shape(probabilities), np.shape(novelty)]
        expected = [(n_windows,), (n_windows, self._n_classes), (n_windows,)]
        if shapes != expected:
            raise ModelError(self.path.name, f"{what}: outputs of shape {expected} expected, got {shapes}")
        if not (np.isfinite(probabilities).all() and np.isfinite(novelty).all()):
            raise ModelError(self.path.name, f"{what}: finite probabilities and novelty expected, got NaN or infinity")
        if (label < 0).any() or (label >= self._n_classes).any():
            raise ModelError(
                self.path.name, f"{what}: class indices below {self._n_classes} expected, got {label.tolist()}"
            )
        return label, probabilities, novelty


def runtime_version() -> str:
    """Version of the runtime that opens the models."""
    return str(ort.__version__)


def _open_session(content: bytes, where: str) -> ort.InferenceSession:
    options = ort.SessionOptions()
    # One thread: the windows of a burst go in one pass, and a gateway has other work for its other cores.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4
    try:
        return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # The runtime raises classes of its own, without a common root that it exports.
        raise ModelError(where, f"the runtime refuses the graph: {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
