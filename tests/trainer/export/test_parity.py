"""Every kind of block under every head: the file answers as numpy does, and a gateway takes it.

Both lists are walked: a block, an activation, a head or an estimator that is not among the cases here fails a test.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import pytest

import trainer
import trainer.export
from edge_agent.shell.guard import inspect_model
from schemas import HeadFacts
from tests.trainer.export.fitted import CHANNELS, RATE_HZ, card_of, vibrations
from trainer.export import (
    FittedModel,
    Head,
    Member,
    NetworkHead,
    NoveltyModel,
    Standardiser,
    VoteHead,
    export_model,
    fit_novelty,
    fit_standardiser,
    forward_features,
)
from trainer.export.cluster_head import ClusterHead
from trainer.export.heads import Link
from trainer.features import BLOCKS, FeatureExtractor, blocks_of
from trainer.learn import (
    ACTIVATIONS,
    DeepBeliefClassifier,
    GaussianMixture,
    KMeans,
    LogisticClassifier,
    MLPClassifier,
    RidgeClassifier,
)
from trainer.learn.estimator import Classifier
from trainer.learn.mixture import precision_roots
from trainer.learn.principal import fit_principal_components

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class Parts(NamedTuple):
    """All of a model but its head."""

    extractor: FeatureExtractor
    standardiser: Standardiser
    standardised: FloatArray
    novelty: NoveltyModel
    windows: npt.NDArray[np.float32]
    class_indices: IntArray


class Case(NamedTuple):
    """How a head of one kind is made from standardised features and class indices."""

    kind: str
    make: Callable[[FloatArray, IntArray], Head]
    n_classes: int = 3
    estimators: tuple[type, ...] = ()


def _network(estimator: Classifier, link: Link = "softmax", temperature: float = 0.7) -> Callable[..., Head]:
    def make(X: FloatArray, y: IntArray) -> Head:
        fitted = estimator.fit(X, y)  # type: ignore[attr-defined] # every classifier has it, each with its own extras
        activation = getattr(fitted, "activation", "identity")
        layers = [(layer.weights, layer.bias) for layer in fitted.layers_]
        return NetworkHead.of(layers, activation, temperature, link=link)

    return make


def _vote(X: FloatArray, y: IntArray) -> Head:
    """Two voices on parts of the features, one of them one-vs-rest, and a third on all of them."""
    middle, n_features = X.shape[1] // 2, X.shape[1]
    one_vs_rest = LogisticClassifier(multi_class="one_vs_rest")
    members = (
        Member(_network(RidgeClassifier())(X[:, :middle], y), 0, middle),
        Member(_network(one_vs_rest, "one_vs_rest")(X[:, middle:], y), middle, n_features),
        Member(_network(MLPClassifier((4,), max_epochs=5, random_state=0))(X, y), 0, n_features),
    )
    return VoteHead(members, (1.0, 2.0, 0.5), n_features, 0.8)


def _clusters(X: FloatArray, covariance_type: str | None) -> Head:
    """Four groups that are three classes."""
    components = fit_principal_components(X, share=0.9, max_components=6)
    places = np.asarray(components.apply(X), np.float64)
    roots: FloatArray | None
    if covariance_type is None:
        centers = np.asarray(KMeans(4, random_state=0).fit(places).cluster_centers_, np.float64)
        roots, bias = None, -0.5 * (centers**2).sum(axis=1)
    else:
        mixture = GaussianMixture(4, covariance_type=covariance_type, reg_covar=0.1, random_state=0).fit(places)
        centers = np.asarray(mixture.cluster_centers_, np.float64)
        roots = np.array(precision_roots(mixture.parameters.covariances, 4), np.float64)
        bias = np.log(np.diagonal(roots, axis1=1, axis2=2)).sum(axis=1) + np.log(np.maximum(mixture.weights_, 1e-30))
    mean, directions = np.asarray(components.mean, np.float64), np.asarray(components.components, np.float64)
    plain = ClusterHead(mean, directions, centers, bias, roots, (0, 1, 1, 2))
    # As `trainer cluster` does: scores that float32 can bear.
    temperature = max(1.0, float(np.abs(plain.scores(X)).max()) / 50.0)
    return ClusterHead(mean, directions, centers, bias, roots, (0, 1, 1, 2), temperature)


def _mlp(activation: str) -> Case:
    network = MLPClassifier((16, 8), activation=activation, max_epochs=20, early_stopping=False, random_state=0)
    return Case("mlp", _network(network), estimators=(MLPClassifier,))


CASES: dict[str, Case] = {
    "logistic, 2 classes": Case("logistic", _network(LogisticClassifier()), 2, (LogisticClassifier,)),
    "logistic, 3 classes": Case("logistic", _network(LogisticClassifier()), 3, (LogisticClassifier,)),
    "one-vs-rest": Case("one-vs-rest", _network(LogisticClassifier(multi_class="one_vs_rest"), "one_vs_rest")),
    "ridge, 2 classes": Case("ridge", _network(RidgeClassifier()), 2, (RidgeClassifier,)),
    "ridge, 3 classes": Case("ridge", _network(RidgeClassifier()), 3, (RidgeClassifier,)),
    **{f"mlp, {activation}": _mlp(activation) for activation in ACTIVATIONS},
    "deep-belief": Case(
        "deep-belief",
        _network(DeepBeliefClassifier((6, 4), pretrain_epochs=2, max_epochs=5, random_state=0)),
        estimators=(DeepBeliefClassifier,),
    ),
    "vote": Case("vote", _vote),
    "clusters, k-means": Case("clusters", lambda X, _y: _clusters(X, None), estimators=(KMeans,)),
    "clusters, mixture": Case("clusters", lambda X, _y: _clusters(X, "full"), estimators=(GaussianMixture,)),
    "clusters, variances": Case("clusters", lambda X, _y: _clusters(X, "diag"), estimators=(GaussianMixture,)),
}


def _small(kind: str) -> str:
    """The block with few features, where it has a size."""
    try:
        blocks_of(f"{kind}:168")
    except ValueError:
        return kind
    return f"{kind}:168"


@cache
def _parts(features: str, n_classes: int) -> Parts:
    windows, y = vibrations(20, n_classes, seed=0)
    extractor = FeatureExtractor.fitted(blocks_of(features), windows, CHANNELS, RATE_HZ, n_threads=1)
    raw = extractor.transform(windows)
    standardiser = fit_standardiser(raw)
    standardised = standardiser.apply(raw)
    return Parts(extractor, standardiser, standardised, fit_novelty(standardised, y), windows, y)


def _unseen(n_classes: int) -> npt.NDArray[np.float32]:
    """Windows of new draws, some with gaps, some far from everything."""
    windows, _ = vibrations(20, n_classes, seed=9)
    windows[::5, 1, 10:30] = np.nan
    windows[3::7, :, 50:] = np.nan
    windows[4::9] *= 40.0
    return windows


def check_answers_alike(features: str, case: Case, path: Path) -> None:
    parts = _parts(features, case.n_classes)
    head = case.make(parts.standardised, parts.class_indices)
    model = FittedModel(parts.extractor, parts.standardiser, head, parts.novelty)
    card = card_of(case.n_classes).model_copy(update={"head": HeadFacts.model_validate({"kind": case.kind})})
    loaded = export_model(model, card, path, parts.windows, parts.class_indices)
    windows = _unseen(case.n_classes)
    got, expected = loaded.run(windows), forward_features(model, parts.extractor.transform(windows))
    assert np.abs(got.probabilities - expected.probabilities).max() <= 1e-5
    best, second = np.sort(expected.probabilities, axis=1)[:, ::-1][:, :2].T
    is_tie = best - second <= 2e-5
    assert int(((got.labels != expected.labels) & ~is_tie).sum()) == 0
    assert is_tie.mean() < 0.5
    assert (got.labels == got.probabilities.argmax(axis=1)).all()
    np.testing.assert_allclose(got.probabilities.sum(axis=1), 1.0, atol=1e-6)
    assert np.isfinite(got.novelty).all()
    np.testing.assert_allclose(got.novelty, expected.novelty, rtol=1e-3, atol=1e-3)
    assert inspect_model(path.read_bytes(), path.name) == loaded.card


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", BLOCKS)
def test_the_file_answers_as_numpy_does_and_a_gateway_takes_it(kind: str, name: str, tmp_path: Path) -> None:
    check_answers_alike(_small(kind), CASES[name], tmp_path / "m.onnx")


@pytest.mark.parametrize("name", ["vote", "one-vs-rest", "clusters, mixture"])
def test_all_kinds_of_blocks_in_one_file(name: str, tmp_path: Path) -> None:
    check_answers_alike("+".join(_small(kind) for kind in BLOCKS), CASES[name], tmp_path / "m.onnx")


def test_no_head_estimator_or_link_is_left_out() -> None:
    assert {case.kind for case in CASES.values()} == set(get_args(HeadFacts.model_fields["kind"].annotation))
    asked = {kind for case in CASES.values() for kind in case.estimators}
    answering = {kind for kind in (getattr(trainer, name) for name in trainer.__all__) if hasattr(kind, "predict")}
    assert asked == answering
    parts = {n_classes: _parts("statistics", n_classes) for n_classes in (2, 3)}
    heads = [
        case.make(parts[case.n_classes].standardised, parts[case.n_classes].class_indices) for case in CASES.values()
    ]
    assert {type(head) for head in heads} == set(_head_types())
    assert {head.link for head in heads if isinstance(head, NetworkHead)} == set(get_args(Link))


def _head_types() -> list[type]:
    """Every class of the room that looks like a head."""
    names = [module.name for module in pkgutil.iter_modules(trainer.export.__path__, "trainer.export.")]
    found = {one for name in names for _, one in inspect.getmembers(importlib.import_module(name), inspect.isclass)}
    return [one for one in found if one is not Head and all(hasattr(one, part) for part in ("build", "probabilities"))]


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_one_vs_rest_is_the_sigmoids_divided_by_their_sum(temperature: float) -> None:
    parts = _parts("statistics", 3)
    X, y = parts.standardised, parts.class_indices
    fitted = LogisticClassifier(multi_class="one_vs_rest").fit(X, y)
    head = NetworkHead.of(fitted.layers_, link="one_vs_rest", temperature=temperature)
    sigmoids = (1.0 / (1.0 + np.exp(-fitted.decision_function(X)))) ** (1.0 / temperature)
    np.testing.assert_allclose(head.probabilities(X), sigmoids / sigmoids.sum(axis=1, keepdims=True), atol=1e-12)
    if temperature == 1.0:
        np.testing.assert_allclose(head.probabilities(X), fitted.predict_proba(X), atol=1e-12)


def test_one_vs_rest_tells_classes_apart_that_all_problems_deny(tmp_path: Path) -> None:
    # Sigmoids of -40, -60 and -90: 0 in float32, and the first is still by far the most likely.
    parts = _parts("statistics", 3)
    weights = np.zeros((parts.extractor.n_features, 3))
    head = NetworkHead.of([(weights, np.array([-40.0, -60.0, -90.0]))], link="one_vs_rest", temperature=10.0)
    model = FittedModel(parts.extractor, parts.standardiser, head, parts.novelty)
    loaded = export_model(model, card_of(3), tmp_path / "m.onnx", parts.windows, parts.class_indices)
    expected = np.exp([0.0, -2.0, -5.0]) / np.exp([0.0, -2.0, -5.0]).sum()
    np.testing.assert_allclose(loaded.run(parts.windows).probabilities, np.tile(expected, (60, 1)), atol=1e-6)
