"""What the README shows, a shell runs: every command ends with 0 and prints the lines that stand below it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.console import Command, missing_lines, read_commands, without_numbers

PROGRAMS = {
    "trainer": "import sys; sys.argv[0] = 'trainer'; from trainer.cli import main; sys.exit(main())",
    "edge-agent": "import sys; from edge_agent.cli import main; sys.exit(main())",
}


@pytest.fixture
def shell_environment(tmp_path: Path, repository: Path) -> dict[str, str]:
    """PATH on which the commands of this checkout are found, installed or not."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, code in PROGRAMS.items():
        script = programs / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{code}" "$@"\n')
        script.chmod(0o755)
    (programs / "python").symlink_to(sys.executable)
    path = os.pathsep.join([str(programs), os.environ.get("PATH", os.defpath)])
    # The link hides the environment of the interpreter, so that its packages are named here.
    packages = os.pathsep.join([str(repository), *(entry for entry in sys.path if "site-packages" in entry)])
    return os.environ | {"PATH": path, "PYTHONPATH": packages, "COLUMNS": "120", "NO_COLOR": "1", "LC_ALL": "C.UTF-8"}


def run(command: Command, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command.text],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


@pytest.mark.slow
def test_every_command_of_the_readme_runs_and_prints_what_is_shown(
    repository: Path, tmp_path: Path, shell_environment: dict[str, str]
) -> None:
    commands = read_commands(repository / "README.md")
    work = tmp_path / "work"
    work.mkdir()
    assert len(commands) >= 7
    for command in commands:
        ended = run(command, work, shell_environment)
        assert ended.returncode == 0, f"{command.first_line}\n{ended.stderr}"
        assert missing_lines(command.shown, ended.stdout) == [], f"{command.first_line}\n{ended.stdout}"


def test_the_readme_shows_each_command_that_ends_by_itself(repository: Path) -> None:
    typed = [command.text for command in read_commands(repository / "README.md")]
    for wanted in (
        "trainer fit",
        "trainer evaluate",
        "trainer predict",
        "trainer inspect",
        "trainer report",
        "trainer cluster",
        "trainer tune",
        "edge-agent check",
        "edge-agent replay",
    ):
        assert any(text.startswith(wanted) for text in typed), wanted


def test_make_targets_in_the_documents_exist(repository: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (repository / "Makefile").read_text(), re.MULTILINE))
    for page in ("README.md", "CONTRIBUTING.md"):
        named = set(
            re.findall(
                r"\bmake ([a-z-]+)",
                "".join(re.findall(r"`[^`]*`|```.*?```", (repository / page).read_text(), re.DOTALL)),
            )
        )
        assert {"demo", "test"} <= named, page
        assert named <= targets, page


def test_a_shown_line_that_is_not_printed_is_noticed() -> None:
    printed = "│ accuracy │ 0.91 │\nwrote m.onnx: 12 bytes, sha256 0123456789abcdef, in 1.0 s\ngood"
    assert (
        missing_lines(["┃ accuracy ┃ 0.99 ┃", "...", "wrote m.onnx: 7 bytes, sha256 ..., in 3 s", "good"], printed)
        == []
    )
    assert missing_lines(["good", "wrote m.onnx: 7 bytes, ..."], printed) == ["wrote m.onnx: 7 bytes, ..."]
    assert missing_lines(["accuracy of 0.91"], printed) == ["accuracy of 0.91"]
    assert without_numbers("sha256 d6fb0c33dc850a680f2f8, 3 s") == "sha256 #, # s"
