"""How the JSON messages of one topic are laid out: where samples, channels and time stand."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_agent.init.clocks import read_time
from edge_agent.init.json_leaves import (
    MAX_DEPTH,
    MAX_LEAVES,
    MAX_VECTOR,
    Document,
    is_number,
    leaves,
    path_text,
    rows_of,
)
from edge_agent.init.json_time import TIME_NAMES, TimeFound, find_time
from edge_agent.init.products import is_housekeeping, is_spoken_state, plain
from signals.codecs.json_paths import Steps

_DEVICE_NAMES = frozenset(
    {
        "device",
        "deviceid",
        "devicename",
        "unit",
        "node",
        "nodeid",
        "sensor",
        "sensorid",
        "id",
        "name",
        "mac",
        "src",
        "serial",
    }
)
_ABOUT_THE_DEVICE = frozenset({"battery", "metadata", "wifi", "rxmetadata", "rxinfo", "txinfo", "settings", "update"})


@dataclass(slots=True)
class JsonForm:
    """What the messages of one topic have in common.

    Attributes
    ----------
    rows : str or None
        Path to the array of samples.
    channels : dict
        Path (inside a row, where there are rows) -> some values.
    passed_over : dict
        Path -> why its number is no channel.
    batch : int
        Samples a message, the median.
    time : TimeFound or None
    no_zone : str or None
        Path to a local time without a zone.
    devices : str or None
        Path to a text that names the device, where it differs between messages of this one topic.
    units, names : dict
        Path -> unit, path -> name, where the messages say it.
    problem : str or None
        Why no mapping can read these messages.
    """

    rows: str | None = None
    is_columns: bool = False
    channels: dict[str, list[float]] = field(default_factory=dict)
    passed_over: dict[str, str] = field(default_factory=dict)
    batch: int = 1
    time: TimeFound | None = None
    no_zone: str | None = None
    devices: str | None = None
    units: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    problem: str | None = None


def analyse(documents: Sequence[Document]) -> JsonForm:
    """The layout of the messages of one topic.

    Examples
    --------
    >>> now = 1795219056_000_000_000
    >>> documents = [(now + n * 10**9, {"ts": 1795219056 + n, "acc": {"x": n * 0.5}, "seq": n}) for n in range(4)]
    >>> form = analyse(documents)
    >>> list(form.channels), form.time.path, form.time.unit, list(form.passed_over)
    (['acc.x'], 'ts', 's', ['seq'])
    """
    if _is_senml(documents):
        return _senml(documents)
    form = JsonForm()
    rows = _find_rows(documents)
    if rows is not None:
        form.rows = path_text(rows) or "$"
        samples = [(received, row) for received, document in documents for row in rows_of(document, rows)]
        form.batch = max(1, round(statistics.median(len(rows_of(document, rows)) for _, document in documents)))
    else:
        samples = list(documents)
    _collect_channels(form, samples, allow_columns=rows is None)
    form.time, form.no_zone = find_time(documents, rows, is_columns=form.is_columns, batch=form.batch)
    if form.time is not None:
        form.channels.pop(form.time.path, None)
    _collect_texts(form, documents)
    return form


# ---------------------------------------------------------------------------------------------------------------- rows


def _find_rows(documents: Sequence[Document]) -> Steps | None:
    """The array whose elements are samples: of objects or of arrays, two or more a message, numbers inside."""
    votes: Counter[Steps] = Counter()
    for _, document in documents:
        for steps, array in _arrays(document):
            many = len(array) >= 2 or steps == ()
            if many and all(isinstance(item, dict) for item in array):
                numbers = [path for path, value in leaves(array[0]) if is_number(value)]
                if any(not (path and is_housekeeping(str(path[-1]))) for path in numbers):
                    votes[steps] += 1
            elif many and all(isinstance(item, list) and item and all(map(is_number, item)) for item in array):
                votes[steps] += 1
    if not votes:
        return None
    (steps, count), *_ = votes.most_common(1)
    return steps if count >= len(documents) / 2 else None


def _arrays(value: object, steps: Steps = ()) -> Iterator[tuple[Steps, list[Any]]]:
    if isinstance(value, list) and value and isinstance(value[0], dict | list):
        yield steps, value
    elif isinstance(value, dict) and len(steps) < MAX_DEPTH:
        for key, inner in value.items():
            yield from _arrays(inner, (*steps, key))


# ------------------------------------------------------------------------------------------------------------ channels


def _collect_channels(form: JsonForm, samples: Sequence[Document], *, allow_columns: bool) -> None:
    found: dict[Steps, list[Any]] = {}
    for _, sample in samples:
        for steps, value in leaves(sample):
            if not isinstance(value, str) and (steps in found or len(found) < MAX_LEAVES):
                found.setdefault(steps, []).append(value)
    arrays = {steps: values for steps, values in found.items() if all(isinstance(value, list) for value in values)}
    columns = _columns(arrays) if allow_columns else set()
    if columns:
        form.is_columns = True
        form.batch = max(1, round(statistics.median(len(value) for steps in columns for value in arrays[steps])))
    received = samples[-1][0] if samples else 0
    for steps, values in found.items():
        if steps in columns:
            flat = [float(item) for value in values for item in value[:64] if item is not None]
            _keep(form, steps, flat, values[-1][-1], received)
        elif form.is_columns:
            continue
        elif steps in arrays:
            width = min(len(value) for value in values)
            for position in range(min(width, 16)):
                numbers = [float(value[position]) for value in values if value[position] is not None]
                _keep(form, (*steps, position), numbers, values[-1][position], received)
        else:
            numbers = [value for value in values if is_number(value)]
            if numbers:
                _keep(form, steps, numbers, numbers[-1], received)


def _columns(arrays: dict[Steps, list[list[Any]]]) -> set[Steps]:
    """The arrays that are batches, no vectors: of one length a message, longer than a vector or of changing length."""
    lengths = {steps: [len(value) for value in values] for steps, values in arrays.items()}
    groups = Counter(tuple(sizes) for sizes in lengths.values() if min(sizes) > MAX_VECTOR or len(set(sizes)) > 1)
    if not groups:
        return set()
    (chosen, _), *_ = groups.most_common(1)
    return {steps for steps, sizes in lengths.items() if tuple(sizes) == chosen}


def _keep(form: JsonForm, steps: Steps, values: Sequence[Any], last: object, received: int) -> None:
    path = path_text(steps)
    if path is None:
        return
    name = next((str(step) for step in reversed(steps) if isinstance(step, str)), "")
    if read_time(last, received) is not None or plain(name) in TIME_NAMES - {"t"}:
        return
    if is_housekeeping(name) or any(plain(str(step)) in _ABOUT_THE_DEVICE for step in steps):
        form.passed_over[path] = "of the message or the radio, not of what is measured"
    elif all(isinstance(value, bool) for value in values) and not is_spoken_state(name):
        form.passed_over[path] = "a yes or no that no word explains"
    else:
        form.channels[path] = [float(value) for value in values[:512]]


# ------------------------------------------------------------------------------------------------------ texts and packs


def _collect_texts(form: JsonForm, documents: Sequence[Document]) -> None:
    texts: dict[Steps, set[str]] = {}
    for _, document in documents:
        for steps, value in leaves(document):
            if isinstance(value, str) and len(value) <= 64 and len(texts) < MAX_LEAVES:
                texts.setdefault(steps, set()).add(value)
    for steps, values in texts.items():
        name = plain(str(steps[-1])) if steps else ""
        if name in _DEVICE_NAMES and len(values) > 1 and form.devices is None:
            form.devices = path_text(steps)
        if name in {"tempunit", "pressureunit", "speedunit"} and len(values) == 1:
            quantity = name.removesuffix("unit").replace("temp", "temperature")
            for path in form.channels:
                if quantity in plain(path):
                    form.units[path] = {"C": "Cel", "F": "degF"}.get(min(values), min(values))


def _is_senml(documents: Sequence[Document]) -> bool:
    return all(
        isinstance(document, list)
        and document
        and all(isinstance(record, dict) and ({"n", "bn"} & record.keys()) for record in document)
        for _, document in documents
    )


def _senml(documents: Sequence[Document]) -> JsonForm:
    """RFC 8428, as far as paths reach: each record at its place in the pack, always the same name there."""
    form = JsonForm()
    names = {tuple(str(record.get("n", "")) for record in document) for _, document in documents}
    (first, *others) = names
    if others or len(set(first)) != len(first):
        form.problem = "SenML whose records change their order or repeat: channels by name of a record are not read"
        return form
    for position, name in enumerate(first):
        values = [document[position].get("v") for _, document in documents]
        numbers = [float(value) for value in values if is_number(value)]
        if numbers:
            form.channels[f"[{position}].v"] = numbers
            unit = documents[0][1][position].get("u") or documents[0][1][0].get("bu")
            if isinstance(unit, str):
                form.units[f"[{position}].v"] = unit
            form.names[f"[{position}].v"] = name
    times = [(received, read_time(document[0].get("bt"), received)) for received, document in documents]
    read = [(received, found.t_ns) for received, found in times if found is not None and found.t_ns is not None]
    if len(read) == len(documents) and len({t_ns for _, t_ns in read}) > 1:
        form.time = TimeFound("[0].bt", "s", "first", [], read)
    return form
