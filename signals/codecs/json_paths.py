"""Paths into JSON: compiled once, followed for every message, never raising on what they meet.

``data.x``, ``values[0]``, ``["odd key"].x``, ``['odd key']``; a leading ``$`` is the message itself. A path that meets
nothing, null or a value of another kind leads to None.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

import orjson

Steps = tuple[str | int, ...]
"""A compiled path: keys and array indices."""

_INDEX = re.compile(r"\[([0-9]{1,6})\]")
_QUOTED = re.compile(r'\[("(?:[^"\\]|\\.)*")\]')
_LITERAL = re.compile(r"\['([^']*)'\]")
_BARE = re.compile(r"[^.\[\]]+")


def compile_path(text: str) -> Steps:
    """The steps of a path.

    A ``$`` is the message only alone or before ``.`` or ``[``; elsewhere it is part of a key, as in Homie's ``$state``.

    Raises
    ------
    ValueError
        If the text is no path.

    Examples
    --------
    >>> compile_path("$.params.temperature:0.tC"), compile_path('rows[2]["odd.key"]'), compile_path("$")
    (('params', 'temperature:0', 'tC'), ('rows', 2, 'odd.key'), ())
    """
    steps: list[str | int] = []
    rooted = text == "$" or text.startswith(("$.", "$["))
    position = 1 if rooted else 0
    while position < len(text):
        if text[position] == "[":
            step, position = _bracket(text, position)
        else:
            if steps or rooted:
                position += 1 if text[position] == "." else len(text)
            match = _BARE.match(text, position)
            if match is None:
                raise _no_path(text)
            step, position = match[0], match.end()
        steps.append(step)
    if not steps and not rooted:
        raise _no_path(text)
    return tuple(steps)


def find(document: object, steps: Steps) -> object:
    """What stands at a path, or None.

    Examples
    --------
    >>> find({"a": [{"b": 1}]}, ("a", 0, "b")), find({"a": 5}, ("a", 0, "b"))
    (1, None)
    """
    for step in steps:
        if isinstance(document, dict):
            document = document.get(step)
        elif isinstance(document, list) and isinstance(step, int) and step < len(document):
            document = document[step]
        else:
            return None
    return document


def compile_pick(paths: Sequence[Steps]) -> Callable[[object], list[Any]]:
    """A function from a document to what stands at each path, None where nothing does.

    Channels mostly are siblings: then the way to their parent is walked once.

    Examples
    --------
    >>> compile_pick([("a", "x"), ("a", "y")])({"a": {"y": 2}})
    [None, 2]
    """
    parents = {steps[:-1] for steps in paths}
    leaves = [steps[-1] for steps in paths if steps]
    if len(parents) == 1 and len(leaves) == len(paths) and all(isinstance(leaf, str) for leaf in leaves):
        (parent,) = parents

        def pick_siblings(document: object) -> list[Any]:
            found = find(document, parent) if parent else document
            if isinstance(found, dict):
                get = found.get
                return [get(leaf) for leaf in leaves]
            return [None] * len(leaves)

        return pick_siblings
    return lambda document: [find(document, steps) for steps in paths]


class RowPacker:
    """Packs rows whose every value is there to float32, row by row, as fast as it goes.

    Parameters
    ----------
    paths : sequence of Steps
        Where each channel stands inside a row.

    Attributes
    ----------
    kinds : tuple of type
        What a row must be for these paths: list, dict, either, or anything.
    """

    def __init__(self, paths: Sequence[Steps]) -> None:
        self._n_channels = len(paths)
        self._getter: Callable[[Any], Any] | None = None
        leaves = [steps[0] for steps in paths if len(steps) == 1]
        if len(leaves) == len(paths):
            self._getter = itemgetter(*leaves)
        first = {type(steps[0]) for steps in paths if steps}
        self.are_arrays = first == {int}
        self.kinds: tuple[type, ...] = (list,) if self.are_arrays else (dict,) if first == {str} else (list, dict)
        if () in paths:
            self.kinds, self.are_arrays = (object,), False  # a row may be the number itself
        self._is_whole_row = leaves == list(range(len(paths)))
        self._pick = compile_pick(paths)

    def pack(self, rows: list[Any]) -> bytes:
        """float32 values of shape (len(rows), n_channels) as bytes.

        Raises
        ------
        struct.error, OverflowError, LookupError, TypeError
            Something is missing, null, ragged or no number: to be looked at slowly.
        """
        flat: Any
        if self._getter is None:
            flat = chain.from_iterable(map(self._pick, rows))
        else:
            if self.are_arrays:
                widths = set(map(len, rows))
                if len(widths) != 1:
                    raise TypeError("ragged")
                whole = self._is_whole_row and widths == {self._n_channels}
            else:
                whole = False
            flat = rows if whole else map(self._getter, rows)
            if whole or self._n_channels > 1:
                flat = chain.from_iterable(flat)
        return struct.pack(f"={len(rows) * self._n_channels}f", *flat)

    def columns(self, rows: list[Any]) -> list[list[Any]]:
        """The values channel by channel, None where nothing stands."""
        return [list(column) for column in zip(*map(self._pick, rows), strict=True)]


def _bracket(text: str, position: int) -> tuple[str | int, int]:
    if match := _INDEX.match(text, position):
        return int(match[1]), match.end()
    if match := _LITERAL.match(text, position):
        return match[1], match.end()
    if match := _QUOTED.match(text, position):
        try:
            return str(orjson.loads(match[1])), match.end()
        except orjson.JSONDecodeError as error:
            raise _no_path(text) from error
    raise _no_path(text)


def _no_path(text: str) -> ValueError:
    return ValueError(f'a path such as data.x, values[0] or ["odd key"].x expected, got {text!r}')
