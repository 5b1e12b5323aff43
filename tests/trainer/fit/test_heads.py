"""The final heads answer in classes of the problem, and hold nothing out that they cannot spare."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.export import fit_standardiser
from trainer.fit.candidates import Candidate, FeatureSet
from trainer.fit.cross_validation import Setting, Trial
from trainer.fit.heads import can_hold_out, fit_network, fit_voice, logits_of, new_mlp
from trainer.fit.options import FitOptions
from trainer.fit.space import make_space
from trainer.fit.thresholds import unsure_below
from trainer.learn import LogisticClassifier, RidgeClassifier


def test_a_class_that_was_not_fitted_gets_the_lowest_logit() -> None:
    X = np.array([[0.0], [1.0], [2.0], [3.0]])
    head = LogisticClassifier().fit(X, np.array([0, 0, 2, 2]))
    logits = logits_of(head, X, 3)
    assert logits.shape == (4, 3)
    assert (logits.argmin(axis=1) == 1).all()


def test_a_ridge_voice_is_the_ridge_classifier_with_its_scale_and_temperature() -> None:
    generator = np.random.default_rng(0)
    features = generator.standard_normal((60, 4)).astype(np.float32)
    y = np.arange(60) % 3
    standardiser = fit_standardiser(features)
    X = standardiser.apply(features)
    candidate = Candidate(FeatureSet("raw", "level"), features, make_space(X, 0))
    trial = Trial(Setting("raw", 7.0, "ridge"), np.zeros((60, 3)), np.zeros(2), scale=4.0)
    head, remarks = fit_voice(candidate, trial, y, n_classes=3, temperature=2.0, standardiser=standardiser)
    alone = RidgeClassifier(alpha=7.0).fit(X, y)
    # softmax(4 z / 2) of the outputs z.
    outputs = 2.0 * (X @ alone.coef_.T + alone.intercept_)
    shares = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    assert np.allclose(head.probabilities(X), shares / shares.sum(axis=1, keepdims=True), atol=1e-6)
    assert remarks == ()


def test_an_mlp_with_a_number_of_epochs_holds_nothing_out() -> None:
    assert not new_mlp((4,), 300, 0, max_epochs=3).early_stopping
    assert new_mlp((4,), 300, 0).early_stopping


def test_a_network_that_can_spare_no_unit_runs_a_fixed_time() -> None:
    generator = np.random.default_rng(1)
    X, y = generator.standard_normal((200, 3)), np.repeat([0, 1], 100)
    # Each class in one unit: whichever were held out, its class would be gone.
    assert not can_hold_out(y, y)
    assert can_hold_out(y, np.arange(200) % 4)
    network = fit_network(X, y, y, FitOptions(head="mlp", hidden_layer_sizes=(4,)))
    assert network.n_classes_ == 2 if hasattr(network, "n_classes_") else len(network.classes_) == 2


def test_unsure_is_where_more_than_half_is_wrong() -> None:
    confidence = np.repeat([0.35, 0.45, 0.9], 20)
    probabilities = np.stack([confidence, (1 - confidence) / 2, (1 - confidence) / 2], axis=1)
    truth = np.concatenate([np.repeat([1, 0], [15, 5]), np.repeat([1, 0], [8, 12]), np.zeros(20, int)])
    # Below 0.4: 15 of 20 wrong. Up to 0.45: 23 of 40 wrong, still more than half. Up to 0.9: 23 of 60.
    assert unsure_below(probabilities, truth) == pytest.approx(0.675)
    assert unsure_below(probabilities, np.zeros(60, np.int64)) == 0.0
