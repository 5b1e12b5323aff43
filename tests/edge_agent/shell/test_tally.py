"""Counts of windows, and the devices that somebody looks at."""

import numpy as np
import pytest

from edge_agent.engine import WindowReady
from edge_agent.shell.tally import MAX_DEVICES, MAX_LATENCIES, MAX_POINTS, Spread, Tally
from signals import ClosedWindow, WindowSpec

SPEC = WindowSpec(("x", "y"), 100.0, 200, 100)


def look_at(
    tally: Tally, device: str, index: int = 0, n_samples: int = 200
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    values = np.arange(400, dtype=np.float32).reshape(2, 200)
    window = ClosedWindow(index, values, n_samples, 1.0, 0.0, (), ())
    tally.window(WindowReady("pump", device, window), SPEC, ("high", "ok", 0.9, 0.1))
    return values


def test_a_bound_belongs_to_the_durations_below_it() -> None:
    spread = Spread((0.1, 1.0))
    for duration_s in (0.05, 0.1, 0.5, 1.0, 1.1):
        spread.add(duration_s)
    assert spread.value.counts == [2, 2, 1]


def test_labels_are_counted_by_pipeline_and_windows_without_one_are_not() -> None:
    tally = Tally()
    tally.windows("pump", SPEC, 7, ["high", "low", None, "high"])
    assert tally.labels["pump"] == {"high": 2, "low": 1}
    assert tally.last_window_s == pytest.approx(9.0)
    tally.windows("pump", SPEC, 3, ["low"])
    assert tally.last_window_s == pytest.approx(9.0)


def test_devices_are_kept_most_recent_first_and_at_most_200() -> None:
    tally = Tally()
    tally.is_watched = True
    for number in range(MAX_DEVICES + 50):
        look_at(tally, f"pump-{number}")
    look_at(tally, "pump-100", index=1, n_samples=100)
    found = tally.look()
    assert len(found) == MAX_DEVICES
    assert [seen.device for seen in found[:2]] == ["pump-100", f"pump-{MAX_DEVICES + 49}"]
    assert (found[0].end_s, found[0].rate_hz) == (3.0, 50.0)


def test_signal_is_the_end_of_the_window_and_a_copy() -> None:
    tally = Tally()
    tally.is_watched = True
    values = look_at(tally, "pump")
    values[:] = -1.0
    (seen,) = tally.look()
    assert seen.signal.shape == (2, MAX_POINTS)
    assert seen.signal[:, -1].tolist() == [199.0, 399.0]


def test_latency_goes_to_the_devices_of_the_burst() -> None:
    tally = Tally()
    tally.is_watched = True
    look_at(tally, "first")
    tally.handed_over(0.002, 1)
    look_at(tally, "second")
    tally.handed_over(0.004, 1)
    assert {seen.device: seen.latency_ms for seen in tally.look()} == {"first": 2.0, "second": 4.0}
    assert list(tally.latencies_ms) == [2.0, 4.0]


def test_nothing_of_a_device_is_kept_once_nobody_looks() -> None:
    tally = Tally()
    tally.is_watched = True
    look_at(tally, "pump")
    tally.is_watched = False
    assert tally.look() == []


def test_what_is_kept_is_bounded_where_nothing_goes_out() -> None:
    tally = Tally()
    tally.is_watched = True
    for number in range(5_000):
        look_at(tally, "pump", index=number)
    tally.handed_over(0.001, 100_000)
    assert len(tally.latencies_ms) == MAX_LATENCIES
    assert len(tally._fresh) <= MAX_LATENCIES
