"""What can go wrong in the trainer: the `TrainerError` family.

A class exists only where a caller acts differently on it. A wrong *argument* stays `ValueError` or `TypeError`.
"""

from schemas.errors import EdgeError


class TrainerError(EdgeError):
    """A fit, an evaluation or an export could not be done; the message says where, what, and what was expected."""


class DatasetError(TrainerError):
    """The data cannot be read or used: missing file, wrong shape, NaN, one class only, channels that do not fit."""


class DivergedError(TrainerError):
    """A fit ran away: the loss or a weight is no longer finite.

    Parameters
    ----------
    epoch : int
        The epoch it happened in, counted from 1.
    loss : float
        The mean loss of that epoch, in nats (NaN or infinity).

    Examples
    --------
    >>> str(DivergedError(epoch=3, loss=float("inf")))
    'the fit diverged in epoch 3: expected a finite loss, got inf; lower the learning rate or standardise the features'
    """

    def __init__(self, *, epoch: int, loss: float) -> None:
        self.epoch = epoch
        self.loss = loss
        super().__init__(
            f"the fit diverged in epoch {epoch}: expected a finite loss, got {loss}; "
            "lower the learning rate or standardise the features"
        )

    def __reduce__(self) -> tuple[object, ...]:
        """Rebuild from the numbers: exceptions pickle by positional arguments, and these are by keyword."""
        return _rebuild, (type(self), {"epoch": self.epoch, "loss": self.loss})


class ExportParityError(TrainerError):
    """The exported graph does not answer as the fitted model does.

    Parameters
    ----------
    max_abs_diff : float
        Largest difference of a probability.
    tolerance : float
        Largest difference allowed.

    Examples
    --------
    >>> str(ExportParityError(max_abs_diff=0.25, tolerance=1e-5))
    'the exported graph differs from the model: expected probabilities within 1e-05, got a difference of 0.25'
    """

    def __init__(self, *, max_abs_diff: float, tolerance: float) -> None:
        self.max_abs_diff = max_abs_diff
        self.tolerance = tolerance
        super().__init__(
            f"the exported graph differs from the model: expected probabilities within {tolerance:g}, "
            f"got a difference of {max_abs_diff:g}"
        )

    def __reduce__(self) -> tuple[object, ...]:
        """Rebuild from the numbers: exceptions pickle by positional arguments, and these are by keyword."""
        return _rebuild, (type(self), {"max_abs_diff": self.max_abs_diff, "tolerance": self.tolerance})


def _rebuild(kind: type[TrainerError], numbers: dict[str, float]) -> TrainerError:
    return kind(**numbers)
