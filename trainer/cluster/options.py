"""What a clustering was asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Method = Literal["kmeans", "mixture"]

DEFAULT_FEATURES = "statistics+spectral"
DEFAULT_MAX_GROUPS = 12


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """What a clustering was asked for.

    Attributes
    ----------
    n_groups : int or None
        None = choose by the evidence.
    max_groups : int
        Most groups that are tried.
    method : {"kmeans", "mixture"}
    features : str
        Names of feature blocks.
    names : dict of int to str
        Group to name; several groups may share one.
    seed : int
        The same data and seed give the same groups, byte for byte.
    name : str
        Of an exported model, ``[a-z0-9-]``.
    """

    n_groups: int | None = None
    max_groups: int = DEFAULT_MAX_GROUPS
    method: Method = "kmeans"
    features: str = DEFAULT_FEATURES
    names: dict[int, str] = field(default_factory=dict)
    seed: int = 0
    name: str = "groups"
