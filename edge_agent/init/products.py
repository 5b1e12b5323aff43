"""What is known of products: their topics, what of their messages is no signal, and their units.

Sources: Zigbee2MQTT 2.12 (lib/controller.ts), Tasmota documentation (MQTT.md), ESPHome 2026.10
(components/mqtt), Shelly API documentation (Gen1 and Gen2), Home Assistant MQTT discovery.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from schemas.topics import ROOT

QUANTITIES = frozenset(
    {
        "temperature",
        "humidity",
        "pressure",
        "power",
        "voltage",
        "current",
        "energy",
        "co2",
        "voc",
        "illuminance",
        "lux",
        "light",
        "vibration",
        "acceleration",
        "acc",
        "accel",
        "gyro",
        "rpm",
        "speed",
        "flow",
        "level",
        "distance",
        "noise",
        "sound",
        "pm25",
        "pm10",
        "moisture",
        "frequency",
        "load",
        "torque",
        "force",
        "weight",
        "position",
        "angle",
        "dewpoint",
        "battery",
        "ph",
        "conductivity",
        "rain",
        "wind",
        "uv",
        "x",
        "y",
        "z",
        "rms",
    }
)
_LEAVES = frozenset(
    {"state", "value", "status", "data", "measurement", "telemetry", "sensor", "sensors", "raw", "json"}
)

_HOUSEKEEPING = frozenset(
    {
        "linkquality",
        "rssi",
        "snr",
        "lqi",
        "battery",
        "batterylow",
        "batteryvoltage",
        "uptime",
        "uptimesec",
        "heap",
        "ramfree",
        "fsfree",
        "seq",
        "sequence",
        "sequencenumber",
        "counter",
        "msgid",
        "messageid",
        "id",
        "fport",
        "fcnt",
        "dr",
        "schema",
        "version",
        "ver",
        "firmware",
        "errors",
        "error",
        "metadata",
        "qos",
        "sleep",
        "sleepmode",
        "loadavg",
        "mqttcount",
        "port",
        "bssid",
        "linkcount",
        "cnt",
        "tf",
    }
)
_SPOKEN = frozenset(
    {
        "contact",
        "occupancy",
        "presence",
        "motion",
        "waterleak",
        "leak",
        "vibration",
        "state",
        "active",
        "on",
        "output",
        "open",
        "smoke",
        "tamper",
    }
)

UNIT_WORDS = {
    "temperature": "Cel",
    "humidity": "%RH",
    "pressure": "hPa",
    "tc": "Cel",
    "tf": "degF",
    "rh": "%RH",
    "apower": "W",
    "voltage": "V",
    "current": "A",
    "freq": "Hz",
    "illuminance": "lx",
    "co2": "ppm",
}


class Known(NamedTuple):
    """What a topic is known as.

    ``ignored`` = why it carries no samples; else ``template`` says where device and channel stand (None = found from
    what varies).
    """

    product: str
    template: str | None = None
    ignored: str | None = None


def plain(text: str) -> str:
    """Letters and digits of a name, in lower case.

    Examples
    --------
    >>> plain("Link_Quality")
    'linkquality'
    """
    return re.sub(r"[^a-z0-9]", "", text.lower())


def is_housekeeping(name: str) -> bool:
    """Whether a number under this name says something of the message or the radio, not of the world."""
    return plain(name) in _HOUSEKEEPING


def is_spoken_state(name: str) -> bool:
    """Whether true and false under this name are a state of the world."""
    return plain(name) in _SPOKEN


def names_quantity(level: str) -> bool:
    """Whether a topic level names what is measured.

    Examples
    --------
    >>> names_quantity("pump_vibration"), names_quantity("pump-7")
    (True, False)
    """
    words = re.split(r"[^a-z0-9]+", level.lower())
    return any(re.sub(r"\d+$", "", word) in QUANTITIES or word in QUANTITIES for word in words if word)


def is_plain_leaf(level: str) -> bool:
    """Whether a topic level says only that there is a value."""
    return level.lower() in _LEAVES


def zigbee_bases(topics: list[str]) -> list[str]:
    """Base topics of Zigbee2MQTT: what stands before ``/bridge/...``, and its default."""
    found = {match[1] for topic in topics if (match := re.match(r"(.+)/bridge/(?:state|info|devices|logging)$", topic))}
    return sorted(found | {"zigbee2mqtt"})


def know(topic: str, bases: list[str]) -> Known | None:
    """What a topic is known as; None = no product's, look at the payload.

    Examples
    --------
    >>> know("tele/pump/SENSOR", []).template, know("tele/pump/LWT", []).ignored
    ('tele/{device}/SENSOR', 'Tasmota: about the device itself')
    """
    levels = topic.split("/")
    if topic.startswith(("$", f"{ROOT}/")):
        return Known("own", ignored="published by an agent or the broker itself")
    if any(character in topic for character in "{}+#"):
        return Known("odd", ignored="braces or wildcards in the topic: no template can name it")
    for find in (_zigbee, _tasmota, _esphome, _shelly, _other):
        if (known := find(topic, levels, bases)) is not None:
            return known
    return None


def _zigbee(topic: str, levels: list[str], bases: list[str]) -> Known | None:
    for base in bases:
        if not topic.startswith(f"{base}/"):
            continue
        rest = topic.removeprefix(f"{base}/")
        if rest.split("/")[0] == "bridge":
            return Known("zigbee2mqtt", ignored="Zigbee2MQTT: about the bridge")
        if levels[-1] in {"set", "get", "availability"}:
            return Known("zigbee2mqtt", ignored="Zigbee2MQTT: a command, or who is there")
        return Known("zigbee2mqtt", template=f"{base}/{{device+}}")
    return None


def _tasmota(_topic: str, levels: list[str], _bases: list[str]) -> Known | None:
    prefix = next((position for position, level in enumerate(levels[:-1]) if level in {"tele", "stat", "cmnd"}), None)
    if prefix is None or len(levels) < 3 or levels[-1] != levels[-1].upper():
        return None
    if levels[-1] not in {"SENSOR", "STATUS8", "STATUS10"}:
        return Known("tasmota", ignored="Tasmota: about the device itself")
    free = [position for position in range(len(levels) - 1) if position != prefix]
    return Known("tasmota", template=_named(levels, device=free[-1]))


def _esphome(_topic: str, levels: list[str], _bases: list[str]) -> Known | None:
    if len(levels) < 4 or levels[-1] != "state":
        return None
    if levels[-3] in {"sensor", "binary_sensor", "number"}:
        return Known("esphome", template=_named(levels, device=len(levels) - 4, channel=len(levels) - 2))
    if levels[-3] in {"text_sensor", "switch", "light", "fan", "cover", "climate", "select", "button"}:
        return Known("esphome", ignored=f"ESPHome: a {levels[-3].replace('_', ' ')}, no measurement")
    return None


def _shelly(_topic: str, levels: list[str], _bases: list[str]) -> Known | None:
    if levels[0] == "shellies":
        if len(levels) < 3 or levels[-1] in {"announce", "info", "online", "command", "announces"}:
            return Known("shelly", ignored="Shelly: about the device itself")
        return Known("shelly", template=_named(levels, device=1, channel=len(levels) - 1))
    if len(levels) >= 3 and levels[-2:] == ["events", "rpc"]:
        return Known("shelly", template=_named(levels, device=len(levels) - 3))
    if len(levels) >= 3 and levels[-2] == "status" and re.fullmatch(r"[a-z0-9_]+:\d+", levels[-1]):
        return Known("shelly", template=_named(levels, device=len(levels) - 3))
    return None


def _other(topic: str, levels: list[str], _bases: list[str]) -> Known | None:
    if levels[-1] == "config" and len(levels) in {4, 5}:
        return Known("home assistant", ignored="Home Assistant discovery: read for its units")
    if topic == "homeassistant/status":
        return Known("home assistant", ignored="Home Assistant: who is there")
    if levels[0] == "spBv1.0":
        return Known("sparkplug", ignored="Sparkplug B: its frames name channels by births; no mapping reads them")
    if any(level.startswith("$") for level in levels):
        return Known("homie", ignored="Homie: about the device itself")
    if levels[-1].lower() in {"lwt", "availability", "online", "will", "connected"}:
        return Known("presence", ignored="says who is there, no measurement")
    return None


def _named(levels: list[str], *, device: int, channel: int | None = None) -> str:
    named = list(levels)
    named[device] = "{device}"
    if channel is not None:
        named[channel] = "{channel}"
    return "/".join(named)
