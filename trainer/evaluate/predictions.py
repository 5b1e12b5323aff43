"""Label events of a model on a data file, window for window what an agent would publish.

The same code does it: recordings and windows come from `signals`, and so does the verdict. Ready-cut windows of a
model without a sampling rate have no place in time; their events say so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from schemas import ContractError, LabelEvent, ModelCard
from signals import ClosedWindow, IntArray, Recording, WindowSpec, cut, label_event, recordings_from_windows
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
        closed = [window for window in cut(recording, spec, where) if isinstance(window, ClosedWindow)]
        if recording.rows is None:
            batch += [(recording, window, None) for window in closed]
        else:
            batch += _rows(recording, recording.rows, closed, spec)
        while len(batch) >= _BATCH_WINDOWS:
            yield batch[:_BATCH_WINDOWS]
            batch = batch[_BATCH_WINDOWS:]
    if batch:
        yield batch


def _rows(recording: Recording, rows: IntArray, closed: list[ClosedWindow], spec: WindowSpec) -> list[Placed]:
    """The windows that are rows of the file; those that lie across the end of a chain are none."""
    first = recording.first_index or 0
    by_index = {window.index: window for window in closed}
    return [
        (recording, by_index.get(first + at) or _empty(first + at, spec), int(row))
        for at, row in enumerate(rows.tolist())
    ]


def _empty(index: int, spec: WindowSpec) -> ClosedWindow:
    """A row without a single value: no sample touched its window, so the stream code never opened it."""
    return ClosedWindow(
        index=index,
        values=np.full((len(spec.channels), spec.window_length), np.nan, np.float32),
        n_samples=0,
        present=0.0,
        longest_gap_s=spec.window_length / spec.sampling_rate_hz,
        stuck=(),
        clipped=(),
    )


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
