"""Windows of one device: what a message flowing through relies on."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signals import Block, ClosedWindow, DeviceWindows, SkippedWindows, WindowSpec
from signals.doubt import CLOCK_STEP_S
from signals.window import Closed

NS = 1_000_000_000


def spec(**changes: object) -> WindowSpec:
    values: dict[str, object] = {
        "channels": ("x", "y"),
        "sampling_rate_hz": 10.0,
        "window_length": 8,
        "hop_length": 4,
        "deadline_s": 1.0,
    }
    return WindowSpec(**(values | changes))  # type: ignore[arg-type]  # a test's keyword arguments


def block(points: list[float] | np.ndarray, values: np.ndarray, rate_hz: float = 10.0) -> Block:
    t_ns = np.rint(np.asarray(points, dtype=np.float64) / rate_hz * NS).astype(np.int64)
    return Block("d", tuple(range(len(values))), values.astype(np.float32), t_ns=t_ns)


def sample(point: float, values: np.ndarray, rate_hz: float = 10.0) -> Block:
    """One sample with a time of its own, as a message that carries no batch."""
    return Block("d", tuple(range(len(values))), values.astype(np.float32)[:, None], t0_ns=round(point / rate_hz * NS))


def signal(points: np.ndarray) -> np.ndarray:
    return np.stack([points, 1000.0 + points]).astype(np.float32)


def push_all(device: DeviceWindows, blocks: list[Block], clock_ns: int = 0) -> list[Closed]:
    out: list[Closed] = []
    for item in blocks:
        out += device.push(item, wall_ns=0, clock_ns=clock_ns)
    return out


def as_plain(closed: list[Closed]) -> list[tuple[object, ...]]:
    """Comparable form; NaN equals NaN."""
    return [
        (item.index, item.values.tobytes(), item.n_samples, round(item.present, 9), item.longest_gap_s, item.stuck)
        if isinstance(item, ClosedWindow)
        else (item.first_index, item.last_index, item.reason)
        for item in closed
    ]


def test_grid_is_anchored_to_the_epoch_so_a_later_start_gives_the_same_windows() -> None:
    points = np.arange(100, 160)
    early = push_all(DeviceWindows(spec()), [block(points, signal(points))])
    late = push_all(DeviceWindows(spec()), [block(points[12:], signal(points[12:]))])
    tail = {item.index: item for item in late if isinstance(item, ClosedWindow)}
    assert len(early) > 10
    for item in early:
        assert isinstance(item, ClosedWindow)
        if item.index * 4 >= 112:
            assert tail[item.index].values.tobytes() == item.values.tobytes()
            assert item.values[0].tolist() == list(range(item.index * 4, item.index * 4 + 8))


def test_every_touched_window_closes_exactly_once_and_in_order() -> None:
    points = np.array([3, 4, 5, 30, 31, 90])
    device = DeviceWindows(spec())
    closed = push_all(device, [block(points, signal(points))]) + device.flush()
    windows = [item.index for item in closed if isinstance(item, ClosedWindow)]
    gaps = [(item.first_index, item.last_index) for item in closed if isinstance(item, SkippedWindows)]
    touched = sorted({k for p in points.tolist() for k in range(-((7 - p) // 4), p // 4 + 1)})
    assert windows == touched
    skipped = [k for first, last in gaps for k in range(first, last + 1)]
    assert sorted(windows + skipped) == list(range(touched[0], touched[-1] + 1))


@st.composite
def streams(draw: st.DrawFn) -> tuple[WindowSpec, np.ndarray, np.ndarray, list[int]]:
    policy = draw(st.sampled_from(["nearest", "linear", "hold"]))
    length = draw(st.integers(1, 9))
    made = spec(
        policy=policy,
        window_length=length,
        hop_length=draw(st.integers(1, 12)),
        max_age_s=draw(st.sampled_from([0.3, 1.0, 5.0])),
        deadline_s=draw(st.sampled_from([0.0, 0.5, 2.0])),
    )
    n = draw(st.integers(1, 60))
    steps = draw(
        st.lists(st.sampled_from([1.0, 1.0, 1.0, 1.0, 0.5, 2.0, 7.0, 0.0, -1.0, -3.0, 40.0]), min_size=n, max_size=n)
    )
    jitter = draw(st.lists(st.floats(-0.3, 0.3), min_size=n, max_size=n))
    points = 500.0 + np.cumsum(steps) + np.array(jitter)
    values = np.stack([np.arange(n), 1000.0 - np.arange(n)]).astype(np.float32)
    holes = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    values[1, np.array(holes) & (np.arange(n) % 3 == 0)] = np.nan
    cuts = sorted(set(draw(st.lists(st.integers(0, n), max_size=12))) | {0, n})
    return made, points, values, cuts


@settings(max_examples=150, deadline=None)
@given(streams())
def test_how_the_stream_was_cut_into_messages_never_shows(
    stream: tuple[WindowSpec, np.ndarray, np.ndarray, list[int]],
) -> None:
    made, points, values, cuts = stream
    whole, pieces, single = DeviceWindows(made), DeviceWindows(made), DeviceWindows(made)
    at_once = push_all(whole, [block(points, values)]) + whole.flush()
    chunks = [block(points[a:b], values[:, a:b]) for a, b in pairwise(cuts) if b > a]
    in_pieces = push_all(pieces, chunks) + pieces.flush()
    one_by_one = push_all(single, [sample(points[i], values[:, i]) for i in range(len(points))]) + single.flush()
    assert as_plain(at_once) == as_plain(in_pieces) == as_plain(one_by_one)


@settings(max_examples=100, deadline=None)
@given(streams())
def test_touched_windows_are_never_lost_and_indices_rise(
    stream: tuple[WindowSpec, np.ndarray, np.ndarray, list[int]],
) -> None:
    made, points, values, _ = stream
    device = DeviceWindows(made)
    closed: list[Closed] = []
    touched: set[int] = set()
    for i in range(len(points)):
        closed += device.push(block(points[i : i + 1], values[:, i : i + 1]), wall_ns=0, clock_ns=0)
        touched |= set(device.newly_touched)
        device.newly_touched.clear()
    closed += device.flush()
    windows = [item.index for item in closed if isinstance(item, ClosedWindow)]
    assert windows == sorted(set(windows))
    assert touched <= set(windows)
    last = -(10**9)
    for item in closed:
        first, end = (item.index, item.index) if isinstance(item, ClosedWindow) else (item.first_index, item.last_index)
        assert last < first <= end
        last = end


@settings(max_examples=100, deadline=None)
@given(st.permutations(list(range(24))), st.integers(1, 5))
def test_reordering_within_the_deadline_never_shows(order: list[int], scale: int) -> None:
    made = spec(deadline_s=100.0, window_length=6, hop_length=3)
    points = np.arange(24) * 1.0 + 60
    values = signal(points) * scale
    straight, mixed = DeviceWindows(made), DeviceWindows(made)
    # the first sample decides where the device begins, so it stays first
    order = [0, *[i for i in order if i]]
    expected = push_all(straight, [block(points, values)]) + straight.flush()
    shuffled = [block(points[i : i + 1], values[:, i : i + 1]) for i in order]
    assert as_plain(push_all(mixed, shuffled) + mixed.flush()) == as_plain(expected)


def test_channels_in_messages_of_their_own_fill_one_window() -> None:
    device = DeviceWindows(spec(window_length=4, hop_length=4))
    t_ns = np.arange(4, dtype=np.int64) * 100_000_000
    first = Block("d", (1,), np.array([[5, 6, 7, 8]], dtype=np.float32), t_ns=t_ns)
    second = Block("d", (0,), np.array([[1, 2, 3, 4]], dtype=np.float32), t_ns=t_ns)
    assert device.push(first, wall_ns=0, clock_ns=0) == []
    (window,) = device.push(second, wall_ns=0, clock_ns=0)
    assert isinstance(window, ClosedWindow)
    assert window.values.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]


def test_late_and_duplicate_samples_are_counted_and_change_nothing() -> None:
    device = DeviceWindows(spec(window_length=4, hop_length=4))
    points = np.arange(6.0)
    closed = push_all(
        device,
        [
            block(points, signal(points)),
            block(points[4:], signal(points[4:]) * 9),
            block(points[:2], signal(points[:2])),
        ],
    )
    closed += push_all(device, [block(np.array([6.0, 7.0]), signal(np.array([6.0, 7.0])))])
    last = closed[-1]
    assert isinstance(last, ClosedWindow)
    assert last.values[0].tolist() == [4, 5, 6, 7]
    assert device.counts.duplicate == 4
    assert device.counts.late == 4


def test_a_window_with_a_hole_closes_when_the_device_has_passed_its_deadline() -> None:
    device = DeviceWindows(spec(window_length=4, hop_length=4, deadline_s=0.5))
    points = np.array([0.0, 1, 3, 4, 5, 6, 7])
    closed = push_all(device, [block(points, signal(points))])
    assert closed == []
    assert push_all(device, [block(np.array([8.0]), signal(np.array([8.0])))]) == []
    more = push_all(device, [block(np.array([9.0]), signal(np.array([9.0])))])
    first, second = more
    assert isinstance(first, ClosedWindow)
    assert isinstance(second, ClosedWindow)
    assert (first.index, first.n_samples, first.present, first.longest_gap_s) == (0, 3, 0.75, 0.1)
    assert (second.index, second.present) == (1, 1.0)


def test_a_silent_device_is_closed_by_the_receipt_clock_and_not_before() -> None:
    device = DeviceWindows(spec(window_length=4, hop_length=4, deadline_s=0.5))
    points = np.array([0.0, 1.0])
    push_all(device, [block(points, signal(points))], clock_ns=7 * NS)
    assert device.advance(7 * NS + 600_000_000) == []
    (window,) = device.advance(7 * NS + 800_000_000)
    assert isinstance(window, ClosedWindow)
    assert window.present == 0.5
    assert device.advance(70 * NS) == []


def test_a_touched_window_behind_a_gap_is_closed_by_the_clock_too() -> None:
    device = DeviceWindows(spec(window_length=4, hop_length=4, deadline_s=10.0))
    points = np.array([0.0, 1.0, 21.0])
    push_all(device, [block(points, signal(points))])
    closed = device.advance(100 * NS)
    assert [item.index for item in closed if isinstance(item, ClosedWindow)] == [0, 5]
    assert [(item.first_index, item.last_index) for item in closed if isinstance(item, SkippedWindows)] == [(1, 4)]


def test_a_far_timestamp_declares_one_range_and_memory_stays_bounded() -> None:
    device = DeviceWindows(spec())
    points = np.array([0.0, 1.0, 2.0, 1e9])
    closed = push_all(device, [block(points, signal(points))]) + device.flush()
    assert len([item for item in closed if isinstance(item, SkippedWindows)]) == 1
    assert len(closed) < 8


def test_a_device_that_sets_its_clock_back_is_heard_again() -> None:
    device = DeviceWindows(spec(window_length=4, hop_length=4))
    ahead = np.arange(4000.0, 4010.0)
    push_all(device, [block(ahead, signal(ahead))])
    behind = np.arange(0.0, 8.0)
    patience = int(CLOCK_STEP_S * NS)
    assert push_all(device, [block(behind, signal(behind))], clock_ns=0) == []
    again = np.arange(200.0, 208.0)
    closed = push_all(device, [block(again, signal(again))], clock_ns=patience)
    assert [item.index for item in closed if isinstance(item, ClosedWindow)][-2:] == [50, 51]
    assert [(item.first_index, item.last_index) for item in closed if isinstance(item, SkippedWindows)] == [(0, 49)]
    assert device.counts.clock_steps == 1


def test_after_a_restart_the_windows_between_are_declared_and_the_labelled_ones_are_not_repeated() -> None:
    points = np.arange(0.0, 24.0)
    device = DeviceWindows(spec(window_length=4, hop_length=4), closed_through=2)
    closed = push_all(device, [block(points, signal(points))])
    assert [item.index for item in closed if isinstance(item, ClosedWindow)] == [3, 4, 5]
    later = DeviceWindows(spec(window_length=4, hop_length=4), closed_through=2)
    far = points + 40
    closed = push_all(later, [block(far, signal(far))])
    assert closed[0] == SkippedWindows(3, 9, "restart")


def test_linear_puts_another_rate_on_the_grid_and_bridges_no_long_gap() -> None:
    made = spec(channels=("x",), policy="linear", max_age_s=0.5, window_length=10, hop_length=10)
    device = DeviceWindows(made)
    points = np.concatenate([np.arange(0, 12, 1.7), np.arange(20, 31, 1.7)])
    closed = push_all(device, [block(points, points[None])]) + device.flush()
    first, second = closed[0], closed[1]
    assert isinstance(first, ClosedWindow)
    assert isinstance(second, ClosedWindow)
    np.testing.assert_allclose(first.values[0], np.arange(10), atol=1e-5)
    assert np.isnan(second.values[0, 3:9]).all()


def test_hold_keeps_the_last_value_across_windows_until_it_is_too_old() -> None:
    made = spec(channels=("x",), policy="hold", max_age_s=2.0, window_length=10, hop_length=10, deadline_s=0.0)
    device = DeviceWindows(made)
    closed = push_all(device, [block(np.array([3.0, 5.5]), np.array([[7.0, 8.0]]))])
    closed += device.advance(10 * NS)
    windows = [item for item in closed if isinstance(item, ClosedWindow)]
    assert [item.index for item in windows] == [0, 1, 2]
    assert np.isnan(windows[0].values[0, :3]).all()
    assert windows[0].values[0, 3:].tolist() == [7, 7, 7, 8, 8, 8, 8]
    assert windows[1].values[0].tolist() == [8.0] * 10
    assert windows[2].values[0, :6].tolist() == [8.0] * 6
    assert np.isnan(windows[2].values[0, 6:]).all()
    assert device.advance(1000 * NS) == []


def test_what_a_hold_window_carries_continues_it_after_a_restart() -> None:
    made = spec(channels=("x",), policy="hold", max_age_s=100.0, window_length=10, hop_length=10, deadline_s=0.0)
    first = DeviceWindows(made)
    (window,) = push_all(first, [block(np.array([2.0, 10.0]), np.array([[5.0, 6.0]]))])
    assert isinstance(window, ClosedWindow)
    second = DeviceWindows(made, closed_through=window.index, carried=window.carry)
    (resumed,) = push_all(second, [block(np.array([13.0, 21.0]), np.array([[6.0, 9.0]]))])
    assert isinstance(resumed, ClosedWindow)
    assert resumed.values[0].tolist() == [5.0] * 3 + [6.0] * 7


def test_one_nan_sample_touches_nothing() -> None:
    device = DeviceWindows(spec())
    assert device.push(block(np.array([0.0]), np.full((2, 1), np.nan)), wall_ns=0, clock_ns=0) == []
    assert device.flush() == []


def test_memory_stays_flat_on_a_long_stream_with_holes() -> None:
    device = DeviceWindows(spec(deadline_s=3.0))
    rng = np.random.default_rng(0)
    sizes = set()
    for start in range(0, 200_000, 1000):
        points = np.arange(start, start + 1000)[rng.random(1000) < 0.9].astype(np.float64)
        device.push(block(points, signal(points)), wall_ns=0, clock_ns=0)
        device.newly_touched.clear()
        sizes.add(device.n_held)
    assert min(sizes) > 0
    assert max(sizes) <= 4 * (8 + 4 + 30 + 1)


def test_stream_without_time_is_counted_from_first_receipt() -> None:
    device = DeviceWindows(spec(window_length=4, hop_length=4))
    item = Block("d", (0, 1), signal(np.arange(4.0)), rate_hz=10.0)
    windows = device.push(item, wall_ns=40 * NS, clock_ns=0) + device.push(
        item, wall_ns=40 * NS + 450_000_000, clock_ns=0
    )
    assert [window.index for window in windows if isinstance(window, ClosedWindow)] == [100, 101]
    device.push(item, wall_ns=99 * NS, clock_ns=0)
    assert device.counts.reanchored == 1


@pytest.mark.parametrize("half", [0.5, 0.5 - 1e-9, 0.5 + 1e-9])
def test_a_device_half_a_period_off_never_doubles_a_grid_point(half: float) -> None:
    device = DeviceWindows(spec(window_length=4, hop_length=4))
    points = np.arange(0.0, 40.0) + half
    closed = push_all(device, [block(points, signal(points))])
    assert device.counts.duplicate == 0
    assert all(isinstance(item, ClosedWindow) and item.present == 1.0 for item in closed[1:])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-3, 12), st.integers(1, 9)), min_size=1, max_size=20),
    st.integers(1, 6),
    st.integers(1, 8),
)
def test_a_batch_at_the_nominal_rate_is_the_same_as_its_samples(
    batches: list[tuple[int, int]], hop_length: int, window_length: int
) -> None:
    made = spec(window_length=window_length, hop_length=hop_length, deadline_s=0.3)
    runs, timed = DeviceWindows(made), DeviceWindows(made)
    at = 100
    first: list[Closed] = []
    second: list[Closed] = []
    for step, count in batches:
        at += step
        points = np.arange(at, at + count)
        run = Block("d", (0, 1), signal(points), t0_ns=round(at / 10.0 * NS), rate_hz=10.0)
        first += runs.push(run, wall_ns=0, clock_ns=0)
        second += timed.push(block(points, signal(points)), wall_ns=0, clock_ns=0)
        at += count
    assert as_plain(first + runs.flush()) == as_plain(second + timed.flush())
    assert runs.counts == timed.counts


def test_the_first_window_of_a_device_does_not_wait_for_what_came_before_it() -> None:
    device = DeviceWindows(spec(window_length=8, hop_length=4, deadline_s=100.0))
    points = np.arange(6.0, 20.0)
    closed = push_all(device, [block(points, signal(points))])
    assert [(item.index, item.present) for item in closed if isinstance(item, ClosedWindow)] == [
        (0, 0.25),
        (1, 0.75),
        (2, 1.0),
        (3, 1.0),
    ]
