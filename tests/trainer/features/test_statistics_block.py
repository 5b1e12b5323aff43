import numpy as np
import pytest

from tests.trainer.features import reference
from trainer.features import ChannelScaling, FeatureExtractor, StatisticsBlock

CHANNELS = ("acc_x", "acc_y", "acc_z", "current")
SCALES = (2.0, 2.0, 2.0, 0.5)


def _expected(window: np.ndarray, block: StatisticsBlock) -> dict[str, float]:
    scaled = reference.with_missing_replaced(window.astype(np.float64)) / np.asarray(SCALES)[:, None]
    signals = dict(zip(CHANNELS, scaled, strict=True))
    signals["|acc|"] = reference.magnitude(scaled, (0, 1, 2))
    found = {
        f"{channel}.{name}": value
        for channel, x in signals.items()
        for name, value in reference.statistics_of(x, block.lags, block.n_segments).items()
    }
    return found | reference.correlations(scaled, list(CHANNELS), block.cross_lags)


@pytest.mark.parametrize("window_length", [2, 3, 8, 21, 128, 1000])
def test_every_statistic_is_what_numpy_says(window_length: int) -> None:
    block = StatisticsBlock()
    extractor = FeatureExtractor([block], ChannelScaling(CHANNELS, SCALES), window_length)
    generator = np.random.default_rng(window_length)
    windows = np.cumsum(generator.normal(size=(5, 4, window_length)), axis=2).astype(np.float32) * 0.3
    windows[1, 2, window_length // 2] = np.nan
    features = extractor.transform(windows)
    for window, row in zip(windows, features, strict=True):
        expected = _expected(window, block)
        assert sorted(expected) == sorted(extractor.names)
        np.testing.assert_allclose(row, [expected[name] for name in extractor.names], rtol=1e-4, atol=2e-4)


def test_which_channel_moves_first_is_told_by_the_sign_of_the_lag() -> None:
    extractor = FeatureExtractor([StatisticsBlock()], ChannelScaling(("valve", "flow"), (1.0, 1.0)), 64)
    valve = np.random.default_rng(0).normal(size=66).astype(np.float32)
    # The flow follows the valve by 2 samples.
    [row] = extractor.transform(np.stack([valve[2:], valve[:-2]])[None])
    found = dict(zip(extractor.names, row.tolist(), strict=True))
    assert found["flow*valve.correlation_2"] > 0.9
    assert abs(found["valve*flow.correlation_2"]) < 0.5


def test_the_magnitude_does_not_depend_on_how_the_sensor_is_turned() -> None:
    extractor = FeatureExtractor([StatisticsBlock()], ChannelScaling(CHANNELS[:3], (2.0, 2.0, 2.0)), 64)
    generator = np.random.default_rng(0)
    windows = generator.normal(size=(4, 3, 64)).astype(np.float32)
    rotation, _ = np.linalg.qr(generator.normal(size=(3, 3)))
    turned = np.einsum("ab,nbt->nat", rotation, windows).astype(np.float32)
    of_magnitude = [name.startswith("|acc|.") for name in extractor.names]
    straight, other = extractor.transform(windows), extractor.transform(turned)
    np.testing.assert_allclose(straight[:, of_magnitude], other[:, of_magnitude], atol=1e-4)
    assert np.abs(straight - other).max() > 0.1


def test_a_constant_has_no_shape_and_crosses_nothing() -> None:
    extractor = FeatureExtractor([StatisticsBlock()], ChannelScaling(("level",), (0.1,)), 100)
    [row] = extractor.transform(np.full((1, 1, 100), 9.81, np.float32))
    found = dict(zip(extractor.names, row.tolist(), strict=True))
    assert found["level.crossing_rate"] == 0.0
    assert abs(found["level.skew"]) < 1e-3
    assert abs(found["level.autocorrelation_1"]) < 1e-3


def test_many_channels_have_no_correlations_between_them() -> None:
    names = tuple(f"channel {index}" for index in range(17))
    extractor = FeatureExtractor([StatisticsBlock()], ChannelScaling(names, (1.0,) * 17), 32)
    assert not [name for name in extractor.names if "*" in name]
