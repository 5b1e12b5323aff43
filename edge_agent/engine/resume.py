"""How far each device is labelled for good, as plain JSON: written by the shell, believed only where it still fits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from edge_agent.engine.device import DeviceKey, Pipeline
from edge_agent.engine.ledger import Account
from signals import WindowSpec
from signals.marks import Carry

Resume = dict[str, dict[str, Any]]
"""Plain JSON, kept by the shell: pipeline -> {"grid": ..., "devices": {device: {"closed_through": 7, "carry": []}}}."""

_MOST_WINDOWS = 2**53
"""No window of a real grid has a larger number; a file that says so is not believed."""


def write_resume(
    pipelines: Iterable[Pipeline], accounts: Iterable[tuple[DeviceKey, Account]], *, whole: bool
) -> Resume:
    """The state of these accounts; ``whole``: with every pipeline, also those of which nothing is told."""
    state: Resume = {pipeline.name: {"grid": grid_of(pipeline.spec), "devices": {}} for pipeline in pipelines}
    for (pipeline, device), account in accounts:
        if account.closed_through is not None:
            carry = None if account.carry is None else [None if mark is None else list(mark) for mark in account.carry]
            state[pipeline]["devices"][device] = {"closed_through": account.closed_through, "carry": carry}
    return state if whole else {name: told for name, told in state.items() if told["devices"]}


def read_resume(resume: Mapping[str, Any], pipelines: Mapping[str, Pipeline]) -> dict[DeviceKey, Account]:
    """What of an earlier state still fits; the rest is passed over, never trusted."""
    earlier: dict[DeviceKey, Account] = {}
    for pipeline, kept in resume.items():
        if pipeline not in pipelines or not isinstance(kept, Mapping):
            continue
        devices = kept.get("devices")
        if kept.get("grid") != grid_of(pipelines[pipeline].spec) or not isinstance(devices, Mapping):
            continue  # another grid numbers its windows differently
        for device, entry in devices.items():
            index = entry.get("closed_through") if isinstance(entry, Mapping) else None
            if isinstance(index, int) and abs(index) < _MOST_WINDOWS:
                carry = _read_carry(entry.get("carry"), len(pipelines[pipeline].spec.channels))
                earlier[(pipeline, str(device))] = Account(index, carry)
    return earlier


def grid_of(spec: WindowSpec) -> str:
    """What must be equal for window numbers to mean the same."""
    return (
        f"{spec.policy} {spec.sampling_rate_hz!r} Hz {spec.window_length}/{spec.hop_length} {','.join(spec.channels)}"
    )


def _read_carry(raw: object, n_channels: int) -> Carry | None:
    if not isinstance(raw, list) or len(raw) != n_channels:
        return None
    try:
        return tuple(None if item is None else (int(item[0]), float(item[1]), float(item[2])) for item in raw)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
