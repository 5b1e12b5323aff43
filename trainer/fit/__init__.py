"""The fitting pipeline: labelled windows in, one calibrated and judged model file out.

One job: choose, calibrate, judge, refit, write the card. What may not enter: test rows, reading of formats
(`trainer.data`), the formulas of heads and graphs (`trainer.learn`, `trainer.features`, `trainer.export`), printing.
"""

from trainer.fit.options import AUTO, EDGE, HEADS, FitOptions, HeadKind, model_name
from trainer.fit.pipeline import fit, training_rows
from trainer.fit.result import FitResult
from trainer.fit.writing import WrittenModel, fit_file, model_card

__all__ = [
    "AUTO",
    "EDGE",
    "HEADS",
    "FitOptions",
    "FitResult",
    "HeadKind",
    "WrittenModel",
    "fit",
    "fit_file",
    "model_card",
    "model_name",
    "training_rows",
]
