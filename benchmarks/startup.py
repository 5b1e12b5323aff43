"""What an agent costs before its first message: import time and memory, beside the bare libraries with the model open.

The rival imports the libraries an agent cannot do without and opens the same file with onnxruntime, without any check;
what is above it is Telltale's own. The scikit-learn row is what a script needs that predicts with a pickled pipeline.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.measure import Effort, cpu_seconds, ratio, resident_mib, spread
from benchmarks.model_file import ModelFiles, write_model_files
from benchmarks.rivals import ROOT, agent_config
from benchmarks.table import Table

_WAIT = "; print('ready', flush=True); sys.stdin.readline()"

_AGENT = (
    "import os, sys; from pathlib import Path; import edge_agent.shell.loop; "
    "from edge_agent.config_sources import load_config; from edge_agent.shell.assembly import assemble; "
    "pipelines = assemble(load_config(Path(sys.argv[1]), os.environ, []), 'benchmark')"
)
_LIBRARIES = (
    "import sys; import numpy, onnxruntime, orjson, paho.mqtt.client, pydantic; "
    "options = onnxruntime.SessionOptions(); options.intra_op_num_threads = 1; "
    "session = onnxruntime.InferenceSession(sys.argv[1], options, providers=['CPUExecutionProvider'])"
)
_SCIKIT_LEARN = "import sys; import numpy, paho.mqtt.client, joblib; pipeline = joblib.load(sys.argv[1])"


class Start(NamedTuple):
    """One start of one program."""

    wall_ms: float
    cpu_ms: float
    resident_mib: float


def run(effort: Effort, work: Path) -> list[Table]:
    """The table of starts."""
    models = write_model_files(work, n_devices=6, n_windows=effort.of(60, least=20))
    programs = _programs(models, work)
    found: dict[str, list[Start]] = {name: [] for name in programs}
    for _ in range(effort.repeats):
        for name, command in programs.items():
            found[name].append(_start(command))
    reference = next(iter(found))
    table = Table(
        "imports and a model loaded",
        (
            "program",
            "process start to ready, ms",
            "CPU, ms",
            "resident, MiB",
            "CPU, times the libraries'",
            "MiB, times the libraries'",
        ),
    )
    for name, starts in found.items():
        table.add(
            name,
            spread([one.wall_ms for one in starts]),
            spread([one.cpu_ms for one in starts]),
            spread([one.resident_mib for one in starts]),
            ratio([one.cpu_ms for one in starts], [one.cpu_ms for one in found[reference]]),
            ratio([one.resident_mib for one in starts], [one.resident_mib for one in found[reference]]),
        )
    table.notes.append(
        "warm disk cache; the agent has read its configuration, inspected the model and reproduced its golden windows"
    )
    return [table]


def _programs(models: ModelFiles, work: Path) -> dict[str, list[str]]:
    config = work / "agent.toml"
    config.write_text(agent_config(1883, "json", models.onnx_file, work / "state"))
    return {
        "the same libraries, the same model": [_LIBRARIES, str(models.onnx_file)],
        "edge_agent, model proven": [_AGENT, str(config)],
        "paho, joblib, scikit-learn pipeline": [_SCIKIT_LEARN, str(models.joblib_file)],
        "bare Python": ["import sys"],
    }


def _start(arguments: list[str]) -> Start:
    command = [sys.executable, "-c", arguments[0] + _WAIT, *arguments[1:]]
    begun_s = time.monotonic()
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise RuntimeError(f"a program did not start: {arguments[0]}")
        start = Start(1e3 * (time.monotonic() - begun_s), 1e3 * cpu_seconds(process.pid), resident_mib(process.pid))
        process.stdin.write("\n")
    return start
