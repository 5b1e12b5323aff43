"""What the person at the keyboard has chosen: order, filter, pause, scroll."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from schemas import DeviceView

ORDERS = ("device", "age", "label", "confidence", "novelty", "rate")
_MAX_FILTER = 40


@dataclass(slots=True)
class Choices:
    """Changed by keys, read by the screen.

    Examples
    --------
    >>> choices = Choices()
    >>> for key in ["s", "/", "p", "7", "enter", "p"]:
    ...     choices.press(key)
    >>> choices.order, choices.filter, choices.is_paused, choices.is_over
    ('age', 'p7', True, False)
    """

    order: str = ORDERS[0]
    filter: str = ""
    is_typing: bool = False
    is_paused: bool = False
    is_over: bool = False
    first_row: int = 0

    def press(self, key: str) -> None:
        """Act on one key; others are ignored."""
        if self.is_typing:
            self._type(key)
        elif key in {"q", "escape"}:
            self.is_over = True
        elif key == "s":
            self.order = ORDERS[(ORDERS.index(self.order) + 1) % len(ORDERS)]
        elif key == "p":
            self.is_paused = not self.is_paused
        elif key == "/":
            self.is_typing, self.first_row = True, 0
        elif key in {"down", "up"}:
            self.first_row = max(0, self.first_row + (1 if key == "down" else -1))

    def _type(self, key: str) -> None:
        if key == "enter":
            self.is_typing = False
        elif key == "escape":
            self.is_typing, self.filter = False, ""
        elif key == "backspace":
            self.filter = self.filter[:-1]
        elif len(key) == 1 and key.isprintable():
            self.filter = (self.filter + key)[:_MAX_FILTER]

    def rows(self, devices: Sequence[DeviceView]) -> list[DeviceView]:
        """The devices that pass the filter (a part of the name, pipeline, label or state), in the chosen order."""
        wanted = self.filter.lower()
        found = [
            view
            for view in devices
            if wanted in f"{view.device} {view.pipeline} {view.label or ''} {view.state or ''}".lower()
        ]
        found.sort(key=lambda view: (view.device, view.pipeline))
        if self.order == "age":
            found.sort(key=lambda view: view.ts or "", reverse=True)
        elif self.order == "label":
            found.sort(key=lambda view: view.label or "~")
        elif self.order == "confidence":
            found.sort(key=lambda view: 2.0 if view.confidence is None else view.confidence)
        elif self.order == "novelty":
            found.sort(key=lambda view: view.novelty or 0.0, reverse=True)
        elif self.order == "rate":
            found.sort(key=lambda view: view.rate_hz, reverse=True)
        return found
