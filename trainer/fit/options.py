"""What a fit was asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trainer.data.folds import MAX_FOLDS, MAX_GROUPS
from trainer.errors import TrainerError
from trainer.features import blocks_of

HeadKind = Literal["auto", "logistic", "one-vs-rest", "ridge", "mlp", "deep-belief"]
HEADS: tuple[HeadKind, ...] = ("auto", "logistic", "one-vs-rest", "ridge", "mlp", "deep-belief")

Weights = Literal["float32", "float16", "int8"]

AUTO = "auto"
"""Features for the best answers: random convolutions and what a person would write down, chosen by their answers."""

EDGE = "edge"
"""Features for a small gateway: the same kinds, within 200 microseconds and 300 KiB for six channels of 128 samples."""


@dataclass(frozen=True, slots=True)
class FitOptions:
    """What a fit was asked for.

    Attributes
    ----------
    features : str
        Names of feature blocks with their sizes, as ``statistics+minirocket:1000``; ``auto`` or ``edge``: choose by
        grouped cross-validation, for accuracy or for a small gateway.
    head : {"auto", "logistic", "one-vs-rest", "ridge", "mlp", "deep-belief"}
        ``auto``: ridge on random convolutions, logistic on statistics, or a vote of both, whichever answers held-out
        windows best. ``one-vs-rest``: logistic, with a binary problem for each class.
    seed : int
        The same data and seed give the same file, byte for byte.
    name : str
        Of the model, ``[a-z0-9-]``.
    version : str
        Readable version on the card.
    hidden_layer_sizes : tuple of int
        Of the MLP and of the deep-belief network.
    false_alarm_rate : float
        Share of familiar windows that may be called novel.
    folds : int or "groups"
        In how many parts windows are held out; ``groups``: every group alone, up to 50.
    weights : {"float32", "float16", "int8"}
        How the file stores the weights of the head and of the novelty.
    """

    features: str = AUTO
    head: HeadKind = "auto"
    seed: int = 0
    name: str = "model"
    version: str = "1"
    hidden_layer_sizes: tuple[int, ...] = (64,)
    false_alarm_rate: float = 0.01
    folds: int | Literal["groups"] = MAX_FOLDS
    weights: Weights = "float32"

    def __post_init__(self) -> None:
        """Refuse what no fit can do, in one line that names the option."""
        if self.features not in {AUTO, EDGE}:
            _check_blocks(self.features)
        if not self.hidden_layer_sizes or min(self.hidden_layer_sizes) < 1:
            raise TrainerError(f"--hidden: sizes of 1 or more expected, got {list(self.hidden_layer_sizes)}")
        if not 0.0 < self.false_alarm_rate < 1.0:
            raise TrainerError(f"--false-alarm-rate: a share between 0 and 1 expected, got {self.false_alarm_rate:g}")
        if self.folds != "groups" and not 2 <= self.folds <= MAX_GROUPS:
            raise TrainerError(f"--folds: 2 to {MAX_GROUPS}, or groups, expected, got {self.folds}")


def _check_blocks(names: str) -> None:
    try:
        blocks_of(names)
    except ValueError as error:
        raise TrainerError(f"--{error} (or auto, or edge)") from error


def hidden_sizes_of(text: str) -> tuple[int, ...]:
    """Sizes of hidden layers out of ``64,32``.

    Raises
    ------
    TrainerError
        If a part is no whole number.

    Examples
    --------
    >>> hidden_sizes_of("64, 32")
    (64, 32)
    """
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise TrainerError(f"--hidden: whole numbers with commas between, as 64,32, expected, got {text!r}") from error


def folds_of(text: str) -> int | Literal["groups"]:
    """A number of folds, or ``groups``.

    Raises
    ------
    TrainerError
        If the text is neither.

    Examples
    --------
    >>> folds_of("10"), folds_of("groups")
    (10, 'groups')
    """
    if text == "groups":
        return "groups"
    try:
        return int(text)
    except ValueError as error:
        raise TrainerError(f"--folds: 2 to {MAX_GROUPS}, or groups, expected, got {text!r}") from error


def model_name(path: Path) -> str:
    """A model name out of a file name: lower case, everything else a hyphen; ``model`` where nothing is left.

    Examples
    --------
    >>> model_name(Path("data/UCI_HAR v2.npz")), model_name(Path("___.csv"))
    ('uci-har-v2', 'model')
    """
    slug = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")[:64].rstrip("-")
    return slug or "model"
