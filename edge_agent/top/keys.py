"""Keys of a terminal, one by one, without waiting for the end of a line."""

from __future__ import annotations

import os
import select
import sys
import termios
import tty
from types import TracebackType
from typing import Any, Self

_NAMES = {b"\r": "enter", b"\n": "enter", b"\x7f": "backspace", b"\x08": "backspace", b"\x1b": "escape"}
_SEQUENCES = {b"\x1b[A": "up", b"\x1b[B": "down", b"\x1bOA": "up", b"\x1bOB": "down"}


class Keyboard:
    """Standard input as keys; the terminal is as before afterwards. Where it is no terminal there are no keys."""

    def __init__(self) -> None:
        self._descriptor = sys.stdin.fileno() if sys.stdin.isatty() else None
        self._before: list[Any] | None = None

    def __enter__(self) -> Self:
        if self._descriptor is not None:
            self._before = termios.tcgetattr(self._descriptor)
            tty.setcbreak(self._descriptor)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None and self._before is not None:
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)

    def wait(self, seconds: float) -> list[str]:
        """The keys pressed, waiting at most so long for the first; a terminal that is gone counts as ``q``."""
        inputs = [] if self._descriptor is None else [self._descriptor]
        readable, _, _ = select.select(inputs, [], [], seconds)
        if self._descriptor is None or not readable:
            return []
        pressed = os.read(self._descriptor, 64)
        return named_keys(pressed) if pressed else ["q"]


def named_keys(pressed: bytes) -> list[str]:
    r"""The keys in what a terminal sent.

    Examples
    --------
    >>> named_keys(b"s\x1b[Bq\r\x1b")
    ['s', 'down', 'q', 'enter', 'escape']
    """
    keys: list[str] = []
    while pressed:
        sequence = next((known for known in _SEQUENCES if pressed.startswith(known)), None)
        if sequence is not None:
            keys.append(_SEQUENCES[sequence])
            pressed = pressed[len(sequence) :]
            continue
        first, pressed = pressed[:1], pressed[1:]
        if first in _NAMES:
            keys.append(_NAMES[first])
        elif first < b"\x80" and first.decode().isprintable():
            keys.append(first.decode())
    return keys
