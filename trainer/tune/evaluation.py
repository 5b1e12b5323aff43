"""How right a head is on features: every window answered by a fit that saw neither it nor its group."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.data import Fold, FoldPlan
from trainer.export import fit_standardiser
from trainer.export.quantise import WeightKind, rounded
from trainer.fit.heads import can_hold_out
from trainer.learn import ConvergenceWarning, Layer, LogisticClassifier, MLPClassifier, RidgeClassifier, forward
from trainer.learn.mlp import settings_for
from trainer.tune.choice import Accuracy, accuracy_with_error
from trainer.tune.options import hidden_layer_sizes

Features = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.floating]
Indices = npt.NDArray[np.int64]
Report = Callable[[str, int, int], None]
Head = LogisticClassifier | RidgeClassifier | MLPClassifier

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Every C of the logistic head, strong to weak; the path ends where the loss has grown."""

_LARGE = 2_000_000
"""Values in the features from which one fold alone chooses C."""

# To compare heads, the third digit of the loss is enough.
_MAX_ITERATIONS = 60
_TOLERANCE = 1e-3
_LEAST_PROBABILITY = 1e-12
_NETWORK = {"l2": 1e-3, "dtype": "float32", "max_epochs": 60, "patience": 6}


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """The out-of-fold answers of a head.

    Attributes
    ----------
    setting : dict of str to float
        What was chosen for it: ``C`` or ``alpha``.
    rows : ndarray of shape (n_judged,), int64
        Windows that some fold holds out.
    is_right : ndarray of shape (n_judged,), bool
    accuracy : Accuracy
    """

    setting: dict[str, float]
    rows: Indices
    is_right: npt.NDArray[np.bool_]
    accuracy: Accuracy


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """What every head of a search is asked.

    Attributes
    ----------
    class_indices : ndarray of shape (n_windows,), int64
        All labelled.
    plan : FoldPlan
    seed : int
        Of the MLP.
    """

    class_indices: Indices
    plan: FoldPlan
    seed: int


def judge_head(head: str, features: Features, problem: Problem) -> Judged:
    """Return the out-of-fold answers of a head, with its penalty chosen on the same folds.

    Parameters
    ----------
    head : str
        As `TuneOptions` names it.
    features : ndarray of shape (n_windows, n_features)
        Not standardised.
    problem : Problem

    Notes
    -----
    One number is chosen for a whole data set among ten or less, which flatters a figure by far less than its standard
    error; `trainer.fit` chooses without that. Ridge answers all folds in closed form on features standardised once,
    without looking at labels; the other heads are standardised fold by fold.
    """
    class_indices, plan = problem.class_indices, problem.plan
    predictions = np.full(len(class_indices), -1, np.int64)
    if head == "ridge":
        standardised = fit_standardiser(features).apply(features)
        ridge = RidgeClassifier().fit(standardised, class_indices, folds=list(plan.folds))
        setting = {"alpha": ridge.alpha_}
        is_judged = ~np.isnan(ridge.held_out_decision_).any(axis=1)
        predictions[is_judged] = _labels(ridge.held_out_decision_[is_judged], ridge.classes_)
    else:
        setting, fitted = _setting(head, features, problem)
        for number, fold in enumerate(plan.folds):
            own = fitted.get(number) or fit_head(head, setting, features, problem, fold)
            predictions[fold.held_out] = own.predict(_held_out(features, fold))
    rows = np.flatnonzero(predictions >= 0)
    is_right = predictions[rows] == class_indices[rows]
    return Judged(setting, rows, is_right, accuracy_with_error(is_right, plan.units[rows]))


def judge_weights(
    head: str, setting: Mapping[str, float], features: Features, problem: Problem, kinds: tuple[WeightKind, ...]
) -> dict[WeightKind, float]:
    """Return the out-of-fold accuracy of a head with its weights stored in each of these ways."""
    class_indices = problem.class_indices
    n_right = dict.fromkeys(kinds, 0)
    n_judged = 0
    for fold in problem.plan.folds:
        own = fit_head(head, setting, features, problem, fold)
        held_out = _held_out(features, fold)
        n_judged += len(fold.held_out)
        for kind in kinds:
            layers = [Layer(rounded(layer.weights, kind), layer.bias) for layer in own.layers_]
            logits = forward(layers, held_out, own.activation)[-1]
            n_right[kind] += int(np.count_nonzero(_labels(logits, own.classes_) == class_indices[fold.held_out]))
    return {kind: n_right[kind] / n_judged for kind in kinds}


def fit_head(head: str, setting: Mapping[str, float], features: Features, problem: Problem, fold: Fold) -> Head:
    """Return a head fitted on the standardised features of a fold."""
    X = fit_standardiser(features[fold.fitted]).apply(features[fold.fitted])
    y = problem.class_indices[fold.fitted]
    if head == "ridge":
        return RidgeClassifier(setting["alpha"]).fit(X, y)
    if head == "logistic":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return LogisticClassifier(setting["C"], max_iter=_MAX_ITERATIONS, tol=_TOLERANCE).fit(X, y)
    return _fit_network(head, X, y, problem.plan.units[fold.fitted], problem.seed)


def _fit_network(head: str, X: Matrix, y: Indices, units: Indices, seed: int) -> MLPClassifier:
    """An MLP that stops by the loss of held-out units, or after 60 epochs where none can be held out."""
    settings: dict[str, Any] = {**_NETWORK, **settings_for(len(X))}
    if not can_hold_out(y, units):
        settings["early_stopping"] = False
    network = MLPClassifier(hidden_layer_sizes(head), random_state=seed, **settings)
    # Each row its own unit means independent windows: rows are then drawn per class.
    is_grouped = network.early_stopping and len(np.unique(units)) < len(units)
    return network.fit(X, y, units if is_grouped else None)


def _setting(head: str, features: Features, problem: Problem) -> tuple[dict[str, float], dict[int, Head]]:
    """The setting of a head, and what was fitted at it on the way, by the number of the fold."""
    if head != "logistic":
        return {}, {}
    folds, class_indices = problem.plan.folds, problem.class_indices
    asked = folds[:1] if features.size > _LARGE else folds
    best: tuple[float, dict[str, float], dict[int, Head]] | None = None
    for penalty in PENALTIES:
        setting = {"C": penalty}
        fitted = {number: fit_head(head, setting, features, problem, fold) for number, fold in enumerate(asked)}
        loss = sum(
            _loss(fitted[number], _held_out(features, fold), class_indices[fold.held_out])
            for number, fold in enumerate(asked)
        )
        if best is not None and loss >= best[0]:
            break
        best = (loss, setting, fitted)
    if best is None:
        raise ValueError("penalties: at least one expected, got none")
    return best[1], best[2]


def _loss(head: Head, standardised: Matrix, class_indices: Indices) -> float:
    """Summed cross-entropy in nats; a class that the head never saw has the least probability there is."""
    probabilities = np.full((len(standardised), int(class_indices.max()) + 1), _LEAST_PROBABILITY)
    known = np.asarray(head.classes_, np.int64)
    is_asked = known < probabilities.shape[1]
    probabilities[:, known[is_asked]] = head.predict_proba(standardised)[:, is_asked]
    own = probabilities[np.arange(len(class_indices)), class_indices]
    return float(-np.log(np.maximum(own, _LEAST_PROBABILITY)).sum())


def _held_out(features: Features, fold: Fold) -> Matrix:
    return fit_standardiser(features[fold.fitted]).apply(features[fold.held_out])


def _labels(decision: Matrix, classes: npt.NDArray[np.generic]) -> Indices:
    """Class indices of decisions; one column is that of the second of two classes."""
    positions = (decision[:, 0] > 0.0).astype(np.int64) if decision.shape[1] == 1 else decision.argmax(axis=1)
    found: Indices = np.asarray(classes, np.int64)[positions]
    return found
