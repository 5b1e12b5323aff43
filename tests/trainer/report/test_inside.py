"""The model file opened at its features: both halves together answer as the whole."""

from pathlib import Path

import numpy as np
import pytest

from schemas import FeatureBlock
from trainer.data import read_source
from trainer.errors import TrainerError
from trainer.export import load_model
from trainer.report.importance import importance_facts
from trainer.report.inside import evenly, open_model
from trainer.report.judged import judge_file


def test_features_and_head_together_give_the_probabilities_of_the_file(model_path: Path, data_path: Path) -> None:
    model = load_model(model_path)
    windows = np.load(data_path)["X"]
    opened = open_model(model_path.read_bytes(), model.card)
    features = opened.features(windows)
    assert features.shape == (len(windows), sum(block.n_features for block in model.card.features))
    np.testing.assert_array_equal(opened.probabilities(features, 2), model.run(windows).probabilities)


def test_the_features_are_the_standardised_ones(model_path: Path, data_path: Path) -> None:
    arrays = np.load(data_path)
    opened = open_model(model_path.read_bytes(), load_model(model_path).card)
    features = opened.features(arrays["X"][arrays["split"] == 0])
    moving = features.std(axis=0) > 0.5
    assert moving.mean() > 0.5
    np.testing.assert_allclose(features[:, moving].mean(axis=0), 0.0, atol=0.02)


def test_a_card_of_other_features_is_refused_in_one_line(model_path: Path) -> None:
    card = load_model(model_path).card
    other = card.model_copy(update={"features": [FeatureBlock(kind="raw", n_features=3)]})
    with pytest.raises(TrainerError, match="3 features between window and answer expected"):
        open_model(model_path.read_bytes(), other)


def test_a_channel_that_carries_the_class_matters_and_shuffling_is_repeatable(
    model_path: Path, data_path: Path
) -> None:
    model = load_model(model_path)
    opened = open_model(model_path.read_bytes(), model.card)
    judged, _ = judge_file(model, read_source(data_path), "test")

    def found() -> object:
        return importance_facts(model, opened, judged, seed=3, report=lambda *_: None)

    facts = importance_facts(model, opened, judged, seed=3, report=lambda *_: None)
    assert {item.name for item in facts.channels} == {"x", "y"}
    assert facts.channels[0].loss_rise >= facts.channels[1].loss_rise
    # All features from other windows: nothing is left to answer by.
    assert facts.blocks[0].name == "statistics"
    assert facts.blocks[0].accuracy_drop > 0.2
    assert facts == found()


def test_positions_are_spread_over_all_items() -> None:
    chosen = evenly(2947, 2000)
    assert len(chosen) <= 2000
    assert (chosen[0], chosen[-1]) == (0, 2946)
