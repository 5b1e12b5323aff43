"""The programs of the house, run as a user runs them: processes with arguments in and JSON out."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from demo.errors import DemoError
from schemas import LabelEvent

_FIT_S = 1800.0
_ROOT = Path(__file__).resolve().parent.parent


def environment() -> dict[str, str]:
    """The environment of every program that the demo starts: the packages that we have, and reports to nobody."""
    path = os.pathsep.join(entry for entry in (str(_ROOT), os.environ.get("PYTHONPATH", "")) if entry)
    return {**os.environ, "PYTHONPATH": path, "ORT_DISABLE_TELEMETRY": "1", "PYTHONUNBUFFERED": "1"}


def start(module: str, arguments: Sequence[str], *, stdout: int | None, stderr: int | None) -> subprocess.Popen[bytes]:
    """A started ``python -m module arguments``."""
    return subprocess.Popen([sys.executable, "-m", module, *arguments], env=environment(), stdout=stdout, stderr=stderr)


def run(module: str, arguments: Sequence[str]) -> bytes:
    """What ``python -m module arguments`` printed.

    Raises
    ------
    DemoError
        If it did not end with 0; the message carries its last line.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            env=environment(),
            capture_output=True,
            check=False,
            timeout=_FIT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise DemoError(f"{module} {arguments[0]}: an end within {_FIT_S:.0f} s expected") from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip() or done.stdout.decode(errors="replace").strip()
        last = said.splitlines()[-1] if said else "it said nothing"
        raise DemoError(f"{module} {arguments[0]}: exit code 0 expected, got {done.returncode}: {last}")
    return done.stdout


def label_events(module: str, arguments: Sequence[str]) -> dict[str, LabelEvent]:
    """The labels that ``edge-agent replay`` or ``trainer predict`` printed, by id.

    Raises
    ------
    DemoError
        If the program failed, or printed an id twice.
    """
    events: dict[str, LabelEvent] = {}
    for line in run(module, arguments).splitlines():
        if not line.strip():
            continue
        event = LabelEvent.model_validate_json(line)
        if event.id in events:
            raise DemoError(f"{module} {arguments[0]}: one label a window expected, got {event.id} twice")
        events[event.id] = event
    return events


def differences(expected: dict[str, LabelEvent], got: dict[str, LabelEvent], *, tolerance: float = 2e-6) -> list[str]:
    """One line for every window on which two sources disagree: missing, or another label, state or probability.

    Parameters
    ----------
    expected, got : dict of str to LabelEvent
        By id. Ids that are only in ``got`` are not looked at.
    tolerance : float
        Largest difference of a probability: they are rounded to six digits, and the order in which a batch is summed
        may show in the last one.
    """
    found = []
    for label_id, event in expected.items():
        other = got.get(label_id)
        if other is None:
            found.append(f"{label_id}: a label expected, got none")
        elif (event.label, event.state) != (other.label, other.state):
            found.append(f"{label_id}: {event.label} ({event.state}) expected, got {other.label} ({other.state})")
        elif event.probabilities and other.probabilities:
            apart = max(abs(share - other.probabilities[name]) for name, share in event.probabilities.items())
            if apart > tolerance:
                found.append(f"{label_id}: equal probabilities expected, got a difference of {apart:.1e}")
    return found
