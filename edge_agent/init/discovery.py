"""Units that somebody else has announced: Home Assistant discovery, and the device list of Zigbee2MQTT."""

from __future__ import annotations

import re
from typing import Any

import orjson

from edge_agent.init.hearing import Hearing

_VALUE = re.compile(r"value_json((?:\.[A-Za-z_]\w*|\[[^\]]+\])+)")


class Units:
    """Topic, and path in its JSON or None -> unit, as announced.

    Examples
    --------
    >>> units = Units()
    >>> units.read_component(
    ...     {"stat_t": "~/state", "~": "home/a", "unit_of_meas": "°C", "val_tpl": "{{ value_json.t }}"}
    ... )
    >>> units.at("home/a/state", "t"), units.at("home/a/state", "u") is None
    ('°C', True)
    """

    def __init__(self) -> None:
        self._units: dict[tuple[str, str | None], str] = {}
        self._properties: dict[str, dict[str, str]] = {}

    def at(self, topic: str, path: str | None = None) -> str | None:
        """The unit of a number; None where nobody has said."""
        found = self._units.get((topic, path))
        if found is None and path is not None:
            for prefix, properties in self._properties.items():
                if topic.startswith(prefix):
                    found = properties.get(f"{topic.removeprefix(prefix)}\0{path}")
        return found

    def read_component(self, said: dict[str, Any], base: str | None = None, topic: str | None = None) -> None:
        """One component of Home Assistant discovery; ``topic`` and ``base`` are those of its device."""
        base = _text(said.get("~")) or base or ""
        topic = _text(said.get("stat_t") or said.get("state_topic")) or topic
        unit = _text(said.get("unit_of_meas") or said.get("unit_of_measurement"))
        template = _text(said.get("val_tpl") or said.get("value_template"))
        if topic is None or unit is None:
            return
        path = None
        if template is not None and (found := _VALUE.search(template)) is not None:
            path = found[1].replace("['", ".").replace("']", "").removeprefix(".")
        self._units[(topic.replace("~", base), path)] = unit

    def read_zigbee_devices(self, prefix: str, devices: list[Any]) -> None:
        """``bridge/devices`` of Zigbee2MQTT: what each device exposes, with units."""
        properties = self._properties.setdefault(prefix, {})
        for device in devices:
            name = _text(_at(device, "friendly_name"))
            exposes = _at(_at(device, "definition"), "exposes")
            for entry in exposes if name and isinstance(exposes, list) else ():
                features = _at(entry, "features")
                for feature in [entry, *(features if isinstance(features, list) else ())]:
                    said, unit = _text(_at(feature, "property")), _text(_at(feature, "unit"))
                    if said and unit:
                        properties[f"{name}\0{said}"] = unit


def announced_units(hearing: Hearing) -> Units:
    """The units in what was heard, retained messages too."""
    units = Units()
    for topic, heard in hearing.topics.items():
        is_discovery = topic.endswith("/config")
        is_zigbee = topic.endswith("/bridge/devices")
        if not (is_discovery or is_zigbee):
            continue
        for payload in (heard.retained, *(payload for _, payload in heard.live[-1:])):
            try:
                said = orjson.loads(payload or b"")
            except orjson.JSONDecodeError:
                continue
            if is_zigbee and isinstance(said, list):
                units.read_zigbee_devices(topic.removesuffix("bridge/devices"), said)
            elif is_discovery and isinstance(said, dict):
                _read_discovery(units, said)
    return units


def _read_discovery(units: Units, said: dict[str, Any]) -> None:
    units.read_component(said)
    components = said.get("cmps") or said.get("components")
    if isinstance(components, dict):
        topic = _text(said.get("stat_t") or said.get("state_topic"))
        for component in components.values():
            if isinstance(component, dict):
                units.read_component(component, _text(said.get("~")), topic)


def _at(value: object, key: str) -> Any:  # noqa: ANN401 - whatever a stranger's JSON holds
    return value.get(key) if isinstance(value, dict) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value and len(value) <= 256 else None
