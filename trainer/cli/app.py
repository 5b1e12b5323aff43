"""The four commands. Heavy modules are imported inside the command that needs them: ``--help`` answers at once."""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Literal

import typer
from typer.exceptions import TyperException

from trainer.cli.console import Reporter, print_json, print_remarks, refusals, results

app = typer.Typer(
    name="trainer",
    help="Fit, evaluate and inspect models that label sensor time series.",
    no_args_is_help=True,
    add_completion=False,
    # An unexpected error must show its traceback as Python prints it, complete and searchable.
    pretty_exceptions_enable=False,
)


DataArgument = Annotated[
    Path, typer.Argument(metavar="DATA", help=".npz, .csv, .parquet, .ts, or a folder <label>/*.csv")
]
ModelArgument = Annotated[Path, typer.Argument(metavar="MODEL", help="A model file (.onnx).")]
SplitOption = Annotated[Literal["train", "test", "all"], typer.Option(help="Which rows, where the file has a split.")]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on standard output and nothing else.")
]


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - the signature that Typer asks of a callback
    if wanted:
        try:
            number = version("telltale-edge")
        except PackageNotFoundError:
            number = "unknown (not installed)"
        sys.stdout.write(f"trainer {number}\n")
        raise typer.Exit


@app.callback()
def _options(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Fit, evaluate and inspect models that label sensor time series."""


@app.command()
def fit(
    data: DataArgument,
    out: Annotated[Path, typer.Option("--out", metavar="MODEL", help="Model file to write (.onnx).")],
    *,
    features: Annotated[
        Literal["auto", "raw", "statistics", "spectral"],
        typer.Option(help="Feature blocks; auto = choose by grouped cross-validation."),
    ] = "auto",
    head: Annotated[Literal["logistic", "mlp"], typer.Option(help="Classifier on top of the features.")] = "logistic",
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
        str | None, typer.Option(help="Name of the model, [a-z0-9-]; the name of the data file by default.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same data and seed give the same bytes.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Fit a model on the training rows of DATA and write it as one ONNX file."""
    from trainer.data import CutOptions
    from trainer.fit import FitOptions, fit_file, model_name

    with refusals(), Reporter() as report:
        started = time.monotonic()
        cut_options = CutOptions(window, hop, rate, grid, max_age, min_present, min_purity)
        options = FitOptions(features, head, seed, name if name is not None else model_name(data))
        written = fit_file(data, out, cut_options, options, report)
        seconds = time.monotonic() - started
    if as_json:
        print_json({**written.as_dict(), "seconds": round(seconds, 3)})
        return
    from trainer.cli.tables import classes_table, metrics_table

    print_remarks(written.remarks, is_json=False)
    console = results()
    console.print(metrics_table(written.card.metrics))
    console.print(classes_table(written.evaluation))
    console.print(f"wrote {out}: {written.n_bytes} bytes, sha256 {written.digest}, in {seconds:.1f} s", soft_wrap=True)


@app.command()
def evaluate(
    model: ModelArgument,
    data: DataArgument,
    *,
    split: SplitOption = "test",
    as_json: JsonOption = False,
) -> None:
    """Say how right a model is on the labelled rows of DATA."""
    from trainer.data import read_source
    from trainer.evaluate.model import evaluate_model
    from trainer.export import load_model

    with refusals():
        source = read_source(data)
        judged = evaluate_model(load_model(model), source, split)
    print_remarks((*source.remarks, *judged.remarks), is_json=as_json)
    if as_json:
        print_json({**judged.evaluation.as_dict(), "split": judged.split})
        return
    from trainer.cli.tables import classes_table, figures_table

    console = results()
    console.print(figures_table(judged.evaluation, judged.split))
    console.print(classes_table(judged.evaluation))


@app.command()
def predict(
    model: ModelArgument,
    data: DataArgument,
    *,
    split: SplitOption = "all",
) -> None:
    """Print one label event a window as JSON lines, the very events that an agent would publish."""
    from trainer.data import read_source
    from trainer.evaluate.predictions import predictions
    from trainer.export import load_model

    with refusals():
        for event in predictions(load_model(model), read_source(data), split):
            sys.stdout.write(json.dumps(event, ensure_ascii=False, allow_nan=False) + "\n")
        sys.stdout.flush()


@app.command()
def inspect(model: ModelArgument, *, as_json: JsonOption = False) -> None:
    """Print the card of a model."""
    from trainer.export import load_model

    with refusals():
        loaded = load_model(model)
        n_bytes = model.stat().st_size
    if as_json:
        print_json(
            {"digest": loaded.digest, "bytes": n_bytes, "card": loaded.card.model_dump(mode="json", by_alias=True)}
        )
        return
    from trainer.cli.tables import card_tables

    console = results()
    for table in card_tables(loaded.card, loaded.digest, n_bytes):
        console.print(table)


def main() -> None:
    """Run the command line; exits with 0 (done), 1 (unexpected) or 2 (data or usage), a usage error in one line."""
    if len(sys.argv) == 1:
        app(["--help"])
    try:
        code = app(standalone_mode=False)
    except TyperException as error:
        sys.stderr.write(f"error: {' '.join(error.format_message().split())} (trainer --help lists what there is)\n")
        code = error.exit_code
    sys.exit(code or 0)
