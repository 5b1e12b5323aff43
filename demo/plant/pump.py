"""A centrifugal pump with a three-axis accelerometer stuck on its bearing housing.

What the sensor sees is a sum of what a vibration analyst looks for, each with its own direction:

- imbalance and misalignment: lines at 1, 2 and 3 times the shaft rate; the force of an imbalance grows with the square
  of the speed, which shows when the pump runs up and coasts down;
- the vane pass: every vane that passes the cutwater gives one pressure pulse (number of vanes × shaft rate);
- cavitation: collapsing bubbles, a dense train of random broadband hits whose strength is modulated at the shaft rate,
  while the vane-pass line fades (Brennen, *Hydrodynamics of Pumps*, chapter 6);
- a spalled outer race: one hit per rolling element (ball-pass frequency, not a multiple of the shaft rate, with 1 %
  slip), each exciting a damped resonance of the housing (Randall and Antoni, *Rolling element bearing diagnostics*,
  MSSP 25, 2011);
- gravity, seen through the mounting rotation; the hum of the machine next door; sensor noise and gain.

Real housings ring at kilohertz; a sensor of 200 Hz sees a slow pump with a soft base, and so the resonance sits at 65
to 85 Hz. Units: m/s². Blocks have a fixed length, so that a seed gives the same samples however they are batched.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import orjson
from numpy.typing import NDArray

from demo.plant.messages import VIBRATION_TOPIC, Message, truth_message
from demo.plant.schedule import Episode, device_rng, episodes

PUMP_RATE_HZ = 200.0
PUMP_CHANNELS = ("acc_x", "acc_y", "acc_z")
PUMP_STATES = ("idle", "pumping", "cavitation", "bearing-fault")

BLOCK_LENGTH = 400
"""Samples simulated at a time."""

_RING_LENGTH = 60
_PERIOD_NS = 5_000_000
_GRAVITY = 9.81
# What each state drives: columns shaft speed, vane pass, cavitation, bearing hits (rows in the order of PUMP_STATES).
_DRIVE = np.array([[0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0], [0.97, 0.45, 1.0, 0.0], [1.0, 0.9, 0.0, 1.0]])
# Seconds in which a drive follows: a rotor has inertia, bubbles have none to speak of.
_LAG_S = np.array([0.45, 0.25, 0.15, 0.10])

Array = NDArray[np.float64]
FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PumpTraits:
    """What makes one pump and its sensor different from the next. Frequencies in Hz, amplitudes in m/s²."""

    shaft_hz: float
    n_vanes: int
    ball_pass_ratio: float
    resonance_hz: float
    damping: float
    harmonics: tuple[float, float, float]
    vane: float
    cavitation: float
    bearing: float
    hum: float
    hum_hz: float
    gain: float
    noise: float
    yaw: float
    tilt: float
    phase: float
    batch_length: int
    clock_offset_ms: int

    @classmethod
    def draw(cls, rng: np.random.Generator) -> PumpTraits:
        """Traits drawn at random, each from the range that pumps of this kind spread over."""
        u = rng.uniform
        return cls(
            shaft_hz=u(13.5, 16.5),
            n_vanes=int(rng.integers(4, 6)),
            ball_pass_ratio=u(2.2, 2.9),
            resonance_hz=u(65.0, 85.0),
            damping=u(0.06, 0.11),
            harmonics=(u(0.5, 1.0), u(0.12, 0.4), u(0.04, 0.15)),
            vane=u(0.3, 0.7),
            cavitation=u(0.7, 1.4),
            bearing=u(2.0, 4.0),
            hum=u(0.02, 0.05),
            hum_hz=u(47.0, 52.0),
            gain=u(0.85, 1.15),
            noise=u(0.03, 0.08),
            yaw=u(0.0, 2.0 * np.pi),
            tilt=u(0.0, np.deg2rad(15.0)),
            phase=u(0.0, 2.0 * np.pi),
            batch_length=int(rng.integers(50, 65)),
            clock_offset_ms=int(rng.integers(0, 3)),
        )

    def rotation(self) -> Array:
        """Mounting rotation, shape (3, 3): a yaw about the vertical, then a tilt about x."""
        (c, s), (ct, st) = (np.cos(self.yaw), np.sin(self.yaw)), (np.cos(self.tilt), np.sin(self.tilt))
        yaw = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
        tilt = np.array([[1.0, 0.0, 0.0], [0.0, ct, -st], [0.0, st, ct]])
        return np.asarray(tilt @ yaw, np.float64)


class Pump:
    """One simulated pump.

    Parameters
    ----------
    device : str
        Its name; traits, schedule and noise are drawn from ``seed`` and this.
    seed : int
        The seed of the plant.
    start_ns : int
        Time of the first sample, nanoseconds since the epoch; the device's own clock is off by up to 2 ms.
    mean_episode_s : float
        Mean duration of a state.

    Examples
    --------
    >>> pump = Pump("pump-01", seed=1, start_ns=0)
    >>> values, class_indices = pump.block()
    >>> values.shape, class_indices.shape, values.dtype.name
    ((3, 400), (400,), 'float32')
    """

    def __init__(self, device: str, *, seed: int, start_ns: int, mean_episode_s: float = 9.0) -> None:
        self.device = device
        self.traits = PumpTraits.draw(device_rng(seed, device, "traits"))
        self.start_ns = start_ns + self.traits.clock_offset_ms * 1_000_000
        self._rng = device_rng(seed, device, "noise")
        self._stays = episodes(
            device_rng(seed, device, "schedule"),
            n_states=len(PUMP_STATES),
            mean_s=mean_episode_s,
            least_s=0.55 * mean_episode_s,
        )
        self._stay = next(self._stays)
        self._n_done = 0
        self._shaft_phase = self.traits.phase
        self._drive = _DRIVE[self._stay.class_index].copy()
        self._ring = np.zeros(_RING_LENGTH)
        wander = device_rng(seed, device, "wander")
        self._wander_hz = wander.uniform(0.03, 0.3, size=3)
        self._wander_phase = wander.uniform(0.0, 2.0 * np.pi, size=3)

    def block(self) -> tuple[FloatArray, IntArray]:
        """The next 400 samples and the true state of each.

        Returns
        -------
        values : ndarray of shape (3, 400), float32
            Acceleration in m/s², rounded to the sensor's 0.001.
        class_indices : ndarray of shape (400,), int
            Positions in PUMP_STATES.
        """
        traits, rng = self.traits, self._rng
        t_s = (self._n_done + np.arange(BLOCK_LENGTH)) / PUMP_RATE_HZ
        class_indices, severity = self._states(t_s)
        drive = self._follow(_DRIVE[class_indices])
        speed, vane, bubbles, hits = drive.T

        wander = 1.0 + 0.003 * np.sin(2.0 * np.pi * np.outer(t_s, self._wander_hz) + self._wander_phase).sum(axis=1)
        phase = self._shaft_phase + np.cumsum(2.0 * np.pi * traits.shaft_hz * speed * wander / PUMP_RATE_HZ)
        orbit = np.zeros((3, BLOCK_LENGTH))
        for order, amplitude in enumerate(traits.harmonics, start=1):
            # A rotor bends its housing along an ellipse: two axes, a quarter turn apart, and a little along the shaft.
            orbit[0] += amplitude * np.cos(order * phase)
            orbit[1] += 0.7 * amplitude * np.sin(order * phase)
            orbit[2] += 0.25 * amplitude * np.cos(order * phase + 0.8)
        orbit *= speed**2
        orbit += np.outer([0.8, 0.3, 0.5], vane * speed**2 * traits.vane * np.cos(traits.n_vanes * phase))
        orbit += self._cavitation(phase, bubbles * severity)
        orbit += np.outer([0.75, 0.55, 0.35], self._bearing(phase, hits * severity))
        orbit += np.outer([0.4, 0.4, 0.8], traits.hum * np.cos(2.0 * np.pi * traits.hum_hz * t_s))
        orbit[2] += _GRAVITY

        seen = traits.gain * (traits.rotation() @ orbit) + traits.noise * rng.standard_normal((3, BLOCK_LENGTH))
        self._shaft_phase = float(phase[-1])
        self._n_done += BLOCK_LENGTH
        return np.round(seen, 3).astype(np.float32), class_indices

    def messages(self, seconds: float | None = None) -> Iterator[Message]:
        """What the device publishes, in order: batches of JSON columns, and its true state beside them.

        Parameters
        ----------
        seconds : float, optional
            Plant time after which it stops; without it, it never does.
        """
        topic = VIBRATION_TOPIC.replace("{device}", self.device)
        n_total = None if seconds is None else int(seconds * PUMP_RATE_HZ)
        n_batch, n_sent, last_state = self.traits.batch_length, 0, -1
        values, class_indices = np.empty((3, 0), np.float32), np.empty(0, np.int64)
        while n_total is None or n_sent < n_total:
            wanted = n_batch if n_total is None else min(n_batch, n_total - n_sent)
            while values.shape[1] < wanted:
                more, their_states = self.block()
                values, class_indices = np.hstack([values, more]), np.hstack([class_indices, their_states])
            for offset, class_index in enumerate(class_indices[:wanted].tolist()):
                if class_index != last_state:
                    t_ns = self._time_ns(n_sent + offset)
                    yield truth_message((n_sent + offset) / PUMP_RATE_HZ, self.device, t_ns, PUMP_STATES[class_index])
                    last_state = class_index
            newest_ns = self._time_ns(n_sent + wanted - 1)
            x, y, z = (np.round(row.astype(np.float64), 3).tolist() for row in values[:, :wanted])
            payload = orjson.dumps({"t": self._time_ns(n_sent) // 1_000_000, "x": x, "y": y, "z": z})
            n_sent += wanted
            level = float(np.std(values[0, :wanted]))
            yield Message(n_sent / PUMP_RATE_HZ, topic, payload, self.device, newest_ns, level=level)
            values, class_indices = values[:, wanted:], class_indices[wanted:]
        yield truth_message(n_sent / PUMP_RATE_HZ, self.device, self._time_ns(n_sent), None)

    def _time_ns(self, sample: int) -> int:
        return self.start_ns + sample * _PERIOD_NS

    def _states(self, t_s: Array) -> tuple[IntArray, Array]:
        class_indices, severity = np.empty(len(t_s), np.int64), np.empty(len(t_s))
        filled = 0
        while filled < len(t_s):
            stay: Episode = self._stay
            until = int(np.searchsorted(t_s, stay.end_s))
            class_indices[filled:until], severity[filled:until] = stay.class_index, stay.severity
            filled = max(filled, until)
            if until < len(t_s):
                self._stay = next(self._stays)
        return class_indices, severity

    def _follow(self, target: Array) -> Array:
        """The drives, following their targets with first-order lags: exact between two changes of the target."""
        alpha = 1.0 - np.exp(-1.0 / (_LAG_S * PUMP_RATE_HZ))
        out = np.empty_like(target)
        edges = [0, *(np.flatnonzero(np.any(np.diff(target, axis=0), axis=1)) + 1).tolist(), len(target)]
        for first, last in pairwise(edges):
            decay = (1.0 - alpha) ** np.arange(1, last - first + 1)[:, None]
            out[first:last] = target[first] + (self._drive - target[first]) * decay
            self._drive = out[last - 1].copy()
        return out

    def _cavitation(self, phase: Array, strength: Array) -> Array:
        # About one bubble in two samples, of heavy-tailed strength, hardest while the suction side of the wheel sees
        # low pressure.
        hits = self._rng.standard_normal((3, len(phase))) * self._rng.exponential(1.0, (3, len(phase)))
        modulation = 0.35 + 0.65 * (0.5 + 0.5 * np.cos(phase)) ** 2
        return np.asarray(self.traits.cavitation * strength * modulation * hits)

    def _bearing(self, phase: Array, strength: Array) -> Array:
        """Hits at the ball-pass frequency, each ringing on into the next block."""
        traits = self.traits
        turns = traits.ball_pass_ratio * phase / (2.0 * np.pi)
        out = np.zeros(len(phase) + _RING_LENGTH)
        out[:_RING_LENGTH] = self._ring
        before = np.concatenate([[2.0 * turns[0] - turns[1]], turns[:-1]])
        struck = np.flatnonzero((np.floor(turns) > np.floor(before)) & (strength > 1e-3))
        if len(struck):
            # When within the sample period the ball struck, give or take the slip of the cage.
            ago = (turns[struck] - np.floor(turns[struck])) / np.maximum(turns[struck] - before[struck], 1e-9)
            slip = self._rng.normal(0.0, 0.01 * PUMP_RATE_HZ / (traits.ball_pass_ratio * traits.shaft_hz), len(struck))
            since_s = (np.arange(_RING_LENGTH) + np.maximum(ago + slip, 0.0)[:, None]) / PUMP_RATE_HZ
            load = 0.7 + 0.3 * np.cos(phase[struck])
            omega = 2.0 * np.pi * traits.resonance_hz
            ringing = np.exp(-traits.damping * omega * since_s) * np.sin(
                omega * np.sqrt(1.0 - traits.damping**2) * since_s
            )
            np.add.at(
                out,
                struck[:, None] + np.arange(_RING_LENGTH),
                (traits.bearing * strength[struck] * load * self._rng.uniform(0.8, 1.2, len(struck)))[:, None]
                * ringing,
            )
        self._ring = out[len(phase) :]
        return out[: len(phase)]
