"""From the engine's events to the messages that go out: one forward pass per burst, then labels, changes and gaps."""

from __future__ import annotations

import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from edge_agent.engine import Event, Gap, Rejected, WindowReady
from edge_agent.shell.assembly import Assembled
from edge_agent.shell.captures import capture_of
from edge_agent.shell.delivery import Kind, Outgoing
from edge_agent.shell.journal import RateLimit
from edge_agent.shell.model import Model
from edge_agent.shell.tally import Tally
from schemas import ROUTES, GapEvent, LabelEvent, format_timestamp, topic_for
from signals import label_event

log = logging.getLogger(__name__)

GapReason = Literal["no_samples", "restart", "clock_step", "evicted"]
_GAP_REASON: dict[str, GapReason] = {reason: reason for reason in get_args(GapReason)}

Answer = tuple[list[float], float]
"""Probabilities and novelty of one window."""


class EventWriter:
    """Turns events into outgoing messages.

    Parameters
    ----------
    gateway : str
    pipelines : sequence of Assembled
    max_devices : int
        Devices whose last label is remembered, to tell a change.

    Attributes
    ----------
    windows : Counter
        Labels by state; ``failed`` counts windows that the model could not answer.
    tally : Tally
        What else is counted of them.
    """

    def __init__(self, gateway: str, pipelines: Sequence[Assembled], max_devices: int) -> None:
        self._gateway = gateway
        self._pipelines = {assembled.pipeline.name: assembled for assembled in pipelines}
        self._max_devices = max_devices
        self._said: OrderedDict[tuple[str, str], tuple[str | None, str]] = OrderedDict()
        self._limit = RateLimit()
        self.windows: Counter[str] = Counter()
        self.tally = Tally()

    def swap(self, pipelines: Sequence[Assembled]) -> None:
        """Answer with these models from now on; pipelines and windows are the same as before."""
        self._pipelines = {assembled.pipeline.name: assembled for assembled in pipelines}

    def messages(self, events: Sequence[Event]) -> list[Outgoing]:
        """What goes out for these events, in their order."""
        answers = self._answers(events)
        out: list[Outgoing] = []
        for position, event in enumerate(events):
            if isinstance(event, WindowReady):
                if (model := self._pipelines[event.pipeline].model) is None:
                    out.append(self._write_capture(event))
                else:
                    self._write_label(event, model, answers.get(position), out)
            elif isinstance(event, Gap):
                out.append(self._write_gap(event))
            else:
                self._log_refusal(event)
        return out

    def _answers(self, events: Sequence[Event]) -> dict[int, Answer]:
        """One batched forward pass per pipeline for all windows of which enough is there."""
        wanted: dict[str, list[tuple[int, WindowReady]]] = {}
        for position, event in enumerate(events):
            if isinstance(event, WindowReady):
                assembled = self._pipelines[event.pipeline]
                if assembled.model is not None and event.window.present >= assembled.pipeline.spec.min_present:
                    wanted.setdefault(event.pipeline, []).append((position, event))
        answers: dict[int, Answer] = {}
        for name, ready in wanted.items():
            model = self._pipelines[name].model
            if model is None:
                continue
            started_ns = time.perf_counter_ns()
            try:
                found = model.run(np.stack([event.window.values for _, event in ready]))
            except Exception as error:  # noqa: BLE001 - a window that the runtime cannot take must not end the agent
                self._fail(name, len(ready), f"{type(error).__name__}: {error}")
                continue
            self.tally.inference.add((time.perf_counter_ns() - started_ns) / 1e9)
            finite = np.isfinite(found.probabilities).all(axis=1) & np.isfinite(found.novelty)
            if not finite.all():
                self._fail(name, int((~finite).sum()), "finite probabilities expected, got NaN or infinity")
            rows = zip(ready, found.probabilities.tolist(), found.novelty.tolist(), finite.tolist(), strict=True)
            answers.update({position: (row, novelty) for (position, _), row, novelty, good in rows if good})
        return answers

    def _fail(self, pipeline: str, n_windows: int, problem: str) -> None:
        self.windows["failed"] += n_windows
        said = " ".join(problem.split())[:300]
        reason, text = f"model {pipeline}", "pipeline %s: the model does not answer %d windows: %s"
        self._limit.say(log, logging.ERROR, reason, text, pipeline, n_windows, said)

    def _write_capture(self, event: WindowReady) -> Outgoing:
        spec = self._pipelines[event.pipeline].pipeline.spec
        capture = capture_of(spec, event.window, gateway=self._gateway, pipeline=event.pipeline, device=event.device)
        self.windows[capture.state] += 1
        self.tally.window(event, spec, capture.state, None, None, None)
        payload = capture.model_dump_json(by_alias=True).encode()
        return self._outgoing("capture", event.device, payload, (event.pipeline, event.device, event.window.index))

    def _write_label(self, event: WindowReady, model: Model, answer: Answer | None, out: list[Outgoing]) -> None:
        label = label_event(
            model.card,
            model.digest,
            gateway=self._gateway,
            pipeline=event.pipeline,
            device=event.device,
            window=event.window,
            probabilities=None if answer is None else answer[0],
            novelty=None if answer is None else answer[1],
        )
        self.windows[label.state] += 1
        spec = self._pipelines[event.pipeline].pipeline.spec
        self.tally.window(event, spec, label.state, label.label, label.confidence, label.novelty)
        payload = label.model_dump_json(by_alias=True).encode()
        key = (event.pipeline, event.device, event.window.index)
        out.append(self._outgoing("label", event.device, payload, key))
        if self._is_change(event, label):
            out.append(self._outgoing("event", event.device, payload, key))

    def _is_change(self, event: WindowReady, label: LabelEvent) -> bool:
        who, what = (event.pipeline, event.device), (label.label, label.state)
        before = self._said.pop(who, None)
        self._said[who] = what
        if len(self._said) > self._max_devices:
            self._said.popitem(last=False)
        return before != what

    def _write_gap(self, event: Gap) -> Outgoing:
        self.tally.gap(event.pipeline)
        gap = GapEvent(
            gateway=self._gateway,
            device=event.device,
            pipeline=event.pipeline,
            model=self._pipelines[event.pipeline].ref,
            first_index=event.first_index,
            last_index=event.last_index,
            start=format_timestamp(event.start_ns),
            end=format_timestamp(event.end_ns),
            reason=_GAP_REASON[event.reason],
        )
        key = (event.pipeline, event.device, event.last_index)
        return self._outgoing("gap", event.device, gap.model_dump_json(by_alias=True).encode(), key)

    def _outgoing(self, route: Kind, device: str, payload: bytes, key: tuple[str, str, int]) -> Outgoing:
        topic = topic_for(route, gateway=self._gateway, device=device)
        return Outgoing(route, topic, payload, retain=ROUTES[route].retain, key=key)

    def _log_refusal(self, event: Rejected) -> None:
        self.tally.refusal(event.pipeline, event.reason)
        text = "message refused, %s: %r: %s"
        self._limit.say(log, logging.WARNING, event.reason, text, event.reason, event.topic[:128], event.detail)
