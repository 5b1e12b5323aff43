"""The convolution blocks against numpy references, on a grid of 1/1024, where every sum is exact in float32."""

from collections.abc import Iterator

import numpy as np
import pytest

from tests.trainer.features import convolution_reference as reference
from trainer.features import FeatureExtractor, HydraBlock, MiniRocketBlock, MultiRocketBlock, blocks_of
from trainer.features.convolution import FittedBank
from trainer.features.hydra_block import competing_weights
from trainer.features.scaling import ChannelScaling

CHANNELS = ("acc_x", "acc_y", "acc_z", "current")


def _windows(n_windows: int, window_length: int, seed: int = 0, n_channels: int = 4) -> np.ndarray:
    """Random walks on the grid, as sensors with a resolution of 1/1024 would give them."""
    steps = np.random.default_rng(seed).normal(size=(n_windows, n_channels, window_length)) * 0.3
    return (np.round(np.cumsum(steps, axis=2) * 1024.0) / 1024.0).astype(np.float32)


def _fitted(name: str, windows: np.ndarray, channels: tuple[str, ...] = CHANNELS) -> FeatureExtractor:
    """An extractor whose channels have the scale 1, so that the grid stays a grid."""
    own = FeatureExtractor.fitted(blocks_of(name), windows, channels, seed=1)
    unscaled = ChannelScaling(channels, (1.0,) * len(channels))
    return FeatureExtractor(own.blocks, unscaled, windows.shape[2])


def _sum_of(series: np.ndarray, subset: tuple[int, ...]) -> np.ndarray:
    return np.asarray(sum(series[position] for position in subset))


def _rows(banks: tuple[FittedBank, ...]) -> Iterator[tuple[FittedBank, tuple[int, ...], int, float]]:
    for fitted in banks:
        for owner, kernel, bias in zip(fitted.bank.owners, fitted.bank.row_kernels, fitted.biases, strict=True):
            yield fitted, owner, kernel, bias


@pytest.mark.parametrize(("window_length", "n_features"), [(9, 100), (24, 300), (60, 600)])
def test_minirocket_is_exactly_what_numpy_says(window_length: int, n_features: int) -> None:
    windows = _windows(6, window_length)
    extractor = _fitted(f"minirocket:{n_features}", windows)
    [block] = extractor.blocks
    assert isinstance(block, MiniRocketBlock)
    features = extractor.transform(windows)
    assert features.shape == (6, n_features)
    for window, row in zip(windows[:3].astype(np.float64), features, strict=False):
        for (fitted, owner, kernel, bias), feature in zip(_rows(block.banks), row, strict=True):
            bank = fitted.bank
            response = reference.convolve(
                _sum_of(window, owner), reference.mini_kernel(kernel), bank.dilation, is_padded=bank.is_padded
            )
            # The mean of zeros and ones is rounded once, in float32.
            assert feature == pytest.approx(np.mean(response > bias), rel=1e-6)


def test_biases_are_quantiles_of_the_responses_of_training_windows() -> None:
    windows = _windows(1, 50)
    [block] = _fitted("minirocket:2016", windows, CHANNELS).blocks
    assert isinstance(block, MiniRocketBlock)
    own = FeatureExtractor.fitted(blocks_of("minirocket:2016"), windows, CHANNELS, seed=1)
    # With one window to choose from, the shares of that window are one less the levels, up to one response; responses
    # that are equal to the last digit are rare.
    shares = own.transform(windows)[0]
    levels = (np.arange(1, 2017) * (5.0**0.5 - 1.0) / 2.0) % 1.0
    n_points = [50 - fitted.bank.n_lost for fitted, *_ in _rows(block.banks)]
    assert np.mean(np.abs(shares - (1.0 - levels)) * n_points <= 1.0 + 1e-3) >= 0.98


@pytest.mark.parametrize("window_length", [10, 33])
def test_multirocket_is_what_numpy_says(window_length: int) -> None:
    windows = _windows(4, window_length)
    extractor = _fitted("multirocket:1000", windows)
    [block] = extractor.blocks
    assert isinstance(block, MultiRocketBlock)
    features = extractor.transform(windows)
    for window, row in zip(windows.astype(np.float64), features, strict=True):
        found = dict(zip(extractor.names, row.tolist(), strict=True))
        expected = {}
        for stem, series, banks in (
            ("", window, block.signal_banks),
            ("step_", np.diff(window), block.step_banks),
        ):
            for index, (fitted, owner, kernel, bias) in enumerate(_rows(banks)):
                bank = fitted.bank
                response = reference.convolve(
                    _sum_of(series, owner), reference.mini_kernel(kernel), bank.dilation, is_padded=bank.is_padded
                )
                values = reference.four_poolings(response, bias, len(response), len(response))
                owners = "*".join(CHANNELS[position] for position in owner)
                taps = "".join(str(tap) for tap in np.flatnonzero(reference.mini_kernel(kernel) > 0.0))
                for pooling, value in zip(("ppv", "mpv", "mipv", "lspv"), values, strict=True):
                    expected[f"{owners}.{stem}{pooling}_d{bank.dilation}_{taps}_{index}"] = value
        assert sorted(found) == sorted(expected)
        np.testing.assert_allclose(
            [found[name] for name in extractor.names],
            [expected[name] for name in extractor.names],
            rtol=2e-5,
            atol=2e-6,
        )


def test_the_poolings_of_a_worked_example() -> None:
    # Above 0.5 lie the places 1, 2, 5, 6, 7 of 8: share 5/8, excess (0.5 + 1.5 + 2.5 + 0.5 + 1) / 5 = 1.2, mean place
    # 21/5 = 4.2 of 8, longest stretch 3, which reaches the lengths 1 and 2 of 1, 2, 4, 8.
    response = np.array([0.0, 1.0, 2.0, 0.5, -1.0, 3.0, 1.0, 1.5])
    values = reference.four_poolings(response, 0.5, 8, 8)
    assert values == pytest.approx((0.625, 1.2, 0.525, 0.5))


def test_a_step_in_the_signal_gives_the_poolings_of_a_worked_example() -> None:
    # One channel, a step of height 1 at sample 10 of 20. The kernel 2 2 2 -1 -1 -1 -1 -1 -1 sees it from sample 6 on,
    # under its last weight: -1 -2 -3 -4 -5 -6 -4 -2 0 0. Then its last weights stand beyond the end: 1 2 3 4.
    step = np.r_[np.zeros(10), np.ones(10)]
    response = reference.convolve(step, reference.mini_kernel(0), 1, is_padded=True)
    assert response.tolist() == [0.0] * 6 + [
        -1.0,
        -2.0,
        -3.0,
        -4.0,
        -5.0,
        -6.0,
        -4.0,
        -2.0,
        0.0,
        0.0,
        1.0,
        2.0,
        3.0,
        4.0,
    ]
    whole = reference.convolve(step, reference.mini_kernel(0), 1, is_padded=False)
    assert whole.tolist() == response[4:16].tolist()


@pytest.mark.parametrize("window_length", [10, 40])
def test_hydra_is_what_numpy_says(window_length: int) -> None:
    # A grid of 1/32 times weights of 1/1024: still exact, so that winners are the same.
    windows = np.round(_windows(4, window_length) * 32.0).astype(np.float32) / np.float32(32.0)
    extractor = _fitted("hydra:200", windows)
    [block] = extractor.blocks
    assert isinstance(block, HydraBlock)
    features = extractor.transform(windows)
    for window, row in zip(windows.astype(np.float64), features, strict=True):
        expected: list[float] = []
        for part in block.parts:
            series = np.diff(window) if part.is_step else window
            kernels = competing_weights(part, block.seed).reshape(len(part.subsets), 8, 9)
            won = [
                reference.competition(_sum_of(series, subset), list(own), part.dilation)
                for subset, own in zip(part.subsets, kernels, strict=True)
            ]
            expected += [value for strengths, _ in won for value in strengths]
            expected += [value for _, counts in won for value in counts]
        np.testing.assert_allclose(row, expected, rtol=1e-5, atol=1e-4)


def test_competing_kernels_do_not_see_the_level_of_a_signal() -> None:
    extractor = _fitted("hydra:1000", _windows(4, 40))
    [block] = extractor.blocks
    assert isinstance(block, HydraBlock)
    for part in block.parts:
        weights = competing_weights(part, block.seed)
        assert not weights.sum(axis=2).any()
        np.testing.assert_allclose(np.abs(weights).sum(axis=2), 1.0, atol=0.02)
    # A resting sensor: inside the window nothing wins. What is left are the zeros of the padding at both ends.
    rest = extractor.transform(np.zeros((1, 4, 40), np.float32))
    assert not rest.any()


def test_the_kernels_of_two_parts_are_not_the_same() -> None:
    [block] = _fitted("hydra:1000", _windows(4, 40)).blocks
    assert isinstance(block, HydraBlock)
    drawn = {competing_weights(part, block.seed)[:8].tobytes() for part in block.parts}
    assert len(drawn) == len(block.parts)
    assert {part.is_step for part in block.parts} == {True, False}


def test_off_the_grid_few_shares_differ_from_numpy_and_by_one_response_only() -> None:
    windows = np.random.default_rng(5).normal(size=(3, 4, 64)).astype(np.float32)
    extractor = _fitted("minirocket:500", windows)
    [block] = extractor.blocks
    assert isinstance(block, MiniRocketBlock)
    differences = []
    for window, row in zip(windows.astype(np.float64), extractor.transform(windows), strict=True):
        for (fitted, owner, kernel, bias), feature in zip(_rows(block.banks), row, strict=True):
            response = reference.convolve(
                _sum_of(window, owner),
                reference.mini_kernel(kernel),
                fitted.bank.dilation,
                is_padded=fitted.bank.is_padded,
            )
            differences.append(abs(feature - np.mean(response > bias)) * len(response))
    assert max(differences) <= 1.0 + 1e-3
    # The windows are those of the fit: a bias may be a response, and then rounding decides.
    assert np.mean(np.asarray(differences) > 1e-3) <= 0.02


def test_the_magnitude_of_a_sensor_is_among_the_signals_of_a_large_budget() -> None:
    windows = _windows(4, 40)
    small, large = (_fitted(f"minirocket:{n_features}", windows) for n_features in (1000, 2000))
    assert not any("|acc|" in name for name in small.names)
    assert any("|acc|" in name for name in large.names)
    assert large.card_blocks[0].parameters["magnitudes"] is True
