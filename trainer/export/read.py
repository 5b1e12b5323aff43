"""Model files read back: guarded, opened, and proven on their own golden windows."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from schemas import ContractError, ModelCard
from schemas.card import golden_bytes
from trainer.export.guard import MAX_FILE_BYTES, check_model
from trainer.export.numpy_forward import Answers

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when the package is imported

import onnxruntime as ort

_BATCH_LENGTH = 64
GOLDEN_TOLERANCE = 1e-4
"""Largest difference of a golden probability: other vector instructions add in another order, no more than that."""

GOLDEN_NOVELTY_TOLERANCE = 1e-2
"""The same for the novelty, relative to its size (at least 1): a distance in many dimensions is not bounded by 1."""


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """A model file that can answer.

    Parameters
    ----------
    card : ModelCard
    session : onnxruntime.InferenceSession
    digest : str
        SHA-256 of the file, hexadecimal.
    """

    card: ModelCard
    session: ort.InferenceSession
    digest: str

    def run(self, windows: npt.NDArray[np.floating]) -> Answers:
        """Return labels, probabilities and novelty of the windows.

        Parameters
        ----------
        windows : ndarray of shape (n_windows, n_channels, window_length)
            NaN = missing value.

        Raises
        ------
        ValueError
            If the shape is not that of the card.
        """
        expected = (len(self.card.channels), self.card.window_length)
        if windows.ndim != 3 or windows.shape[1:] != expected:
            raise ValueError(f"windows: shape (n_windows, {expected[0]}, {expected[1]}) expected, got {windows.shape}")
        n_windows, n_classes = len(windows), len(self.card.classes)
        labels = np.empty(n_windows, dtype=np.int64)
        probabilities = np.empty((n_windows, n_classes), dtype=np.float32)
        novelty = np.empty(n_windows, dtype=np.float32)
        for start in range(0, n_windows, _BATCH_LENGTH):
            batch = np.ascontiguousarray(windows[start : start + _BATCH_LENGTH], dtype=np.float32)
            rows = slice(start, start + len(batch))
            names = ["label", "probabilities", "novelty"]
            labels[rows], probabilities[rows], novelty[rows] = self.session.run(names, {"window": batch})
        return Answers(labels, probabilities, novelty)


def load_model(path: str | os.PathLike[str]) -> LoadedModel:
    """Return the model in a file that passed the guard and reproduced its golden windows.

    Raises
    ------
    ContractError
        In one line: the file cannot be read, is truncated or no model, holds a card of another version, has other
        inputs or outputs than its card, or answers its golden windows differently.
    """
    where = os.fspath(path)
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ContractError(where, [f"file: a readable model file expected, got: {error.strerror}"]) from error
    return model_of_bytes(content, where)


def model_of_bytes(content: bytes, where: str) -> LoadedModel:
    """Return the model in the content of a file; see `load_model`."""
    card = check_model(content, where)
    try:
        session = open_session(content)
    except Exception as error:  # the runtime has a dozen error classes without a common root
        first_line = str(error).strip().splitlines()[0]
        raise ContractError(where, [f"graph: one that onnxruntime can run expected, got: {first_line}"]) from error
    model = LoadedModel(card, session, hashlib.sha256(content).hexdigest())
    problems = _golden_problems(model)
    if problems:
        raise ContractError(where, problems)
    return model


def open_session(content: bytes, n_threads: int = 1) -> ort.InferenceSession:
    """Return a session on a model file that passed the guard."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _golden_problems(model: LoadedModel) -> list[str]:
    card, problems = model.card, []
    shape = (1, len(card.channels), card.window_length)
    for index, golden in enumerate(card.golden):
        where = f"golden.{index}"
        window = np.frombuffer(golden_bytes(golden), dtype="<f4").reshape(shape)
        answers = model.run(window)
        values = np.append(answers.probabilities[0], answers.novelty[0]).astype(np.float64)
        expected = np.array([*golden.probabilities, golden.novelty])
        tolerance = np.full(len(expected), GOLDEN_TOLERANCE)
        tolerance[-1] = GOLDEN_NOVELTY_TOLERANCE * max(1.0, abs(golden.novelty))
        if not np.isfinite(values).all():
            problems.append(f"{where}: finite probabilities and novelty expected, got NaN or infinity")
        elif int(answers.labels[0]) != golden.label or (np.abs(values - expected) > tolerance).any():
            got = f"label {int(answers.labels[0])} with values off by {np.abs(values - expected).max():.3g}"
            problems.append(f"{where}: label {golden.label} within {GOLDEN_TOLERANCE:g} expected, got {got}")
    return problems
