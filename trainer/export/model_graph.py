"""The whole model as one graph: window, missing values, features, standardising, head, temperature, novelty."""

from dataclasses import dataclass

from onnx import ModelProto

from trainer.export.heads import Head
from trainer.export.novelty import NoveltyModel
from trainer.export.standardiser import Standardiser
from trainer.features import FeatureExtractor, Graph


@dataclass(frozen=True, slots=True)
class FittedModel:
    """All fitted parts of a model; what `export_model` writes down.

    Parameters
    ----------
    extractor : FeatureExtractor
    standardiser : Standardiser
    head : Head
    novelty : NoveltyModel
        Fitted on standardised features.
    """

    extractor: FeatureExtractor
    standardiser: Standardiser
    head: Head
    novelty: NoveltyModel

    def __post_init__(self) -> None:
        """Refuse parts that do not fit each other."""
        sizes = {
            "standardiser": len(self.standardiser.mean),
            "head": self.head.n_features,
            "novelty": self.novelty.n_features,
        }
        for part, n_features in sizes.items():
            if n_features != self.extractor.n_features:
                raise ValueError(f"{part}: {self.extractor.n_features} features expected, got {n_features}")


def build_model(model: FittedModel, metadata: dict[str, str] | None = None) -> ModelProto:
    """Return the model file: input ``window``, outputs ``label``, ``probabilities`` and ``novelty``.

    Parameters
    ----------
    model : FittedModel
    metadata : dict of str to str, optional
        Entries of the file's metadata, for example the model card.
    """
    extractor = model.extractor
    graph = Graph()
    window = graph.input("window", (None, len(extractor.scaling.channels), extractor.window_length))
    standardised = model.standardiser.build(extractor.build(window))
    probabilities = model.head.build(standardised)
    return graph.model(
        {
            "label": graph.apply("ArgMax", probabilities, axis=1, keepdims=0),
            "probabilities": probabilities,
            "novelty": model.novelty.build(standardised),
        },
        {"label": (None,), "probabilities": (None, model.head.n_classes), "novelty": (None,)},
        integers=["label"],
        metadata=metadata,
    )
