"""Heads: standardised features in, probabilities out, each as nodes of a graph and once more in numpy."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, Self, get_args

import numpy as np
import numpy.typing as npt

from trainer.export.standardiser import Standardiser
from trainer.features import Value
from trainer.learn.activations import softmax
from trainer.learn.network import Layer, forward, probabilities

FloatArray = npt.NDArray[np.float64]

Link = Literal["softmax", "one_vs_rest"]
"""From logits to probabilities: one softmax over all classes, or a sigmoid for each, divided by their sum."""

_ACTIVATION_OPERATORS = {"identity": "Identity", "sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "Relu"}

# The logarithm of a probability below this is taken of this: float32 ends at 1e-38.
_LEAST_PROBABILITY = 1e-12


class Head(Protocol):
    """A classifier on top of standardised features: what a model file is made with."""

    @property
    def n_features(self) -> int:
        """How many features it takes."""
        ...

    @property
    def n_classes(self) -> int:
        """How many probabilities come out."""
        ...

    @property
    def temperature(self) -> float:
        """What logits are divided by."""
        ...

    def build(self, standardised: Value) -> Value:
        """Add the head to a graph and return the probabilities ``(N, n_classes)``."""
        ...

    def probabilities(self, standardised: FloatArray) -> FloatArray:
        """Return the same in numpy, float64, shape ``(n_windows, n_classes)``."""
        ...


@dataclass(frozen=True, slots=True)
class NetworkHead:
    """The classifier on top of standardised features, with its temperature.

    Parameters
    ----------
    layers : tuple of (weights, bias)
        Weights ``(fan_in, fan_out)`` and bias ``(fan_out,)``. One output is the log-odds of class 1 of two.
    activation : str
        Of the hidden layers: identity, sigmoid, tanh or relu.
    temperature : float
        > 0. The logits are divided by it; those of ``one_vs_rest`` are the logarithms of the sigmoids, whose softmax
        is the sigmoids divided by their sum.
    link : {"softmax", "one_vs_rest"}
        With two classes, which have one output, both are the same.
    """

    layers: tuple[tuple[FloatArray, FloatArray], ...]
    activation: str = "identity"
    temperature: float = 1.0
    link: Link = "softmax"

    def __post_init__(self) -> None:
        """Refuse layers that do not fit each other."""
        if not self.layers:
            raise ValueError("layers: at least one expected, got none")
        if self.activation not in _ACTIVATION_OPERATORS:
            raise ValueError(f"activation: one of {', '.join(_ACTIVATION_OPERATORS)} expected, got {self.activation!r}")
        if self.link not in get_args(Link):
            raise ValueError(f"link: one of {', '.join(get_args(Link))} expected, got {self.link!r}")
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
        link: Link = "softmax",
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
        return cls(tuple(own), activation, temperature, link)

    def build(self, standardised: Value) -> Value:
        """Add the head to a graph and return the probabilities ``(N, n_classes)``."""
        graph, value = standardised.graph, standardised
        for depth, (weights, bias) in enumerate(self.layers):
            value = graph.apply("Gemm", value, graph.constant(weights), graph.constant(bias))
            if depth < len(self.layers) - 1:
                value = graph.apply(_ACTIVATION_OPERATORS[self.activation], value)
        if self._is_split:
            value = _log_sigmoid(value)
        logits = value / self.temperature
        if self.layers[-1][1].shape[0] == 1:
            return graph.concat([graph.apply("Sigmoid", -logits), graph.apply("Sigmoid", logits)], axis=1)
        return graph.apply("Softmax", logits, axis=1)

    def probabilities(self, standardised: FloatArray) -> FloatArray:
        """Return the same in numpy."""
        layers = [Layer(weights, bias) for weights, bias in self.layers]
        logits = forward(layers, standardised, self.activation)[-1]
        if self._is_split:
            logits = -np.logaddexp(0.0, -logits)
        return probabilities(logits / self.temperature).astype(np.float64)

    @property
    def _is_split(self) -> bool:
        """Whether each class has a binary problem of its own."""
        return self.link == "one_vs_rest" and self.layers[-1][1].shape[0] > 1


def _log_sigmoid(logits: Value) -> Value:
    """The logarithm of the sigmoid, right for any logit.

    ``min(z, 0) - log(1 + exp(-|z|))``: onnxruntime's Sigmoid is cut at 18, where its logarithm would stand still.
    """
    graph = logits.graph
    tail = graph.apply("Exp", -logits.abs()) + 1.0
    return graph.apply("Min", logits, graph.constant(0.0)) - tail.log()


@dataclass(frozen=True, slots=True)
class Member:
    """One voice of a vote: a head and the columns of the features that it looks at."""

    head: Head
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class VoteHead:
    """Several heads on parts of the features, their probabilities averaged and calibrated once more.

    ``probabilities = softmax(log(sum_k w_k p_k) / T)``, where ``p_k`` are those of member ``k``.

    Parameters
    ----------
    members : tuple of Member
        Each looks at the columns ``first .. last - 1``.
    weights : tuple of float
        Of the members, above 0; they are scaled to a sum of 1.
    n_features : int
        Of the whole model.
    temperature : float
        > 0.

    Notes
    -----
    An average of probabilities ("soft vote", "linear opinion pool"): Kittler et al., *On Combining Classifiers*,
    IEEE PAMI 20 (1998), section 3. It is under-confident where its members are calibrated (Ranjan & Gneiting, JRSS B 72
    (2010) 71), hence the temperature.
    """

    members: tuple[Member, ...]
    weights: tuple[float, ...]
    n_features: int
    temperature: float = 1.0

    def __post_init__(self) -> None:
        """Refuse members that do not fit each other."""
        if not self.members or len(self.weights) != len(self.members):
            raise ValueError(f"members: one or more with a weight each expected, got {len(self.members)}")
        if not all(np.isfinite(weight) and weight > 0.0 for weight in self.weights):
            raise ValueError(f"weights: finite numbers above 0 expected, got {list(self.weights)}")
        if not (np.isfinite(self.temperature) and self.temperature > 0.0):
            raise ValueError(f"temperature: a finite number above 0 expected, got {self.temperature}")
        for index, member in enumerate(self.members):
            if member.head.n_features != member.last - member.first or not 0 <= member.first < self.n_features:
                raise ValueError(
                    f"members.{index}: {member.last - member.first} features expected, got {member.head.n_features}"
                )
            if member.head.n_classes != self.n_classes:
                raise ValueError(f"members.{index}: {self.n_classes} classes expected, got {member.head.n_classes}")

    @property
    def n_classes(self) -> int:
        """How many probabilities come out."""
        return self.members[0].head.n_classes

    def build(self, standardised: Value) -> Value:
        """Add the members to a graph and return their calibrated average ``(N, n_classes)``."""
        total: Value | None = None
        for member, weight in zip(self.members, self._shares, strict=True):
            part = member.head.build(standardised[member.first : member.last]) * weight
            total = part if total is None else total + part
        assert total is not None  # noqa: S101 - there is at least one member
        logits = total.at_least(_LEAST_PROBABILITY).log() / self.temperature
        return standardised.graph.apply("Softmax", logits, axis=1)

    def probabilities(self, standardised: FloatArray) -> FloatArray:
        """Return the same in numpy."""
        parts = [member.head.probabilities(standardised[:, member.first : member.last]) for member in self.members]
        total = np.einsum("k,kij->ij", np.array(self._shares), np.stack(parts))
        return softmax(np.log(np.maximum(total, _LEAST_PROBABILITY)) / self.temperature).astype(np.float64)

    @property
    def _shares(self) -> list[float]:
        return [weight / sum(self.weights) for weight in self.weights]
