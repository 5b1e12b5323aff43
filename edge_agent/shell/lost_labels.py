"""Labels that were made and cannot be brought to the broker: gathered into gaps, so that no window goes without a word.

A label was too large for the broker, was refused to the end, or had to make room. Windows that follow each other are
told as one gap, about once a second; while the broker takes nothing, once a minute. What the windows owe stays owed
until their gap is accepted.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import orjson
from pydantic import ValidationError

from edge_agent.shell.captures import CAPTURE_REF
from edge_agent.shell.outgoing import Kind, Outgoing, WindowKey
from schemas import GapEvent, topic_for

TELL_S, TELL_WHILE_AWAY_S = 1.0, 60.0
_MOST_RANGES = 1_000
"""Beyond so many ranges those of a device are told as one, with what lies between them."""


@dataclass(slots=True, eq=False)
class LossNotice(Outgoing):
    """A gap that settles every window in ``keys``, not its last alone."""

    keys: list[WindowKey] = field(default_factory=list)


class LostLabels:
    """Windows whose labels were given up, until they are told.

    Examples
    --------
    >>> lost = LostLabels()
    >>> said = {"gateway": "gw", "device": "d", "pipeline": "p", "model": {"name": "m", "version": "1"}}
    >>> for index in (7, 8):
    ...     window = {"index": index, "start": f"s{index}", "end": f"e{index}"}
    ...     assert lost.add("label", orjson.dumps({**said, "window": window}), ("p", "d", index))
    >>> [gap] = lost.notices(0.0)
    >>> told = GapEvent.model_validate_json(gap.payload)
    >>> told.first_index, told.last_index, told.start, told.end, told.reason, len(gap.keys)
    (7, 8, 's7', 'e8', 'not_published', 2)
    """

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], tuple[GapEvent, list[WindowKey]]] = {}
        self._whole: deque[tuple[GapEvent, list[WindowKey]]] = deque()
        self._next_s = 0.0

    def add(self, kind: Kind, payload: bytes, key: WindowKey | None) -> bool:
        """Whether its windows will be declared: it is a label, a capture or a gap, as this agent writes them.

        Parameters
        ----------
        kind, payload
            Of the message that was given up.
        key : tuple or None
            The window that waits for it.
        """
        gap = _gap_of(kind, payload)
        if gap is None:
            return False
        device = gap.pipeline, gap.device
        before = self._open.get(device)
        if before is None:
            self._open[device] = gap, [] if key is None else [key]
            return True
        earlier, keys = before
        touches = earlier.first_index - 1 <= gap.first_index <= earlier.last_index + 1
        if not touches and len(self._open) + len(self._whole) < _MOST_RANGES:
            self._whole.append(before)
            earlier, keys = gap, []
        if key is not None:
            keys.append(key)
        self._open[device] = _joined(earlier, gap), keys
        return True

    def notices(self, now_s: float, *, is_away: bool = False, all_of_it: bool = False) -> list[LossNotice]:
        """The gaps to publish now, each once; empty where none is due.

        Parameters
        ----------
        now_s : float
        is_away : bool
            The broker takes nothing: more may come that belongs to the same gaps.
        all_of_it : bool
            The agent ends.
        """
        if not self._open or (now_s < self._next_s and not all_of_it):
            return []
        ranges = [*self._whole, *self._open.values()]
        self._whole.clear()
        self._open.clear()
        self._next_s = now_s + (TELL_WHILE_AWAY_S if is_away else TELL_S)
        return [
            LossNotice(
                "gap",
                topic_for("gap", gateway=gap.gateway, device=gap.device),
                gap.model_dump_json(by_alias=True).encode(),
                keys=keys,
            )
            for gap, keys in ranges
        ]


def _joined(one: GapEvent, other: GapEvent) -> GapEvent:
    first, last = min(one, other, key=lambda gap: gap.first_index), max(one, other, key=lambda gap: gap.last_index)
    times = {"first_index": first.first_index, "start": first.start, "last_index": last.last_index, "end": last.end}
    return one.model_copy(update=times)


def _gap_of(kind: Kind, payload: bytes) -> GapEvent | None:
    """The gap that stands for a message; None for one that is no window's, or of another making."""
    try:
        if kind == "gap":
            return GapEvent.model_validate_json(payload)
        if kind not in {"label", "capture"}:
            return None
        said = orjson.loads(payload)
        window = said["window"] if kind == "label" else said
        model = f"{said['model']['name']}@{said['model']['version']}" if kind == "label" else CAPTURE_REF
        return GapEvent(
            gateway=said["gateway"],
            device=said["device"],
            pipeline=said["pipeline"],
            model=model,
            first_index=window["index"],
            last_index=window["index"],
            start=window["start"],
            end=window["end"],
            reason="not_published",
        )
    except (ValidationError, orjson.JSONDecodeError, KeyError, TypeError):
        return None
