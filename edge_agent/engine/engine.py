"""The engine: messages of all pipelines in; windows, gaps and refusals out; and what may be acknowledged."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from edge_agent.engine.deadlines import Deadlines
from edge_agent.engine.device import Device, DeviceKey, Pipeline, Route
from edge_agent.engine.events import Event, Gap, Rejected, WindowReady
from edge_agent.engine.ledger import Account, Ledger
from edge_agent.engine.resume import Resume, read_resume, write_resume
from schemas import TopicTemplate
from signals import Block, ClosedWindow, DecodeError, DeviceWindows, device_id
from signals.grid import point_time_ns
from signals.window import Closed, SampleCounts

Packet = tuple[bytes, bytes, int | None, bool]
"""Topic, payload, packet identifier (not looked at) and whether it is retained, as they came from the broker."""

_FEW = 8
"""Fewer messages than so many are read one by one: what is done once for a burst would cost more."""

_KNOWN_TOPICS_PER_DEVICE = 4
_MAX_KNOWN_TOPIC_BYTES = 256
_UNSETTLED = 20_000
"""Devices that may have received something since somebody looked at the clock, before their deadlines are noted."""


@dataclass(slots=True)
class EngineCounters:
    """Counted since start; every drop by its reason."""

    messages: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    retained: int = 0
    samples: SampleCounts = field(default_factory=SampleCounts)
    windows: int = 0
    messages_of: dict[str, int] = field(default_factory=dict)
    devices_of: dict[str, int] = field(default_factory=dict)
    gaps: int = 0
    evicted: int = 0
    of_others: int = 0

    def reject(self, reason: str) -> None:
        """Count one refusal."""
        self.rejected[reason] = self.rejected.get(reason, 0) + 1

    @property
    def dropped(self) -> dict[str, int]:
        """Samples that were decoded and not used, by reason; ``retained`` counts messages."""
        return {"late": self.samples.late, "duplicate": self.samples.duplicate, "retained": self.retained}


class Engine:
    """Bytes in, events out.

    Parameters
    ----------
    pipelines : sequence of Pipeline
    max_devices : int
        Devices kept over all pipelines; beyond it the one that was silent longest is let go, and its open windows
        are declared. Of as many more, only how far they are labelled is remembered.
    max_payload_bytes : int
        Larger payloads are refused before decoding.
    resume : Resume or None
        What :meth:`resume_state` of an earlier run gave.
    takes : function of a topic, or None
        Whether its messages are ours; what other workers take is left undecoded. None = all are.
    """

    def __init__(
        self,
        pipelines: Sequence[Pipeline],
        *,
        max_devices: int = 10_000,
        max_payload_bytes: int = 65_536,
        resume: Resume | None = None,
        takes: Callable[[str], bool] | None = None,
    ) -> None:
        self._takes = takes
        self._foreign: set[bytes] = set()
        self.counters = EngineCounters()
        self._pipelines = {pipeline.name: pipeline for pipeline in pipelines}
        self.counters.messages_of = dict.fromkeys(self._pipelines, 0)
        self.counters.devices_of = dict.fromkeys(self._pipelines, 0)
        self._templates = [(TopicTemplate(text), pipeline) for pipeline in pipelines for text in pipeline.topics]
        self._routes: dict[bytes, Route] = {}
        self._devices: OrderedDict[DeviceKey, Device] = OrderedDict()
        self._deadlines = Deadlines()
        self._ledger = Ledger()
        self._touched: list[int] = []  # shared by all devices: emptied after every message
        self._max_devices = max_devices
        self._max_payload_bytes = max_payload_bytes
        self._max_known_topics = 1024 + _KNOWN_TOPICS_PER_DEVICE * max_devices
        self._earlier: OrderedDict[DeviceKey, Account] = OrderedDict(read_resume(resume or {}, self._pipelines))
        self._forgotten: dict[DeviceKey, Account] = {}  # until what they owe is settled
        self._moved: dict[DeviceKey, Account] = {}

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
        packet = (topic.encode("utf-8", "surrogatepass"), payload, None, retained)
        return self.receive_burst((packet,), wall_ns=wall_ns, clock_ns=clock_ns, number=number)

    def receive_burst(self, packets: Sequence[Packet], *, wall_ns: int, clock_ns: int, number: int) -> list[Event]:
        """Take the messages of one read; return what they led to, in their order. Never raises, whatever the bytes.

        Parameters
        ----------
        packets : sequence of (topic, payload, packet identifier, is retained)
        wall_ns, clock_ns : int
            Receipt time since the Unix epoch, and on a monotonic clock.
        number : int
            Delivery number of the first; the others follow.
        """
        events: list[Event] = []
        find, to_end, touched = self._routes.get, self._devices.move_to_end, self._touched
        most, counts, stir = self._max_payload_bytes, self.counters, self._deadlines.stir
        counts.messages += len(packets)
        if len(packets) >= _FEW and self._take_frames(packets, wall_ns, clock_ns, number, events):
            return events
        for topic, payload, _, is_retained in packets:
            route = find(topic)
            if is_retained:
                counts.retained += 1
            elif len(payload) > most:
                detail = f"at most {most} bytes expected, got {len(payload)}"
                events.append(self._reject(_text(topic), None, "too_large", detail))
            else:
                if route is None:
                    route = self._match(topic, events)
                while route is not None:
                    counts.messages_of[route.pipeline.name] += 1
                    placing: Device | None = None  # its state is unknown if an error comes from here on
                    try:
                        device = route.device
                        if (
                            device is None
                            or (windows := device.windows) is None
                            or route.read is None
                            or (rows := route.read(payload)) is None
                        ):
                            self._take_checked(route, topic.decode(), payload, wall_ns, clock_ns, number, events)
                        else:
                            to_end(device.key)
                            placing = device
                            closed = windows.extend(rows[0], rows[1], wall_ns, clock_ns)
                            if not device.is_stirred:
                                stir(device)
                            if touched or closed or not windows.is_flowing or device.account.doubt is not None:
                                self._report(device, closed, events, number)
                    except Exception as error:  # noqa: BLE001 - the boundary: no message may end the agent (DESIGN decision 3)
                        self._fail(placing, route.pipeline, error, events, topic=topic, number=number)
                    route = route.also
            number += 1
        self._deadlines.settle(_UNSETTLED)
        return events

    def _take_frames(
        self, packets: Sequence[Packet], wall_ns: int, clock_ns: int, number: int, events: list[Event]
    ) -> bool:
        """Take messages that can all be read at once; False, and nothing is taken, where they are not of that kind."""
        first = self._routes.get(packets[0][0])
        if first is None or first.read_burst is None:
            return False
        topics, payloads, _, are_retained = zip(*packets, strict=True)
        if True in are_retained or len(payloads[0]) > self._max_payload_bytes:
            return False
        routes: list[Route] = []
        for topic in topics:
            route = self._routes.get(topic)
            if route is None or route.pipeline is not first.pipeline or route.also is not None:
                return False
            routes.append(route)
        try:
            frames = first.read_burst(payloads)
        except Exception:  # noqa: BLE001 - one by one each of them is counted by its reason
            return False
        if frames is None:
            return False
        to_end, touched, stir = self._devices.move_to_end, self._touched, self._deadlines.stir
        for route, (t0_ns, rows), packet in zip(routes, frames, packets, strict=True):
            device, placing = route.device, None
            try:
                if device is None or (windows := device.windows) is None:
                    self._take_checked(route, packet[0].decode(), packet[1], wall_ns, clock_ns, number, events)
                else:
                    to_end(device.key)
                    placing = device
                    closed = windows.extend(t0_ns, rows, wall_ns, clock_ns)
                    if not device.is_stirred:
                        stir(device)
                    if touched or closed or not windows.is_flowing or device.account.doubt is not None:
                        self._report(device, closed, events, number)
            except Exception as error:  # noqa: BLE001 - the boundary: no message may end the agent (DESIGN decision 3)
                self._fail(placing, route.pipeline, error, events, topic=packet[0], number=number)
            number += 1
        self.counters.messages_of[first.pipeline.name] += len(packets)
        self._deadlines.settle(_UNSETTLED)
        return True

    def tick(self, clock_ns: int) -> list[Event]:
        """Close the windows whose deadline has passed at ``clock_ns``: a monotonic time, all before it was received."""
        events: list[Event] = []
        for device in self._deadlines.due(clock_ns):
            if device.windows is not None:
                try:
                    self._report(device, device.windows.advance(clock_ns), events)
                    if device.account.doubt is not None and clock_ns >= device.windows.doubt_ends_ns():
                        self._ledger.believe(device.account, None)  # nothing else came: they were late
                    self._deadlines.watch(device)
                except Exception as error:  # noqa: BLE001 - one device must not cost the others their deadlines
                    self._fail(device, self._pipelines[device.key[0]], error, events)
        return events

    def flush(self) -> list[Event]:
        """Close everything that is open: a recording has ended."""
        events: list[Event] = []
        for device in self._devices.values():
            if device.windows is not None:
                self._report(device, device.windows.flush(), events)
                self._ledger.believe(device.account, None)
        return events

    # ------------------------------------------------------------------ accounts

    def accepted(self, pipeline: str, device: str, index: int) -> None:
        """The broker accepted the label of a window, or the declaration of a gap that ends with it."""
        key = (pipeline, device)
        account = self._account(key)
        if account is None:
            return
        first = account.first_of_gap(index)
        if first is None:
            self._ledger.settle(account, index)
        else:
            self._ledger.settle_range(account, first, index)
        if account.accepted(index):
            self._moved[key] = account
        if self._forgotten and account.owed is None:
            self._forgotten.pop(key, None)

    def accepted_many(self, keys: Iterable[tuple[str, str, int]]) -> None:
        """``accepted`` for many; keys may repeat or be unknown."""
        for pipeline, device, index in keys:
            self.accepted(pipeline, device, index)

    def acknowledgeable(self, next_number: int) -> int:
        """Every message with a smaller number than this may be acknowledged, in order."""
        return self._ledger.acknowledgeable(next_number)

    @property
    def n_owed(self) -> int:
        """Windows that a message touched and whose label the broker has not accepted."""
        return len(self._ledger)

    def resume_state(self) -> Resume:
        """How far every device is labelled for good, as plain JSON: at the price of a look at each."""
        accounts = {**self._earlier, **{key: device.account for key, device in self._devices.items()}}
        return write_resume(self._pipelines.values(), accounts.items(), whole=True)

    def resume_changes(self) -> Resume:
        """What of :meth:`resume_state` has changed since the last call, at the price of the devices that moved on."""
        moved, self._moved = self._moved, {}
        return write_resume(self._pipelines.values(), moved.items(), whole=False)

    def resume_unsaved(self, changes: Resume) -> None:
        """These changes could not be kept: tell them again, as they are then."""
        for pipeline, told in changes.items():
            for identity in told["devices"]:
                key = (pipeline, identity)
                account = self._account(key)
                if account is not None:
                    self._moved[key] = account

    # ------------------------------------------------------------------ inside

    def _account(self, key: DeviceKey) -> Account | None:
        known = self._devices.get(key)
        return known.account if known is not None else self._earlier.get(key) or self._forgotten.get(key)

    def _match(self, topic: bytes, events: list[Event]) -> Route | None:
        """The routes of a topic; a refusal among the events where there are none, nothing where others take it."""
        if topic in self._foreign:
            self._leave()
            return None
        try:
            text = topic.decode()
        except UnicodeDecodeError:
            events.append(self._reject(_text(topic), None, "bad_topic", "a topic in UTF-8 expected"))
            return None
        if self._takes is not None and not self._takes(text):
            if len(self._foreign) >= self._max_known_topics:
                self._foreign.clear()
            self._foreign.add(topic)
            self._leave()
            return None
        matching = {
            pipeline.name: pipeline for template, pipeline in self._templates if template.match(text) is not None
        }
        route: Route | None = None
        for pipeline in reversed(matching.values()):
            route = Route(pipeline, also=route)
        if route is None:
            events.append(self._reject(text, None, "no_pipeline", "the topic of a pipeline expected"))
        elif len(topic) <= _MAX_KNOWN_TOPIC_BYTES:
            if len(self._routes) >= self._max_known_topics:
                self._routes.clear()
            self._routes[topic] = route
        return route

    def _leave(self) -> None:
        """It is another worker's: it is counted there, owes nothing here, and is acknowledged in its turn."""
        self.counters.messages -= 1
        self.counters.of_others += 1

    def _reject(self, topic: str, pipeline: str | None, reason: str, detail: str) -> Rejected:
        self.counters.reject(reason)
        return Rejected(topic, pipeline, reason, detail)

    def _take_checked(  # noqa: PLR0917 - one message and when it came
        self, route: Route, topic: str, payload: bytes, wall_ns: int, clock_ns: int, number: int, events: list[Event]
    ) -> None:
        """Decode with every check, and place what came out."""
        try:
            blocks = route.decode(topic, payload)
        except DecodeError as error:
            events.append(self._reject(topic, route.pipeline.name, error.reason, error.detail))
            return
        for block in blocks:
            device = self._device_of(route, topic, block, events)
            if device is None or device.windows is None:
                continue
            if route.read is not None:
                route.device = device
            try:
                closed = device.windows.push(block, wall_ns=wall_ns, clock_ns=clock_ns)
                if not device.is_stirred:
                    self._deadlines.stir(device)
                self._report(device, closed, events, number)
            except Exception as error:  # noqa: BLE001 - the boundary, as in receive_burst; other blocks are other devices'
                self._fail(device, route.pipeline, error, events, topic=topic.encode(), number=number)

    def _device_of(self, route: Route, topic: str, block: Block, events: list[Event]) -> Device | None:
        name, pipeline = block.device, route.pipeline
        device = route.device
        if device is None or device.windows is None or device.name != name:
            try:
                identity = device_id(name)
            except ValueError as error:
                events.append(self._reject(topic, pipeline.name, "bad_device", str(error)))
                return None
            key = (pipeline.name, name if name == identity else identity)  # one text in memory where one is enough
            device = self._devices.get(key)
            if device is None:
                return self._admit(key, name, pipeline, events)
        if device.name != name:
            detail = f"{device.name!r} and {name!r} give the same id {device.key[1]!r}; rename one"
            events.append(self._reject(topic, pipeline.name, "device_collision", detail))
            return None
        self._devices.move_to_end(device.key)
        return device

    def _admit(self, key: DeviceKey, name: str, pipeline: Pipeline, events: list[Event]) -> Device:
        account = self._earlier.pop(key, None) or self._forgotten.pop(key, None) or Account()
        if len(self._devices) >= self._max_devices:
            self._evict(events)
        windows = DeviceWindows(
            pipeline.spec, account.said_through, account.carry, self.counters.samples, self._touched
        )
        device = self._devices[key] = Device(key, name, windows, account)
        self.counters.devices_of[key[0]] += 1
        return device

    def _evict(self, events: list[Event]) -> None:
        """Let go of the device that was silent longest."""
        device = self._devices[next(iter(self._devices))]
        self.counters.evicted += 1
        self._let_go(device, [] if device.windows is None else device.windows.touched, "evicted", events)

    def _fail(
        self,
        device: Device | None,
        pipeline: Pipeline,
        error: Exception,
        events: list[Event],
        *,
        topic: bytes = b"",
        number: int | None = None,
    ) -> None:
        """Count an error of ours, and begin anew with a device whose state it leaves unknown; None = it came before.

        What the device owes and was not handed out is declared, with the windows that the message has touched.
        """
        events.append(self._reject(_text(topic), pipeline.name, "internal", f"{type(error).__name__}: {error}"))
        if device is None:
            return
        account = device.account
        if number is not None:
            for index in self._touched:
                self._ledger.owe(number, account, index)
        self._touched.clear()
        if device.windows is not None:
            self._let_go(device, account.unsaid(), "internal", events)

    def _let_go(self, device: Device, lost: Sequence[int], reason: str, events: list[Event]) -> None:
        """Forget what is open of a device, and declare these windows; only how far it is labelled stays known."""
        key, account = device.key, device.account
        del self._devices[key]
        self.counters.devices_of[key[0]] -= 1
        device.windows = None
        self._ledger.believe(account, lost[-1] if lost else None)
        if lost:
            events.append(self._gap(key, account, lost[0], lost[-1], reason))
        if account.said_through is not None:
            self._earlier[key] = account
            if len(self._earlier) > self._max_devices:
                oldest, forgotten = self._earlier.popitem(last=False)
                if forgotten.owed is not None:
                    self._forgotten[oldest] = forgotten

    def _report(self, device: Device, closed: Sequence[Closed], events: list[Event], number: int | None = None) -> None:
        key, account, windows = device.key, device.account, device.windows
        if self._touched:
            if number is not None:
                for index in self._touched:
                    self._ledger.owe(number, account, index)
            if account.closed_through is None:
                # From its first sample on: what is lost before the first label is declared when it speaks again.
                account.closed_through = min(self._touched) - 1
                self._moved[key] = account
            self._touched.clear()
        declared: int | None = None
        for item in closed:
            if isinstance(item, ClosedWindow):
                self.counters.windows += 1
                account.emitted(item.index, item.carry)
                events.append(WindowReady(key[0], key[1], item))
            else:
                events.append(self._gap(key, account, item.first_index, item.last_index, item.reason))
                if item.reason == "clock_step":
                    declared = item.last_index
        if windows is not None and windows.is_doubted:
            if number is not None:
                self._ledger.doubt(number, account)
        elif account.doubt is not None:
            self._ledger.believe(account, declared)

    def _gap(self, key: DeviceKey, account: Account, first: int, last: int, reason: str) -> Gap:
        self.counters.gaps += 1
        account.emitted(last, None, first)
        spec = self._pipelines[key[0]].spec
        start = point_time_ns(first * spec.hop_length, spec.sampling_rate_hz)
        end = point_time_ns(last * spec.hop_length + spec.window_length, spec.sampling_rate_hz)
        return Gap(key[0], key[1], first, last, reason, start, end)


def _text(topic: bytes) -> str:
    return topic.decode("utf-8", "replace")
