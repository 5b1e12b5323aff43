import numpy as np
import pytest

from trainer.features import ChannelScaling, FeatureExtractor, QuantilesBlock
from trainer.features.quantiles_block import quantile_plan


def _extractor(n_features: int, window_length: int, n_channels: int = 1) -> FeatureExtractor:
    names = tuple(f"sensor {index}" for index in range(n_channels))
    return FeatureExtractor([QuantilesBlock(n_features)], ChannelScaling(names, (1.0,) * n_channels), window_length)


@pytest.mark.parametrize("window_length", [5, 9, 16, 100])
def test_every_quantile_is_a_sorted_sample_of_its_interval(window_length: int) -> None:
    windows = np.random.default_rng(0).normal(size=(3, 2, window_length)).astype(np.float32)
    features = _extractor(400, window_length, 2).transform(windows)
    for window, row in zip(windows, features, strict=True):
        expected: list[float] = []
        for channel in window:
            for series in (channel, np.diff(channel)):
                for n_intervals, n_quantiles in quantile_plan(len(series), 100):
                    size = len(series) // n_intervals
                    for interval in range(n_intervals):
                        values = np.sort(series[interval * size : (interval + 1) * size])[::-1]
                        ranks = np.linspace(0.0, size - 1.0, n_quantiles) if n_quantiles > 1 else [size // 2]
                        expected += [float(values[round(float(rank))]) for rank in ranks]
        np.testing.assert_allclose(row, expected, atol=1e-6)


def test_the_order_of_samples_inside_an_interval_does_not_matter_to_the_quantiles_of_the_signal() -> None:
    extractor = _extractor(100, 16)
    names = np.array(extractor.names)
    window = np.arange(16, dtype=np.float32)[None, None]
    of_signal = np.char.find(names, "step_") < 0
    of_whole = of_signal & (np.char.find(names, "1_of_1") >= 0)
    straight, reverse = extractor.transform(window), extractor.transform(window[:, :, ::-1].copy())
    np.testing.assert_array_equal(straight[:, of_whole], reverse[:, of_whole])
    assert (straight[:, of_signal] != reverse[:, of_signal]).any()
    found = dict(zip(names.tolist(), straight[0].tolist(), strict=True))
    assert found["sensor 0.quantile_1_1_of_1_0"] == 15.0
    assert found["sensor 0.quantile_1_1_of_4_0"] == 3.0


@pytest.mark.parametrize("n_features", [84, 300, 500])
def test_a_budget_is_never_exceeded_and_nearly_used_up(n_features: int) -> None:
    extractor = _extractor(n_features, 500)
    assert 0.9 * n_features <= extractor.n_features <= n_features
    assert len(set(extractor.names)) == extractor.n_features


def test_no_channel_has_more_than_500_and_a_long_window_is_averaged_down() -> None:
    extractor = _extractor(50_000, 10_000, 2)
    assert extractor.n_features <= 1000
    # Pieces of 10 samples: the spike of one sample counts a tenth.
    window = np.zeros((1, 2, 10_000), np.float32)
    window[0, 0, 5000] = 10.0
    assert extractor.transform(window).max() == pytest.approx(1.0)


@pytest.mark.parametrize("window_length", [1, 4])
def test_a_window_too_short_for_quantiles_is_one_clear_error(window_length: int) -> None:
    with pytest.raises(ValueError, match=f"at least 5 samples expected, got {window_length}"):
        _extractor(100, window_length)
