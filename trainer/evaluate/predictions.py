"""Label events of a model on a data file, window for window what an agent would publish.

The same code does it: recordings and windows come from `signals`, and so does the verdict. Ready-cut windows of a
model without a sampling rate have no place in time; their events say so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from schemas import ContractError, LabelEvent, ModelCard
from signals import ClosedWindow, Recording, WindowSpec, cut, label_event, recordings_from_windows
from trainer.data import Source, stream_recordings
from trainer.errors import DatasetError
from trainer.evaluate.model import SplitChoice, check_fit
from trainer.export import LoadedModel

GATEWAY = "trainer"
PIPELINE = "predict"
NO_TIME = "unknown"
"""Start and end of a window whose sampling rate nobody knows."""

_BATCH_WINDOWS = 4096
_SPLITS = {"train": 0, "test": 1}


def predictions(model: LoadedModel, source: Source, split: SplitChoice) -> Iterator[dict[str, Any]]:
    """One label event (as JSON values) a window, in the order of devices and windows; with ``row`` for windowed files.

    Raises
    ------
    DatasetError
        If the source does not fit the model, or has no rows of the split.
    """
    card = model.card
    check_fit(source, card)
    recordings = _recordings(source, card)
    if split != "all":
        recordings = [recording for recording in recordings if recording.split == _SPLITS[split]]
        if not recordings:
            raise DatasetError(f"{source.path}: split: rows for {split!r} expected, got none; try --split all")
    spec = _spec(card)
    for batch in _batches(recordings, spec, source.name):
        yield from _events(model, batch, spec)


def _spec(card: ModelCard) -> WindowSpec:
    """The window specification of the card; where it has no rate, of its windows at one sample a second."""
    return WindowSpec.from_card(card if card.sampling_rate_hz else card.model_copy(update={"sampling_rate_hz": 1.0}))


def _recordings(source: Source, card: ModelCard) -> list[Recording]:
    if source.kind == "stream":
        return stream_recordings(source)
    rate = card.sampling_rate_hz or 1.0
    try:
        return recordings_from_windows(source.arrays, source.name, hop_length=card.hop_length, sampling_rate_hz=rate)
    except ContractError as error:
        raise DatasetError(str(error)) from error


Placed = tuple[Recording, ClosedWindow, int | None]
"""A window, the recording it was cut from, and its row in a windowed file."""


def _batches(recordings: list[Recording], spec: WindowSpec, where: str) -> Iterator[list[Placed]]:
    batch: list[Placed] = []
    for recording in recordings:
        for window in cut(recording, spec, where):
            if not isinstance(window, ClosedWindow):
                continue
            row = _row(recording, window)
            # Windows that lie across the end of a chain are no rows of the file.
            if recording.rows is None or row is not None:
                batch.append((recording, window, row))
        while len(batch) >= _BATCH_WINDOWS:
            yield batch[:_BATCH_WINDOWS]
            batch = batch[_BATCH_WINDOWS:]
    if batch:
        yield batch


def _row(recording: Recording, window: ClosedWindow) -> int | None:
    if recording.rows is None:
        return None
    at = window.index - (recording.first_index or 0)
    return int(recording.rows[at]) if 0 <= at < len(recording.rows) else None


def _events(model: LoadedModel, batch: list[Placed], spec: WindowSpec) -> Iterator[dict[str, Any]]:
    complete = [window.present >= spec.min_present for _, window, _ in batch]
    answers: Iterator[tuple[list[float], float]] = iter(())
    if any(complete):
        chosen = [window.values for (_, window, _), is_complete in zip(batch, complete, strict=True) if is_complete]
        found = model.run(np.stack(chosen))
        answers = iter(zip(found.probabilities.tolist(), found.novelty.tolist(), strict=True))
    for (recording, window, row), is_complete in zip(batch, complete, strict=True):
        probabilities, novelty = next(answers) if is_complete else (None, None)
        yield _event(model, recording, window, row=row, probabilities=probabilities, novelty=novelty)


def _event(
    model: LoadedModel,
    recording: Recording,
    window: ClosedWindow,
    *,
    row: int | None,
    probabilities: list[float] | None,
    novelty: float | None,
) -> dict[str, Any]:
    card = model.card
    has_time = card.sampling_rate_hz is not None
    event: LabelEvent = label_event(
        card if has_time else card.model_copy(update={"sampling_rate_hz": 1.0}),
        model.digest,
        gateway=GATEWAY,
        pipeline=PIPELINE,
        device=recording.device,
        window=window,
        probabilities=probabilities,
        novelty=novelty,
    )
    line = event.model_dump(mode="json", by_alias=True)
    if not has_time:
        line["ts"] = line["window"]["start"] = line["window"]["end"] = NO_TIME
    if recording.rows is not None:
        line["row"] = row
    return line
