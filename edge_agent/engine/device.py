"""One device of one pipeline, as the engine keeps it; and the ways that lead from a topic to it."""

from __future__ import annotations

from dataclasses import dataclass

from edge_agent.engine.ledger import Account
from signals import Block, Decoder, DeviceWindows, WindowSpec
from signals.codecs import BurstReader, RowReader

DeviceKey = tuple[str, str]
"""Name of the pipeline and id of the device."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Topics, how their messages become samples, and how samples become windows."""

    name: str
    topics: tuple[str, ...]
    decoder: Decoder
    spec: WindowSpec


class Device:
    """What is open for one device.

    Attributes
    ----------
    name : str
        As it was sent.
    windows : DeviceWindows or None
        None: the device was let go, and a route that still leads here leads nowhere.
    slot : int or None
        Where the deadlines have noted it.
    """

    __slots__ = ("account", "is_stirred", "key", "name", "slot", "windows")

    def __init__(self, key: DeviceKey, name: str, windows: DeviceWindows, account: Account) -> None:
        self.key = key
        self.name = name
        self.windows: DeviceWindows | None = windows
        self.account = account
        self.slot: int | None = None
        self.is_stirred = False

    def due(self) -> int | None:
        """The clock before which it changes nothing here; None = nothing is open."""
        if self.windows is None:
            return None
        due_ns = self.windows.due_ns()
        if self.account.doubt is None:
            return due_ns
        doubt_ends_ns = self.windows.doubt_ends_ns()
        return doubt_ends_ns if due_ns is None else min(due_ns, doubt_ends_ns)


class Route:
    """The way from one topic into one pipeline; the device is known once the first message was taken.

    Attributes
    ----------
    read : callable or None
        The decoder's reader of usual messages.
    read_burst : callable or None
        The same for the messages of one read, all at once.
    device : Device or None
        Only where ``read`` is given: there the topic names the device.
    also : Route or None
        The way of the same topic into another pipeline.
    """

    __slots__ = ("also", "device", "pipeline", "read", "read_burst")

    def __init__(self, pipeline: Pipeline, also: Route | None = None) -> None:
        self.pipeline = pipeline
        self.also = also
        self.read: RowReader | None = getattr(pipeline.decoder, "read_rows", None)
        self.read_burst: BurstReader | None = getattr(pipeline.decoder, "read_burst", None) if self.read else None
        self.device: Device | None = None

    def decode(self, topic: str, payload: bytes) -> list[Block]:
        """The blocks of a message, with every check."""
        return self.pipeline.decoder.decode(topic, payload)
