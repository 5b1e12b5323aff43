"""What is installed is what is promised: two commands, and an agent that needs no training library."""

import json
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

NOT_ON_A_GATEWAY = ("onnx", "scipy", "sklearn", "pandas", "duckdb", "typer", "rich", "amqtt")
COMMANDS = ("edge-agent", "trainer")


def scripts(repository: Path) -> dict[str, str]:
    with (repository / "pyproject.toml").open("rb") as file:
        found: dict[str, str] = tomllib.load(file)["project"]["scripts"]
    return found


def modules_loaded_by(statement: str, repository: Path) -> set[str]:
    """Names of the top-level modules present after ``statement`` in a fresh interpreter."""
    prologue = f"import json, sys; sys.path.insert(0, {str(repository)!r})"
    program = f"{prologue}\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    finished = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return {name.partition(".")[0] for name in json.loads(finished.stdout.splitlines()[-1])}


DRAWS = "edge_agent.top.screen"
"""The one module of a gateway that imports the optional extra ``top``."""


def every_module_of(package: str, repository: Path) -> list[str]:
    return [
        ".".join(path.relative_to(repository).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted((repository / package).rglob("*.py"))
        if path.name != "__main__.py"
    ]


def test_agent_imports_no_training_library(repository: Path) -> None:
    modules = every_module_of("edge_agent", repository)
    modules.remove(DRAWS)
    loaded = modules_loaded_by(f"import {', '.join(modules)}", repository)

    assert {"edge_agent", "signals", "schemas", "onnxruntime", "paho"} <= loaded
    assert loaded.isdisjoint(NOT_ON_A_GATEWAY)


def test_telemetry_of_onnxruntime_is_off_before_it_is_imported(repository: Path) -> None:
    modules = every_module_of("edge_agent", repository)
    statement = f"import os; os.environ.pop('ORT_DISABLE_TELEMETRY', None)\nimport {', '.join(modules)}\n"
    check = "assert 'onnxruntime' in sys.modules and os.environ['ORT_DISABLE_TELEMETRY'] == '1'"

    assert "onnxruntime" in modules_loaded_by(statement + check, repository)


@pytest.mark.parametrize("command", COMMANDS)
def test_command_is_installed_and_explains_itself(repository: Path, command: str) -> None:
    (script,) = entry_points(group="console_scripts", name=command)
    assert script.value == scripts(repository)[command]

    program = Path(sys.executable).with_name(command)
    finished = subprocess.run([program, "--help"], capture_output=True, text=True, check=False)

    assert finished.returncode == 0, finished.stderr
    assert command in finished.stdout


def test_there_are_no_other_commands(repository: Path) -> None:
    assert sorted(scripts(repository)) == sorted(COMMANDS)


def test_wheel_holds_every_room_and_no_tests(repository: Path, tmp_path: Path) -> None:
    build = f"from hatchling.build import build_wheel; print(build_wheel({str(tmp_path)!r}))"
    finished = subprocess.run(
        [sys.executable, "-c", build], cwd=repository, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    (wheel,) = tmp_path.glob("telltale_edge-*.whl")
    listing = subprocess.run(
        [sys.executable, "-m", "zipfile", "--list", str(wheel)], capture_output=True, text=True, check=True
    ).stdout
    folders = {line.partition("/")[0] for line in listing.splitlines()[1:] if "dist-info" not in line}

    assert folders == {"schemas", "signals", "edge_agent", "trainer", "demo"}
