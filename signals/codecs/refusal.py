"""What came instead, in a few characters: the end of every refusal."""

from __future__ import annotations

_LIMIT = 40


def shown(value: object) -> str:
    """A JSON value as a short text of bounded length and cost.

    Containers are named, never printed: a hostile message nests deeper than ``repr`` can recurse.

    Examples
    --------
    >>> shown({"a": 1}), shown(None), shown(True), shown(1.5), shown("x" * 100)[:8]
    ('an object', 'nothing', 'true', '1.5', "'xxxxxxx")
    """
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return f"an array of {len(value)}"
    if isinstance(value, str):
        return repr(value if len(value) <= _LIMIT else value[: _LIMIT - 3] + "...")
    return repr(value)
