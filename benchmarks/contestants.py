"""Who is measured on every problem: ``trainer`` as a user runs it, scikit-learn on raw samples, aeon."""

from __future__ import annotations

import json
import pickle
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from benchmarks.measure import cpu_of_calls
from benchmarks.outcome import Contestant, Outcome
from benchmarks.problems import Problem, read_rows
from benchmarks.rival_process import RivalProcess
from benchmarks.trainer_command import CommandError, run_trainer
from trainer.cost import measure_model

AUTO, EDGE = "trainer, auto", "trainer, edge"
LOGISTIC, MLP = "raw logistic", "raw MLP"
RIDGE, HYDRA = "aeon MiniRocket + ridge", "aeon MultiRocketHydra"
_N_CALLS = 100
_OWN_SOURCES = ("schemas", "signals", "trainer")
_SOURCES = ("benchmarks/contestants.py", "benchmarks/problems.py")


def contestants(rivals: RivalProcess) -> list[Contestant]:
    """Ours first: the default, the edge budget, and the four they are compared with."""
    own = (*_SOURCES, *_OWN_SOURCES)
    theirs = (*_SOURCES, "benchmarks/rivals_aeon.py")

    def aeon(rival: str) -> Callable[[Problem, int, Path], Outcome]:
        return lambda problem, seed, _work: rivals.measure(rival, problem, seed)

    return [
        Contestant(AUTO, partial(fit_and_judge, "auto"), own),
        Contestant(EDGE, partial(fit_and_judge, "edge"), own),
        Contestant(LOGISTIC, partial(_scikit_learn, _logistic), _SOURCES, is_seeded=False),
        Contestant(MLP, partial(_scikit_learn, _mlp), _SOURCES),
        Contestant(RIDGE, aeon("ridge"), theirs),
        Contestant(HYDRA, aeon("hydra"), theirs),
    ]


def fit_and_judge(features: str, problem: Problem, seed: int, work: Path) -> Outcome:
    """``trainer fit`` and ``trainer evaluate`` as commands; what they refuse is the outcome."""
    model, fitted, judged = work / "model.onnx", work / "fit.json", work / "evaluate.json"
    data = str(problem.path)
    try:
        usage = run_trainer(
            *("fit", data, "--out", str(model), "--features", features, "--seed", str(seed), "--json"), output=fitted
        )
        run_trainer("evaluate", str(model), data, "--json", output=judged)
    except CommandError as error:
        # The reason names the file with its path, which is nobody's business.
        return Outcome(note=f"failed: {error.reason.replace(data, problem.path.name)[:200]}")
    card = json.loads(fitted.read_text())["card"]
    cost = measure_model(model)
    blocks = "+".join(f"{block['kind']}:{block['n_features']}" for block in card["features"])
    return Outcome(
        accuracy=json.loads(judged.read_text())["accuracy"],
        fit_s=usage.wall_s,
        fit_cpu_s=usage.cpu_s,
        us_per_window=cost.us_per_window_batch_1,
        kib=cost.kib,
        chosen=f"{blocks}, {card['head']['kind']}",
    )


def _logistic(_seed: int) -> Any:  # noqa: ANN401 - an estimator
    return LogisticRegression(max_iter=1000)


def _mlp(seed: int) -> Any:  # noqa: ANN401 - an estimator
    return MLPClassifier(hidden_layer_sizes=(100,), random_state=seed)


def _scikit_learn(head: Callable[[int], Any], problem: Problem, seed: int, _work: Path) -> Outcome:
    """A classifier of scikit-learn on the samples themselves, standardised."""
    rows = read_rows(problem)
    X_train, X_test = _flat(rows.X_train), _flat(rows.X_test)
    model = make_pipeline(StandardScaler(), head(seed))
    limits = threadpool_limits(1)  # type: ignore[no-untyped-call] # it ships no types
    with limits, warnings.catch_warnings():
        # The MLP stops after 200 epochs, as it does by default.
        warnings.simplefilter("ignore", ConvergenceWarning)
        wall, cpu = time.monotonic(), time.process_time()
        model.fit(X_train, rows.y_train)
        fit_s, fit_cpu_s = time.monotonic() - wall, time.process_time() - cpu
        accuracy = float((model.predict(X_test) == rows.y_test).mean())
        cpu_s = cpu_of_calls(lambda: [model.predict(X_test[:1]) for _ in range(_N_CALLS)])
    return Outcome(accuracy, fit_s, fit_cpu_s, 1e6 * cpu_s / _N_CALLS, kib=len(pickle.dumps(model)) / 1024)


def _flat(windows: NDArray[np.float32]) -> NDArray[np.float32]:
    return windows.reshape(len(windows), -1)
