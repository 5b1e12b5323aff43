"""``trainer fit``: one model file out of one data file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from trainer.cli.console import Reporter, print_json, print_remarks, refusals, results

if TYPE_CHECKING:
    from trainer.fit import WrittenModel


def fit(
    data: Annotated[Path, typer.Argument(metavar="DATA", help=".npz, .csv, .parquet, .ts, or a folder <label>/*.csv")],
    out: Annotated[Path, typer.Option("--out", metavar="MODEL", help="Model file to write (.onnx).")],
    *,
    features: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="auto: choose for accuracy; edge: choose for a small gateway; "
            "or blocks with their sizes, as statistics+minirocket:1000.",
        ),
    ] = "auto",
    head: Annotated[
        Literal["auto", "logistic", "one-vs-rest", "ridge", "mlp", "deep-belief"],
        typer.Option(help="Classifier on top of the features; auto = what answers held-out windows best."),
    ] = "auto",
    hidden: Annotated[
        str, typer.Option(metavar="N,N,...", help="Sizes of the hidden layers (mlp and deep-belief).")
    ] = "64",
    folds: Annotated[
        str, typer.Option(metavar="N|groups", help="Hold out N parts in turn, or every group (person, run) alone.")
    ] = "5",
    false_alarm_rate: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of familiar windows that may be called novel.")
    ] = 0.01,
    weights: Annotated[
        Literal["float32", "float16", "int8"], typer.Option(help="How the file stores the weights of the head.")
    ] = "float32",
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="PAGE", help="Write a page (.html) with the figures of held-out windows."),
    ] = None,
    window: Annotated[float | None, typer.Option(metavar="S", help="Length of a window in seconds (streams).")] = None,
    hop: Annotated[float | None, typer.Option(metavar="S", help="Start to start of two windows in seconds.")] = None,
    grid: Annotated[
        Literal["nearest", "linear", "hold"], typer.Option(help="How samples come onto the grid.")
    ] = "nearest",
    rate: Annotated[
        float | None, typer.Option(metavar="HZ", help="Rate of the grid, where the file's is unknown or unfit.")
    ] = None,
    max_age: Annotated[
        float | None, typer.Option(metavar="S", help="hold: how long a value stands; linear: longest gap bridged.")
    ] = None,
    min_present: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Below this share of present values a window is incomplete.")
    ] = None,
    min_purity: Annotated[
        float, typer.Option(metavar="SHARE", help="Least share of the majority label in a window.")
    ] = 0.8,
    name: Annotated[
        str | None, typer.Option(help="Name of the model: a to z, 0 to 9, hyphens; by default that of the data file.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same data and seed give the same bytes.")] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document on standard output and nothing else.")
    ] = False,
) -> None:
    """Fit a model on the training rows of DATA and write it as one ONNX file."""
    from trainer.data import CutOptions
    from trainer.fit import FitOptions, fit_file, model_name
    from trainer.fit.options import folds_of, hidden_sizes_of

    with refusals(), Reporter() as progress:
        started = time.monotonic()
        cut_options = CutOptions(window, hop, rate, grid, max_age, min_present, min_purity)
        options = FitOptions(
            features=features,
            head=head,
            seed=seed,
            name=name if name is not None else model_name(data),
            hidden_layer_sizes=hidden_sizes_of(hidden),
            false_alarm_rate=false_alarm_rate,
            folds=folds_of(folds),
            weights=weights,
        )
        if report is not None:
            from trainer.report.fitted import check_page, write_fit_report

            check_page(report, data, out)
        written = fit_file(data, out, cut_options, options, progress)
        if report is not None:
            write_fit_report(written, data, report, progress)
        seconds = time.monotonic() - started
    if as_json:
        page = {} if report is None else {"report": str(report)}
        print_json({**written.as_dict(), **page, "seconds": round(seconds, 3)})
        return
    _print(written, seconds, report)


def _print(written: WrittenModel, seconds: float, page: Path | None) -> None:
    from trainer.cli.tables import classes_table, metrics_table

    print_remarks(written.remarks, is_json=False)
    console = results()
    console.print(metrics_table(written.card.metrics))
    console.print(classes_table(written.evaluation))
    if written.groups is not None:
        console.print(written.groups.sentence(), markup=False, soft_wrap=True)
    console.print(
        f"wrote {written.path}: {written.n_bytes} bytes, sha256 {written.digest}, in {seconds:.1f} s",
        markup=False,
        soft_wrap=True,
    )
    if page is not None:
        console.print(f"wrote {page}: {page.stat().st_size} bytes", markup=False, soft_wrap=True)
