"""Deep belief: layers learned without labels, one Boltzmann machine on top of the other, then fine-tuned with them."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from trainer.learn.arrays import AnyArray, FloatArray, IntArray, check_features
from trainer.learn.boltzmann import VISIBLE_KINDS
from trainer.learn.class_weights import ClassWeight
from trainer.learn.estimator import Classifier, require_name, require_number
from trainer.learn.mlp import MLPClassifier
from trainer.learn.network import Layer, forward, n_outputs_for
from trainer.learn.rbm import RestrictedBoltzmannMachine

Report = Callable[[str, int, int], None]

_BINARY_RATE = 10.0
"""Binary units bear ten times the learning rate of Gaussian ones: Hinton (2010), section 13.2."""


class DeepBeliefClassifier(Classifier):
    """A network of sigmoid layers, pre-trained on all rows and fine-tuned by backpropagation on the labelled ones.

    Parameters
    ----------
    hidden_layer_sizes : sequence of int
        Units of each hidden layer, at least one layer.
    visible : {"gaussian", "bernoulli"}
        Kind of the input: standardised features, or values in [0, 1].
    pretrain_epochs : int
        Passes of contrastive divergence for each layer; 0 = no pre-training, a plain network of sigmoid layers.
    pretrain_learning_rate : float
        Step size of the first layer, > 0. Layers of binary input (those above; the first, too, with "bernoulli") take
        ten times as much.
    pretrain_batch_size : int
        Rows of a step of pre-training.
    n_steps : int
        Gibbs steps of contrastive divergence (the k of CD-k).
    momentum : float
        Of pre-training, in [0, 1).
    pretrain_l2 : float
        Weight decay of pre-training.
    min_steps : int
        Fine-tuning takes at least so many steps: with few labels an epoch is one step, and `max_epochs` is raised until
        there are as many.
    learning_rate, l2, batch_size, max_epochs, early_stopping, validation_fraction, patience, tol, class_weight
        Of the fine-tuning with Adam, as in `MLPClassifier`. Early stopping is off by default: this head is for few
        labels, of which none should be held out.
    unlabelled : int, str or None
        The label in y that means "no label": rows that carry it are pre-trained on only. None: every value of y is a
        class (-1 and 1 are a common pair of labels).
    dtype : {"float32", "float64"}
        Of the arithmetic while fitting; what was learned is float64 either way.
    random_state : int, numpy.random.Generator or None
        Seed of everything that is drawn. The same seed gives the same bytes.

    Attributes
    ----------
    pretrained_layers_ : list of Layer
        The hidden layers before fine-tuning; empty without pre-training.
    reconstruction_curves_ : list of list of float
        Of each layer, see `RestrictedBoltzmannMachine`.
    loss_curve_, validation_loss_curve_, n_iter_, best_epoch_
        Of the fine-tuning, as in `MLPClassifier`.
    classes_, n_features_in_, feature_names_in_, layers_
        As in `Classifier`.

    Notes
    -----
    Hinton, Osindero & Teh, Neural Computation 18 (2006) 1527 (layer by layer); Hinton & Salakhutdinov, Science 313
    (2006) 504 (Gaussian input, fine-tuning by backpropagation).

    Examples
    --------
    >>> generator = np.random.default_rng(0)
    >>> centres = np.repeat([[-1.0], [1.0]], 100, axis=0)
    >>> X = centres + 0.3 * generator.normal(size=(200, 4))
    >>> y = np.where(np.arange(200) % 100 == 0, np.repeat([0, 1], 100), -1)  # one label a class
    >>> head = DeepBeliefClassifier((8,), unlabelled=-1, max_epochs=100, random_state=0).fit(X, y)
    >>> head.score(X, np.repeat([0, 1], 100)), head.classes_.tolist()
    (1.0, [0, 1])
    """

    pretrained_layers_: list[Layer]
    reconstruction_curves_: list[list[float]]
    n_iter_: int
    best_epoch_: int
    loss_curve_: list[float]
    validation_loss_curve_: list[float]

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] = (256,),
        *,
        visible: str = "gaussian",
        pretrain_epochs: int = 10,
        pretrain_learning_rate: float = 0.001,
        pretrain_batch_size: int = 64,
        n_steps: int = 1,
        momentum: float = 0.9,
        pretrain_l2: float = 1e-4,
        learning_rate: float = 1e-3,
        l2: float = 1e-4,
        batch_size: int = 64,
        max_epochs: int = 100,
        min_steps: int = 1000,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 10,
        tol: float = 1e-4,
        class_weight: ClassWeight = None,
        unlabelled: int | str | None = None,
        dtype: str = "float64",
        random_state: int | np.random.Generator | None = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.visible = visible
        self.pretrain_epochs = pretrain_epochs
        self.pretrain_learning_rate = pretrain_learning_rate
        self.pretrain_batch_size = pretrain_batch_size
        self.n_steps = n_steps
        self.momentum = momentum
        self.pretrain_l2 = pretrain_l2
        self.learning_rate = learning_rate
        self.l2 = l2
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.min_steps = min_steps
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.tol = tol
        self.class_weight = class_weight
        self.unlabelled = unlabelled
        self.dtype = dtype
        self.random_state = random_state

    def fit(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike | None,
        groups: npt.ArrayLike | None = None,
        *,
        X_unlabelled: npt.ArrayLike | None = None,
        pretrained: Sequence[Layer] | None = None,
        report: Report | None = None,
    ) -> Self:
        """Pre-train on all rows, fine-tune on the labelled ones, and return self.

        Parameters
        ----------
        X : array-like of shape (n_windows, n_features)
            Standardised features: nothing is scaled here.
        y : array-like of shape (n_windows,)
            Labels, at least two different ones beside `unlabelled`.
        groups : array-like of shape (n_windows,), optional
            What rows share; early stopping holds out whole groups.
        X_unlabelled : array-like of shape (n_more_windows, n_features), optional
            Further rows to pre-train on.
        pretrained : sequence of Layer, optional
            `pretrained_layers_` of an earlier fit with the same sizes: nothing is pre-trained anew, so that one
            pre-training serves many fits.
        report : callable, optional
            Called with (what, done, of) after every epoch.

        Raises
        ------
        ValueError
            If a hyper-parameter is out of range, or X, y, groups or X_unlabelled cannot be used.
        DivergedError
            If a loss or a weight is no longer finite.
        """
        self._check_parameters()
        features, classes, class_indices = self._checked_for_fit(X, y)
        classes, class_indices = self._without_unlabelled(classes, class_indices)
        further = None if X_unlabelled is None else check_features(X_unlabelled)
        if further is not None and further.shape[1] != features.shape[1]:
            msg = f"X_unlabelled: expected {features.shape[1]} features as X has, got {further.shape[1]}"
            raise ValueError(msg)
        group_of_row = None if groups is None else np.asarray(groups)
        if group_of_row is not None and group_of_row.shape != class_indices.shape:
            msg = f"groups: expected shape {class_indices.shape}, got {group_of_row.shape}"
            raise ValueError(msg)
        generator = np.random.default_rng(self.random_state)
        if pretrained is None:
            pool = features if further is None else np.concatenate([features, further])
            machines = self._stack(pool, generator, report)
            stacked, curves = [machine.layer for machine in machines], [one.reconstruction_curve_ for one in machines]
        else:
            stacked, curves = list(pretrained), []
        is_labelled = class_indices >= 0
        n_epochs = max(self.max_epochs, -(-self.min_steps // -(-int(is_labelled.sum()) // self.batch_size)))
        tuned = self._fine_tuner(n_epochs, generator)
        tuned.fit(
            features[is_labelled],
            classes[class_indices[is_labelled]],
            None if group_of_row is None else group_of_row[is_labelled],
            initial_layers=[*stacked, self._top(len(classes))] if stacked else None,
            callback=None if report is None else _epochs_of("fine-tuning", n_epochs, report),
        )
        self.classes_ = classes
        self.layers_ = tuned.layers_
        self.pretrained_layers_, self.reconstruction_curves_ = stacked, curves
        self.n_iter_, self.best_epoch_ = tuned.n_iter_, tuned.best_epoch_
        self.loss_curve_, self.validation_loss_curve_ = tuned.loss_curve_, tuned.validation_loss_curve_
        return self

    def transform(self, X: npt.ArrayLike) -> FloatArray:
        """Return the values of the last hidden layer, shape (n_windows, n_units), each between 0 and 1.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ValueError
            If X is not finite, or does not have the features of the fit.
        """
        features = self._checked_like_fit(X, "layers_")
        return forward(self.layers_, features, self._hidden_activation())[-2]

    def fit_transform(self, X: npt.ArrayLike, y: npt.ArrayLike | None = None) -> FloatArray:
        """Fit, and return `transform` of the same rows."""
        return self.fit(X, y).transform(X)

    @property
    def activation(self) -> str:
        """The activation of the hidden layers: "sigmoid", the one that a Boltzmann machine has."""
        return self._hidden_activation()

    def __sklearn_tags__(self) -> object:
        """Return scikit-learn's description of this estimator: a classifier that can also transform."""
        tags: Any = super().__sklearn_tags__()
        tags.transformer_tags = import_module("sklearn.utils").TransformerTags(preserves_dtype=[])
        return tags

    def _hidden_activation(self) -> str:
        return "sigmoid"

    def _check_parameters(self) -> None:
        """Refuse what the machines and the fine-tuning do not check themselves, before minutes of work."""
        if np.ndim(self.hidden_layer_sizes) != 1 or not len(self.hidden_layer_sizes):
            msg = f"hidden_layer_sizes: expected at least one whole number, got {self.hidden_layer_sizes!r}"
            raise ValueError(msg)
        require_name("visible", self.visible, VISIBLE_KINDS)
        require_number("pretrain_epochs", self.pretrain_epochs, 0, whole=True)
        require_number("pretrain_learning_rate", self.pretrain_learning_rate, 0.0, low_allowed=False)
        require_number("pretrain_batch_size", self.pretrain_batch_size, 1, whole=True)
        require_number("n_steps", self.n_steps, 1, whole=True)
        require_number("momentum", self.momentum, 0.0, 1.0)
        require_number("pretrain_l2", self.pretrain_l2, 0.0)
        require_number("batch_size", self.batch_size, 1, whole=True)
        require_number("max_epochs", self.max_epochs, 1, whole=True)
        require_number("min_steps", self.min_steps, 0, whole=True)

    def _without_unlabelled(self, classes: AnyArray, class_indices: IntArray) -> tuple[AnyArray, IntArray]:
        """Return classes and class indices without the label that means none; its rows become -1."""
        names = classes.tolist()
        if self.unlabelled is None or self.unlabelled not in names:
            return classes, class_indices
        position = names.index(self.unlabelled)
        left = np.delete(classes, position)
        if len(left) < 2:
            msg = f"{type(self).__name__} needs at least 2 classes beside {self.unlabelled!r}, got 1 class: {left[0]!s}"
            raise ValueError(msg)
        return left, np.where(class_indices == position, -1, class_indices - (class_indices > position))

    def _stack(
        self, rows: FloatArray, generator: np.random.Generator, report: Report | None
    ) -> list[RestrictedBoltzmannMachine]:
        """Return one fitted machine a hidden layer, each on the answers of the one below."""
        machines: list[RestrictedBoltzmannMachine] = []
        if not self.pretrain_epochs:
            return machines
        for number, size in enumerate(self.hidden_layer_sizes):
            visible = "bernoulli" if number else self.visible
            scale = _BINARY_RATE if visible == "bernoulli" else 1.0
            machine = RestrictedBoltzmannMachine(
                size,
                visible=visible,
                n_steps=self.n_steps,
                learning_rate=scale * self.pretrain_learning_rate,
                momentum=self.momentum,
                l2=self.pretrain_l2,
                batch_size=self.pretrain_batch_size,
                max_epochs=self.pretrain_epochs,
                dtype=self.dtype,
                random_state=generator,
            )
            what = f"pre-training layer {number + 1}"
            machine.fit(rows, callback=None if report is None else _epochs_of(what, self.pretrain_epochs, report))
            machines.append(machine)
            rows = machine.transform(rows)
        return machines

    def _top(self, n_classes: int) -> Layer:
        """Return the output layer before the first step: even odds whatever the input."""
        n_outputs = n_outputs_for(n_classes)
        return Layer(np.zeros((self.hidden_layer_sizes[-1], n_outputs)), np.zeros(n_outputs))

    def _fine_tuner(self, n_epochs: int, generator: np.random.Generator) -> MLPClassifier:
        return MLPClassifier(
            self.hidden_layer_sizes,
            activation=self._hidden_activation(),
            optimiser="adam",
            learning_rate=self.learning_rate,
            l2=self.l2,
            batch_size=self.batch_size,
            max_epochs=n_epochs,
            early_stopping=self.early_stopping,
            validation_fraction=self.validation_fraction,
            patience=self.patience,
            tol=self.tol,
            class_weight=self.class_weight,
            dtype=self.dtype,
            random_state=generator,
        )


def _epochs_of(what: str, of: int, report: Report) -> Callable[..., None]:
    """Return a callback of epochs that tells the report how many are done."""

    def callback(epoch: int, *_: object) -> None:
        report(what, epoch, of)

    return callback
