"""``trainer cluster``: groups of windows that look alike, with the evidence for their number, named by a person."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from trainer.cli.console import Reporter, print_json, print_remarks, refusals, results


def cluster(
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help=".npz, .csv, .parquet, .ts, or a folder; labels are not needed.")
    ],
    *,
    groups: Annotated[str, typer.Option(metavar="K", help="Number of groups; auto = by the evidence.")] = "auto",
    max_groups: Annotated[int, typer.Option(metavar="K", help="Most groups that auto tries.")] = 12,
    method: Annotated[
        Literal["kmeans", "mixture"], typer.Option(help="k-means, or a mixture of Gaussians.")
    ] = "kmeans",
    features: Annotated[
        str, typer.Option(metavar="BLOCKS", help="Feature blocks, such as statistics+spectral or minirocket:1000.")
    ] = "statistics+spectral",
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
    name: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="K=NAME", help="Name of a group, such as 3=idle; again for each group."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write named windows (.npz, for trainer fit) or intervals (.csv)."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="MODEL", help="Write the groups as a model (.onnx).")
    ] = None,
    report: Annotated[Path | None, typer.Option(metavar="PAGE", help="Write a page (.html) to look at.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same data and seed give the same groups.")] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document on standard output and nothing else.")
    ] = False,
) -> None:
    """Group the windows of DATA by what they look like, and say how many groups there are and why."""
    with refusals(), Reporter() as progress:
        from trainer.cluster import ClusterOptions, Files, cluster_file, parse_names
        from trainer.data import CutOptions
        from trainer.fit import model_name

        started = time.monotonic()
        options = ClusterOptions(
            n_groups=number_of_groups(groups),
            max_groups=max_groups,
            method=method,
            features=features,
            names=parse_names(name or []),
            seed=seed,
            name=model_name(data),
        )
        cut = CutOptions(window, hop, rate, grid, max_age, min_present)
        result = cluster_file(data, cut, options, Files(labels, out, report), progress)
        seconds = time.monotonic() - started
    if as_json:
        print_json({**result.as_dict(), "seconds": round(seconds, 3)})
        return
    from trainer.cli.cluster_tables import agreement_table, evidence_table, groups_table, medoid_lines, outlier_lines

    print_remarks(result.remarks, is_json=False)
    console = results()
    console.print(evidence_table(result))
    for reason in result.grouping.choice.reasons:
        console.print(f"- {reason}", soft_wrap=True, markup=False)
    console.print(groups_table(result))
    for line in (*medoid_lines(result), *outlier_lines(result)):
        console.print(line, soft_wrap=True, markup=False)
    if result.agreement is not None:
        console.print(agreement_table(result.agreement))
    for sentence in result.written.values():
        console.print(f"wrote {sentence}", soft_wrap=True, markup=False)
    console.print(f"{len(result.grouping.data)} windows in {seconds:.1f} s", soft_wrap=True)


def number_of_groups(text: str) -> int | None:
    """The number that was asked for, None for ``auto``.

    Raises
    ------
    DatasetError
        If it is neither.

    Examples
    --------
    >>> number_of_groups("auto"), number_of_groups("4")
    (None, 4)
    """
    from trainer.errors import DatasetError

    if text == "auto":
        return None
    if not (text.isascii() and text.isdigit()):
        raise DatasetError(f"--groups: a number such as 4, or auto, expected, got {text!r}")
    return int(text)
