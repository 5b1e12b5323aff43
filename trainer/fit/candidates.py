"""Which feature blocks are tried, and their features by the graph that ships."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trainer.data import WindowedData
from trainer.errors import DatasetError
from trainer.features import FeatureExtractor, blocks_of, fit_scaling
from trainer.fit.cross_validation import Report
from trainer.fit.path import Features

AUTO: tuple[str, ...] = ("statistics", "spectral", "raw", "statistics+spectral")
"""What ``auto`` tries, few features first: equal figures go to the earlier one."""

MAX_RAW_FEATURES = 1024
"""With more samples in a window ``auto`` leaves ``raw`` out: a linear head on them seldom helps, and costs the most."""

MIN_SPECTRAL_LENGTH = 8
"""Below this many samples a spectrum says nothing that the statistics do not."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One set of blocks with its extractor and the features of the training windows, float64, not standardised."""

    name: str
    extractor: FeatureExtractor
    features: Features


def candidate_names(choice: str, data: WindowedData) -> tuple[str, ...]:
    """The sets of blocks to try for a choice of ``--features``.

    Examples
    --------
    >>> from trainer.data.examples import example_windows
    >>> candidate_names("auto", example_windows())
    ('statistics', 'spectral', 'raw', 'statistics+spectral')
    >>> candidate_names("raw", example_windows())
    ('raw',)
    """
    if choice != "auto":
        return (choice,)
    is_small = data.windows.shape[1] * data.window_length <= MAX_RAW_FEATURES
    has_spectrum = data.window_length >= MIN_SPECTRAL_LENGTH
    return tuple(name for name in AUTO if (name != "raw" or is_small) and ("spectral" not in name or has_spectrum))


def build_candidates(names: Sequence[str], data: WindowedData, report: Report) -> list[Candidate]:
    """Each set of blocks with the features of all windows.

    The scales of the channels are taken from all training windows; they do not look at labels.

    Raises
    ------
    DatasetError
        If the windows are too short for a block that was asked for.
    """
    scaling = fit_scaling(data.windows, data.channels)
    candidates = []
    for number, name in enumerate(names):
        report(f"features: {name}", number, len(names))
        try:
            extractor = FeatureExtractor(blocks_of(name), scaling, data.window_length, data.sampling_rate_hz)
        except ValueError as error:
            raise DatasetError(
                f"{data.name}: X: windows of {data.window_length} samples do not do for {name}: {error}"
            ) from error
        candidates.append(Candidate(name, extractor, extractor.transform(data.windows).astype("float64")))
    return candidates
