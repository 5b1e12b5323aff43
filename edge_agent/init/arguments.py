"""The command line of ``edge-agent init``; light, so that other commands do not wait for it."""

from __future__ import annotations

import argparse
import math
from pathlib import Path


def add_init(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    init = commands.add_parser(
        "init",
        help="listen to a broker and write a configuration that runs",
        description="Listens to a broker, recognises what it carries, and writes a commented configuration that passes "
        "check and runs. Without --model its pipelines collect windows to fit a model on. Nothing is published.",
    )
    init.add_argument("--host", required=True, help="name or address of the broker")
    init.add_argument("--port", type=int, metavar="P", help="default 1883, with --ca-file 8883")
    init.add_argument("--username", metavar="NAME", help="name at the broker; none = anonymous")
    init.add_argument("--password-file", type=Path, metavar="FILE", help="file that holds the password, one line")
    init.add_argument("--ca-file", type=Path, metavar="FILE", help="PEM of the CA of the broker; turns TLS on")
    init.add_argument("--cert-file", type=Path, metavar="FILE", help="PEM of a client certificate")
    init.add_argument("--key-file", type=Path, metavar="FILE", help="PEM of its private key")
    init.add_argument("--seconds", type=_seconds, default=60.0, metavar="S", help="how long to listen (default 60)")
    init.add_argument(
        "--topics", action="append", metavar="FILTER", help="topic filter to listen to; may repeat (default #)"
    )
    init.add_argument("--model", type=Path, metavar="M.onnx", help="only what fits this model becomes a pipeline")
    init.add_argument("--gateway", metavar="ID", help="name of this gateway in topics (default: of this machine)")
    init.add_argument(
        "--output", type=Path, default=Path("edge-agent.toml"), metavar="FILE", help="default edge-agent.toml"
    )
    init.add_argument("--force", action="store_true", help="replace the output file if it is there")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0.0 < seconds <= 86_400.0:
        raise argparse.ArgumentTypeError(f"seconds from 0 to 86400 expected, got {text!r}")
    return seconds
