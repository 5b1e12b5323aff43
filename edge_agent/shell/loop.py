"""The one loop: read a burst, feed the engine, one forward pass, publish, acknowledge. No second thread, no lock.

Nothing that comes in may end it: what a message causes is caught here, counted and logged. It ends on SIGTERM or
SIGINT, in good order: no new messages, labels on the way brought home, the watermark written, ``offline`` said, the
session left at the broker.
"""

from __future__ import annotations

import hashlib
import logging
import signal
import time
from collections import Counter
from collections.abc import Sequence
from types import FrameType

import numpy as np
import onnxruntime
import orjson
import paho.mqtt
import pydantic

from edge_agent import __version__
from edge_agent.config import AgentConfig
from edge_agent.engine import Engine, Event
from edge_agent.shell.acknowledgements import Acknowledgements
from edge_agent.shell.assembly import Assembled
from edge_agent.shell.barrier import BarrierClock
from edge_agent.shell.delivery import Outbox, Outgoing
from edge_agent.shell.journal import RateLimit
from edge_agent.shell.mqtt_link import BURST_MESSAGES, Inbound, MqttLink
from edge_agent.shell.service import Reloads, Service
from edge_agent.shell.state import StateFile
from edge_agent.shell.tally import Tally
from edge_agent.shell.writer import EventWriter
from edge_agent.workers.share import share_of
from schemas import ROUTES, AgentInfo, AgentMetrics, Availability, PipelineMetrics, format_timestamp, topic_for

log = logging.getLogger(__name__)

_WAIT_S = 0.2
_INBOX_HELD = 10 * BURST_MESSAGES
_DRAIN_S = 5.0
_GOODBYE_S = 2.0
_PACKET_OVERHEAD_BYTES = 16
# Each tells its version itself: asking importlib.metadata would search the disk at every start.
_LIBRARIES = {
    "numpy": np.__version__,
    "onnxruntime": onnxruntime.__version__,
    "orjson": orjson.__version__,
    "paho-mqtt": paho.mqtt.__version__,
    "pydantic": pydantic.VERSION,
}


class Agent:
    """One gateway at work.

    Parameters
    ----------
    config : AgentConfig
    pipelines : sequence of Assembled
    services : sequence of Service
        Called once a turn; whoever made them closes them.
    reloads : Reloads or None
        Counted by whoever reloads, told in the metrics.

    Raises
    ------
    ConfigError
        If a certificate or password file cannot be used.
    OSError
        If the state folder cannot be made.
    """

    def __init__(
        self,
        config: AgentConfig,
        pipelines: Sequence[Assembled],
        services: Sequence[Service] = (),
        reloads: Reloads | None = None,
    ) -> None:
        self._config = config
        self._pipelines = pipelines
        self._services = services
        self._reloads = reloads or Reloads()
        self._state = StateFile(config.gateway.state_dir, config.delivery.state_interval_s)
        self._engine = Engine(
            [assembled.pipeline for assembled in pipelines],
            max_devices=config.limits.devices,
            max_payload_bytes=config.limits.payload_bytes,
            resume=self._state.read(),
        )
        self._barrier_topic = self._topic("barrier")
        offline = Availability(state="offline").model_dump_json().encode()
        self._link = MqttLink(config, [*config.filters(), self._barrier_topic], self._topic("availability"), offline)
        self._owed = Acknowledgements(config.mqtt.max_unacknowledged)
        self._outbox = Outbox(
            limit=config.limits.outbox_labels,
            attempts=config.delivery.attempts,
            retry_max_s=config.delivery.retry_max_s,
            patience_s=config.delivery.consumer_patience_s,
        )
        self._barrier = BarrierClock()
        self._writer = EventWriter(config.gateway.id, pipelines, config.limits.devices)
        self._limit = RateLimit()
        self._dead_letters: Counter[str] = Counter()
        self._epoch = 0
        self._needs_carry = any(assembled.needs_carry for assembled in pipelines)
        self._durable_below = 0
        self._started_ns = time.time_ns()
        self._started_s = time.monotonic()
        self._next_metrics_s = self._started_s + config.status.metrics_interval_s
        self._is_stopping = False
        self._successor: AgentConfig | None = None
        self._share = share_of(config)
        self._n_of_others = 0

    @property
    def config(self) -> AgentConfig:
        """What this agent was told last."""
        return self._config

    @property
    def pipelines(self) -> Sequence[Assembled]:
        """The pipelines that run now."""
        return self._pipelines

    @property
    def tally(self) -> Tally:
        """What is counted of the windows, and the devices seen last while somebody looks."""
        return self._writer.tally

    @property
    def is_stopping(self) -> bool:
        """Whether SIGTERM or SIGINT came, or :meth:`stop` was called."""
        return self._is_stopping

    @property
    def is_subscribed(self) -> bool:
        """Whether the broker has answered the subscription of this connection."""
        return self._link.is_subscribed

    @property
    def held_back_most(self) -> int:
        """Sensor messages that are held back at most; 0 = none is, this connection cannot promise redelivery."""
        return self._owed.bound

    def troubles(self) -> list[str]:
        """What keeps this agent from its work at this moment, one line each; empty where nothing does."""
        mqtt, found = self._config.mqtt, list[str]()
        if not self._link.is_connected:
            found.append(f"no connection to the broker at {mqtt.host}:{mqtt.port}")
        found += [f"the broker refuses the subscription to {text}" for text in self._link.refused]
        if self._outbox.is_full:
            found.append(f"{self._outbox.waiting} labels wait for the broker: the intake is paused")
        if self._state.problem:
            found.append(f"the watermark cannot be written: {self._state.problem}")
        return found

    def run(self) -> int:
        """Run until SIGTERM or SIGINT, or until a successor takes over; 0 = ended in good order."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        mqtt = self._config.mqtt
        names = ", ".join(f"{assembled.pipeline.name} ({assembled.ref})" for assembled in self._pipelines)
        log.info(
            "edge-agent %s on gateway %s: %s; broker %s:%d",
            __version__,
            self._config.gateway.id,
            names,
            mqtt.host,
            mqtt.port,
        )
        while not self._is_stopping and self._successor is None:
            self._turn(_WAIT_S)
        return self._end()

    def drain(self) -> int:
        """Label what the session holds, close every window, and end; 0 = the broker accepted all of it.

        For a session whose devices go to others: what is open is labelled with the samples that are there. 1 = a signal
        came first; what was not accepted is not acknowledged either.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        while not self._is_stopping and not self._barrier.has_echoed:
            self._turn(_WAIT_S)
        if not self._is_stopping:
            for message in self._writer.messages(self._engine.flush()):
                self._outbox.put(message)
        while not self._is_stopping and (self._engine.n_owed or not self._outbox.is_idle):
            self._turn(_WAIT_S, takes_messages=False)
        is_drained = not self._engine.n_owed and self._barrier.has_echoed
        is_written = self._state.write(self._engine.resume_state(), time.monotonic())
        return self._end() or int(not (is_drained and is_written))

    def stop(self) -> None:
        """End in good order after this turn; may be called by a signal handler."""
        self._is_stopping = True

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stop()

    # ------------------------------------------------------------------ reloading, between two turns

    def swap(self, config: AgentConfig, pipelines: Sequence[Assembled]) -> None:
        """Go on with other models for the same windows: what is open stays open, and is answered by the new ones."""
        self._config, self._pipelines = config, pipelines
        self._writer.swap(pipelines)
        self._say("info", self.info().model_dump_json(by_alias=True))

    def hand_over(self, successor: AgentConfig) -> None:
        """End after this turn for an agent with this configuration, which goes on with the session at the broker.

        What is not labelled by then is not acknowledged, so the broker delivers it again. ``offline`` is said only if
        the successor has another name or another broker.
        """
        self._successor = successor

    # ------------------------------------------------------------------ one turn

    def _turn(self, wait_s: float, *, takes_messages: bool = True) -> None:
        self._link.turn(0.0 if self._link.inbox and takes_messages and not self._outbox.is_full else wait_s)
        now_s = time.monotonic()
        self._hear_broker(now_s)
        # A full outbox pauses the intake, not the reading: PUBACKs come over the same socket.
        if takes_messages and (not self._outbox.is_full or len(self._link.inbox) > _INBOX_HELD):
            self._take_inbox()
        self._send(now_s)
        self._keep_account(now_s)
        if takes_messages:
            self._prove_broker()
            if now_s >= self._next_metrics_s:
                self._next_metrics_s = now_s + self._config.status.metrics_interval_s
                self._publish_metrics(now_s)
        for service in self._services:
            service.turn(now_s)

    def _hear_broker(self, now_s: float) -> None:
        confirmations = self._link.confirmations
        while confirmations:
            mid, reason = confirmations.popleft()
            if not self._barrier.confirmed(mid, time.monotonic_ns()):
                self._outbox.confirmed(mid, reason, now_s)
        if self._link.is_replaced:
            self._link.is_replaced = False
            self._outbox.connection_replaced()
        if self._link.epoch != self._epoch:
            self._epoch = self._link.epoch
            self._owed.connected(self._config.mqtt.max_unacknowledged if self._link.protocol == "5" else 0)
            self._outbox.connected(now_s)
            self._barrier.reset()
            self._say_hello()

    def _take_inbox(self) -> None:
        inbox, events = self._link.inbox, list[Event]()
        first_ns = inbox[0].clock_ns if inbox else 0
        for _ in range(min(len(inbox), BURST_MESSAGES)):
            inbound = inbox.popleft()
            try:
                self._take(inbound, events)
            except Exception as error:  # noqa: BLE001 - the boundary: no message may end the loop (DESIGN decision 3)
                self._bury("internal", f"{inbound.topic!r}: {type(error).__name__}: {error}")
        if events:
            for message in self._writer.messages(events):
                self._outbox.put(message)
            self._writer.tally.handed_over((self._link.clock_ns() - first_ns) / 1e9)

    def _take(self, inbound: Inbound, events: list[Event]) -> None:
        is_ours = (
            inbound.epoch == self._epoch
        )  # an older connection's message is delivered again: owe nothing for this copy
        number = self._owed.received(inbound.mid if is_ours else None)
        if inbound.topic == self._barrier_topic:
            clock_ns = None if inbound.is_retained else self._barrier.echoed(inbound.payload)
            if clock_ns is not None:
                events += self._engine.tick(clock_ns)
            return
        self._barrier.heard()
        if inbound.topic is None:
            self._bury("bad_topic", "a topic in UTF-8 expected")
            return
        if self._share is not None and not self._share.takes(inbound.topic):
            self._n_of_others += 1  # owes no window, so it is acknowledged in its turn
            return
        events += self._engine.receive(
            inbound.topic,
            inbound.payload,
            wall_ns=inbound.wall_ns,
            clock_ns=inbound.clock_ns,
            number=number,
            retained=inbound.is_retained,
        )

    def _send(self, now_s: float) -> None:
        link, outbox = self._link, self._outbox
        if not link.is_connected:
            return
        # One place is kept for the barrier, so that labels cannot hold up the clock.
        room = max(1, link.room - max(1, self._barrier.in_flight))
        while (message := outbox.next(now_s, room)) is not None:
            if len(message.topic) + len(message.payload) + _PACKET_OVERHEAD_BYTES > link.max_packet_bytes:
                self._bury(
                    "too_large_to_publish",
                    f"{message.topic}: at most {link.max_packet_bytes} bytes expected by the broker",
                )
                outbox.give_up(message, "too_large")
                continue
            mid = link.publish(message.topic, message.payload, qos=1, retain=outbox.is_retained(message))
            if mid is None:
                outbox.not_sent(message)
                return
            outbox.sent(mid, message)

    def _keep_account(self, now_s: float) -> None:
        outbox = self._outbox
        if outbox.settled:
            for pipeline, device, index in outbox.settled:
                self._engine.accepted(pipeline, device, index)
            outbox.settled.clear()
        labelled_below = self._engine.acknowledgeable(self._owed.next_number)
        # Windows of hold and linear build on samples before them: those may go only once the disk holds what they left.
        if self._state.is_due(now_s) and self._state.write(self._engine.resume_state(), now_s):
            self._durable_below = labelled_below
        early = self._owed.early
        self._link.acknowledge(self._owed.release(self._durable_below if self._needs_carry else labelled_below))
        if self._owed.early > early and self._link.protocol == "5":
            self._warn_early(self._owed.early - early)

    def _warn_early(self, n_messages: int) -> None:
        text = (
            "%d messages acknowledged before their windows were labelled: more than %d are open; "
            "shorter windows or deadlines, or fewer devices on one agent, would keep the delivery promise"
        )
        self._limit.say(log, logging.WARNING, "early", text, n_messages, self._owed.bound)

    def _prove_broker(self) -> None:
        link, now_ns = self._link, time.monotonic_ns()
        if not link.is_connected:
            return
        if self._barrier.is_stalled(now_ns) and len(self._owed):
            self._barrier.reset()
            n_owed = self._owed.halve_bound()
            log.warning(
                "the broker delivers nothing beyond %d unacknowledged messages; keeping below that from now on", n_owed
            )
        if self._barrier.is_due(now_ns) and self._outbox.in_flight + self._barrier.in_flight < link.room:
            mid = link.publish(
                self._barrier_topic, self._barrier.next_payload(now_ns, link.clock_ns()), qos=1, retain=False
            )
            if mid is not None:
                self._barrier.sent(mid, now_ns)

    def _bury(self, reason: str, detail: str) -> None:
        """Count a message that could not be used, and log one line of its kind now and then."""
        self._dead_letters[reason] += 1
        said = " ".join(detail.split())[:300]
        self._limit.say(log, logging.WARNING, reason, "dead letter, %s: %s", reason, said)

    # ------------------------------------------------------------------ what the agent says of itself

    def _topic(self, route: str) -> str:
        gateway = self._config.gateway
        if gateway.worker is not None and f"worker_{route}" in ROUTES:
            return topic_for(f"worker_{route}", gateway=gateway.id, worker=gateway.worker)
        return topic_for(route, gateway=gateway.id)

    def _say(self, route: str, payload: str) -> None:
        message = Outgoing("status", self._topic(route), payload.encode(), retain=ROUTES[route].retain)
        self._outbox.put(message, is_urgent=True)

    def info(self) -> AgentInfo:
        """What runs on this gateway."""
        return AgentInfo(
            gateway=self._config.gateway.id,
            agent_version=__version__,
            protocol=f"MQTT {self._link.protocol}",
            started=format_timestamp(self._started_ns),
            config_sha256=hashlib.sha256(self._config.digest_source().encode()).hexdigest(),
            pipelines=[assembled.info for assembled in self._pipelines],
            libraries=_LIBRARIES,
        )

    def _say_hello(self) -> None:
        self._say("info", self.info().model_dump_json(by_alias=True))
        self._say("availability", Availability(state="online").model_dump_json())

    def metrics(self, now_s: float) -> AgentMetrics:
        """All counters at this moment, as one value that does not change."""
        counters, outbox, tally = self._engine.counters, self._outbox, self._writer.tally
        return AgentMetrics(
            gateway=self._config.gateway.id,
            ts=format_timestamp(time.time_ns()),
            uptime_s=round(now_s - self._started_s, 3),
            messages_received=counters.messages,
            messages_rejected=dict(Counter(counters.rejected) + self._dead_letters),
            samples=counters.samples.placed,
            samples_dropped=counters.dropped,
            windows=dict(self._writer.windows),
            labels_accepted=outbox.accepted,
            labels_retried=outbox.retried,
            labels_dropped=dict(outbox.dropped),
            captures_accepted=outbox.captured,
            gaps=counters.gaps,
            devices=self._engine.n_devices,
            devices_evicted=counters.evicted,
            unacknowledged=len(self._owed),
            acknowledged_early=self._owed.early,
            messages_of_others=self._n_of_others,
            reconnects=max(0, self._epoch - 1),
            connected=self._link.is_connected,
            outbox=outbox.waiting,
            outbox_bytes=outbox.waiting_bytes,
            last_window_ts=tally.last_window_s,
            inference_seconds=tally.inference.value,
            latency_seconds=tally.latency.value,
            pipelines={
                name: PipelineMetrics(
                    devices=counters.devices_of.get(name, 0),
                    messages=n_messages,
                    rejected=dict(tally.rejected.get(name, {})),
                    labels=dict(tally.labels.get(name, {})),
                    gaps=tally.gaps[name],
                )
                for name, n_messages in counters.messages_of.items()
            },
            reloads=dict(self._reloads.done),
            reloads_refused=self._reloads.refused,
            state_free_bytes=self._state.free_bytes,
        )

    def _publish_metrics(self, now_s: float) -> None:
        route = ROUTES["metrics"]
        payload = self.metrics(now_s).model_dump_json(by_alias=True).encode()
        self._link.publish(self._topic("metrics"), payload, qos=route.qos, retain=route.retain)

    # ------------------------------------------------------------------ the end

    def _end(self) -> int:
        log.info("stopping: %d labels on the way", self._outbox.in_flight)
        is_drained = self._drain(_DRAIN_S)
        now_s = time.monotonic()
        if not self._state.write(self._engine.resume_state(), now_s):
            is_drained = False
        self._keep_account(now_s)
        if self._link.is_connected:
            self._publish_metrics(now_s)
            successor = None if self._is_stopping else self._successor
            if successor is None or not _same_session(self._config, successor):
                self._say("availability", Availability(state="offline").model_dump_json())
            else:
                kept = successor.filters()
                self._link.unsubscribe([text for text in self._config.filters() if text not in kept])
            self._drain(_GOODBYE_S)
        self._link.close(time.monotonic() + _GOODBYE_S)
        log.info("stopped%s", "" if is_drained else "; what was not confirmed is labelled again at the next start")
        return 0

    def _drain(self, longest_s: float) -> bool:
        """Bring home what is on the way; False if the time was up or there is no broker."""
        until_s = time.monotonic() + longest_s
        while self._link.is_connected and not self._outbox.is_idle and time.monotonic() < until_s:
            self._turn(0.02, takes_messages=False)
        return self._outbox.is_idle


def _same_session(before: AgentConfig, after: AgentConfig) -> bool:
    """Whether both speak under the same name, over the same session of the same broker."""
    return (before.gateway.id, before.client_id, before.mqtt.host, before.mqtt.port) == (
        after.gateway.id,
        after.client_id,
        after.mqtt.host,
        after.mqtt.port,
    )
