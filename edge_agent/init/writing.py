"""The configuration as text: TOML with comments. What was heard becomes a comment or a string, and nothing else.

Topics and payloads come from whoever can publish. In comments every control character is replaced, so that no line
ends early; values are TOML strings with escapes.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Sequence
from pathlib import Path

from edge_agent.init.family import Family
from edge_agent.init.forms import common_record
from schemas.mapping import JsonMapping, Mapping, ScalarMapping

_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SHOWN = 160
_WIDTH = 116


def shown(text: str, limit: int = _SHOWN) -> str:
    r"""The text for a comment or a terminal: one line, no control characters, at most ``limit`` characters.

    Examples
    --------
    >>> shown("a\n[mqtt]\x1b[31m")
    'a?[mqtt]?[31m'
    """
    clean = "".join(character if character.isprintable() else "?" for character in text)
    return clean if len(clean) <= limit else f"{clean[: limit - 1]}…"


def toml_text(text: str) -> str:
    r"""A TOML basic string.

    Examples
    --------
    >>> toml_text('say "x"\x7f')
    '"say \\"x\\"\\U0000007f"'
    """
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(character if character.isprintable() else f"\\U{ord(character):08x}" for character in quoted)


def toml_key(text: str) -> str:
    """A key of a TOML table, quoted where it must be."""
    return text if _KEY.fullmatch(text) else toml_text(text)


def comment(text: str) -> list[str]:
    """The text as comment lines."""
    lines, line = [], "#"
    for word in shown(text, 2_000).split(" "):
        if len(line) + len(word) >= _WIDTH and line != "#":
            lines.append(line)
            line = "#  "
        line += f" {word}"
    return [*lines, line]


def family_text(family: Family, name: str, model: str | None) -> list[str]:
    """The lines of one family: a pipeline, or the same in comments where something stands in its way."""
    lines = comment(f"---- {title(family)}")
    for form in family.heard[:2]:
        if form.heard.live:
            payload = form.heard.live[-1][1]
            said = payload.hex(" ") if form.kind == "binary" else payload.decode(errors="replace")
            lines += comment(f"heard: {shown(form.heard.topic)} {shown(said)}")
    for note in family.notes:
        lines += comment(note)
    if family.plan is not None and model is None:
        lines += comment(f"{family.plan.reason}.")
    if family.problem is not None:
        lines += comment(f"Not used: {family.problem}")
    body = _binary_body(family, name) if family.mapping is None else _body(family, name, model)
    return [*lines, *(body if family.problem is None else [f"# {line}".rstrip() for line in body]), ""]


def title(family: Family) -> str:
    """One line on a family: product, devices, rhythm."""
    n = len(family.devices)
    who = f"{n} device{'s' if n != 1 else ''} ({', '.join(family.devices[:4])}{', …' if n > 4 else ''})"
    pace = "heard too rarely for a rate" if family.rate is None else f"{family.rate.hz:g} samples/s"
    return f"{family.product}: {who if n else family.topics[0]}, {pace}, {family.n_messages} messages"


def _body(family: Family, name: str, model: str | None) -> list[str]:
    topics = ", ".join(map(toml_text, family.topics))
    lines = ["[[pipelines]]", f"name = {toml_text(name)}", f"topics = [{topics}]"]
    if model is not None:
        lines.append(f"model = {toml_text(model)}")
    lines += [f"deadline_s = {family.deadline_s!r}  # how long a window waits for late samples", ""]
    if family.mapping is not None:
        lines += _mapping(family.mapping, family)
    if model is None and family.plan is not None:
        plan = family.plan
        common = [channel.name for channel in family.channels if channel.is_common]
        seconds = plan.window_length / plan.sampling_rate_hz
        lines += ["", "[pipelines.window]"]
        lines += [f"channels = [{', '.join(map(toml_text, common))}]"]
        lines += [f"sampling_rate_hz = {plan.sampling_rate_hz!r}"]
        lines += [f"window_length = {plan.window_length}  # {seconds:.4g} s", f"hop_length = {plan.hop_length}"]
        lines += [f"policy = {toml_text(plan.policy)}"]
        if plan.max_age_s is not None:
            lines += [f"max_age_s = {plan.max_age_s!r}"]
        lines += ["min_present = 0.5  # windows with less are published all the same, as incomplete"]
    return lines


def _mapping(mapping: Mapping, family: Family) -> list[str]:
    lines = ["[pipelines.mapping]", f"format = {toml_text(mapping.format)}"]
    if isinstance(mapping, JsonMapping):
        if mapping.samples is not None:
            lines.append(f"samples = {toml_text(mapping.samples)}")
        if mapping.device is not None:
            lines.append(f"device = {toml_text(mapping.device)}")
        if mapping.time is not None:
            time = mapping.time
            lines.append(
                f"time = {{ path = {toml_text(time.path)}, unit = {toml_text(time.unit)}, of = {toml_text(time.of)} }}"
            )
        if mapping.sampling_rate_hz is not None:
            lines.append(f"sampling_rate_hz = {mapping.sampling_rate_hz!r}  # inside a message")
    elif isinstance(mapping, ScalarMapping):
        if mapping.channel is not None:
            lines.append(f"channel = {toml_text(mapping.channel)}")
        if mapping.values:
            pairs = ", ".join(f"{toml_key(word)} = {value!r}" for word, value in mapping.values.items())
            lines.append(f"values = {{ {pairs} }}")
    channels = {} if mapping.format == "binary" else mapping.channels
    if channels:
        lines += ["", "[pipelines.mapping.channels]"]
    known = {channel.name: channel for channel in family.channels}
    for name, where in channels.items():
        found = known.get(name)
        said = ""
        if found is not None:
            some = "" if found.is_common else "; not every device has it"
            unit = f" {shown(found.unit, 40)}" if found.unit else ""
            said = f"  # {found.lowest:.6g} to {found.highest:.6g}{unit}{some}"
        lines.append(f"{toml_key(name)} = {toml_text(where)}{said}")
    return lines


def _binary_body(family: Family, name: str) -> list[str]:
    if not family.heard or family.heard[0].kind != "binary":
        return []
    sizes = sorted(set(family.heard[0].sizes))
    record = common_record(sizes)
    return [
        f"# frames of {', '.join(map(str, sizes[:6]))} bytes" + (f", all multiples of {record}" if record > 1 else ""),
        "[[pipelines]]",
        f"name = {toml_text(name)}",
        f"topics = [{toml_text(family.topics[0])}]  # one level as {{device}}",
        'model = "model.onnx"',
        "",
        "[pipelines.mapping]",
        'format = "binary"',
        'endian = "little"',
        'header = [{ name = "t", type = "uint32" }]',
        'time = { field = "t", unit = "ms", of = "first" }',
        'fields = [{ name = "x", type = "int16", scale = 0.001 }, { name = "y", type = "int16", scale = 0.001 }]',
    ]


def pipeline_names(families: Sequence[Family]) -> list[str]:
    """A name for each family that no other has.

    Examples
    --------
    >>> pipeline_names([Family("plain", ["plant/{device}/v"], [], []), Family("plain", ["plant/{device}/v"], [], [])])
    ['plant-v', 'plant-v-2']
    """
    names: list[str] = []
    for family in families:
        levels = [level for level in family.topics[0].split("/") if not re.search(r"[{}+#]", level)]
        words = levels if family.product in {"plain", "binary"} else [family.product]
        if family.product != "plain" and len(family.channels) <= 2:
            words = [*words, *sorted(channel.name for channel in family.channels)]
        base = re.sub(r"[^a-z0-9]+", "-", "-".join(words).lower()).strip("-")[:40].strip("-") or "pipeline"
        name, n = base, 2
        while name in names:
            name, n = f"{base}-{n}", n + 1
        names.append(name)
    return names


def write_beside(path: Path, text: str) -> Path:
    """A file of this text beside ``path``, on the disk; the caller gives it its name or removes it."""
    beside = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.toml")
    with beside.open("x", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return beside
