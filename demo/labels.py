"""The labels that arrived, each under its gateway and id, and when; nothing is judged here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from pydantic import ValidationError

from demo.wire import Received
from schemas import ROUTES, Availability, GapEvent, LabelEvent, topic_for


class Arrival(NamedTuple):
    """A label and the moment of its first arrival, monotonic clock."""

    event: LabelEvent
    at_ns: int


def filters_for(gateways: Iterable[str]) -> list[str]:
    """The topics on which these gateways speak to the demo.

    Examples
    --------
    >>> filters_for(["pi4"])
    ['telltale/v1/pi4/+/label', 'telltale/v1/pi4/+/gap', 'telltale/v1/pi4/availability']
    """
    found = []
    for gateway in gateways:
        found += [
            ROUTES[name].template.replace("{gateway}", gateway).replace("{device}", "+") for name in ("label", "gap")
        ]
        found.append(topic_for("availability", gateway=gateway))
    return found


class LabelBook:
    """Every label by ``(gateway, id)``.

    Attributes
    ----------
    arrivals : dict
        First arrival of each label.
    newest : dict
        ``(gateway, device)`` to the answer about its highest window.
    n_repeated : int
        Labels that came again with the same answer: harmless, the id says so.
    contradictions : list of str
        Ids that came twice with different answers.
    gaps : list of GapEvent
        Ranges of windows that were declared lost.
    states : dict
        Gateway to its last availability.
    problems : list of str
        Messages that are no contract of ours.
    """

    def __init__(self) -> None:
        self.arrivals: dict[tuple[str, str], Arrival] = {}
        self.newest: dict[tuple[str, str], LabelEvent] = {}
        self.n_repeated = 0
        self.contradictions: list[str] = []
        self.gaps: list[GapEvent] = []
        self.states: dict[str, str] = {}
        self.problems: list[str] = []
        self._ids: dict[str, set[str]] = {}

    def take(self, messages: Iterable[Received]) -> None:
        """Enter what arrived. A retained label is the answer of an earlier run and does not count."""
        for message in messages:
            kind = message.topic.rsplit("/", 1)[-1]
            try:
                if kind == "availability":
                    self.states[message.topic.split("/")[-2]] = Availability.model_validate_json(message.payload).state
                elif kind == "gap":
                    self.gaps.append(GapEvent.model_validate_json(message.payload))
                elif not message.retained:
                    self._enter(LabelEvent.model_validate_json(message.payload), message.at_ns)
            except ValidationError as error:
                self.problems.append(f"{message.topic}: {error.errors()[0]['msg']}")

    def ids(self, gateway: str) -> set[str]:
        """Ids of the labels of one gateway."""
        return self._ids.get(gateway, set())

    def _enter(self, event: LabelEvent, at_ns: int) -> None:
        key = (event.gateway, event.id)
        first = self.arrivals.get(key)
        if first is None:
            self.arrivals[key] = Arrival(event, at_ns)
            self._ids.setdefault(event.gateway, set()).add(event.id)
            newest = self.newest.get((event.gateway, event.device))
            is_newer = newest is None or event.window.index >= newest.window.index
            if is_newer and event.label is not None:
                self.newest[event.gateway, event.device] = event
        elif first.event == event:
            self.n_repeated += 1
        else:
            self.contradictions.append(event.id)
