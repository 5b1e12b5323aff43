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

_MICRO = 1e6
NOVEL_ABOVE = 1.0
"""As in ``signals.verdict.label_state``."""

_HELD_WINDOWS = 128


Verdict = tuple[str | None, LabelState, bytes, float | None, float | None]
"""What is said of one window: label, state, the JSON behind its quality; and confidence and novelty."""

_STATES: tuple[LabelState, ...] = ("ok", "unsure", "novel")


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

    Attributes
    ----------
    incomplete : Verdict
        What is said of a window of which too little is there, or that the model could not answer.
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
        self._length = self._spec.window_length
        self._windows: dict[int, tuple[bytes, bytes]] = {}  # all devices share the grid
        ref = ModelRef(name=self._card.name, version=self._card.version, digest=model.digest)
        self._tail = b',"model":' + ref.model_dump_json().encode() + b"}"
        self._templates = [
            (label, state, self._template(label, state)) for label in self._card.classes for state in _STATES
        ]
        self._whole = _quality(self._spec.window_length, 1.0, 0.0, (), ())
        nothing = orjson.dumps({"label": None, "confidence": None, "probabilities": None, "novelty": None})
        self.incomplete: Verdict = (None, "incomplete", self._said(nothing, "incomplete"), None, None)
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

        Numbers are rounded to six places, ties to even, as ``round`` does: a float32 times a million is exact in
        float64. All numbers of a burst are written in one call, and cut at their commas.
        """
        probabilities, novelty = answers
        n_windows, n_classes = probabilities.shape
        n_columns = n_classes + 2
        numbers = np.empty((n_windows, n_columns))
        numbers[:, 1:-1] = probabilities
        numbers[:, 0] = numbers[:, 1:-1].max(axis=1)
        numbers[:, -1] = novelty
        finite = np.isfinite(numbers).all(axis=1)
        is_unsure, is_novel = numbers[:, 0] < self._card.unsure_below, numbers[:, -1] > NOVEL_ABOVE
        chosen = probabilities.argmax(axis=1) * len(_STATES) + np.where(is_novel, 2, is_unsure)
        np.multiply(numbers, _MICRO, out=numbers)
        np.divide(np.rint(numbers, out=numbers), _MICRO, out=numbers)
        np.minimum(numbers[:, 0], 1.0, out=numbers[:, 0])
        np.maximum(numbers[:, -1], 0.0, out=numbers[:, -1])
        texts = orjson.dumps(numbers.ravel(), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")
        templates, found = self._templates, list[Verdict | None]()
        at = 0
        sure, far, good = numbers[:, 0].tolist(), numbers[:, -1].tolist(), np.asarray(finite).tolist()
        for index, confidence, distance, is_finite in zip(chosen.tolist(), sure, far, good, strict=True):
            label, state, template = templates[index]
            stop = at + n_columns
            found.append((label, state, template % tuple(texts[at:stop]), confidence, distance) if is_finite else None)
            at = stop
        return found

    def payload(self, text: DeviceText, window: ClosedWindow, verdict: Verdict) -> bytes:
        """The label event of one window."""
        index = window.index
        number, times = self._windows.get(index) or self._window(index)
        if window.n_samples == self._length and window.present >= 1.0 and not window.stuck and not window.clipped:
            quality = self._whole
        else:
            quality = _quality(window.n_samples, window.present, window.longest_gap_s, window.stuck, window.clipped)
        return b"".join((text.head, number, text.middle, times, quality, verdict[2]))

    # ------------------------------------------------------------------ the parts

    def _window(self, index: int) -> tuple[bytes, bytes]:
        """The index, and the JSON from the time of the event to the end of the window's times."""
        first, rate = index * self._spec.hop_length, self._spec.sampling_rate_hz
        start = format_timestamp(point_time_ns(first, rate))
        end = format_timestamp(point_time_ns(first + self._spec.window_length, rate))
        if len(self._windows) >= _HELD_WINDOWS:
            self._windows.clear()
        times = f'{end}","window":{{"index":{index},"start":"{start}","end":"{end}",'
        parts = self._windows[index] = (b"%d" % index, times.encode())
        return parts

    def _template(self, label: str, state: LabelState) -> bytes:
        """What is said with this label and state; ``%b`` stands for confidence, probabilities and novelty."""
        named = b",".join(orjson.dumps(name).replace(b"%", b"%%") + b":%b" for name in self._card.classes)
        text = orjson.dumps(label).replace(b"%", b"%%")
        said = b'{"label":' + text + b',"confidence":%b,"probabilities":{' + named + b'},"novelty":%b}'
        return self._said(said, state, self._tail.replace(b"%", b"%%"))

    def _said(self, outcome: bytes, state: LabelState, tail: bytes | None = None) -> bytes:
        return outcome[1:-1] + b',"state":"' + state.encode() + b'"' + (self._tail if tail is None else tail)


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
