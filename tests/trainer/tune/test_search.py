"""A search keeps to its budget, looks at training rows only, judges by group, and ends when it was told to."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from schemas import ContractError
from trainer.cost import ModelCost, measure_model
from trainer.data import WindowedData, plan_folds
from trainer.data.examples import example_windows
from trainer.errors import DatasetError, DivergedError, TrainerError
from trainer.fit import training_rows
from trainer.tune import TuneOptions, TuneResult, tune
from trainer.tune import search as search_module
from trainer.tune.evaluation import Features, Judged, Problem, judge_head, judge_weights
from trainer.tune.features import FeatureCache
from trainer.tune.model_file import example_file, least_bytes

_KNOWN: dict[bytes, ModelCost] = {}


def measured_once(content: bytes) -> ModelCost:
    """The real cost, in one round, and of the same file only once: a search need not take ten seconds."""
    if content not in _KNOWN:
        _KNOWN[content] = measure_model(content, n_rounds=1)
    return _KNOWN[content]


@pytest.fixture(autouse=True, scope="module")
def _each_file_is_measured_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search_module, "measure_model", measured_once)
        yield


def silent(what: str, done: int, of: int) -> None:
    pass


def search(data: WindowedData, **options: object) -> TuneResult:
    asked = {"features": ("raw", "statistics"), "heads": ("ridge",), **options}
    return tune(data, TuneOptions(**asked), silent)  # type: ignore[arg-type]  # each test names its own options


@pytest.fixture(scope="module")
def plain() -> TuneResult:
    """Two sets of blocks, two heads, no budget."""
    return search(example_windows(n_recordings=6), heads=("logistic", "ridge"))


def test_every_trial_is_judged_and_measured(plain: TuneResult) -> None:
    tried = [(trial.features, trial.head) for trial in plain.trials]
    # The quick head first, whatever the order they were named in.
    assert tried[:2] == [("raw", "ridge"), ("statistics", "ridge")]
    assert set(tried[2:]) == {("raw", "logistic"), ("statistics", "logistic")}
    for trial in plain.trials:
        assert trial.cost is not None
        assert trial.cost.us_per_window_batch_1 > 0.0
        assert trial.accuracy is not None
        assert trial.accuracy > 0.9
        assert trial.n_windows == 60
        assert set(trial.setting) == {"alpha" if trial.head == "ridge" else "C"}
    assert plain.recommended in plain.trials
    assert plain.plan_name.startswith("grouped")
    assert set(plain.weight_accuracies) == {"float32", "float16", "int8"}


def test_a_search_can_be_told_as_json_values(plain: TuneResult) -> None:
    told = plain.as_dict()
    assert told["recommended"]["features"] == plain.recommended.features
    assert len(told["trials"]) == 4
    assert told["trials"][0]["cost"]["kib"] > 0


def test_what_breaks_the_size_is_never_fitted() -> None:
    free = search(example_windows(n_recordings=4))
    sizes = {trial.features: trial.cost.kib for trial in free.trials if trial.cost is not None}
    assert sizes["raw"] < sizes["statistics"]
    limit = (sizes["raw"] + sizes["statistics"]) / 2
    held = search(example_windows(n_recordings=4), budget_kb=limit)
    by_name = {trial.features: trial for trial in held.trials}
    assert by_name["statistics"].accuracy is None
    assert by_name["statistics"].left_out == f"over the budget: {sizes['statistics']:.1f} KiB"
    assert held.best is held.recommended is by_name["raw"]


def test_a_head_too_large_by_its_weights_alone_is_not_even_measured() -> None:
    held = search(example_windows(n_recordings=4), features=("raw",), heads=("ridge", "mlp:512"), budget_kb=60.0)
    large = next(trial for trial in held.trials if trial.head == "mlp:512")
    assert large.cost is None
    assert large.left_out == "over the budget: the weights of its head alone take 130 KiB"


def test_where_nothing_fits_the_cheapest_is_named() -> None:
    with pytest.raises(TrainerError) as caught:
        search(example_windows(), budget_us=1e-3, budget_kb=1e3)
    text = str(caught.value)
    assert text.startswith("example: budget: a model of at most 0.001 µs a window and 1000 KiB expected, got none: ")
    assert "the cheapest found, raw with ridge, takes " in text
    assert "\n" not in text


def test_where_no_head_can_fit_the_reason_is_named() -> None:
    with pytest.raises(TrainerError, match="got none: over the budget: the weights of its head alone take 0 KiB"):
        search(example_windows(), features=("raw",), budget_kb=0.1)


def test_test_rows_are_not_looked_at() -> None:
    data = example_windows(n_recordings=6)
    train = replace(data, split=np.zeros(60, np.int64))
    generator = np.random.default_rng(0)
    spoilt = train.take(np.concatenate([np.arange(60), np.arange(30)]))
    split = np.repeat([0, 1], [60, 30])
    windows = np.where(split[:, None, None] == 1, 1e6 * generator.normal(size=spoilt.windows.shape), spoilt.windows)
    both = replace(spoilt, windows=windows.astype(np.float32), split=split)
    alone, with_tests = search(train), search(both)
    figures = [[(t.features, t.accuracy, t.setting) for t in result.trials] for result in (alone, with_tests)]
    assert figures[0] == figures[1]
    assert "30 test windows were not looked at" in with_tests.remarks


def test_a_model_that_only_knows_its_groups_is_seen_through() -> None:
    # Each group has its own two templates: who has seen the group knows all, who has not can only guess.
    generator = np.random.default_rng(1)
    templates = generator.normal(size=(12, 2, 1, 32))
    groups = np.repeat(np.arange(12), 12)
    labels = np.tile([0, 1], 72)
    windows = templates[groups, labels] + 0.01 * generator.normal(size=(144, 1, 32))
    data = replace(
        example_windows(),
        windows=windows.astype(np.float32),
        channels=("x",),
        units=(None,),
        class_indices=labels,
        groups=groups,
        recordings=np.arange(144),
        starts=np.zeros(144, np.int64),
        rows=np.arange(144),
        split=np.full(144, -1),
    )
    by_group = search(data, features=("raw",), heads=("ridge", "logistic"))
    without = search(replace(data, groups=np.full(144, -1), group_key=None), features=("raw",))
    assert all(trial.accuracy is not None and trial.accuracy < 0.75 for trial in by_group.trials)
    assert without.best.accuracy is not None
    assert without.best.accuracy > 0.95


def clock_of(times: Iterator[float]) -> Callable[[], float]:
    return lambda: next(times)


def test_no_trial_begins_after_its_time() -> None:
    # Asked: at the start, before the first trial, around it, and before the second: then 100 s have gone.
    times = iter([0.0, 1.0, 2.0, 3.0, 100.0, *[100.0] * 50])
    options = TuneOptions(features=("raw", "statistics"), heads=("ridge",), time_s=50.0)
    found = tune(example_windows(), options, silent, clock=clock_of(times))
    assert [trial.features for trial in found.trials] == ["raw"]
    assert "50 s (--time-s) did not do for all that could be tried: more might have been found" in found.remarks
    assert found.trials[0].seconds == 1.0


def test_no_more_trials_than_asked_for() -> None:
    found = search(example_windows(), max_trials=1, heads=("ridge", "logistic"))
    assert len(found.trials) == 1
    assert "the search ended after 1 trials (--trials)" in found.remarks


def test_slower_heads_get_the_better_half_of_the_blocks() -> None:
    names = ("raw", "statistics", "spectral", "statistics+spectral", "raw+statistics")
    found = search(example_windows(), features=names, heads=("ridge", "logistic", "mlp:8"))
    counts = {head: sum(trial.head == head for trial in found.trials) for head in ("ridge", "logistic", "mlp:8")}
    assert counts == {"ridge": 5, "logistic": 3, "mlp:8": 2}
    ridge = sorted((t.accuracy or 0.0 for t in found.trials if t.head == "ridge"), reverse=True)
    kept = [t.features for t in found.trials if t.head == "logistic"]
    assert all((t.accuracy or 0.0) >= ridge[2] for t in found.trials if t.head == "ridge" and t.features in kept)


def test_a_quick_head_leaves_half_of_the_time_to_the_slower_one() -> None:
    # 10 s for each look at the clock: ridge ends at 50 of 100, and logistic still has its turn.
    options = TuneOptions(features=("raw", "statistics", "raw+statistics"), heads=("ridge", "logistic"), time_s=100.0)
    found = tune(example_windows(), options, silent, clock=clock_of(iter(range(0, 5000, 10))))
    assert [(trial.features, trial.head) for trial in found.trials] == [
        ("raw", "ridge"),
        ("statistics", "ridge"),
        *[(trial.features, "logistic") for trial in found.trials[2:]],
    ]
    assert len(found.trials) > 2


def test_the_size_of_the_best_set_is_tried_larger_and_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.tune.search.candidate_blocks", lambda _rows: ("minirocket:168",))
    found = tune(example_windows(), TuneOptions(heads=("ridge",)), silent)
    assert [trial.features for trial in found.trials] == ["minirocket:168", "minirocket:119", "minirocket:238"]
    assert [trial.n_features for trial in found.trials] == [168, 119, 238]


def test_a_model_that_cannot_be_measured_is_left_out_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def picky(content: bytes) -> ModelCost:
        cost = measured_once(content)
        if cost.n_nodes > 50:
            raise ContractError("model", ["nodes: too many"])
        return cost

    monkeypatch.setattr(search_module, "measure_model", picky)
    found = search(example_windows())
    assert [(trial.features, trial.left_out) for trial in found.trials] == [
        ("raw", None),
        ("statistics", "model: nodes: too many"),
    ]


def test_a_head_that_runs_away_is_left_out_and_the_search_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def judge(head: str, features: Features, problem: Problem) -> Judged:
        if head == "logistic":
            raise DivergedError(epoch=2, loss=float("nan"))
        return judge_head(head, features, problem)

    monkeypatch.setattr(search_module, "judge_head", judge)
    found = search(example_windows(), features=("raw",), heads=("ridge", "logistic"))
    assert [trial.accuracy is None for trial in found.trials] == [False, True]
    assert "diverged in epoch 2" in str(found.trials[1].left_out)


@pytest.mark.parametrize("head", ["ridge", "logistic", "mlp"])
def test_two_windows_a_class_do(head: str) -> None:
    data = example_windows(n_recordings=4, windows_per_recording=1)
    found = search(data, features=("statistics",), heads=(head,))
    assert found.best.accuracy is not None
    assert found.best.n_windows == 4


def test_one_group_alone_is_split_by_its_recordings_or_by_time() -> None:
    data = example_windows(n_recordings=4)
    found = search(replace(data, groups=np.zeros(40, np.int64)), features=("raw",))
    assert found.best.n_windows == 40
    assert not found.plan_name.startswith("grouped")
    one = replace(data, groups=np.zeros(40, np.int64), recordings=np.zeros(40, np.int64), starts=np.arange(40) * 16)
    assert search(one, features=("raw",)).plan_name.startswith("blocked")


def test_one_class_alone_is_refused() -> None:
    data = example_windows(n_recordings=4)
    with pytest.raises(DatasetError, match="at least 2 classes expected"):
        search(data.take(data.class_indices == 0))


def test_windows_too_short_for_a_named_block_are_refused_and_for_an_unnamed_one_remarked() -> None:
    short = example_windows(n_recordings=4, window_length=4)
    with pytest.raises(DatasetError, match="windows of 4 samples do not do for minirocket"):
        search(short, features=("minirocket:500",))
    found = tune(short, TuneOptions(heads=("ridge",)), silent)
    assert any("minirocket:500 was left out" in remark for remark in found.remarks)
    assert found.best.accuracy is not None


def test_the_same_seed_gives_the_same_figures(plain: TuneResult) -> None:
    again = search(example_windows(n_recordings=6), heads=("logistic", "ridge"))
    assert [(t.features, t.head, t.accuracy, t.setting) for t in again.trials] == [
        (t.features, t.head, t.accuracy, t.setting) for t in plain.trials
    ]
    assert (again.recommended.features, again.recommended.head) == (plain.recommended.features, plain.recommended.head)


def test_a_larger_head_costs_more_numbers_and_bytes_than_the_bound_on_its_weights() -> None:
    from trainer.cost import measure_model

    rows, _ = training_rows(example_windows(n_recordings=4))
    cache = FeatureCache(rows, seed=0)
    costs = {}
    for name, sizes in {"small": (), "large": (512,)}.items():
        extractor = cache.example_extractor("raw")
        content = example_file(cache.sample, extractor, sizes, "float32")
        costs[name] = measure_model(content, n_rounds=1)
        assert least_bytes(64, sizes, 2, "float32") < len(content)
    assert costs["large"].n_parameters > 8 * costs["small"].n_parameters
    assert costs["large"].kib > costs["small"].kib + 100
    # Stored in one byte the same head is a quarter, and still above its bound.
    small = example_file(cache.sample, extractor, (512,), "int8")
    assert least_bytes(64, (512,), 2, "int8") < len(small) < costs["large"].kib * 1024 / 2


def test_blocks_are_extracted_once_and_stand_side_by_side() -> None:
    rows, _ = training_rows(example_windows(n_recordings=4))
    cache = FeatureCache(rows, seed=0)
    both = cache.of("raw+statistics")
    assert np.array_equal(both[:, :64], cache.of("raw"))
    assert np.array_equal(both[:, 64:], cache.of("statistics"))
    assert set(cache._blocks) == {"raw", "statistics"}
    cache.keep(["statistics"])
    assert set(cache._blocks) == {"statistics"}


@pytest.mark.parametrize("head", ["ridge", "logistic"])
def test_weights_of_four_bytes_judge_as_the_head_itself(head: str) -> None:
    rows, _ = training_rows(example_windows(n_recordings=6, seed=3))
    plan = plan_folds(rows, seed=0)
    problem = Problem(rows.class_indices, plan, 0)
    features = FeatureCache(rows, seed=0).of("statistics")
    judged = judge_head(head, features, problem)
    found = judge_weights(head, judged.setting, features, problem, ("float32", "int8"))
    assert found["float32"] == pytest.approx(judged.accuracy.value, abs=0.035)
    assert 0.0 <= found["int8"] <= 1.0


def test_a_class_missing_from_a_fold_is_not_in_the_way() -> None:
    # Three classes; the third stands in two windows of one group: who is judged on one has seen at most the other.
    data = example_windows(n_recordings=6)
    labels = data.class_indices.copy()
    labels[[2, 7]] = 2
    rare = replace(data, class_indices=labels, classes=("slow", "fast", "odd"))
    found = search(rare, features=("raw",), heads=("ridge", "logistic", "mlp:4"))
    assert all(trial.accuracy is not None and trial.accuracy > 0.8 for trial in found.trials)
