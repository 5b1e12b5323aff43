"""How parameters move: SGD with momentum, Adam, and L-BFGS.

Conventions: parameters and gradients are flat vectors (`network.as_layers` gives the layers as views). An optimiser is
a frozen value that holds hyper-parameters only; what it remembers between steps is a state that the caller owns and
`step` changes in place, together with the vector.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy.optimize

from trainer.learn.arrays import FloatArray

Objective = Callable[[FloatArray], tuple[float, FloatArray]]


@dataclass(slots=True)
class State:
    """What an optimiser remembers.

    Parameters
    ----------
    n_steps : int
        Steps taken.
    first : ndarray of shape (n_params,)
        SGD: the velocity. Adam: the decaying sum of the gradients.
    second : ndarray of shape (n_params,)
        Adam: the decaying sum of the squared gradients. SGD: unused, empty.
    scratch : ndarray of shape (n_params,)
        Working space, without meaning between steps.
    """

    n_steps: int
    first: FloatArray
    second: FloatArray
    scratch: FloatArray


class Optimiser(Protocol):
    """What the training loop asks of an optimiser."""

    def initial_state(self, vector: FloatArray) -> State:
        """Return the state before the first step."""
        ...

    def step(self, vector: FloatArray, gradient: FloatArray, state: State, rate_factor: float = 1.0) -> None:
        """Move the vector one step, in place, and bring the state up to date; a schedule multiplies the rate."""
        ...


@dataclass(frozen=True, slots=True)
class SGD:
    """Stochastic gradient descent with momentum.

    Parameters
    ----------
    learning_rate : float
    momentum : float
        In [0, 1); 0 is plain gradient descent.
    nesterov : bool
        Look ahead along the velocity.

    Notes
    -----
    ``v = momentum v - learning_rate g``, then ``w += v``, or ``w += momentum v - learning_rate g`` with Nesterov:
    Sutskever et al., ICML 2013, eqs. 1 to 4 (in Bengio's change of variables).

    Examples
    --------
    >>> vector, optimiser = np.array([1.0]), SGD(learning_rate=0.1, momentum=0.9, nesterov=False)
    >>> state = optimiser.initial_state(vector)
    >>> for _ in range(2):
    ...     optimiser.step(vector, np.array([1.0]), state)
    >>> vector.round(4).tolist()  # 1 - 0.1, then - 0.9 * 0.1 - 0.1
    [0.71]
    """

    learning_rate: float = 0.01
    momentum: float = 0.9
    nesterov: bool = True

    def initial_state(self, vector: FloatArray) -> State:
        """Return a state without velocity."""
        return State(0, np.zeros_like(vector), np.empty(0, dtype=vector.dtype), np.empty_like(vector))

    def step(self, vector: FloatArray, gradient: FloatArray, state: State, rate_factor: float = 1.0) -> None:
        """Move the vector one step, in place."""
        state.n_steps += 1
        velocity, scaled = state.first, state.scratch
        np.multiply(gradient, rate_factor * self.learning_rate, out=scaled)
        velocity *= self.momentum
        velocity -= scaled
        if self.nesterov:
            vector -= scaled
            np.multiply(velocity, self.momentum, out=scaled)
            vector += scaled
        else:
            vector += velocity


@dataclass(frozen=True, slots=True)
class Adam:
    """Adam: steps of about the learning rate in every coordinate.

    Parameters
    ----------
    learning_rate : float
    beta_1, beta_2 : float
        Decay of the running means of the gradient and of its square, in [0, 1).
    epsilon : float
        Added to the root of the second mean.

    Notes
    -----
    Kingma & Ba, ICLR 2015, algorithm 1, with both bias corrections. The state keeps decaying *sums*, in the paper's
    letters ``m / (1 - beta_1)`` and ``v / (1 - beta_2)``; the factors are taken into the scalars of the step, which
    saves three of thirteen passes over the parameters and changes nothing else.

    Examples
    --------
    >>> vector, optimiser = np.array([1.0, 1.0]), Adam(learning_rate=0.1)
    >>> optimiser.step(vector, np.array([5.0, -0.001]), optimiser.initial_state(vector))
    >>> vector.round(4).tolist()  # the first step is the learning rate, whatever the size of the gradient
    [0.9, 1.1]
    """

    learning_rate: float = 1e-3
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8

    def initial_state(self, vector: FloatArray) -> State:
        """Return a state whose sums are 0."""
        return State(0, np.zeros_like(vector), np.zeros_like(vector), np.empty_like(vector))

    def step(self, vector: FloatArray, gradient: FloatArray, state: State, rate_factor: float = 1.0) -> None:
        """Move the vector one step, in place."""
        state.n_steps += 1
        sums, squares, scratch = state.first, state.second, state.scratch
        sums *= self.beta_1
        sums += gradient
        np.multiply(gradient, gradient, out=scratch)
        squares *= self.beta_2
        squares += scratch
        # From sums to bias-corrected means: m = sums * to_mean and v = squares * to_mean_square. Then
        # m / (sqrt(v) + epsilon) = sums / (sqrt(squares) + epsilon / root) * to_mean / root.
        to_mean = (1.0 - self.beta_1) / (1.0 - self.beta_1**state.n_steps)
        root = math.sqrt((1.0 - self.beta_2) / (1.0 - self.beta_2**state.n_steps))
        np.sqrt(squares, out=scratch)
        scratch += self.epsilon / root
        np.divide(sums, scratch, out=scratch)
        scratch *= rate_factor * self.learning_rate * to_mean / root
        vector -= scratch


OPTIMISERS: dict[str, type[SGD] | type[Adam]] = {"sgd": SGD, "adam": Adam}


@dataclass(frozen=True, slots=True)
class LBFGSResult:
    """Where L-BFGS ended.

    Parameters
    ----------
    vector : ndarray of shape (n_params,)
    loss_curve : tuple of float
        The objective after every iteration.
    n_iter : int
    has_converged : bool
    reason : str
        Why it stopped, in the words of scipy.
    """

    vector: FloatArray
    loss_curve: tuple[float, ...]
    n_iter: int
    has_converged: bool
    reason: str


def fit_lbfgs(
    objective: Objective,
    start: FloatArray,
    *,
    max_iter: int,
    tol: float,
    callback: Callable[[int, float], None] | None = None,
) -> LBFGSResult:
    """Return a minimum of a smooth objective, by scipy's L-BFGS-B.

    Parameters
    ----------
    objective : callable
        Vector to (value, gradient), both float64.
    start : ndarray of shape (n_params,)
        Not changed.
    max_iter : int
        Most iterations.
    tol : float
        It stops when no entry of the gradient is larger.
    callback : callable, optional
        Called with (iteration, objective) after every iteration.

    Notes
    -----
    Liu & Nocedal, *Mathematical Programming* 45 (1989).

    Examples
    --------
    >>> result = fit_lbfgs(lambda v: (float(v @ v), 2 * v), np.ones(2), max_iter=50, tol=1e-8)
    >>> result.has_converged, bool(np.abs(result.vector).max() < 1e-8)
    (True, True)
    """
    loss_curve: list[float] = []

    # scipy hands over the intermediate result only to a parameter of this name.
    def record(intermediate_result: scipy.optimize.OptimizeResult) -> None:
        loss_curve.append(float(intermediate_result.fun))
        if callback is not None:
            callback(len(loss_curve), loss_curve[-1])

    found = scipy.optimize.minimize(
        objective,
        start,
        method="L-BFGS-B",
        jac=True,
        callback=record,
        # ftol at rounding level: the gradient decides, not a flat stretch. maxls: far starts need long line searches.
        options={"maxiter": max_iter, "maxfun": 20 * max_iter, "maxls": 50, "gtol": tol, "ftol": 64 * 2.0**-52},
    )
    return LBFGSResult(
        vector=np.asarray(found.x),
        loss_curve=tuple(loss_curve),
        n_iter=int(found.nit),
        has_converged=bool(found.success),
        reason=str(found.message),
    )
