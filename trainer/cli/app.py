"""The commands. Heavy modules are imported inside the command that needs them: ``--help`` answers at once."""

from __future__ import annotations

import json
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Literal

import typer
from typer.exceptions import TyperException

from trainer.cli.cluster import cluster
from trainer.cli.console import print_json, print_remarks, refusals, results
from trainer.cli.fit import fit
from trainer.cli.report import report
from trainer.cli.tune import tune

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


app.command()(fit)


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
        print_json(judged.as_dict())
        return
    from trainer.cli.tables import classes_table, figures_table

    console = results()
    console.print(figures_table(judged.evaluation, judged.split))
    console.print(classes_table(judged.evaluation))
    if judged.groups is not None:
        console.print(judged.groups.sentence(), markup=False, soft_wrap=True)


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


app.command()(cluster)
app.command()(report)
app.command()(tune)


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
