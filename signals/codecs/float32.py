"""Numbers of a message as float32: every one checked, none bent.

``struct`` does the work: its standard-size ``f`` refuses texts, null and whatever overflows float32, and is about
twice as fast as ``numpy.array`` on a list of lists, which would take the text ``"1.5"`` for a number and 1e39 for
infinity.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import chain

import numpy as np

from signals.block import DecodeError, FloatArray
from signals.codecs.refusal import shown

NOT_PACKABLE = (struct.error, OverflowError)
"""What ``struct`` raises for a value that is no finite float32."""

_MAX = 3.4028235677973362e38
"""The largest double that rounds to a finite float32 (IEEE 754: 2^128 - 2^103 is the tie that rounds away)."""

_ONE = struct.Struct("=f")


def is_float32(value: float) -> bool:
    """Whether a number stays finite as float32.

    Examples
    --------
    >>> is_float32(1e38), is_float32(1e39), is_float32(float("inf")), is_float32(10**400)
    (True, False, False, False)
    """
    return -_MAX <= value <= _MAX


def pack_columns(columns: Sequence[Sequence[object]], names: Sequence[str]) -> FloatArray:
    """The values of a message, with NaN where there is none.

    Parameters
    ----------
    columns : sequence of length n_channels, of sequences of length n_samples
        JSON values: numbers, booleans (1 and 0) and None (NaN).
    names : sequence of str
        What to call a column in a refusal.

    Returns
    -------
    values : ndarray of shape (n_channels, n_samples), float32, read-only

    Raises
    ------
    DecodeError
        ``not_a_number``, ``not_finite``, or ``bad_shape`` for an array inside an array.

    Examples
    --------
    >>> pack_columns([[1, None], [True, 0.5]], ["x", "y"]).tolist()
    [[1.0, nan], [1.0, 0.5]]
    """
    n_samples = len(columns[0])
    layout = f"={len(columns) * n_samples}f"
    try:
        raw = struct.pack(layout, *chain.from_iterable(columns))
    except NOT_PACKABLE:
        numbers = [np.nan if value is None else value for value in chain.from_iterable(columns)]
        try:
            raw = struct.pack(layout, *numbers)
        except NOT_PACKABLE as error:
            raise _refusal(columns, names) from error
    return np.ndarray((len(columns), n_samples), np.float32, raw)


def channels_with_values(
    values: FloatArray, positions: tuple[int, ...], names: Sequence[str]
) -> tuple[FloatArray, tuple[int, ...]]:
    """The channels that have a number, and their positions.

    Raises
    ------
    DecodeError
        ``missing_field``: no channel has one.

    Examples
    --------
    >>> nan = float("nan")
    >>> values, positions = channels_with_values(np.array([[nan, nan], [nan, 1.0]], np.float32), (0, 1), ["x", "y"])
    >>> values.tolist(), positions
    ([[nan, 1.0]], (1,))
    """
    kept = [index for index, is_missing in enumerate(np.isnan(values)) if not is_missing.all()]
    if len(kept) == len(positions):
        return values, positions
    if not kept:
        raise nothing_present(names)
    return values[kept], tuple(positions[index] for index in kept)


def nothing_present(names: Sequence[str]) -> DecodeError:
    """The refusal of a message in which every channel is missing or null."""
    return DecodeError("missing_field", f"a number at {_listed(names)} expected, got nothing")


def not_a_number(where: str, value: object) -> DecodeError:
    """The refusal of one value that is no finite float32.

    Examples
    --------
    >>> str(not_a_number("x", "21.5 C"))
    "not_a_number: x: a number expected, got '21.5 C'"
    """
    if isinstance(value, list):
        return DecodeError("bad_shape", f"{where}: a number expected, got {shown(value)}")
    if isinstance(value, int | float):
        return DecodeError("not_finite", f"{where}: a number that float32 can hold expected, got {shown(value)}")
    return DecodeError("not_a_number", f"{where}: a number expected, got {shown(value)}")


def _refusal(columns: Sequence[Sequence[object]], names: Sequence[str]) -> DecodeError:
    return next(
        not_a_number(name, value)
        for name, column in zip(names, columns, strict=True)
        for value in column
        if value is not None and not _is_packable(value)
    )


def _is_packable(value: object) -> bool:
    try:
        _ONE.pack(value)
    except NOT_PACKABLE:
        return False
    return True


def _listed(names: Sequence[str], limit: int = 4) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(map(repr, names[:limit])) + more
