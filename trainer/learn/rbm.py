"""The restricted Boltzmann machine as an estimator: features of unlabelled rows, learned by contrastive divergence."""

from collections.abc import Callable
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from trainer.errors import DivergedError
from trainer.learn.arrays import FloatArray, check_features
from trainer.learn.boltzmann import (
    VISIBLE_KINDS,
    Boltzmann,
    contrastive_divergence,
    free_energy,
    hidden_probabilities,
    visible_means,
)
from trainer.learn.estimator import require_name, require_number
from trainer.learn.network import Layer
from trainer.learn.unsupervised import UnsupervisedEstimator

# Hinton (2010), sections 8.1 and 9.1.
_INITIAL_DEVIATION = 0.01
_EARLY_MOMENTUM = 0.5
_EARLY_EPOCHS = 5


class RestrictedBoltzmannMachine(UnsupervisedEstimator):
    """A restricted Boltzmann machine with binary hidden units.

    Parameters
    ----------
    n_hidden : int
        Hidden units.
    visible : {"gaussian", "bernoulli"}
        Kind of the visible units: standardised features, or values in [0, 1].
    n_steps : int
        Gibbs steps of contrastive divergence (the k of CD-k).
    learning_rate : float
        Step size, > 0. Gaussian units need about a tenth of what Bernoulli units bear.
    momentum : float
        In [0, 1); 0.5 in the first five epochs, if that is less.
    l2 : float
        Weight decay: ``l2 / 2 * ||weights||^2`` is taken off the log-likelihood; biases are free.
    batch_size : int
        Rows of a step.
    max_epochs : int
        Passes over the rows.
    dtype : {"float32", "float64"}
        Of the arithmetic while fitting; what was learned is float64 either way.
    random_state : int, numpy.random.Generator or None
        Seed of the initial weights, the order of rows and the Gibbs chains. The same seed gives the same bytes.

    Attributes
    ----------
    weights_ : ndarray of shape (n_features, n_hidden)
    visible_bias_ : ndarray of shape (n_features,)
    hidden_bias_ : ndarray of shape (n_hidden,)
    reconstruction_curve_ : list of float
        Mean squared error per value of one step down and up, of each epoch. It tells a fit that goes wrong; it is not
        what is optimised.
    n_iter_ : int
        Epochs run.
    n_features_in_, feature_names_in_
        As in `UnsupervisedEstimator`.

    Notes
    -----
    Hinton, *A Practical Guide to Training Restricted Boltzmann Machines*, UTML TR 2010-003.

    Examples
    --------
    >>> X = np.repeat([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]], 20, axis=0)
    >>> machine = RestrictedBoltzmannMachine(
    ...     4, visible="bernoulli", learning_rate=0.5, batch_size=10, max_epochs=200, random_state=0
    ... ).fit(X)
    >>> seen, unseen = machine.free_energy([[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0]])
    >>> bool(seen < unseen - 2.0)  # seven times as probable, at least
    True
    """

    weights_: FloatArray
    visible_bias_: FloatArray
    hidden_bias_: FloatArray
    reconstruction_curve_: list[float]
    n_iter_: int
    _estimator_type: ClassVar[str] = "transformer"

    def __init__(
        self,
        n_hidden: int = 64,
        *,
        visible: str = "gaussian",
        n_steps: int = 1,
        learning_rate: float = 0.001,
        momentum: float = 0.9,
        l2: float = 1e-4,
        batch_size: int = 64,
        max_epochs: int = 20,
        dtype: str = "float64",
        random_state: int | np.random.Generator | None = None,
    ) -> None:
        self.n_hidden = n_hidden
        self.visible = visible
        self.n_steps = n_steps
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.l2 = l2
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.dtype = dtype
        self.random_state = random_state

    def fit(self, X: npt.ArrayLike, y: object = None, *, callback: Callable[[int, float], None] | None = None) -> Self:
        """Fit and return self.

        Parameters
        ----------
        X : array-like of shape (n_windows, n_features)
            Gaussian units: standardised features. Bernoulli units: values in [0, 1].
        y : object
            Not looked at.
        callback : callable, optional
            Called with (epoch, reconstruction error) after every epoch; epochs count from 1.

        Raises
        ------
        ValueError
            If a hyper-parameter is out of range, or X cannot be used.
        DivergedError
            If a weight is no longer finite. An earlier fit of this object is kept.
        """
        require_number("n_hidden", self.n_hidden, 1, whole=True)
        require_name("visible", self.visible, VISIBLE_KINDS)
        require_number("n_steps", self.n_steps, 1, whole=True)
        require_number("learning_rate", self.learning_rate, 0.0, low_allowed=False)
        require_number("momentum", self.momentum, 0.0, 1.0)
        require_number("l2", self.l2, 0.0)
        require_number("batch_size", self.batch_size, 1, whole=True)
        require_number("max_epochs", self.max_epochs, 1, whole=True)
        require_name("dtype", self.dtype, ["float32", "float64"])
        features = self._checked_for_fit(X)
        if self.visible == "bernoulli" and not 0.0 <= features.min() <= features.max() <= 1.0:
            msg = f"X: values in 0 .. 1 expected for bernoulli units, got {features.min():g} .. {features.max():g}"
            raise ValueError(msg)
        machine, curve = self._run(features.astype(self.dtype, copy=False), callback)
        self.weights_, self.visible_bias_, self.hidden_bias_ = (part.astype(np.float64) for part in machine)
        self.reconstruction_curve_ = curve
        self.n_iter_ = len(curve)
        return self

    def transform(self, X: npt.ArrayLike) -> FloatArray:
        """Return the probability that each hidden unit is on, shape (n_windows, n_hidden).

        Raises
        ------
        NotFittedError
            Before ``fit``.
        ValueError
            If X is not finite, or does not have the features of the fit.
        """
        features = self._checked_like_fit(X, "weights_")
        return hidden_probabilities(self._machine, features)

    def fit_transform(self, X: npt.ArrayLike, y: object = None) -> FloatArray:
        """Fit, and return `transform` of the same rows."""
        return self.fit(X).transform(X)

    def inverse_transform(self, hidden: npt.ArrayLike) -> FloatArray:
        """Return the mean of the visible units for these hidden ones, shape (n_windows, n_features)."""
        self._require_fitted("weights_")
        values = check_features(hidden).astype(np.float64, copy=False)
        if values.shape[1] != self.weights_.shape[1]:
            msg = f"hidden: expected {self.weights_.shape[1]} units, got {values.shape[1]}"
            raise ValueError(msg)
        return visible_means(self._machine, values, self.visible)

    def free_energy(self, X: npt.ArrayLike) -> FloatArray:
        """Return the free energy of every row, shape (n_windows,): lower is more probable. Errors as in `transform`."""
        features = self._checked_like_fit(X, "weights_")
        return free_energy(self._machine, features, self.visible)

    def score_samples(self, X: npt.ArrayLike) -> FloatArray:
        """Return minus the free energy: the log-probability of every row, up to one constant that nobody can count."""
        return -self.free_energy(X)

    @property
    def layer(self) -> Layer:
        """The way up as a layer of a network with sigmoid units."""
        return Layer(self.weights_, self.hidden_bias_)

    @property
    def _machine(self) -> Boltzmann:
        return Boltzmann(self.weights_, self.visible_bias_, self.hidden_bias_)

    def _run(self, X: FloatArray, callback: Callable[[int, float], None] | None) -> tuple[Boltzmann, list[float]]:
        generator = np.random.default_rng(self.random_state)
        machine = initial_machine(X, self.n_hidden, self.visible, generator)
        velocity = Boltzmann(*(np.zeros_like(part) for part in machine))
        curve: list[float] = []
        # A fit that runs away is found by its numbers and gets one error; numpy's warnings on the way add nothing.
        with np.errstate(over="ignore", invalid="ignore"):
            for epoch in range(1, self.max_epochs + 1):
                momentum = min(self.momentum, _EARLY_MOMENTUM) if epoch <= _EARLY_EPOCHS else self.momentum
                order = generator.permutation(len(X))
                total = 0.0
                for start in range(0, len(X), self.batch_size):
                    batch = X[order[start : start + self.batch_size]]
                    ascent, error = contrastive_divergence(machine, batch, self.visible, self.n_steps, generator)
                    ascent.weights[...] -= self.l2 * machine.weights
                    for part, speed, slope in zip(machine, velocity, ascent, strict=True):
                        speed[...] = momentum * speed + self.learning_rate * slope
                        part[...] += speed
                    total += error * len(batch)
                curve.append(total / len(X))
                if not all(np.isfinite(part).all() for part in machine) or not np.isfinite(curve[-1]):
                    raise DivergedError(epoch=epoch, loss=curve[-1])
                if callback is not None:
                    callback(epoch, curve[-1])
        return machine, curve


def initial_machine(X: FloatArray, n_hidden: int, kind: str, generator: np.random.Generator) -> Boltzmann:
    """Return small random weights, and visible biases that give the mean of the data on their own.

    Notes
    -----
    Hinton (2010), section 8.1: deviation 0.01, bias ``log(p / (1 - p))`` of a Bernoulli unit that is on in a share p.

    Examples
    --------
    >>> start = initial_machine(np.array([[0.75], [0.75]]), 2, "bernoulli", np.random.default_rng(0))
    >>> start.visible_bias.round(4).tolist()  # log 3
    [1.0986]
    """
    weights = (_INITIAL_DEVIATION * generator.standard_normal((X.shape[1], n_hidden))).astype(X.dtype)
    means = X.mean(axis=0)
    if kind == "bernoulli":
        # A unit that never changes would need an infinite bias.
        share = np.clip(means, 0.01, 0.99)
        means = np.log(share / (1.0 - share))
    return Boltzmann(weights, means.astype(X.dtype), np.zeros(n_hidden, dtype=X.dtype))
