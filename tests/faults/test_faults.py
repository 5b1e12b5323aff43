"""The short form of the scoreboard: each fault for real, a few times; ``make faults`` runs all of it, many times."""

from pathlib import Path

import pytest

from tests.faults.report import line_of
from tests.faults.rows import ROWS
from tests.faults.runner import Row, run_row
from tests.faults.soak import soak

pytestmark = [pytest.mark.fault, pytest.mark.slow]


@pytest.mark.parametrize("row", [row for row in ROWS if row.short], ids=lambda row: row.number)
def test_nothing_is_lost_silently(row: Row, mosquitto_program: str, tmp_path: Path) -> None:
    result = run_row(row, row.short, tmp_path)
    if result.skipped:
        pytest.skip(result.skipped)
    log = (tmp_path / "agent" / "agent.log").read_text()
    assert not result.failures, f"{line_of(result)}\n{log}"
    assert result.verdict is not None
    assert result.verdict.whole > 0


def test_the_soak_reports_what_it_saw(mosquitto_program: str, tmp_path: Path) -> None:
    report = soak(tmp_path, minutes=0.05, rate_hz=500)
    assert not report.failures, report.text
    assert "**silent, wrong** | **0, 0**" in report.text
