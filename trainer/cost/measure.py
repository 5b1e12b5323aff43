"""Model files run in a fresh process and timed there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from schemas import ContractError, ModelCard
from schemas.card import golden_bytes
from trainer.cost.model_cost import ModelCost
from trainer.errors import TrainerError
from trainer.export.guard import MAX_FILE_BYTES, check_model

BATCH_LENGTH = 64
"""Windows of the larger batch: what the agent's burst of some devices comes to."""

N_ROUNDS = 5
TIMEOUT_S = 120.0

_PROBE = Path(__file__).with_name("probe.py")
_ONE_THREAD = {
    "ORT_DISABLE_TELEMETRY": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


def measure_model(
    model: str | os.PathLike[str] | bytes, *, n_rounds: int = N_ROUNDS, timeout_s: float = TIMEOUT_S
) -> ModelCost:
    """Return what a model file costs on this machine, measured on its own golden windows.

    Parameters
    ----------
    model : path or bytes
        A file, or its content. Any that the guard accepts.
    n_rounds : int
        Rounds of each batch; the median counts.
    timeout_s : float
        Seconds after which the measurement is given up.

    Raises
    ------
    ContractError
        If the file cannot be read or is refused by the guard.
    TrainerError
        If it cannot be run, or not within the time.
    ValueError
        If `n_rounds` is below 1 or `timeout_s` not above 0.
    """
    where, content = ("model", model) if isinstance(model, bytes) else (os.fspath(model), _read(Path(model)))
    card = check_model(content, where)
    return measure_graph(content, windows_of_card(card), where=where, n_rounds=n_rounds, timeout_s=timeout_s)


def measure_graph(
    content: bytes,
    windows: npt.NDArray[np.floating],
    *,
    where: str = "model",
    n_rounds: int = N_ROUNDS,
    timeout_s: float = TIMEOUT_S,
) -> ModelCost:
    """Return what a graph costs on this machine: a model file, or one without a card.

    Parameters
    ----------
    content : bytes
        A graph with the one input ``window``.
    windows : ndarray of shape (n_windows, n_channels, window_length)
        What it is run on, repeated to 64; at least one. Real ones: time may depend on values.
    where : str
        Its name, for errors.
    n_rounds : int
    timeout_s : float

    Raises
    ------
    TrainerError
        If it cannot be run, or not within the time.
    ValueError
        If an argument is out of range.
    """
    if n_rounds < 1:
        raise ValueError(f"n_rounds: at least 1 expected, got {n_rounds}")
    if not timeout_s > 0.0:
        raise ValueError(f"timeout_s: seconds above 0 expected, got {timeout_s}")
    if windows.ndim != 3 or not len(windows):
        raise ValueError(f"windows: shape (n_windows, n_channels, window_length) expected, got {windows.shape}")
    batch = np.resize(np.asarray(windows, dtype="<f4"), (BATCH_LENGTH, *windows.shape[1:]))
    figures = _run_probe(content, batch, where, n_rounds, timeout_s)
    graph = onnx.load_model_from_string(content).graph
    single, many = figures["batch_1_us"], figures["batch_64_us"]
    return ModelCost(
        us_per_window_batch_1=float(np.median(single)),
        us_batch_1_range=(min(single), max(single)),
        us_per_window_batch_64=float(np.median(many)),
        us_batch_64_range=(min(many), max(many)),
        us_p95_batch_1=figures["p95_us"],
        kib=len(content) / 1024,
        # A page of the imports may be given back while the model loads; a model never takes less than nothing.
        rss_mib=max(0.0, figures["rss_mib"]),
        load_ms=figures["load_ms"],
        n_nodes=len(graph.node),
        n_parameters=sum(int(np.prod(tensor.dims, dtype=np.int64)) for tensor in graph.initializer),
        n_rounds=n_rounds,
    )


def windows_of_card(card: ModelCard) -> npt.NDArray[np.float32]:
    """Return the golden windows of a card; one of noise where it has none.

    Returns
    -------
    windows : ndarray of shape (n_windows, n_channels, window_length), float32
    """
    shape = (len(card.channels), card.window_length)
    golden = [np.frombuffer(golden_bytes(window), dtype="<f4").reshape(shape) for window in card.golden]
    if not golden:
        golden = [np.random.default_rng(0).standard_normal(shape).astype(np.float32)]
    return np.stack(golden).astype(np.float32)


def _run_probe(
    content: bytes, batch: npt.NDArray[np.float32], where: str, n_rounds: int, timeout_s: float
) -> dict[str, Any]:
    header = json.dumps({"model_bytes": len(content), "shape": batch.shape, "n_rounds": n_rounds})
    try:
        # -P: the folder of the script does not become a place to import from.
        done = subprocess.run(
            [sys.executable, "-P", str(_PROBE)],
            input=header.encode() + b"\n" + content + batch.tobytes(),
            capture_output=True,
            timeout=timeout_s,
            check=False,
            env={**os.environ, **_ONE_THREAD},
        )
    except subprocess.TimeoutExpired as error:
        raise TrainerError(f"{where}: cost: figures within {timeout_s:g} s expected, got none") from error
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        got = lines[-1][:300] if lines else _exit_text(done.returncode)
        raise TrainerError(f"{where}: cost: a graph that onnxruntime can run expected, got: {got}")
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def _exit_text(code: int) -> str:
    return f"a process ended by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        expected = "file: a readable model file expected"
        raise ContractError(os.fspath(path), [f"{expected}, got: {error.strerror}"]) from error
