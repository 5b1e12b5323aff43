"""Every benchmark runs and says what it found. No figure is judged: a busy machine must not fail a test."""

import io
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks import agent
from benchmarks.command import BENCHMARKS, EVERY, main, run_all
from benchmarks.measure import Effort, Spread
from benchmarks.record import BEGIN, END, README, RESULTS, write_readme
from benchmarks.rivals import ROOT
from benchmarks.table import Table, show
from benchmarks.workload import FORMS

TINY = Effort(repeats=1, share=0.01)
WITH_BROKER = {"agent": 0, "latency": 2, "devices": 1, "delivery": 2, "memory": 2, "workers": 2}
"""Benchmarks that need a real broker, and how many tables each has; ``agent`` has a test of its own."""


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What the tiny run of all benchmarks that need no broker prints, and the folder of its results."""
    folder = tmp_path_factory.mktemp("results")
    console = Console(file=io.StringIO(), width=200)
    run_all([name for name in BENCHMARKS if name not in WITH_BROKER], TINY, folder, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue(), folder


@pytest.mark.parametrize(
    ("name", "titles"),
    [
        ("startup", ["imports and a model loaded"]),
        ("codecs", ["decoding a message of 6 channels"]),
        ("windower", ["bytes to windows, CPU µs per message"]),
        ("model", ["forward pass, CPU µs per window, one thread", "numpy against onnxruntime on 100 windows"]),
        ("learning", ["logistic regression to its optimum", "one epoch of an MLP", "trainer fit on UCI HAR"]),
    ],
)
def test_a_benchmark_prints_and_keeps_its_tables(printed: tuple[str, Path], name: str, titles: list[str]) -> None:
    text, folder = printed
    result = json.loads((folder / f"{name}.json").read_text())
    assert [table["title"][: len(title)] for table, title in zip(result["tables"], titles, strict=True)] == titles
    for title in titles:
        assert title in text
    figures = [figure for table in result["tables"] for figure in figures_of(table)]
    assert figures
    assert all(math.isfinite(figure) and figure >= 0.0 for figure in figures)


def test_every_rival_labels_the_same_windows_alike_through_a_real_broker(
    mosquitto_program: str, tmp_path: Path
) -> None:
    tables = agent.run(TINY, tmp_path)
    *throughput, start, labels = tables
    assert [table.title.partition(":")[0] for table in throughput] == list(FORMS.values())
    programs = ["edge-agent run", "script, scikit-learn", "script, onnxruntime"]
    assert all([row[0] for row in table.rows] == programs for table in [*throughput, start])
    compared, differing = zip(*(row[2:] for row in labels.rows), strict=True)
    assert all(number > 0 for number in compared)
    assert set(differing) == {0}


@pytest.mark.parametrize("name", [name for name in WITH_BROKER if name != "agent"])
def test_what_is_measured_through_a_real_broker_gives_finite_figures(
    mosquitto_program: str, tmp_path: Path, name: str
) -> None:
    tables = BENCHMARKS[name][0](TINY, tmp_path)
    assert len(tables) == WITH_BROKER[name]
    figures = [figure for table in tables for figure in figures_of(table.as_json())]
    assert figures
    assert all(math.isfinite(figure) for figure in figures)


def test_results_tell_of_the_machine_but_not_whose_it_is(printed: tuple[str, Path]) -> None:
    _, folder = printed
    for path in folder.glob("*.json"):
        text = path.read_text()
        machine = json.loads(text)["machine"]
        assert machine["cores"] >= 1
        assert machine["python"].count(".") == 2
        assert len(machine["load_average"]) == len(machine["load_average_before"]) == 3
        assert {"numpy", "onnxruntime", "scikit-learn"} <= machine["libraries"].keys()
        assert str(ROOT) not in text
        assert str(Path.home()) + "/" not in text


def test_the_page_gets_the_tables_and_keeps_its_own_words(printed: tuple[str, Path], tmp_path: Path) -> None:
    _, folder = printed
    page = tmp_path / "README.md"
    page.write_text(f"# Head\n\n{BEGIN}\nold tables\n{END}\n\ntail\n")
    write_readme(page, folder, list(BENCHMARKS))
    once = page.read_text()
    assert once.startswith("# Head\n")
    assert once.endswith("tail\n")
    assert "old tables" not in once
    assert "### codecs" in once
    write_readme(page, folder, list(BENCHMARKS))
    assert page.read_text() == once


def test_a_page_without_its_markers_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text("my own words")
    with pytest.raises(ValueError, match=r"README\.md: the lines"):
        write_readme(page, RESULTS, list(BENCHMARKS))
    assert page.read_text() == "my own words"


def test_the_page_of_this_checkout_is_what_its_results_say(tmp_path: Path) -> None:
    copy = tmp_path / "README.md"
    copy.write_text(README.read_text())
    write_readme(copy, RESULTS, list(EVERY))
    assert copy.read_text() == README.read_text()


def test_a_table_comes_back_from_json_as_it_was() -> None:
    table = Table("title", ("what", "figure", "count"), notes=["a note"])
    table.add("row", Spread(2.0, 1.0, 3.0, 3), 7)
    assert Table.from_json(json.loads(json.dumps(table.as_json()))) == table
    with pytest.raises(ValueError, match="3 cells expected, got 1"):
        table.add("row")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.000012, "1.2e-05"), (0.0421, "0.0421"), (4.256, "4.26"), (76.44, "76.4"), (12345.6, "12,346")],
)
def test_a_figure_shows_three_digits_and_no_exponent_where_a_person_reads_it(value: float, text: str) -> None:
    assert show(value) == text


def test_an_unknown_benchmark_is_refused_with_the_names_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["agnet"])
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert "agnet" in error
    assert all(name in error for name in EVERY)


def test_the_script_of_the_rival_is_as_short_as_it_is_called() -> None:
    lines = (ROOT / "benchmarks" / "plain_script.py").read_text().splitlines()
    code = [line for line in lines if line.strip() and not re.match(r'\s*(#|""")', line)]
    assert len(code) <= 60


def figures_of(table: dict[str, Any]) -> list[float]:
    """Every number of a table, with its range."""
    cells = [cell for row in table["rows"] for cell in row[1:]]
    ranges = [cell[end] for cell in cells if isinstance(cell, dict) for end in ("low", "median", "high")]
    return ranges + [float(cell) for cell in cells if isinstance(cell, int | float)]
