"""Fitting, beside scikit-learn on the same matrix and objective; and the whole of ``trainer fit`` on real people."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier as SklearnMLP
from threadpoolctl import threadpool_limits

from benchmarks.measure import Effort, cpu_of_calls, ratio, spread
from benchmarks.problems import datasets_folder
from benchmarks.table import Table
from benchmarks.trainer_command import run_trainer
from trainer import LogisticClassifier, MLPClassifier

Matrix = NDArray[np.floating]

_N_ROWS, _N_FEATURES, _N_CLASSES = 7352, 561, 6
_C = 1.0
_HIDDEN = (64, 32)
_BATCH = 200
_ALPHA = 1e-4
_EPOCHS = 15
_FULL_SHARE = 1.0
_ROUNDS = 3


class Fit(NamedTuple):
    """One fit: its CPU time, and what it reached."""

    cpu_s: float
    reached: float


def run(effort: Effort, work: Path) -> list[Table]:
    """The tables of both heads, and of UCI HAR where it is."""
    effort = effort.at_most(_ROUNDS)
    X, y = _features(effort.of(_N_ROWS, least=200))
    limits = threadpool_limits(1)  # type: ignore[no-untyped-call] # it ships no types
    with limits, warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        tables = [_logistic(X, y, effort), _mlp(X, y, effort)]
    return [*tables, _uci_har(effort, work)]


def _features(n_rows: int) -> tuple[Matrix, NDArray[np.int64]]:
    """Standardised features with 60 factors behind them, as real features have: shape ``(n_rows, 561)``."""
    random = np.random.default_rng(0)
    y = random.integers(0, _N_CLASSES, n_rows)
    factors = random.standard_normal((_N_CLASSES, 60))[y] + 2.0 * random.standard_normal((n_rows, 60))
    X = factors @ random.standard_normal((60, _N_FEATURES)) + random.standard_normal((n_rows, _N_FEATURES)) * 3.0
    return (X - X.mean(axis=0)) / X.std(axis=0), y


def _logistic(X: Matrix, y: NDArray[np.int64], effort: Effort) -> Table:
    def ours() -> Any:  # noqa: ANN401 - an estimator
        return LogisticClassifier(C=_C, tol=1e-4).fit(X, y)

    def theirs(dtype: str) -> Callable[[], Any]:
        return lambda: LogisticRegression(C=_C, tol=1e-4, max_iter=1000).fit(X.astype(dtype, copy=False), y)

    def objective(head: Any) -> float:  # noqa: ANN401 - an estimator
        logits = X @ head.coef_.astype(np.float64).T + head.intercept_
        highest = logits.max(axis=1)
        log_sum = highest + np.log(np.exp(logits - highest[:, None]).sum(axis=1))
        loss = float((log_sum - logits[np.arange(len(y)), y]).mean())
        return loss + 0.5 * float((head.coef_.astype(np.float64) ** 2).sum()) / (_C * len(y))

    contestants = {
        "trainer.LogisticClassifier": ours,
        "scikit-learn LogisticRegression, float64": theirs("float64"),
        "scikit-learn LogisticRegression, float32": theirs("float32"),
    }
    table = Table(
        f"logistic regression to its optimum, {X.shape[0]:,} x {X.shape[1]}, {_N_CLASSES} classes",
        ("head", "CPU, s", "times ours", "objective reached"),
    )
    _fill(table, contestants, objective, effort, scale=1.0)
    return table


def _mlp(X: Matrix, y: NDArray[np.int64], effort: Effort) -> Table:
    n_epochs = effort.of(_EPOCHS, least=2)

    def ours(dtype: str) -> Callable[[], Any]:
        head = MLPClassifier(
            _HIDDEN,
            batch_size=_BATCH,
            l2=_ALPHA / _BATCH,  # scikit-learn divides its penalty by the rows of a batch
            max_epochs=n_epochs,
            early_stopping=False,
            dtype=dtype,
            random_state=0,
        )
        return lambda: head.fit(X, y)

    def theirs(dtype: str) -> Callable[[], Any]:
        head = SklearnMLP(
            _HIDDEN, batch_size=_BATCH, alpha=_ALPHA, max_iter=n_epochs, n_iter_no_change=n_epochs, random_state=0
        )
        return lambda: head.fit(X.astype(dtype, copy=False), y)

    contestants = {
        "trainer.MLPClassifier, float32": ours("float32"),
        "trainer.MLPClassifier, float64": ours("float64"),
        "scikit-learn MLPClassifier, float32": theirs("float32"),
        "scikit-learn MLPClassifier, float64": theirs("float64"),
    }
    table = Table(
        f"one epoch of an MLP of 64 and 32 units, {X.shape[0]:,} x {X.shape[1]}, Adam, batches of {_BATCH}",
        ("head", "CPU, s", "times ours", f"loss of epoch {n_epochs}"),
    )
    _fill(table, contestants, lambda head: float(head.loss_curve_[-1]), effort, scale=1.0 / n_epochs)
    return table


def _fill(
    table: Table,
    contestants: dict[str, Callable[[], Any]],
    reached: Callable[[Any], float],
    effort: Effort,
    *,
    scale: float,
) -> None:
    fits: dict[str, list[Fit]] = {name: [] for name in contestants}
    for _ in range(effort.repeats):
        for name, fit in contestants.items():
            fits[name].append(_timed(fit, reached))
    reference = [one.cpu_s for one in next(iter(fits.values()))]
    for name, done in fits.items():
        cpu_s = [one.cpu_s for one in done]
        table.add(
            name,
            spread([scale * seconds for seconds in cpu_s]),
            ratio(cpu_s, reference),
            spread([one.reached for one in done]),
        )


def _timed(fit: Callable[[], Any], reached: Callable[[Any], float]) -> Fit:
    heads: list[Any] = []
    cpu_s = cpu_of_calls(lambda: heads.append(fit()))
    return Fit(cpu_s, reached(heads[0]))


# ---------------------------------------------------------------------- the whole command


def _uci_har(effort: Effort, work: Path) -> Table:
    table = Table(
        "trainer fit on UCI HAR, official split by person",
        ("head", "wall, s", "CPU, s", "peak memory, MiB", "test accuracy", "macro F1", "model, KiB"),
    )
    data = datasets_folder() / "uci_har.npz"
    if not data.is_file():
        table.notes.append("skipped: uci_har.npz is not here; TELLTALE_DATASETS names the folder of the recordings")
        return table
    if effort.share < _FULL_SHARE:
        table.notes.append("skipped: takes minutes, runs without --quick")
        return table
    for head in ("logistic", "mlp"):
        out = work / f"{head}.onnx"
        fitted, judged = work / f"{head}-fit.txt", work / f"{head}.json"
        wall_s, cpu_s, peak_mib = run_trainer("fit", str(data), "--out", str(out), "--head", head, output=fitted)
        run_trainer("evaluate", str(out), str(data), "--split", "test", "--json", output=judged)
        figures = json.loads(judged.read_text())
        table.add(head, wall_s, cpu_s, peak_mib, figures["accuracy"], figures["macro_f1"], out.stat().st_size / 1024)
    table.notes.append(
        "once, not repeated; features and penalty chosen by grouped cross-validation; test people are not looked at"
    )
    return table
