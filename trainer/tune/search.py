"""The search: cost first, then accuracy, with ever fewer sets of blocks for ever slower heads.

A graph costs the same whatever its weights are. So every model is exported and measured *before* it is fitted, and
what breaks the budget is never cross-validated. The head that is quickest to fit (ridge, in closed form) judges every
set of blocks; the better half of them gets the next head, the better half of these the one after: successive halving
(Jamieson & Talwalkar, AISTATS 2016) over heads instead of epochs. In between, the size of the best set is tried larger
and smaller by half an octave.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from schemas import EdgeError
from trainer.cost import ModelCost, measure_model
from trainer.data import CutOptions, FoldPlan, WindowedData, cut_source, plan_cut, plan_folds, read_source
from trainer.errors import DatasetError, DivergedError, TrainerError
from trainer.export.quantise import WEIGHT_KINDS
from trainer.fit import training_rows
from trainer.fit.threads import one_blas_thread
from trainer.tune.choice import best_trial, one_standard_error, pareto_front
from trainer.tune.evaluation import Problem, judge_head, judge_weights
from trainer.tune.features import FeatureCache
from trainer.tune.model_file import example_file, least_bytes
from trainer.tune.options import TuneOptions, hidden_layer_sizes
from trainer.tune.space import candidate_blocks, resized
from trainer.tune.trial import Trial

Report = Callable[[str, int, int], None]
Clock = Callable[[], float]

_STEPS = (2.0**-0.5, 2.0**0.5)


@dataclass(frozen=True, slots=True, eq=False)
class TuneResult:
    """Everything that was tried, and what is recommended.

    Attributes
    ----------
    name : str
        Of the data.
    options : TuneOptions
    trials : tuple of Trial
        In the order in which they were tried; those left out say why.
    best, recommended : Trial
        The most accurate within the budget, and the simplest within one standard error of it.
    front : tuple of Trial
        Beaten by no other in accuracy, time, size and memory together.
    weight_accuracies : dict of str to float
        Out-of-fold accuracy of the recommended one by how its weights are stored.
    plan_name : str
        How accuracy was judged.
    remarks : tuple of str
    seconds : float
    """

    name: str
    options: TuneOptions
    trials: tuple[Trial, ...]
    best: Trial
    recommended: Trial
    front: tuple[Trial, ...]
    weight_accuracies: dict[str, float]
    plan_name: str
    remarks: tuple[str, ...]
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "data": self.name,
            "budget_us": self.options.budget_us,
            "budget_kb": self.options.budget_kb,
            "weights": self.options.weights,
            "seed": self.options.seed,
            "split": self.plan_name,
            "best": self.best.as_dict(),
            "recommended": self.recommended.as_dict(),
            "pareto": [trial.as_dict() for trial in self.front],
            "trials": [trial.as_dict() for trial in self.trials],
            "weight_accuracies": self.weight_accuracies,
            "remarks": list(self.remarks),
            "seconds": round(self.seconds, 3),
        }


def tune_file(
    path: Path, cut_options: CutOptions, options: TuneOptions, report: Report, *, clock: Clock = time.monotonic
) -> TuneResult:
    """Search on the training rows of a data file; see `tune`.

    Raises
    ------
    DatasetError
        If the data cannot be used.
    TrainerError
        If nothing fits the budget.
    """
    report("reading", 0, 1)
    source = read_source(path)
    plan = plan_cut(source, cut_options)
    data, cut_remarks = cut_source(source, plan)
    result = tune(data, options, report, clock=clock)
    return replace(result, remarks=(*source.remarks, *plan.remarks, *cut_remarks, *result.remarks))


def tune(data: WindowedData, options: TuneOptions, report: Report, *, clock: Clock = time.monotonic) -> TuneResult:
    """Return the models that were tried on the training rows of these windows, and the recommended one.

    Parameters
    ----------
    data : WindowedData
        Test and unlabelled rows may be among them; they are not looked at.
    options : TuneOptions
    report : callable
        Called with (what, done, of).
    clock : callable
        Seconds; what ``options.time_s`` is counted on.

    Raises
    ------
    DatasetError
        If there is too little to fit on, or the windows are too short for blocks that were asked for.
    TrainerError
        If nothing fits the budget; it names the cheapest found.
    """
    rows, remarks = training_rows(data)
    plan = plan_folds(rows, options.seed)
    with one_blas_thread():
        search = _Search(rows, plan, options, report, clock)
        search.run()
        trials = tuple(search.trials)
        judged = [trial for trial in trials if trial.accuracy is not None]
        if not judged:
            raise TrainerError(_nothing_fits(rows.name, options, trials))
        recommended = one_standard_error(judged)
        report("weights in fewer bytes", 0, 1)
        accuracies = judge_weights(
            recommended.head,
            recommended.setting,
            search.cache.of(recommended.features),
            search.problem,
            WEIGHT_KINDS,
        )
    return TuneResult(
        name=rows.name,
        options=options,
        trials=trials,
        best=best_trial(judged),
        recommended=recommended,
        front=tuple(pareto_front(judged)),
        weight_accuracies={str(kind): value for kind, value in accuracies.items()},
        plan_name=plan.name,
        remarks=(*remarks, *plan.remarks, *search.remarks),
        seconds=clock() - search.started,
    )


class _Search:
    """One search: the trials so far, what was measured, and the features that are still wanted."""

    def __init__(self, rows: WindowedData, plan: FoldPlan, options: TuneOptions, report: Report, clock: Clock) -> None:
        self.rows = rows
        self.problem = Problem(rows.class_indices, plan, options.seed)
        self.options = options
        self.report = report
        self.clock = clock
        self.started = clock()
        self.cache = FeatureCache(rows, options.seed)
        self.trials: list[Trial] = []
        self.remarks: list[str] = []
        self._costs: dict[tuple[str, tuple[int, ...]], ModelCost] = {}
        self._n_judged = 0
        self._n_planned = 0
        self._until_s = options.time_s

    def run(self) -> None:
        """Try every head on ever fewer sets of blocks."""
        blocks = list(dict.fromkeys(self.options.features or candidate_blocks(self.rows)))
        heads = _by_speed(self.options.heads)
        shares = [max(1, -(-len(blocks) // 2**rung)) for rung in range(len(heads))]
        self._n_planned = min(self.options.max_trials, sum(shares) + len(_STEPS))
        for rung, head in enumerate(heads):
            # The first head may use half of the time, the next half of the rest: slow heads are tried in any case.
            is_last = rung == len(heads) - 1
            self._until_s = self.options.time_s * (1.0 if is_last else 1.0 - 0.5 ** (rung + 1))
            for name in blocks:
                self.attempt(name, head)
            if rung == 0 and not self.options.features:
                blocks += self._other_sizes(blocks, head)
            ranked = self._ranked(blocks, head)
            # At least two go on: one alone would be no comparison.
            blocks = ranked[: max(2, -(-len(ranked) // 2))]
            self.cache.keep(self._contenders() if is_last else [*blocks, *self._contenders()])

    def attempt(self, name: str, head: str) -> None:
        """Measure one model, and judge it if it is within the budget."""
        if self._is_over():
            return
        self.report(f"cost of {name}, {head}", self._n_judged, self._n_planned)
        trial = self._measured(name, head)
        if trial is None:
            return
        if trial.left_out is None:
            self.report(f"{name}, {head}", self._n_judged, self._n_planned)
            trial = self._judged(trial)
            self._n_judged += 1
        self.trials.append(trial)

    def _judged(self, trial: Trial) -> Trial:
        started = self.clock()
        try:
            judged = judge_head(trial.head, self.cache.of(trial.features), self.problem)
        except DivergedError as error:
            return replace(trial, left_out=str(error), seconds=self.clock() - started)
        return replace(
            trial,
            setting=judged.setting,
            accuracy=judged.accuracy.value,
            standard_error=judged.accuracy.standard_error,
            n_windows=judged.accuracy.n_windows,
            seconds=self.clock() - started,
        )

    def _is_over(self) -> bool:
        if self._n_judged >= self.options.max_trials:
            self._remark(f"the search ended after {self.options.max_trials} trials (--trials)")
            return True
        if self.clock() - self.started >= self._until_s:
            limit = f"{self.options.time_s:g} s (--time-s)"
            self._remark(f"{limit} did not do for all that could be tried: more might have been found")
            return True
        return False

    def _measured(self, name: str, head: str) -> Trial | None:
        """The trial with its cost, or with the reason that leaves it out; None where the windows are too short."""
        try:
            extractor = self.cache.example_extractor(name)
        except DatasetError as error:
            if self.options.features:
                raise
            self._remark(f"{name} was left out: {error}")
            return None
        sizes, options = hidden_layer_sizes(head), self.options
        trial = Trial(name, head, extractor.n_features, setting={}, cost=None)
        least_kib = least_bytes(extractor.n_features, sizes, len(self.rows.classes), options.weights) / 1024
        if options.budget_kb is not None and least_kib > options.budget_kb:
            return replace(trial, left_out=f"over the budget: the weights of its head alone take {least_kib:.0f} KiB")
        key = (name, sizes)
        try:
            if key not in self._costs:
                content = example_file(self.cache.sample, extractor, sizes, options.weights)
                self._costs[key] = measure_model(content)
        except EdgeError as error:
            # The guard refuses so many nodes, or the graph is too slow to be measured: the next one may do.
            return replace(trial, left_out=str(error))
        trial = replace(trial, cost=self._costs[key])
        return replace(trial, left_out=over_budget(self._costs[key], options))

    def _other_sizes(self, blocks: list[str], head: str) -> list[str]:
        """The best set of blocks with other sizes, tried."""
        ranked = self._ranked(blocks, head)
        if not ranked:
            return []
        names = [resized(ranked[0], step) for step in _STEPS]
        added = [name for name in dict.fromkeys(names) if name not in blocks]
        for name in added:
            self.attempt(name, head)
        return added

    def _ranked(self, blocks: list[str], head: str) -> list[str]:
        """The sets of blocks that this head was judged on, best first; of equals the earlier one."""
        found = {t.features: t.accuracy for t in self.trials if t.head == head and t.accuracy is not None}
        return sorted((name for name in blocks if name in found), key=lambda name: -found[name])

    def _contenders(self) -> list[str]:
        judged = [trial for trial in self.trials if trial.accuracy is not None]
        return [one_standard_error(judged).features] if judged else []

    def _remark(self, text: str) -> None:
        if text not in self.remarks:
            self.remarks.append(text)


def over_budget(cost: ModelCost, options: TuneOptions) -> str | None:
    """Say which part of the budget a cost breaks; None where it keeps to it.

    Examples
    --------
    >>> cost = ModelCost(80.0, (78.0, 91.5), 20.0, (19.0, 22.0), 95.0, 300.0, 12.5, 9.0, 120, 70_000, 5)
    >>> over_budget(cost, TuneOptions(budget_us=50.0))
    'over the budget: 80.0 µs a window'
    >>> over_budget(cost, TuneOptions(budget_us=80.0, budget_kb=300.0)) is None
    True
    """
    if options.budget_us is not None and cost.us_per_window_batch_1 > options.budget_us:
        return f"over the budget: {cost.us_per_window_batch_1:.1f} µs a window"
    if options.budget_kb is not None and cost.kib > options.budget_kb:
        return f"over the budget: {cost.kib:.1f} KiB"
    return None


def _by_speed(heads: tuple[str, ...]) -> list[str]:
    order = ("ridge", "logistic", "mlp")
    return sorted(dict.fromkeys(heads), key=lambda head: order.index(head.partition(":")[0]))


def _nothing_fits(name: str, options: TuneOptions, trials: tuple[Trial, ...]) -> str:
    measured = [(trial, trial.cost) for trial in trials if trial.cost is not None]
    expected = f"{name}: budget: a model of {options.budget_text} expected"
    if not measured:
        reasons = [trial.left_out for trial in trials if trial.left_out]
        return f"{expected}, got none: {reasons[0] if reasons else 'there was no time to try any'}"

    def excess(cost: ModelCost) -> float:
        shares = [cost.us_per_window_batch_1 / options.budget_us] if options.budget_us is not None else []
        shares += [cost.kib / options.budget_kb] if options.budget_kb is not None else []
        return max(shares, default=cost.us_per_window_batch_1)

    trial, cost = min(measured, key=lambda pair: excess(pair[1]))
    return (
        f"{expected}, got none: the cheapest found, {trial.features} with {trial.head}, takes "
        f"{cost.us_per_window_batch_1:.1f} µs and {cost.kib:.1f} KiB"
    )
