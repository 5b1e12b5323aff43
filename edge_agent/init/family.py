"""Families: topics of one template whose messages one mapping reads. What a pipeline is made of."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge_agent.init.clocks import Rate, WindowPlan
from edge_agent.init.forms import Form
from schemas.mapping import Mapping


@dataclass(slots=True)
class ChannelFound:
    """One channel: its name here, where it stands, and what was seen of it."""

    name: str
    where: str
    unit: str | None
    lowest: float
    highest: float
    is_common: bool = True


@dataclass(slots=True)
class Family:
    """What one pipeline could read.

    Attributes
    ----------
    problem : str or None
        Why it cannot be a pipeline; None = it can.
    notes : list of str
        One line each, for the person who reads the configuration.
    """

    product: str
    topics: list[str]
    devices: list[str]
    heard: list[Form]
    channels: list[ChannelFound] = field(default_factory=list)
    mapping: Mapping | None = None
    rate: Rate | None = None
    plan: WindowPlan | None = None
    deadline_s: float = 2.0
    problem: str | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def n_messages(self) -> int:
        """Live messages heard."""
        return sum(form.heard.n_live for form in self.heard)


@dataclass(slots=True)
class Recognised:
    """Everything heard, sorted: families, and topics that carry no samples by the reason why."""

    families: list[Family]
    passed_over: dict[str, list[str]]
