"""Streams, cut and fitted by ``trainer fit``: cross-validated by person, by run and fault, and on an official split."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.archive_tables import NONE
from benchmarks.measure import Effort
from benchmarks.problems import ABSENT, datasets_folder
from benchmarks.table import Table
from benchmarks.trainer_command import CommandError, run_trainer

_FULL_SHARE = 1.0


class Stream(NamedTuple):
    """A file, what its groups are, and how a user would cut it."""

    file: str
    groups: str
    window_s: float
    hop_s: float
    has_split: bool


STREAMS = (
    Stream("occupancy_stream.npz", "official split by week", 960.0, 480.0, has_split=True),
    Stream("skab_stream.npz", "family of faults", 30.0, 15.0, has_split=False),
    Stream("chest_accel_stream.npz", "person", 4.0, 4.0, has_split=False),
)


def run(effort: Effort, work: Path) -> list[Table]:
    """The table of streams, out-of-fold and on the test rows where there are any."""
    folder = datasets_folder()
    if not folder.is_dir():
        return [Table(ABSENT, ("what",))]
    table = Table(
        "streams: trainer fit, every group left out once (occupancy: blocks of time)",
        (
            *("stream", "groups", "windows", "judged by", "accuracy", "balanced accuracy", "macro F1"),
            *("a random split would say", "hardest group", "fit, s"),
        ),
    )
    for stream in STREAMS if effort.share >= _FULL_SHARE else STREAMS[:1]:
        data = folder / stream.file
        if not data.is_file():
            table.notes.append(f"skipped: {stream.file} is not here")
            continue
        try:
            _add(table, stream, data, work)
        except CommandError as error:
            table.notes.append(f"{data.stem}: failed: {error.reason.replace(str(data), data.name)[:200]}")
    table.notes.append("in brackets: 95 % intervals, over groups where there are groups")
    return [table]


def _add(table: Table, stream: Stream, data: Path, work: Path) -> None:
    model, fitted, judged = work / "stream.onnx", work / "stream-fit.json", work / "stream-evaluate.json"
    cut = ("--window", f"{stream.window_s:g}", "--hop", f"{stream.hop_s:g}")
    # A file with a split of its own has one group on the training side: blocks of time are held out there.
    folds = ("--folds", "5" if stream.has_split else "groups")
    usage = run_trainer("fit", str(data), "--out", str(model), *cut, *folds, "--json", output=fitted)
    found = json.loads(fitted.read_text())
    groups = stream.groups
    if found["card"]["n_groups"] > 1:
        groups = f"{groups} ({found['card']['n_groups']})"
    out_of_fold = found["cross_validated"]
    sets = [(out_of_fold["split"], out_of_fold)]
    if stream.has_split:
        run_trainer("evaluate", str(model), str(data), "--json", output=judged)
        sets.append(("test rows", json.loads(judged.read_text())))
    for split, figures in sets:
        parts = [_with_interval(figures, key) for key in ("accuracy", "balanced_accuracy", "macro_f1")]
        at_random = figures["random_split"]["accuracy"] if "random_split" in figures else NONE
        by_group = sorted(figures.get("groups", []), key=lambda group: float(group["accuracy"]))
        hardest = f"{by_group[0]['group']}: {by_group[0]['accuracy']:.3f}" if by_group else NONE
        table.add(data.stem, groups, figures["n_windows"], split, *parts, at_random, hardest, usage.wall_s)
    table.notes.append(f"{data.stem}: windows of {stream.window_s:g} s every {stream.hop_s:g} s")
    for remark in found["card"]["notes"]:
        if "instead" in remark:
            table.notes.append(f"{data.stem}: {remark}")
    print(f"{data.stem}: {_with_interval(out_of_fold, 'accuracy')}", file=sys.stderr, flush=True)


def _with_interval(figures: dict[str, Any], key: str) -> str:
    low, high = figures["intervals"].get(key, (None, None))
    return f"{figures[key]:.3f}" + (f" ({low:.3f} … {high:.3f})" if low is not None else "")
