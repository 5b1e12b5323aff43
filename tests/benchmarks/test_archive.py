"""``make bench-learning``: standings by hand, a tiny archive through the real commands, rivals that are not there."""

import io
import json
import re
import stat
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from benchmarks import archive
from benchmarks.archive_tables import Results, edge_table, standings_table
from benchmarks.command import BENCHMARKS, LEARNING, main, run_all
from benchmarks.contestants import AUTO, EDGE, HYDRA, LOGISTIC, MLP, RIDGE
from benchmarks.measure import Effort
from benchmarks.outcome import Contestant, Kept, Outcome
from benchmarks.problems import MADE, Problem, archive_problems, read_published, read_rows
from benchmarks.rival_process import RivalProcess, rivals_python
from benchmarks.standings import mean_on, mean_ranks, record_against
from benchmarks.table import Table

TINY = Effort(repeats=1, share=0.01)
SECRET = "0.1234"


def write_problem(path: Path, n_windows: int = 40, seed: int = 0) -> Problem:
    """Two classes of sines in noise, every second window for testing, one value missing."""
    random = np.random.default_rng(seed)
    y = np.arange(n_windows) // 2 % 2
    times = np.arange(24)
    X = np.sin(times * (0.5 + y[:, None, None])) + 0.3 * random.standard_normal((n_windows, 1, 24))
    X[0, 0, 3] = np.nan
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path,
        X=X.astype(np.float32),
        y=y,
        split=(np.arange(n_windows) % 2).astype(np.int8),
        classes=np.array(["slow", "fast"]),
        channels=np.array(["current"]),
        fs=np.array(50.0),
    )
    return Problem(path.stem, path)


# ---------------------------------------------------------------------- standings


def test_wins_draws_and_losses_count_only_shared_problems_and_four_places() -> None:
    ours = {"a": 0.9, "b": 0.8, "c": 0.70001, "d": 0.5, "only ours": 1.0}
    theirs = {"a": 0.8, "b": 0.9, "c": 0.70004, "d": 0.4, "only theirs": 1.0}
    assert record_against(ours, theirs) == (2, 1, 1)
    assert record_against(theirs, ours) == (1, 1, 2)


def test_a_published_figure_of_four_places_draws_with_the_fraction_behind_it() -> None:
    assert record_against({"a": 149 / 150}, {"a": 0.9933}) == (0, 1, 0)


def test_equal_accuracies_share_the_mean_of_their_ranks() -> None:
    # a: x and y share ranks 1 and 2, z is third; b: z first, y second, x third.
    scores = {"x": {"a": 0.9, "b": 0.1}, "y": {"a": 0.9, "b": 0.2}, "z": {"a": 0.3, "b": 0.3}}
    assert mean_ranks(scores, ["a", "b"]) == {"x": 2.25, "y": 1.75, "z": 2.0}


def test_who_lacks_a_problem_has_neither_mean_nor_rank_and_moves_nobody_down() -> None:
    scores = {"x": {"a": 0.5, "b": 0.5}, "partial": {"a": 0.9}}
    assert mean_on(scores["partial"], ["a", "b"]) is None
    assert mean_ranks(scores, ["a", "b"]) == {"x": 1.0}


def results_of(**accuracies: dict[str, list[float]]) -> Results:
    return {
        problem: {who: [Outcome(accuracy=value) for value in values] for who, values in row.items()}
        for problem, row in accuracies.items()
    }


def test_standings_hold_the_default_against_everybody_on_the_problems_they_have() -> None:
    results = results_of(
        first={AUTO: [0.9], EDGE: [0.8]},
        second={AUTO: [0.7], EDGE: [0.7]},
        third={AUTO: [0.8], EDGE: [0.9]},
        fourth={AUTO: [0.6], EDGE: [0.5]},
    )
    published = {
        "HC2": {"first": 0.95, "second": 0.7, "third": 0.6, "elsewhere": 1.0},
        "of two problems": {"first": 0.123, "second": 0.123},
    }
    table = standings_table("title", results, (AUTO, EDGE), published, list(results))
    assert table.rows == [
        (AUTO, 4, "0.7500", "0.7500", "–", "1.38"),
        (EDGE, 4, "0.7250", "0.7500", "2 / 1 / 1", "1.62"),
        ("HC2, published", 3, "0.7500", "0.8000", "1 / 1 / 1", "–"),
    ]


def test_seeds_show_as_the_spread_of_their_means() -> None:
    results = results_of(first={AUTO: [0.9, 0.8]}, second={AUTO: [0.7, 0.6]})
    table = standings_table("title", results, (AUTO,), {}, ["first", "second"])
    assert table.rows[0][2] == "0.7500 (0.7000 … 0.8000)"


def test_the_edge_budget_is_held_against_the_default_in_points() -> None:
    results = results_of(first={AUTO: [0.9], EDGE: [0.88]}, second={AUTO: [0.7], EDGE: [0.71]})
    results[MADE] = {EDGE: [Outcome(accuracy=1.0, us_per_window=150.0, kib=90.0, chosen="some")]}
    features = Table("features", ("features", "ours", "theirs", "ratio"))
    features.add("420", 50.0, 200.0, 4.0)
    table = edge_table(results, ["first", "second"], features, Outcome(note="failed: no"))
    assert [row[1] for row in table.rows] == ["0.50", 150.0, 90.0, 4.0]
    assert table.notes == [f"{MADE}, all it chooses among: failed: no"]


# ---------------------------------------------------------------------- a tiny archive through the real commands


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, dict[str, Any]], str, str]:
    """The tables that were kept by title, the text of their file, and what was printed."""
    folder = tmp_path_factory.mktemp("datasets")
    write_problem(folder / "ucr" / "Tiny.npz")
    (folder / "published.csv").write_text(f"file,MR-Hydra,HC2\nucr/Tiny.npz,{SECRET},\n")
    results = tmp_path_factory.mktemp("results")
    console = Console(file=io.StringIO(), width=200)
    options = archive.ArchiveOptions(rivals=str(folder / "nowhere" / "python"), kept=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TELLTALE_DATASETS", str(folder))
        run_all(
            ["archive"],
            TINY,
            results,
            console,
            {"archive": (lambda effort, work: archive.run(effort, work, options), "")},
        )
    text = (results / "archive.json").read_text()
    assert isinstance(console.file, io.StringIO)
    return {table["title"]: table for table in json.loads(text)["tables"]}, text, console.file.getvalue()


@pytest.mark.slow
def test_every_problem_has_a_row_and_every_contestant_that_ran_an_accuracy(
    tiny: tuple[dict[str, dict[str, Any]], str, str],
) -> None:
    table = tiny[0]["accuracy on the test rows of the given split"]
    assert table["columns"] == ["problem", AUTO, EDGE, LOGISTIC, MLP, RIDGE, HYDRA]
    assert [row[0] for row in table["rows"]] == ["Tiny", MADE]
    for row in table["rows"]:
        # Sines of two frequencies: whoever learned anything is nearly always right.
        assert all(0.8 <= float(cell) <= 1.0 for cell in row[1:5])
        assert row[5:] == ["–", "–"]


@pytest.mark.slow
def test_costs_are_measured_for_all_that_ran(tiny: tuple[dict[str, dict[str, Any]], str, str]) -> None:
    for title in ("fit, seconds", "one window, batch 1, CPU µs", "model, KiB"):
        for row in tiny[0][title]["rows"]:
            figures = [cell["median"] if isinstance(cell, dict) else cell for cell in row[1:5]]
            assert all(figure > 0.0 for figure in figures), (title, row)
    chosen = tiny[0]["what was chosen on training rows"]["rows"]
    assert all(re.search(r"[a-z]+:\d+.*, [a-z-]+", cell) for row in chosen for cell in row[1:])


@pytest.mark.slow
def test_rivals_that_are_not_there_are_one_visible_line_each(
    tiny: tuple[dict[str, dict[str, Any]], str, str],
) -> None:
    notes = tiny[0]["accuracy on the test rows of the given split"]["notes"]
    assert "skipped: no interpreter of the rivals (python is not there)" in notes
    for rival in (RIDGE, HYDRA):
        assert f"{rival}, everywhere: skipped: no interpreter of the rivals (python is not there)" in notes


@pytest.mark.slow
def test_published_accuracies_are_printed_and_not_kept(tiny: tuple[dict[str, dict[str, Any]], str, str]) -> None:
    tables, text, printed = tiny
    assert "published accuracies on the same split" in printed
    assert SECRET in printed
    assert "published accuracies on the same split" not in tables
    standings = tables["standings over the 1 problems with a published MR-Hydra"]["rows"]
    # The mean over one problem would be the figure itself.
    assert [row[0] for row in standings] == [AUTO, EDGE, LOGISTIC, MLP]
    assert SECRET not in text
    assert str(Path.home()) + "/" not in text


# ---------------------------------------------------------------------- rivals


def stand_in(folder: Path, *after_hello: str) -> Path:
    """A program in the place of the rivals' interpreter that says hello, then does what the lines say."""
    hello = json.dumps({"libraries": {"aeon": "1"}, "missing": {"hydra": "skipped: no torch"}})
    lines = [f"#!{sys.executable}", "import sys, time", f"print({hello!r}, flush=True)", *after_hello]
    program = folder / "python"
    program.write_text("\n".join(lines) + "\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def test_an_interpreter_without_aeon_says_what_is_missing(tmp_path: Path) -> None:
    with RivalProcess(Path(sys.executable), 10.0, tmp_path) as rivals:
        assert rivals.absent.startswith("skipped: the interpreter of the rivals does not start (ModuleNotFoundError")
        assert rivals.measure("ridge", write_problem(tmp_path / "Tiny.npz"), 0) == Outcome(note=rivals.absent)


def test_a_rival_that_takes_too_long_is_stopped_and_the_next_problem_gets_a_fresh_one(tmp_path: Path) -> None:
    program = stand_in(tmp_path, "for line in sys.stdin: time.sleep(600)")
    problem = write_problem(tmp_path / "Tiny.npz")
    with RivalProcess(program, 0.2, tmp_path) as rivals:
        assert rivals.measure("ridge", problem, 0).note == "stopped after 0.2 s"
        assert rivals.measure("ridge", problem, 1).note == "stopped after 0.2 s"


def test_a_rival_that_dies_is_said_to_have_died(tmp_path: Path) -> None:
    program = stand_in(tmp_path, "sys.stdin.readline()", "sys.exit(9)")
    with RivalProcess(program, 30.0, tmp_path) as rivals:
        outcome = rivals.measure("ridge", write_problem(tmp_path / "Tiny.npz"), 0)
    assert outcome == Outcome(note="the interpreter of the rivals died")


def test_rows_go_to_the_rival_and_its_figures_come_back(tmp_path: Path) -> None:
    answer = "n = len(np.load(json.loads(line)['path'])['X_train'])"
    program = stand_in(
        tmp_path,
        "import json, numpy as np",
        "for line in sys.stdin:",
        f"    {answer}",
        "    print(json.dumps({'accuracy': n / 100, 'fit_s': 2.0}), flush=True)",
    )
    with RivalProcess(program, 60.0, tmp_path) as rivals:
        assert rivals.measure("ridge", write_problem(tmp_path / "Tiny.npz"), 0) == Outcome(accuracy=0.2, fit_s=2.0)
        assert rivals.measure("hydra", write_problem(tmp_path / "Tiny.npz"), 0) == Outcome(note="skipped: no torch")


def test_a_named_interpreter_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELLTALE_RIVALS", "from/environment")
    assert rivals_python("named") == Path("named")
    assert rivals_python() == Path("from/environment")
    monkeypatch.delenv("TELLTALE_RIVALS")
    assert rivals_python().parts[-4:] == (".venv", "rivals", "bin", "python")


def test_the_lock_of_the_rivals_pins_aeon_by_hash_and_leaves_torch_out(repository: Path) -> None:
    lines = (repository / "requirements" / "rivals.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("    --hash=sha256:")]
    assert all(line.endswith(" \\") for line in pins)
    names = {line.partition("==")[0] for line in pins}
    assert "aeon" in names
    assert "torch" not in names


# ---------------------------------------------------------------------- problems and what is kept of them


def test_a_missing_value_is_the_mean_of_its_channel_in_its_window(tmp_path: Path) -> None:
    X = np.array([[[1.0, np.nan, 3.0], [np.nan, np.nan, np.nan]], [[5.0, 6.0, 7.0], [1.0, 1.0, np.nan]]])
    path = tmp_path / "gaps.npz"
    np.savez(path, X=X, y=np.array([0, 1]), split=np.array([0, 1]))
    rows = read_rows(Problem("gaps", path))
    assert rows.X_train.tolist() == [[[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]]]
    assert rows.X_test.tolist() == [[[5.0, 6.0, 7.0], [1.0, 1.0, 1.0]]]
    assert (rows.y_train.tolist(), rows.y_test.tolist()) == ([0], [1])


def test_unlabelled_and_unsplit_windows_go_to_nobody(tmp_path: Path) -> None:
    path = tmp_path / "some.npz"
    np.savez(path, X=np.ones((4, 1, 3)), y=np.array([0, -1, 1, 1]), split=np.array([0, 0, 1, -1]))
    rows = read_rows(Problem("some", path))
    assert (len(rows.X_train), len(rows.X_test)) == (1, 1)


def test_problems_come_smallest_first_and_streams_are_none_of_them(tmp_path: Path) -> None:
    write_problem(tmp_path / "ucr" / "Large.npz", n_windows=400)
    write_problem(tmp_path / "uea" / "Small.npz")
    write_problem(tmp_path / "skab_stream.npz")
    assert [problem.name for problem in archive_problems(tmp_path)] == ["Small", "Large"]


def test_published_figures_leave_out_what_was_measured_here(tmp_path: Path) -> None:
    header = "file,HC2,measured_MiniRocket_ridge"
    (tmp_path / "published.csv").write_text(f"{header}\nucr/A.npz,0.9,0.8\nucr/B.npz,,0.7\n")
    assert read_published(tmp_path) == {"HC2": {"A": 0.9}}
    assert read_published(tmp_path / "nowhere") == {}


def test_a_resumed_run_measures_only_what_is_not_kept_of_the_same_data(tmp_path: Path) -> None:
    problem = write_problem(tmp_path / "Tiny.npz")
    measured: list[int] = []

    def measure(_problem: Problem, seed: int, _work: Path) -> Outcome:
        measured.append(seed)
        return Outcome(accuracy=0.5 + seed)

    contestant = Contestant("someone", measure, ("benchmarks/table.py",))
    Kept(tmp_path / "kept", resume=False).outcome(contestant, problem, 0, tmp_path)
    again = Kept(tmp_path / "kept", resume=True)
    assert again.outcome(contestant, problem, 0, tmp_path) == Outcome(accuracy=0.5)
    assert (measured, again.n_found) == ([0], 1)
    again.outcome(contestant, problem, 1, tmp_path)
    again.outcome(replace(contestant, sources=("benchmarks/record.py",)), problem, 0, tmp_path)
    write_problem(problem.path, seed=1)
    again.outcome(contestant, problem, 0, tmp_path)
    Kept(tmp_path / "kept", resume=False).outcome(contestant, problem, 0, tmp_path)
    assert measured == [0, 1, 0, 0, 0]


def test_what_failed_is_tried_again(tmp_path: Path) -> None:
    problem = write_problem(tmp_path / "Tiny.npz")
    notes = iter(["failed: once", "failed: twice"])
    contestant = Contestant("someone", lambda *_: Outcome(note=next(notes)), ("benchmarks/table.py",))
    kept = Kept(tmp_path / "kept", resume=True)
    assert [kept.outcome(contestant, problem, 0, tmp_path).note for _ in range(2)] == ["failed: once", "failed: twice"]


# ---------------------------------------------------------------------- the command


def test_make_bench_keeps_its_list_and_bench_learning_has_its_own(repository: Path) -> None:
    of_agent = ["agent", "startup", "latency", "devices", "delivery", "memory", "workers"]
    assert list(BENCHMARKS) == [*of_agent, "codecs", "windower", "model", "learning"]
    recipe = re.search(
        r"^bench-learning:.*\n\t.*-m benchmarks (.*) \$\(ARGS\)$", (repository / "Makefile").read_text(), re.MULTILINE
    )
    assert recipe is not None
    assert recipe[1].split() == list(LEARNING)


def test_without_recordings_the_run_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELLTALE_DATASETS", str(tmp_path / "nowhere"))
    tables = archive.run(TINY, tmp_path)
    assert [table.title.partition(":")[0] for table in tables] == ["skipped"]


def test_an_unknown_problem_is_refused_with_the_names_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_problem(tmp_path / "ucr" / "Tiny.npz")
    monkeypatch.setenv("TELLTALE_DATASETS", str(tmp_path))
    with pytest.raises(SystemExit) as end:
        main(["archive", "--quick", "--problems", "Tinny"])
    assert end.value.code == 2
    assert "--problems: some of Tiny expected, got 'Tinny'" in capsys.readouterr().err
