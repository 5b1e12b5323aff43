"""A model file of the shape that a trial would have, for its cost: the weights of the head are drawn, not fitted."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from schemas import CARD_METADATA_KEY, Channel, DataFacts, HeadFacts, ModelCard, NoveltyFacts
from trainer.data import WindowedData
from trainer.errors import TrainerError
from trainer.export import FittedModel, LoadedModel, NetworkHead, build_model, fit_novelty, fit_standardiser
from trainer.export.novelty import METHOD
from trainer.export.quantise import WeightKind, quantise_model
from trainer.export.read import open_session
from trainer.export.write import choose_golden_windows
from trainer.features import FeatureExtractor


def example_file(
    sample: WindowedData, extractor: FeatureExtractor, hidden_layer_sizes: tuple[int, ...], weights: WeightKind
) -> bytes:
    """Return a whole model file: feature graph, head, novelty and card as the final one will have them.

    A graph takes the same time whatever its weights are, so that a budget is checked before anything is fitted.

    Parameters
    ----------
    sample : WindowedData
        Labelled windows, some of every class.
    extractor : FeatureExtractor
    hidden_layer_sizes : tuple of int
    weights : {"float32", "float16", "int8"}
    """
    features = extractor.transform(sample.windows)
    standardiser = fit_standardiser(features)
    standardised = standardiser.apply(features)
    n_classes = len(sample.classes)
    sizes = [extractor.n_features, *hidden_layer_sizes, 1 if n_classes == 2 else n_classes]
    generator = np.random.default_rng(0)
    layers = [
        (generator.normal(0.0, fan_in**-0.5, (fan_in, fan_out)), np.zeros(fan_out))
        for fan_in, fan_out in pairwise(sizes)
    ]
    activation = "relu" if hidden_layer_sizes else "identity"
    novelty = fit_novelty(standardised, sample.class_indices)
    head = NetworkHead.of(layers, activation, standardiser=standardiser)
    model = FittedModel(extractor, standardiser, head, novelty)
    card = _card(sample, extractor, "mlp" if hidden_layer_sizes else "logistic")
    bare = LoadedModel(card, open_session(build_model(model).SerializeToString()), digest="")
    golden = choose_golden_windows(bare, sample.windows, sample.class_indices)
    complete = card.model_copy(update={"golden": golden})
    content: bytes = build_model(model, {CARD_METADATA_KEY: complete.model_dump_json(by_alias=True)}).SerializeToString(
        deterministic=True
    )
    try:
        return quantise_model(content, weights, sample.name)
    except TrainerError:
        # Nothing in it is large enough to be stored smaller: the file is what it is.
        return content


def least_bytes(n_features: int, hidden_layer_sizes: tuple[int, ...], n_classes: int, weights: WeightKind) -> int:
    """Return the bytes that the weights of the head take alone: no file with such a head is smaller.

    Examples
    --------
    >>> least_bytes(1000, (64,), 6, "float32"), least_bytes(1000, (), 2, "int8")
    (257536, 1000)
    """
    sizes = [n_features, *hidden_layer_sizes, 1 if n_classes == 2 else n_classes]
    n_weights = sum(fan_in * fan_out for fan_in, fan_out in pairwise(sizes))
    return n_weights * {"float32": 4, "float16": 2, "int8": 1}[weights]


def _card(sample: WindowedData, extractor: FeatureExtractor, head: str) -> ModelCard:
    return ModelCard(
        name="trial",
        classes=list(sample.classes),
        channels=[Channel(name=name, unit=unit) for name, unit in zip(sample.channels, sample.units, strict=True)],
        sampling_rate_hz=sample.sampling_rate_hz,
        window_length=sample.window_length,
        hop_length=sample.hop_length,
        features=extractor.card_blocks,
        head=HeadFacts.model_validate({"kind": head}),
        temperature=1.0,
        novelty=NoveltyFacts(method=METHOD, false_alarm_rate=0.01),
        data=DataFacts(sha256="0" * 64, rows_per_class=sample.rows_per_class(), seed=0),
    )
