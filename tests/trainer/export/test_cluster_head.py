"""A clustering as a head: numpy and graph agree, groups add up to classes, parts that do not fit are refused."""

from dataclasses import replace

import numpy as np
import onnxruntime as ort
import pytest

from trainer.export.cluster_head import ClusterHead
from trainer.features import Graph
from trainer.learn import GaussianMixture, KMeans
from trainer.learn.mixture import log_joint, precision_roots


def rows(n_rows: int = 300) -> np.ndarray:
    generator = np.random.default_rng(0)
    centres = 4.0 * generator.normal(size=(4, 6))
    return np.clip(centres[np.arange(n_rows) % 4] + generator.normal(size=(n_rows, 6)), -10.0, 10.0)


def head(kind: str, class_of_group: tuple[int, ...] = (0, 1, 2, 3), temperature: float = 3.0) -> ClusterHead:
    X = rows()
    components = np.linalg.qr(np.random.default_rng(1).normal(size=(6, 3)))[0]
    places = (X - X.mean(axis=0)) @ components
    if kind == "kmeans":
        centers = np.asarray(KMeans(4, random_state=0).fit(places).cluster_centers_, np.float64)
        return ClusterHead(
            X.mean(axis=0), components, centers, -0.5 * (centers**2).sum(axis=1), None, class_of_group, temperature
        )
    mixture = GaussianMixture(4, covariance_type="full" if kind == "full" else "diag", random_state=0).fit(places)
    roots = np.array(precision_roots(mixture.parameters.covariances, 4), np.float64)
    means = np.asarray(mixture.cluster_centers_, np.float64)
    bias = np.log(mixture.weights_) + np.log(np.diagonal(roots, axis1=1, axis2=2)).sum(axis=1)
    return ClusterHead(X.mean(axis=0), components, means, bias, roots, class_of_group, temperature)


def run(one: ClusterHead, X: np.ndarray) -> np.ndarray:
    graph = Graph()
    standardised = graph.input("standardised", (None, X.shape[1]))
    model = graph.model({"probabilities": one.build(standardised)}, {"probabilities": (None, one.n_classes)})
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"standardised": X.astype(np.float32)})[0])


@pytest.mark.parametrize("classes", [(0, 1, 2, 3), (0, 1, 1, 0), (2, 0, 1, 2)], ids=str)
@pytest.mark.parametrize("kind", ["kmeans", "full", "diag"])
def test_the_graph_answers_as_numpy_does(kind: str, classes: tuple[int, ...]) -> None:
    one, X = head(kind, classes), rows().astype(np.float32).astype(np.float64)
    expected = one.probabilities(X)
    assert run(one, X) == pytest.approx(expected, abs=1e-5)
    assert expected.shape == (300, max(classes) + 1)
    assert expected.sum(axis=1) == pytest.approx(np.ones(300))
    assert run(one, X[:1]) == pytest.approx(expected[:1], abs=1e-5)


def test_the_answer_is_the_nearest_centre_and_the_likeliest_gaussian() -> None:
    X = rows()
    one = head("kmeans")
    places = (X - one.mean) @ one.components
    distances = ((places[:, None] - one.centers) ** 2).sum(axis=2)
    assert (one.probabilities(X).argmax(axis=1) == distances.argmin(axis=1)).all()
    # Scores of k-means are minus half the squared distances, but for a term that all groups share.
    assert np.diff(one.scores(X), axis=1) == pytest.approx(np.diff(-0.5 * distances, axis=1), abs=1e-4)
    full = head("full")
    mixture = GaussianMixture(4, random_state=0).fit(places)
    joint = log_joint(places, mixture.parameters)
    assert np.diff(full.scores(X), axis=1) == pytest.approx(np.diff(joint, axis=1), abs=1e-3)


def test_groups_of_one_class_add_their_probabilities() -> None:
    X = rows()
    apart, together = head("kmeans").probabilities(X), head("kmeans", (0, 1, 1, 0)).probabilities(X)
    assert together[:, 0] == pytest.approx(apart[:, 0] + apart[:, 3])


def test_parts_that_do_not_fit_are_refused() -> None:
    one = head("full")
    for changed, message in (
        ({"components": one.components[:, :2]}, r"components: shape \(6, 3\) expected, got \(6, 2\)"),
        ({"bias": one.bias[:3]}, r"bias: shape \(4,\) expected"),
        ({"roots": one.roots[:3] if one.roots is not None else None}, r"roots: shape \(4, 3, 3\) expected"),
        ({"class_of_group": (0, 2, 2, 0)}, "class_of_group: a class index from 0 for each of 4 groups"),
        ({"class_of_group": (0, 1, 1)}, "class_of_group"),
        ({"temperature": 0.0}, "temperature: a finite number above 0 expected, got 0.0"),
        ({"bias": np.full(4, np.nan)}, "bias: finite numbers expected"),
    ):
        with pytest.raises(ValueError, match=message):
            replace(one, **changed)
