"""From the engine's events to the messages that go out: one forward pass per burst, then labels, changes and gaps."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from edge_agent.engine import Event, Gap, Rejected, WindowReady
from edge_agent.shell.assembly import Assembled
from edge_agent.shell.delivery import Outgoing
from edge_agent.shell.journal import RateLimit
from edge_agent.shell.label_json import EVENT_RETAINED, LABEL_RETAINED, LabelJson, Verdict
from edge_agent.shell.model import CHUNK_WINDOWS
from schemas import ROUTES, GapEvent, format_timestamp, topic_for
from signals import FloatArray

log = logging.getLogger(__name__)

GapReason = Literal["no_samples", "restart", "clock_step", "evicted"]
_GAP_REASON: dict[str, GapReason] = {reason: reason for reason in get_args(GapReason)}


class _Ready:
    """One pipeline at work: its windows of this burst, and the one array in which they go to the model."""

    __slots__ = ("assembled", "batch", "json", "min_present", "waiting")

    def __init__(self, gateway: str, assembled: Assembled, max_devices: int) -> None:
        spec = assembled.pipeline.spec
        self.assembled = assembled
        self.json = LabelJson(gateway, assembled, max_devices)
        self.min_present = spec.min_present
        self.batch: FloatArray = np.empty((CHUNK_WINDOWS, len(spec.channels), spec.window_length), dtype=np.float32)
        self.waiting: list[tuple[int, WindowReady]] = []


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
    """

    def __init__(self, gateway: str, pipelines: Sequence[Assembled], max_devices: int) -> None:
        self._gateway = gateway
        self._ready = {assembled.pipeline.name: _Ready(gateway, assembled, max_devices) for assembled in pipelines}
        self._limit = RateLimit()
        self.windows: Counter[str] = Counter()

    def messages(self, events: Sequence[Event], since_ns: int = 0) -> list[Outgoing]:
        """What goes out for these events, in their order.

        Parameters
        ----------
        events : sequence of Event
        since_ns : int
            When the first message of the burst was received, on the monotonic clock.
        """
        verdicts = self._verdicts(events)
        out: list[Outgoing] = []
        states: list[str] = []
        for position, event in enumerate(events):
            if isinstance(event, WindowReady):
                json = self._ready[event.pipeline].json
                window, device, verdict = event.window, json.device(event.device), verdicts.get(position)
                label, state, _ = verdict = json.incomplete if verdict is None else verdict
                states.append(state)
                payload = json.payload(device, window, verdict)
                key = (event.pipeline, event.device, window.index)
                out.append(
                    Outgoing("label", device.label_topic, payload, retain=LABEL_RETAINED, key=key, since_ns=since_ns)
                )
                if device.said != (label, state):
                    device.said = (label, state)
                    out.append(Outgoing("event", device.event_topic, payload, retain=EVENT_RETAINED, key=key))
            elif isinstance(event, Gap):
                out.append(self._write_gap(event))
            else:
                self._log_refusal(event)
        self.windows.update(states)
        return out

    def _verdicts(self, events: Sequence[Event]) -> dict[int, Verdict]:
        """Forward passes of at most 64 windows over all windows of which enough is there, pipeline by pipeline."""
        verdicts: dict[int, Verdict] = {}
        for position, event in enumerate(events):
            if isinstance(event, WindowReady):
                ready = self._ready[event.pipeline]
                if event.window.present >= ready.min_present:
                    ready.batch[len(ready.waiting)] = event.window.values
                    ready.waiting.append((position, event))
                    if len(ready.waiting) == CHUNK_WINDOWS:
                        self._answer(ready, verdicts)
        for ready in self._ready.values():
            if ready.waiting:
                self._answer(ready, verdicts)
        return verdicts

    def _answer(self, ready: _Ready, verdicts: dict[int, Verdict]) -> None:
        waiting, ready.waiting = ready.waiting, []
        name = ready.assembled.pipeline.name
        try:
            found = ready.json.verdicts(ready.assembled.model.run(ready.batch[: len(waiting)]))
        except Exception as error:  # noqa: BLE001 - a window that the runtime cannot take must not end the agent
            self._fail(name, len(waiting), f"{type(error).__name__}: {error}")
            return
        for (position, _), verdict in zip(waiting, found, strict=True):
            if verdict is not None:
                verdicts[position] = verdict
        n_failed = found.count(None)
        if n_failed:
            self._fail(name, n_failed, "finite probabilities expected, got NaN or infinity")

    def _fail(self, pipeline: str, n_windows: int, problem: str) -> None:
        self.windows["failed"] += n_windows
        if self._limit.admits(f"model {pipeline}") is not None:
            log.error(
                "pipeline %s: the model does not answer %d windows: %s",
                pipeline,
                n_windows,
                " ".join(problem.split())[:300],
            )

    def _write_gap(self, event: Gap) -> Outgoing:
        gap = GapEvent(
            gateway=self._gateway,
            device=event.device,
            pipeline=event.pipeline,
            model=self._ready[event.pipeline].assembled.model.card.ref,
            first_index=event.first_index,
            last_index=event.last_index,
            start=format_timestamp(event.start_ns),
            end=format_timestamp(event.end_ns),
            reason=_GAP_REASON[event.reason],
        )
        key = (event.pipeline, event.device, event.last_index)
        topic = topic_for("gap", gateway=self._gateway, device=event.device)
        payload = gap.model_dump_json(by_alias=True).encode()
        return Outgoing("gap", topic, payload, retain=ROUTES["gap"].retain, key=key)

    def _log_refusal(self, event: Rejected) -> None:
        held_back = self._limit.admits(event.reason)
        if held_back is not None:
            also = f" ({held_back} more of this kind)" if held_back else ""
            log.warning("message refused, %s: %r: %s%s", event.reason, event.topic[:128], event.detail, also)
