"""The page of commands: the help texts themselves, as the programs print them, 100 columns wide."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from docs.writers.markdown import page

_ROOT = Path(__file__).resolve().parent.parent.parent
_WIDTH = "100"

PROGRAMS: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "edge-agent": (["-m", "edge_agent"], ("init", "run", "check", "status", "top", "replay")),
    "trainer": (
        ["-c", "import sys; sys.argv[0] = 'trainer'; from trainer.cli import main; main()"],
        ("fit", "evaluate", "predict", "inspect", "cluster", "report", "tune"),
    ),
    "python -m demo": (["-m", "demo"], ("plant", "train")),
}
"""Name of a program -> how to start it with this Python, and its commands."""

_EXIT_CODES = """
Exit codes: 0 done · 1 unexpected (the demo: a step failed) · 2 usage or data · 78 configuration of an agent
(`EX_CONFIG` of `sysexits.h`) · 130 interrupted. `edge-agent status`: 0 well · 1 look at it · 2 no agent answers. An
error is one line on standard error that says where, what was expected, and what came instead.
"""


def help_text(start: list[str], *words: str) -> str:
    """What ``--help`` prints.

    Raises
    ------
    RuntimeError
        If the program does not end with 0; carries its own words.
    """
    plain = {"COLUMNS": _WIDTH, "TERMINAL_WIDTH": _WIDTH, "NO_COLOR": "1", "TERM": "dumb", "TYPER_USE_RICH": "0"}
    environment = {key: value for key, value in os.environ.items() if key not in {"FORCE_COLOR", "LINES"}}
    ended = subprocess.run(
        [sys.executable, *start, *words, "--help"],
        cwd=_ROOT,
        env=environment | plain | {"PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    if ended.returncode:
        raise RuntimeError(f"{' '.join([*start, *words])} --help: {ended.stderr.strip()}")
    return "\n".join(line.rstrip() for line in ended.stdout.strip().splitlines())


def write() -> str:
    """The page."""
    calls = [(name, start, words) for name, (start, commands) in PROGRAMS.items() for words in ("", *commands)]
    with ThreadPoolExecutor() as pool:  # each starts a Python of its own, which takes most of a second
        texts = list(pool.map(lambda call: help_text(call[1], *call[2].split()), calls))
    parts = [_EXIT_CODES]
    for (name, _, words), text in zip(calls, texts, strict=True):
        title = f"{name} {words}".strip()
        parts.append(f"### {title}" if words else f"## {name}")
        parts.append(f"```text\n$ {title} --help\n{text}\n```")
    return page("Commands", *parts)
