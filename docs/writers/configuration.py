"""The page of the agent's configuration: every key, where it may come from, and a whole example."""

from __future__ import annotations

import inspect
from pathlib import Path

from docs.writers.fields import Field, fields_of
from docs.writers.markdown import code, page, table
from edge_agent import config
from edge_agent.config import AgentConfig
from edge_agent.config_sources import ENVIRONMENT_PREFIX

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "edge-agent.toml"

_INTRODUCTION = """
One TOML file holds all that an agent is told. `edge-agent check --config FILE` reads it, loads and proves every model
it names, and prints every problem at once, each with its path. It exits with 78 if there is one. An unknown key is an
error at every level; the nearest known key is named. No file yet? `edge-agent init` listens to a broker and writes
one: [first-steps.md](first-steps.md).
"""

_MAPPING = """
The kind of mapping is told by `format`. Examples for common senders: [payloads.md](payloads.md).
"""


def write() -> str:
    """The page."""
    sections: dict[str, list[Field]] = {}
    for field in fields_of(AgentConfig):
        sections.setdefault(_section(field.path), []).append(field)
    parts = [_INTRODUCTION, "## Where values come from", _sources(), "## Keys"]
    for name, fields in sections.items():
        parts.append(f"### {code(name)}" if name else "### Top level")
        if name.startswith("pipelines[].mapping"):
            parts.append(_MAPPING)
        parts.append(table(["key", "type", "default", "range", "meaning"], [_row(field) for field in fields]))
    parts += ["## A whole example", f"```toml\n{EXAMPLE.read_text(encoding='utf-8').strip()}\n```"]
    parts.append("JSON Schema, for editors: [schemas/agent_config.schema.json](schemas/agent_config.schema.json).")
    return page("Configuration of the agent", *parts)


def _sources() -> str:
    """What the module of the configuration says of precedence, and one line of each source."""
    said = (inspect.getdoc(config) or "").split("\n\n", 1)[1]
    said = said.replace("``", "`")
    example = f"{ENVIRONMENT_PREFIX}GATEWAY__ID=pi4 edge-agent run --config FILE --set pipelines.0.deadline_s=5"
    return f"{said}\n\n```sh\n{example}\n```"


def _section(path: str) -> str:
    """The table a key stands in: all before its last name, but nested tables stay with the mapping they belong to."""
    if (end := path.find(").")) >= 0:
        return path[: end + 1]
    return path.rpartition(".")[0]


def _row(field: Field) -> list[str]:
    key = field.path.removeprefix(f"{_section(field.path)}.")
    return [
        code(key),
        field.kind.replace("|", "\\|"),
        code(field.default) if field.default not in {"required", "none"} else field.default,
        field.bounds.replace("|", "\\|"),
        field.meaning,
    ]
