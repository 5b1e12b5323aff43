"""What a fit was asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

HeadKind = Literal["auto", "logistic", "ridge", "mlp", "deep-belief"]
HEADS: tuple[HeadKind, ...] = ("auto", "logistic", "ridge", "mlp", "deep-belief")

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
    head : {"auto", "logistic", "ridge", "mlp", "deep-belief"}
        ``auto``: ridge on random convolutions, logistic on statistics, or a vote of both, whichever answers held-out
        windows best.
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
    """

    features: str = AUTO
    head: HeadKind = "auto"
    seed: int = 0
    name: str = "model"
    version: str = "1"
    hidden_layer_sizes: tuple[int, ...] = (64,)
    false_alarm_rate: float = 0.01


def model_name(path: Path) -> str:
    """A model name out of a file name: lower case, everything else a hyphen; ``model`` where nothing is left.

    Examples
    --------
    >>> model_name(Path("data/UCI_HAR v2.npz")), model_name(Path("___.csv"))
    ('uci-har-v2', 'model')
    """
    slug = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")[:64].rstrip("-")
    return slug or "model"
