"""The two streams of the plant as an agent must be told of them: topics, mapping, grid and classes.

The recorder decodes with the very mapping that is written into the agent's configuration, so both read the same
samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from demo.plant import PUMP_CHANNELS, PUMP_RATE_HZ, PUMP_STATES, ROOM_CHANNELS, ROOM_STATES
from demo.plant.messages import CLIMATE_TOPIC, VIBRATION_TOPIC
from schemas import JsonMapping, JsonTime, Mapping


@dataclass(frozen=True, slots=True)
class Stream:
    """One kind of sensor: how its messages are read and cut.

    Attributes
    ----------
    name : str
        Name of the pipeline and of the model.
    topics : tuple of str
        Templates with ``{device}``.
    mapping : Mapping
        How a message becomes samples.
    channels, classes : tuple of str
        Names, in order.
    sampling_rate_hz : float
        Of the grid.
    policy : str
        How samples come onto the grid.
    window_s, hop_s : float or None
        What the trainer is asked for; None = its own choice.
    accuracy_floor : float
        Below this the demo failed: no system that mixes up channels, devices, times or classes gets there.
    """

    name: str
    topics: tuple[str, ...]
    mapping: Mapping
    channels: tuple[str, ...]
    classes: tuple[str, ...]
    sampling_rate_hz: float
    policy: Literal["nearest", "linear", "hold"] = "nearest"
    window_s: float | None = None
    hop_s: float | None = None
    accuracy_floor: float = 0.0


PUMP = Stream(
    name="pump",
    topics=(VIBRATION_TOPIC,),
    mapping=JsonMapping(
        channels=dict(zip(PUMP_CHANNELS, ("x", "y", "z"), strict=True)),
        time=JsonTime(path="t", unit="ms"),
        sampling_rate_hz=PUMP_RATE_HZ,
    ),
    channels=PUMP_CHANNELS,
    classes=PUMP_STATES,
    sampling_rate_hz=PUMP_RATE_HZ,
    window_s=1.0,
    hop_s=0.5,
    accuracy_floor=0.9,
)
ROOM = Stream(
    name="room",
    topics=(CLIMATE_TOPIC,),
    mapping=JsonMapping(channels={name: name for name in ROOM_CHANNELS}, time=JsonTime(path="t", unit="ms")),
    channels=ROOM_CHANNELS,
    classes=ROOM_STATES,
    sampling_rate_hz=1.0 / 30.0,
    policy="hold",
    window_s=600.0,
    hop_s=300.0,
    accuracy_floor=0.75,
)
