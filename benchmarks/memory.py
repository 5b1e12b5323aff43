"""Resident memory of an agent with one model, beside the bare libraries with it open; and of each device more.

Of each device more twice: beside a few devices that sent as many messages, so that only the number of devices differs;
and beside a few devices that sent two messages each. Then what any load leaves is in it as well: the labels of the last
seconds, kept for a broker that crashes (about 20,000 at most), and what the burst left in the allocator.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.bench_gateway import bench_gateway, packets_in_turn, skipped_without_broker
from benchmarks.measure import MEBIBYTE, Effort, ratio, spread
from benchmarks.model_file import write_model_files
from benchmarks.startup import REFERENCE, compile_rooms, programs, start
from benchmarks.table import Table
from benchmarks.workload import CHANNELS, HOP_LENGTH, WINDOW_LENGTH

N_DEVICES = (1_000, 10_000)
_FEW = 10
_ROUNDS = 3
_WINDOW_BYTES = len(CHANNELS) * WINDOW_LENGTH * 4


def run(effort: Effort, work: Path) -> list[Table]:
    """The tables of one model and of devices."""
    if skipped := skipped_without_broker():
        return skipped
    compile_rooms()
    models = write_model_files(work, n_devices=6, n_windows=20)
    rounds = effort.at_most(_ROUNDS).repeats
    counts = (_FEW, *(effort.of(n, least=20) for n in N_DEVICES))
    reference, found = list[float](), {n: list[float]() for n in counts}
    as_loaded = {n: list[float]() for n in counts[1:]}
    for _ in range(rounds):
        reference.append(start(programs(models, work)[REFERENCE]).resident_mib)
        for n_devices in counts:
            found[n_devices].append(_resident_mib(n_devices, 2, models.onnx_file, work))
        for n_devices in counts[1:]:
            as_loaded[n_devices].append(_resident_mib(_FEW, 2 * n_devices // _FEW, models.onnx_file, work))
    one = Table(
        "an agent that labels, with one model", ("program", "resident, MiB", "times the libraries with the model open")
    )
    one.add(REFERENCE, spread(reference), ratio(reference, reference))
    one.add(f"edge-agent run, {_FEW} devices", spread(found[_FEW]), ratio(found[_FEW], reference))
    more = Table(
        "each device more",
        ("devices", "resident, MiB", "bytes a device", "above the float32 of its window", "the same, with the load"),
    )
    for n_devices in counts[1:]:
        each = _each_more(found[n_devices], as_loaded[n_devices], n_devices)
        with_load = _each_more(found[n_devices], found[_FEW], n_devices)
        more.add(
            f"{n_devices:,}",
            spread(found[n_devices]),
            spread(each),
            spread([size - _WINDOW_BYTES for size in each]),
            spread([size - _WINDOW_BYTES for size in with_load]),
        )
    more.notes.append(
        f"{len(CHANNELS)} channels of {WINDOW_LENGTH} samples are {_WINDOW_BYTES:,} bytes; two windows overlap, each "
        "device has sent two batches and holds the second in an open one"
    )
    more.notes.append(
        f"beside {_FEW} devices that sent as many messages; with the load: beside {_FEW} devices with two messages each"
    )
    return [one, more]


def _each_more(many: list[float], few: list[float], n_devices: int) -> list[float]:
    """Bytes of a device, round by round."""
    return [(one - other) * MEBIBYTE / (n_devices - _FEW) for one, other in zip(many, few, strict=True)]


def _resident_mib(n_devices: int, n_batches: int, model: Path, work: Path) -> float:
    devices = [f"device-{number:05d}" for number in range(n_devices)]
    name = f"memory-{n_devices}-{n_batches}"
    packets, n_messages = packets_in_turn(work, name, "binary", devices, slice(0, n_batches * HOP_LENGTH))
    with bench_gateway("binary", model, work, "limits.devices=20000", "pipelines.0.deadline_s=600") as gateway:
        gateway.send(packets, n_messages - n_devices)
        return gateway.resident_bytes / MEBIBYTE
