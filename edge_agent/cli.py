"""The command ``edge-agent``: init, run, check, status, top, replay.

Exit codes: 0 done; 1 unexpected; 2 usage or data; 78 configuration (EX_CONFIG of sysexits.h). Heavy modules are
imported inside the commands: a gateway is often slow, and ``--help`` and ``--version`` should not wait for a
runtime.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edge_agent import __version__
from edge_agent.init.arguments import add_init
from edge_agent.top.arguments import add_top

if TYPE_CHECKING:
    from edge_agent.config import AgentConfig
    from edge_agent.shell.loop import Agent
    from schemas.errors import ConfigError

EXIT_OK = 0
EXIT_UNEXPECTED = 1
EXIT_DATA = 2
EXIT_CONFIG = 78

_EPILOG = "The environment (EDGE_AGENT_MQTT__PORT=1884) and --set (mqtt.port=1884) override the file, in this order."


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of one command line; errors are one line each on standard error."""
    from schemas.errors import ConfigError, EdgeError

    try:
        arguments = _parser().parse_args(argv)
        commands = {
            "init": _init,
            "run": _run,
            "check": _check,
            "status": _status,
            "top": _top,
            "replay": _replay,
        }
        return commands[arguments.command](arguments)
    except SystemExit as end:  # argparse: --help and usage errors
        return end.code if isinstance(end.code, int) else EXIT_DATA
    except ConfigError as error:
        for problem in error.problems:
            print(f"edge-agent: {error.where}: {problem}", file=sys.stderr)
        return EXIT_CONFIG
    except EdgeError as error:
        print(f"edge-agent: {' '.join(str(error).split())}", file=sys.stderr)
        return EXIT_DATA
    except BrokenPipeError:
        # The reader of our output went away (replay | head): not an error of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge-agent", description="Labels the sensor messages that flow through an MQTT broker.", epilog=_EPILOG
    )
    parser.add_argument("--version", action="version", version=f"edge-agent {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="{init,run,check,status,top,replay}")
    add_init(commands)
    for name, meaning in (
        ("run", "label live messages until SIGTERM"),
        ("check", "name every problem of a configuration"),
    ):
        command = commands.add_parser(
            name, help=meaning, description=f"{meaning[0].upper()}{meaning[1:]}.", epilog=_EPILOG
        )
        command.add_argument("--config", type=Path, required=True, metavar="FILE", help="TOML configuration")
        command.add_argument(
            "--set",
            dest="overrides",
            action="append",
            default=[],
            metavar="PATH=VALUE",
            help="override one value; may repeat",
        )
        if name == "run":
            command.add_argument(
                "--workers", type=int, metavar="N", help="processes that share the devices; as --set gateway.workers=N"
            )
            command.add_argument(
                "--drain", action="store_true", help="label what the session holds, close every window, and end"
            )
    _add_status(commands)
    add_top(commands)
    replay = commands.add_parser("replay", help="print the label events of a recording as JSON lines")
    replay.add_argument("model", type=Path, metavar="M.onnx")
    replay.add_argument("recording", type=Path, metavar="RECORDING", help=".npz (stream or windows) or .csv")
    replay.add_argument(
        "--split", choices=("train", "test", "all"), default="all", help="rows of a file that has a split"
    )
    replay.add_argument(
        "--gateway", metavar="ID", help="gateway named in the events (default: of --config, else replay)"
    )
    replay.add_argument("--config", type=Path, metavar="FILE", help="configuration to take the gateway from")
    return parser


def _add_status(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    meaning = "say how the running agent does; exit code 0 = well, 1 = look at it, 2 = none answers"
    status = commands.add_parser("status", help=meaning, description=f"{meaning[0].upper()}{meaning[1:]}.")
    where = status.add_mutually_exclusive_group()
    where.add_argument("--config", type=Path, metavar="FILE", help="configuration of the agent: names its state folder")
    where.add_argument(
        "--socket", type=Path, metavar="PATH", help="its status socket (default: of a service, below /var/lib)"
    )
    status.add_argument("--json", action="store_true", help="one line of JSON instead of a page")


def _init(arguments: argparse.Namespace) -> int:
    from edge_agent.init.command import run

    return run(arguments)


def _top(arguments: argparse.Namespace) -> int:
    from edge_agent.top.command import run

    return run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    # What is made while starting stays: looking through it again and again for garbage would be a tenth of the start.
    gc.disable()
    from edge_agent.config_sources import load_config
    from edge_agent.shell.journal import start_log

    overrides = list(arguments.overrides)
    if arguments.workers is not None:
        overrides.append(f"gateway.workers={arguments.workers}")
    config = load_config(arguments.config, os.environ, overrides)
    start_log(log_format=config.status.log_format)
    if config.gateway.worker is not None or arguments.drain:
        from edge_agent.workers.tether import end_with_parent

        end_with_parent()
    elif (code := _supervised(config, arguments.config, overrides)) is not None:
        return code
    if arguments.drain:
        return prepare(config, arguments.config).drain()
    from edge_agent.operation.gateway import Gateway

    gateway = Gateway(arguments.config, overrides, os.environ)
    gc.freeze()
    gc.enable()
    return gateway.run()


def _supervised(config: AgentConfig, path: Path, overrides: Sequence[str]) -> int | None:
    """The exit code of several workers; None where this process is to label by itself."""
    from edge_agent.workers.layout import LayoutFile

    try:
        if config.gateway.workers == 1 and LayoutFile(config).is_of_one:
            return None
        from edge_agent.workers.supervisor import supervise

        gc.enable()
        return supervise(config, path, overrides)
    except OSError as error:
        raise _no_state_folder(config, path, error) from error


def prepare(config: AgentConfig, path: Path) -> Agent:
    """An agent that has proven its models, and has not yet asked for its broker.

    Raises
    ------
    ConfigError
        If a model, a certificate or the state folder cannot be used.
    """
    from edge_agent.shell.assembly import assemble
    from edge_agent.shell.loop import Agent

    pipelines = assemble(config, str(path))
    try:
        return Agent(config, pipelines)
    except OSError as error:
        raise _no_state_folder(config, path, error) from error


def _no_state_folder(config: AgentConfig, path: Path, error: OSError) -> ConfigError:
    from schemas.errors import ConfigError

    problem = f"gateway.state_dir: a folder that can be written expected, got {config.gateway.state_dir}"
    return ConfigError(str(path), [f"{problem}: {error.strerror or error}"])


def _check(arguments: argparse.Namespace) -> int:
    from edge_agent.config_sources import load_config
    from edge_agent.shell.assembly import assemble

    config = load_config(arguments.config, os.environ, arguments.overrides)
    for assembled in assemble(config, str(arguments.config)):
        info = assembled.info
        topics = ", ".join(info.topics)
        answers = ", ".join(info.classes) or f"windows of {info.window_length} x {', '.join(info.channels)}"
        print(f"{info.name}: {info.model}, {info.sampling_rate_hz:g} Hz, {topics} -> {answers}")
    if config.gateway.workers > 1:
        from edge_agent.workers.share import share_notes

        for note in share_notes(config):
            print(f"{config.gateway.workers} workers: {note}")
    print(f"{arguments.config}: good")
    return EXIT_OK


def _status(arguments: argparse.Namespace) -> int:
    from edge_agent.operation.status_page import EXIT_NOT_RUNNING, exit_code, write_page
    from edge_agent.operation.status_socket import ask_status, socket_path
    from schemas.errors import EdgeError

    path = socket_path(arguments.socket, arguments.config)
    try:
        status = ask_status(path)
    except EdgeError as error:
        print(f"edge-agent: {error}", file=sys.stderr)
        return EXIT_NOT_RUNNING
    print(status.model_dump_json(by_alias=True) if arguments.json else write_page(status))
    return exit_code(status)


def _replay(arguments: argparse.Namespace) -> int:
    from edge_agent.config_sources import load_config
    from edge_agent.shell.replay import replay

    gateway = arguments.gateway or "replay"
    if arguments.config is not None and arguments.gateway is None:
        gateway = load_config(arguments.config, os.environ).gateway.id
    for line in replay(arguments.model, arguments.recording, split=arguments.split, gateway=gateway):
        sys.stdout.write(line)
        sys.stdout.write("\n")
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
