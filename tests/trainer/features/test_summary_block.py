import numpy as np
import pytest

from tests.trainer.features.reference import correlations, magnitude, statistics_of
from trainer.features import ChannelScaling, FeatureExtractor, SummaryBlock

CHANNELS = ("acc_x", "acc_y", "acc_z", "current")
WANTED = ("mean", "log_sd", "log_rms_step", "min", "max")


def extractor(window_length: int) -> FeatureExtractor:
    return FeatureExtractor([SummaryBlock()], ChannelScaling(CHANNELS, (1.0,) * 4), window_length, n_threads=1)


def test_every_feature_is_that_of_the_formula() -> None:
    windows = np.random.default_rng(0).normal(size=(5, 4, 40)).astype(np.float32)
    own = extractor(40)
    for window, row in zip(windows.astype(np.float64), own.transform(windows), strict=True):
        expected: dict[str, float] = {}
        signals = {**dict(zip(CHANNELS, window, strict=True)), "|acc|": magnitude(window, (0, 1, 2))}
        for name, x in signals.items():
            found = statistics_of(x, (), 4)
            expected |= {f"{name}.{feature}": found[feature] for feature in WANTED}
        expected |= correlations(window, list(CHANNELS), ())
        assert set(own.names) == set(expected)
        assert row == pytest.approx([expected[name] for name in own.names], abs=1e-5)


def test_a_window_of_one_sample_has_its_level_alone() -> None:
    own = extractor(1)
    assert own.transform(np.full((1, 4, 1), 2.0, np.float32))[0, :4].tolist() == [2.0, 2.0, 2.0, 2.0]
    assert all(name.endswith(".mean") for name in own.names)


@pytest.mark.parametrize("value", [np.nan, 0.0, 7.0, 1e30, -1e30])
def test_features_are_finite_whatever_comes(value: float) -> None:
    assert np.isfinite(extractor(16).transform(np.full((2, 4, 16), value, np.float32))).all()
