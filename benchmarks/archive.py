"""Every problem with a given split: the default and the edge budget of ``trainer fit`` beside scikit-learn and aeon.

Nothing is chosen on test rows by anybody. Outcomes are kept on disk one by one, so that a broken run can go on.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.archive_tables import (
    Figure,
    Results,
    accuracy_table,
    add_sums,
    chosen_table,
    cost_table,
    edge_table,
    published_table,
    standings_table,
)
from benchmarks.contestants import AUTO, EDGE, HYDRA, LOGISTIC, MLP, RIDGE, contestants
from benchmarks.edge_budget import features_table, whole_edge_outcome
from benchmarks.measure import Effort
from benchmarks.outcome import Contestant, Kept, Outcome
from benchmarks.problems import (
    ABSENT,
    MADE,
    UCI_HAR,
    Problem,
    Published,
    archive_problems,
    datasets_folder,
    made_problem,
    read_published,
)
from benchmarks.record import RESULTS
from benchmarks.rival_process import RivalProcess, rivals_python
from benchmarks.table import Table

NAMES = (AUTO, EDGE, LOGISTIC, MLP, RIDGE, HYDRA)
_TARGET = "MR-Hydra"
"""The column of published accuracies that the default is held against."""

_FULL_SHARE = 1.0
_N_QUICK = 3
_MADE_WINDOWS = 60


@dataclass(frozen=True, slots=True)
class ArchiveOptions:
    """What a run was asked for.

    Attributes
    ----------
    problems : tuple of str
        Some of them by name; none = all.
    n_seeds : int
        Fits a problem, with seeds 0, 1, ….
    resume : bool
        Take what a run before has kept of the same code and data.
    rivals : str or None
        An interpreter that has aeon; None = TELLTALE_RIVALS, else what the Makefile made.
    rival_limit_s : float
        What aeon may take for one problem.
    kept : Path or None
        Folder of the outcomes; None = they end with the run.
    """

    problems: tuple[str, ...] = ()
    n_seeds: int = 1
    resume: bool = False
    rivals: str | None = None
    rival_limit_s: float = 180.0
    kept: Path | None = RESULTS / "kept"


def run(effort: Effort, work: Path, options: ArchiveOptions | None = None) -> list[Table]:
    """The tables of accuracy, standings and cost."""
    options = options or ArchiveOptions(kept=None)
    folder = datasets_folder()
    problems = chosen_problems(folder, options.problems)
    if not problems:
        return [Table(ABSENT, ("what",))]
    n_seeds = options.n_seeds
    if effort.share < _FULL_SHARE:
        problems, n_seeds = problems[:_N_QUICK], 1
    kept = Kept(options.kept or work / "kept", resume=options.resume)
    with RivalProcess(rivals_python(options.rivals), options.rival_limit_s, work) as rivals:
        _say(rivals.absent or f"rivals: {', '.join(f'{name} {number}' for name, number in rivals.libraries.items())}")
        made = made_problem(work, effort.of(_MADE_WINDOWS, least=12))
        results = _measure([*problems, made], contestants(rivals), kept, n_seeds, work)
        features = features_table(made, rivals)
        whole = whole_edge_outcome(made, work)
    return _tables(results, read_published(folder), (features, whole), rivals, kept.n_found)


def chosen_problems(folder: Path, names: tuple[str, ...]) -> list[Problem]:
    """The problems of the folder with these names, or all of them.

    Raises
    ------
    ValueError
        If there is none of a name.
    """
    problems = archive_problems(folder)
    unknown = [name for name in names if name not in {problem.name for problem in problems}]
    if unknown:
        there = ", ".join(problem.name for problem in problems) or "nothing, because the recordings are not here"
        raise ValueError(f"--problems: some of {there} expected, got {unknown[0]!r}")
    return [problem for problem in problems if not names or problem.name in names]


def _measure(problems: list[Problem], everybody: list[Contestant], kept: Kept, n_seeds: int, work: Path) -> Results:
    begun_s = time.monotonic()
    results: Results = {}
    for number, problem in enumerate(problems, start=1):
        results[problem.name] = {}
        for contestant in everybody:
            seeds = range(n_seeds if contestant.is_seeded else 1)
            outcomes = [kept.outcome(contestant, problem, seed, work) for seed in seeds]
            results[problem.name][contestant.name] = outcomes
            last = outcomes[-1]
            figures = last.note if last.accuracy is None else f"{last.accuracy:.4f}, fit {last.fit_s or 0.0:.1f} s"
            _say(
                f"{time.monotonic() - begun_s:6.0f} s  {number}/{len(problems)} {problem.name}, "
                f"{contestant.name}: {figures}"
            )
    return results


def _tables(
    results: Results, published: Published, edge: tuple[Table, Outcome], rivals: RivalProcess, n_found: int
) -> list[Table]:
    real = [name for name in results if name != MADE]
    targets = [name for name in published.get(_TARGET, {}) if name in real]
    accuracy = accuracy_table(results, NAMES)
    if rivals.libraries:
        accuracy.notes.append("rivals: " + ", ".join(f"{name} {number}" for name, number in rivals.libraries.items()))
    accuracy.notes += [note for note in (rivals.absent, _kept_note(n_found)) if note]
    of_archive = [name for name in real if name != UCI_HAR]
    tables = [
        accuracy,
        published_table(results, NAMES[:2], published),
        standings_table(f"standings over all {len(real)} problems", results, NAMES, {}, real),
    ]
    if of_archive:
        title = f"standings over the {len(of_archive)} problems of the archives"
        tables.append(standings_table(title, results, NAMES, published, of_archive))
    if targets:
        title = f"standings over the {len(targets)} problems with a published {_TARGET}"
        tables.append(standings_table(title, results, NAMES, published, targets))
    fit = cost_table("fit, seconds", results, {name: (name, "fit_s") for name in NAMES})
    add_sums(fit, results, NAMES)
    fit.notes.append(
        "wall clock; trainer: the whole command with cross-validation, calibration and novelty, on two threads where "
        "there are two cores; the others: the fit alone, from arrays in memory, on one"
    )
    windows: dict[str, tuple[str, Figure]] = {name: (name, "us_per_window") for name in NAMES}
    windows["of it aeon's MiniRocket.transform"] = (RIDGE, "features_us")
    speed = cost_table("one window, batch 1, CPU µs", results, windows)
    speed.notes.append("trainer: the model file in onnxruntime; the others: predict, with the checks of their library")
    size = cost_table("model, KiB", results, {name: (name, "kib") for name in NAMES})
    size.notes.append("trainer: the model file with its card and golden windows; the others: the pickle")
    return [*tables, fit, speed, size, chosen_table(results, NAMES[:2]), edge[0], edge_table(results, real, *edge)]


def _kept_note(n_found: int) -> str:
    return f"{n_found} outcomes are of a run before, on the same code and data" if n_found else ""


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
