"""The recommended model fitted, written, and measured once more: what lies on the disk keeps to the budget."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from trainer.cost import ModelCost, WeightCost, compare_weights, measure_model
from trainer.data import CutOptions, read_source
from trainer.errors import DatasetError, TrainerError
from trainer.evaluate.model import choose_split, windows_for_model
from trainer.export import load_model
from trainer.export.quantise import quantise_file
from trainer.export.write import write_atomically
from trainer.fit import FitOptions, HeadKind, WrittenModel, fit_file
from trainer.tune.options import TuneOptions, hidden_layer_sizes
from trainer.tune.search import TuneResult, over_budget
from trainer.tune.trial import Trial

Report = Callable[[str, int, int], None]

_N_ROUNDS = 9
_N_COMPARED = 2_000


@dataclass(frozen=True, slots=True, eq=False)
class WrittenWinner:
    """The file that was written, with its cost and what smaller weights would do to it.

    Attributes
    ----------
    trial : Trial
        What was fitted.
    written : WrittenModel
    cost : ModelCost
        Of the written file.
    weights : list of WeightCost
        Measured on (at most 2,000) training windows; accuracy on them flatters, labels that flip do not.
    """

    trial: Trial
    written: WrittenModel
    cost: ModelCost
    weights: list[WeightCost]
    digest: str

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            **self.written.as_dict(),
            "digest": self.digest,
            "bytes": round(self.cost.kib * 1024),
            "cost": self.cost.as_dict(),
            "weights": [row.as_dict() for row in self.weights],
        }


def check_out(out: Path, data: Path) -> None:
    """Refuse a place that nothing can be written to, before minutes of work and not after them.

    Raises
    ------
    DatasetError
        If the folder is not there, or the file would replace the data.
    """
    if not out.parent.is_dir() or out.is_dir():
        raise DatasetError(f"{out}: a file in a folder that exists expected, got none")
    if out.exists() and data.exists() and out.samefile(data):
        raise DatasetError(f"{out}: another file than the data expected")


def write_winner(
    data: Path, out: Path, cut_options: CutOptions, result: TuneResult, *, name: str, report: Report
) -> WrittenWinner:
    """Fit the recommended model of a search on all training rows, write it, and measure what was written.

    Should the written file break the budget that its trial kept to, the next best one within it is taken.

    Parameters
    ----------
    data, out : Path
    cut_options : CutOptions
        Those of the search.
    result : TuneResult
    name : str
        Of the model.
    report : callable
        Called with (what, done, of).

    Raises
    ------
    DatasetError, ContractError
        If the model cannot be fitted or written.
    TrainerError
        If no written file keeps to the budget; nothing is left on the disk.
    """
    check_out(out, data)
    options, problem = result.options, None
    for trial in _in_order(result):
        with tempfile.TemporaryDirectory() as folder:
            fitted = Path(folder) / "model.onnx"
            written = fit_file(data, fitted, cut_options, _fit_options(trial, options, name), report)
            report("cost of the written file", 0, 1)
            windows, _ = windows_for_model(read_source(data), written.card)
            chosen, _, _ = choose_split(windows, "train")
            chosen = chosen.take(np.arange(0, len(chosen), -(-len(chosen) // _N_COMPARED)))
            rows = compare_weights(fitted.read_bytes(), chosen.windows, chosen.class_indices, report=report)
            stored = fitted
            if options.weights != "float32" and any(row.name == options.weights for row in rows):
                stored = Path(folder) / "small.onnx"
                quantise_file(fitted, stored, chosen.windows, weights=options.weights)
            cost = measure_model(stored, n_rounds=_N_ROUNDS)
            problem = over_budget(cost, options)
            if problem is None:
                write_atomically(out, stored.read_bytes())
                return WrittenWinner(trial, replace(written, path=out), cost, rows, load_model(out).digest)
    raise TrainerError(f"{out}: budget: a file of {options.budget_text} expected, got none: the last was {problem}")


def _in_order(result: TuneResult) -> list[Trial]:
    """The recommended trial, then what is simpler than it on the front, most right first."""
    most = result.recommended.cost.kib if result.recommended.cost is not None else 0.0
    others = [
        trial
        for trial in result.front
        if trial is not result.recommended and trial.cost is not None and trial.cost.kib < most
    ]
    return [result.recommended, *others]


def _fit_options(trial: Trial, options: TuneOptions, name: str) -> FitOptions:
    kind = cast("HeadKind", trial.head.partition(":")[0])
    sizes = hidden_layer_sizes(trial.head) or FitOptions().hidden_layer_sizes
    return FitOptions(features=trial.features, head=kind, seed=options.seed, name=name, hidden_layer_sizes=sizes)
