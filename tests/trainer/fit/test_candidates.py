"""What is tried depends on the windows: their length, their number, and how many classes there are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from trainer.data import WindowedData
from trainer.data.examples import example_windows
from trainer.errors import DatasetError
from trainer.fit.candidates import (
    FeatureSet,
    build_pool,
    columns_of,
    feature_sets,
    hydra_budget,
    minirocket_budget,
)


def silent(_what: str, _done: int, _of: int) -> None:
    """Report to nobody."""


def shaped(n_windows: int, window_length: int, n_classes: int = 2) -> WindowedData:
    """Windows of a shape, without a value in memory."""
    data = example_windows(n_recordings=2, windows_per_recording=1)
    windows = np.broadcast_to(np.float32(0.0), (n_windows, 1, window_length))
    return replace(data, windows=windows, classes=tuple(map(str, range(n_classes))))


def kinds(choice: str, window_length: int) -> list[str]:
    sets = feature_sets(choice, example_windows(window_length=window_length))
    return ["+".join(one.blocks) for one in sets]


def test_what_auto_tries_depends_on_the_length_of_a_window() -> None:
    assert kinds("auto", 32) == ["minirocket", "hydra", "statistics", "statistics+spectral", "raw"]
    assert kinds("auto", 1024) == ["minirocket", "hydra", "statistics", "statistics+spectral"]
    assert kinds("auto", 8) == ["statistics", "statistics+spectral", "raw"]
    assert kinds("auto", 4) == ["statistics", "raw"]
    assert kinds("edge", 32) == ["minirocket", "summary", "statistics"]
    assert kinds("edge", 4) == ["summary", "statistics"]


def test_named_blocks_are_one_set_and_of_the_kind_of_their_largest() -> None:
    data = example_windows()
    assert feature_sets("statistics+raw", data) == (FeatureSet("statistics+raw", "level"),)
    assert feature_sets("statistics+minirocket:100", data) == (FeatureSet("statistics+minirocket:100", "convolution"),)


def test_long_windows_and_many_classes_get_fewer_convolutions() -> None:
    assert minirocket_budget(shaped(100, 100)) == 10_000
    # What one window takes in memory is bounded: samples x features.
    assert minirocket_budget(shaped(12, 12_000)) == 5_000
    assert hydra_budget(shaped(12, 60_000)) == 1_000
    # What a file may weigh is bounded: features x classes.
    assert minirocket_budget(shaped(2_000, 16, 1_000)) * 1_000 <= 3_000_000
    assert hydra_budget(shaped(2_000, 16, 1_000)) * 1_000 <= 3_000_000
    assert hydra_budget(shaped(100, 100)) == 8_000


def test_a_pool_computes_each_block_once_and_gives_each_set_its_columns() -> None:
    data = example_windows()
    sets = (*feature_sets("statistics+raw", data), FeatureSet("statistics", "level"), FeatureSet("raw", "level"))
    pool = build_pool(sets, data, 0, silent)
    assert [block.kind for block in pool.extractor.blocks] == ["raw", "statistics"]
    both, statistics, raw = (pool[name] for name in ("statistics+raw", "statistics", "raw"))
    assert statistics.features is not None
    assert raw.features is not None
    assert both.features is not None
    assert pool.features.shape[1] == statistics.features.shape[1] + raw.features.shape[1]
    assert np.array_equal(both.features, np.hstack([statistics.features, raw.features]))
    assert np.array_equal(statistics.features, pool.features[:, columns_of(pool.extractor, ["statistics"])])


def test_a_part_of_a_pool_computes_what_the_pool_did() -> None:
    data = example_windows()
    sets = (FeatureSet("minirocket:100", "convolution"), FeatureSet("statistics", "level"))
    pool = build_pool(sets, data, 0, silent)
    extractor, columns = pool.only({"minirocket"})
    assert [block.kind for block in extractor.blocks] == ["minirocket"]
    assert np.allclose(extractor.transform(data.windows), pool.features[:, columns], atol=1e-6)


def test_windows_too_short_for_a_block_are_refused_by_name() -> None:
    data = example_windows(window_length=4)
    with pytest.raises(DatasetError, match=r"X: windows of 4 samples do not do for minirocket"):
        build_pool(feature_sets("minirocket:100", data), data, 0, silent)
