"""From bytes to windows in this process, without broker and model: the engine beside the buffer of a script."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.codecs import decoder_of
from benchmarks.measure import Effort, cpu_of_calls, ratio, spread
from benchmarks.plain_script import read
from benchmarks.table import Table
from benchmarks.workload import (
    BATCH_SAMPLES,
    CHANNELS,
    FORMS,
    HOP_LENGTH,
    N_DEVICES,
    SAMPLING_RATE_HZ,
    TOPIC,
    WINDOW_LENGTH,
    Form,
    Load,
)
from edge_agent.engine import Engine, Pipeline, WindowReady
from signals import Block, ClosedWindow, DeviceWindows, FloatArray, WindowSpec

_SAMPLES: dict[Form, int] = {"single": 5 * HOP_LENGTH, "json": 20 * HOP_LENGTH, "binary": 40 * HOP_LENGTH}
Messages = Sequence[tuple[str, bytes]]


def run(effort: Effort, work: Path) -> list[Table]:  # noqa: ARG001 - every benchmark is called alike
    """The table of engines."""
    table = Table(
        "bytes to windows, CPU µs per message",
        ("form", "engine", "of it cutting windows", "by hand", "by hand, times the engine", "windows"),
    )
    for form, title in FORMS.items():
        n_samples = max(WINDOW_LENGTH + HOP_LENGTH, effort.of(_SAMPLES[form] // HOP_LENGTH) * HOP_LENGTH)
        load = Load(form, max(4, effort.of(N_DEVICES)), n_samples)
        messages = load.messages()
        engine, cutting, by_hand = [], [], []
        for _ in range(effort.repeats):
            engine.append(_timed(partial(_engine, load, messages), load))
            blocks = _blocks(load.form, messages)
            cutting.append(_timed(partial(_cut, blocks), load))
            by_hand.append(_timed(partial(_by_hand, load, messages), load))
        table.add(title, spread(engine), spread(cutting), spread(by_hand), ratio(by_hand, engine), load.n_windows)
    table.notes.append(
        "engine: decoding, placing by time, gaps, quality of each window, the account of what may be acknowledged; "
        "by hand: decoding and a buffer that counts samples"
    )
    return [table]


def _timed(work: Callable[[], int], load: Load) -> float:
    """CPU µs per message; the windows are counted, so that nobody saves time by leaving some out."""
    counted = 0

    def counting() -> None:
        nonlocal counted
        counted = work()

    cpu_s = cpu_of_calls(counting)
    if counted != load.n_windows:
        raise RuntimeError(f"{load.form}: {load.n_windows} whole windows expected, got {counted}")
    return 1e6 * cpu_s / load.n_messages


def _spec() -> WindowSpec:
    return WindowSpec(CHANNELS, SAMPLING_RATE_HZ, WINDOW_LENGTH, HOP_LENGTH)


def _engine(load: Load, messages: Messages) -> int:
    engine = Engine([Pipeline("motion", (TOPIC,), decoder_of(load.form), _spec())])
    n_whole = 0
    for number, (topic, payload) in enumerate(messages):
        for event in engine.receive(topic, payload, wall_ns=number, clock_ns=number, number=number):
            if isinstance(event, WindowReady):
                n_whole += event.window.n_samples == WINDOW_LENGTH
                engine.accepted(event.pipeline, event.device, event.window.index)
    if engine.counters.rejected:
        raise RuntimeError(f"{load.form}: no refusals expected, got {dict(engine.counters.rejected)}")
    return n_whole


def _blocks(form: Form, messages: Messages) -> list[Block]:
    decoder = decoder_of(form)
    return [block for topic, payload in messages for block in decoder.decode(topic, payload)]


def _cut(blocks: Sequence[Block]) -> int:
    devices: dict[str, DeviceWindows] = {}
    n_whole = 0
    for number, block in enumerate(blocks):
        device = devices.get(block.device)
        if device is None:
            device = devices[block.device] = DeviceWindows(_spec())
        for closed in device.push(block, wall_ns=number, clock_ns=number):
            n_whole += isinstance(closed, ClosedWindow) and closed.n_samples == WINDOW_LENGTH
    return n_whole


def _by_hand(load: Load, messages: Messages) -> int:
    """The buffer of the script, without its predict."""
    samples: dict[str, FloatArray] = {}
    filled: dict[str, int] = defaultdict(int)
    n_whole = 0
    for topic, payload in messages:
        device = topic.split("/")[1]
        rows, n = read(payload, load.form), filled[device]
        buffer = samples.get(device)
        if buffer is None:
            buffer = samples[device] = np.empty((WINDOW_LENGTH + BATCH_SAMPLES, len(CHANNELS)), np.float32)
        buffer[n : n + len(rows)] = rows
        n += len(rows)
        if n >= WINDOW_LENGTH:
            np.ascontiguousarray(buffer[:WINDOW_LENGTH].T)
            n_whole += 1
            buffer[: n - HOP_LENGTH] = buffer[HOP_LENGTH:n].copy()
            n -= HOP_LENGTH
        filled[device] = n
    return n_whole
