"""Which sets of feature blocks are tried, and their features by the graph that ships."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from signals import IntArray
from trainer.data import Fold, WindowedData
from trainer.errors import DatasetError, TrainerError
from trainer.export import Standardiser, fit_standardiser
from trainer.export.guard import size_problem
from trainer.features import Block, FeatureExtractor, blocks_of
from trainer.fit.cross_validation import Report
from trainer.fit.options import AUTO, EDGE
from trainer.fit.recipe import Seat
from trainer.fit.space import MAX_COORDINATES, Space, make_space

MAX_RAW_FEATURES = 1024
"""With more samples in a window ``auto`` leaves ``raw`` out: a linear head on them seldom helps, and costs the most."""

MIN_SPECTRAL_LENGTH = 8
"""Below this many samples a spectrum says nothing that the statistics do not."""

MIN_CONVOLUTION_LENGTH = 10
"""The kernels of random convolutions have 9 samples."""

EDGE_BUDGET = 500
"""Random-convolution features of the small model."""

_HYDRA_WORK = 2e9
"""Windows times samples times features."""

_CONVOLUTION_VALUES = 60_000_000
"""Samples times features: what one window takes in memory, here and on the gateway, is a few times 4 bytes of it."""

_MAX_WEIGHTS = 3_000_000
"""Of a head: with a thousand classes there is room for fewer features in a file that a gateway accepts."""


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """Feature blocks that one head is fitted on.

    Attributes
    ----------
    name : str
    seat : {"convolution", "level", "alone"}
        In a vote. ``convolution``: thousands of small witnesses, blind to the level of a channel; ``level``: few
        features with a meaning of their own; ``alone``: the same, where a vote with them would cost too much.
    """

    name: str
    seat: Seat

    @property
    def blocks(self) -> tuple[str, ...]:
        """Kinds of its blocks."""
        return tuple(part.partition(":")[0] for part in self.name.split("+"))


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One set of blocks with its space.

    Attributes
    ----------
    feature_set : FeatureSet
    features : ndarray of shape (n_windows, n_features), float32, or None
        Of the training windows, not standardised; None where there are so many that the space stands for them.
    space : Space
    """

    feature_set: FeatureSet
    features: NDArray[np.float32] | None
    space: Space

    @property
    def name(self) -> str:
        """Name of the set."""
        return self.feature_set.name

    def parts(self, fold: Fold) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What a fold fits on and what it answers, standardised by the fitted rows alone where that can be."""
        if self.features is None:
            return self.space.coordinates[fold.fitted], self.space.coordinates[fold.held_out]
        scaling = fit_standardiser(self.features[fold.fitted])
        return scaling.apply(self.features[fold.fitted]), scaling.apply(self.features[fold.held_out])


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """One extractor with all blocks that are tried, its features of all windows, and the candidates among them."""

    extractor: FeatureExtractor
    features: NDArray[np.float32]
    candidates: tuple[Candidate, ...]

    def __getitem__(self, name: str) -> Candidate:
        """The candidate of this name."""
        return next(candidate for candidate in self.candidates if candidate.name == name)

    def only(self, kinds: Collection[str]) -> tuple[FeatureExtractor, IntArray]:
        """The extractor with these kinds of blocks alone, in the order of the pool, and their columns in the pool."""
        own = self.extractor
        chosen = [block for block in own.blocks if block.kind in kinds]
        columns = columns_of(own, [block.kind for block in chosen])
        return FeatureExtractor(chosen, own.scaling, own.window_length, own.sampling_rate_hz), columns


def columns_of(extractor: FeatureExtractor, kinds: Sequence[str]) -> IntArray:
    """The columns of these kinds of blocks among all features of an extractor."""
    every = np.arange(extractor.n_features)
    return np.concatenate([every[extractor.spans[kind]] for kind in kinds])


def feature_sets(choice: str, data: WindowedData) -> tuple[FeatureSet, ...]:
    """The sets of blocks to try for a choice of ``--features``.

    Examples
    --------
    >>> from trainer.data.examples import example_windows
    >>> [found.name for found in feature_sets("auto", example_windows())]
    ['minirocket:10000', 'hydra:8000', 'statistics', 'statistics+spectral', 'raw']
    >>> [found.name for found in feature_sets("edge", example_windows())]
    ['minirocket:500', 'summary', 'statistics']
    """
    if choice not in {AUTO, EDGE}:
        blocks = blocks_of(choice)
        return (FeatureSet(choice, "convolution" if any(_is_sized(block) for block in blocks) else "level"),)
    has_spectrum = data.window_length >= MIN_SPECTRAL_LENGTH
    is_small = data.windows.shape[1] * data.window_length <= MAX_RAW_FEATURES
    has_convolutions = data.window_length >= MIN_CONVOLUTION_LENGTH
    if choice == EDGE:
        small = f"minirocket:{EDGE_BUDGET}"
        # Statistics take half of what an edge model may take, so they answer alone or not at all.
        alone: list[FeatureSet] = [FeatureSet("statistics", "alone")]
        names = [(small, has_convolutions), ("summary", True)]
    else:
        alone = []
        names = [
            (f"minirocket:{minirocket_budget(data)}", has_convolutions),
            (f"hydra:{hydra_budget(data)}", has_convolutions),
            ("statistics", True),
            ("statistics+spectral", has_spectrum),
            ("raw", is_small),
        ]
    sets = (FeatureSet(name, "convolution" if ":" in name else "level") for name, fits in names if fits)
    return (*sets, *alone)


def minirocket_budget(data: WindowedData) -> int:
    """How many features of random convolutions; fewer than 10,000 for windows beyond 6,000 samples and many classes.

    On the problems of the public archives four times as many, with four poolings each (`multirocket`), answer no
    better: ADR 0015.

    Examples
    --------
    >>> from trainer.data.examples import example_windows
    >>> minirocket_budget(example_windows())
    10000
    """
    return _within_file(10_000, data)


def hydra_budget(data: WindowedData) -> int:
    """How many features of competing kernels: as many as the windows can be turned into within about half a minute."""
    affordable = int(_HYDRA_WORK / (len(data) * data.window_length))
    return _within_file(max(2_000, min(8_000, affordable // 1000 * 1000)), data)


def _within_file(budget: int, data: WindowedData) -> int:
    return max(500, min(budget, _MAX_WEIGHTS // (len(data.classes) + 2), _CONVOLUTION_VALUES // data.window_length))


def build_pool(sets: Sequence[FeatureSet], data: WindowedData, seed: int, report: Report, *, fan_out: int = 1) -> Pool:
    """Every set with the features of all windows.

    Scales of channels and biases of convolutions are taken from all training windows; they do not look at labels.

    Parameters
    ----------
    sets : sequence of FeatureSet
    data : WindowedData
    seed : int
    report : callable
    fan_out : int
        Weights that the head will have for every feature.

    Raises
    ------
    DatasetError
        If the windows are too short for a block that was asked for.
    TrainerError
        If no model with these blocks could be written.
    """
    blocks = list(_all_blocks(sets))
    report(f"features: {'+'.join(block.kind for block in blocks)}", 0, len(sets) + 1)
    try:
        extractor = FeatureExtractor.fitted(blocks, data.windows, data.channels, data.sampling_rate_hz, seed=seed)
    except ValueError as error:
        names = "+".join(block.kind for block in blocks)
        raise DatasetError(
            f"{data.name}: X: windows of {data.window_length} samples do not do for {names}: {error}"
        ) from error
    # Of several sets the model takes some: `export_model` knows which.
    problem = size_problem(extractor.model, extractor.n_features, fan_out) if len(sets) == 1 else None
    if problem is not None:
        raise TrainerError(f"--features {sets[0].name}: {problem}; name fewer kinds, or a smaller size")
    features = extractor.transform(data.windows)
    candidates = []
    for number, feature_set in enumerate(sets):
        report(f"features: {feature_set.name}", number + 1, len(sets) + 1)
        # Blocks of one set lie side by side in the pool only if no other stands between them: taken by column.
        columns = columns_of(extractor, feature_set.blocks)
        own = features[:, columns]
        space = make_space(_standardised(own), seed)
        candidates.append(Candidate(feature_set, own if space.basis is None else None, space))
    return Pool(extractor, features, tuple(candidates))


def _standardised(features: NDArray[np.float32]) -> NDArray[np.floating]:
    standardiser = fit_standardiser(features)
    if features.shape[1] <= MAX_COORDINATES:
        return standardiser.apply(features)
    return _light(standardiser, features)


def _light(standardiser: Standardiser, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Standardised features in float32, a few windows at a time: there may be 50,000 of them for each of 7,000."""
    result = np.empty_like(features)
    for at in range(0, len(features), 256):
        result[at : at + 256] = standardiser.apply(features[at : at + 256])
    return result


def _all_blocks(sets: Sequence[FeatureSet]) -> Iterator[Block]:
    """Each kind once; those with a meaning of their own first, so that the sets of a vote lie side by side."""
    seen: dict[str, str] = {}
    for feature_set in sets:
        for part in feature_set.name.split("+"):
            seen.setdefault(part.partition(":")[0], part)
    order = ("raw", "summary", "statistics", "spectral", "quantiles", "minirocket", "multirocket", "hydra")
    for kind in order:
        if kind in seen:
            yield from blocks_of(seen[kind])


def _is_sized(block: Block) -> bool:
    return block.kind in {"minirocket", "multirocket", "hydra"}
