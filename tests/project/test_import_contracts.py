"""The borders between the rooms hold, and a forbidden import is found."""

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

# Each forbidden border of DESIGN section 1: where the import is written, what is imported, which contract must say so.
TRESPASSES = [
    ("edge_agent", "trainer", "rooms"),
    ("trainer", "edge_agent", "rooms"),
    ("signals", "edge_agent", "rooms"),
    ("signals", "trainer", "rooms"),
    ("schemas", "signals", "rooms"),
    ("trainer", "demo", "rooms"),
    *[("edge_agent", library, "gateway") for library in ("onnx", "scipy", "sklearn", "pandas")],
    *[("schemas", library, "ground") for library in ("numpy", "paho", "logging")],
    *[
        (room, library, "pure")
        for room in ("signals", "edge_agent.engine")
        for library in (
            "paho",
            "onnxruntime",
            "socket",
            "threading",
            "asyncio",
            "time",
            "logging",
            "os",
            "pathlib",
        )
    ],
    ("edge_agent.engine", "edge_agent.shell", "engine"),
    ("trainer.learn", "onnxruntime", "learn"),
    ("edge_agent.shell", "edge_agent.top", "visitors"),
    ("edge_agent.operation", "edge_agent.init", "visitors"),
]
PACKAGES = (
    "schemas",
    "signals",
    "edge_agent",
    "edge_agent.engine",
    "edge_agent.shell",
    "edge_agent.cli",
    "edge_agent.operation",
    "edge_agent.top",
    "edge_agent.init",
    "trainer",
    "trainer.learn",
    "demo",
)


def contracts(repository: Path) -> dict[str, Any]:
    with (repository / "pyproject.toml").open("rb") as file:
        settings: dict[str, Any] = tomllib.load(file)["tool"]["importlinter"]
    return settings


def lint_imports(folder: Path, config: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter in a process of its own: it imports the packages it looks at."""
    command = [
        sys.executable,
        "-c",
        "import sys; from importlinter.cli import lint_imports_command as c; sys.exit(c())",
    ]
    options = ["--config", str(config), "--no-cache"]
    return subprocess.run([*command, *options], cwd=folder, capture_output=True, text=True, check=False)


def test_no_room_imports_what_it_must_not(repository: Path) -> None:
    finished = lint_imports(repository, repository / "pyproject.toml")

    assert finished.returncode == 0, finished.stdout + finished.stderr
    n_contracts = len(contracts(repository)["contracts"])
    assert f"Contracts: {n_contracts} kept, 0 broken." in finished.stdout


@pytest.mark.parametrize("contract", ["rooms", "gateway", "ground", "pure", "engine", "learn", "visitors"])
def test_trespass_is_reported_with_its_line(repository: Path, tmp_path: Path, contract: str) -> None:
    trespasses = [(source, target) for source, target, broken in TRESPASSES if broken == contract]
    for package in PACKAGES:
        folder = tmp_path.joinpath(*package.split("."))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "__init__.py").touch()
    for number, (source, target) in enumerate(trespasses):
        module = tmp_path.joinpath(*source.split("."), f"trespass_{number}.py")
        module.write_text(f"import {target}\n")

    finished = lint_imports(tmp_path, repository / "pyproject.toml")

    assert finished.returncode == 1, finished.stdout + finished.stderr
    missed = [
        (source, target)
        for number, (source, target) in enumerate(trespasses)
        if f"{source}.trespass_{number} -> {target} (l.1)" not in finished.stdout
    ]
    assert trespasses
    assert missed == []


def test_every_contract_is_trespassed_on_in_these_tests(repository: Path) -> None:
    assert {contract["id"] for contract in contracts(repository)["contracts"]} == {name for *_, name in TRESPASSES}
