"""Label events as JSON, many at once: the bytes of ``LabelEvent.model_dump_json`` without building the model.

What does not change for a device, for a grid of windows and for a model is written once; numbers are written by orjson.
That the bytes are the same as those of ``signals.label_event`` is what the tests of this file hold it to.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import orjson

from edge_agent.engine import Pipeline
from edge_agent.shell.model import Answers, Model
from schemas import LabelState, format_timestamp, topic_for
from schemas.label import ModelRef
from signals import ClosedWindow
from signals.grid import point_time_ns
from signals.verdict import label_state

_MICRO = 1e6
_HELD_WINDOWS = 4096


Verdict = tuple[str | None, LabelState, bytes, float | None, float | None]
"""What is said of one window: label, state, the part of the JSON that says it; and confidence and novelty."""


class DeviceText:
    """What the labels of one device have in common, and what was said last.

    Attributes
    ----------
    head, middle : bytes
        The JSON up to the window index in the id; and from there to the time.
    label_topic, event_topic : str
    said : tuple of (label, state), or None
    """

    __slots__ = ("event_topic", "head", "label_topic", "middle", "said")

    def __init__(self, gateway: str, pipeline: str, device: str, model: str) -> None:
        self.label_topic = topic_for("label", gateway=gateway, device=device)
        self.event_topic = topic_for("event", gateway=gateway, device=device)
        self.head = b'{"schema":"label/1","id":' + orjson.dumps(f"{device}/{model}/")[:-1]
        facts = orjson.dumps({"gateway": gateway, "device": device, "pipeline": pipeline})
        self.middle = b'",' + facts[1:-1] + b',"ts":"'
        self.said: tuple[str | None, str] | None = None


class LabelJson:
    """Writes the labels of one pipeline.

    Parameters
    ----------
    gateway : str
    pipeline : Pipeline
    model : Model
    max_devices : int
        Devices whose text and last label are kept; the one that was silent longest goes first.
    before : LabelJson or None
        Whose place this one takes, with another model: what was said last stays known.
    """

    def __init__(
        self, gateway: str, pipeline: Pipeline, model: Model, max_devices: int, before: LabelJson | None = None
    ) -> None:
        self._gateway = gateway
        self._pipeline = pipeline.name
        self._spec = pipeline.spec
        self._card = model.card
        self._max_devices = max_devices
        self._devices: OrderedDict[str, DeviceText] = OrderedDict()
        self._windows: dict[int, bytes] = {}
        ref = ModelRef(name=self._card.name, version=self._card.version, digest=model.digest)
        self._tail = b',"model":' + ref.model_dump_json().encode() + b"}"
        self._whole = _quality(self._spec.window_length, 1.0, 0.0, (), ())
        self._incomplete: Verdict = (None, "incomplete", _outcome(None, None, None, None, "incomplete"), None, None)
        if before is not None:
            for name, text in before._devices.items():  # noqa: SLF001 - its own kind
                self.device(name).said = text.said

    def device(self, name: str) -> DeviceText:
        """The text of a device, which is from now on the newest."""
        text = self._devices.get(name)
        if text is None:
            text = self._devices[name] = DeviceText(self._gateway, self._pipeline, name, self._card.ref)
            if len(self._devices) > self._max_devices:
                self._devices.popitem(last=False)
        else:
            self._devices.move_to_end(name)
        return text

    def verdicts(self, answers: Answers) -> list[Verdict | None]:
        """What is said of each window that the model answered; None where the answer is no number.

        Probabilities and novelty are rounded to six places, ties to even, as ``round`` does: a float32 times a million
        is exact in float64.
        """
        probabilities, novelty = answers
        finite = np.isfinite(probabilities).all(axis=1) & np.isfinite(novelty)
        rounded = (np.rint(np.where(finite[:, None], probabilities, 0.0).astype(np.float64) * _MICRO) / _MICRO).tolist()
        far = (np.rint(np.maximum(np.where(finite, novelty, 0.0), 0.0).astype(np.float64) * _MICRO) / _MICRO).tolist()
        best = probabilities.argmax(axis=1).tolist()
        raw, raw_novelty = probabilities.max(axis=1).tolist(), novelty.tolist()
        card, classes, found = self._card, self._card.classes, list[Verdict | None]()
        for row, index, confidence, exact, distance, good in zip(
            rounded, best, raw, raw_novelty, far, finite.tolist(), strict=True
        ):
            if not good:
                found.append(None)
                continue
            state, label, sure = label_state(card, confidence, exact), classes[index], min(1.0, row[index])
            told = _outcome(label, sure, dict(zip(classes, row, strict=True)), distance, state)
            found.append((label, state, told, sure, distance))
        return found

    @property
    def incomplete(self) -> Verdict:
        """What is said of a window of which too little is there, or that the model could not answer."""
        return self._incomplete

    def payload(self, text: DeviceText, window: ClosedWindow, verdict: Verdict) -> bytes:
        """The label event of one window."""
        index = window.index
        is_whole = window.present >= 1.0 and not window.stuck and not window.clipped
        return b"".join(
            (
                text.head,
                b"%d" % index,
                text.middle,
                self._windows.get(index) or self._window(index),
                self._whole
                if is_whole and window.n_samples == self._spec.window_length
                else _quality(
                    window.n_samples, window.present, window.longest_gap_s, window.stuck, window.clipped
                ),
                verdict[2],
                self._tail,
            )
        )

    # ------------------------------------------------------------------ the parts

    def _window(self, index: int) -> bytes:
        """From the time of the event to the end of the window's times; all devices share the grid."""
        first, rate = index * self._spec.hop_length, self._spec.sampling_rate_hz
        start = format_timestamp(point_time_ns(first, rate))
        end = format_timestamp(point_time_ns(first + self._spec.window_length, rate))
        if len(self._windows) >= _HELD_WINDOWS:
            self._windows.clear()
        part = f'{end}","window":{{"index":{index},"start":"{start}","end":"{end}",'.encode()
        self._windows[index] = part
        return part


def _quality(
    n_samples: int, present: float, longest_gap_s: float, stuck: tuple[str, ...], clipped: tuple[str, ...]
) -> bytes:
    facts: dict[str, Any] = {
        "n_samples": n_samples,
        "quality": {
            "present": round(present, 4),
            "longest_gap_s": round(longest_gap_s, 6),
            "stuck": stuck,
            "clipped": clipped,
        },
    }
    return orjson.dumps(facts)[1:] + b","


def _outcome(
    label: str | None,
    confidence: float | None,
    probabilities: dict[str, float] | None,
    novelty: float | None,
    state: LabelState,
) -> bytes:
    outcome = {
        "label": label,
        "confidence": confidence,
        "probabilities": probabilities,
        "novelty": novelty,
        "state": state,
    }
    return orjson.dumps(outcome)[1:-1]
