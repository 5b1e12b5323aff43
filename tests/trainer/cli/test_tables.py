"""A table of classes fits a terminal, however many classes there are."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from trainer.cli.tables import classes_table
from trainer.evaluate import evaluate_probabilities


def drawn(n_classes: int) -> str:
    """The table of answers that are right except for the last class, which is taken for the first."""
    y = np.arange(n_classes)
    said = np.where(y == n_classes - 1, 0, y)
    evaluation = evaluate_probabilities(np.eye(n_classes)[said], y, tuple(f"class {index}" for index in y))
    console = Console(file=io.StringIO(), width=400)
    console.print(classes_table(evaluation))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("n_classes", "n_columns", "n_rows"), [(3, 8, 3), (20, 25, 20), (21, 5, 21), (40, 5, 40), (1000, 5, 40)]
)
def test_a_table_has_room_for_what_it_shows(n_classes: int, n_columns: int, n_rows: int) -> None:
    lines = drawn(n_classes).splitlines()
    rows = [line for line in lines if line.startswith("│")]
    assert len(rows) == n_rows
    assert {line.count("│") for line in rows} == {n_columns + 1}
    # The class that was never met is among the rows whatever was left out.
    assert any(f"class {n_classes - 1} " in row for row in rows)


def test_what_is_left_out_is_said() -> None:
    assert "the 40 of 1000 that were met worst" in drawn(1000)
    assert "what it was taken for" in drawn(20)
