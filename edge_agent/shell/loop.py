"""The one loop: read a burst, feed the engine, one forward pass, publish, acknowledge. No second thread, no lock.

Nothing that comes in may end it: what a message causes is caught here, counted and logged. It ends on SIGTERM or
SIGINT, in good order: no new messages, labels on the way brought home, the watermark written, ``offline`` said, the
session left at the broker.
"""

from __future__ import annotations

import gc
import logging
import signal
import time
from collections import Counter
from collections.abc import Sequence
from operator import attrgetter
from types import FrameType

from edge_agent import __version__
from edge_agent.config import AgentConfig
from edge_agent.engine import Engine
from edge_agent.shell.acknowledgements import Acknowledgements
from edge_agent.shell.assembly import Assembled
from edge_agent.shell.barrier import BarrierClock
from edge_agent.shell.dead_letters import DeadLetters
from edge_agent.shell.delivery import FAILURE, Outbox
from edge_agent.shell.durable import Durable
from edge_agent.shell.intake import Intake
from edge_agent.shell.journal import RateLimit
from edge_agent.shell.mqtt_link import BURST_MESSAGES, MqttLink
from edge_agent.shell.outgoing import Outgoing
from edge_agent.shell.packets_out import PACKET_OVERHEAD_BYTES
from edge_agent.shell.self_report import SelfReport
from edge_agent.shell.self_test import SelfTest
from edge_agent.shell.service import Reloads, Service
from edge_agent.shell.tally import Tally
from edge_agent.shell.writer import EventWriter
from edge_agent.workers.share import takes_of
from schemas import ROUTES, AgentInfo, AgentMetrics, Availability, topic_for
from schemas.topics import BROKER_DROPPED

log = logging.getLogger(__name__)

_WAIT_S = 0.2
_INBOX_HELD, _INBOX_HELD_BYTES = 10 * BURST_MESSAGES, 32 * 1024 * 1024
_COLLECT_OBJECTS = 100_000
_DRAIN_S = 5.0
_GOODBYE_S = 2.0
_DISK_S = 5.0
_since_ns = attrgetter("since_ns")
_session_of = attrgetter("gateway.id", "client_id", "mqtt.host", "mqtt.port")
"""Under which name an agent speaks, and to which broker: where both are the same, so is the session."""


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
    is_successor : bool
        It goes on where another agent ended without a goodbye; so even if it is stopped at once, it says ``offline``.

    Attributes
    ----------
    leaves_online : bool
        It ended without a goodbye, for a successor: that one has to come, be it only to say ``offline``.

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
        *,
        is_successor: bool = False,
    ) -> None:
        self._config = config
        self._pipelines = pipelines
        self._services = services
        self._disk = Durable(config)
        self._journal = self._disk.journal
        self._engine = Engine(
            [assembled.pipeline for assembled in pipelines],
            max_devices=config.limits.devices,
            max_payload_bytes=config.limits.payload_bytes,
            resume=self._disk.state.read(),
            takes=takes_of(config),
        )
        self._barrier_topic = self._topic("barrier")
        offline = Availability(state="offline").model_dump_json().encode()
        filters = [*config.filters(), self._barrier_topic, *([BROKER_DROPPED] if config.mqtt.watch_drops else [])]
        self._link = MqttLink(config, filters, self._topic("availability"), offline)
        self._owed = Acknowledgements(config.mqtt.max_unacknowledged)
        if self._journal is not None:
            self._owed.next_number = self._journal.next_number
        self._outbox = Outbox(
            limit=config.limits.outbox_labels,
            attempts=config.delivery.attempts,
            retry_max_s=config.delivery.retry_max_s,
            patience_s=config.delivery.consumer_patience_s,
            spool=self._disk.spool,
        )
        self._barrier = BarrierClock()
        self._self_test = SelfTest(self._barrier_topic, config.filters())
        self._writer = EventWriter(config.gateway.id, pipelines, config.limits.devices)
        self._limit = RateLimit()
        self._dead_letters = DeadLetters()
        self._report = SelfReport(
            config,
            engine=self._engine,
            link=self._link,
            owed=self._owed,
            outbox=self._outbox,
            writer=self._writer,
            disk=self._disk,
            self_test=self._self_test,
            reloads=reloads or Reloads(),
            dead_letters=self._dead_letters.counts,
        )
        self._intake = Intake(
            self._barrier_topic,
            engine=self._engine,
            link=self._link,
            owed=self._owed,
            outbox=self._outbox,
            writer=self._writer,
            disk=self._disk,
            barrier=self._barrier,
            self_test=self._self_test,
            dead_letters=self._dead_letters,
        )
        self._epoch = 0
        self._needs_carry = any(assembled.needs_carry for assembled in pipelines)
        self._next_metrics_s = time.monotonic() + config.status.metrics_interval_s
        self._is_stopping = self._is_kept = self.leaves_online = False
        self._is_successor = is_successor
        self._successor: AgentConfig | None = None

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
        return self._report.troubles()

    def info(self) -> AgentInfo:
        """What runs on this gateway."""
        return self._report.info(self._config, self._pipelines)

    def metrics(self, now_s: float) -> AgentMetrics:
        """All counters at this moment, as one value that does not change."""
        return self._report.metrics(now_s)

    def run(self) -> int:
        """Run until SIGTERM or SIGINT, or until a successor takes over; 0 = ended in good order."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        _rest_collector()
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
            self._outbox.put_all(self._writer.messages(self._engine.flush(), 0))
        while not self._is_stopping and (self._engine.n_owed or self._outbox.waiting):
            self._turn(_WAIT_S, takes_messages=False)
        is_drained = not self._engine.n_owed and not self._outbox.waiting and self._barrier.has_echoed
        self._end()
        return int(not (is_drained and self._is_kept))

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
        is_replaying = self._journal is not None and self._journal.is_replaying
        has_work = (self._link.inbox or is_replaying) and takes_messages and not self._outbox.is_full
        self._link.turn(0.0 if has_work else wait_s)
        now_s = time.monotonic()
        self._hear_broker(now_s)
        # A full outbox pauses the intake, not the reading: PUBACKs come over the same socket. What is read meanwhile
        # has a bound, above which labels go to the disk.
        is_inbox_full = self._link.n_waiting > _INBOX_HELD or self._link.waiting_bytes > _INBOX_HELD_BYTES
        if takes_messages and (not self._outbox.is_full or is_inbox_full):
            if is_replaying:
                self._intake.take_journal()
            else:
                self._intake.take_inbox(self._epoch)
        self._send(now_s)
        self._keep_account(now_s)
        if takes_messages:
            self._prove_broker()
            if now_s >= self._next_metrics_s:
                self._next_metrics_s = now_s + self._config.status.metrics_interval_s
                self._publish_metrics(now_s)
        self._disk.turn(now_s)
        if self._disk.alarms.is_changed and self._link.is_connected:
            self._say_alarms()
        self._link.flush()
        for service in self._services:
            service.turn(now_s)

    def _hear_broker(self, now_s: float) -> None:
        link, outbox = self._link, self._outbox
        if link.accepted:
            mids, link.accepted = link.accepted, []
            now_ns = time.monotonic_ns()
            self._barrier.confirmed_among(mids, now_ns)
            confirmed = self._writer.tally.confirmed
            outbox.accepted_all(mids, now_s, lambda since_ns, n: confirmed.add((now_ns - since_ns) / 1e9, n))
        if link.not_accepted:
            refusals, link.not_accepted = link.not_accepted, []
            for mid, reason in refusals:
                if reason < FAILURE:
                    self._barrier.confirmed(mid, time.monotonic_ns())
                elif (topic := outbox.topic_of(mid)) is not None:
                    self._barrier.refused(mid)
                    self._self_test.refused(topic, reason)
                outbox.confirmed(mid, reason, now_s)
        if link.is_replaced:
            link.is_replaced = False
            if not link.is_fast:
                outbox.connection_replaced()
        if link.epoch != self._epoch:
            self._epoch = link.epoch
            self._owed.connected(self._config.mqtt.max_unacknowledged if link.protocol == "5" else 0)
            if link.is_fast:
                outbox.connection_replaced(keeps_session=link.has_session)
            outbox.connected(now_s)
            self._barrier.reset()
            if self._journal is not None:
                self._journal.connected(is_session_kept=link.has_session)
            self._self_test.connected(now_s)
            self._say_hello()

    def _send(self, now_s: float) -> None:
        link, outbox = self._link, self._outbox
        if not link.is_connected:
            return
        # One place is kept for the barrier, so that labels cannot hold up the clock.
        room = max(1, link.room - (not self._barrier.in_flight))
        if not link.is_fast:
            self._send_one_by_one(now_s, room)
            return
        messages = outbox.take(now_s, room)
        if not messages:
            return
        for message in link.send(messages, newest=outbox.newest_of(messages)):
            self._bury_too_large(message)
            outbox.withdraw(message)
            outbox.give_up(message, "too_large")
        self._handed_over(messages)

    def _send_one_by_one(self, now_s: float, room: int) -> None:
        """Through stock paho, which gives the identifiers and keeps what is in flight."""
        link, outbox, sent = self._link, self._outbox, list[Outgoing]()
        while (message := outbox.next(now_s, room)) is not None:
            if len(message.topic) + len(message.payload) + PACKET_OVERHEAD_BYTES > link.max_packet_bytes:
                self._bury_too_large(message)
                outbox.give_up(message, "too_large")
                continue
            mid = link.publish(message.topic, message.payload, qos=1, retain=outbox.is_retained(message))
            if mid is None:
                outbox.not_sent(message)
                break
            outbox.sent(mid, message)
            sent.append(message)
        self._handed_over(sent)

    def _handed_over(self, messages: list[Outgoing]) -> None:
        """Measure how long labels took to get here; those of one burst are counted at once."""
        now_ns, tally = time.monotonic_ns(), self._writer.tally
        for since_ns, n_labels in Counter(map(_since_ns, messages)).items():
            if since_ns:
                tally.handed_over((now_ns - since_ns) / 1e9, n_labels)

    def _bury_too_large(self, message: Outgoing) -> None:
        most = self._link.max_packet_bytes
        self._dead_letters.bury("too_large_to_publish", f"{message.topic}: at most {most} bytes expected by the broker")

    def _keep_account(self, now_s: float) -> None:
        outbox = self._outbox
        outbox.keep_safe(now_s, held_too=self._owed.early > 0)
        if outbox.settled:
            self._engine.accepted_many(outbox.settled)
            outbox.settled.clear()
        labelled_below = self._engine.acknowledgeable(self._owed.next_number)
        # Windows of hold and linear build on samples before them: those may go only once the disk holds what they left.
        state, journal = self._disk.state, self._journal
        if state.is_due(now_s):
            state.put(self._engine.resume_changes(), self._engine.resume_state, labelled_below, now_s)
        safe_below = min(labelled_below, state.durable_mark) if self._needs_carry else labelled_below
        early = self._owed.early
        if journal is None:
            self._link.acknowledge(self._owed.release(safe_below))
        else:
            journal.turn(now_s)
            if self._disk.is_journalling:
                committed_below = journal.committed_below(self._owed.next_number)
                self._link.acknowledge(self._owed.release(committed_below))
                journal.acknowledged(committed_below, now_s)
            else:
                self._link.acknowledge(self._owed.release(safe_below))
                journal.acknowledged(self._owed.next_number, now_s)
            journal.remove_below(safe_below, now_s)
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
            self._self_test.lost()
            return
        self._self_test.turn(now_ns / 1e9)
        if self._barrier.is_stalled(now_ns) and len(self._owed) and self._self_test.state == "passed":
            self._barrier.reset()
            n_owed = self._owed.halve_bound()
            log.warning(
                "the broker delivers nothing beyond %d unacknowledged messages; keeping below that from now on", n_owed
            )
        if self._barrier.is_due(now_ns) and self._outbox.in_flight < link.room:
            payload = self._barrier.next_payload(now_ns, link.clock_ns())
            message = Outgoing("barrier", self._barrier_topic, payload)
            if link.is_fast:
                mid = message.mid = self._outbox.new_mid()
                link.send([message], newest=[False])
            else:
                taken = link.publish(self._barrier_topic, payload, qos=1, retain=False)
                if taken is None:
                    return
                mid = taken
            self._outbox.sent(mid, message)
            self._barrier.sent(mid, now_ns)

    # ------------------------------------------------------------------ what the agent says of itself

    def _topic(self, route: str) -> str:
        gateway = self._config.gateway
        if gateway.worker is not None and f"worker_{route}" in ROUTES:
            return topic_for(f"worker_{route}", gateway=gateway.id, worker=gateway.worker)
        return topic_for(route, gateway=gateway.id)

    def _say(self, route: str, payload: str) -> None:
        message = Outgoing("status", self._topic(route), payload.encode(), retain=ROUTES[route].retain)
        self._outbox.put(message, is_urgent=True)

    def _say_hello(self) -> None:
        self._say("info", self.info().model_dump_json(by_alias=True))
        self._say("availability", Availability(state="online").model_dump_json())
        self._say_alarms()

    def _say_alarms(self) -> None:
        self._say("alarm", self._disk.alarms.take().model_dump_json(by_alias=True))

    def _publish_metrics(self, now_s: float) -> None:
        route = ROUTES["metrics"]
        payload = self.metrics(now_s).model_dump_json(by_alias=True).encode()
        self._link.publish(self._topic("metrics"), payload, qos=route.qos, retain=route.retain)

    # ------------------------------------------------------------------ the end

    def _end(self) -> int:
        log.info("stopping: %d labels on the way", self._outbox.in_flight)
        until_s = time.monotonic() + _GOODBYE_S
        while self._is_successor and not self._epoch and time.monotonic() < until_s:
            self._turn(0.02, takes_messages=False)
        is_drained = self._drain(_DRAIN_S)
        now_s = time.monotonic()
        self._outbox.keep_safe(now_s, all_of_it=True)
        is_drained = (self._disk.close_stores(_DISK_S) and self._disk.spool is not None) or is_drained
        self._keep_account(now_s)
        is_drained = self._disk.state.close(self._engine.resume_state, self._owed.next_number, _DISK_S) and is_drained
        self._is_kept = is_drained
        self._keep_account(now_s)
        if self._link.is_connected:
            self._publish_metrics(now_s)
            self._say_goodbye()
        self._link.close(time.monotonic() + _GOODBYE_S)
        self._disk.close(_DISK_S)
        log.info("stopped%s", "" if is_drained else "; what was not confirmed is labelled again at the next start")
        return 0

    def _say_goodbye(self) -> None:
        successor = self._successor
        is_followed = successor is not None and _session_of(self._config) == _session_of(successor)
        if successor is not None and is_followed:
            kept = successor.filters()
            self._link.unsubscribe([text for text in self._config.filters() if text not in kept])
            self._drain(_GOODBYE_S)
        self.leaves_online = is_followed and not self._is_stopping
        if not self.leaves_online:
            self._say("availability", Availability(state="offline").model_dump_json())
            self._drain(_GOODBYE_S)

    def _drain(self, longest_s: float) -> bool:
        """Bring home what is on the way; False if the time was up or there is no broker."""
        until_s = time.monotonic() + longest_s
        while self._link.is_connected and not self._outbox.is_idle and time.monotonic() < until_s:
            self._turn(0.02, takes_messages=False)
        return self._outbox.is_idle


def _rest_collector() -> None:
    """Let the collector of reference cycles look at what grew, not at every burst.

    A burst makes thousands of objects and frees them by their reference counts; looking at each of them for cycles took
    a fifth of the agent's time. What stands at the start is never looked at again; cycles, should there be any, are
    still found when so many objects more are alive than before.
    """
    gc.freeze()
    gc.set_threshold(_COLLECT_OBJECTS, 10, 10)
