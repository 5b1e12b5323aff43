from typing import Any

import numpy as np
import pytest

from tests.trainer.export.fitted import Fitted
from trainer.export import FittedModel, NetworkHead, build_model, fit_standardiser


def test_a_nearly_constant_feature_is_not_blown_up() -> None:
    features = np.array([[0.0, 7.0, 1e-8], [2.0, 7.0, 0.0], [4.0, 7.0, 0.0]])
    standardiser = fit_standardiser(features)
    # sigma of the first: sqrt(8/3); of the second: 1e-3 * 7; of the third: 1e-3.
    np.testing.assert_allclose(standardiser.sigma, [np.sqrt(8.0 / 3.0), 7e-3, 1e-3], rtol=1e-6)
    assert standardiser.is_constant.tolist() == [False, True, True]
    assert standardiser.apply(np.array([[2.0, 7.007, 0.0]]))[0, 1] == pytest.approx(1.0, abs=1e-3)


def test_standardised_features_end_at_ten_sigma() -> None:
    standardiser = fit_standardiser(np.array([[-1.0], [1.0]]))
    assert standardiser.apply(np.array([[1e20], [-1e20]])).ravel().tolist() == [10.0, -10.0]


def test_features_that_cannot_be_standardised_are_refused() -> None:
    with pytest.raises(ValueError, match="finite numbers expected"):
        fit_standardiser(np.array([[np.nan]]))
    with pytest.raises(ValueError, match="with windows expected"):
        fit_standardiser(np.zeros((0, 3)))


def test_weights_of_constant_features_become_zero_and_others_stay() -> None:
    standardiser = fit_standardiser(np.array([[0.0, 7.0], [2.0, 7.0]]))
    [(weights, _)] = NetworkHead.of([(np.array([[3.0], [5.0]]), np.array([1.0]))], standardiser=standardiser).layers
    assert weights.ravel().tolist() == [3.0, 0.0]


@pytest.mark.parametrize(
    ("layers", "options", "problem"),
    [
        ([], {}, "layers: at least one"),
        ([(np.zeros((2, 3)), np.zeros(2))], {}, "layers.0: weights"),
        ([(np.zeros((2, 3)), np.zeros(3)), (np.zeros((4, 1)), np.zeros(1))], {}, r"layers.1: weights \(3, fan_out\)"),
        ([(np.full((2, 1), np.nan), np.zeros(1))], {}, "layers.0: finite numbers"),
        (
            [(np.zeros((2, 1)), np.zeros(1))],
            {"activation": "gelu"},
            "identity, sigmoid, tanh, relu expected, got 'gelu'",
        ),
        (
            [(np.zeros((2, 1)), np.zeros(1))],
            {"link": "logit"},
            "link: one of softmax, one_vs_rest expected, got 'logit'",
        ),
        ([(np.zeros((2, 1)), np.zeros(1))], {"temperature": 0.0}, "temperature: a finite number above 0"),
    ],
)
def test_a_head_that_does_not_fit_is_refused(
    layers: list[tuple[np.ndarray, np.ndarray]], options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        NetworkHead.of(layers, **options)


def test_parts_of_different_models_are_refused(fitted: Fitted) -> None:
    head = NetworkHead.of([(np.zeros((5, 3)), np.zeros(3))])
    with pytest.raises(ValueError, match=r"head: \d+ features expected, got 5"):
        FittedModel(fitted.model.extractor, fitted.model.standardiser, head, fitted.model.novelty)


def test_the_graph_is_small_and_has_the_ports_of_the_contract(fitted: Fitted) -> None:
    model = build_model(fitted.model)
    assert [value.name for value in model.graph.input] == ["window"]
    assert [value.name for value in model.graph.output] == ["label", "probabilities", "novelty"]
    assert len(model.graph.node) < 250
