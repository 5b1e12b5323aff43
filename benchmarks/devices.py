"""What a message costs at 10 to 10,000 devices: the same number of messages and of windows, spread over more of them.

Before the clock starts every device has sent three batches and had two labels: what is counted is a fleet at work, one
window a message. Each device then sends as many batches as its class lasts, at 10,000 devices too, so that all counts
have the same share of changes to tell. What a newcomer costs stands apart.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.bench_gateway import bench_gateway, packets_in_turn, skipped_without_broker
from benchmarks.measure import Effort, ratio, spread
from benchmarks.model_file import write_model_files
from benchmarks.table import Table
from benchmarks.workload import FORMS, HOP_LENGTH, Form

N_DEVICES = (10, 100, 1_000, 10_000)
N_MESSAGES = 50_000
_WARM = 3
_ROUNDS = 3
_FORM: Form = "binary"


def run(effort: Effort, work: Path) -> list[Table]:
    """The table of costs."""
    if skipped := skipped_without_broker():
        return skipped
    model = write_model_files(work, n_devices=6, n_windows=20).onnx_file
    counts = [n for n in N_DEVICES if n <= max(100, effort.of(N_DEVICES[-1]))]
    n_messages = max(counts[-1], effort.of(N_MESSAGES))
    found: dict[int, list[float]] = {n: [] for n in counts}
    new: dict[int, list[float]] = {n: [] for n in counts}
    for _ in range(effort.at_most(_ROUNDS).repeats):
        for n_devices in counts:
            first_us, each_us = _cost_us(n_devices, n_messages, model, work)
            found[n_devices].append(each_us)
            new[n_devices].append(first_us)
    table = Table(
        f"CPU of one message, {FORMS[_FORM]}, {n_messages:,} messages, a window each",
        ("devices", "CPU µs/message", "CPU, times that of 100 devices"),
    )
    for n_devices in counts:
        table.add(f"{n_devices:,}", spread(found[n_devices]), ratio(found[n_devices], found[100]))
    newcomers = Table(f"CPU of each of the first {_WARM} messages of a device", ("devices", "CPU µs/message"))
    for n_devices in counts[2:]:
        newcomers.add(f"{n_devices:,}", spread(new[n_devices]))
    newcomers.notes.append("all come at once; their state is made, and two labels and two changes are told of each")
    return [table, newcomers] if newcomers.rows else [table]


def _cost_us(n_devices: int, n_messages: int, model: Path, work: Path) -> tuple[float, float]:
    """Of each of the first messages, and of each after them."""
    devices = [f"device-{number:05d}" for number in range(n_devices)]
    n_each = n_messages // n_devices
    first, n_first = packets_in_turn(work, f"first-{n_devices}", _FORM, devices, slice(0, _WARM * HOP_LENGTH))
    rest, n_rest = packets_in_turn(
        work, f"rest-{n_devices}", _FORM, devices, slice(_WARM * HOP_LENGTH, (n_each + _WARM) * HOP_LENGTH)
    )
    with bench_gateway(_FORM, model, work, "limits.devices=20000", "pipelines.0.deadline_s=600") as gateway:
        first_us = 1e6 * gateway.send(first, n_first - n_devices).total_s / n_first
        return first_us, 1e6 * gateway.send(rest, n_rest).total_s / n_rest
