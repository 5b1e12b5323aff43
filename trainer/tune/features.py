"""Features of the training windows, extracted once a block, whatever sets it stands in."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trainer.data import WindowedData
from trainer.errors import DatasetError
from trainer.features import FeatureExtractor, blocks_of

Features = npt.NDArray[np.float32]

_N_SAMPLED = 400
"""Windows that stand for all where only the cost of a graph is asked."""


class FeatureCache:
    """Features by the name of their blocks.

    Parameters
    ----------
    data : WindowedData
        Training windows.
    seed : int
        Of blocks that draw.
    """

    def __init__(self, data: WindowedData, seed: int) -> None:
        self._data = data
        self._seed = seed
        self._blocks: dict[str, Features] = {}
        self.sample = data.take(sample_rows(data.class_indices))

    def of(self, name: str) -> Features:
        """Return the features of a set of blocks, shape ``(n_windows, n_features)``.

        Raises
        ------
        DatasetError
            If the windows are too short for one of the blocks.
        """
        for block in name.split("+"):
            if block not in self._blocks:
                self._blocks[block] = self._extractor(block, self._data).transform(self._data.windows)
        return np.hstack([self._blocks[block] for block in name.split("+")])

    def example_extractor(self, name: str) -> FeatureExtractor:
        """Return the extractor of a set of blocks, fitted on a few windows: its graph has the final shape and cost.

        Raises
        ------
        DatasetError
            If the windows are too short for one of the blocks.
        """
        return self._extractor(name, self.sample)

    def keep(self, names: list[str]) -> None:
        """Forget all blocks but those of these sets."""
        wanted = {block for name in names for block in name.split("+")}
        self._blocks = {block: features for block, features in self._blocks.items() if block in wanted}

    def _extractor(self, name: str, data: WindowedData) -> FeatureExtractor:
        try:
            return FeatureExtractor.fitted(
                blocks_of(name), data.windows, data.channels, data.sampling_rate_hz, seed=self._seed
            )
        except ValueError as error:
            raise DatasetError(
                f"{data.name}: X: windows of {data.window_length} samples do not do for {name}: {error}"
            ) from error


def sample_rows(class_indices: npt.NDArray[np.int64], n_windows: int = _N_SAMPLED) -> npt.NDArray[np.int64]:
    """Return some rows of every class, evenly taken, at least two where there are two.

    Examples
    --------
    >>> sample_rows(np.array([0, 0, 0, 0, 1]), n_windows=4).tolist()
    [0, 3, 4]
    """
    classes = np.unique(class_indices)
    n_each = max(2, n_windows // len(classes))
    chosen = []
    for index in classes:
        rows = np.flatnonzero(class_indices == index)
        chosen.append(rows[np.unique(np.linspace(0, len(rows) - 1, min(n_each, len(rows))).round().astype(np.int64))])
    return np.sort(np.concatenate(chosen))
