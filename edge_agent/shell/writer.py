"""From the engine's events to the messages that go out: one forward pass per burst, then labels, changes and gaps."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from edge_agent.engine import Event, Gap, Rejected, WindowReady
from edge_agent.shell.assembly import Assembled
from edge_agent.shell.captures import capture_of
from edge_agent.shell.journal import RateLimit
from edge_agent.shell.label_json import LabelJson, Verdict
from edge_agent.shell.model import CHUNK_WINDOWS, Model
from edge_agent.shell.outgoing import Kind, Outgoing, WindowKey
from edge_agent.shell.tally import Tally
from schemas import ROUTES, GapEvent, format_timestamp, topic_for
from signals import FloatArray

log = logging.getLogger(__name__)

GapReason = Literal["no_samples", "restart", "clock_step", "evicted", "internal"]
_GAP_REASON: dict[str, GapReason] = {reason: reason for reason in get_args(GapReason)}
_LABEL_RETAINED = ROUTES["label"].retain
_EVENT_RETAINED = ROUTES["event"].retain


class _Ready:
    """One pipeline at work: its model, the text of its labels, and the one array in which windows go to the model."""

    __slots__ = ("assembled", "batch", "json", "labels", "model", "newest", "spec", "waiting")

    def __init__(self, gateway: str, assembled: Assembled, max_devices: int, before: _Ready | None = None) -> None:
        self.assembled = assembled
        self.model: Model | None = assembled.model
        self.spec = assembled.pipeline.spec
        n_windows = CHUNK_WINDOWS if self.model else 0
        self.json: LabelJson | None = None
        if self.model is not None:
            said = before.json if before else None
            self.json = LabelJson(gateway, assembled.pipeline, self.model, max_devices, said)
        shape = (n_windows, len(self.spec.channels), self.spec.window_length)
        self.batch: FloatArray = np.empty(shape, dtype=np.float32)
        self.waiting: list[int] = []
        self.labels: list[str | None] = []
        self.newest = 0


class EventWriter:
    """Turns events into outgoing messages.

    Parameters
    ----------
    gateway : str
    pipelines : sequence of Assembled
    max_devices : int
        Devices of a pipeline whose last label is remembered, to tell a change.

    Attributes
    ----------
    windows : Counter
        Labels by state; ``failed`` counts windows that the model could not answer.
    tally : Tally
        What else is counted of them.
    """

    def __init__(self, gateway: str, pipelines: Sequence[Assembled], max_devices: int) -> None:
        self._gateway = gateway
        self._max_devices = max_devices
        self._ready = {assembled.pipeline.name: _Ready(gateway, assembled, max_devices) for assembled in pipelines}
        self._limit = RateLimit()
        self.windows: Counter[str] = Counter()
        self.tally = Tally()

    def swap(self, pipelines: Sequence[Assembled]) -> None:
        """Answer with these models from now on; pipelines and windows are the same as before."""
        self._ready = {
            assembled.pipeline.name: _Ready(
                self._gateway, assembled, self._max_devices, self._ready.get(assembled.pipeline.name)
            )
            for assembled in pipelines
        }

    def messages(self, events: Sequence[Event], since_ns: int = 0) -> list[Outgoing]:
        """What goes out for these events, in their order.

        Parameters
        ----------
        events : sequence of Event
        since_ns : int
            When the first message of the burst was received, on the monotonic clock; 0 = not measured.
        """
        verdicts = self._verdicts(events)
        out: list[Outgoing] = []
        states: list[str] = []
        for position, event in enumerate(events):
            if isinstance(event, WindowReady):
                ready = self._ready[event.pipeline]
                if ready.json is None:
                    out.append(self._write_capture(ready, event, states))
                else:
                    self._write_label(ready, ready.json, event, verdicts.get(position), out, states, since_ns)
            elif isinstance(event, Gap):
                out.append(self._write_gap(event))
            else:
                self._log_refusal(event)
        if states:
            self.windows.update(states)
            for name, ready in self._ready.items():
                if ready.labels:
                    self.tally.windows(name, ready.spec, ready.newest, ready.labels)
                    ready.labels = []
        return out

    def _verdicts(self, events: Sequence[Event]) -> dict[int, Verdict]:
        """Forward passes of at most 64 windows over all windows of which enough is there, pipeline by pipeline."""
        verdicts: dict[int, Verdict] = {}
        for position, event in enumerate(events):
            if isinstance(event, WindowReady):
                ready = self._ready[event.pipeline]
                if ready.model is not None and event.window.present >= ready.spec.min_present:
                    ready.batch[len(ready.waiting)] = event.window.values
                    ready.waiting.append(position)
                    if len(ready.waiting) == CHUNK_WINDOWS:
                        self._answer(ready, verdicts)
        for ready in self._ready.values():
            if ready.waiting:
                self._answer(ready, verdicts)
        return verdicts

    def _answer(self, ready: _Ready, verdicts: dict[int, Verdict]) -> None:
        waiting, ready.waiting = ready.waiting, []
        name, model, json = ready.assembled.pipeline.name, ready.model, ready.json
        if model is None or json is None:
            return
        started_ns = time.perf_counter_ns()
        try:
            answers = model.run(ready.batch[: len(waiting)])
        except Exception as error:  # noqa: BLE001 - a window that the runtime cannot take must not end the agent
            self._fail(name, len(waiting), f"{type(error).__name__}: {error}")
            return
        self.tally.inference.add((time.perf_counter_ns() - started_ns) / 1e9)
        found = json.verdicts(answers)
        verdicts.update({at: verdict for at, verdict in zip(waiting, found, strict=True) if verdict is not None})
        n_failed = found.count(None)
        if n_failed:
            self._fail(name, n_failed, "finite probabilities expected, got NaN or infinity")

    def _fail(self, pipeline: str, n_windows: int, problem: str) -> None:
        self.windows["failed"] += n_windows
        said = " ".join(problem.split())[:300]
        reason, text = f"model {pipeline}", "pipeline %s: the model does not answer %d windows: %s"
        self._limit.say(log, logging.ERROR, reason, text, pipeline, n_windows, said)

    def _write_capture(self, ready: _Ready, event: WindowReady, states: list[str]) -> Outgoing:
        gateway, pipeline, device, index = self._gateway, event.pipeline, event.device, event.window.index
        capture = capture_of(ready.spec, event.window, gateway=gateway, pipeline=pipeline, device=device)
        states.append(capture.state)
        ready.labels.append(None)
        ready.newest = index
        if self.tally.is_watched:
            self.tally.window(event, ready.spec, (None, capture.state, None, None))
        payload = capture.model_dump_json(by_alias=True).encode()
        return self._outgoing("capture", device, payload, (pipeline, device, index))

    def _write_label(  # noqa: PLR0917 - one window, its answer, and where both go
        self,
        ready: _Ready,
        json: LabelJson,
        event: WindowReady,
        verdict: Verdict | None,
        out: list[Outgoing],
        states: list[str],
        since_ns: int,
    ) -> None:
        pipeline, name, window = event.pipeline, event.device, event.window
        label, state, _, confidence, novelty = verdict = verdict or json.incomplete
        states.append(state)
        ready.labels.append(label)
        ready.newest = window.index
        if self.tally.is_watched:
            self.tally.window(event, ready.spec, (label, state, confidence, novelty))
        device, key = json.device(name), (pipeline, name, window.index)
        payload = json.payload(device, window, verdict)
        out.append(Outgoing("label", device.label_topic, payload, _LABEL_RETAINED, key, since_ns=since_ns))
        if device.said != (label, state):
            device.said = (label, state)
            out.append(Outgoing("event", device.event_topic, payload, _EVENT_RETAINED, key))

    def _write_gap(self, event: Gap) -> Outgoing:
        self.tally.gap(event.pipeline)
        gap = GapEvent(
            gateway=self._gateway,
            device=event.device,
            pipeline=event.pipeline,
            model=self._ready[event.pipeline].assembled.ref,
            first_index=event.first_index,
            last_index=event.last_index,
            start=format_timestamp(event.start_ns),
            end=format_timestamp(event.end_ns),
            reason=_GAP_REASON[event.reason],
        )
        key = (event.pipeline, event.device, event.last_index)
        return self._outgoing("gap", event.device, gap.model_dump_json(by_alias=True).encode(), key)

    def _outgoing(self, route: Kind, device: str, payload: bytes, key: WindowKey) -> Outgoing:
        topic = topic_for(route, gateway=self._gateway, device=device)
        return Outgoing(route, topic, payload, retain=ROUTES[route].retain, key=key)

    def _log_refusal(self, event: Rejected) -> None:
        self.tally.refusal(event.pipeline, event.reason)
        text = "message refused, %s: %r: %s"
        self._limit.say(log, logging.WARNING, event.reason, text, event.reason, event.topic[:128], event.detail)
