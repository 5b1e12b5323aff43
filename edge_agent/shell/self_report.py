"""What an agent says of itself: what runs, what was counted, what is in its way. It reads, and changes nothing."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Sequence

import numpy as np
import onnxruntime
import orjson
import paho.mqtt
import pydantic

from edge_agent import __version__
from edge_agent.config import AgentConfig
from edge_agent.engine import Engine
from edge_agent.shell.acknowledgements import Acknowledgements
from edge_agent.shell.assembly import Assembled
from edge_agent.shell.delivery import Outbox
from edge_agent.shell.durable import Durable
from edge_agent.shell.mqtt_link import MqttLink
from edge_agent.shell.self_test import SelfTest
from edge_agent.shell.service import Reloads
from edge_agent.shell.writer import EventWriter
from schemas import AgentInfo, AgentMetrics, PipelineMetrics, format_timestamp

# Each tells its version itself: asking importlib.metadata would search the disk at every start.
_LIBRARIES = {
    "numpy": np.__version__,
    "onnxruntime": onnxruntime.__version__,
    "orjson": orjson.__version__,
    "paho-mqtt": paho.mqtt.__version__,
    "pydantic": pydantic.VERSION,
}


class SelfReport:
    """The parts of one agent, as it tells of them.

    Parameters
    ----------
    config : AgentConfig
        Where it connects to, and under which name.
    engine, link, owed, outbox, writer, disk, self_test, reloads, dead_letters
        The parts, each asked and never changed.
    """

    def __init__(
        self,
        config: AgentConfig,
        *,
        engine: Engine,
        link: MqttLink,
        owed: Acknowledgements,
        outbox: Outbox,
        writer: EventWriter,
        disk: Durable,
        self_test: SelfTest,
        reloads: Reloads,
        dead_letters: Counter[str],
    ) -> None:
        self._config = config
        self._engine = engine
        self._link = link
        self._owed = owed
        self._outbox = outbox
        self._writer = writer
        self._disk = disk
        self._self_test = self_test
        self._reloads = reloads
        self._dead_letters = dead_letters
        self._started_ns = time.time_ns()
        self._started_s = time.monotonic()

    def troubles(self) -> list[str]:
        """What keeps this agent from its work at this moment, one line each; empty where nothing does."""
        mqtt, found = self._config.mqtt, list[str]()
        if not self._link.is_connected:
            found.append(f"no connection to the broker at {mqtt.host}:{mqtt.port}")
        found += [f"the broker refuses the subscription to {text}" for text in self._link.refused]
        found += self._self_test.problems()
        if self._outbox.is_full:
            found.append(f"{self._outbox.waiting} labels wait for the broker: the intake is paused")
        if self._disk.state.problem:
            found.append(f"the watermark cannot be written: {self._disk.state.problem}")
        found += [f"alarm: {code}" for code in self._disk.alarms.codes]
        return found

    def info(self, config: AgentConfig, pipelines: Sequence[Assembled]) -> AgentInfo:
        """What runs on this gateway."""
        return AgentInfo(
            gateway=config.gateway.id,
            agent_version=__version__,
            protocol=f"MQTT {self._link.protocol}",
            started=format_timestamp(self._started_ns),
            config_sha256=hashlib.sha256(config.digest_source().encode()).hexdigest(),
            pipelines=[assembled.info for assembled in pipelines],
            libraries=_LIBRARIES,
        )

    def metrics(self, now_s: float) -> AgentMetrics:
        """All counters at this moment, as one value that does not change."""
        counters, outbox, tally = self._engine.counters, self._outbox, self._writer.tally
        journal = self._disk.journal
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
            messages_of_others=counters.of_others,
            reconnects=max(0, self._link.epoch - 1),
            connected=self._link.is_connected,
            outbox=outbox.waiting,
            outbox_bytes=outbox.waiting_bytes,
            last_window_ts=tally.last_window_s,
            inference_seconds=tally.inference.value,
            latency_seconds=tally.latency.value,
            confirmed_seconds=tally.confirmed.value,
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
            self_test=self._self_test.state,
            reloads=dict(self._reloads.done),
            reloads_refused=self._reloads.refused,
            state_free_bytes=self._disk.space.free_bytes,
            spool_labels=0 if self._disk.spool is None else self._disk.spool.n_kept,
            journal_messages=0 if journal is None else journal.n_kept,
            journal_again=0 if journal is None else journal.n_again,
            journal_skipped=0 if journal is None else journal.n_skipped,
            broker_dropped=self._disk.broker_dropped,
            alarms=self._disk.alarms.codes,
        )
