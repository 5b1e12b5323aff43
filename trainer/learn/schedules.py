"""How the learning rate changes during a fit: a factor between 0 and 1 that multiplies it.

Conventions: steps count from 0, epochs from 1. A schedule is a value that belongs to one fit.
"""

import math
from typing import Protocol


class Schedule(Protocol):
    """What the training loop asks of a schedule."""

    def factor(self, step: int) -> float:
        """Return what the learning rate of a step is multiplied by."""
        ...

    def watch(self, loss: float) -> None:
        """Take note of the watched loss after an epoch."""
        ...


class Constant:
    """The learning rate as it was given.

    Examples
    --------
    >>> Constant().factor(1000)
    1.0
    """

    def factor(self, step: int) -> float:
        """Return 1."""
        return 1.0

    def watch(self, loss: float) -> None:
        """Do nothing."""


class Cosine:
    """A straight rise over the first steps, then half a cosine down to 0 at the last.

    Parameters
    ----------
    n_steps : int
        Of the whole fit.
    n_warm_up : int
        Of the rise; below `n_steps`.

    Notes
    -----
    Loshchilov & Hutter, *SGDR*, ICLR 2017, eq. 5, without restarts. Warm-up: Goyal et al., arXiv 1706.02677, 2.2.

    Examples
    --------
    >>> schedule = Cosine(n_steps=10, n_warm_up=2)
    >>> [round(schedule.factor(step), 3) for step in (0, 1, 2, 6, 9)]
    [0.5, 1.0, 1.0, 0.5, 0.038]
    """

    def __init__(self, n_steps: int, n_warm_up: int) -> None:
        self.n_steps = n_steps
        self.n_warm_up = n_warm_up

    def factor(self, step: int) -> float:
        """Return the factor; 0 from `n_steps` on."""
        if step < self.n_warm_up:
            return (step + 1) / self.n_warm_up
        share = min((step - self.n_warm_up) / (self.n_steps - self.n_warm_up), 1.0)
        return 0.5 * (1.0 + math.cos(math.pi * share))

    def watch(self, loss: float) -> None:
        """Do nothing: the way is known from the start."""


class Plateau:
    """Half the rate after every so many epochs without a better loss.

    Parameters
    ----------
    patience : int
        Epochs without an improvement of more than `tol` before each halving.
    tol : float
        In nats.

    Examples
    --------
    >>> schedule = Plateau(patience=2, tol=0.0)
    >>> for loss in (1.0, 0.5, 0.6, 0.7):
    ...     schedule.watch(loss)
    >>> schedule.factor(0)
    0.5
    """

    def __init__(self, patience: int, tol: float) -> None:
        self.patience = patience
        self.tol = tol
        self._factor, self._best, self._n_stale = 1.0, math.inf, 0

    def factor(self, step: int) -> float:
        """Return the factor of now, whatever the step."""
        return self._factor

    def watch(self, loss: float) -> None:
        """Halve the factor where it is time to."""
        if loss < self._best - self.tol:
            self._best, self._n_stale = loss, 0
            return
        self._n_stale += 1
        if self._n_stale == self.patience:
            self._factor, self._n_stale = 0.5 * self._factor, 0


SCHEDULES = ("constant", "cosine", "plateau")
_WARM_UP = 0.05


def new_schedule(name: str, n_steps: int, patience: int, tol: float) -> Schedule:
    """Return a schedule by its name in `SCHEDULES`, for a fit of at most so many steps.

    Parameters
    ----------
    name : str
        "cosine" rises over the first 5 % of the steps.
    n_steps : int
    patience, tol
        Of the fit: "plateau" halves the rate after half the patience, so that it has helped before the fit ends.

    Examples
    --------
    >>> new_schedule("cosine", 100, patience=10, tol=0.0).factor(0)
    0.2
    """
    if name == "cosine":
        return Cosine(n_steps, min(math.ceil(_WARM_UP * n_steps), n_steps - 1))
    if name == "plateau":
        return Plateau(max(patience // 2, 1), tol)
    return Constant()
