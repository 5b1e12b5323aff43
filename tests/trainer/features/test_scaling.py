import numpy as np
import pytest

from trainer.features import ChannelScaling, fit_scaling
from trainer.features.scaling import find_axis_groups


def test_the_scale_is_the_standard_deviation_over_all_windows() -> None:
    windows = np.random.default_rng(0).normal(5.0, 2.0, size=(200, 1, 100)).astype(np.float32)
    assert fit_scaling(windows, ["pressure"]).scales[0] == pytest.approx(2.0, rel=0.02)


def test_one_spike_does_not_set_the_scale() -> None:
    windows = np.random.default_rng(0).normal(size=(200, 1, 100)).astype(np.float32)
    calm = fit_scaling(windows, ["pressure"]).scales[0]
    windows[3, 0, 7] = 1e9
    assert fit_scaling(windows, ["pressure"]).scales[0] == pytest.approx(calm, rel=0.01)


def test_rare_events_of_a_signal_that_is_off_do_set_the_scale() -> None:
    windows = np.zeros((100, 1, 100), np.float32)
    windows[0, 0, :5] = 200.0
    assert fit_scaling(windows, ["power"]).scales[0] == pytest.approx(200.0 * np.sqrt(5e-4), rel=0.01)


def test_three_axes_share_the_largest_scale_and_others_keep_theirs() -> None:
    windows = np.random.default_rng(0).normal(size=(50, 4, 64)).astype(np.float32)
    windows *= np.array([1.0, 3.0, 2.0, 7.0], np.float32)[:, None]
    x, y, z, other = fit_scaling(windows, ["gyro_x", "gyro_y", "gyro_z", "current"]).scales
    assert x == y == z == pytest.approx(3.0, rel=0.05)
    assert other == pytest.approx(7.0, rel=0.05)


@pytest.mark.parametrize(("value", "expected"), [(0.0, 1.0), (9.81, 9.81), (-3.0, 3.0), (float("nan"), 1.0)], ids=str)
def test_a_channel_that_never_moved_is_measured_by_its_level(value: float, expected: float) -> None:
    windows = np.full((3, 1, 8), value, np.float32)
    assert fit_scaling(windows, ["supply"]).scales[0] == pytest.approx(expected)


def test_missing_and_infinite_values_do_not_count() -> None:
    windows = np.random.default_rng(0).normal(size=(50, 1, 64)).astype(np.float32)
    clean = fit_scaling(windows, ["a"]).scales[0]
    windows[0, 0, :4] = np.nan
    windows[1, 0, 0] = np.inf
    assert fit_scaling(windows, ["a"]).scales[0] == pytest.approx(clean, rel=0.01)


@pytest.mark.parametrize(
    ("channels", "groups"),
    [
        (["x", "y", "z"], ["|xyz|"]),
        (["acc.X", "acc.Y", "acc.Z"], ["|acc|"]),
        (["a_z", "a_y", "a_x", "b_x", "b_y"], ["|a|"]),
        (["max", "may", "maz"], []),
    ],
)
def test_axes_are_found_by_their_names(channels: list[str], groups: list[str]) -> None:
    assert [group.name for group in find_axis_groups(channels)] == groups


def test_scales_that_cannot_be_divided_by_are_refused() -> None:
    for scales in ((0.0,), (float("nan"),), (-1.0,)):
        with pytest.raises(ValueError, match="finite numbers above 0"):
            ChannelScaling(("a",), scales)
    with pytest.raises(ValueError, match="one per channel expected"):
        ChannelScaling(("a", "b"), (1.0,))
    with pytest.raises(ValueError, match=r"shape \(n_windows, 2, window_length\) expected"):
        fit_scaling(np.zeros((1, 3, 4), np.float32), ["a", "b"])
