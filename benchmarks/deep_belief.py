"""How many labels pre-training saves: deep belief beside a plain network and logistic regression, UCI HAR, test people.

Nothing is chosen on the test people: sizes, rates and numbers of epochs are the defaults of `DeepBeliefClassifier`,
which were settled on training people alone. Every seed draws its own labelled windows, the same for all three heads.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from threadpoolctl import threadpool_limits

from benchmarks.measure import Effort
from benchmarks.rivals import ROOT
from benchmarks.table import Table
from trainer import DeepBeliefClassifier, LogisticClassifier
from trainer.export import fit_standardiser
from trainer.features import FeatureExtractor, blocks_of

Matrix = NDArray[np.float64]
Labels = NDArray[np.int64]
Report = Callable[[str, int, int], None]

LABELS_PER_CLASS = (1, 5, 20, 100)
_SEEDS = 5
_FEATURES = "statistics+spectral"


class Split(NamedTuple):
    """Standardised features and class indices of the people to fit on, and of those to test on."""

    X: Matrix
    y: Labels
    X_test: Matrix
    y_test: Labels


class Interval(NamedTuple):
    """A mean over seeds with its 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} ({self.low:.3f} … {self.high:.3f})"


class Point(NamedTuple):
    """Test accuracy with so many labels a class, one figure a seed for each head."""

    labels_per_class: int
    logistic: tuple[float, ...]
    network: tuple[float, ...]
    deep_belief: tuple[float, ...]


def run(effort: Effort, work: Path) -> list[Table]:  # noqa: ARG001 - every benchmark is called alike
    """The labels-saved curve as one table."""
    n_seeds = effort.of(_SEEDS, least=2)
    table = Table(
        f"labels saved by pre-training on unlabelled windows: UCI HAR, {_FEATURES}, test accuracy, {n_seeds} seeds",
        (
            "labels a class",
            "logistic",
            "network, not pre-trained",
            "deep belief, pre-trained",
            "gain over the network",
            "gain over the better of the two",
            "labels that the better needs for the same",
            "does it pay?",
        ),
    )
    data = Path(os.environ.get("TELLTALE_DATASETS", ROOT.parent / "shared" / "datasets")) / "uci_har.npz"
    if not data.is_file():
        table.notes.append("skipped: uci_har.npz is not here; TELLTALE_DATASETS names the folder of the recordings")
        return [table]
    limits = threadpool_limits(1)  # type: ignore[no-untyped-call] # it ships no types
    with limits:
        split = _uci_har(data)
        points = labels_saved_curve(split, seeds=range(n_seeds), report=lambda *_: None)
    fill(table, points)
    head = DeepBeliefClassifier()
    table.notes.append(
        f"{len(split.X):,} training windows without labels for the pre-training ({head.pretrain_epochs} epochs), "
        f"{split.X.shape[1]:,} features, hidden layers {tuple(head.hidden_layer_sizes)}; both networks take the same "
        "number of steps; means with 95 % intervals over seeds (Student's t), gains seed by seed"
    )
    return [table]


def labels_saved_curve(
    split: Split,
    *,
    labels_per_class: Sequence[int] = LABELS_PER_CLASS,
    seeds: Sequence[int] = range(_SEEDS),
    report: Report,
    head: DeepBeliefClassifier | None = None,
) -> list[Point]:
    """Test accuracy of the three heads for each number of labels a class.

    Parameters
    ----------
    split : Split
        All rows of `X` are pre-trained on, without their labels; so many of each class are fine-tuned on with them.
    labels_per_class : sequence of int
        A class with fewer rows gives all it has.
    seeds : sequence of int
        Each draws its labelled rows and its weights; one pre-training serves all numbers of labels of a seed.
    report : callable
        Called with (what, done, of).
    head : DeepBeliefClassifier, optional
        Its hyper-parameters are used; the defaults in float32 otherwise.
    """
    chosen = head if head is not None else DeepBeliefClassifier(dtype="float32")
    figures: dict[int, list[tuple[float, float, float]]] = {count: [] for count in labels_per_class}
    for number, seed in enumerate(seeds):
        report("labels-saved curve", number, len(seeds))
        generator = np.random.default_rng(seed)
        order = generator.permutation(len(split.X))
        parameters = chosen.get_params() | {"random_state": seed}
        pretrained = None
        for count in labels_per_class:
            rows = np.concatenate([order[split.y[order] == label][:count] for label in np.unique(split.y)])
            X, y = split.X[rows], split.y[rows]
            heads = (
                LogisticClassifier().fit(X, y),
                DeepBeliefClassifier(**(parameters | {"pretrain_epochs": 0})).fit(X, y),
                DeepBeliefClassifier(**parameters).fit(
                    X, y, X_unlabelled=np.delete(split.X, rows, axis=0), pretrained=pretrained
                ),
            )
            pretrained = heads[2].pretrained_layers_
            logistic, network, deep_belief = (one.score(split.X_test, split.y_test) for one in heads)
            figures[count].append((logistic, network, deep_belief))
    points = []
    for count, rows_of_seeds in figures.items():
        of_logistic, of_network, of_deep_belief = zip(*rows_of_seeds, strict=True)
        points.append(Point(count, of_logistic, of_network, of_deep_belief))
    return points


def fill(table: Table, points: Sequence[Point]) -> None:
    """One row a number of labels, with the verdict."""
    rival_means = [max(np.mean(point.logistic), np.mean(point.network)) for point in points]
    counts = [point.labels_per_class for point in points]
    for point in points:
        better = max((point.logistic, point.network), key=lambda values: float(np.mean(values)))
        over_network = interval(np.subtract(point.deep_belief, point.network))
        over_better = interval(np.subtract(point.deep_belief, better))
        table.add(
            point.labels_per_class,
            str(interval(point.logistic)),
            str(interval(point.network)),
            str(interval(point.deep_belief)),
            str(over_network),
            str(over_better),
            labels_needed(float(np.mean(point.deep_belief)), counts, [float(mean) for mean in rival_means]),
            verdict(over_better),
        )


def interval(values: Sequence[float] | NDArray[np.float64]) -> Interval:
    """Mean and 95 % interval of figures of several seeds, by Student's t.

    Examples
    --------
    >>> str(interval([0.5, 0.7]))
    '0.600 (-0.671 … 1.871)'
    """
    mean, n = float(np.mean(values)), len(values)
    half = float(stats.t.ppf(0.975, n - 1)) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half)


def verdict(gain: Interval) -> str:
    """Whether a gain over the better of the two others is one.

    Examples
    --------
    >>> verdict(Interval(0.02, 0.01, 0.03)), verdict(Interval(0.01, -0.01, 0.03)), verdict(Interval(-0.2, -0.3, -0.1))
    ('yes', 'not shown', 'no, it costs accuracy')
    """
    if gain.low > 0.0:
        return "yes"
    return "no, it costs accuracy" if gain.high < 0.0 else "not shown"


def labels_needed(accuracy: float, counts: Sequence[int], rival: Sequence[float]) -> str:
    """How many labels a class the rival needs for an accuracy, between its points on a logarithmic axis.

    Examples
    --------
    >>> labels_needed(0.8, [1, 10, 100], [0.5, 0.7, 0.9]), labels_needed(0.95, [1, 10], [0.5, 0.7])
    ('32', 'more than 10')
    """
    if accuracy > max(rival):
        return f"more than {counts[-1]}"
    if accuracy <= rival[0]:
        return f"at most {counts[0]}"
    increasing = np.maximum.accumulate(rival)
    needed = math.exp(float(np.interp(accuracy, increasing, np.log(counts))))
    return f"{needed:.0f}" if needed >= 10 else f"{needed:.1f}"


def _uci_har(data: Path) -> Split:
    """Features of the official split; scales and standardising come from the training people."""
    with np.load(data, allow_pickle=False) as archive:
        windows, y, is_test = archive["X"], archive["y"].astype(np.int64), archive["split"] == 1
        channels, rate = [str(name) for name in archive["channels"]], float(archive["fs"])
    extractor = FeatureExtractor.fitted(blocks_of(_FEATURES), windows[~is_test], channels, rate, n_threads=1)
    features = extractor.transform(windows)
    standardised = fit_standardiser(features[~is_test]).apply(features)
    return Split(standardised[~is_test], y[~is_test], standardised[is_test], y[is_test])
