"""The final heads: each voice of a recipe fitted on all windows, and the networks with their out-of-fold answers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from signals import IntArray
from trainer.data import Fold
from trainer.export import NetworkHead, Standardiser, fit_standardiser
from trainer.export.heads import Link
from trainer.fit.candidates import Candidate
from trainer.fit.cross_validation import Report, Trial
from trainer.fit.options import FitOptions
from trainer.fit.path import Features, Logits, two_columns
from trainer.learn import ConvergenceWarning, DeepBeliefClassifier, LogisticClassifier, MLPClassifier
from trainer.learn.least_squares import LeastSquares, signed_targets
from trainer.learn.mlp import settings_for

Network = MLPClassifier | DeepBeliefClassifier

_MISSING = 10.0
"""A class that was not among the fitted rows gets the lowest logit of the row, less this many nats."""


def fit_voice(
    candidate: Candidate,
    trial: Trial,
    class_indices: IntArray,
    *,
    n_classes: int,
    temperature: float,
    standardiser: Standardiser,
) -> tuple[NetworkHead, tuple[str, ...]]:
    """One voice fitted on all windows, and a remark where L-BFGS stopped short of the optimum.

    Parameters
    ----------
    candidate : Candidate
        The features that it was tried on.
    trial : Trial
        Its head and penalty.
    class_indices : ndarray of shape (n_windows,), int
    n_classes : int
    temperature : float
        That the held-out answers of the trial ask for.
    standardiser : Standardiser
        Of the candidate's features.
    """
    link: Link = "one_vs_rest" if trial.setting.head == "one-vs-rest" else "softmax"
    if trial.setting.head == "ridge":
        problem = LeastSquares(candidate.space.coordinates, signed_targets(class_indices, n_classes))
        weights, bias = problem.solution(trial.setting.penalty)
        remarks: tuple[str, ...] = ()
    else:
        head, remarks = fit_logistic(
            candidate.space.coordinates, class_indices, trial.setting.penalty, one_vs_rest=link == "one_vs_rest"
        )
        weights = np.asarray(head.layers_[0].weights, np.float64)
        bias = np.asarray(head.layers_[0].bias, np.float64)
    layers = [(candidate.space.weights_of(weights), bias)]
    own = NetworkHead.of(layers, temperature=temperature / trial.scale, link=link, standardiser=standardiser)
    return own, remarks


def fit_logistic(
    features: Features, class_indices: IntArray, penalty: float, *, one_vs_rest: bool = False
) -> tuple[LogisticClassifier, tuple[str, ...]]:
    """The logistic head at its optimum, and a remark where L-BFGS stopped short of it.

    Parameters
    ----------
    features : ndarray of shape (n_windows, n_features)
        Standardised.
    class_indices : ndarray of shape (n_windows,), int
    penalty : float
        C.
    one_vs_rest : bool
        A binary problem for each class.
    """
    head = LogisticClassifier(C=penalty, multi_class="one_vs_rest" if one_vs_rest else "multinomial")
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
    >>> new_mlp((8,), 600, seed=0).early_stopping, new_mlp((8,), 60, seed=0, max_epochs=7).max_epochs
    (True, 7)
    """
    settings: dict[str, Any] = {"l2": 1e-3, "dtype": "float32", "max_epochs": 60, "patience": 6}
    settings |= settings_for(n_windows)
    if max_epochs is not None:
        settings |= {"max_epochs": max_epochs, "early_stopping": False}
    return MLPClassifier(tuple(hidden_layer_sizes), random_state=seed, **settings)


def fit_network(
    features: Features,
    class_indices: IntArray,
    units: IntArray,
    options: FitOptions,
    *,
    unlabelled: Features | None = None,
    report: Callable[[int, float], None] = lambda _epoch, _loss: None,
) -> Network:
    """An MLP, or a deep-belief network, fitted on these windows.

    An MLP stops by the loss of held-out units; where nothing can be held out without losing a class, it runs a fixed
    number of epochs instead.

    Parameters
    ----------
    features : ndarray of shape (n_windows, n_features)
        Standardised.
    class_indices, units : ndarray of shape (n_windows,), int
        Windows of one unit stay on one side of the hold-out.
    options : FitOptions
    unlabelled : ndarray of shape (n_more, n_features), optional
        Windows without labels, standardised: a deep-belief network learns from them too.
    report : callable
        Called with (epoch, loss).
    """

    def watch(epoch: int, loss: float, _validation_loss: float | None) -> None:
        report(epoch, loss)

    if options.head == "deep-belief":
        network = DeepBeliefClassifier(tuple(options.hidden_layer_sizes), dtype="float32", random_state=options.seed)
        return network.fit(features, class_indices, X_unlabelled=unlabelled)
    head = new_mlp(options.hidden_layer_sizes, len(features), options.seed)
    if not head.early_stopping:
        return head.fit(features, class_indices, callback=watch)
    if can_hold_out(class_indices, units):
        # Each row its own unit means independent windows: then rows are drawn per class, which spreads rare classes
        # better.
        groups = None if len(np.unique(units)) == len(units) else units
        return head.fit(features, class_indices, groups, callback=watch)
    head = new_mlp(options.hidden_layer_sizes, len(features), options.seed, max_epochs=60)
    return head.fit(features, class_indices, callback=watch)


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


def logits_of(head: LogisticClassifier | Network, features: Features, n_classes: int) -> Logits:
    """Logits of shape ``(n_windows, n_classes)``; classes that the head never saw stand far below the others."""
    known: Any = head.classes_
    answers = two_columns(np.asarray(head.decision_function(features), np.float64))
    if len(known) == n_classes:
        return answers
    logits = np.repeat(answers.min(axis=1, keepdims=True) - _MISSING, n_classes, axis=1)
    logits[:, np.asarray(known, np.int64)] = answers
    return logits


def network_logits(
    features: NDArray[np.floating],
    class_indices: IntArray,
    units: IntArray,
    folds: Sequence[Fold],
    options: FitOptions,
    *,
    n_classes: int,
    unlabelled: NDArray[np.floating] | None = None,
    report: Report,
) -> Logits:
    """Out-of-fold logits of a network, shape ``(n_windows, n_classes)``; NaN for rows that no fold holds out."""
    logits = np.full((len(features), n_classes), np.nan)
    for number, (fitted, held_out) in enumerate(folds):
        scaling = fit_standardiser(features[fitted])

        def watch(epoch: int, _loss: float, number: int = number) -> None:
            report(f"{options.head}, fold {number + 1}, epoch {epoch}", number, len(folds))

        watch(0, 0.0)
        head = fit_network(
            scaling.apply(features[fitted]),
            class_indices[fitted],
            units[fitted],
            options,
            unlabelled=None if unlabelled is None else scaling.apply(unlabelled),
            report=watch,
        )
        logits[held_out] = logits_of(head, scaling.apply(features[held_out]), n_classes)
    return logits
