"""The engine under test, as the shell would drive it, and what must hold whatever comes in."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edge_agent.engine import Engine, Event, Gap, Pipeline, Rejected, WindowReady
from signals import WindowSpec
from signals.codecs import Decoder, addressing
from tests.signals.codecs.test_hostile_payloads import CHANNELS, DECODERS, REASONS

MAX_DEVICES = 60
MAX_KNOWN_TOPICS = 200
MAX_PAYLOAD_BYTES = 4096
RATE_HZ = 10.0
ENGINE_REASONS = {"too_large", "no_pipeline", "device_collision", "bad_topic", "bad_device"}
POLICIES = ("nearest", "linear", "hold")
_GRID_NS = 100_000_000


@dataclass
class Findings:
    """What went wrong, and what was counted."""

    broken: list[str] = field(default_factory=list)
    n_payloads: int = 0
    n_windows: int = 0
    n_gaps: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def note(self, problem: str, topic: bytes, payload: bytes) -> None:
        """Keep a counterexample; a hundred of them are enough."""
        if len(self.broken) < 100:
            self.broken.append(f"{problem}: topic {topic!r}, payload {payload[:300]!r}")


class Judge:
    """One codec, one engine: feeds, settles what the broker would accept, and checks.

    Parameters
    ----------
    name : str
        Of ``DECODERS``.
    findings : Findings
        Filled in; may be shared.
    """

    def __init__(self, name: str, findings: Findings) -> None:
        policy = POLICIES[sorted(DECODERS).index(name) % len(POLICIES)]
        self._findings = findings
        self.name = name
        self.engine = Engine(
            [Pipeline("fuzz", ("{device}",), DECODERS[name], _spec(DECODERS[name], policy))],
            max_devices=MAX_DEVICES,
            max_payload_bytes=MAX_PAYLOAD_BYTES,
        )
        # What is known of topics is kept up to a bound; a low one is reached early, and a leak beyond it is seen.
        self.engine._max_known_topics = addressing._REMEMBERED_TOPICS = MAX_KNOWN_TOPICS
        self._number = 0
        self._clock_ns = 10**12
        self._wall_ns = 1_795_000_000_000_000_000

    def step_clock(self, by_ns: int) -> None:
        """Let the wall clock jump: backwards, to 1970, by sixty days; the monotonic one goes on."""
        self._wall_ns = max(0, self._wall_ns + by_ns)

    def feed(self, topic: bytes, payload: bytes, *, retained: bool = False) -> None:
        """Give one message to the engine, and judge."""
        findings, engine = self._findings, self.engine
        self._number += 1
        self._clock_ns += 1_000_000
        self._wall_ns += 1_000_000
        before = engine.counters.messages, sum(engine.counters.rejected.values()), engine.counters.retained
        try:
            events = engine.receive_burst(
                [(topic, payload, self._number, retained)],
                wall_ns=self._wall_ns,
                clock_ns=self._clock_ns,
                number=self._number,
            )
        except Exception as error:  # noqa: BLE001 - this is what the fuzzer looks for
            findings.note(f"{self.name}: {type(error).__name__}: {error} left the engine", topic, payload)
            return
        findings.n_payloads += 1
        refusals = [event for event in events if isinstance(event, Rejected)]
        after = engine.counters.messages, sum(engine.counters.rejected.values()), engine.counters.retained
        if after[0] != before[0] + 1 or after[2] != before[2] + retained:
            findings.note(f"{self.name}: not counted once", topic, payload)
        if after[1] != before[1] + len(refusals) or (retained and events):
            findings.note(f"{self.name}: {len(refusals)} refusals told, {after[1] - before[1]} counted", topic, payload)
        for refusal in refusals:
            findings.reasons[refusal.reason] += 1
            if refusal.reason not in REASONS | ENGINE_REASONS:
                findings.note(f"{self.name}: reason {refusal.reason!r}: {refusal.detail}", topic, payload)
        self._settle(events, topic, payload)

    def tick(self) -> None:
        """Let three seconds pass: deadlines close windows."""
        self._clock_ns += 3_000_000_000
        self._wall_ns += 3_000_000_000
        try:
            self._settle(self.engine.tick(self._clock_ns), b"", b"(tick)")
            self.engine.acknowledgeable(self._number + 1)
            self.engine.resume_changes()
        except Exception as error:  # noqa: BLE001 - this is what the fuzzer looks for
            self._findings.note(f"{self.name}: {type(error).__name__}: {error} left the engine at a tick", b"", b"")

    def _settle(self, events: list[Event], topic: bytes, payload: bytes) -> None:
        findings = self._findings
        for event in events:
            if isinstance(event, WindowReady):
                findings.n_windows += 1
                values = event.window.values
                if np.isinf(values).any() or not 0.0 <= event.window.present <= 1.0:
                    findings.note(f"{self.name}: a window that is not finite", topic, payload)
                self.engine.accepted(event.pipeline, event.device, event.window.index)
            elif isinstance(event, Gap):
                findings.n_gaps += 1
                if event.last_index < event.first_index:
                    findings.note(f"{self.name}: a gap of {event.first_index}..{event.last_index}", topic, payload)
                self.engine.accepted(event.pipeline, event.device, event.last_index)
        if self.engine.n_devices > MAX_DEVICES:
            findings.note(f"{self.name}: {self.engine.n_devices} devices", topic, payload)


def judges(findings: Findings) -> list[Judge]:
    """One for each codec of ``DECODERS``."""
    return [Judge(name, findings) for name in DECODERS]


def _spec(decoder: Decoder, policy: str) -> WindowSpec:
    channels = ("x",) if decoder is DECODERS["scalar"] else tuple(CHANNELS)
    bounds: dict[str, Any] = {"minimum": (-5.0,) * len(channels), "maximum": (5.0,) * len(channels)}
    return WindowSpec(channels, RATE_HZ, 8, 4, policy, 2.0 if policy != "nearest" else 0.0, **bounds)
