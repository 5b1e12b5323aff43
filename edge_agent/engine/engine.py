"""The engine: messages of all pipelines in; windows, gaps and refusals out; and what may be acknowledged."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_agent.engine.events import Event, Gap, Rejected, WindowReady
from edge_agent.engine.ledger import Ledger, Progress
from schemas import TopicTemplate
from signals import Block, ClosedWindow, DecodeError, Decoder, DeviceWindows, SkippedWindows, WindowSpec, device_id
from signals.grid import point_time_ns
from signals.marks import Carry
from signals.window import Closed, SampleCounts

Resume = dict[str, dict[str, Any]]
"""Plain JSON, kept by the shell: pipeline -> {"grid": ..., "devices": {device: {"closed_through": 7, "carry": []}}}."""

_Key = tuple[str, str]
_MAX_KNOWN_TOPICS = 50_000


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Topics, how their messages become samples, and how samples become windows."""

    name: str
    topics: tuple[str, ...]
    decoder: Decoder
    spec: WindowSpec


@dataclass(slots=True)
class EngineCounters:
    """Counted since start; every drop by its reason."""

    messages: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    retained: int = 0
    samples: SampleCounts = field(default_factory=SampleCounts)
    windows: int = 0
    gaps: int = 0
    evicted: int = 0
    messages_of: dict[str, int] = field(default_factory=dict)
    devices_of: dict[str, int] = field(default_factory=dict)

    def reject(self, reason: str) -> None:
        """Count one refusal."""
        self.rejected[reason] = self.rejected.get(reason, 0) + 1

    @property
    def dropped(self) -> dict[str, int]:
        """Samples that were decoded and not used, by reason; ``retained`` counts messages."""
        return {"late": self.samples.late, "duplicate": self.samples.duplicate, "retained": self.retained}


@dataclass(slots=True)
class _Device:
    name: str
    windows: DeviceWindows
    progress: Progress


class Engine:
    """Bytes in, events out.

    Parameters
    ----------
    pipelines : sequence of Pipeline
    max_devices : int
        Devices kept over all pipelines; beyond it the one that was silent longest is let go, and its open windows
        are declared.
    max_payload_bytes : int
        Larger payloads are refused before decoding.
    resume : Resume or None
        What :meth:`resume_state` of an earlier run gave.
    """

    def __init__(
        self,
        pipelines: Sequence[Pipeline],
        *,
        max_devices: int = 10_000,
        max_payload_bytes: int = 65_536,
        resume: Resume | None = None,
    ) -> None:
        self.counters = EngineCounters()
        self._pipelines = {pipeline.name: pipeline for pipeline in pipelines}
        self.counters.messages_of = dict.fromkeys(self._pipelines, 0)
        self.counters.devices_of = dict.fromkeys(self._pipelines, 0)
        self._templates = [(TopicTemplate(text), pipeline) for pipeline in pipelines for text in pipeline.topics]
        self._by_topic: dict[str, tuple[Pipeline, ...]] = {}
        self._devices: OrderedDict[_Key, _Device] = OrderedDict()
        self._ledger = Ledger()
        self._let_go: dict[tuple[_Key, int], list[int]] = {}
        self._max_devices = max_devices
        self._max_payload_bytes = max_payload_bytes
        self._earlier = _read_resume(resume or {}, self._pipelines)

    @property
    def n_devices(self) -> int:
        """Devices with an open state."""
        return len(self._devices)

    # ------------------------------------------------------------------ in

    def receive(
        self, topic: str, payload: bytes, *, wall_ns: int, clock_ns: int, number: int, retained: bool = False
    ) -> list[Event]:
        """Take one message; return what it led to. Never raises, whatever the bytes.

        Parameters
        ----------
        topic : str
        payload : bytes
        wall_ns : int
            Receipt time since the Unix epoch.
        clock_ns : int
            Receipt time on a monotonic clock.
        number : int
            Delivery number, rising.
        retained : bool
            A retained message is last-known state, never a sample.
        """
        self.counters.messages += 1
        if retained:
            self.counters.retained += 1
            return []
        if len(payload) > self._max_payload_bytes:
            detail = f"at most {self._max_payload_bytes} bytes expected, got {len(payload)}"
            return [self._reject(topic, None, "too_large", detail)]
        pipelines = self._by_topic.get(topic)
        if pipelines is None:
            pipelines = self._match(topic)
        if not pipelines:
            return [self._reject(topic, None, "no_pipeline", "the topic of a pipeline expected")]
        events: list[Event] = []
        for pipeline in pipelines:
            self.counters.messages_of[pipeline.name] += 1
            try:
                blocks = pipeline.decoder.decode(topic, payload)
                for block in blocks:
                    self._take(pipeline, topic, block, wall_ns, clock_ns, number, events)
            except DecodeError as error:
                events.append(self._reject(topic, pipeline.name, error.reason, error.detail))
            except Exception as error:  # noqa: BLE001 - the boundary: no message may end the agent (DESIGN decision 3)
                detail = f"{type(error).__name__}: {error}"
                events.append(self._reject(topic, pipeline.name, "internal", detail))
        return events

    def tick(self, clock_ns: int) -> list[Event]:
        """Close the windows whose deadline has passed at ``clock_ns``: a monotonic time, all before it was received."""
        events: list[Event] = []
        for key, device in self._devices.items():
            self._report(key, device, device.windows.advance(clock_ns), events)
        return events

    def flush(self) -> list[Event]:
        """Close everything that is open: a recording has ended."""
        events: list[Event] = []
        for key, device in self._devices.items():
            self._report(key, device, device.windows.flush(), events)
        return events

    # ------------------------------------------------------------------ accounts

    def accepted(self, pipeline: str, device: str, index: int) -> None:
        """The broker accepted the label of a window, or the declaration of a gap that ends with it."""
        key = (pipeline, device)
        self._ledger.settle(key, index)
        for lost in self._let_go.pop((key, index), ()):
            self._ledger.settle(key, lost)
        state = self._devices.get(key)
        if state is not None:
            state.progress.accepted(index)

    def acknowledgeable(self, next_number: int) -> int:
        """Every message with a smaller number than this may be acknowledged, in order."""
        return self._ledger.acknowledgeable(next_number)

    @property
    def n_owed(self) -> int:
        """Windows that a message touched and whose label the broker has not accepted."""
        return len(self._ledger)

    def resume_state(self) -> Resume:
        """How far each device is labelled for good, as plain JSON."""
        state: Resume = {
            name: {"grid": _grid(pipeline.spec), "devices": {}} for name, pipeline in self._pipelines.items()
        }
        for (pipeline, device), progress in self._earlier.items():
            state[pipeline]["devices"][device] = _write_progress(progress)
        for (pipeline, device), held in self._devices.items():
            if held.progress.closed_through is not None:
                state[pipeline]["devices"][device] = _write_progress(held.progress)
        return state

    # ------------------------------------------------------------------ inside

    def _match(self, topic: str) -> tuple[Pipeline, ...]:
        found: list[Pipeline] = []
        for template, pipeline in self._templates:
            if pipeline not in found and template.match(topic) is not None:
                found.append(pipeline)
        if len(self._by_topic) >= _MAX_KNOWN_TOPICS:
            self._by_topic.clear()
        self._by_topic[topic] = tuple(found)
        return self._by_topic[topic]

    def _reject(self, topic: str, pipeline: str | None, reason: str, detail: str) -> Rejected:
        self.counters.reject(reason)
        return Rejected(topic, pipeline, reason, detail)

    def _take(  # noqa: PLR0917 - one message's block and when it came
        self,
        pipeline: Pipeline,
        topic: str,
        block: Block,
        wall_ns: int,
        clock_ns: int,
        number: int,
        events: list[Event],
    ) -> None:
        try:
            identity = device_id(block.device)
        except ValueError as error:
            events.append(self._reject(topic, pipeline.name, "bad_device", str(error)))
            return
        key = (pipeline.name, identity)
        device = self._devices.get(key)
        if device is None:
            device = self._admit(key, block.device, pipeline, events)
        elif device.name != block.device:
            detail = f"{device.name!r} and {block.device!r} give the same id {identity!r}; rename one"
            events.append(self._reject(topic, pipeline.name, "device_collision", detail))
            return
        else:
            self._devices.move_to_end(key)
        closed = device.windows.push(block, wall_ns=wall_ns, clock_ns=clock_ns)
        self._report(key, device, closed, events, number)

    def _admit(self, key: _Key, name: str, pipeline: Pipeline, events: list[Event]) -> _Device:
        if len(self._devices) >= self._max_devices:
            self._evict(events)
        progress = self._earlier.pop(key, None) or Progress()
        windows = DeviceWindows(pipeline.spec, progress.closed_through, progress.carry, self.counters.samples)
        device = _Device(name, windows, progress)
        self._devices[key] = device
        self.counters.devices_of[key[0]] += 1
        return device

    def _evict(self, events: list[Event]) -> None:
        key, device = self._devices.popitem(last=False)
        self.counters.evicted += 1
        self.counters.devices_of[key[0]] -= 1
        touched = device.windows.touched
        if touched:
            self._let_go[(key, touched[-1])] = touched
            events.append(self._gap(key, touched[0], touched[-1], "evicted"))

    def _report(
        self, key: _Key, device: _Device, closed: Sequence[Closed], events: list[Event], number: int | None = None
    ) -> None:
        if device.windows.newly_touched:
            if number is not None:
                for index in device.windows.newly_touched:
                    self._ledger.owe(number, key, index)
            device.windows.newly_touched.clear()
        for item in closed:
            if isinstance(item, ClosedWindow):
                self.counters.windows += 1
                device.progress.emitted(item.index, item.carry)
                events.append(WindowReady(key[0], key[1], item))
            else:
                self._report_gap(key, device, item, events)

    def _report_gap(self, key: _Key, device: _Device, item: SkippedWindows, events: list[Event]) -> None:
        device.progress.emitted(item.last_index, None)
        events.append(self._gap(key, item.first_index, item.last_index, item.reason))

    def _gap(self, key: _Key, first: int, last: int, reason: str) -> Gap:
        self.counters.gaps += 1
        spec = self._pipelines[key[0]].spec
        start = point_time_ns(first * spec.hop_length, spec.sampling_rate_hz)
        end = point_time_ns(last * spec.hop_length + spec.window_length, spec.sampling_rate_hz)
        return Gap(key[0], key[1], first, last, reason, start, end)


def _read_resume(resume: Mapping[str, Any], pipelines: Mapping[str, Pipeline]) -> dict[_Key, Progress]:
    """What of an earlier state still fits; the rest is passed over, never trusted."""
    earlier: dict[_Key, Progress] = {}
    for pipeline, kept in resume.items():
        if pipeline not in pipelines or not isinstance(kept, Mapping):
            continue
        devices = kept.get("devices")
        if kept.get("grid") != _grid(pipelines[pipeline].spec) or not isinstance(devices, Mapping):
            continue  # another grid numbers its windows differently
        for device, entry in devices.items():
            index = entry.get("closed_through") if isinstance(entry, Mapping) else None
            if isinstance(index, int):
                carry = _read_carry(entry.get("carry"), len(pipelines[pipeline].spec.channels))
                earlier[(pipeline, str(device))] = Progress(index, carry)
    return earlier


def _grid(spec: WindowSpec) -> str:
    return (
        f"{spec.policy} {spec.sampling_rate_hz!r} Hz {spec.window_length}/{spec.hop_length} {','.join(spec.channels)}"
    )


def _read_carry(raw: object, n_channels: int) -> Carry | None:
    if not isinstance(raw, list) or len(raw) != n_channels:
        return None
    try:
        return tuple(None if item is None else (int(item[0]), float(item[1]), float(item[2])) for item in raw)
    except (TypeError, ValueError, IndexError):
        return None


def _write_progress(progress: Progress) -> dict[str, Any]:
    carry = None if progress.carry is None else [None if item is None else list(item) for item in progress.carry]
    return {"closed_through": progress.closed_through, "carry": carry}
