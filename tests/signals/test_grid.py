"""Where a time falls on the grid, to the nanosecond and centuries away."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signals.grid import grid_position, grid_positions, nearest_point, nearest_points, point_time_ns, uniform_positions

RATES = [1.0, 50.0, 52.0, 1 / 60, 0.3, 44_100.0, 50_000.0]
TIMES = st.integers(0, 8_000_000_000_000_000_000)


@given(TIMES, st.sampled_from(RATES))
def test_position_equals_exact_arithmetic(t_ns: int, rate_hz: float) -> None:
    exact = Fraction(t_ns, 10**9) * Fraction(rate_hz)
    whole, fraction = grid_position(t_ns, rate_hz)
    assert 0.0 <= fraction < 1.0
    assert abs(float(whole + Fraction(fraction) - exact)) < 1e-4


@given(st.lists(TIMES, min_size=1, max_size=5), st.sampled_from(RATES))
def test_many_positions_equal_one_by_one(times: list[int], rate_hz: float) -> None:
    whole, fraction = grid_positions(np.array(times), rate_hz)
    assert list(zip(whole.tolist(), fraction.tolist(), strict=True)) == [grid_position(t, rate_hz) for t in times]
    points = nearest_points(whole, fraction).tolist()
    assert points == [nearest_point(*grid_position(t, rate_hz)) for t in times]


@pytest.mark.parametrize("rate_hz", RATES)
@pytest.mark.parametrize("point", [0, 1, 7, 10**6, 3 * 10**7, -5])
def test_the_time_of_a_point_falls_on_the_point(point: int, rate_hz: float) -> None:
    assert nearest_point(*grid_position(point_time_ns(point, rate_hz), rate_hz)) == point


def test_a_minute_grid_has_whole_minutes() -> None:
    assert point_time_ns(23_717_871, 1 / 60) == 23_717_871 * 60 * 10**9


@given(TIMES, st.integers(1, 200), st.sampled_from(RATES))
def test_a_batch_at_the_nominal_rate_is_one_run_of_points(t0_ns: int, n: int, rate_hz: float) -> None:
    whole, fraction = uniform_positions(t0_ns, rate_hz, n, rate_hz)
    points = nearest_points(whole, fraction)
    assert points.tolist() == list(range(int(points[0]), int(points[0]) + n))
