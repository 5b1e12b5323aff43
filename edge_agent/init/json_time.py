"""Where the messages of one topic carry the time of their samples."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

from edge_agent.init.clocks import ReadTime, read_time
from edge_agent.init.json_leaves import MAX_LEAVES, Document, leaves, path_text, rows_of
from edge_agent.init.products import plain
from signals.codecs.json_paths import Steps

TIME_NAMES = frozenset(
    {
        "t",
        "ts",
        "time",
        "timestamp",
        "datetime",
        "date",
        "epoch",
        "lastseen",
        "receivedat",
        "sampledat",
        "createdat",
        "measuredat",
        "utc",
        "timems",
        "timens",
        "unixtime",
        "sampletime",
        "bt",
    }
)


@dataclass(slots=True)
class TimeFound:
    """A path that carries the time of the samples, with what it said: (receipt, time) of each message in ns."""

    path: str
    unit: Literal["iso8601", "s", "ms", "us", "ns"]
    of: Literal["first", "last", "each"]
    inside_ns: list[int] = field(default_factory=list)
    messages_ns: list[tuple[int, int]] = field(default_factory=list)


def find_time(
    documents: Sequence[Document], rows: Steps | None, *, is_columns: bool, batch: int
) -> tuple[TimeFound | None, str | None]:
    """The time of the samples, and the path of a local time without a zone; None where there is no such.

    A time inside each sample comes before one of the message, a path called like a time before others.

    Examples
    --------
    >>> now = 1795219056_000_000_000
    >>> documents = [(now + n * 10**9, {"Time": "2026-11-20T23:57:36", "ts": 1795219056 + n}) for n in range(3)]
    >>> time, no_zone = find_time(documents, None, is_columns=False, batch=1)
    >>> time.path, no_zone
    ('ts', 'Time')
    """
    no_zone: str | None = None
    candidates: dict[tuple[bool, Steps], list[tuple[int, list[ReadTime]]]] = {}
    for index, (received, document) in enumerate(documents):
        for is_inside, steps, values in _time_values(document, rows, is_columns=is_columns):
            read = [known for value in values if (known := read_time(value, received)) is not None]
            if len(read) == len(values) and ((is_inside, steps) in candidates or len(candidates) < MAX_LEAVES):
                candidates.setdefault((is_inside, steps), []).append((index, read))
    best: tuple[tuple[int, ...], TimeFound] | None = None
    for (is_inside, steps), entries in candidates.items():
        path = path_text(steps)
        if path is None or len(entries) < 0.8 * len(documents):
            continue
        if any(one.t_ns is None for _, read in entries for one in read):
            no_zone = no_zone or path
            continue
        if len({one.unit for _, read in entries for one in read}) != 1:
            continue
        found = _time_found(path, entries, documents, batch, is_inside=is_inside)
        times = [t_ns for _, t_ns in found.messages_ns]
        if len(times) > 1 and len(set(times)) == 1:
            continue  # a time that stands still is of something else
        name = next((plain(str(step)) for step in reversed(steps) if isinstance(step, str)), "")
        rank = (int(is_inside), int(name in TIME_NAMES), -len(steps))
        if best is None or rank > best[0]:
            best = (rank, found)
    return (best[1] if best else None), no_zone


def _time_values(document: object, rows: Steps | None, *, is_columns: bool) -> Iterator[tuple[bool, Steps, list[Any]]]:
    if rows is not None:
        inside: dict[Steps, list[Any]] = {}
        samples = rows_of(document, rows)
        for row in samples:
            for steps, value in leaves(row):
                if isinstance(value, list):
                    for position, item in enumerate(value[:16]):
                        inside.setdefault((*steps, position), []).append(item)
                else:
                    inside.setdefault(steps, []).append(value)
        yield from ((True, steps, values) for steps, values in inside.items() if len(values) == len(samples))
        if rows == ():
            return
    for steps, value in leaves(document):
        if rows is not None and steps[: len(rows)] == rows:
            continue
        if isinstance(value, list):
            if is_columns and len(value) > 1 and None not in value:
                yield True, steps, value
        else:
            yield False, steps, [value]


def _time_found(
    path: str, entries: list[tuple[int, list[ReadTime]]], documents: Sequence[Document], batch: int, *, is_inside: bool
) -> TimeFound:
    unit = entries[0][1][0].unit
    all_ns = [[one.t_ns or 0 for one in read] for _, read in entries]
    messages = [(documents[index][0], times[0]) for (index, _), times in zip(entries, all_ns, strict=True)]
    if is_inside:
        steps = [later - earlier for times in all_ns for earlier, later in pairwise(times)]
        return TimeFound(path, unit, "each", steps, messages)
    of: Literal["first", "last"] = "first"
    if batch > 1 and len(messages) > 1:
        spans = [later[1] - earlier[1] for earlier, later in pairwise(messages)]
        lag = statistics.median(received - t_ns for received, t_ns in messages)
        of = "first" if lag >= 0.5 * statistics.median(spans) else "last"
    return TimeFound(path, unit, of, [], messages)
