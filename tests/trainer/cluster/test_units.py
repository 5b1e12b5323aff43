"""What stays whole while resampling: people, recordings, overlapping windows."""

from dataclasses import replace

import numpy as np
import pytest

from trainer.cluster.units import random_halves, resampling_units, spaced_rows
from trainer.data import overlapping
from trainer.data.examples import example_windows


def test_groups_stay_whole_and_unknown_ones_stand_for_their_recording() -> None:
    data = example_windows(n_recordings=4, windows_per_recording=3)
    groups = np.array([5] * 6 + [-1] * 6)
    units, kind = resampling_units(replace(data, groups=groups, group_key="person"))
    assert units.tolist() == [0] * 6 + [1] * 3 + [2] * 3
    assert kind == "person"


def test_without_groups_recordings_stay_whole_and_one_recording_falls_into_blocks_of_time() -> None:
    data = replace(example_windows(n_recordings=3), group_key=None)
    assert resampling_units(data)[1] == "recording"
    single = replace(example_windows(n_recordings=1, windows_per_recording=40), group_key=None)
    units, kind = resampling_units(single)
    assert kind == "block of time"
    assert (np.diff(units) >= 0).all()
    assert units.max() == 4
    assert np.bincount(units).tolist() == [8] * 5
    loose = replace(single, recordings=np.arange(40))
    assert resampling_units(loose)[1] == "window"


@pytest.mark.parametrize("n_recordings", [1, 5])
def test_halves_share_no_unit_and_no_sample(n_recordings: int) -> None:
    data = example_windows(n_recordings=n_recordings, windows_per_recording=80 // n_recordings)
    units, _ = resampling_units(data)
    halves = list(random_halves(data, units, 20, np.random.default_rng(0)))
    assert len(halves) == 20
    for first, second in halves:
        assert not set(units[first]) & set(units[second])
        in_first = np.zeros(len(data), bool)
        in_first[first] = True
        assert not overlapping(data, in_first)[second].any()
        assert len(first) > 0.3 * len(data)
        # Of one recording the neighbours of the first half are left out.
        assert len(second) > 0.2 * len(data)
    assert len({tuple(first.tolist()) for first, _ in halves}) > 5  # halves that never change would prove nothing


def test_one_unit_cannot_be_halved() -> None:
    data = example_windows(n_recordings=2)
    assert list(random_halves(data, np.zeros(len(data), np.int64), 5, np.random.default_rng(0))) == []


def test_spaced_windows_share_no_samples_whatever_their_order() -> None:
    data = example_windows(n_recordings=3, windows_per_recording=9)
    data = data.take(np.random.default_rng(0).permutation(len(data)))
    rows = spaced_rows(data, 100, np.random.default_rng(0))
    assert len(rows) == 15  # of 9 windows that overlap by half, 5
    chosen = data.take(rows)
    for row in range(len(chosen)):
        alone = np.zeros(len(chosen), bool)
        alone[row] = True
        assert overlapping(chosen, alone).sum() == 1
    assert len(spaced_rows(data, 4, np.random.default_rng(0))) == 4
