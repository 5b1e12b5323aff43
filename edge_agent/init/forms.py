"""What the messages of one topic are: JSON, one number, a word that stands for one, or bytes that nobody can guess."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import orjson

from edge_agent.init.hearing import HeardTopic
from edge_agent.init.json_form import JsonForm, analyse
from edge_agent.init.json_leaves import Document
from schemas.mapping import ScalarMapping
from signals.block import DecodeError
from signals.codecs import ScalarDecoder

Kind = Literal["json", "number", "binary", "text", "silent"]

WORDS = {
    "ON": 1.0,
    "OFF": 0.0,
    "on": 1.0,
    "off": 0.0,
    "true": 1.0,
    "false": 0.0,
    "open": 1.0,
    "closed": 0.0,
    "OPEN": 1.0,
    "CLOSED": 0.0,
}
"""Texts that are a state of the world, and the number each stands for."""

_SHELLY_EVENT = b'"NotifyEvent"'


@dataclass(slots=True)
class Form:
    """The messages of one topic."""

    kind: Kind
    heard: HeardTopic
    json: JsonForm | None = None
    documents: list[Document] = field(default_factory=list)
    numbers: list[float] = field(default_factory=list)
    words: set[str] = field(default_factory=set)
    sizes: list[int] = field(default_factory=list)


def form_of(heard: HeardTopic) -> Form:
    """What the kept live messages are; ``silent`` where nothing came but a retained one.

    Examples
    --------
    >>> heard = HeardTopic("a", n_live=2, first=[(0, b"21.5"), (1, b"nan")])
    >>> form_of(heard).kind, form_of(heard).numbers
    ('number', [21.5])
    """
    live = heard.live
    if not live:
        return Form("silent", heard)
    documents = _documents(live)
    if documents:
        return Form("json", heard, analyse(documents), documents)
    numbers, words, unread = _scalars([payload for _, payload in live])
    if unread == 0 and (numbers or words):
        return Form("number", heard, numbers=numbers, words=words)
    payloads = [payload for _, payload in live]
    if any(_is_binary(payload) for payload in payloads):
        return Form("binary", heard, sizes=[len(payload) for payload in payloads])
    return Form("text", heard)


def _documents(live: Sequence[tuple[int, bytes]]) -> list[Document]:
    found = []
    for received, payload in live:
        if _SHELLY_EVENT in payload:
            continue
        try:
            document = orjson.loads(payload)
        except orjson.JSONDecodeError:
            continue
        if isinstance(document, dict | list):
            found.append((received, document))
    return found if 2 * len(found) >= len(live) else []


def _scalars(payloads: Sequence[bytes]) -> tuple[list[float], set[str], int]:
    decoder = ScalarDecoder(ScalarMapping(channel="value", values=WORDS), ["{device}"], ["value"])
    numbers: list[float] = []
    words: set[str] = set()
    unread = 0
    for payload in payloads:
        try:
            (block,) = decoder.decode("any", payload)
        except DecodeError as error:
            unread += error.reason != "missing_field"
            continue
        text = payload.strip().decode()
        if text in WORDS:
            words.add(text)
        numbers.append(float(block.values[0, 0]))
    return numbers, words, unread


def _is_binary(payload: bytes) -> bool:
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return True
    return any(ord(character) < 32 and character not in "\t\r\n" for character in text)


def common_record(sizes: Sequence[int]) -> int:
    """The largest size of which all lengths are a multiple: a hint at the length of one sample in a frame."""
    return math.gcd(*sizes) if sizes else 0
