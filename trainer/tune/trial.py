"""One model that was tried, or why it was not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from trainer.cost import ModelCost


@dataclass(frozen=True, slots=True)
class Trial:
    """One model: what it is, what it costs, how right it is.

    Attributes
    ----------
    features, head : str
        As `TuneOptions` names them.
    n_features : int
    setting : dict of str to float
        What cross-validation chose of the head: ``C`` or ``alpha``.
    cost : ModelCost or None
        Of an exported file; None where a bound ruled it out before.
    accuracy, standard_error : float or None
        Share of right labels out of fold, and its standard error over what stays whole in the folds (groups,
        recordings); None where it was not cross-validated.
    n_windows : int
        Windows judged.
    seconds : float
        What the cross-validation took.
    left_out : str or None
        Why it was not cross-validated.
    """

    features: str
    head: str
    n_features: int
    setting: dict[str, float]
    cost: ModelCost | None
    accuracy: float | None = None
    standard_error: float | None = None
    n_windows: int = 0
    seconds: float = 0.0
    left_out: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "features": self.features,
            "head": self.head,
            "n_features": self.n_features,
            "setting": self.setting,
            "accuracy": self.accuracy,
            "standard_error": self.standard_error,
            "n_windows": self.n_windows,
            "seconds": round(self.seconds, 3),
            "cost": None if self.cost is None else self.cost.as_dict(),
            "left_out": self.left_out,
        }
