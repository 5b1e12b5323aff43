"""Ways through JSON: every number and text of a document with its path, and paths as a mapping writes them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from signals.codecs.json_paths import Steps, compile_path, find

MAX_LEAVES = 200
MAX_DEPTH = 6
MAX_VECTOR = 4
"""Arrays of numbers up to this length, always the same, are vectors; longer ones are batches."""

_MAX_PATH = 200
_BARE = re.compile(r"[A-Za-z_][^.\[\]]*")

Document = tuple[int, Any]
"""Receipt time in ns, parsed JSON."""


def path_text(steps: Steps) -> str | None:
    """The path as a mapping writes it; None where it cannot be written.

    Examples
    --------
    >>> path_text(("params", "temperature:0", "tC")), path_text(("odd.key", 2)), path_text((0, "v"))
    ('params.temperature:0.tC', '["odd.key"][2]', '[0].v')
    """
    text = ""
    for step in steps:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _BARE.fullmatch(step):
            text += f"{'.' if text else ''}{step}"
        elif '"' not in step and "\\" not in step:
            text += f'["{step}"]'
        else:
            return None
    try:
        return text if 0 < len(text) <= _MAX_PATH and compile_path(text) == steps else None
    except ValueError:
        return None


def leaves(value: object, steps: Steps = ()) -> Iterator[tuple[Steps, Any]]:
    """Numbers, texts, and arrays of numbers, with the way to each."""
    if isinstance(value, dict) and len(steps) < MAX_DEPTH:
        for key, inner in value.items():
            yield from leaves(inner, (*steps, key))
    elif isinstance(value, list):
        if value and all(item is None or is_number(item) for item in value):
            yield steps, value
        elif len(steps) < MAX_DEPTH:
            for position, inner in enumerate(value[:MAX_VECTOR]):
                if not isinstance(inner, str):
                    yield from leaves(inner, (*steps, position))
    elif value is not None:
        yield steps, value


def is_number(value: object) -> bool:
    """Whether a decoder takes the value as a number: true and false are 1 and 0."""
    return isinstance(value, int | float)


def rows_of(document: object, steps: Steps) -> list[Any]:
    """The array at the path; empty where there is none."""
    found = find(document, steps)
    return found if isinstance(found, list) else []
