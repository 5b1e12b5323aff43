"""Who is measured: the agent as ``edge-agent run``, and the script written by hand with each of its two model files."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from benchmarks.model_file import ModelFiles
from benchmarks.workload import TOPIC, Form, mapping

ROOT = Path(__file__).resolve().parents[1]
_END_S = 10.0


class Rival(NamedTuple):
    """A program that labels; ``command`` makes its command line from port, form and a folder of its own."""

    name: str
    command: Callable[[int, Form, Path], list[str]]


def rivals(models: ModelFiles) -> list[Rival]:
    """The agent first, then its rivals."""

    def agent(port: int, form: Form, folder: Path) -> list[str]:
        config = folder / "agent.toml"
        config.write_text(agent_config(port, form, models.onnx_file, folder / "state"))
        return [sys.executable, "-m", "edge_agent", "run", "--config", str(config)]

    def script(model: Path) -> Callable[[int, Form, Path], list[str]]:
        path = str(ROOT / "benchmarks" / "plain_script.py")
        return lambda port, form, _folder: [sys.executable, path, str(port), form, str(model)]

    return [
        Rival("edge-agent run", agent),
        Rival("script, scikit-learn", script(models.joblib_file)),
        Rival("script, onnxruntime", script(models.onnx_file)),
    ]


class Running:
    """A started program whose output goes to a file; it is ended when the block is left."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self._log = log
        with log.open("ab") as file:
            self._process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file)
        self.pid = self._process.pid

    @property
    def log(self) -> str:
        """The last of what it printed."""
        return self._log.read_text(errors="replace")[-2000:]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def agent_config(port: int, form: Form, model: Path, state_dir: Path) -> str:
    """A configuration as TOML: what a user would write, with nothing tuned."""
    return "\n".join(
        [
            "version = 1",
            "[gateway]",
            'id = "bench"',
            f"state_dir = {json.dumps(str(state_dir))}",
            "[mqtt]",
            f"port = {port}",
            "[[pipelines]]",
            'name = "motion"',
            f"topics = [{json.dumps(TOPIC)}]",
            f"model = {json.dumps(str(model))}",
            f"mapping = {_inline(mapping(form))}",
            "",
        ]
    )


def _inline(value: Any) -> str:  # noqa: ANN401 - any value of a TOML file
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_inline(part)}" for key, part in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return json.dumps(value)
