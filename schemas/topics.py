"""The one table of topics: which topic carries which contract, which way, how. No topic string stands anywhere else.

Templates use ``{gateway}``, ``{device}``, ``{worker}``; inputs of a pipeline add ``{channel}``. Limits that every
cloud bridge accepts hold for our own tree: at most 7 slashes, 256 bytes, no leading ``/`` or ``$``.
"""

import re
from functools import lru_cache
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel

from schemas.label import LabelEvent
from schemas.status import AgentInfo, AgentMetrics, Alarms, Availability, Barrier, Capture, GapEvent

ROOT = "telltale/v1"

BROKER_DROPPED = "$SYS/broker/publish/messages/dropped"
"""Where mosquitto tells how many messages it dropped because a queue was full; other brokers have no such topic."""

ID_PATTERN = re.compile(r"^[a-z0-9-]{1,64}$")
"""Gateway and device ids in topics: what Homie, Home Assistant and AWS all accept."""

_PLACEHOLDER = re.compile(r"^\{([a-z_]+)\}$")


class Route(NamedTuple):
    """One row of the table."""

    name: str
    template: str
    contract: type[BaseModel] | None
    direction: Literal["out", "in", "loop"]
    qos: int
    retain: bool
    meaning: str


ROUTES: dict[str, Route] = {
    route.name: route
    for route in (
        Route(
            "availability",
            f"{ROOT}/{{gateway}}/availability",
            Availability,
            "out",
            qos=1,
            retain=True,
            meaning="online, or offline by last will",
        ),
        Route(
            "info",
            f"{ROOT}/{{gateway}}/info",
            AgentInfo,
            "out",
            qos=1,
            retain=True,
            meaning="what runs on this gateway",
        ),
        Route(
            "metrics",
            f"{ROOT}/{{gateway}}/metrics",
            AgentMetrics,
            "out",
            qos=0,
            retain=True,
            meaning="counters since start",
        ),
        Route(
            "alarm",
            f"{ROOT}/{{gateway}}/alarm",
            Alarms,
            "out",
            qos=1,
            retain=True,
            meaning="what a person should see to; empty when all is well",
        ),
        Route(
            "label",
            f"{ROOT}/{{gateway}}/{{device}}/label",
            LabelEvent,
            "out",
            qos=1,
            retain=True,
            meaning="every label of a device",
        ),
        Route(
            "event",
            f"{ROOT}/{{gateway}}/{{device}}/event",
            LabelEvent,
            "out",
            qos=1,
            retain=False,
            meaning="only changes of the label",
        ),
        Route(
            "gap",
            f"{ROOT}/{{gateway}}/{{device}}/gap",
            GapEvent,
            "out",
            qos=1,
            retain=False,
            meaning="windows that can have no label",
        ),
        Route(
            "capture",
            f"{ROOT}/{{gateway}}/{{device}}/capture",
            Capture,
            "out",
            qos=1,
            retain=False,
            meaning="windows to keep, of pipelines without a model",
        ),
        Route(
            "barrier",
            f"{ROOT}/{{gateway}}/barrier",
            Barrier,
            "loop",
            qos=1,
            retain=False,
            meaning="the agent's own echo, its proof that the broker moves",
        ),
        Route(
            "worker_availability",
            f"{ROOT}/{{gateway}}/worker/{{worker}}/availability",
            Availability,
            "out",
            qos=1,
            retain=True,
            meaning="of one worker of several; the gateway is online while all are",
        ),
        Route(
            "worker_metrics",
            f"{ROOT}/{{gateway}}/worker/{{worker}}/metrics",
            AgentMetrics,
            "out",
            qos=0,
            retain=True,
            meaning="counters of one worker; the metrics of the gateway are their sum",
        ),
        Route(
            "worker_barrier",
            f"{ROOT}/{{gateway}}/worker/{{worker}}/barrier",
            Barrier,
            "loop",
            qos=1,
            retain=False,
            meaning="the worker's own echo",
        ),
    )
}


@lru_cache(maxsize=65_536)
def topic_for(name: str, *, gateway: str, device: str | None = None, worker: int | None = None) -> str:
    """The topic of a route.

    Raises
    ------
    KeyError
        If there is no such route.
    ValueError
        If an id holds other characters than ``[a-z0-9-]`` or is longer than 64.

    Examples
    --------
    >>> topic_for("label", gateway="pi4", device="pump-7")
    'telltale/v1/pi4/pump-7/label'
    """
    for role, value in (("gateway", gateway), ("device", device)):
        if value is not None and not ID_PATTERN.match(value):
            message = f"{role}: 1 to 64 of [a-z0-9-] expected, got {value!r}"
            raise ValueError(message)
    template = ROUTES[name].template.replace("{gateway}", gateway)
    if worker is not None:
        template = template.replace("{worker}", str(worker))
    return template if device is None else template.replace("{device}", device)


class TopicTemplate:
    """A topic filter with named levels: ``plant/{device}/vibration``, ``home/{device}/sensor/{channel}/state``.

    ``{device}`` and ``{channel}`` match one level, ``+`` one level without a name, ``{device+}`` as last level
    one or more levels (friendly names may hold a slash), ``#`` as last level anything.

    Parameters
    ----------
    text : str
        The template.

    Raises
    ------
    ValueError
        If a wildcard stands where MQTT (section 4.7.1 of version 5.0) does not allow it, or a name is unknown.

    Examples
    --------
    >>> template = TopicTemplate("home/{device}/sensor/{channel}/state")
    >>> template.filter
    'home/+/sensor/+/state'
    >>> template.match("home/attic/sensor/co2/state")
    {'device': 'attic', 'channel': 'co2'}
    >>> template.match("home/attic/status") is None
    True
    """

    def __init__(self, text: str) -> None:
        levels = text.split("/")
        if not text or text.startswith("$") or "\0" in text:
            message = f"topic: non-empty and without leading $ or NUL expected, got {text!r}"
            raise ValueError(message)
        self.text = text
        filters: list[str] = []
        self._names: list[tuple[int, str]] = []
        self._fixed: list[tuple[int, str]] = []
        self._open_ended = False
        self._tail_name: str | None = None
        for index, level in enumerate(levels):
            last = index == len(levels) - 1
            if level in {"#", "{device+}"}:
                if not last:
                    message = f"topic: {level} only as the last level, got {text!r}"
                    raise ValueError(message)
                self._open_ended = True
                self._tail_name = "device" if level != "#" else None
                filters.append("#")
            elif level == "+":
                filters.append("+")
            elif named := _PLACEHOLDER.match(level):
                if named[1] not in {"device", "channel"}:
                    message = f"topic: {{device}} or {{channel}} expected, got {level!r} in {text!r}"
                    raise ValueError(message)
                if named[1] in (name for _, name in self._names):
                    message = f"topic: {level} stands twice in {text!r}"
                    raise ValueError(message)
                self._names.append((index, named[1]))
                filters.append("+")
            elif any(character in level for character in "+#{}"):
                message = f"topic: a wildcard must be a whole level, got {level!r} in {text!r}"
                raise ValueError(message)
            else:
                self._fixed.append((index, level))
                filters.append(level)
        self._n_levels = len(levels)
        self.filter = "/".join(filters)

    @property
    def names(self) -> set[str]:
        """The named levels."""
        named = {name for _, name in self._names}
        return named | ({self._tail_name} if self._tail_name else set())

    def match(self, topic: str) -> dict[str, str] | None:
        """The named levels of a topic, or None where it does not match."""
        levels = topic.split("/")
        if self._open_ended:
            if len(levels) < self._n_levels - (self._tail_name is None):
                return None
        elif len(levels) != self._n_levels:
            return None
        for index, text in self._fixed:
            if levels[index] != text:
                return None
        found = {name: levels[index] for index, name in self._names}
        if self._tail_name:
            found[self._tail_name] = "/".join(levels[self._n_levels - 1 :])
        return found


def _valid_template(text: str) -> str:
    TopicTemplate(text)
    return text


TopicTemplateText = Annotated[str, AfterValidator(_valid_template)]
"""A string that is a valid TopicTemplate."""
