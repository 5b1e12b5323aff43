"""From a fitted model to one proven file, and back.

One job: assemble the graph (raw windows in, answers out), fit the novelty output, prove that the graph answers as the
fitted model does, guard, write and read model files. What may not enter: fitting of heads (`trainer.learn`), reading of
data sets (`trainer.data`), anything of the gateway.
"""

from trainer.export.guard import check_model
from trainer.export.model_graph import FittedModel, Head, Standardiser, build_model, fit_standardiser
from trainer.export.novelty import NoveltyModel, fit_novelty
from trainer.export.numpy_forward import Answers, forward_features
from trainer.export.read import LoadedModel, load_model
from trainer.export.write import export_model

__all__ = [
    "Answers",
    "FittedModel",
    "Head",
    "LoadedModel",
    "NoveltyModel",
    "Standardiser",
    "build_model",
    "check_model",
    "export_model",
    "fit_novelty",
    "fit_standardiser",
    "forward_features",
    "load_model",
]
