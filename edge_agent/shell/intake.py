"""The way in: from the bursts of the connection, or the journal of an earlier run, to the engine and the outbox."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from edge_agent.engine import Engine, Event
from edge_agent.shell.acknowledgements import Acknowledgements
from edge_agent.shell.barrier import BarrierClock
from edge_agent.shell.dead_letters import DeadLetters
from edge_agent.shell.delivery import Outbox
from edge_agent.shell.durable import Durable
from edge_agent.shell.mqtt_link import BURST_MESSAGES, MqttLink
from edge_agent.shell.publish_packets import Burst, Packet
from edge_agent.shell.self_test import SelfTest
from edge_agent.shell.writer import EventWriter
from schemas.topics import BROKER_DROPPED

log = logging.getLogger(__name__)

_BROKER_DROPPED = BROKER_DROPPED.encode()


class Intake:
    """Feeds the engine and hands its events on. Nothing that comes in may end the loop: it is caught here, and counted.

    Parameters
    ----------
    barrier_topic : str
        What comes on it is an echo of this agent, never a sample.
    engine, link, owed, outbox, writer, disk, barrier, self_test, dead_letters
        The parts of the agent that it joins.
    """

    def __init__(
        self,
        barrier_topic: str,
        *,
        engine: Engine,
        link: MqttLink,
        owed: Acknowledgements,
        outbox: Outbox,
        writer: EventWriter,
        disk: Durable,
        barrier: BarrierClock,
        self_test: SelfTest,
        dead_letters: DeadLetters,
    ) -> None:
        self._barrier_topic_bytes = barrier_topic.encode()
        self._engine = engine
        self._link = link
        self._owed = owed
        self._outbox = outbox
        self._writer = writer
        self._disk = disk
        self._barrier = barrier
        self._self_test = self_test
        self._dead_letters = dead_letters

    def take_inbox(self, epoch: int) -> None:
        """Take what was read, about :data:`BURST_MESSAGES` messages at most.

        Parameters
        ----------
        epoch : int
            The connection that the loop knows of; what an earlier one delivered is not owed.
        """
        link, events, n_messages = self._link, list[Event](), 0
        if not link.inbox:
            return
        since_ns = link.inbox[0].received_ns
        while link.inbox and n_messages < BURST_MESSAGES:
            burst = link.next_burst()
            n_messages += len(burst.packets)
            try:
                self._take(burst, events, epoch)
            except Exception as error:  # noqa: BLE001 - the boundary: no message may end the loop (DESIGN decision 3)
                self._dead_letters.bury("internal", f"{type(error).__name__}: {error}")
        if events:
            self._outbox.put_all(self._writer.messages(events, since_ns))

    def take_journal(self) -> None:
        """What an earlier run acknowledged and did not label: before anything new, under its number, of its time."""
        journal, events = self._disk.journal, list[Event]()
        if journal is None:
            return
        clock_ns = self._link.clock_ns()
        for row in journal.replay(BURST_MESSAGES):
            packet: Packet = (row.topic, row.payload, None, False)
            events += self._engine.receive_burst([packet], wall_ns=row.wall_ns, clock_ns=clock_ns, number=row.number)
        self._barrier.heard()
        if not journal.is_replaying:
            log.info("the journal of the last run is read; going on with the broker")
        if events:
            self._outbox.put_all(self._writer.messages(events, 0))

    def _take(self, burst: Burst, events: list[Event], epoch: int) -> None:
        packets, is_ours = burst.packets, burst.epoch == epoch
        topics, _, mids, _ = zip(*packets, strict=True)
        # An older connection's message is delivered again: nothing is owed for this copy.
        number = self._owed.received_all(mids) if is_ours else self._owed.forgotten(len(packets))
        done = 0
        if _BROKER_DROPPED in topics:
            self._hear_dropped(burst, topics)
        while self._barrier_topic_bytes in topics[done:]:
            at = topics.index(self._barrier_topic_bytes, done)
            self._feed(packets[done:at], burst, number + done, events, is_ours=is_ours)
            _, payload, _, is_retained = packets[at]
            clock_ns = None if is_retained else self._barrier.echoed(payload)
            if clock_ns is not None:
                self._self_test.echoed()
                events += self._engine.tick(clock_ns)
            done = at + 1
        self._feed(packets[done:] if done else packets, burst, number + done, events, is_ours=is_ours)

    def _hear_dropped(self, burst: Burst, topics: Sequence[bytes]) -> None:
        at = topics.index(_BROKER_DROPPED)
        self._disk.heard_dropped(burst.packets[at][1], time.monotonic())

    def _feed(self, packets: list[Packet], burst: Burst, number: int, events: list[Event], *, is_ours: bool) -> None:
        journal = self._disk.journal
        if packets and journal is not None:
            if is_ours and (n_known := journal.n_known(packets)):
                packets, number = packets[n_known:], number + n_known
                self._barrier.heard()
            if self._disk.is_journalling:
                journal.received_all(number, packets, wall_ns=burst.wall_ns, now_s=time.monotonic())
        if packets:
            self._barrier.heard()
            self._self_test.heard(time.monotonic())
            events += self._engine.receive_burst(packets, wall_ns=burst.wall_ns, clock_ns=burst.clock_ns, number=number)
