from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.export.guard import ALLOWED_OPERATORS
from trainer.features import (
    BLOCKS,
    ChannelScaling,
    FeatureExtractor,
    RawBlock,
    SpectralBlock,
    StatisticsBlock,
    blocks_of,
    fit_scaling,
)

CHANNELS = ("acc_x", "acc_y", "acc_z", "current")
SCALING = ChannelScaling(CHANNELS, (1.0, 1.0, 1.0, 3.0))
ALL_BLOCKS = (RawBlock(), StatisticsBlock(), SpectralBlock())
EVERY_KIND = "raw+statistics+spectral+quantiles:300+minirocket:200+multirocket:400+hydra:200"
# The fewest samples that each kind can be built for.
SHORTEST = {"spectral": 4, "quantiles": 5, "minirocket": 9, "multirocket": 10, "hydra": 10}


def _windows(n_windows: int, window_length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n_windows, len(CHANNELS), window_length)).astype(np.float32)


def test_raw_is_the_scaled_samples() -> None:
    windows = _windows(3, 5)
    features = FeatureExtractor([RawBlock()], SCALING, 5).transform(windows)
    expected = (windows / np.asarray(SCALING.scales, np.float32)[:, None]).reshape(3, -1)
    np.testing.assert_allclose(features, expected, rtol=1e-6)


def test_raw_of_a_long_window_is_the_means_of_equal_pieces() -> None:
    windows = _windows(2, 1100)
    extractor = FeatureExtractor([RawBlock()], SCALING, 1100)
    pieces = (windows / np.asarray(SCALING.scales)[:, None])[:, :, :1098].reshape(2, 4, 366, 3).mean(axis=3)
    np.testing.assert_allclose(extractor.transform(windows), pieces.reshape(2, -1), atol=1e-5)
    assert extractor.names[366] == "acc_y.t0"


@pytest.mark.parametrize("window_length", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 17, 10_000])
@pytest.mark.parametrize("name", ["statistics+spectral", *BLOCKS])
def test_every_length_works_or_says_why_not(name: str, window_length: int) -> None:
    shortest = max(SHORTEST.get(kind, 1) for kind in name.split("+"))
    sized = name + ":168" if name in {"quantiles", "minirocket", "multirocket", "hydra"} else name
    windows = _windows(2, window_length)
    if window_length < shortest:
        with pytest.raises(ValueError, match=f"at least {shortest} samples expected, got {window_length}"):
            FeatureExtractor.fitted(blocks_of(sized), windows, CHANNELS)
        return
    extractor = FeatureExtractor.fitted(blocks_of(sized), windows, CHANNELS)
    features = extractor.transform(windows)
    assert features.shape == (2, extractor.n_features)
    assert np.isfinite(features).all()


@pytest.fixture(scope="module")
def every_kind() -> FeatureExtractor:
    return FeatureExtractor.fitted(blocks_of(EVERY_KIND), _windows(50, 128), CHANNELS, 50.0, seed=3)


def test_spans_name_the_columns_of_each_kind(every_kind: FeatureExtractor) -> None:
    assert list(every_kind.spans) == [part.partition(":")[0] for part in EVERY_KIND.split("+")]
    stops = [0, *(span.stop for span in every_kind.spans.values())]
    assert [span.start for span in every_kind.spans.values()] == stops[:-1]
    assert stops[-1] == every_kind.n_features
    windows = _windows(3, 128, seed=1)
    alone = FeatureExtractor(blocks_of("spectral"), every_kind.scaling, 128, 50.0).transform(windows)
    together = every_kind.transform(windows)[:, every_kind.spans["spectral"]]
    np.testing.assert_allclose(together, alone, rtol=1e-6)


def test_fitting_depends_on_the_seed_and_on_nothing_else(every_kind: FeatureExtractor) -> None:
    again = FeatureExtractor.fitted(blocks_of(EVERY_KIND), _windows(50, 128), CHANNELS, 50.0, seed=3, n_threads=1)
    other = FeatureExtractor.fitted(blocks_of(EVERY_KIND), _windows(50, 128), CHANNELS, 50.0, seed=4)
    assert again.model.SerializeToString(deterministic=True) == every_kind.model.SerializeToString(deterministic=True)
    assert other.model.SerializeToString(deterministic=True) != every_kind.model.SerializeToString(deterministic=True)


def test_a_block_is_fitted_the_same_whatever_stands_beside_it(every_kind: FeatureExtractor) -> None:
    windows = _windows(5, 128, seed=1)
    alone = FeatureExtractor.fitted(blocks_of("hydra:200"), _windows(50, 128), CHANNELS, 50.0, seed=3)
    np.testing.assert_array_equal(alone.transform(windows), every_kind.transform(windows)[:, every_kind.spans["hydra"]])


def test_a_fitted_graph_is_valid_small_and_made_of_allowed_operators(every_kind: FeatureExtractor) -> None:
    onnx.checker.check_model(every_kind.model, full_check=True)
    assert {node.op_type for node in every_kind.model.graph.node} <= ALLOWED_OPERATORS


@pytest.mark.parametrize(
    "name", ["minirocket:50000", "multirocket:890", "multirocket:1340", "multirocket:50000", "hydra:50000"]
)
@pytest.mark.parametrize("window_length", [128, 10_000])
def test_the_number_of_nodes_has_a_bound(name: str, window_length: int) -> None:
    extractor = FeatureExtractor.fitted(blocks_of(name), _windows(1, window_length), CHANNELS)
    assert len(extractor.model.graph.node) <= 1_500


@pytest.mark.parametrize("kind", ["minirocket", "multirocket", "hydra"])
@pytest.mark.parametrize("n_features", [84, 500, 1000, 2500, 10_000])
def test_a_budget_is_used_up_and_never_exceeded(kind: str, n_features: int) -> None:
    for window_length in (20, 300):
        extractor = FeatureExtractor.fitted(blocks_of(f"{kind}:{n_features}"), _windows(3, window_length), CHANNELS)
        assert 0.9 * n_features <= extractor.n_features <= n_features
        assert extractor.card_blocks[0].n_features == extractor.n_features
        assert len(set(extractor.names)) == extractor.n_features


@given(
    st.lists(
        st.floats(width=32, allow_infinity=False)
        | st.sampled_from([1e30, -1e30, 3.4e38, 1e-40, 0.0, float("nan"), float("inf")]),
        min_size=48,
        max_size=48,
    ),
    st.booleans(),
)
def test_no_window_gives_a_fitted_feature_that_is_not_finite(values: list[float], varies_in_length: bool) -> None:
    window = np.asarray(values, dtype=np.float32).reshape(1, 4, 12)
    features = _fitted(varies_in_length).transform(window)
    assert np.isfinite(features).all()


_fitted_extractors: dict[bool, FeatureExtractor] = {}


def _fitted(varies_in_length: bool) -> FeatureExtractor:
    if varies_in_length not in _fitted_extractors:
        windows = _windows(8, 12)
        if varies_in_length:
            windows[::2, :, 9:] = np.nan
        blocks = blocks_of("quantiles:100+minirocket:2100+multirocket:100+hydra:100")
        _fitted_extractors[varies_in_length] = FeatureExtractor.fitted(blocks, windows, CHANNELS)
    return _fitted_extractors[varies_in_length]


def test_fitted_features_are_the_same_alone_and_among_others(every_kind: FeatureExtractor) -> None:
    windows = _windows(64, 128, seed=2)
    together = every_kind.transform(windows)
    alone = np.vstack([every_kind.transform(window[None]) for window in windows])
    far_apart = ~np.isclose(alone, together, rtol=1e-4, atol=1e-4)
    # A response that lies on its bias to the last bit may fall on either side.
    assert far_apart.mean() <= 1e-4


def test_a_window_gives_the_same_features_alone_and_among_others() -> None:
    windows = _windows(64, 128)
    extractor = FeatureExtractor(ALL_BLOCKS, SCALING, 128)
    together = extractor.transform(windows)
    alone = np.vstack([extractor.transform(window[None]) for window in windows])
    np.testing.assert_allclose(alone, together, rtol=1e-5, atol=1e-5)


def test_a_missing_value_counts_as_the_mean_of_what_is_present() -> None:
    window = _windows(1, 16)
    window[0, 1, 3:7] = np.nan
    window[0, 3] = np.nan
    filled = window.copy()
    filled[0, 1, 3:7] = np.nanmean(window[0, 1])
    filled[0, 3] = 0.0
    extractor = FeatureExtractor(ALL_BLOCKS, SCALING, 16)
    np.testing.assert_allclose(extractor.transform(window), extractor.transform(filled), rtol=1e-4, atol=1e-4)


@given(
    st.lists(
        st.floats(width=32, allow_infinity=False) | st.sampled_from([1e30, -1e30, 3.4e38, 1e-40, 0.0, float("nan")]),
        min_size=24,
        max_size=24,
    ),
    st.sampled_from([1e-30, 1e-9, 1.0, 1e9, 1e30]),
)
def test_no_window_gives_a_feature_that_is_not_finite(values: list[float], scale: float) -> None:
    window = np.asarray(values, dtype=np.float32).reshape(1, 3, 8)
    assert np.isfinite(_extractor_of(scale).transform(window)).all()


def test_infinities_of_both_signs_beside_a_missing_value_give_finite_features() -> None:
    window = np.full((1, 3, 8), np.inf, np.float32)
    window[:, :, ::2] *= -1.0
    window[:, :, 3] = np.nan
    assert np.isfinite(_extractor_of(1.0).transform(window)).all()


_extractors: dict[float, FeatureExtractor] = {}


def _extractor_of(scale: float) -> FeatureExtractor:
    if scale not in _extractors:
        scaling = ChannelScaling(("a_x", "a_y", "a_z"), (scale,) * 3)
        _extractors[scale] = FeatureExtractor(ALL_BLOCKS, scaling, 8)
    return _extractors[scale]


def test_the_unit_of_a_channel_does_not_matter() -> None:
    windows = _windows(20, 64)
    in_milli = windows * np.float32(1000.0)
    metres = FeatureExtractor(ALL_BLOCKS, fit_scaling(windows, CHANNELS), 64).transform(windows)
    millimetres = FeatureExtractor(ALL_BLOCKS, fit_scaling(in_milli, CHANNELS), 64).transform(in_milli)
    np.testing.assert_allclose(metres, millimetres, rtol=1e-3, atol=1e-3)


def test_the_same_blocks_give_the_same_bytes() -> None:
    first, second = (FeatureExtractor(ALL_BLOCKS, SCALING, 128, 50.0).model for _ in range(2))
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(deterministic=True)


def test_the_graph_is_valid_in_the_stated_opset_and_ir() -> None:
    model = FeatureExtractor(ALL_BLOCKS, SCALING, 128, 50.0).model
    onnx.checker.check_model(model, full_check=True)
    assert (model.ir_version, [(entry.domain, entry.version) for entry in model.opset_import]) == (8, [("", 17)])


def test_names_are_unique_and_begin_with_their_channel() -> None:
    extractor = FeatureExtractor(ALL_BLOCKS, SCALING, 128, 50.0)
    assert len(set(extractor.names)) == extractor.n_features
    owners = {owner for name in extractor.names for owner in name.rsplit(".", 1)[0].split("*")}
    assert {"acc_x", "acc_y", "acc_z", "current", "|acc|"} <= owners


def test_the_card_states_each_block_with_its_parameters_and_features() -> None:
    extractor = FeatureExtractor(ALL_BLOCKS, SCALING, 128, 50.0)
    blocks = extractor.card_blocks
    assert [block.kind for block in blocks] == ["raw", "statistics", "spectral"]
    assert sum(block.n_features for block in blocks) == extractor.n_features
    assert blocks[1].parameters["lags"] == [1, 2, 4, 8, 16, 32]
    assert blocks[2].parameters["scales"] == {"acc_x": 1.0, "acc_y": 1.0, "acc_z": 1.0, "current": 3.0}


def test_windows_of_another_shape_are_refused() -> None:
    extractor = FeatureExtractor([RawBlock()], SCALING, 8)
    with pytest.raises(ValueError, match=r"shape \(n_windows, 4, 8\) expected, got \(2, 4, 9\)"):
        extractor.transform(np.zeros((2, 4, 9), np.float32))


def test_unknown_and_missing_blocks_are_refused() -> None:
    with pytest.raises(ValueError, match=r"some of raw, summary, statistics, spectral, .* expected, got 'wavelet'"):
        blocks_of("wavelet")
    with pytest.raises(ValueError, match="blocks: at least one"):
        FeatureExtractor([], SCALING, 8)
    with pytest.raises(ValueError, match="window_length: at least 1"):
        FeatureExtractor([RawBlock()], SCALING, 0)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("raw:100", "'raw' without a number expected, got 'raw:100'"),
        ("minirocket:", "minirocket:84 to minirocket:50000 expected, got 'minirocket:'"),
        ("minirocket:83", "got 'minirocket:83'"),
        ("hydra:1e3", "got 'hydra:1e3'"),
        ("multirocket:50001", "got 'multirocket:50001'"),
        ("raw+statistics+raw", "every kind once expected, got 'raw' twice"),
    ],
)
def test_a_name_that_means_nothing_is_one_clear_error(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        blocks_of(name)


@pytest.mark.parametrize("kind", ["minirocket", "multirocket", "hydra"])
def test_a_block_that_was_never_fitted_says_so(kind: str) -> None:
    with pytest.raises(ValueError, match=f"{kind} features: a fitted block expected"):
        FeatureExtractor(blocks_of(kind), SCALING, 128)


def test_fitting_without_windows_is_refused() -> None:
    with pytest.raises(ValueError, match="with windows expected, got \\(0, 4, 16\\)"):
        FeatureExtractor.fitted(blocks_of("minirocket"), _windows(1, 16)[:0], CHANNELS)


def test_the_card_states_budget_dilations_and_seed_but_no_biases(every_kind: FeatureExtractor) -> None:
    parameters = {block.kind: block.parameters for block in every_kind.card_blocks}
    assert parameters["minirocket"] | {"scales": None} == {
        "n_features": 200,
        "dilations": [1, 2, 6, 15],
        "seed": 3,
        "masked": False,
        "magnitudes": False,
        "scales": None,
    }
    assert parameters["hydra"]["dilations"] == [1, 2, 4, 8]


@pytest.mark.real_data
@pytest.mark.slow
def test_uci_har_is_told_apart_by_a_plain_logistic_head(datasets: Path) -> None:
    from trainer.export import fit_standardiser
    from trainer.learn import LogisticClassifier

    with np.load(datasets / "uci_har.npz", allow_pickle=False) as file:
        windows, y, split, channels = file["X"], file["y"], file["split"], [str(name) for name in file["channels"]]
    train, test = split == 0, split == 1
    scaling = fit_scaling(windows[train], channels)
    extractor = FeatureExtractor(blocks_of("statistics+spectral"), scaling, 128, 50.0)
    features = extractor.transform(windows[train][::2])
    standardiser = fit_standardiser(features)
    head = LogisticClassifier(C=0.01, tol=1e-3).fit(standardiser.apply(features), y[train][::2])
    accuracy = head.score(standardiser.apply(extractor.transform(windows[test])), y[test])
    assert accuracy >= 0.96
