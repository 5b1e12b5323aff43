"""aeon's classifiers, timed in an interpreter of their own: ``python rivals_aeon.py`` answers JSON lines by JSON lines.

aeon asks for an older numpy than Telltale, so this file imports nothing of it. First it says what it can do; then it
reads requests ``{"rival", "path", "seed"}`` from standard input, ``path`` naming an .npz with X_train, y_train, X_test
and y_test, and answers each with one line. Whoever starts it sets the number of threads in the environment.
"""

from __future__ import annotations

import json
import pickle
import sys
import time
import traceback
from collections.abc import Callable
from importlib.metadata import version
from statistics import median
from typing import Any

import numpy as np

_ROUNDS, _ROUND_S = 5, 0.1


def mini_rocket(seed: int, n_kernels: int = 10_000) -> Any:  # noqa: ANN401 - a class of the other environment
    """MiniRocket of aeon, as it comes."""
    from aeon.transformations.collection.convolution_based import MiniRocket  # type: ignore[import-not-found] # theirs

    return MiniRocket(n_kernels=n_kernels, random_state=seed, n_jobs=1)


def ridge(rows: dict[str, Any], seed: int) -> dict[str, Any]:
    """MiniRocket with the ridge classifier that its authors use."""
    from sklearn.linear_model import RidgeClassifierCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    head = make_pipeline(StandardScaler(with_mean=False), RidgeClassifierCV(alphas=np.logspace(-3, 3, 10)))
    model = make_pipeline(mini_rocket(seed), head)
    found = _judge(model, rows)
    return found | {"features_us": _cpu_us(lambda: model[0].transform(rows["X_test"][:1]))}


def hydra(rows: dict[str, Any], seed: int) -> dict[str, Any]:
    """MultiRocketHydra of aeon, as it comes."""
    import torch  # type: ignore[import-not-found] # of the other environment, and optional there
    from aeon.classification.convolution_based import (  # type: ignore[import-not-found] # of the other environment
        MultiRocketHydraClassifier,
    )

    torch.set_num_threads(1)
    return _judge(MultiRocketHydraClassifier(random_state=seed, n_jobs=1), rows)


def transform(rows: dict[str, Any], seed: int, n_kernels: int) -> dict[str, Any]:
    """One window through a MiniRocket of this size, features only."""
    model = mini_rocket(seed, n_kernels).fit(rows["X_train"])
    n_features = model.transform(rows["X_test"][:1]).shape[1]
    return {"features_us": _cpu_us(lambda: model.transform(rows["X_test"][:1])), "n_features": int(n_features)}


def _judge(model: Any, rows: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - any classifier
    wall, cpu = time.monotonic(), time.process_time()
    model.fit(rows["X_train"], rows["y_train"])
    figures = {"fit_s": time.monotonic() - wall, "fit_cpu_s": time.process_time() - cpu}
    figures["accuracy"] = float((model.predict(rows["X_test"]) == rows["y_test"]).mean())
    figures["us_per_window"] = _cpu_us(lambda: model.predict(rows["X_test"][:1]))
    return figures | {"kib": len(pickle.dumps(model)) / 1024}


def _cpu_us(call: Callable[[], object]) -> float:
    """CPU microseconds of one call: the median of some rounds, each long enough for the clock."""
    call()
    rounds = []
    for _ in range(_ROUNDS):
        n_calls, start = 0, time.process_time()
        while (spent := time.process_time() - start) < _ROUND_S:
            call()
            n_calls += 1
        rounds.append(1e6 * spent / n_calls)
    return median(rounds)


def _warm_up(rivals: dict[str, Callable[..., dict[str, Any]]]) -> None:
    """Have numba compile what will be timed, for one channel and for several."""
    random = np.random.default_rng(0)
    for n_channels in (1, 2):
        X = random.standard_normal((12, n_channels, 40)).astype(np.float32)
        rows = {"X_train": X, "y_train": np.arange(12) % 2, "X_test": X, "y_test": np.arange(12) % 2}
        for rival in rivals.values():
            rival(rows, 0)


def _rivals() -> tuple[dict[str, Callable[..., dict[str, Any]]], dict[str, str]]:
    """The rivals there are, and why one is not."""
    try:
        import torch  # noqa: F401 - only to know
    except ImportError as error:
        return {"ridge": ridge}, {"hydra": f"skipped: {error} in the environment of the rivals"}
    return {"ridge": ridge, "hydra": hydra}, {}


def main() -> None:
    """Answer until the input ends."""
    answers, sys.stdout = sys.stdout, sys.stderr  # what the libraries print is no answer
    rivals, missing = _rivals()
    _warm_up(rivals)
    libraries = {name: version(name) for name in ("aeon", "numpy", "numba", "scikit-learn")}
    answers.write(json.dumps({"libraries": libraries, "missing": missing}) + "\n")
    answers.flush()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            with np.load(request["path"]) as archive:
                rows = {name: archive[name] for name in archive.files}
            if request["rival"] == "transform":
                answer = transform(rows, request["seed"], request["n_kernels"])
            else:
                answer = rivals[request["rival"]](rows, request["seed"])
        except Exception as error:  # noqa: BLE001 - any failure of a rival is its result on this problem
            traceback.print_exc()
            answer = {"note": f"failed: {type(error).__name__}: {' '.join(str(error).split())[:200]}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
