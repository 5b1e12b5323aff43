"""One model with its weights stored in four, two and one bytes, side by side: what is saved and what it costs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from schemas import ContractError
from trainer.cost.measure import N_ROUNDS, measure_graph
from trainer.cost.model_cost import ModelCost
from trainer.errors import TrainerError
from trainer.export.guard import check_model
from trainer.export.numpy_forward import Answers
from trainer.export.quantise import WEIGHT_KINDS, quantise_model, runtime_int8
from trainer.export.read import LoadedModel, model_of_bytes, open_session

Report = Callable[[str, int, int], None]

RUNTIME_INT8 = "int8 arithmetic (onnxruntime)"
"""Name of the row of the graph as onnxruntime's own quantiser writes it: for comparison, gateways refuse it."""

_N_CALIBRATION = 512


@dataclass(frozen=True, slots=True)
class WeightCost:
    """One way to store a model, what it takes, and what it does to the answers.

    Attributes
    ----------
    name : str
        float32, float16 or int8 (weights of head and novelty), or `RUNTIME_INT8`.
    cost : ModelCost
    accuracy : float or None
        On the labelled windows given; None without any.
    n_windows, n_flips : int
        Windows answered, and how many of them otherwise than by float32.
    max_probability_difference, max_novelty_difference : float
        Against float32; the latter relative to the novelty, at least 1.
    refusal : str or None
        Why a gateway would not take it.
    """

    name: str
    cost: ModelCost
    accuracy: float | None
    n_windows: int
    n_flips: int
    max_probability_difference: float
    max_novelty_difference: float
    refusal: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "weights": self.name,
            "cost": self.cost.as_dict(),
            "accuracy": self.accuracy,
            "n_windows": self.n_windows,
            "n_flips": self.n_flips,
            "max_probability_difference": self.max_probability_difference,
            "max_novelty_difference": self.max_novelty_difference,
            "refusal": self.refusal,
        }


def compare_weights(
    content: bytes,
    windows: npt.NDArray[np.floating],
    class_indices: npt.NDArray[np.integer],
    *,
    n_rounds: int = N_ROUNDS,
    report: Report | None = None,
) -> list[WeightCost]:
    """Return the rows for float32, float16 and int8 weights, and for int8 arithmetic as onnxruntime writes it.

    Parameters
    ----------
    content : bytes
        A model file with float32 weights that passes the guard.
    windows : ndarray of shape (n_windows, n_channels, window_length)
        At least one. Int8 arithmetic is calibrated on (at most 512 of) them.
    class_indices : ndarray of shape (n_windows,), int
        -1 = unlabelled: not counted in the accuracy.
    n_rounds : int
        As in `measure_model`.
    report : callable, optional
        Called with (what, done, of).

    Raises
    ------
    ContractError
        If the file is refused by the guard.
    TrainerError
        If it cannot be measured.
    ValueError
        If there are no windows.

    Notes
    -----
    A way of storing that gains nothing (no large matrix behind the features) has no row.
    """
    if not len(windows):
        raise ValueError("windows: at least one expected, got none")
    say = report if report is not None else _silent
    whole = model_of_bytes(content, "model")
    comparison = _Comparison(whole, whole.run(windows), windows, class_indices, n_rounds)
    n_rows = len(WEIGHT_KINDS) + 1
    rows = []
    for number, kind in enumerate(WEIGHT_KINDS):
        say(f"weights as {kind}", number, n_rows)
        try:
            stored = quantise_model(content, kind)
        except TrainerError:
            continue
        rows.append(comparison.row(kind, stored))
    say(RUNTIME_INT8, n_rows - 1, n_rows)
    chosen = windows[:: -(-len(windows) // _N_CALIBRATION)]
    with tempfile.TemporaryDirectory() as folder:
        arithmetic = runtime_int8(onnx.load_model_from_string(content), Path(folder), chosen).SerializeToString()
    rows.append(comparison.row(RUNTIME_INT8, arithmetic))
    return rows


@dataclass(frozen=True, slots=True, eq=False)
class _Comparison:
    """What every way to store the weights is compared with, and on."""

    whole: LoadedModel
    expected: Answers
    windows: npt.NDArray[np.floating]
    class_indices: npt.NDArray[np.integer]
    n_rounds: int

    def row(self, name: str, content: bytes) -> WeightCost:
        """One way to store the weights, measured."""
        expected = self.expected
        got = LoadedModel(self.whole.card, open_session(content), digest="").run(self.windows)
        is_labelled = self.class_indices >= 0
        is_right = got.labels[is_labelled] == self.class_indices[is_labelled]
        scale = np.maximum(1.0, np.abs(expected.novelty))
        return WeightCost(
            name=name,
            cost=measure_graph(content, self.windows[:64], where=name, n_rounds=self.n_rounds),
            accuracy=float(is_right.mean()) if len(is_right) else None,
            n_windows=len(self.windows),
            n_flips=int(np.count_nonzero(got.labels != expected.labels)),
            max_probability_difference=float(np.abs(got.probabilities - expected.probabilities).max()),
            max_novelty_difference=float((np.abs(got.novelty - expected.novelty) / scale).max()),
            refusal=_refusal(content),
        )


def _silent(_what: str, _done: int, _of: int) -> None:
    """Say nothing."""


def _refusal(content: bytes) -> str | None:
    """The first reason why the guard does not take a file."""
    try:
        check_model(content, "model")
    except ContractError as error:
        return error.problems[0]
    return None
