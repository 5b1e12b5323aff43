"""Every file of the corpus against the guard, against the child without a guard, and the worst against the runtime.

R24 of the scoreboard: refused, or killed within 15 s; no byte of a file comes out; the memory of the agent stays.
"""

import gc
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from edge_agent.errors import ModelError
from edge_agent.shell.guard import inspect_model
from edge_agent.shell.trial import FILE_NAME, Proofs, Trial, load_model
from tests.edge_agent.gateway import ROOT
from tests.edge_agent.hostile_models import SECRET, Alone, Hostile, corpus
from tests.edge_agent.small_model import build_model

CARD = inspect_model(build_model(), "good.onnx")
AT_ONCE = 2
POLL_S = 0.01
ROOM_BYTES = 24 * 1024 * 1024
KILLED = ("of processor time", "the model still runs", "died of the model", "fell silent")


class End(NamedTuple):
    how: Alone
    line: str


@pytest.fixture(scope="module")
def hostiles(tmp_path_factory: pytest.TempPathFactory) -> list[Hostile]:
    return corpus(tmp_path_factory.mktemp("hostile"))


def test_corpus_is_no_smaller_than_it_was(hostiles: list[Hostile]) -> None:
    assert len({hostile.name for hostile in hostiles}) == len(hostiles) >= 45
    assert sum(hostile.guard is not None for hostile in hostiles) >= 35


def test_guard_refuses_in_one_line_what_needs_no_run(hostiles: list[Hostile]) -> None:
    said = {hostile.name: _guarded(hostile.content) for hostile in hostiles}
    assert {name for name, line in said.items() if line is None} == {
        hostile.name for hostile in hostiles if hostile.guard is None
    }
    for hostile in hostiles:
        assert hostile.guard is None or hostile.guard in str(said[hostile.name]), hostile.name
        assert "\n" not in str(said[hostile.name]), hostile.name


def _guarded(content: bytes) -> str | None:
    try:
        inspect_model(content, "m.onnx")
    except ModelError as error:
        return str(error)
    return None


@pytest.mark.slow
def test_child_without_a_guard_refuses_or_is_killed_in_time_and_tells_no_secret(hostiles: list[Hostile]) -> None:
    ends = _tried(hostiles)
    for hostile in hostiles:
        end = ends[hostile.name]
        assert end.how in hostile.alone, (hostile.name, end.line)
        assert "\n" not in end.line, hostile.name
        assert "root:x:0:0" not in end.line, hostile.name
        # What only the trial can find must not be harmless to it.
        assert hostile.guard is not None or end.how != "runs", hostile.name


def _tried(hostiles: list[Hostile]) -> dict[str, End]:
    ends: dict[str, End] = {}
    waiting, running = list(hostiles), dict[str, Trial]()
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            hostile = waiting.pop()
            running[hostile.name] = Trial(hostile.content, CARD, "m.onnx")
        for name, trial in list(running.items()):
            if trial.is_done:
                ends[name] = _end(trial)
                del running[name]
        time.sleep(POLL_S)
    return ends


def _end(trial: Trial) -> End:
    try:
        trial.result()
    except ModelError as error:
        line = str(error)
        return End("killed" if any(word in line for word in KILLED) else "refused", line)
    return End("runs", "")


def test_agent_keeps_its_memory_whatever_file_it_is_given(hostiles: list[Hostile], tmp_path: Path) -> None:
    """Guard and child together, as a start does it; files that take the child seconds are tried above."""
    path = tmp_path / "m.onnx"
    quick = [hostile for hostile in hostiles if "killed" not in hostile.alone]
    load_model(_write(path, build_model()), Proofs(None))
    gc.collect()
    before = psutil.Process().memory_info().rss
    for hostile in quick:
        with pytest.raises(ModelError):
            load_model(_write(path, hostile.content), Proofs(tmp_path))
    gc.collect()
    assert psutil.Process().memory_info().rss - before < ROOM_BYTES
    assert not (tmp_path / FILE_NAME).exists()


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


RUNTIME_ALONE = """
import json, os, sys
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import numpy as np, onnxruntime as ort
options = ort.SessionOptions()
options.log_severity_level = 4
found = {}
for path in sys.argv[1:]:
    for way, source in (("path", path), ("bytes", open(path, "rb").read())):
        try:
            session = ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
            out = session.run(None, {"window": np.ones((1, 2, 10), dtype=np.float32)})
            found[f"{path} from {way}"] = b"".join(part.tobytes() for part in out).hex()
        except Exception as error:
            found[f"{path} from {way}"] = "refused"
print(json.dumps(found))
"""


def test_pinned_runtime_alone_reads_no_other_file(tmp_path: Path) -> None:
    """The gate of the pin onnxruntime>=1.25.1: older ones gave the bytes of the file as the model's answer."""
    files: list[Path] = []
    for hostile in corpus(tmp_path):
        if hostile.name.startswith("external data"):
            files.append(tmp_path / "models" / f"{len(files)}.onnx")
            files[-1].write_bytes(hostile.content)
    command = [sys.executable, "-c", RUNTIME_ALONE, *map(str, files)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, cwd=ROOT)
    found = json.loads(run.stdout)
    assert len(found) == 2 * len(files) >= 16
    assert set(found.values()) == {"refused"}
    assert SECRET not in run.stdout.encode() + run.stderr.encode()
