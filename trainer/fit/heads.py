"""The two heads under one roof: fitted on standardised features, answering with one logit a class."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from signals import IntArray
from trainer.data import Fold
from trainer.export import fit_standardiser
from trainer.fit.cross_validation import Report
from trainer.fit.path import Features, Logits, two_columns
from trainer.learn import ConvergenceWarning, LogisticClassifier, MLPClassifier

Head = LogisticClassifier | MLPClassifier

_MISSING = 10.0
"""A class that was not among the fitted rows gets the lowest logit of the row, less this many nats."""

_FEW_WINDOWS = 500


def fit_logistic(
    features: Features, class_indices: IntArray, penalty: float
) -> tuple[LogisticClassifier, tuple[str, ...]]:
    """The logistic head at its optimum, and a remark where L-BFGS stopped short of it.

    Parameters
    ----------
    features : ndarray of shape (n_windows, n_features)
        Standardised.
    class_indices : ndarray of shape (n_windows,), int
    penalty : float
        C.
    """
    head = LogisticClassifier(C=penalty)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        head.fit(features, class_indices)
    remarks = tuple(str(warning.message) for warning in caught if issubclass(warning.category, ConvergenceWarning))
    return head, remarks


def new_mlp(
    hidden_layer_sizes: Sequence[int], n_windows: int, seed: int, max_epochs: int | None = None
) -> MLPClassifier:
    """An MLP for so many windows; with ``max_epochs`` it runs exactly that long and holds nothing out.

    Examples
    --------
    >>> new_mlp((8,), 60, seed=0).early_stopping, new_mlp((8,), 60, seed=0, max_epochs=7).max_epochs
    (True, 7)
    """
    few = n_windows < _FEW_WINDOWS
    return MLPClassifier(
        tuple(hidden_layer_sizes),
        # Few windows: smaller batches, so that an epoch still has steps enough to learn something.
        batch_size=16 if few else 64,
        l2=1e-2 if few else 1e-3,
        dtype="float32",
        max_epochs=max_epochs or (200 if few else 60),
        early_stopping=max_epochs is None,
        patience=20 if few else 6,
        validation_fraction=0.2 if few else 0.1,
        random_state=seed,
    )


def fit_mlp(
    features: Features,
    class_indices: IntArray,
    units: IntArray,
    *,
    hidden_layer_sizes: Sequence[int],
    seed: int,
    report: Callable[[int, float], None] = lambda _epoch, _loss: None,
) -> MLPClassifier:
    """An MLP fitted with early stopping on held-out units.

    Where nothing can be held out without losing a class, it runs a fixed number of epochs instead.

    Parameters
    ----------
    features : ndarray of shape (n_windows, n_features)
        Standardised.
    class_indices, units : ndarray of shape (n_windows,), int
        Windows of one unit stay on one side of the hold-out.
    hidden_layer_sizes : sequence of int
    seed : int
    report : callable
        Called with (epoch, loss).
    """

    def watch(epoch: int, loss: float, _validation_loss: float | None) -> None:
        report(epoch, loss)

    if can_hold_out(class_indices, units):
        head = new_mlp(hidden_layer_sizes, len(features), seed)
        # Each row its own unit means independent windows: then rows are drawn per class, which spreads rare classes
        # better.
        groups = None if len(np.unique(units)) == len(units) else units
        return head.fit(features, class_indices, groups, callback=watch)
    return new_mlp(hidden_layer_sizes, len(features), seed, max_epochs=60).fit(features, class_indices, callback=watch)


def can_hold_out(class_indices: IntArray, units: IntArray) -> bool:
    """Whether some unit can be held out and leave every class to fit on.

    Examples
    --------
    >>> can_hold_out(np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1])), can_hold_out(np.array([0, 1]), np.array([0, 1]))
    (True, False)
    """
    if len(np.unique(units)) == len(units):
        return bool(np.bincount(class_indices).max() > 1)
    names, members = np.unique(units, return_inverse=True)
    counts = np.zeros((len(names), int(class_indices.max()) + 1), np.int64)
    np.add.at(counts, (members.reshape(-1), class_indices), 1)
    return bool(np.any(np.all(counts.sum(axis=0) > counts, axis=1)))


def logits_of(head: Head, features: Features, n_classes: int) -> Logits:
    """Logits of shape ``(n_windows, n_classes)``; classes that the head never saw stand far below the others."""
    known: Any = head.classes_
    answers = two_columns(np.asarray(head.decision_function(features), np.float64))
    if len(known) == n_classes:
        return answers
    logits = np.repeat(answers.min(axis=1, keepdims=True) - _MISSING, n_classes, axis=1)
    logits[:, np.asarray(known, np.int64)] = answers
    return logits


def mlp_logits(
    features: Features,
    class_indices: IntArray,
    units: IntArray,
    folds: Sequence[Fold],
    *,
    n_classes: int,
    hidden_layer_sizes: Sequence[int],
    seed: int,
    report: Report,
) -> Logits:
    """Out-of-fold logits of the MLP, shape ``(n_windows, n_classes)``; NaN for rows that no fold holds out."""
    logits = np.full((len(features), n_classes), np.nan)
    for number, (fitted, held_out) in enumerate(folds):
        scaling = fit_standardiser(features[fitted])

        def watch(epoch: int, _loss: float, number: int = number) -> None:
            report(f"mlp, fold {number + 1}, epoch {epoch}", number, len(folds))

        head = fit_mlp(
            scaling.apply(features[fitted]),
            class_indices[fitted],
            units[fitted],
            hidden_layer_sizes=hidden_layer_sizes,
            seed=seed,
            report=watch,
        )
        logits[held_out] = logits_of(head, scaling.apply(features[held_out]), n_classes)
    return logits
