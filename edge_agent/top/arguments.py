"""The command line of ``edge-agent top``; light, so that other commands do not wait for it."""

from __future__ import annotations

import argparse
import math
from pathlib import Path


def add_top(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    meaning = "watch the running agent: signals, labels, rates, latency"
    top = commands.add_parser(
        "top",
        help=meaning,
        description=f"{meaning[0].upper()}{meaning[1:]}.",
        epilog="Keys: q quit, s sort, / filter, p pause, up and down scroll. NO_COLOR is respected. Needs the extra "
        "telltale-edge[top].",
    )
    where = top.add_mutually_exclusive_group()
    where.add_argument("--config", type=Path, metavar="FILE", help="configuration of the agent: names its state folder")
    where.add_argument(
        "--socket", type=Path, metavar="PATH", help="its status socket (default: of a service, below /var/lib)"
    )
    top.add_argument(
        "--interval", type=_seconds, default=1.0, metavar="S", help="seconds between two looks (default 1)"
    )
    top.add_argument("--once", action="store_true", help="print one frame and end")
    top.add_argument(
        "--after", type=_seconds, default=2.0, metavar="S", help="with --once: watch so long first (default 2)"
    )
    top.add_argument("--picture", type=Path, metavar="FILE", help="with --once: write the frame as SVG instead")
    top.add_argument("--width", type=int, metavar="N", help="with --once: characters a line (default: of the terminal)")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0.1 <= seconds <= 3_600.0:
        raise argparse.ArgumentTypeError(f"seconds from 0.1 to 3600 expected, got {text!r}")
    return seconds
