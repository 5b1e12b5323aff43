"""What a model card says of the data that a model was fitted on."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version

import numpy as np

from schemas import Channel, DataFacts
from trainer.data.windowed import WindowedData

LIBRARIES = ("numpy", "scipy", "onnx", "onnxruntime")
"""Whose versions a card states: other versions may round otherwise."""


def card_channels(data: WindowedData) -> list[Channel]:
    """The channels of the windows with their units.

    Raises
    ------
    pydantic.ValidationError
        If a name is none that a card can hold.
    """
    return [Channel(name=name, unit=unit) for name, unit in zip(data.channels, data.units, strict=True)]


def data_facts(data: WindowedData, rows_per_class: Mapping[str, int], seed: int) -> DataFacts:
    """Digest, sizes and groups of the windows, the seed, and the libraries at work.

    Examples
    --------
    >>> from trainer.data.examples import example_windows
    >>> data = example_windows()
    >>> facts = data_facts(data, data.rows_per_class(), seed=7)
    >>> facts.group_key, facts.n_groups, facts.rows_per_class, facts.seed
    ('device', 4, {'slow': 20, 'fast': 20}, 7)
    """
    return DataFacts(
        sha256=data.sha256(),
        rows_per_class=dict(rows_per_class),
        group_key=data.group_key,
        n_groups=len(np.unique(data.groups[data.groups >= 0])),
        seed=seed,
        libraries={name: version(name) for name in LIBRARIES},
    )
