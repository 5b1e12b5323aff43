"""The whole model as one graph: window, missing values, features, standardising, head, temperature, novelty."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from onnx import ModelProto

from trainer.export.novelty import NoveltyModel
from trainer.features import FeatureExtractor, Graph, Value

FloatArray = npt.NDArray[np.float64]

# The sigma of a feature is taken as at least this: below lie the rounding errors of float32 (a de-meaned channel has
# features of sigma 1e-8), and dividing by them moves probabilities by 0.3.
_SIGMA_FLOOR = 1e-3
# Standardised features end at this many sigma: a broken sensor can push a window so far, and no further.
_CLIP = 10.0

_ACTIVATION_OPERATORS = {"identity": "Identity", "sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "Relu"}


@dataclass(frozen=True, slots=True)
class Standardiser:
    """Features to mean 0 and deviation 1, cut at 10 deviations.

    Parameters
    ----------
    mean, sigma : ndarray of shape (n_features,)
        `sigma` has its floor already.
    is_constant : ndarray of shape (n_features,), bool
        Features that never moved in training.
    """

    mean: FloatArray
    sigma: FloatArray
    is_constant: npt.NDArray[np.bool_]

    def apply(self, features: npt.NDArray[np.floating]) -> FloatArray:
        """Return the standardised features, float64, of shape (n_windows, n_features)."""
        result: FloatArray = np.clip((features.astype(np.float64) - self.mean) / self.sigma, -_CLIP, _CLIP)
        return result

    def build(self, features: Value) -> Value:
        """Add the same formula to a graph."""
        graph = features.graph
        return ((features - graph.constant(self.mean)) / graph.constant(self.sigma)).clip(-_CLIP, _CLIP)


def fit_standardiser(features: npt.NDArray[np.floating]) -> Standardiser:
    """Return the standardiser of these training features.

    Parameters
    ----------
    features : ndarray of shape (n_windows, n_features)

    Raises
    ------
    ValueError
        If there are no windows, or a feature is not finite.

    Notes
    -----
    The floor on sigma is 1e-3, absolute (features are taken from scaled channels, so that they are of order 1) and
    relative to the size of the mean, whichever is more. Mean and sigma are rounded to float32, the precision of the
    graph, so that the head is fitted on the very numbers it will see.

    Examples
    --------
    >>> standardiser = fit_standardiser(np.array([[0.0, 5.0], [2.0, 5.0]]))
    >>> standardiser.apply(np.array([[3.0, 5.0]])).tolist(), standardiser.is_constant.tolist()
    ([[2.0, 0.0]], [False, True])
    """
    if features.ndim != 2 or not len(features):
        raise ValueError(f"features: shape (n_windows, n_features) with windows expected, got {features.shape}")
    if not np.isfinite(features).all():
        raise ValueError("features: finite numbers expected, got NaN or infinity")
    mean = features.mean(axis=0, dtype=np.float64)
    sigma = features.std(axis=0, dtype=np.float64)
    floor = _SIGMA_FLOOR * np.maximum(1.0, np.abs(mean))
    is_constant = sigma <= 1e-3 * floor
    return Standardiser(
        mean.astype(np.float32).astype(np.float64),
        np.maximum(sigma, floor).astype(np.float32).astype(np.float64),
        is_constant,
    )


@dataclass(frozen=True, slots=True)
class Head:
    """The classifier on top of standardised features, with its temperature.

    Parameters
    ----------
    layers : tuple of (weights, bias)
        Weights ``(fan_in, fan_out)`` and bias ``(fan_out,)``. One output is the log-odds of class 1 of two.
    activation : str
        Of the hidden layers: identity, sigmoid, tanh or relu.
    temperature : float
        Logits are divided by it, > 0.
    """

    layers: tuple[tuple[FloatArray, FloatArray], ...]
    activation: str = "identity"
    temperature: float = 1.0

    def __post_init__(self) -> None:
        """Refuse layers that do not fit each other."""
        if not self.layers:
            raise ValueError("layers: at least one expected, got none")
        if self.activation not in _ACTIVATION_OPERATORS:
            raise ValueError(f"activation: one of {', '.join(_ACTIVATION_OPERATORS)} expected, got {self.activation!r}")
        if not (np.isfinite(self.temperature) and self.temperature > 0.0):
            raise ValueError(f"temperature: a finite number above 0 expected, got {self.temperature}")
        fan_in = self.layers[0][0].shape[0]
        for index, (weights, bias) in enumerate(self.layers):
            if weights.ndim != 2 or weights.shape[0] != fan_in or bias.shape != (weights.shape[1],):
                raise ValueError(
                    f"layers.{index}: weights ({fan_in}, fan_out) and bias (fan_out,) expected, "
                    f"got {weights.shape} and {bias.shape}"
                )
            if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
                raise ValueError(f"layers.{index}: finite numbers expected, got NaN or infinity")
            fan_in = weights.shape[1]

    @property
    def n_features(self) -> int:
        """How many features the first layer takes."""
        return int(self.layers[0][0].shape[0])

    @property
    def n_classes(self) -> int:
        """How many probabilities come out."""
        return max(2, int(self.layers[-1][1].shape[0]))

    @classmethod
    def of(
        cls,
        layers: Sequence[tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]],
        activation: str = "identity",
        temperature: float = 1.0,
        *,
        standardiser: Standardiser | None = None,
    ) -> Self:
        """Return the head of fitted layers.

        With a standardiser, the weights of features that were constant in training become 0: a network leaves them at
        their random start, so that the first change of such a feature would move the answer by chance. On the
        training windows nothing changes, because these features are 0 there.
        """
        own = [(weights.astype(np.float64), bias.astype(np.float64)) for weights, bias in layers]
        if standardiser is not None and own:
            first, bias = own[0]
            own[0] = (np.where(standardiser.is_constant[:, None], 0.0, first), bias)
        return cls(tuple(own), activation, temperature)

    def build(self, standardised: Value) -> Value:
        """Add the head to a graph and return the probabilities ``(N, n_classes)``."""
        graph, value = standardised.graph, standardised
        for depth, (weights, bias) in enumerate(self.layers):
            value = graph.apply("Gemm", value, graph.constant(weights), graph.constant(bias))
            if depth < len(self.layers) - 1:
                value = graph.apply(_ACTIVATION_OPERATORS[self.activation], value)
        logits = value / self.temperature
        if self.layers[-1][1].shape[0] == 1:
            return graph.concat([graph.apply("Sigmoid", -logits), graph.apply("Sigmoid", logits)], axis=1)
        return graph.apply("Softmax", logits, axis=1)


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
