"""What a search was asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass

from trainer.errors import TrainerError
from trainer.export.quantise import WEIGHT_KINDS, WeightKind
from trainer.features import blocks_of

HEADS: tuple[str, ...] = ("ridge", "logistic", "mlp")
"""Every kind of head, the quickest to fit first: that is the order in which they are tried."""

_DEFAULT_WIDTH = 64
_WIDTHS = range(1, 4097)


@dataclass(frozen=True, slots=True)
class TuneOptions:
    """What a search was asked for.

    Attributes
    ----------
    features : tuple of str
        Sets of blocks such as ``statistics+minirocket:1000``; empty: a list that fits the windows.
    heads : tuple of str
        ridge, logistic, mlp (64 hidden units) or mlp:N.
    budget_us, budget_kb : float or None
        Most microseconds a window (batch 1, one thread, on this machine) and most KiB of the file.
    max_trials : int
        At most so many cross-validations.
    time_s : float
        No new one is begun after so many seconds.
    seed : int
    weights : {"float32", "float16", "int8"}
        How the weights of the file are stored; its cost is measured so.

    Raises
    ------
    TrainerError
        In one line, if one of them cannot be used.

    Examples
    --------
    >>> TuneOptions(heads=("mlp:32",)).heads
    ('mlp:32',)
    >>> TuneOptions(budget_us=0.0)
    Traceback (most recent call last):
        ...
    trainer.errors.TrainerError: budget-us: a number above 0 expected, got 0
    """

    features: tuple[str, ...] = ()
    heads: tuple[str, ...] = HEADS
    budget_us: float | None = None
    budget_kb: float | None = None
    max_trials: int = 60
    time_s: float = 300.0
    seed: int = 0
    weights: WeightKind = "float32"

    def __post_init__(self) -> None:
        """Refuse what cannot be used."""
        numbers = {
            "budget-us": self.budget_us,
            "budget-kb": self.budget_kb,
            "trials": self.max_trials,
            "time-s": self.time_s,
        }
        for name, value in numbers.items():
            if value is not None and not (math.isfinite(value) and value > 0):
                raise TrainerError(f"{name}: a number above 0 expected, got {value:g}")
        if not self.heads:
            raise TrainerError(f"heads: some of {', '.join(HEADS)} expected, got none")
        for head in self.heads:
            hidden_layer_sizes(head)
        for name in self.features:
            try:
                blocks_of(name)
            except ValueError as error:
                raise TrainerError(str(error)) from error
        if self.weights not in WEIGHT_KINDS:
            raise TrainerError(f"weights: one of {', '.join(WEIGHT_KINDS)} expected, got {self.weights!r}")

    @property
    def budget_text(self) -> str:
        """The budget in words.

        Examples
        --------
        >>> TuneOptions(budget_us=200, budget_kb=300).budget_text, TuneOptions().budget_text
        ('at most 200 µs a window and 300 KiB', 'no budget')
        """
        limits = [f"{self.budget_us:g} µs a window"] if self.budget_us is not None else []
        limits += [f"{self.budget_kb:g} KiB"] if self.budget_kb is not None else []
        return f"at most {' and '.join(limits)}" if limits else "no budget"


def hidden_layer_sizes(head: str) -> tuple[int, ...]:
    """The hidden layers of a head by its name; none for a linear one.

    Raises
    ------
    TrainerError
        If there is no such head.

    Examples
    --------
    >>> hidden_layer_sizes("ridge"), hidden_layer_sizes("mlp"), hidden_layer_sizes("mlp:32")
    ((), (64,), (32,))
    """
    kind, colon, width = head.partition(":")
    if kind not in HEADS or (colon and kind != "mlp"):
        raise TrainerError(f"heads: some of {', '.join(HEADS)}, mlp:N expected, got {head!r}")
    if kind != "mlp":
        return ()
    if not colon:
        return (_DEFAULT_WIDTH,)
    if not (width.isascii() and width.isdigit() and int(width) in _WIDTHS):
        raise TrainerError(f"heads: mlp:{_WIDTHS[0]} to mlp:{_WIDTHS[-1]} expected, got {head!r}")
    return (int(width),)
