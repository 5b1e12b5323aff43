import numpy as np
import pytest

from tests.trainer.features import reference
from trainer.features import ChannelScaling, FeatureExtractor, SpectralBlock


@pytest.mark.parametrize("window_length", [4, 5, 8, 127, 128, 256, 257, 400, 640, 3000])
def test_every_power_is_what_welch_says(window_length: int) -> None:
    channels, scales = ("a_x", "a_y", "a_z"), (2.0, 2.0, 2.0)
    extractor = FeatureExtractor([SpectralBlock()], ChannelScaling(channels, scales), window_length, 100.0)
    windows = np.random.default_rng(window_length).normal(size=(3, 3, window_length)).astype(np.float32) + 5.0
    features = extractor.transform(windows)
    for window, row in zip(windows, features, strict=True):
        scaled = window.astype(np.float64) / 2.0
        signals = [*scaled, reference.magnitude(scaled, (0, 1, 2))]
        expected = [value for x in signals for value in reference.spectral_of(x, 256)]
        np.testing.assert_allclose(row, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("window_length", [128, 2048])
def test_a_tone_stands_in_its_bin(window_length: int) -> None:
    extractor = FeatureExtractor([SpectralBlock()], ChannelScaling(("vibration",), (1.0,)), window_length, 128.0)
    times = np.arange(window_length) / 128.0
    tone = np.sin(2.0 * np.pi * 20.0 * times).astype(np.float32)
    [row] = extractor.transform(tone[None, None])
    found = dict(zip(extractor.names, row.tolist(), strict=True))
    powers = {name: value for name, value in found.items() if ".power_" in name}
    assert max(powers, key=powers.__getitem__) == "vibration.power_20_hz"
    assert found["vibration.dominant_frequency"] == pytest.approx(20.0 / 64.0)


def test_white_noise_of_one_scale_has_power_one_whatever_the_length() -> None:
    generator = np.random.default_rng(1)
    for window_length in (64, 256, 2000):
        extractor = FeatureExtractor([SpectralBlock(taper="none")], ChannelScaling(("x",), (3.0,)), window_length)
        noise = (3.0 * generator.normal(size=(200, 1, window_length))).astype(np.float32)
        bands = [index for index, name in enumerate(extractor.names) if ".band_" in name]
        assert np.exp(extractor.transform(noise)[:, bands[-1]]).mean() == pytest.approx(1.0, rel=0.1)


def test_a_slow_wave_of_a_long_window_is_seen() -> None:
    extractor = FeatureExtractor([SpectralBlock()], ChannelScaling(("x",), (1.0,)), 2560, 256.0)
    wave = np.sin(2.0 * np.pi * 0.3 * np.arange(2560) / 256.0).astype(np.float32)
    [row] = extractor.transform(wave[None, None])
    slow = {name: value for name, value in zip(extractor.names, row.tolist(), strict=True) if ".power_0." in name}
    assert max(slow, key=slow.__getitem__) == "x.power_0.3_hz"


def test_the_number_of_features_is_bounded_for_long_windows() -> None:
    extractor = FeatureExtractor([SpectralBlock()], ChannelScaling(("x",), (1.0,)), 10_000)
    assert extractor.n_features <= 128 + 8 + 2 + 32
    assert len(set(extractor.names)) == extractor.n_features


def test_an_empty_bin_is_the_floor_and_no_lower() -> None:
    extractor = FeatureExtractor([SpectralBlock()], ChannelScaling(("x",), (1.0,)), 128)
    [row] = extractor.transform(np.full((1, 1, 128), 7.0, np.float32))
    powers = row[[".power_" in name for name in extractor.names]]
    np.testing.assert_allclose(powers, np.log(1e-6), atol=1e-3)


def test_without_a_rate_frequencies_are_per_sample() -> None:
    extractor = FeatureExtractor([SpectralBlock()], ChannelScaling(("x",), (1.0,)), 8)
    assert extractor.names[0] == "x.power_0.125_per_sample"


@pytest.mark.parametrize("window_length", [1, 2, 3])
def test_a_window_too_short_for_a_spectrum_is_one_clear_error(window_length: int) -> None:
    with pytest.raises(ValueError, match=f"window_length of at least 4 samples expected, got {window_length}"):
        FeatureExtractor([SpectralBlock()], ChannelScaling(("x",), (1.0,)), window_length)


def test_parameters_that_give_no_spectrum_are_refused() -> None:
    with pytest.raises(ValueError, match="segment_length: at least 4"):
        SpectralBlock(segment_length=3)
    with pytest.raises(ValueError, match="taper: one of hann, none expected, got 'kaiser'"):
        SpectralBlock(taper="kaiser")
