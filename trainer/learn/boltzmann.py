"""Restricted Boltzmann machines as pure functions: free energy, its gradient, conditionals, contrastive divergence.

Conventions: ``v`` are visible rows ``(n_windows, n_visible)``, ``h`` hidden rows in {0, 1}, ``W`` is
``(n_visible, n_hidden)``. The energies of the two kinds of visible units are

- ``bernoulli``, v in [0, 1]: ``E(v, h) = -v a - h b - v W h``,
- ``gaussian``, v of any value, unit variance: ``E(v, h) = ||v - a||^2 / 2 - h b - v W h``.

With the hidden units summed out, the free energy is ``F(v) = -v a - sum softplus(b + v W)`` for the first and
``F(v) = ||v - a||^2 / 2 - sum softplus(b + v W)`` for the second; the probability of a row is proportional to
``exp(-F(v))``. Hinton, *A Practical Guide to Training Restricted Boltzmann Machines*, UTML TR 2010-003, sections 2,
13.2 and 16.
"""

from typing import NamedTuple

import numpy as np

from trainer.learn.activations import sigmoid
from trainer.learn.arrays import FloatArray

VISIBLE_KINDS = ("gaussian", "bernoulli")


class Boltzmann(NamedTuple):
    """The parameters of a machine; also a gradient with respect to them.

    Parameters
    ----------
    weights : ndarray of shape (n_visible, n_hidden)
    visible_bias : ndarray of shape (n_visible,)
    hidden_bias : ndarray of shape (n_hidden,)
    """

    weights: FloatArray
    visible_bias: FloatArray
    hidden_bias: FloatArray


def hidden_probabilities(machine: Boltzmann, visible: FloatArray) -> FloatArray:
    """Return the probability that each hidden unit is on, shape (n_windows, n_hidden); the same for both kinds.

    Examples
    --------
    >>> machine = Boltzmann(np.array([[2.0]]), np.zeros(1), np.array([-2.0]))
    >>> hidden_probabilities(machine, np.array([[1.0]])).tolist()
    [[0.5]]
    """
    return sigmoid(visible @ machine.weights + machine.hidden_bias)


def visible_means(machine: Boltzmann, hidden: FloatArray, kind: str) -> FloatArray:
    """Return the mean of each visible unit for these hidden units, shape (n_windows, n_visible).

    Examples
    --------
    >>> machine = Boltzmann(np.array([[2.0]]), np.array([-2.0]), np.zeros(1))
    >>> visible_means(machine, np.ones((1, 1)), "bernoulli").tolist()
    [[0.5]]
    """
    field: FloatArray = hidden @ machine.weights.T + machine.visible_bias
    return sigmoid(field) if kind == "bernoulli" else field


def free_energy(machine: Boltzmann, visible: FloatArray, kind: str) -> FloatArray:
    """Return the free energy of every row, shape (n_windows,): lower is more probable.

    Examples
    --------
    >>> machine = Boltzmann(np.zeros((2, 3)), np.zeros(2), np.zeros(3))
    >>> free_energy(machine, np.ones((1, 2)), "bernoulli").round(4).tolist()  # -3 log 2
    [-2.0794]
    """
    softplus = np.logaddexp(0.0, visible @ machine.weights + machine.hidden_bias).sum(axis=1)
    if kind == "bernoulli":
        own: FloatArray = -(visible @ machine.visible_bias)
    else:
        own = 0.5 * ((visible - machine.visible_bias) ** 2).sum(axis=1)
    result: FloatArray = own - softplus
    return result


def free_energy_gradient(machine: Boltzmann, visible: FloatArray, kind: str) -> Boltzmann:
    """Return the gradient of the *mean* free energy of the rows with respect to weights and biases.

    The gradient of the mean log-likelihood is this at rows of the model minus this at rows of the data.
    """
    hidden = hidden_probabilities(machine, visible)
    mean = visible.mean(axis=0)
    return Boltzmann(
        visible.T @ hidden / -len(visible),
        -mean if kind == "bernoulli" else machine.visible_bias - mean,
        -hidden.mean(axis=0),
    )


def gibbs_step(
    machine: Boltzmann, visible: FloatArray, kind: str, generator: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Return rows drawn anew, given hidden units drawn from these rows; and the means they were drawn around.

    Parameters
    ----------
    machine : Boltzmann
    visible : ndarray of shape (n_windows, n_visible)
    kind : {"bernoulli", "gaussian"}
    generator : numpy.random.Generator

    Returns
    -------
    visible, means : ndarray of shape (n_windows, n_visible)
    """
    probabilities = hidden_probabilities(machine, visible)
    # Drawn in the precision of the machine: for float32 that is half the random bits.
    dtype = np.float32 if probabilities.dtype == np.float32 else np.float64
    hidden: FloatArray = (generator.random(probabilities.shape, dtype=dtype) < probabilities).astype(dtype)
    means = visible_means(machine, hidden, kind)
    drawn: FloatArray
    if kind == "bernoulli":
        drawn = (generator.random(means.shape, dtype=dtype) < means).astype(dtype)
    else:
        drawn = means + generator.standard_normal(means.shape, dtype=dtype)
    return drawn, means


def contrastive_divergence(
    machine: Boltzmann, visible: FloatArray, kind: str, n_steps: int, generator: np.random.Generator
) -> tuple[Boltzmann, float]:
    """Return an estimate of the gradient of the mean log-likelihood, and the mean squared error of reconstruction.

    Parameters
    ----------
    machine : Boltzmann
    visible : ndarray of shape (n_windows, n_visible)
        Rows of the data.
    kind : {"bernoulli", "gaussian"}
    n_steps : int
        Steps of the Gibbs chains that start at the data; with ever more of them the estimate loses its bias.
    generator : numpy.random.Generator

    Returns
    -------
    ascent : Boltzmann
        The direction in which the likelihood rises.
    reconstruction_error : float
        Of the first step, per value.

    Notes
    -----
    Hinton, Neural Computation 14 (2002) 1771, eq. 5. The hidden units at both ends of the chain enter by their
    probabilities, which has the same mean as drawing them and less variance (Hinton 2010, section 3.2).
    """
    chain, means = gibbs_step(machine, visible, kind, generator)
    error = float(((visible - means) ** 2).mean())
    for _ in range(n_steps - 1):
        chain, _ = gibbs_step(machine, chain, kind, generator)
    data, model = free_energy_gradient(machine, visible, kind), free_energy_gradient(machine, chain, kind)
    return Boltzmann(*(there - here for here, there in zip(data, model, strict=True))), error
