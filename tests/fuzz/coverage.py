"""Guided by coverage: atheris (libFuzzer) changes payloads that reach new lines of the codecs and of the engine.

An extra (``pip install atheris``), not a part of ``make test``: it needs a wheel for this Python.
"""

import importlib
import os
import sys
from pathlib import Path
from typing import Any


def run(seconds: int, corpus: Path | None) -> None:
    """Fuzz for so long; ends the process, with exit code 0 if nothing was found."""
    try:
        atheris: Any = importlib.import_module("atheris")  # it exports what it does not declare
    except ImportError:
        sys.exit("tests.fuzz: atheris expected for --coverage; install it: pip install atheris")
    with atheris.instrument_imports(include=["signals", "edge_agent", "schemas"]):
        from tests.fuzz.judge import Findings, judges
    findings = Findings()
    engines = judges(findings)

    def one(data: bytes) -> None:
        if len(data) < 2:
            return
        judge = engines[data[0] % len(engines)]
        judge.feed(b"d%d" % (data[1] % 30), data[2:], retained=data[1] == 255)
        if findings.n_payloads % 500 == 0:
            judge.tick()
        if findings.broken:
            raise AssertionError(findings.broken[-1])

    options = [
        f"-max_total_time={seconds}",
        "-max_len=1024",
        "-timeout=10",
        "-rss_limit_mb=1024",
        "-print_final_stats=1",
    ]
    if corpus is not None:
        corpus.mkdir(parents=True, exist_ok=True)
        options.append(os.fspath(corpus))
    atheris.Setup([sys.argv[0], *options], one)
    atheris.Fuzz()
