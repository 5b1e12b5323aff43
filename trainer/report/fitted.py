"""The page of a fit: the figures of windows that were held out, before any test row is looked at."""

from __future__ import annotations

import shlex
from pathlib import Path

from trainer.errors import DatasetError
from trainer.export import load_model
from trainer.export.write import write_atomically
from trainer.fit import WrittenModel
from trainer.report.build import Report, ReportOptions, gather
from trainer.report.judged import judge
from trainer.report.page import render_page


def check_page(page: Path, data: Path, out: Path) -> None:
    """Refuse a page that has nowhere to go, before minutes of work.

    Raises
    ------
    DatasetError
        If there is no folder for it, or it would take the place of the data or the model.
    """
    if page.is_dir() or not page.parent.is_dir():
        raise DatasetError(f"--report: {page}: a file in a folder that exists expected, got none")
    for other in (data, out):
        if page.resolve() == other.resolve():
            raise DatasetError(f"--report: {page}: another file than {other} expected")


def write_fit_report(written: WrittenModel, data: Path, page: Path, report: Report) -> None:
    """Write the page of a model that was just fitted, judged by its out-of-fold answers.

    Parameters
    ----------
    written : WrittenModel
    data : Path
        The data file, for the commands on the page.
    page : Path
        Appears whole or not at all.
    report : callable
        Called with (what, done, of).

    Raises
    ------
    ContractError
        If the page cannot be written.
    """
    result, out = written.result, written.path
    model = load_model(out)
    judged = judge(
        model,
        result.data.take(result.judged),
        split=result.plan.name,
        was_fitted_on=False,
        has_new_groups=result.data.group_key is not None,
        probabilities=result.probabilities[result.judged],
        remarks=written.remarks,
    )
    options = ReportOptions(
        commands=(
            shlex.join(["trainer", "fit", data.name, "--out", out.name, "--report", page.name]),
            shlex.join(["trainer", "report", out.name, data.name, "--out", page.name]),
        )
    )
    report("the page", 0, 1)
    facts = gather(model, judged, options, report, content=out.read_bytes())
    write_atomically(page, render_page(facts).encode())
