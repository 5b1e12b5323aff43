"""What a model looks at: how much worse it answers when one channel, or one block of features, comes from elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from signals import IntArray
from trainer.evaluate import log_loss
from trainer.export import LoadedModel
from trainer.report.inside import OpenedModel
from trainer.report.judged import Judged, Probabilities

N_REPEATS = 5
MAX_WINDOWS = 400
LEAST_WINDOWS = 60
BUDGET = 20_000
"""Windows to run through the model altogether."""

Report = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Importance:
    """How much worse the answers get; mean and standard deviation over the repeats."""

    name: str
    accuracy_drop: float
    accuracy_spread: float
    loss_rise: float
    loss_spread: float


@dataclass(frozen=True, slots=True)
class ImportanceFacts:
    """Of every channel and every block, most important first."""

    channels: tuple[Importance, ...]
    blocks: tuple[Importance, ...]
    n_windows: int
    n_repeats: int


def importance_facts(
    model: LoadedModel, opened: OpenedModel, judged: Judged, *, seed: int, report: Report
) -> ImportanceFacts:
    """Permutation importance through the model file itself, on a random part of the judged windows.

    A channel is shuffled whole among the windows: every window keeps its other channels and gets this one from another
    window, so that each channel stays as it is in life. A block of features is shuffled the same way between the two
    halves of the graph. Channels that carry the same information stand in for each other, and each then looks less
    important than it is.

    Parameters
    ----------
    model : LoadedModel
    opened : OpenedModel
        The same file.
    judged : Judged
    seed : int
    report : callable
        Called with (what, done, of).

    Notes
    -----
    Breiman, *Random forests*, Machine Learning 45 (2001), section 10.
    """
    generator = np.random.default_rng(seed)
    n_channels = len(judged.data.channels)
    affordable = max(LEAST_WINDOWS, BUDGET // (n_channels * N_REPEATS))
    n_windows = min(len(judged.data), MAX_WINDOWS, affordable)
    chosen = np.sort(generator.choice(len(judged.data), n_windows, replace=False))
    windows, y = judged.data.windows[chosen], judged.data.class_indices[chosen]
    base = _quality(np.asarray(model.run(windows).probabilities, np.float64), y)
    channels = []
    for index, name in enumerate(judged.data.channels):
        report(f"importance of {name}", index, n_channels)
        found = []
        for _ in range(N_REPEATS):
            shuffled = windows.copy()
            shuffled[:, index] = windows[generator.permutation(n_windows), index]
            found.append(_quality(np.asarray(model.run(shuffled).probabilities, np.float64), y))
        channels.append(_importance(name, base, found))
    blocks = []
    features = opened.features(windows)
    for name, span in opened.spans.items():
        found = []
        for _ in range(N_REPEATS):
            mixed = features.copy()
            mixed[:, span] = features[generator.permutation(n_windows), span]
            found.append(_quality(opened.probabilities(mixed, judged.probabilities.shape[1]), y))
        blocks.append(_importance(name, base, found))
    return ImportanceFacts(_ranked(channels), _ranked(blocks), n_windows, N_REPEATS)


def _ranked(found: list[Importance]) -> tuple[Importance, ...]:
    return tuple(sorted(found, key=lambda item: -item.loss_rise))


def _quality(probabilities: Probabilities, class_indices: IntArray) -> NDArray[np.float64]:
    accuracy = float((probabilities.argmax(axis=1) == class_indices).mean())
    return np.array([accuracy, log_loss(probabilities, class_indices)])


def _importance(name: str, base: NDArray[np.float64], found: list[NDArray[np.float64]]) -> Importance:
    changes = np.stack(found) - base
    mean, spread = changes.mean(axis=0), changes.std(axis=0)
    return Importance(name, float(-mean[0]), float(spread[0]), float(mean[1]), float(spread[1]))
