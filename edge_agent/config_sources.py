"""From file, environment and command line to one `AgentConfig`, or to one error that names every problem."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from edge_agent.config import AgentConfig
from schemas import ConfigError

ENVIRONMENT_PREFIX = "EDGE_AGENT_"
_LEVELS = "__"


def load_config(path: Path, environment: Mapping[str, str], overrides: Sequence[str] = ()) -> AgentConfig:
    """The configuration out of all sources, checked as a whole; the files it names are found beside it.

    Parameters
    ----------
    path : Path
        The TOML file.
    environment : mapping of str to str
        As ``os.environ``; only names that start with ``EDGE_AGENT_`` are read.
    overrides : sequence of str
        ``path=value``, the strongest source.

    Raises
    ------
    ConfigError
        If the file cannot be read, is no TOML, or breaks the contract: one line a problem.
    """
    raw = _read_toml(path)
    problems: list[str] = []
    for name, keys, text in _assignments(environment, overrides, problems):
        _assign(raw, keys, _value_of(text), name, problems)
    try:
        config = AgentConfig.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(str(path), problems + describe(error)) from error
    problems += config.problems()
    if config.gateway.workers > 1 and config.mqtt.shared_group_hashes_topics:
        from edge_agent.workers.share import shared_group_problems

        problems += shared_group_problems(config)
    if problems:
        raise ConfigError(str(path), problems)
    folder = path.resolve().parent
    pipelines = [
        pipeline if pipeline.model is None else pipeline.model_copy(update={"model": folder / pipeline.model})
        for pipeline in config.pipelines
    ]
    files = {
        name: folder / path
        for name in ("password_file", "ca_file", "cert_file", "key_file")
        if (path := getattr(config.mqtt, name)) is not None
    }
    return config.model_copy(update={"pipelines": pipelines, "mqtt": config.mqtt.model_copy(update=files)})


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise ConfigError(str(path), [f"a readable TOML file expected, got {error.strerror or error}"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [f"TOML expected, got {error}"]) from error


def _assignments(
    environment: Mapping[str, str], overrides: Sequence[str], problems: list[str]
) -> Iterator[tuple[str, list[str], str]]:
    for name in sorted(environment):
        if name.startswith(ENVIRONMENT_PREFIX):
            yield name, name.removeprefix(ENVIRONMENT_PREFIX).lower().split(_LEVELS), environment[name]
    for override in overrides:
        path, equals, text = override.partition("=")
        if equals:
            yield f"--set {path}", path.strip().split("."), text
        else:
            problems.append(f"--set: path=value expected, got {override!r}")


def _value_of(text: str) -> Any:  # noqa: ANN401 - JSON is any value; the contract decides what it may be
    if text.lstrip().startswith(("[", "{")):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _assign(raw: dict[str, Any], keys: list[str], value: object, name: str, problems: list[str]) -> None:
    """Put the value at its path; pydantic converts the text to the type of the field."""
    here: Any = raw
    for key in keys[:-1]:
        if isinstance(here, list) and key.isdigit() and int(key) < len(here):
            here = here[int(key)]
        elif isinstance(here, dict):
            here = here.setdefault(key, {})
        else:
            problems.append(f"{name}: a path of the configuration expected, got {key!r} where there is no table")
            return
    if isinstance(here, dict):
        here[keys[-1]] = value
    else:
        problems.append(f"{name}: a path of the configuration expected, got {keys[-1]!r} where there is no table")


def describe(error: ValidationError) -> list[str]:
    """One line a problem: its TOML path, what was expected, what came; an unknown key with the nearest known one.

    Examples
    --------
    >>> try:
    ...     AgentConfig.model_validate({"version": 1, "gateway": {"id": "a", "statedir": "/tmp"}, "pipelines": []})
    ... except ValidationError as error:
    ...     describe(error)
    ["gateway.statedir: unknown key, did you mean 'gateway.state_dir'?",
     'pipelines: List should have at least 1 item after validation, not 0, got []']
    """
    lines = []
    for problem in error.errors():
        keys, known = _walk(problem["loc"])
        path = _toml_path(keys)
        kind = problem["type"]
        if kind == "extra_forbidden":
            lines.append(f"{path}: unknown key{_suggestion(keys, known)}")
        elif kind == "missing":
            lines.append(f"{path}: this key is missing")
        elif kind == "value_error":
            lines.append(f"{path}: {problem['msg'].removeprefix('Value error, ')}")
        else:
            lines.append(f"{path}: {problem['msg']}, got {_short(problem['input'])}")
    return lines


def _walk(location: tuple[int | str, ...]) -> tuple[list[int | str], list[str]]:
    """The path without the tags of unions, and the keys known where it ends."""
    kinds: list[type[BaseModel]] = [AgentConfig]
    keys: list[int | str] = []
    for position, part in enumerate(location, start=1):
        tagged = [kind for kind in kinds if _tag(kind) == part]
        if tagged and all(part not in kind.model_fields for kind in kinds):
            kinds = tagged
            continue
        keys.append(part)
        if isinstance(part, str) and position < len(location):
            fields = [kind.model_fields[part] for kind in kinds if part in kind.model_fields]
            kinds = [model for field in fields for model in _models(field.annotation)]
    return keys, sorted({name for kind in kinds for name in kind.model_fields})


def _tag(kind: type[BaseModel]) -> object:
    """The value of ``format`` that a member of the Mapping union is told by; None for the rest."""
    field = kind.model_fields.get("format")
    return field.default if field is not None else None


def _models(annotation: object) -> list[type[BaseModel]]:
    """Every pydantic model inside an annotation, whatever it is wrapped in."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models(inner)]


def _suggestion(keys: list[int | str], known: list[str]) -> str:
    import difflib

    wrong = str(keys[-1])
    if near := difflib.get_close_matches(wrong, known, n=1, cutoff=0.5):
        return f", did you mean {_toml_path([*keys[:-1], near[0]])!r}?"
    elsewhere = {path.rsplit(".", 1)[-1]: path for path in _all_paths(AgentConfig)}
    if near := difflib.get_close_matches(wrong, elsewhere, n=1, cutoff=0.8):
        return f", did you mean {elsewhere[near[0]]!r}?"
    return f"; known here: {', '.join(known)}"


def _all_paths(kind: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in kind.model_fields.items():
        inner = _models(field.annotation)
        if not inner:
            yield prefix + name
        for model in inner:
            yield from _all_paths(model, f"{prefix}{name}.")


def _toml_path(keys: Sequence[int | str]) -> str:
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else f"{'.' if text else ''}{key}"
    return text or "whole file"


def _short(value: object, limit: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
