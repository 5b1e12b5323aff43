"""The table says what failed and why, and lands between its markers and nowhere else."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.report import PAGE, cells, table, write_results, write_rows
from tests.faults.rows import ROWS
from tests.faults.runner import Result
from tests.faults.verdict import Verdict

HELD = Result("R1", "agent SIGKILL", 3, Verdict(10, 10, 0, 0, 0, 0, 4), 9.6, 3999.6, (), {"points": 1})
FAILED = Result(
    "R3", "broker", 2, Verdict(10, 8, 0, 0, 2, 0, 0), 1.0, 1.0, ("2 windows of which nothing was said",), {}
)
SKIPPED = Result("R15", "full", 0, None, 0.0, 0.0, (), {}, skipped="mounting is not permitted")


def test_each_row_says_whether_it_held() -> None:
    _, _, held, failed, skipped = table([cells(result) for result in (HELD, FAILED, SKIPPED)]).splitlines()
    assert held == "| R1 | agent SIGKILL | 3 | 10 | 10 | 0 | 0 | 0 | 0 | 4 | 4,000 | 10 | yes (points 1) |"
    assert failed.endswith("| **no**: 2 windows of which nothing was said |")
    assert skipped.endswith("| skipped: mounting is not permitted |")


def test_results_replace_what_stood_between_their_markers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- rows -->\nold\n<!-- end of rows -->\nb\n")
    write_results("rows", "new", page)
    assert page.read_text() == "a\n<!-- rows -->\nnew\n<!-- end of rows -->\nb\n"
    with pytest.raises(ValueError, match="markers"):
        write_results("soak", "new", page)


def test_a_run_of_some_rows_leaves_the_others_as_they_were(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- rows -->\n<!-- end of rows -->\n")
    order = ["R1", "R3", "R15"]
    write_rows([SKIPPED, FAILED], order, page)
    write_rows([HELD], order, page)
    write_rows([replace(FAILED, failures=())], order, page)
    lines = page.read_text().splitlines()[3:-1]
    assert [line.split(" | ")[0] for line in lines] == ["| R1", "| R3", "| R15"]
    assert lines[1].endswith("| yes |")
    assert "skipped" in lines[2]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.number)
def test_the_page_tells_of_every_row(row: object) -> None:
    content = PAGE.read_text()
    assert f"| {getattr(row, 'number', '')} |" in content
