"""The first steps of a new user, as the page shows them: each command is typed into a shell, against a real broker."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.docs.console import Command, missing_lines, read_commands
from tests.docs.test_readme import run, shell_environment
from tests.edge_agent.gateway import DEADLINE_S, wait_until
from tests.edge_agent.init.household import Household
from tests.mosquitto import Mosquitto

__all__ = ["shell_environment"]  # a fixture


def _here(command: Command, broker: Mosquitto) -> Command:
    """The command with the broker of the test in place of the user's, and a shorter listening."""
    text = command.text.replace("--host broker.local", f"--host {broker.host} --port {broker.port}")
    return Command(text.replace("--seconds 60", "--seconds 5"), command.shown)


@pytest.mark.slow
def test_every_command_of_the_first_steps_runs_and_prints_what_is_shown(
    repository: Path, tmp_path: Path, shell_environment: dict[str, str], broker: Mosquitto
) -> None:
    page = repository / "docs" / "first-steps.md"
    commands = [_here(command, broker) for command in read_commands(page)]
    work = tmp_path / "work"
    work.mkdir()
    agent: subprocess.Popen[bytes] | None = None
    n_run = 0
    try:
        with Household(broker.port):
            for command in commands:
                if command.text.endswith(" &"):
                    started = command.text.removesuffix(" &").split()[1:]
                    agent = subprocess.Popen(
                        [sys.executable, "-m", "edge_agent", *started],
                        cwd=work,
                        env=shell_environment,
                        stderr=subprocess.DEVNULL,
                    )
                    wait_until((work / "edge-agent-state" / "status.sock").exists, "the status socket")
                    status = Command("edge-agent status --config edge-agent.toml")
                    wait_until(lambda: run(status, work, shell_environment).returncode == 0, "a healthy agent")  # noqa: B023 - called at once
                    continue
                ended = run(command, work, shell_environment)
                assert ended.returncode == 0, f"{command.first_line}\n{ended.stderr}"
                assert missing_lines(command.shown, ended.stdout) == [], f"{command.first_line}\n{ended.stdout}"
                n_run += 1
            code = re.search(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
            assert code is not None
            kept = subprocess.run(
                [sys.executable, "-c", code[1], broker.host, str(broker.port), "plant-vibration"],
                cwd=work,
                capture_output=True,
                text=True,
                timeout=DEADLINE_S,
                check=False,
            )
            assert kept.returncode == 0, kept.stderr
            assert kept.stdout == "20 windows of x, y\n"
    finally:
        if agent is not None:
            agent.terminate()
            agent.wait(DEADLINE_S)
    assert n_run >= 4
    with np.load(work / "windows.npz") as arrays:
        assert arrays["X"].shape[:2] == (20, 2)
        assert 0.0 <= np.nanmin(arrays["X"]) < np.nanmax(arrays["X"]) <= 1.0
    ended = run(Command("trainer cluster windows.npz --out groups.onnx"), work, shell_environment)
    assert ended.returncode == 0, ended.stderr
