"""What the delivery promise costs: acknowledged when labelled, beside acknowledged on receipt, in pairs back to back.

Both are the same agent. With ``mqtt.max_unacknowledged = 1`` it holds nothing back: every message is acknowledged in
the turn in which it came, as clients do by default.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.bench_gateway import Spent, bench_gateway, packets_in_turn, skipped_without_broker
from benchmarks.measure import Effort, ratio, spread
from benchmarks.model_file import write_model_files
from benchmarks.table import Table
from benchmarks.workload import FORMS, HOP_LENGTH, N_DEVICES, WINDOW_LENGTH, Form

_HOPS: dict[Form, int] = {"single": 10, "binary": 200}
_PAIRS = 5
_KINDS = {"when labelled": (), "on receipt": ("mqtt.max_unacknowledged=1",)}


def run(effort: Effort, work: Path) -> list[Table]:
    """A table for each form of payload."""
    if skipped := skipped_without_broker():
        return skipped
    model = write_model_files(work, n_devices=6, n_windows=20).onnx_file
    return [_pairs(form, effort, model, work) for form in _HOPS]


def _pairs(form: Form, effort: Effort, model: Path, work: Path) -> Table:
    n_samples = max(WINDOW_LENGTH + HOP_LENGTH, effort.of(_HOPS[form]) * HOP_LENGTH)
    devices = [f"device-{number:02d}" for number in range(N_DEVICES)]
    packets, n_messages = packets_in_turn(work, form, form, devices, slice(0, n_samples))
    n_windows = N_DEVICES * ((n_samples - WINDOW_LENGTH) // HOP_LENGTH + 1)
    found: dict[str, list[Spent]] = {kind: [] for kind in _KINDS}
    for pair in range(effort.at_most(_PAIRS).repeats):
        # Whoever goes first finds the machine in another state: turn about.
        for kind in sorted(_KINDS, reverse=bool(pair % 2)):
            with bench_gateway(form, model, work, *_KINDS[kind]) as gateway:
                found[kind].append(gateway.send(packets, n_windows))
    table = Table(
        f"{FORMS[form]}: {n_messages:,} messages of {N_DEVICES} devices",
        ("acknowledged", "messages/s", "CPU µs/message", "throughput, times on receipt", "CPU, times on receipt"),
    )
    receipt = found["on receipt"]
    for kind, spent in found.items():
        table.add(
            kind,
            spread([n_messages / one.wall_s for one in spent]),
            spread([1e6 * one.total_s / n_messages for one in spent]),
            ratio([1.0 / one.wall_s for one in spent], [1.0 / one.wall_s for one in receipt]),
            ratio([one.total_s for one in spent], [one.total_s for one in receipt]),
        )
    return table
