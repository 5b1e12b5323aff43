"""``--head one-vs-rest``: tried, chosen, calibrated and written as the classifier itself answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trainer.data import CutPlan, Fold, WindowedData
from trainer.data.examples import example_windows
from trainer.errors import TrainerError
from trainer.export import NetworkHead, export_model
from trainer.fit import FitOptions, fit, model_card
from trainer.fit.candidates import FeatureSet, build_pool
from trainer.fit.cross_validation import logistic_logits, try_logistic
from trainer.learn import LogisticClassifier


def three_classes() -> WindowedData:
    """Slow, fast and loud, each on recordings of its own."""
    data = example_windows(n_recordings=9, windows_per_recording=6)
    class_indices = data.recordings % 3
    windows = data.windows.copy()
    windows[class_indices == 2] *= 3.0
    windows[class_indices == 1, 0] += 1.0
    return replace(data, windows=windows, class_indices=class_indices, classes=("slow", "fast", "loud"))


def silent(_what: str, _done: int, _of: int) -> None:
    """Report to nobody."""


def test_a_trial_answers_as_the_classifier_does() -> None:
    data = three_classes()
    candidate = build_pool((FeatureSet("statistics", "level"),), data, 0, silent).candidates[0]
    rows = np.arange(len(data))
    folds = [Fold(rows[data.recordings % 2 == one], rows[data.recordings % 2 != one]) for one in (0, 1)]
    trials = try_logistic(candidate, data.class_indices, folds, n_classes=3, head="one-vs-rest")
    assert {trial.setting.head for trial in trials} == {"one-vs-rest"}
    trial = next(one for one in trials if one.setting.penalty == 1e-2)
    for fold in folds:
        fitted, held_out = candidate.parts(fold)
        alone = LogisticClassifier(C=1e-2, multi_class="one_vs_rest").fit(fitted, data.class_indices[fold.fitted])
        shares = np.exp(trial.logits[fold.held_out])
        # The logits are the logarithms of the sigmoids: below 0, and not made to add up.
        assert (trial.logits[fold.held_out] < 0.0).all()
        np.testing.assert_allclose(shares / shares.sum(axis=1, keepdims=True), alone.predict_proba(held_out), atol=2e-3)
    again = logistic_logits(candidate, [1e-4, 1e-3, 1e-2], data.class_indices, folds, n_classes=3, head="one-vs-rest")
    np.testing.assert_allclose(again, trial.logits, atol=2e-2)


def test_the_model_is_one_vs_rest_and_says_so(tmp_path: Path) -> None:
    result = fit(three_classes(), FitOptions(features="statistics", head="one-vs-rest"), silent)
    assert result.head_facts.kind == "one-vs-rest"
    assert set(result.head_facts.hyper_parameters) == {"features", "C"}
    head = result.model.head
    assert isinstance(head, NetworkHead)
    assert head.link == "one_vs_rest"
    assert result.evaluation.accuracy > 0.9
    card = model_card(result, CutPlan(32, 16, 32.0, "nearest", None, None, 0.8))
    loaded = export_model(result.model, card, tmp_path / "m.onnx", result.data.windows, result.data.class_indices)
    assert loaded.card.head.kind == "one-vs-rest"
    assert (loaded.run(result.data.windows).labels == result.data.class_indices).mean() > 0.95


def test_features_that_no_gateway_takes_are_refused_before_the_fit() -> None:
    data = three_classes()
    with pytest.raises(TrainerError) as caught:
        build_pool((FeatureSet("raw", "level"),), data, 0, silent, fan_out=200_000)
    assert str(caught.value) == (
        "--features raw: a model file of at most 20 MiB expected, got 49 MiB for 64 features with 200000 weights each; "
        "name fewer kinds, or a smaller size"
    )
    options = FitOptions(features="raw", head="mlp", hidden_layer_sizes=(100_000, 8))
    with pytest.raises(TrainerError, match=r"--features raw: .* with 100000 weights each"):
        fit(data, options, silent)
