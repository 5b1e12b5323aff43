"""``trainer tune``: which model for which budget."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from trainer.cli.console import Reporter, print_json, print_remarks, refusals, results


def tune(
    data: Annotated[Path, typer.Argument(metavar="DATA", help=".npz, .csv, .parquet, .ts, or a folder <label>/*.csv")],
    *,
    budget_us: Annotated[
        float | None, typer.Option(metavar="N", help="Most microseconds a window, one at a time, on this machine.")
    ] = None,
    budget_kb: Annotated[float | None, typer.Option(metavar="N", help="Most KiB of the model file.")] = None,
    trials: Annotated[int, typer.Option(metavar="N", help="At most so many cross-validations.")] = 60,
    time_s: Annotated[float, typer.Option(metavar="S", help="Begin no new trial after so many seconds.")] = 300.0,
    features: Annotated[
        str, typer.Option(metavar="A,B,...", help="Sets of blocks to try, such as statistics,minirocket:1000+raw.")
    ] = "auto",
    heads: Annotated[
        str, typer.Option(metavar="A,B,...", help="Heads to try: ridge, logistic, mlp, mlp:N.")
    ] = "ridge,logistic,mlp",
    weights: Annotated[
        Literal["float32", "float16", "int8"], typer.Option(help="How the file stores the weights of the head.")
    ] = "float32",
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
    out: Annotated[
        Path | None, typer.Option("--out", metavar="MODEL", help="Fit the recommended model and write it (.onnx).")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the model: a to z, 0 to 9, hyphens; by default that of the data file.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of folds, blocks and heads.")] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document on standard output and nothing else.")
    ] = False,
) -> None:
    """Try feature blocks, sizes and heads on the training rows of DATA: accuracy against measured cost."""
    from trainer.data import CutOptions
    from trainer.fit import model_name
    from trainer.tune import TuneOptions, tune_file, write_winner
    from trainer.tune.winner import check_out

    with refusals(), Reporter() as report:
        options = TuneOptions(
            features=() if features == "auto" else _listed(features),
            heads=_listed(heads),
            budget_us=budget_us,
            budget_kb=budget_kb,
            max_trials=trials,
            time_s=time_s,
            seed=seed,
            weights=weights,
        )
        if out is not None:
            check_out(out, data)
        cut_options = CutOptions(window, hop, rate, grid, max_age, min_present, min_purity)
        result = tune_file(data, cut_options, options, report)
        winner = None
        if out is not None:
            own_name = name if name is not None else model_name(data)
            winner = write_winner(data, out, cut_options, result, name=own_name, report=report)
    if as_json:
        print_json({**result.as_dict(), "written": None if winner is None else winner.as_dict()})
        return
    from trainer.cli.tune_tables import pareto_table, recommendation, weights_table

    print_remarks((*result.remarks, *(winner.written.remarks if winner is not None else ())), is_json=False)
    console = results()
    console.print(pareto_table(result))
    console.print(recommendation(result), soft_wrap=True)
    if winner is not None and out is not None:
        console.print(weights_table(winner.weights, result.weight_accuracies))
        console.print(f"wrote {out}: {winner.trial.features} with {winner.trial.head}", soft_wrap=True)
        console.print(f"  {winner.cost.kib:.1f} KiB, {winner.cost.noise}", soft_wrap=True)
        console.print(f"  sha256 {winner.digest}", soft_wrap=True)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
