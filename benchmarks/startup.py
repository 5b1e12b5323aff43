"""What an agent costs up to its first label: time and memory, beside the bare libraries with the model open.

The rival imports the libraries an agent cannot do without and opens the same file with onnxruntime, without any check;
what is above it is Telltale's own. The scikit-learn row is what a script needs that predicts with a pickled pipeline.

``import pydantic`` alone loads next to nothing of it: its modules come when a name is taken from it, as every program
does that uses it. Both rows are there; ratios are to the one that has loaded what it names.
"""

from __future__ import annotations

import compileall
import io
import subprocess
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import NamedTuple

from benchmarks.collector import Collector
from benchmarks.measure import Effort, cpu_seconds, ratio, resident_mib, spread
from benchmarks.model_file import ModelFiles, write_model_files
from benchmarks.publisher import send_packets, write_packets
from benchmarks.rivals import ROOT, Running, agent_config
from benchmarks.table import Table
from benchmarks.workload import BATCH_SAMPLES, TOPIC, WINDOW_LENGTH, payloads, stream
from tests.mosquitto import Mosquitto, find_mosquitto

_WAIT = "; print('ready', flush=True); sys.stdin.readline()"

_AGENT = (
    "import gc, sys; gc.disable(); from pathlib import Path; from edge_agent.cli import prepare; "
    "from edge_agent.config_sources import load_config; path = Path(sys.argv[1]); "
    "agent = prepare(load_config(path, {}), path); gc.freeze(); gc.enable()"
)
_NAMES = "import sys; import numpy, onnxruntime, orjson, paho.mqtt.client, pydantic; "
_MODEL = (
    "options = onnxruntime.SessionOptions(); options.intra_op_num_threads = 1; "
    "session = onnxruntime.InferenceSession(sys.argv[1], options, providers=['CPUExecutionProvider'])"
)
_LIBRARIES = _NAMES + "from pydantic import BaseModel, Field, StringConstraints; "
_SCIKIT_LEARN = "import sys; import numpy, paho.mqtt.client, joblib; pipeline = joblib.load(sys.argv[1])"

REFERENCE = "the same libraries, the same model"
_TO_FIRST_LABEL = "edge-agent run, to its first label"
_LABEL_S = 180.0


class Start(NamedTuple):
    """One start of one program."""

    wall_ms: float
    cpu_ms: float
    resident_mib: float


def run(effort: Effort, work: Path) -> list[Table]:
    """The table of starts."""
    compile_rooms()
    models = write_model_files(work, n_devices=6, n_windows=effort.of(60, least=20))
    commands = programs(models, work)
    found: dict[str, list[Start]] = {name: [] for name in commands}
    with_label: list[Start] = []
    for number in range(effort.repeats):
        for name, command in commands.items():
            found[name].append(start(command))
        if find_mosquitto() is not None:
            folder = work / f"first-label-{number}"
            folder.mkdir()
            with_label.append(_first_label(models.onnx_file, folder))
    if with_label:
        found[_TO_FIRST_LABEL] = with_label
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
    reference = found[REFERENCE]
    for name, starts in found.items():
        table.add(
            name,
            spread([one.wall_ms for one in starts]),
            spread([one.cpu_ms for one in starts]),
            spread([one.resident_mib for one in starts]),
            ratio([one.cpu_ms for one in starts], [one.cpu_ms for one in reference]),
            ratio([one.resident_mib for one in starts], [one.resident_mib for one in reference]),
        )
    table.notes += [
        "warm disk cache, byte code there; the agent has read its configuration and proven its model",
        "`import pydantic` alone loads next to nothing; the reference takes BaseModel, Field, StringConstraints",
    ]
    if with_label:
        table.notes.append(
            "to its first label: connected, subscribed, birth and info published, and two messages of 64 samples, sent "
            "when the birth is seen, answered; wall time holds the broker and the sender"
        )
    return [table]


def compile_rooms() -> None:
    """Byte code for the rooms of a gateway, as an installation has it: pip writes it."""
    with redirect_stdout(io.StringIO()):
        for room in ("schemas", "signals", "edge_agent"):
            compileall.compile_dir(ROOT / room, quiet=1)


def programs(models: ModelFiles, work: Path) -> dict[str, list[str]]:
    """What is started: name -> code for ``python -c`` and its arguments."""
    config = work / "agent.toml"
    config.write_text(agent_config(1883, "json", models.onnx_file, work / "state"))
    return {
        REFERENCE: [_LIBRARIES + _MODEL, str(models.onnx_file)],
        "the same, pydantic by its name only": [_NAMES + _MODEL, str(models.onnx_file)],
        "edge_agent, model proven": [_AGENT, str(config)],
        "paho, joblib, scikit-learn pipeline": [_SCIKIT_LEARN, str(models.joblib_file)],
        "bare Python": ["import sys"],
    }


def start(arguments: list[str]) -> Start:
    """One start of one of them, up to where it says that it is ready."""
    command = [sys.executable, "-c", arguments[0] + _WAIT, *arguments[1:]]
    begun_s = time.monotonic()
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise RuntimeError(f"a program did not start: {arguments[0]}")
        one = Start(1e3 * (time.monotonic() - begun_s), 1e3 * cpu_seconds(process.pid), resident_mib(process.pid))
        process.stdin.write("\n")
    return one


def _first_label(model: Path, folder: Path) -> Start:
    """From the start of the command to the arrival of its first label at a subscriber."""
    messages = [
        (TOPIC.format(device="first"), payload) for payload in payloads("json", stream(0, 2 * WINDOW_LENGTH)[0])
    ]
    packets = write_packets(folder, "first", messages[: WINDOW_LENGTH // BATCH_SAMPLES + 1])
    broker = Mosquitto(folder)
    broker.start()
    try:
        config = folder / "agent.toml"
        config.write_text(agent_config(broker.port, "json", model, folder / "state"))
        command = [sys.executable, "-m", "edge_agent", "run", "--config", str(config)]
        with Collector(broker.port) as collector:
            begun_s = time.monotonic()
            with Running(command, folder / "agent.log") as agent:
                if collector.wait_online(_LABEL_S) is None:
                    raise RuntimeError(f"no birth message within {_LABEL_S:g} s; the agent said:\n{agent.log}")
                send_packets(broker.port, packets)
                labels = collector.wait_labels(1, _LABEL_S)
                cpu_s, memory = cpu_seconds(agent.pid), resident_mib(agent.pid)
                if not labels:
                    raise RuntimeError(f"no label within {_LABEL_S:g} s; the agent said:\n{agent.log}")
                return Start(1e3 * (labels[0][0] - begun_s), 1e3 * cpu_s, memory)
    finally:
        broker.kill()
