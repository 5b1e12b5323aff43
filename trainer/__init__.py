"""The server side: from labelled recordings to one proven, self-contained ONNX file.

One job: fit, evaluate, export and roll out models. What may not enter: anything of `edge_agent` (the two are strangers;
what they share lies in `signals` and `schemas`).
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainer.learn.deep_belief import DeepBeliefClassifier
    from trainer.learn.kmeans import KMeans
    from trainer.learn.logistic import LogisticClassifier
    from trainer.learn.mixture import GaussianMixture
    from trainer.learn.mlp import MLPClassifier
    from trainer.learn.rbm import RestrictedBoltzmannMachine
    from trainer.learn.ridge import RidgeClassifier

__all__ = [
    "DeepBeliefClassifier",
    "GaussianMixture",
    "KMeans",
    "LogisticClassifier",
    "MLPClassifier",
    "RestrictedBoltzmannMachine",
    "RidgeClassifier",
]


def __getattr__(name: str) -> type:
    """Import a head when it is first asked for: most commands need neither scipy nor the heads to start."""
    if name in __all__:
        from trainer import learn

        head: type = getattr(learn, name)
        return head
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
