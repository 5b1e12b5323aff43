"""Which model for which budget: feature blocks, sizes and heads tried, with accuracy and cost measured of each.

One job: search, and say which is the simplest within one standard error of the best. What may not enter: test rows,
the fitting of the final model (`trainer.fit`), how cost is measured (`trainer.cost`), printing.
"""

from trainer.tune.choice import accuracy_with_error, one_standard_error, pareto_front
from trainer.tune.options import HEADS, TuneOptions
from trainer.tune.search import TuneResult, tune, tune_file
from trainer.tune.trial import Trial
from trainer.tune.winner import WrittenWinner, write_winner

__all__ = [
    "HEADS",
    "Trial",
    "TuneOptions",
    "TuneResult",
    "WrittenWinner",
    "accuracy_with_error",
    "one_standard_error",
    "pareto_front",
    "tune",
    "tune_file",
    "write_winner",
]
