"""The load of every benchmark: devices with six channels, in three forms of payload, the same bytes for every rival."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from signals import FloatArray

CHANNELS = ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y", "gyro_z")
CLASSES = ("idle", "walking", "running", "climbing", "cycling", "falling")
SAMPLING_RATE_HZ = 50.0
WINDOW_LENGTH = 128
HOP_LENGTH = 64
BATCH_SAMPLES = 64
N_DEVICES = 50

STEP_MS = 20
_GRID_MS = HOP_LENGTH * STEP_MS
START_MS = 1_700_000_000_000 // _GRID_MS * _GRID_MS
"""On the window grid, so that a script that counts samples and an agent that reads times cut the same windows."""

TOPIC = "plant/{device}/motion"

Form = Literal["single", "json", "binary"]
FORMS: dict[Form, str] = {
    "single": "single JSON samples",
    "json": "64-sample JSON batches",
    "binary": "64-sample binary batches",
}

_SEGMENT_SAMPLES = 5 * HOP_LENGTH


def stream(device: int, n_samples: int, seed: int = 0) -> tuple[FloatArray, NDArray[np.int64]]:
    """The samples of a device and their classes: each class has its own frequency and its own mix of channels.

    Returns
    -------
    values : ndarray of shape (n_samples, n_channels), float32
    class_indices : ndarray of shape (n_samples,), int
    """
    classes = np.random.default_rng(99)  # what the classes are is the same for every device
    amplitude = classes.uniform(0.2, 2.0, (len(CLASSES), len(CHANNELS)))
    offset = classes.normal(0.0, 1.0, (len(CLASSES), len(CHANNELS)))
    frequency_hz = np.linspace(0.5, 4.0, len(CLASSES))
    random = np.random.default_rng([seed, device])
    n_segments = -(-n_samples // _SEGMENT_SAMPLES)
    class_indices = np.repeat(random.integers(0, len(CLASSES), n_segments), _SEGMENT_SAMPLES)[:n_samples]
    time_s = np.arange(n_samples) / SAMPLING_RATE_HZ
    phase = 2.0 * np.pi * (frequency_hz[class_indices] * time_s + random.uniform())
    values = offset[class_indices] + amplitude[class_indices] * np.sin(phase)[:, None] * random.uniform(0.9, 1.1)
    values += random.normal(0.0, 0.2, values.shape)
    return np.round(values, 4).astype(np.float32), class_indices


def labelled_windows(n_devices: int, n_windows: int, seed: int = 1) -> tuple[FloatArray, NDArray[np.int64]]:
    """Windows with their majority class: ``(n_devices * n_windows, n_channels, window_length)``."""
    windows, labels = [], []
    for device in range(n_devices):
        values, class_indices = stream(device, HOP_LENGTH * (n_windows - 1) + WINDOW_LENGTH, seed)
        for index in range(n_windows):
            part = slice(index * HOP_LENGTH, index * HOP_LENGTH + WINDOW_LENGTH)
            windows.append(values[part].T)
            labels.append(np.bincount(class_indices[part]).argmax())
    return np.ascontiguousarray(windows, dtype=np.float32), np.array(labels, dtype=np.int64)


def payloads(form: Form, values: FloatArray, first_sample: int = 0) -> list[bytes]:
    """The messages of one device.

    Parameters
    ----------
    form : str
    values : ndarray of shape (n_samples, n_channels), float32
        With batches, a multiple of 64 samples.
    first_sample : int
        Position of the first of them in the stream.
    """
    # Four places, as a sensor's firmware prints them; float32 shows them back exactly.
    rows = np.round(values.astype(np.float64), 4).tolist()
    times_ms = [START_MS + (first_sample + index) * STEP_MS for index in range(len(rows))]
    if form == "single":
        messages = ({"t": t, **dict(zip(CHANNELS, row, strict=True))} for t, row in zip(times_ms, rows, strict=True))
        return [_compact(message) for message in messages]
    starts = range(0, len(rows), BATCH_SAMPLES)
    if form == "binary":
        return [
            struct.pack("<q", times_ms[at]) + values[at : at + BATCH_SAMPLES].astype("<f4").tobytes() for at in starts
        ]
    columns = list(zip(*rows, strict=True))
    return [
        _compact(
            {"t": times_ms[at]}
            | {name: column[at : at + BATCH_SAMPLES] for name, column in zip(CHANNELS, columns, strict=True)}
        )
        for at in starts
    ]


def mapping(form: Form) -> dict[str, Any]:
    """How an agent reads such messages: the table ``pipelines.mapping`` of its configuration."""
    if form == "binary":
        return {
            "format": "binary",
            "header": [{"name": "t", "type": "int64"}],
            "fields": [{"name": name, "type": "float32"} for name in CHANNELS],
            "time": {"field": "t", "unit": "ms"},
        }
    return {"format": "json", "channels": {name: name for name in CHANNELS}, "time": {"path": "t", "unit": "ms"}}


@dataclass(frozen=True, slots=True)
class Load:
    """What one run sends."""

    form: Form
    n_devices: int
    n_samples: int

    @property
    def n_messages(self) -> int:
        """Messages of all devices."""
        return self.n_devices * self.n_samples // (1 if self.form == "single" else BATCH_SAMPLES)

    @property
    def n_windows(self) -> int:
        """Whole windows of all devices."""
        return self.n_devices * ((self.n_samples - WINDOW_LENGTH) // HOP_LENGTH + 1)

    def messages(self) -> list[tuple[str, bytes]]:
        """Topics and payloads of all devices, one message of each device in turn."""
        per_device = [payloads(self.form, stream(device, self.n_samples)[0]) for device in range(self.n_devices)]
        topics = [TOPIC.format(device=device_name(device)) for device in range(self.n_devices)]
        return [pair for turn in zip(*per_device, strict=True) for pair in zip(topics, turn, strict=True)]


def device_name(device: int) -> str:
    """Name of a device in topics."""
    return f"device-{device:02d}"


def _compact(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()
