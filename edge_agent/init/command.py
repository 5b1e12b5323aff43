"""``edge-agent init`` from its command line to the written file."""

from __future__ import annotations

import argparse
import os
import socket
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from edge_agent.config import MqttConfig
from edge_agent.config_sources import load_config
from edge_agent.errors import InitError
from edge_agent.init.discovery import announced_units
from edge_agent.init.families import recognise
from edge_agent.init.family import Family, Recognised
from edge_agent.init.fitting import fit_to_model, try_on_messages
from edge_agent.init.listening import Listener
from edge_agent.init.writing import comment, family_text, pipeline_names, shown, toml_text, write_beside
from edge_agent.shell.assembly import assemble
from edge_agent.shell.model import Model
from schemas import ConfigError
from schemas.topics import ID_PATTERN
from signals import device_id

_FILES = ("password_file", "ca_file", "cert_file", "key_file")


def run(arguments: argparse.Namespace) -> int:
    """Listen, recognise, write; 0 = the file is there, passes ``check`` and has at least one pipeline.

    Raises
    ------
    ConfigError
        If an option is no configuration.
    InitError
        If there is no broker, nothing was heard that a pipeline could read, or the output file is there already.
    """
    output: Path = arguments.output
    if output.exists() and not arguments.force:
        raise InitError(f"{output}: a new file expected, got one that is there; --force replaces it")
    if not output.parent.is_dir():
        raise InitError(f"{output}: a file in a folder that exists expected, got no folder {output.parent}")
    gateway = arguments.gateway or _host_id()
    if not ID_PATTERN.match(gateway):
        raise InitError(f"--gateway: 1 to 64 of [a-z0-9-] expected, got {gateway!r}")
    mqtt = _mqtt(arguments)
    card = None if arguments.model is None else Model(arguments.model).card
    listener = Listener(mqtt, arguments.topics or ["#"])
    listened_s = listener.listen(arguments.seconds, _Progress(listener, arguments.seconds).show)
    _clear_line()
    hearing = listener.hearing
    found = recognise(hearing, units=announced_units(hearing), listened_s=listened_s)
    for family in found.families:
        try_on_messages(family, gateway)
        if card is not None:
            fit_to_model(family, card)
    found.families.sort(key=lambda family: (family.problem is not None, -family.n_messages))
    names = pipeline_names(found.families)
    sys.stdout.write(f"{_table(found, names)}\n")
    over = f"; {hearing.n_topics_passed_over} messages on topics beyond those" if hearing.n_topics_passed_over else ""
    sys.stdout.write(f"{hearing.n_messages} messages on {len(hearing.topics)} topics in {listened_s:.0f} s{over}\n")
    if all(family.problem is not None for family in found.families):
        raise InitError(_nothing(listener, listened_s, found))
    model = None if arguments.model is None else str(arguments.model.resolve())
    text = _text(arguments, mqtt, gateway, listener, listened_s, found, names, model)
    _write_checked(output, text)
    sys.stdout.write(f"{output}: written and checked. Next: edge-agent run --config {output}\n")
    return 0


def _nothing(listener: Listener, listened_s: float, found: Recognised) -> str:
    if not found.families:
        return f"{listener.where}: sensor messages expected, heard none in {listened_s:.0f} s; try --seconds 300"
    return f"{listener.where}: no topic can be a pipeline yet, the reasons stand above; nothing was written"


def _host_id() -> str:
    try:
        return device_id(socket.gethostname())
    except ValueError:
        return "gateway"


def _mqtt(arguments: argparse.Namespace) -> MqttConfig:
    given = {name: getattr(arguments, name) for name in ("host", "port", "username", *_FILES)}
    resolved = {
        name: value.resolve() if name in _FILES else value for name, value in given.items() if value is not None
    }
    if "port" not in resolved:
        resolved["port"] = 8883 if "ca_file" in resolved else 1883
    try:
        return MqttConfig.model_validate(resolved)
    except ValidationError as error:
        lines = [problem["msg"].removeprefix("Value error, ") for problem in error.errors()]
        raise ConfigError("init", lines) from error


class _Progress:
    """One line that is rewritten while we listen, on a terminal only."""

    def __init__(self, listener: Listener, seconds: float) -> None:
        self._listener = listener
        self._seconds = seconds
        self._next_s = 0.0

    def show(self, passed_s: float) -> None:
        """Rewrite the line, twice a second at most."""
        if not sys.stderr.isatty() or passed_s < self._next_s:
            return
        self._next_s = passed_s + 0.5
        hearing = self._listener.hearing
        done = int(20 * passed_s / self._seconds)
        bar = "█" * done + "░" * (20 - done)
        heard = f"{hearing.n_messages} messages, {len(hearing.topics)} topics"
        said = f"{bar} {passed_s:.0f} of {self._seconds:.0f} s: {heard}"
        sys.stderr.write(f"\r\033[K{said} (Ctrl-C: that is enough)")
        sys.stderr.flush()


def _clear_line() -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")
        sys.stderr.flush()


def _table(found: Recognised, names: list[str]) -> str:
    rows = [("topics", "devices", "channels", "samples/s", "verdict")]
    for family, name in zip(found.families, names, strict=True):
        channels = ", ".join(channel.name for channel in family.channels)
        rate = "?" if family.rate is None else f"{family.rate.hz:.3g}"
        verdict = f"pipeline {name}" if family.problem is None else f"no: {family.problem}"
        rows.append((" ".join(family.topics), _count(family), channels or "-", rate, verdict))
    for why, topics in found.passed_over.items():
        rest = f" and {len(topics) - 1} more" if len(topics) > 1 else ""
        rows.append((f"{topics[0]}{rest}", "-", "-", "-", f"passed over: {why}"))
    limits = (44, 8, 36, 9, 90)
    clean = [[shown(cell, limit) for cell, limit in zip(row, limits, strict=True)] for row in rows]
    widths = [max(len(row[column]) for row in clean) for column in range(4)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row[:4], widths, strict=True)), row[4]]) for row in clean
    )


def _count(family: Family) -> str:
    return str(len(family.devices)) if family.devices else "-"


def _text(  # noqa: PLR0917 - the parts of one page
    arguments: argparse.Namespace,
    mqtt: MqttConfig,
    gateway: str,
    listener: Listener,
    listened_s: float,
    found: Recognised,
    names: list[str],
    model: str | None,
) -> str:
    hearing = listener.hearing
    n_used = sum(family.problem is None for family in found.families)
    today = datetime.fromtimestamp(time.time(), UTC).date().isoformat()
    lines = comment(
        f"Written by edge-agent init on {today}: {hearing.n_messages} messages on {len(hearing.topics)} topics of "
        f"{listener.where} in {listened_s:.0f} s; {n_used} of {len(found.families)} families of topics became "
        "pipelines."
    )
    if model is None:
        lines += comment(
            "There is no model yet: each pipeline collects its windows and publishes them on "
            f"telltale/v1/{gateway}/<device>/capture, to be labelled and fitted on. With a model, put "
            'model = "file.onnx" in place of the table [pipelines.window].'
        )
    lines += ["", "version = 1", "", "[gateway]", f"id = {toml_text(gateway)}  # in every topic of this agent"]
    state = arguments.output.resolve().parent / "edge-agent-state"
    lines += [f"state_dir = {toml_text(str(state))}  # as a service: /var/lib/edge-agent", "", "[mqtt]"]
    lines += [f"host = {toml_text(mqtt.host)}", f"port = {mqtt.port}"]
    for name in ("username", *_FILES):
        if (value := getattr(mqtt, name)) is not None:
            lines.append(f"{name} = {toml_text(str(value))}")
    lines.append("")
    for family, name in zip(found.families, names, strict=True):
        lines += family_text(family, name, model)
    if found.passed_over:
        lines += ["# ---- passed over"]
        for why, topics in found.passed_over.items():
            some = ", ".join(shown(topic, 60) for topic in topics[:3]) + (", …" if len(topics) > 3 else "")
            lines += comment(f"{why}: {some}")
    return "\n".join(lines).rstrip() + "\n"


def _write_checked(output: Path, text: str) -> None:
    """Give the file its name only once ``check`` has accepted it."""
    try:
        beside = write_beside(output, text)
    except OSError as error:
        raise InitError(f"{output}: a file that can be written expected, got {error.strerror}") from error
    try:
        assemble(load_config(beside, {}), str(output))
        os.replace(beside, output)  # noqa: PTH105 - the house rule in one word: write beside, replace
    except ConfigError as error:
        raise InitError(f"what was written does not pass check ({error.problems[0]}); nothing is kept") from error
    except OSError as error:
        raise InitError(f"{output}: a file that can be written expected, got {error.strerror}") from error
    finally:
        beside.unlink(missing_ok=True)
