"""The multilayer perceptron: the network of any depth, fitted in mini-batches with early stopping."""

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from trainer.errors import DivergedError
from trainer.learn.activations import ACTIVATIONS
from trainer.learn.arrays import AnyArray, FloatArray, IntArray
from trainer.learn.class_weights import ClassWeight, row_weights
from trainer.learn.estimator import Classifier, require_name, require_number
from trainer.learn.holdout import hold_out
from trainer.learn.losses import LOSSES
from trainer.learn.network import (
    Layer,
    Workspace,
    as_layers,
    dropout_masks,
    forward,
    initialise,
    loss_and_gradients,
    loss_name_for,
    n_outputs_for,
)
from trainer.learn.optimisers import OPTIMISERS, SGD, Adam, Optimiser
from trainer.learn.schedules import SCHEDULES, new_schedule

EpochCallback = Callable[[int, float, float | None], None]


_FEW = 100


def settings_for(n_windows: int) -> dict[str, Any]:
    """Return the parameters of an `MLPClassifier` that do well for so many windows.

    Below 100 windows too few can be held out for their loss to say when to stop. Then the whole set is one batch, the
    rate falls to 0 along a cosine, and a strong decay of the weights, not the hold-out, keeps the fit from following
    every window. From there on: the defaults.

    Parameters
    ----------
    n_windows : int
        To fit on.

    Examples
    --------
    >>> settings_for(20)["batch_size"], settings_for(20)["early_stopping"], settings_for(5000)
    (20, False, {})
    """
    if n_windows >= _FEW:
        return {}
    return {
        "batch_size": n_windows,
        "early_stopping": False,
        "max_epochs": 200,
        "learning_rate": 3e-3,
        "schedule": "cosine",
        "l2": 0.0,
        "weight_decay": 1.0,
    }


class MLPClassifier(Classifier):
    """A feed-forward network of any depth, fitted by mini-batch backpropagation.

    Parameters
    ----------
    hidden_layer_sizes : sequence of int
        Units of each hidden layer. Empty: logistic regression.
    activation : {"relu", "tanh", "sigmoid", "identity"}
        Of the hidden layers.
    optimiser : {"adam", "sgd"}
    learning_rate : float
        Step size, > 0.
    momentum : float
        Of SGD (with Nesterov's look-ahead), in [0, 1). Adam does not use it.
    l2 : float
        ``l2 / 2 * ||weights||^2`` is added to the mean loss of every batch; biases are free.
    weight_decay : float
        Weights shrink by ``learning_rate * weight_decay`` of themselves at every step, beside the gradient; biases do
        not. With Adam this is AdamW: Loshchilov & Hutter, ICLR 2019, arXiv 1711.05101, algorithm 2.
    dropout, input_dropout : float
        Share of the hidden units, and of the features, that a step leaves out, in [0, 1); see
        `network.dropout_masks`.
    label_smoothing : float
        Share of every target that is spread over the classes, in [0, 1); see `losses`.
    schedule : {"constant", "cosine", "plateau"}
        Of the learning rate: as given, a short rise and half a cosine down to 0 at `max_epochs`, or halved when the
        watched loss stays; see `schedules`.
    batch_size : int
        Rows of a step; the last batch of an epoch may be smaller.
    max_epochs : int
        Most passes over the rows.
    early_stopping : bool
        Hold rows out, watch their loss, and keep the weights of the best epoch.
    validation_fraction : float
        Share of the rows to hold out, in (0, 1).
    patience : int
        Epochs without an improvement of more than `tol` before it stops.
    tol : float
        In nats.
    class_weight : mapping, "balanced" or None
        Label to weight; see `class_weights.row_weights`.
    dtype : {"float32", "float64"}
        Of the arithmetic while fitting. float32 takes half the time, and what was learned is float64 either way.
    random_state : int, numpy.random.Generator or None
        Seed of the initial weights, the hold-out and the order of rows. The same seed gives the same bytes.

    Attributes
    ----------
    n_iter_ : int
        Epochs run.
    best_epoch_ : int
        The epoch whose weights were kept, counted from 1.
    loss_curve_, validation_loss_curve_ : list of float
        Mean loss of each epoch in nats (training: with penalty, while the weights move; validation: without). Without
        early stopping the second is empty.
    classes_, n_features_in_, feature_names_in_, layers_
        As in `Classifier`.

    Examples
    --------
    >>> X, y = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]] * 8), np.array([0, 1, 1, 0] * 8)
    >>> head = MLPClassifier((8,), learning_rate=0.05, early_stopping=False, max_epochs=100, random_state=0).fit(X, y)
    >>> head.score(X, y), head.n_iter_  # exclusive or: no linear model can
    (1.0, 100)
    """

    n_iter_: int
    best_epoch_: int
    loss_curve_: list[float]
    validation_loss_curve_: list[float]

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] = (64, 32),
        *,
        activation: str = "relu",
        optimiser: str = "adam",
        learning_rate: float = 1e-3,
        momentum: float = 0.9,
        l2: float = 1e-4,
        weight_decay: float = 0.0,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        label_smoothing: float = 0.0,
        schedule: str = "constant",
        batch_size: int = 64,
        max_epochs: int = 200,
        early_stopping: bool = True,
        validation_fraction: float = 0.1,
        patience: int = 10,
        tol: float = 1e-4,
        class_weight: ClassWeight = None,
        dtype: str = "float64",
        random_state: int | np.random.Generator | None = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.optimiser = optimiser
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.l2 = l2
        self.weight_decay = weight_decay
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.label_smoothing = label_smoothing
        self.schedule = schedule
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.tol = tol
        self.class_weight = class_weight
        self.dtype = dtype
        self.random_state = random_state

    def fit(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike | None,
        groups: npt.ArrayLike | None = None,
        *,
        initial_layers: Sequence[Layer] | None = None,
        callback: EpochCallback | None = None,
    ) -> Self:
        """Fit and return self.

        Parameters
        ----------
        X : array-like of shape (n_windows, n_features)
            Standardised features: nothing is scaled here.
        y : array-like of shape (n_windows,)
            Labels, at least two different ones.
        groups : array-like of shape (n_windows,), optional
            What rows share (person, device, recording): early stopping holds out whole groups. Needed wherever windows
            overlap, else the hold-out has seen what it judges.
        initial_layers : sequence of Layer, optional
            Where the weights start, of the shapes that the layers will have (pre-training). Left out: at random.
        callback : callable, optional
            Called with (epoch, loss, validation_loss) after every epoch; epochs count from 1, and validation_loss is
            None without early stopping.

        Raises
        ------
        ValueError
            If a hyper-parameter is out of range, or X, y or groups cannot be used; TypeError for sparse input.
        DivergedError
            If the loss or a weight is no longer finite. An earlier fit of this object is kept.
        """
        self._check_parameters()
        features, classes, class_indices = self._checked_for_fit(X, y)
        group_of_row = None if groups is None else np.asarray(groups)
        if group_of_row is not None and group_of_row.shape != class_indices.shape:
            msg = f"groups: expected shape {class_indices.shape}, got {group_of_row.shape}"
            raise ValueError(msg)
        fit = _Fit(
            self,
            features.astype(self.dtype, copy=False),
            class_indices=class_indices,
            weights=row_weights(self.class_weight, classes, class_indices),
            n_classes=len(classes),
            generator=np.random.default_rng(self.random_state),
        )
        if initial_layers is not None:
            fit.start_from(initial_layers)
        # A fit that runs away is found by its loss and gets one error; numpy's warnings on the way add nothing.
        with np.errstate(over="ignore", invalid="ignore"):
            fit.run(group_of_row, callback)
        self.classes_ = classes
        self.layers_ = as_layers(fit.best.astype(np.float64), fit.layer_sizes)
        self.n_iter_ = len(fit.losses)
        self.best_epoch_ = fit.best_epoch
        self.loss_curve_ = fit.losses
        self.validation_loss_curve_ = fit.validation_losses
        return self

    def _hidden_activation(self) -> str:
        return self.activation

    def _check_parameters(self) -> None:
        if np.ndim(self.hidden_layer_sizes) != 1:
            msg = f"hidden_layer_sizes: expected a sequence of whole numbers, got {self.hidden_layer_sizes!r}"
            raise ValueError(msg)
        for size in self.hidden_layer_sizes:
            require_number("hidden_layer_sizes", size, 1, whole=True)
        require_name("activation", self.activation, list(ACTIVATIONS))
        require_name("optimiser", self.optimiser, list(OPTIMISERS))
        require_name("dtype", self.dtype, ["float32", "float64"])
        require_number("learning_rate", self.learning_rate, 0.0, low_allowed=False)
        require_number("momentum", self.momentum, 0.0, 1.0)
        require_number("l2", self.l2, 0.0)
        require_number("weight_decay", self.weight_decay, 0.0)
        for name in ("dropout", "input_dropout", "label_smoothing"):
            require_number(name, getattr(self, name), 0.0, 1.0)
        require_name("schedule", self.schedule, SCHEDULES)
        require_number("batch_size", self.batch_size, 1, whole=True)
        require_number("max_epochs", self.max_epochs, 1, whole=True)
        require_number("validation_fraction", self.validation_fraction, 0.0, 1.0, low_allowed=False)
        require_number("patience", self.patience, 1, whole=True)
        require_number("tol", self.tol, 0.0)


class _Fit:
    """One run of the training loop; its fields are what the run leaves behind."""

    def __init__(
        self,
        head: MLPClassifier,
        X: FloatArray,
        *,
        class_indices: IntArray,
        weights: FloatArray | None,
        n_classes: int,
        generator: np.random.Generator,
    ) -> None:
        self.head = head
        self.X = X
        self.class_indices = class_indices
        # Scaled to a mean of 1, so that a batch's loss can be divided by its number of rows: a batch of light rows then
        # counts little, instead of being blown up to the weight of a heavy one.
        self.weights = None if weights is None else weights / weights.mean()
        self.generator = generator
        self.loss_name = loss_name_for(n_classes)
        self.layer_sizes = [X.shape[1], *head.hidden_layer_sizes, n_outputs_for(n_classes)]
        self.vector = initialise(self.layer_sizes, head.activation, generator, X.dtype)
        self.params = as_layers(self.vector, self.layer_sizes)
        self.gradient = np.empty_like(self.vector)
        self.gradients = as_layers(self.gradient, self.layer_sizes)
        self.batch_size = min(head.batch_size, len(X))
        # Made once for all batches: new arrays of this size would go back to the system and be fetched anew.
        self.rows = np.empty((self.batch_size, X.shape[1]), X.dtype)
        self.workspace = Workspace(self.layer_sizes, self.batch_size, X.dtype)
        self.n_steps = 0
        self.best = self.vector
        self.best_epoch = 0
        self.losses: list[float] = []
        self.validation_losses: list[float] = []

    def start_from(self, layers: Sequence[Layer]) -> None:
        """Copy these layers over the random start."""
        expected, got = ([weights.shape for weights, _ in each] for each in (self.params, layers))
        if expected != got:
            msg = f"initial_layers: expected weights of shapes {expected}, got {got}"
            raise ValueError(msg)
        for own, given in zip(self.params, layers, strict=True):
            own.weights[...], own.bias[...] = given.weights, given.bias

    def run(self, groups: AnyArray | None, callback: EpochCallback | None) -> None:
        head = self.head
        fitted: IntArray = np.arange(len(self.X))
        held_out: IntArray = np.arange(0)
        if head.early_stopping:
            fitted, held_out = hold_out(self.class_indices, groups, head.validation_fraction, self.generator)
        optimiser = self._optimiser()
        state = optimiser.initial_state(self.vector)
        n_batches = -(-len(fitted) // self.batch_size)
        schedule = new_schedule(head.schedule, n_batches * head.max_epochs, head.patience, head.tol)

        def step() -> None:
            factor = schedule.factor(self.n_steps)
            if head.weight_decay:
                for layer in self.params:
                    weights = layer.weights
                    weights *= 1.0 - factor * head.learning_rate * head.weight_decay
            optimiser.step(self.vector, self.gradient, state, factor)
            self.n_steps += 1

        watched_rows = self.X[held_out]
        best_loss, bar, n_stale = np.inf, np.inf, 0
        for epoch in range(1, head.max_epochs + 1):
            loss = self._run_epoch(fitted, step)
            validation_loss = self._loss(watched_rows, held_out) if head.early_stopping else None
            watched = loss if validation_loss is None else validation_loss
            if not np.isfinite([loss, watched]).all() or not np.isfinite(self.vector).all():
                raise DivergedError(epoch=epoch, loss=loss if not np.isfinite(loss) else watched)
            self.losses.append(loss)
            schedule.watch(watched)
            if validation_loss is None:
                self.best_epoch = epoch
            else:
                self.validation_losses.append(validation_loss)
                if validation_loss < best_loss:
                    best_loss, self.best, self.best_epoch = validation_loss, self.vector.copy(), epoch
                n_stale = 0 if validation_loss < bar - head.tol else n_stale + 1
                bar = validation_loss if not n_stale else bar
            if callback is not None:
                callback(epoch, loss, validation_loss)
            if n_stale >= head.patience:
                break

    def _optimiser(self) -> Optimiser:
        head = self.head
        if head.optimiser == "sgd":
            return SGD(head.learning_rate, head.momentum)
        return Adam(head.learning_rate)

    def _run_epoch(self, rows: IntArray, step: Callable[[], None]) -> float:
        """Return the mean loss of an epoch, each batch taken before its step."""
        head, order, total = self.head, self.generator.permutation(rows), 0.0
        for start in range(0, len(order), self.batch_size):
            batch = order[start : start + self.batch_size]
            # mode="clip" lets numpy write straight into the buffer; the rows are in range by construction.
            X = np.take(self.X, batch, axis=0, out=self.rows[: len(batch)], mode="clip")
            if head.input_dropout:
                X *= dropout_masks([X.shape], head.input_dropout, self.generator, X.dtype)[0]
            hidden = [(len(batch), size) for size in self.layer_sizes[1:-1]] if head.dropout else None
            loss, _ = loss_and_gradients(
                self.params,
                X,
                self.class_indices[batch],
                activation=head.activation,
                loss=self.loss_name,
                l2=head.l2,
                sample_weight=None if self.weights is None else self.weights[batch],
                total_weight=float(len(batch)),
                label_smoothing=head.label_smoothing,
                masks=None if hidden is None else dropout_masks(hidden, head.dropout, self.generator, X.dtype),
                out=self.gradients,
                workspace=self.workspace,
            )
            step()
            total += loss * len(batch)
        return total / len(order)

    def _loss(self, X: FloatArray, rows: IntArray) -> float:
        """Return the mean loss of rows that are not fitted on, without penalty."""
        logits = forward(self.params, X, self.head.activation)[-1]
        weights = None if self.weights is None else self.weights[rows]
        loss, _ = LOSSES[self.loss_name](logits, self.class_indices[rows], weights, float(len(rows)))
        return loss
