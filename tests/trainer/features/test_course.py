from dataclasses import replace

import numpy as np
import onnxruntime as ort
import pytest

from tests.trainer.features import convolution_reference as reference
from trainer.features import ChannelScaling, FeatureExtractor, Graph, blocks_of
from trainer.features.block import signals_of_window
from trainer.features.course import CourseOptions

CHANNELS = ("speed", "torque")
MISSING = np.float32(np.nan)


def _course_of(windows: np.ndarray, options: CourseOptions) -> np.ndarray:
    graph = Graph()
    window = graph.input("window", (None, *windows.shape[1:]))
    scaling = ChannelScaling(CHANNELS, (1.0, 2.0))
    course = options.build(signals_of_window(window, scaling, windows.shape[2], None))
    content = graph.model({"value": course.value}, {"value": (None, None, None)}).SerializeToString()
    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"window": windows})[0])


def _walks(n_windows: int, window_length: int, seed: int = 0) -> np.ndarray:
    steps = np.random.default_rng(seed).normal(size=(n_windows, 2, window_length)) * 0.3
    return (np.round(np.cumsum(steps, axis=2) * 1024.0) / 1024.0).astype(np.float32)


def test_a_gap_is_bridged_from_its_neighbours_and_the_middle_of_a_long_one_is_the_mean() -> None:
    windows = _walks(3, 60)
    windows[0, 0, 10:13] = MISSING
    windows[0, 1, 20:45] = MISSING
    windows[1, 0, :4] = MISSING
    windows[2, 1] = MISSING
    expected = [[reference.bridged(channel) for channel in window] for window in windows.astype(np.float64)]
    scaled = np.asarray(expected) / np.array([1.0, 2.0])[:, None]
    np.testing.assert_allclose(_course_of(windows, CourseOptions()), scaled, rtol=1e-3, atol=1e-4)


def test_a_bridge_over_one_sample_lies_within_a_hair_of_the_straight_line() -> None:
    ramp = np.arange(20, dtype=np.float32)
    windows = np.stack([ramp, ramp])[None].copy()
    windows[0, 0, 9] = MISSING
    assert _course_of(windows, CourseOptions())[0, 0, 9] == pytest.approx(9.0, abs=1e-4)


def test_what_comes_after_the_last_present_sample_is_zero_where_padding_is_masked() -> None:
    windows = _walks(2, 30) + np.float32(5.0)
    windows[0, :, 20:] = MISSING
    # One channel goes on: the window is as long as its longest channel.
    windows[1, 0, 25:] = MISSING
    course = _course_of(windows, CourseOptions(is_masked=True))
    assert not course[0, :, 20:].any()
    assert course[0, :, :20].all()
    assert course[1].all()


def _varying(n_windows: int, window_length: int, seed: int) -> np.ndarray:
    windows = _walks(n_windows, window_length, seed)
    for index, window in enumerate(windows):
        window[:, window_length - 5 * (index % 4) :] = MISSING
    return windows


@pytest.mark.parametrize("kind", ["minirocket:500", "multirocket:400", "hydra:300"])
def test_padding_does_not_change_the_features_of_a_shorter_window(kind: str) -> None:
    # The same blocks in a graph for windows of 40 and in one for windows of 55, padded.
    fitted = FeatureExtractor.fitted(blocks_of(kind), _varying(20, 40, 0), CHANNELS)
    assert fitted.card_blocks[0].parameters["masked"] is True
    longer = FeatureExtractor(fitted.blocks, fitted.scaling, 55)
    windows = _varying(8, 40, 1)
    padded = np.concatenate([windows, np.full((8, 2, 15), MISSING)], axis=2).astype(np.float32)
    short, long = fitted.transform(windows), longer.transform(padded)
    # The scale of a longest stretch is that of the longest window.
    same = np.array([".lspv" not in name and "step_lspv" not in name for name in fitted.names])
    far_apart = ~np.isclose(short[:, same], long[:, same], rtol=1e-4, atol=1e-4)
    assert far_apart.mean() <= 1e-3


def test_the_share_of_a_short_window_is_that_of_its_own_samples() -> None:
    fitted = FeatureExtractor.fitted(blocks_of("minirocket:500"), _varying(20, 40, 0), CHANNELS)
    [block] = fitted.blocks
    unscaled = FeatureExtractor([block], ChannelScaling(CHANNELS, (1.0, 1.0)), 40)
    window = _walks(1, 40, seed=7)
    window[:, :, 25:] = MISSING
    [row] = unscaled.transform(window)
    index = 0
    for bank_of in block.banks:  # type: ignore[attr-defined]  # a MiniRocketBlock
        bank = bank_of.bank
        for owner, kernel, bias in zip(bank.owners, bank.row_kernels, bank_of.biases, strict=True):
            series = window[0, list(owner), :25].astype(np.float64).sum(axis=0)
            response = reference.convolve(
                series, reference.mini_kernel(kernel), bank.dilation, is_padded=bank.is_padded
            )
            expected = np.mean(response > bias) if len(response) else 0.0
            assert row[index] == pytest.approx(expected, rel=1e-5)
            index += 1
    assert index == 500


def test_whole_kernels_are_refused_where_windows_vary_in_length() -> None:
    fitted = FeatureExtractor.fitted(blocks_of("minirocket:168"), _walks(5, 40), CHANNELS)
    [block] = fitted.blocks
    with pytest.raises(ValueError, match="padded kernels expected where windows vary in length"):
        FeatureExtractor([replace(block, course=CourseOptions(is_masked=True))], fitted.scaling, 40)  # type: ignore[type-var]  # a dataclass


def test_windows_of_one_length_are_not_masked_even_with_gaps_inside() -> None:
    windows = _walks(6, 40)
    windows[0, :, 10:20] = MISSING
    windows[1, 0, -1] = MISSING
    fitted = FeatureExtractor.fitted(blocks_of("minirocket:84"), windows, CHANNELS)
    assert fitted.card_blocks[0].parameters["masked"] is False


def test_windows_shorter_than_a_kernel_have_features_all_the_same() -> None:
    windows = _varying(12, 40, 0)
    windows[:6, :, 3:] = MISSING
    fitted = FeatureExtractor.fitted(blocks_of("minirocket:500+multirocket:400+hydra:300"), windows, CHANNELS)
    assert np.isfinite(fitted.transform(windows)).all()
