"""The command ``python -m benchmarks [name ...] [--quick]``."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

# One thread for every library of every rival, here and in the processes started: set before any of them is imported.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from rich.console import Console  # noqa: E402 - the variables above must stand first

from benchmarks import agent, codecs, learning, model, startup, windower  # noqa: E402
from benchmarks.measure import FULL, QUICK, Effort  # noqa: E402
from benchmarks.record import README, RESULTS, write_readme, write_result  # noqa: E402
from benchmarks.table import Table  # noqa: E402

_FILE_WIDTH = 180

Benchmark = Callable[[Effort, Path], list[Table]]

BENCHMARKS: dict[str, tuple[Benchmark, str]] = {
    "agent": (agent.run, "edge-agent run beside scripts written by hand, through a real broker"),
    "startup": (startup.run, "import time and memory with a model loaded"),
    "codecs": (codecs.run, "decoding one message"),
    "windower": (windower.run, "from bytes to windows in one process"),
    "model": (model.run, "the forward pass, and numpy against onnxruntime"),
    "learning": (learning.run, "fitting, beside scikit-learn; trainer fit on UCI HAR"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0 when every benchmark asked for was run or said why it cannot."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measures Telltale beside named rivals.")
    listing = "; ".join(f"{name}: {meaning}" for name, (_, meaning) in BENCHMARKS.items())
    parser.add_argument("names", nargs="*", metavar="name", help=f"all, or some of these. {listing}")
    parser.add_argument("--quick", action="store_true", help="fewer rounds of less load; nothing is written")
    parser.add_argument("--results", type=Path, metavar="DIR", help="write JSON there, leaving README.md alone")
    arguments = parser.parse_args(argv)
    unknown = [name for name in arguments.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"name: some of {', '.join(BENCHMARKS)} expected, got {unknown[0]!r}")
    names = arguments.names or list(BENCHMARKS)
    effort = QUICK if arguments.quick else FULL
    folder = arguments.results or (None if arguments.quick else RESULTS)
    # A file or a pipe has no width of its own: wide enough there that no cell is broken.
    run_all(names, effort, folder, Console(width=None if sys.stdout.isatty() else _FILE_WIDTH))
    if folder is not None and arguments.results is None:
        write_readme(README, RESULTS, list(BENCHMARKS))
    return 0


def run_all(names: Sequence[str], effort: Effort, folder: Path | None, console: Console) -> None:
    """Run these benchmarks, print their tables, and keep them in the folder if there is one."""
    for name in names:
        benchmark, meaning = BENCHMARKS[name]
        console.rule(f"{name}: {meaning}")
        load = os.getloadavg()
        with tempfile.TemporaryDirectory(prefix="telltale-bench-") as work:
            tables = benchmark(effort, Path(work))
        for table in tables:
            table.print(console)
        if folder is not None:
            console.print(f"wrote {write_result(folder, name, tables, effort, load).name}", style="dim")
