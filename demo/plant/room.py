"""A room with a climate sensor that reports on change: CO2, temperature, humidity and light.

What the sensor follows is four balances, stepped every ten seconds:

- CO2: people breathe out 18 l/h each, ventilation and an open window exchange the air for outdoor air at 425 ppm (the
  one-zone mass balance behind EN 16798-1 and ASTM D6245);
- temperature: a radiator pulls towards its set point with the time constant of the walls, a person gives 75 W,
  exchanged air comes in at outdoor temperature;
- moisture: 50 g/h a person, exchanged with the outdoor air, read as relative humidity by the Magnus formula (WMO-No.
  8);
- light: daylight through a window of some orientation, and lamps that people switch on, and sometimes forget.

The sensor has offsets, noise and a resolution of its own, and reports a channel when it moved by a threshold (not more
often than every 30 s) or when nothing was said for five minutes: what Zigbee calls minimum and maximum reporting
interval.

Rooms live in hours, pumps in seconds: a room runs ``ROOM_HASTE`` times faster than the plant that it is part of.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import orjson

from demo.plant.messages import CLIMATE_TOPIC, Message, truth_message
from demo.plant.schedule import Episode, device_rng, episodes

ROOM_CHANNELS = ("co2", "temperature", "humidity", "light")
ROOM_STATES = ("empty", "occupied", "meeting", "window-open")
ROOM_HASTE = 480.0
"""Room seconds in a second of the plant: three minutes of pump are a day of room."""

STEP_S = 10.0
_LEAST_INTERVAL_S = 30.0
_MOST_INTERVAL_S = 300.0
_DAY_S = 86_400.0
_OUTDOOR_CO2 = 425.0
_CO2_PER_PERSON = 0.018
_WATER_PER_PERSON = 0.050
_HEAT_PER_PERSON = 75.0
_AIR_HEAT = 1206.0


@dataclass(frozen=True, slots=True)
class RoomTraits:
    """What makes one room and its sensor different from the next.

    Volumes in m³, air exchange in 1/h, times in s, heat capacity as a multiple of that of the air (furniture and
    plaster take part).
    """

    volume: float
    seats: int
    ventilation: float
    window_exchange: float
    heating_s: float
    set_point: float
    mass: float
    lamps: float
    daylight: float
    outdoor: float
    offsets: tuple[float, float, float, float]
    noise: tuple[float, float, float, float]
    resolution: tuple[float, float, float, float]
    thresholds: tuple[float, float, float, float]
    clock_offset_ms: int

    @classmethod
    def draw(cls, rng: np.random.Generator) -> RoomTraits:
        """Traits drawn at random, each from the range that offices and meeting rooms spread over."""
        u = rng.uniform
        volume = u(45.0, 110.0)
        return cls(
            volume=volume,
            seats=round(volume / 8.0),
            ventilation=u(0.6, 1.3),
            window_exchange=u(7.0, 12.0),
            heating_s=u(1800.0, 3600.0),
            set_point=u(20.5, 22.5),
            mass=u(18.0, 30.0),
            lamps=u(250.0, 450.0),
            daylight=u(100.0, 400.0),
            outdoor=u(3.0, 10.0),
            offsets=(u(-25.0, 25.0), u(-0.4, 0.4), u(-3.0, 3.0), 0.0),
            noise=(u(2.0, 5.0), u(0.01, 0.03), u(0.05, 0.15), u(1.0, 3.0)),
            resolution=(
                float(rng.choice([1.0, 5.0])),
                float(rng.choice([0.01, 0.1])),
                float(rng.choice([0.1, 0.5])),
                1.0,
            ),
            thresholds=(u(15.0, 25.0), u(0.08, 0.15), u(0.5, 1.0), u(15.0, 30.0)),
            clock_offset_ms=int(rng.integers(1, 9000)),
        )


class Room:
    """One simulated room.

    Parameters
    ----------
    device : str
        Its name; traits, schedule and noise are drawn from ``seed`` and this.
    seed : int
        The seed of the plant.
    start_ns : int
        Time of its first report, nanoseconds since the epoch; the day begins at eight in the morning there.
    mean_episode_s : float
        Mean duration of a state, in seconds of the room.

    Examples
    --------
    >>> room = Room("room-01", seed=1, start_ns=0)
    >>> readings, class_index = room.step()
    >>> sorted(readings), class_index in range(4)
    (['co2', 'humidity', 'light', 'temperature'], True)
    """

    def __init__(self, device: str, *, seed: int, start_ns: int, mean_episode_s: float = 2700.0) -> None:
        self.device = device
        self.traits = RoomTraits.draw(device_rng(seed, device, "traits"))
        self.start_ns = start_ns + self.traits.clock_offset_ms * 1_000_000
        self._rng = device_rng(seed, device, "noise")
        self._stays = episodes(
            device_rng(seed, device, "schedule"),
            n_states=len(ROOM_STATES),
            mean_s=mean_episode_s,
            least_s=0.6 * mean_episode_s,
        )
        self._stay = next(self._stays)
        self._clouds = 0.5
        self.co2_ppm = _OUTDOOR_CO2 + self._rng.uniform(80.0, 400.0)
        self.air_temperature = self.traits.set_point
        self.water = absolute_humidity(self.air_temperature, self._rng.uniform(35.0, 50.0))
        self.time_s = 0.0
        self._reported: dict[str, tuple[float, float]] = {}
        self._enter(self._stay)

    def step(self) -> tuple[dict[str, float], int]:
        """Ten seconds of the room.

        Returns
        -------
        readings : dict
            What the sensor reports in this step: only the channels that moved, or were silent for too long.
        class_index : int
            True state at this step, a position in ROOM_STATES.
        """
        while self.time_s >= self._stay.end_s:
            self._stay = next(self._stays)
            self._enter(self._stay)
        self._balance()
        readings = self._report()
        self.time_s += STEP_S
        return readings, self._stay.class_index

    def messages(self, seconds: float | None = None) -> Iterator[Message]:
        """What the device publishes, in order, one channel a message, and its true state beside it.

        Parameters
        ----------
        seconds : float, optional
            Plant time after which it stops, so ``seconds * ROOM_HASTE`` of the room; without it, it never does.
        """
        topic = CLIMATE_TOPIC.replace("{device}", self.device)
        end_s = float("inf") if seconds is None else seconds * ROOM_HASTE
        last_state = -1
        while self.time_s < end_s:
            at_s = self.time_s
            t_ns = self.start_ns + round(at_s * 1e9)
            readings, class_index = self.step()
            if class_index != last_state:
                yield truth_message(at_s / ROOM_HASTE, self.device, t_ns, ROOM_STATES[class_index])
                last_state = class_index
            for channel, value in readings.items():
                payload = orjson.dumps({"t": t_ns // 1_000_000, channel: value})
                level = value if channel == "co2" else math.nan
                yield Message(at_s / ROOM_HASTE, topic, payload, self.device, t_ns, level=level)
        yield truth_message(end_s / ROOM_HASTE, self.device, self.start_ns + round(self.time_s * 1e9), None)

    def _enter(self, stay: Episode) -> None:
        """People come and go, windows and lamps with them."""
        rng, traits, state = self._rng, self.traits, ROOM_STATES[stay.class_index]
        few = int(rng.integers(1, 3))
        self._people = {
            "empty": 0,
            "occupied": few,
            "meeting": max(4, round(traits.seats * rng.uniform(0.6, 1.0))),
        }.get(state, 0)
        self._exchange = traits.ventilation + (
            traits.window_exchange * stay.severity if state == "window-open" else 0.0
        )
        lit = {"empty": 0.08, "occupied": 0.85, "meeting": 0.95, "window-open": 0.3}[state]
        self._lamps_on = bool(rng.random() < lit)

    def _balance(self) -> None:
        """One step of the four balances (explicit Euler: the fastest time constant is five minutes, thirty steps)."""
        traits, hours = self.traits, STEP_S / 3600.0
        breath = self._people * _CO2_PER_PERSON * 1e6 / traits.volume
        self.co2_ppm += hours * (breath - self._exchange * (self.co2_ppm - _OUTDOOR_CO2))
        heat_per_h = self._people * _HEAT_PER_PERSON * 3600.0 / (_AIR_HEAT * traits.volume * traits.mass)
        # The walls feed the air what the draught takes: only a part of the exchange cools the room for good.
        loss_per_h = self._exchange * (self.air_temperature - traits.outdoor) * 2.5 / traits.mass
        heating_per_h = (
            traits.set_point - self.air_temperature
        ) * 3600.0 / traits.heating_s + 2.5 * traits.ventilation * (traits.set_point - traits.outdoor) / traits.mass
        self.air_temperature += hours * (heating_per_h + heat_per_h - loss_per_h)
        water_gain = self._people * _WATER_PER_PERSON * 1e3 / traits.volume
        self.water += hours * (water_gain - self._exchange * (self.water - absolute_humidity(traits.outdoor, 75.0)))
        self._clouds = min(1.0, max(0.0, self._clouds + self._rng.normal(0.0, 0.01)))

    def _report(self) -> dict[str, float]:
        traits = self.traits
        hour_angle = 2.0 * np.pi * ((self.time_s + 8.0 * 3600.0) % _DAY_S) / _DAY_S
        sun = max(0.0, -float(np.cos(hour_angle))) * traits.daylight * (1.0 - 0.8 * self._clouds)
        true = (
            self.co2_ppm,
            self.air_temperature,
            relative_humidity(self.air_temperature, self.water),
            sun + (traits.lamps if self._lamps_on else 0.0),
        )
        noise = self._rng.standard_normal(len(true))
        readings: dict[str, float] = {}
        for position, (channel, value) in enumerate(zip(ROOM_CHANNELS, true, strict=True)):
            seen = value + traits.offsets[position] + traits.noise[position] * noise[position]
            step = traits.resolution[position]
            seen = max(0.0, round(round(seen / step) * step, 2))
            last_s, last_value = self._reported.get(channel, (float("-inf"), 0.0))
            silent_s = self.time_s - last_s
            moved = abs(seen - last_value) >= traits.thresholds[position]
            if (moved and silent_s >= _LEAST_INTERVAL_S) or silent_s >= _MOST_INTERVAL_S:
                readings[channel] = seen
                self._reported[channel] = (self.time_s, seen)
        return readings


def _saturation_pressure(celsius: float) -> float:
    """Saturation vapour pressure over water in hPa (Magnus formula, WMO-No. 8, annex 4.B)."""
    return float(6.112 * np.exp(17.62 * celsius / (243.12 + celsius)))


def absolute_humidity(celsius: float, percent: float) -> float:
    """Grams of water in a cubic metre of air.

    Examples
    --------
    >>> round(absolute_humidity(20.0, 50.0), 2)
    8.62
    """
    return 216.68 * percent / 100.0 * _saturation_pressure(celsius) / (273.15 + celsius)


def relative_humidity(celsius: float, grams: float) -> float:
    """Percent of saturation, at most 100.

    Examples
    --------
    >>> round(relative_humidity(20.0, absolute_humidity(20.0, 50.0)), 6)
    50.0
    """
    return min(100.0, 100.0 * grams * (273.15 + celsius) / (216.68 * _saturation_pressure(celsius)))
