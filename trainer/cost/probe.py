"""The process that is measured: run by its path, it imports numpy and onnxruntime and nothing of this project.

Whatever else it imported would stand in its memory. Standard input: one line of JSON ``{"model_bytes", "shape",
"n_rounds"}``, the model file, then the windows as little-endian float32 of that shape. Standard output: one line of
JSON with the figures. A failure is one line on standard error, and exit code 1.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when the package is imported

import numpy as np
import onnxruntime as ort

ROUND_S = 0.04
"""CPU seconds of one round, at least: long against the step of the clock, short against a change of the neighbours."""

_MAX_CALLS = 2_000
_N_SINGLE_CALLS = 400
_SINGLE_CALLS_S = 1.0


def resident_mib() -> float:
    """Memory of this process that is in use, in MiB (proc(5), ``/proc/pid/statm``, second field)."""
    n_pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return n_pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def cpu_seconds(work: Callable[[], object], n_calls: int) -> float:
    """CPU seconds of all threads of this process for so many calls."""
    started = time.process_time_ns()
    for _ in range(n_calls):
        work()
    return (time.process_time_ns() - started) / 1e9


def calls_per_round(work: Callable[[], object]) -> int:
    """How many calls fill a round; the calls made to find out also warm everything up."""
    n_calls = 1
    while True:
        seconds = cpu_seconds(work, n_calls)
        if seconds >= ROUND_S / 4 or n_calls >= _MAX_CALLS:
            return max(1, min(_MAX_CALLS, round(n_calls * ROUND_S / max(seconds, 1e-9))))
        n_calls *= 2


def single_calls(work: Callable[[], object]) -> list[float]:
    """CPU microseconds of each of a few hundred calls; fewer where they are slow."""
    microseconds: list[float] = []
    left = _SINGLE_CALLS_S * 1e6
    while len(microseconds) < _N_SINGLE_CALLS and (left > 0.0 or len(microseconds) < 20):
        microseconds.append(cpu_seconds(work, 1) * 1e6)
        left -= microseconds[-1]
    return microseconds


def probe(stream: BinaryIO) -> dict[str, object]:
    """The figures of the model on a stream; see the head of this file."""
    header = json.loads(stream.readline())
    shape = tuple(header["shape"])
    content = stream.read(header["model_bytes"])
    batch = np.frombuffer(stream.read(), dtype="<f4").reshape(shape).copy()
    single = batch[:1].copy()
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    gc.collect()
    bare_mib = resident_mib() - len(content) / 2**20
    started = time.process_time_ns()
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    load_ms = (time.process_time_ns() - started) / 1e6
    # As on a gateway: the content of the file is not kept beside the session.
    del content
    works: list[Callable[[], object]] = [lambda: session.run(None, {"window": single})]
    works.append(lambda: session.run(None, {"window": batch}))
    sizes = (1, len(batch))
    n_calls = [calls_per_round(work) for work in works]
    rounds: list[list[float]] = [[], []]
    for _ in range(header["n_rounds"]):
        # In turn, so that a busy neighbour falls on both.
        for which, work in enumerate(works):
            seconds = cpu_seconds(work, n_calls[which])
            rounds[which].append(seconds * 1e6 / (n_calls[which] * sizes[which]))
    calls = single_calls(works[0])
    gc.collect()
    return {
        "batch_1_us": rounds[0],
        "batch_64_us": rounds[1],
        "p95_us": float(np.percentile(calls, 95)),
        "rss_mib": resident_mib() - bare_mib,
        "load_ms": load_ms,
    }


if __name__ == "__main__":
    try:
        figures = probe(sys.stdin.buffer)
    except Exception as error:  # noqa: BLE001 - onnxruntime's classes have no common root; the parent wants one line
        sys.stderr.write(" ".join(f"{type(error).__name__}: {error}".split()) + "\n")
        sys.exit(1)
    sys.stdout.write(json.dumps(figures) + "\n")
