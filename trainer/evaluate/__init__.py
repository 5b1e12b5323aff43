"""How right a model is: metrics with their 95 % intervals, and the answers of a model file on a data file.

One job: judge. What may not enter: fitting, choosing, printing. The metrics are numpy; scikit-learn is their oracle
in the tests.
"""

from trainer.evaluate.confusion import balanced_accuracy, class_scores, confusion_matrix, macro_f1
from trainer.evaluate.groups import GroupFacts, GroupScore, group_facts
from trainer.evaluate.intervals import Interval, metric_intervals, wilson_interval
from trainer.evaluate.metrics import (
    ClassScore,
    Evaluation,
    evaluate_probabilities,
    log_loss,
)

__all__ = [
    "ClassScore",
    "Evaluation",
    "GroupFacts",
    "GroupScore",
    "Interval",
    "balanced_accuracy",
    "class_scores",
    "confusion_matrix",
    "evaluate_probabilities",
    "group_facts",
    "log_loss",
    "macro_f1",
    "metric_intervals",
    "wilson_interval",
]
