"""``trainer report``: a page that a person can judge a model by."""

from __future__ import annotations

import datetime as dt
import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from trainer.cli.console import Reporter, print_json, refusals, results


def report(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model file (.onnx).")],
    data: Annotated[Path, typer.Argument(metavar="DATA", help=".npz, .csv, .parquet, .ts, or a folder <label>/*.csv")],
    out: Annotated[Path, typer.Option("--out", metavar="PAGE", help="Page to write (.html); one file, no network.")],
    *,
    split: Annotated[
        Literal["train", "test", "all"], typer.Option(help="Which rows, where the file has a split.")
    ] = "test",
    learning_curve: Annotated[
        bool, typer.Option("--learning-curve", help="Refit on parts of the training rows: would more data help?")
    ] = False,
    cost: Annotated[
        bool, typer.Option("--cost/--no-cost", help="Measure time and memory of the model on this machine.")
    ] = True,
    pictures: Annotated[
        Path | None, typer.Option("--pictures", metavar="DIR", help="Write the figures there as PNG, too.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document on standard output and nothing else.")
    ] = False,
) -> None:
    """Write what a model is worth on DATA as one HTML page: figures, intervals, warnings."""
    with refusals(), Reporter() as progress:
        from trainer.report import Question, ReportOptions, write_report

        options = ReportOptions(
            learning_curve=learning_curve,
            measures_cost=cost,
            made=dt.datetime.now(tz=dt.UTC).date().isoformat(),
            commands=(
                shlex.join(["trainer", "evaluate", model.name, data.name, "--split", split]),
                shlex.join(
                    ["trainer", "report", model.name, data.name, "--out", out.name, "--split", split]
                    + (["--learning-curve"] if learning_curve else [])
                ),
            ),
        )
        written = write_report(Question(model, data, out, split, pictures), options, progress)
    if as_json:
        print_json(written.as_dict())
        return
    from trainer.report.facts import verdict, warnings_of

    console = results()
    console.print(verdict(written.facts), markup=False)
    for line in warnings_of(written.facts):
        console.print(f"- {line}", markup=False)
    console.print(f"wrote {out}: {written.n_bytes} bytes", markup=False, soft_wrap=True)
