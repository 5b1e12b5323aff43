"""What a fit was asked for, and what it gives back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

FeatureChoice = Literal["auto", "raw", "statistics", "spectral", "statistics+spectral"]
HeadKind = Literal["logistic", "mlp"]


@dataclass(frozen=True, slots=True)
class FitOptions:
    """What a fit was asked for.

    Attributes
    ----------
    features : str
        Names of feature blocks, or ``auto``: choose by grouped cross-validation.
    head : {"logistic", "mlp"}
    seed : int
        The same data and seed give the same file, byte for byte.
    name : str
        Of the model, ``[a-z0-9-]``.
    version : str
        Readable version on the card.
    hidden_layer_sizes : tuple of int
        Of the MLP.
    """

    features: str = "auto"
    head: HeadKind = "logistic"
    seed: int = 0
    name: str = "model"
    version: str = "1"
    hidden_layer_sizes: tuple[int, ...] = (64,)


def model_name(path: Path) -> str:
    """A model name out of a file name: lower case, everything else a hyphen; ``model`` where nothing is left.

    Examples
    --------
    >>> model_name(Path("data/UCI_HAR v2.npz")), model_name(Path("___.csv"))
    ('uci-har-v2', 'model')
    """
    slug = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")[:64].rstrip("-")
    return slug or "model"
