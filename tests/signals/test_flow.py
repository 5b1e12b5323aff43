"""The short way of usual messages gives what the long way gives, for any stream and any chunking."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signals import Block, ClosedWindow, DeviceWindows, SkippedWindows, WindowSpec
from signals.doubt import CLOCK_STEP_S, LEAP_S
from signals.window import Closed

NS = 1_000_000_000
RATES_HZ = [10.0, 7.3, 1.0, 3200.0]


def plain(closed: list[Closed]) -> list[tuple[object, ...]]:
    return [
        (item.index, item.values.tobytes(), item.n_samples, item.present, item.longest_gap_s, item.stuck, item.clipped)
        if isinstance(item, ClosedWindow)
        else (item.first_index, item.last_index, item.reason)
        for item in closed
    ]


def made(**changes: object) -> WindowSpec:
    values: dict[str, object] = {"channels": ("x", "y"), "sampling_rate_hz": 10.0, "window_length": 8, "hop_length": 4}
    return WindowSpec(**(values | changes))  # type: ignore[arg-type]  # a test's keyword arguments


@st.composite
def messages(draw: st.DrawFn) -> tuple[WindowSpec, list[tuple[int, int, int]]]:
    """A spec, and (time of the first sample, number of samples, receipt clock) of each message."""
    rate = draw(st.sampled_from(RATES_HZ))
    spec = made(
        sampling_rate_hz=rate,
        policy=draw(st.sampled_from(["nearest", "nearest", "nearest", "linear", "hold"])),
        max_age_s=5.0 / rate,
        window_length=draw(st.integers(1, 9)),
        hop_length=draw(st.integers(1, 12)),
        deadline_s=draw(st.sampled_from([0.0, 3.0, 20.0])) / rate,
        minimum=draw(st.sampled_from([(), (0.0, None)])),
        maximum=draw(st.sampled_from([(), (None, 3.0)])),
    )
    found, point, clock_ns = [], draw(st.integers(0, 10**6)), 0
    steps = st.sampled_from([0, 0, 0, 0, 0, 0, 1, 3, 40, -2, -9, -3000])
    for _ in range(draw(st.integers(1, 15))):
        count = draw(st.integers(1, 14))
        # just between two points only where the period is a whole number of ns: else rounding the times decides
        jitter = draw(st.sampled_from([0.0, 0.0, 0.0, 0.3, -0.3, 0.5 if (NS / rate).is_integer() else 0.4]))
        found.append((max(0, round((point + jitter) / rate * NS)), count, clock_ns))
        point = max(1, point + count + draw(steps))
        clock_ns += draw(st.sampled_from([0, NS // 10, 4 * NS, 30 * NS]))
    return spec, found


def values_of(sent: list[tuple[int, int, int]], kind: int) -> list[np.ndarray]:
    """Counting, standing still, or random values; one array of shape (2, count) a message."""
    total = sum(count for _, count, _ in sent)
    flat = [np.arange(2 * total), np.full(2 * total, 2), np.random.default_rng(0).integers(0, 3, 2 * total)][kind]
    rows = flat.astype(np.float32).reshape(2, total)
    ends = np.cumsum([0, *(count for _, count, _ in sent)])
    return [rows[:, a:b] for a, b in pairwise(ends.tolist())]


@settings(max_examples=50, deadline=None)
@given(messages(), st.integers(0, 2), st.booleans())
def test_rows_that_flow_give_the_windows_of_samples_that_are_looked_at_one_by_one(
    stream: tuple[WindowSpec, list[tuple[int, int, int]]], kind: int, is_ticking: bool
) -> None:
    spec, sent = stream
    short, blocks, long = DeviceWindows(spec), DeviceWindows(spec), DeviceWindows(spec)
    outs: tuple[list[Closed], list[Closed], list[Closed]] = ([], [], [])
    rate = spec.sampling_rate_hz
    for (t0_ns, count, clock_ns), values in zip(sent, values_of(sent, kind), strict=True):
        t_ns = np.array([t0_ns + round(index * NS / rate) for index in range(count)], dtype=np.int64)
        outs[0].extend(short.extend(t0_ns, values.T.tobytes(), 0, clock_ns))
        outs[1].extend(blocks.push(Block("d", (0, 1), values, t0_ns, rate), wall_ns=0, clock_ns=clock_ns))
        for at in range(count):
            one = Block("d", (0, 1), values[:, at : at + 1], t_ns=t_ns[at : at + 1])
            outs[2].extend(long.push(one, wall_ns=0, clock_ns=clock_ns))
        if is_ticking:
            due = [device.due_ns() for device in (short, blocks, long)]
            assert due[0] == due[1] == due[2]
            for device, out in zip((short, blocks, long), outs, strict=True):
                out.extend(device.advance(clock_ns + NS))
    for device, out in zip((short, blocks, long), outs, strict=True):
        out.extend(device.flush())
    assert plain(outs[0]) == plain(outs[2])
    assert plain(outs[1]) == plain(outs[2])
    assert short.counts == blocks.counts == long.counts
    assert short.newly_touched == blocks.newly_touched == long.newly_touched


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 3)), min_size=1, max_size=30))
def test_samples_without_time_are_counted_alike_on_both_ways(sent: list[tuple[int, int]]) -> None:
    short, long = DeviceWindows(made()), DeviceWindows(made())
    outs: tuple[list[Closed], list[Closed]] = ([], [])
    wall_ns = 5 * NS
    for count, seconds in sent:
        values = np.arange(2 * count, dtype=np.float32).reshape(2, count)
        outs[0].extend(short.extend(None, values.T.tobytes(), wall_ns, 0))
        outs[1].extend(long.push(Block("d", (0, 1), values, None, 10.0), wall_ns=wall_ns, clock_ns=0))
        wall_ns += seconds * NS
    assert plain([*outs[0], *short.flush()]) == plain([*outs[1], *long.flush()])
    assert short.counts == long.counts


@settings(max_examples=60, deadline=None)
@given(messages())
def test_the_clock_closes_nothing_before_a_device_is_due_and_something_or_nothing_at_once_after(
    stream: tuple[WindowSpec, list[tuple[int, int, int]]],
) -> None:
    spec, sent = stream
    device = DeviceWindows(spec)
    for (t0_ns, _, clock_ns), values in zip(sent, values_of(sent, 0), strict=True):
        device.extend(t0_ns, values.T.tobytes(), 0, clock_ns)
    rounds = 0
    while (due_ns := device.due_ns()) is not None:
        assert device.advance(due_ns - 1) == [] or spec.sampling_rate_hz != 10.0
        device.advance(due_ns + int(2 * NS / spec.sampling_rate_hz))
        rounds += 1
        assert rounds < 2000
    assert device.touched == []


def run(device: DeviceWindows, first: int, count: int, clock_ns: int = 0) -> list[Closed]:
    values = np.arange(2 * count, dtype=np.float32)
    return list(device.extend(first * NS // 10, values.tobytes(), 0, clock_ns))


def test_a_hole_does_not_make_every_later_sample_expensive() -> None:
    device = DeviceWindows(made(window_length=100, hop_length=100, deadline_s=1000.0))
    run(device, 0, 50)
    run(device, 51, 60)
    looked_at = device._check_at
    run(device, 111, 1)
    assert device.is_flowing
    assert looked_at == device._check_at == 100 + 10_000


def test_one_message_of_another_time_is_taken_back_at_once() -> None:
    device = DeviceWindows(made(hop_length=8))
    run(device, 800, 20)
    far = run(device, 800 + 60 * 864_000, 1)
    back = run(device, 820, 20)
    windows = [item.index for item in [*far, *back] if isinstance(item, ClosedWindow)]
    assert windows == [102, (800 + 60 * 864_000) // 8, 102, 103, 104]
    gaps = [item for item in [*far, *back] if isinstance(item, SkippedWindows)]
    assert gaps == [SkippedWindows(103, (800 + 60 * 864_000) // 8 - 1, "clock_step")]
    assert device.counts.late == 0
    assert device.counts.clock_steps == 2


def test_two_clocks_under_one_name_do_not_make_it_leap_with_every_message() -> None:
    device = DeviceWindows(made())
    n_events = 0
    for number in range(200):
        n_events += len(run(device, 800 + number, 1)) + len(run(device, 800 + 60 * 864_000 + number, 1))
    assert device.counts.clock_steps <= 4
    assert n_events < 100


@pytest.mark.parametrize("step_s", [3600, -3600, 60 * 86_400, -60 * 86_400, -1_700_000_000])
def test_a_clock_that_is_set_is_followed_and_every_loss_is_declared(step_s: int) -> None:
    device = DeviceWindows(made(hop_length=8))
    start = 17_000_000_000
    closed = run(device, start, 80)
    for second in range(40):
        closed += run(device, start + 80 + 10 * step_s + 10 * second, 10, clock_ns=second * NS)
    counts, n_samples = device.counts, 80 + 400
    after = {item.index for item in closed if isinstance(item, ClosedWindow)}
    declared = [(item.first_index, item.last_index) for item in closed if isinstance(item, SkippedWindows)]
    assert counts.placed + counts.late == 2 * n_samples
    assert counts.late <= 2 * 10 * (CLOCK_STEP_S + 1)
    last_point = start + 80 + 10 * step_s + 399
    assert max(index for index in after if index * 8 <= last_point) >= last_point // 8 - 1
    for point in range(start + 80 + 10 * step_s, last_point - 8, 8):
        assert point // 8 in after or any(first <= point // 8 <= last for first, last in declared)
    assert counts.clock_steps == (1 if step_s < 0 or step_s > LEAP_S else 0)
