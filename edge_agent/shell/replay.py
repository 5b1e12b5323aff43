"""A recording through the code that runs live: the same windows, the same model, the same label events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orjson

from edge_agent.errors import ModelError, RecordingError
from edge_agent.shell.model import Model
from edge_agent.shell.recordings import read_recordings
from edge_agent.shell.trial import Proofs, load_model
from schemas import ContractError
from signals import ClosedWindow, Recording, WindowSpec, cut, label_event

PIPELINE = "replay"
_BATCH_WINDOWS = 4096


def replay(model_path: Path, recording_path: Path, *, split: str = "all", gateway: str = "replay") -> Iterator[str]:
    """The label events of a recording, one JSON object each, in the order of devices and windows.

    Ready-cut windows: each row of the file gives one event, which also carries ``row``.

    Parameters
    ----------
    model_path, recording_path : Path
    split : str
        ``train``, ``test`` or ``all``.
    gateway : str
        Named in the events.

    Raises
    ------
    ModelError
        If the model cannot be trusted, or classifies windows of unknown rate.
    RecordingError
        If the recording is missing, damaged or does not fit the model.
    """
    model = load_model(model_path, Proofs(None))
    try:
        spec = WindowSpec.from_card(model.card)
    except ValueError as error:
        raise ModelError(model_path.name, str(error)) from error
    for recording in read_recordings(recording_path, model.card, split):
        try:
            closed = [
                window for window in cut(recording, spec, str(recording_path)) if isinstance(window, ClosedWindow)
            ]
        except ContractError as error:
            raise RecordingError(str(recording_path), "; ".join(error.problems)) from error
        windows = [window for window in closed if recording.rows is None or _row(recording, window) is not None]
        for at in range(0, len(windows), _BATCH_WINDOWS):
            yield from _lines(model, spec, recording, windows[at : at + _BATCH_WINDOWS], gateway)


def _lines(
    model: Model, spec: WindowSpec, recording: Recording, windows: list[ClosedWindow], gateway: str
) -> Iterator[str]:
    complete = [window for window in windows if window.present >= spec.min_present]
    answered: dict[int, tuple[list[float], float]] = {}
    if complete:
        found = model.run(np.stack([window.values for window in complete]))
        rows = zip(complete, found.probabilities.tolist(), found.novelty.tolist(), strict=True)
        answered = {window.index: (probabilities, novelty) for window, probabilities, novelty in rows}
    for window in windows:
        probabilities, novelty = answered.get(window.index, (None, None))
        event = label_event(
            model.card,
            model.digest,
            gateway=gateway,
            pipeline=PIPELINE,
            device=recording.device,
            window=window,
            probabilities=probabilities,
            novelty=novelty,
        )
        line = event.model_dump(by_alias=True)
        if recording.rows is not None:
            line["row"] = _row(recording, window)
        yield orjson.dumps(line).decode()


def _row(recording: Recording, window: ClosedWindow) -> int | None:
    """Row of the file that a grid window is; None where it lies across the end of a chain."""
    if recording.rows is None:
        return None
    at = window.index - (recording.first_index or 0)
    return int(recording.rows[at]) if 0 <= at < len(recording.rows) else None
