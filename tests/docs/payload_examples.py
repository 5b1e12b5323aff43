"""Reads the examples of docs/payloads.md and runs them: a mapping, messages, and what the page says comes of them."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from schemas import BinaryMapping, JsonMapping, Mapping, ScalarMapping, format_timestamp
from signals import Block, compile_decoder

RATE_HZ = 100.0
"""Rate of the imagined model, where a mapping does not say one."""

_SECTION = re.compile(r"^## (.+?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_MAPPING: TypeAdapter[JsonMapping | ScalarMapping | BinaryMapping] = TypeAdapter(Mapping)


@dataclass(frozen=True, slots=True)
class Example:
    """One section of the page."""

    title: str
    pipeline: dict[str, Any]
    messages: tuple[tuple[str, bytes], ...]
    shown: str


def read_examples(page: Path) -> list[Example]:
    """Every section of the page; each has one TOML block, one of messages, and one of what they give."""
    examples = []
    for title, text in _SECTION.findall(page.read_text(encoding="utf-8")):
        blocks: dict[str, str] = dict(re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
        messages = tuple(_message(line) for line in blocks["mqtt"].splitlines())
        examples.append(Example(title, tomllib.loads(blocks["toml"]), messages, blocks.get("text", "")))
    return examples


def _message(line: str) -> tuple[str, bytes]:
    topic, _, payload = line.partition(" ")
    return topic, bytes.fromhex(payload.removeprefix("hex:")) if payload.startswith("hex:") else payload.encode()


def channels_of(mapping: JsonMapping | ScalarMapping | BinaryMapping) -> list[str]:
    """The channels that a model for this mapping would have."""
    if isinstance(mapping, BinaryMapping):
        return [field.name for field in mapping.fields if not field.name.startswith("_")]
    return list(mapping.channels)


def outcome(example: Example) -> str:
    """What the decoder makes of the messages, one line a channel and message."""
    mapping = _MAPPING.validate_python(example.pipeline["mapping"])
    channels = channels_of(mapping)
    decoder = compile_decoder(mapping, example.pipeline["topics"], channels, RATE_HZ)
    lines = []
    for topic, payload in example.messages:
        for block in decoder.decode(topic, payload):
            lines += _lines(block, channels)
    return "\n".join(lines) + "\n"


def _lines(block: Block, channels: list[str]) -> list[str]:
    if block.t_ns is not None:
        when = "at " + ", ".join(format_timestamp(int(time)) for time in block.t_ns)
    else:
        when = "by receipt" if block.t0_ns is None else f"from {format_timestamp(block.t0_ns)}"
    if block.rate_hz is not None:
        when += f" at {block.rate_hz:g} Hz"
    rows = zip(block.channels, block.values, strict=True)
    return [f"{block.device}: {channels[position]} = {_numbers(values)} {when}" for position, values in rows]


def _numbers(values: np.ndarray[Any, np.dtype[np.float32]]) -> str:
    return ", ".join("missing" if np.isnan(value) else f"{value:g}" for value in values)
