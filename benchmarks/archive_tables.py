"""The tables of `benchmarks.archive`, out of outcomes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Literal

from benchmarks.contestants import AUTO, EDGE
from benchmarks.measure import spread
from benchmarks.outcome import Outcome
from benchmarks.problems import MADE, Published
from benchmarks.standings import PLACES, mean_on, mean_ranks, record_against
from benchmarks.table import Cell, Table

Results = dict[str, dict[str, list[Outcome]]]
"""Problem -> contestant -> an outcome a seed."""

Figure = Literal["fit_s", "fit_cpu_s", "us_per_window", "features_us", "kib"]
"""An attribute of `Outcome`."""

NONE = "–"
_LEAST_PUBLISHED = 3
"""Published problems that make a mean: of fewer, it would be the figures themselves."""


def accuracy_text(values: Sequence[float]) -> str:
    """An accuracy as the literature prints it; the mean of several with the least and the most.

    Examples
    --------
    >>> accuracy_text([0.98765]), accuracy_text([0.9, 0.95]), accuracy_text([])
    ('0.9877', '0.9250 (0.9000 … 0.9500)', '–')
    """
    if not values:
        return NONE
    if len(values) == 1:
        return f"{values[0]:.{PLACES}f}"
    return f"{mean(values):.{PLACES}f} ({min(values):.{PLACES}f} … {max(values):.{PLACES}f})"


def accuracy_table(results: Results, names: Sequence[str]) -> Table:
    """Test accuracy by problem and contestant, and why a figure is missing."""
    table = Table("accuracy on the test rows of the given split", ("problem", *names))
    for problem, row in results.items():
        table.add(problem, *(accuracy_text(_accuracies(row[name])) for name in names))
    missing: dict[tuple[str, str], list[str]] = defaultdict(list)
    for problem, row in results.items():
        for name in names:
            for note in dict.fromkeys(outcome.note for outcome in row[name] if outcome.note):
                missing[name, note].append(problem)
    for (name, note), problems in missing.items():
        where = "everywhere" if len(problems) == len(results) else ", ".join(problems)
        table.notes.append(f"{name}, {where}: {note}")
    return table


def published_table(results: Results, names: Sequence[str], published: Published) -> Table:
    """The published accuracies beside ours: printed and never kept, since they are not ours to publish."""
    who = [name for name, scores in published.items() if any(problem in scores for problem in results)]
    table = Table("published accuracies on the same split", ("problem", *names, *who), is_kept=False)
    for problem, row in results.items():
        theirs = [published[name].get(problem) for name in who]
        if any(one is not None for one in theirs):
            own = [accuracy_text(_accuracies(row[name])) for name in names]
            table.add(problem, *own, *(NONE if one is None else accuracy_text([one]) for one in theirs))
    if not who:
        table.notes.append("skipped: no published accuracies stand beside the recordings")
    return table


def standings_table(
    title: str, results: Results, names: Sequence[str], published: Published, problems: Sequence[str]
) -> Table:
    """Means, the record of the default against everybody, and mean ranks, over these problems."""
    table = Table(
        title, ("who", "problems", "mean accuracy", "default there", "default wins / draws / losses", "mean rank")
    )
    scores = {name: _means(results, name, problems) for name in names}
    for who, theirs in published.items():
        there = {problem: theirs[problem] for problem in problems if problem in theirs}
        if len(there) >= _LEAST_PUBLISHED:
            scores[f"{who}, published"] = there
    ranks = mean_ranks(scores, problems)
    default = scores[AUTO]
    for who, own in scores.items():
        if not own:
            continue
        ours = mean_on(default, [problem for problem in own if problem in default])
        table.add(
            who,
            len(own),
            accuracy_text(_mean_by_seed(results, who, list(own)) if who in names else [mean(own.values())]),
            NONE if ours is None else accuracy_text([ours]),
            NONE if who == AUTO else str(record_against(default, own)),
            f"{ranks[who]:.2f}" if who in ranks else NONE,
        )
    table.notes.append(
        f"ranks among those with all {len(problems)} problems; accuracies that agree to {PLACES} places are draws; "
        "published accuracies are of the literature, read from the file beside the recordings"
    )
    return table


def cost_table(title: str, results: Results, columns: Mapping[str, tuple[str, Figure]]) -> Table:
    """One figure of every outcome; a column is a figure of a contestant."""
    table = Table(title, ("problem", *columns))
    for problem, row in results.items():
        cells: list[Cell] = []
        for name, figure in columns.values():
            found = [value for outcome in row[name] if (value := getattr(outcome, figure)) is not None]
            cells.append(spread(found) if found else NONE)
        table.add(problem, *cells)
    return table


def add_sums(table: Table, results: Results, names: Sequence[str]) -> None:
    """Rows with the seconds of all problems together, where a contestant has them all."""
    for title, figure in (("all, wall", "fit_s"), ("all, CPU", "fit_cpu_s")):
        cells: list[Cell] = []
        for name in names:
            found = [getattr(row[name][0], figure) for row in results.values()]
            cells.append(NONE if None in found else sum(found))
        table.add(title, *cells)


def chosen_table(results: Results, names: Sequence[str]) -> Table:
    """What the search of each fit chose, with the first seed."""
    table = Table("what was chosen on training rows", ("problem", *names))
    for problem, row in results.items():
        table.add(problem, *(row[name][0].chosen or NONE for name in names))
    return table


def edge_table(results: Results, problems: Sequence[str], features: Table, whole: Outcome) -> Table:
    """The edge budget: what it gives up, and what it takes at six channels of 128 samples."""
    table = Table("the edge budget", ("what", "measured", "goal"))
    auto, edge = _means(results, AUTO, problems), _means(results, EDGE, problems)
    shared = [problem for problem in problems if problem in auto and problem in edge]
    if shared:
        lost = 100.0 * mean(auto[problem] - edge[problem] for problem in shared)
        table.add(f"accuracy below the default, points, mean of {len(shared)} problems", f"{lost:.2f}", "at most 1.5")
    made = results.get(MADE, {}).get(EDGE, [Outcome()])[0]
    for what, outcome in ((f"{MADE}, as chosen", made), (f"{MADE}, all it chooses among", whole)):
        if outcome.us_per_window is None or outcome.kib is None:
            table.notes.append(f"{what}: {outcome.note or 'not measured'}")
            continue
        table.add(f"{what} ({outcome.chosen}): CPU µs per window, batch 1", outcome.us_per_window, "at most 200")
        table.add(f"{what}: model, KiB", outcome.kib, "at most 300")
    for row in features.rows:
        table.add(f"{row[0]} features alone, batch 1: aeon's transform, times ours", row[-1], "at least 3")
    return table


def _accuracies(outcomes: Sequence[Outcome]) -> list[float]:
    return [outcome.accuracy for outcome in outcomes if outcome.accuracy is not None]


def _means(results: Results, name: str, problems: Sequence[str]) -> dict[str, float]:
    """The mean over seeds of every problem that has a figure."""
    found = {problem: _accuracies(results[problem][name]) for problem in problems}
    return {problem: mean(values) for problem, values in found.items() if values}


def _mean_by_seed(results: Results, name: str, problems: Sequence[str]) -> list[float]:
    """The mean over problems of every seed that all of them have."""
    found = [_accuracies(results[problem][name]) for problem in problems]
    return [mean(values) for values in zip(*found, strict=False)]
