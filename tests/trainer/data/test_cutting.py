"""Streams become labelled windows by the code of the gateway; every window that is dropped is counted and said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from signals import ClosedWindow, cut
from trainer.data import (
    CutOptions,
    Source,
    checked_source,
    cut_source,
    drop_empty,
    plan_cut,
    stream_recordings,
    with_classes,
)
from trainer.errors import DatasetError

Arrays = dict[str, NDArray[Any]]


def stream_source(n: int = 64, **changes: NDArray[Any]) -> Source:
    arrays: Arrays = {
        "X": np.stack([np.arange(n), -np.arange(n)], axis=1).astype(np.float32),
        "t": 1000.0 + np.arange(n) / 4.0,
        "y": np.repeat([0, 1], n // 2),
        "run": np.zeros(n, np.int64),
        "classes": np.array(["off", "on"]),
        "channels": np.array(["x", "y"]),
        "fs": np.asarray(4.0),
    }
    return checked_source(Path("stream.npz"), arrays | changes)


def options(**changes: Any) -> CutOptions:
    return CutOptions(**({"window_s": 2.0, "hop_s": 1.0} | changes))


def test_windows_are_those_of_the_gateway() -> None:
    source = stream_source()
    plan = plan_cut(source, options(min_purity=0.01))
    data, _ = cut_source(source, plan)
    closed = [
        w
        for w in cut(stream_recordings(source)[0], plan.spec(("x", "y")))
        if isinstance(w, ClosedWindow) and w.present >= 0.9
    ]
    assert np.array_equal(data.windows, np.stack([window.values for window in closed]))
    assert data.rows.tolist() == [window.index for window in closed]
    assert data.starts.tolist() == [window.index * 4 for window in closed]


def test_the_label_is_the_majority_and_mixed_windows_are_dropped_and_counted() -> None:
    data, remarks = cut_source(stream_source(), plan_cut(stream_source(), options()))
    # 64 samples, windows of 8 every 4: starts 0, 4 .. 56. The label changes at 32: start 28 holds 4 + 4.
    assert (data.starts - 4000).tolist() == [start for start in range(0, 57, 4) if start != 28]
    assert data.class_indices.tolist() == [0] * 7 + [1] * 7
    assert "1 windows dropped, mixed: no label has 80% of the labelled samples" in remarks


def test_the_purity_floor_is_a_share_of_the_labelled_samples() -> None:
    labels = np.repeat([0, 1], 32)
    labels[:3] = -1
    labels[3] = 1
    # The first window: 3 unlabelled, 1 "on", 4 "off": 80 % of the 5 labelled.
    for min_purity, is_kept in ((0.8, True), (0.81, False)):
        source = stream_source(y=labels)
        data, _ = cut_source(source, plan_cut(source, options(min_purity=min_purity)))
        assert (4000 in data.starts.tolist()) is is_kept


def test_mostly_unlabelled_windows_are_dropped_and_counted() -> None:
    labels = np.repeat([0, 1], 32)
    labels[:5] = -1
    source = stream_source(y=labels)
    data, remarks = cut_source(source, plan_cut(source, options()))
    assert 4000 not in data.starts.tolist()
    assert "1 windows dropped, unlabelled: below 50% of samples labelled" in remarks


def test_incomplete_windows_are_dropped_and_counted() -> None:
    values = np.ones((64, 2), np.float32)
    values[8:12] = np.nan
    source = stream_source(X=values)
    data, remarks = cut_source(source, plan_cut(source, options()))
    assert not {4004, 4008} & set(data.starts.tolist())
    # Two in the gap, and the two halves of a window at the ends of the recording.
    assert "4 windows dropped, incomplete: below 90% of values present" in remarks
    kept, _ = cut_source(source, plan_cut(source, options(min_present=0.5)))
    assert {4004, 4008} <= set(kept.starts.tolist())


def test_no_window_holds_samples_of_both_sides_of_a_split() -> None:
    source = stream_source(split=np.repeat([0, 1], [16, 48]))
    data, remarks = cut_source(source, plan_cut(source, options()))
    assert 4012 not in data.starts.tolist()
    assert data.split.tolist() == [int(start >= 4016) for start in data.starts]
    assert "4 windows dropped, incomplete" in "".join(remarks)


def test_channels_are_taken_by_name_in_the_order_asked_for() -> None:
    source = stream_source()
    plan = plan_cut(source, options())
    straight, _ = cut_source(source, plan)
    turned, _ = cut_source(source, plan, ("y", "x"))
    assert turned.channels == ("y", "x")
    assert np.array_equal(turned.windows, straight.windows[:, ::-1])
    with pytest.raises(DatasetError, match="channels: z expected, got x, y"):
        cut_source(source, plan, ("x", "z"))


def test_the_default_window_is_a_quarter_of_the_median_labelled_stretch() -> None:
    for n, length in ((2000, 128), (256, 32), (40, 8)):
        plan = plan_cut(stream_source(n), CutOptions())
        assert (plan.window_length, plan.hop_length) == (length, length // 2)
        assert any(f"windows of {length} samples" in remark for remark in plan.remarks)


def test_test_rows_do_not_set_the_default_window() -> None:
    n = 512
    labels = np.where(np.arange(n) < 256, np.arange(n) // 128, np.arange(n) % 2)
    split = (np.arange(n) >= 256).astype(np.int64)
    assert plan_cut(stream_source(n, y=labels, split=split), CutOptions()).window_length == 32


def test_a_stream_of_unknown_rate_is_refused_unless_a_rate_is_given() -> None:
    source = stream_source(fs=np.asarray(np.nan))
    with pytest.raises(DatasetError, match=r"fs: a known sampling rate"):
        plan_cut(source, CutOptions())
    assert plan_cut(source, CutOptions(sampling_rate_hz=4.0)).sampling_rate_hz == 4.0


def test_a_recording_too_short_for_a_window_is_refused() -> None:
    source = stream_source()
    with pytest.raises(DatasetError, match="fill a window of 400 samples"):
        cut_source(source, plan_cut(source, CutOptions(window_s=100.0)))


@pytest.mark.parametrize("changes", [{"window_s": 0.0}, {"hop_s": -1.0}, {"min_purity": 1.5}, {"min_present": 0.0}])
def test_an_impossible_option_is_refused_by_name(changes: dict[str, float]) -> None:
    with pytest.raises(DatasetError, match=r"--(window|hop|min-purity|min-present): "):
        plan_cut(stream_source(), options(**changes))


def windowed_source(n: int = 6, length: int = 8, hop: int = 4, **changes: NDArray[Any]) -> Source:
    signal = np.random.default_rng(0).standard_normal((2, hop * n + length)).astype(np.float32)
    arrays: Arrays = {
        "X": np.stack([signal[:, start * hop : start * hop + length] for start in range(n)]),
        "y": np.zeros(n, np.int64),
        "classes": np.array(["off", "on"]),
        "channels": np.array(["x", "y"]),
        "fs": np.asarray(4.0),
    }
    return checked_source(Path("windows.npz"), arrays | changes)


def test_the_hop_of_ready_cut_windows_is_found_and_overlaps_are_known() -> None:
    source = windowed_source(y=np.array([0, 0, 0, 1, 1, 1]))
    plan = plan_cut(source, CutOptions())
    data, _ = cut_source(source, plan)
    assert (plan.window_length, plan.hop_length) == (8, 4)
    assert data.recordings.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.starts.tolist() == [0, 4, 8, 0, 4, 8]


def test_windows_that_do_not_overlap_hop_by_their_length() -> None:
    values = np.random.default_rng(1).standard_normal((6, 2, 8)).astype(np.float32)
    data, _ = cut_source(windowed_source(X=values), plan_cut(windowed_source(X=values), CutOptions()))
    assert data.hop_length == 8
    assert len(np.unique(data.recordings)) == 6


def test_another_window_length_is_refused_for_ready_cut_windows() -> None:
    with pytest.raises(DatasetError, match="cut already, to 8 samples"):
        plan_cut(windowed_source(), CutOptions(window_s=4.0))


def test_an_unknown_class_is_refused_only_where_it_labels_a_row() -> None:
    source = windowed_source(y=np.array([0, 0, 0, 0, 1, -1]))
    data, _ = cut_source(source, plan_cut(source, CutOptions()))
    with pytest.raises(DatasetError, match="classes: 'on' label rows to evaluate"):
        with_classes(data, ("idle", "off"))
    known = with_classes(data.take(np.array([0, 1, 5])), ("idle", "off"))
    assert known.class_indices.tolist() == [1, 1, -1]


def test_empty_windows_are_dropped_and_said() -> None:
    values = windowed_source().arrays["X"].copy()
    values[2] = np.nan
    data, _ = cut_source(windowed_source(X=values), plan_cut(windowed_source(X=values), CutOptions()))
    kept, remarks = drop_empty(data)
    assert kept.rows.tolist() == [0, 1, 3, 4, 5]
    assert remarks == ("1 windows dropped, without any value",)


def test_the_digest_sees_values_labels_and_groups_but_not_the_kind_of_nan() -> None:
    source = windowed_source()
    data, _ = cut_source(source, plan_cut(source, CutOptions()))
    one, other = data.windows.copy(), data.windows.copy()
    one[0, 0, 0] = np.nan
    other.view(np.uint32)[0, 0, 0] = 0xFFC00001
    assert np.isnan(other[0, 0, 0])
    assert replace(data, windows=one).sha256() == replace(data, windows=other).sha256()
    digests = {
        data.sha256(),
        replace(data, windows=one).sha256(),
        replace(data, class_indices=data.class_indices + 1).sha256(),
        replace(data, groups=data.groups + 1).sha256(),
    }
    assert len(digests) == 4
