"""From a fitted model to one proven file, and back.

One job: assemble the graph (raw windows in, answers out), fit the novelty output, prove that the graph answers as the
fitted model does, guard, write and read model files. What may not enter: fitting of heads (`trainer.learn`), reading of
data sets (`trainer.data`), anything of the gateway.
"""

from trainer.export.guard import check_model
from trainer.export.heads import Head, Member, NetworkHead, VoteHead
from trainer.export.model_graph import FittedModel, build_model
from trainer.export.novelty import NoveltyModel, fit_novelty
from trainer.export.numpy_forward import Answers, forward_features
from trainer.export.read import LoadedModel, load_model
from trainer.export.standardiser import Standardiser, fit_standardiser
from trainer.export.write import export_model

__all__ = [
    "Answers",
    "FittedModel",
    "Head",
    "LoadedModel",
    "Member",
    "NetworkHead",
    "NoveltyModel",
    "Standardiser",
    "VoteHead",
    "build_model",
    "check_model",
    "export_model",
    "fit_novelty",
    "fit_standardiser",
    "forward_features",
    "load_model",
]
