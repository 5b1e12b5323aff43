"""The command ``python -m benchmarks [name ...] [--quick]``."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path

# One thread for every library of every rival, here and in the processes started: set before any of them is imported.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from rich.console import Console  # noqa: E402 - the variables above must stand first

from benchmarks.measure import FULL, QUICK, Effort  # noqa: E402
from benchmarks.record import README, RESULTS, write_readme, write_result  # noqa: E402
from benchmarks.table import Table  # noqa: E402

_FILE_WIDTH = 180

Benchmark = Callable[[Effort, Path], list[Table]]


def _later(name: str) -> Benchmark:
    """The benchmark of a module that is imported when it is run: none waits for the libraries of another."""

    def run(effort: Effort, work: Path) -> list[Table]:
        tables: list[Table] = import_module(f"benchmarks.{name}").run(effort, work)
        return tables

    return run


BENCHMARKS: dict[str, tuple[Benchmark, str]] = {
    "agent": (_later("agent"), "edge-agent run beside scripts written by hand, through a real broker"),
    "startup": (_later("startup"), "import time and memory with a model loaded"),
    "latency": (_later("latency"), "from the last sample of a window to its label, beside the bare broker"),
    "devices": (_later("devices"), "a message at 10 to 10,000 devices"),
    "delivery": (_later("delivery"), "acknowledged when labelled, beside acknowledged on receipt"),
    "memory": (_later("memory"), "resident memory with one model, and of each device"),
    "workers": (_later("workers"), "one process, and several that share the devices"),
    "codecs": (_later("codecs"), "decoding one message"),
    "windower": (_later("windower"), "from bytes to windows in one process"),
    "model": (_later("model"), "the forward pass, and numpy against onnxruntime"),
    "learning": (_later("learning"), "fitting, beside scikit-learn; trainer fit on UCI HAR"),
}
"""What ``make bench`` runs."""

LEARNING: dict[str, tuple[Benchmark, str]] = {
    "archive": (_later("archive"), "every problem with a split, beside scikit-learn, aeon and what was published"),
    "streams": (_later("streams"), "continuous recordings, cross-validated by group"),
    "deep_belief": (_later("deep_belief"), "labels saved by pre-training on unlabelled windows"),
    "novelty": (_later("novelty"), "a class left out of training: is it found, and are false alarms as stated"),
}
"""What ``make bench-learning`` runs."""

EVERY = BENCHMARKS | LEARNING


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0 when every benchmark asked for was run or said why it cannot."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measures Telltale beside named rivals.")
    listing = "; ".join(f"{name}: {meaning}" for name, (_, meaning) in EVERY.items())
    default = ", ".join(BENCHMARKS)
    parser.add_argument("names", nargs="*", metavar="name", help=f"some of these; {default} by default. {listing}")
    parser.add_argument("--quick", action="store_true", help="fewer rounds of less load; nothing is written")
    parser.add_argument("--results", type=Path, metavar="DIR", help="write JSON there, leaving README.md alone")
    of_archive = parser.add_argument_group("archive")
    of_archive.add_argument("--problems", default="", metavar="NAMES", help="some, with commas; all by default")
    of_archive.add_argument("--seeds", type=int, default=1, metavar="N", help="fits a problem; their spread is shown")
    of_archive.add_argument("--resume", action="store_true", help="go on with what a broken run has kept")
    of_archive.add_argument("--rivals", metavar="PYTHON", help="an interpreter that has aeon (or TELLTALE_RIVALS)")
    of_archive.add_argument("--rival-limit", type=float, default=180.0, metavar="S", help="aeon's seconds a problem")
    arguments = parser.parse_args(argv)
    unknown = [name for name in arguments.names if name not in EVERY]
    if unknown:
        parser.error(f"name: some of {', '.join(EVERY)} expected, got {unknown[0]!r}")
    if arguments.seeds < 1 or not arguments.rival_limit > 0.0:
        parser.error("--seeds: 1 or more, and --rival-limit: seconds above 0 expected")
    names = arguments.names or list(BENCHMARKS)
    effort = QUICK if arguments.quick else FULL
    folder = arguments.results or (None if arguments.quick else RESULTS)
    benchmarks = dict(EVERY)
    if "archive" in names:
        benchmarks["archive"] = (_archive(arguments, folder, parser), EVERY["archive"][1])
    # A file or a pipe has no width of its own: wide enough there that no cell is broken.
    run_all(names, effort, folder, Console(width=None if sys.stdout.isatty() else _FILE_WIDTH), benchmarks)
    if folder is not None and arguments.results is None:
        write_readme(README, RESULTS, list(EVERY))
    return 0


def _archive(arguments: argparse.Namespace, folder: Path | None, parser: argparse.ArgumentParser) -> Benchmark:
    """The benchmark under its options; a problem that there is none of is a usage error."""
    from benchmarks import archive
    from benchmarks.problems import datasets_folder

    options = archive.ArchiveOptions(
        problems=tuple(filter(None, arguments.problems.split(","))),
        n_seeds=arguments.seeds,
        resume=arguments.resume,
        rivals=arguments.rivals,
        rival_limit_s=arguments.rival_limit,
        kept=folder / "kept" if folder is not None else None,
    )
    try:
        archive.chosen_problems(datasets_folder(), options.problems)
    except ValueError as error:
        parser.error(str(error))
    return lambda effort, work: archive.run(effort, work, options)


def run_all(
    names: Sequence[str],
    effort: Effort,
    folder: Path | None,
    console: Console,
    benchmarks: Mapping[str, tuple[Benchmark, str]] = EVERY,
) -> None:
    """Run these benchmarks, print their tables, and keep them in the folder if there is one."""
    for name in names:
        benchmark, meaning = benchmarks[name]
        console.rule(f"{name}: {meaning}")
        load = os.getloadavg()
        with tempfile.TemporaryDirectory(prefix="telltale-bench-") as work:
            tables = benchmark(effort, Path(work))
        for table in tables:
            table.print(console)
        if folder is not None:
            console.print(f"wrote {write_result(folder, name, tables, effort, load).name}", style="dim")
