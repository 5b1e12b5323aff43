"""The live part: messages go out at their pace, labels come back, until every window that should have one has one."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from demo.agents import Agent
from demo.errors import DemoError
from demo.labels import LabelBook, filters_for
from demo.pace import paced
from demo.plant.messages import Message
from demo.score import SentLog
from demo.wire import Address, Publisher, Subscriber

_ONLINE_S = 60.0
# A window at the end of a stream waits for its deadline, and a busy machine has other things to do.
_SILENCE_S = 20.0
_TURN_S = 0.02
_REFRESH_S = 0.125


class Expected(Protocol):
    """Ids of windows: those that are to be labelled now, and those that may be labelled later."""

    @property
    def due(self) -> set[str]:
        """Windows that should have a label."""
        ...

    @property
    def left_open(self) -> set[str]:
        """Windows that are still open."""
        ...


class View(Protocol):
    """Who watches: a terminal, or nobody."""

    def saw(self, message: Message) -> None:
        """A message left."""
        ...

    def refresh(self, book: LabelBook, *, n_sent: int, elapsed_s: float) -> None:
        """Time to draw."""
        ...


@dataclass(frozen=True, slots=True)
class LiveRun:
    """What came of a live run.

    Attributes
    ----------
    book : LabelBook
        Every label.
    sent : SentLog
        When every sensor message left.
    n_messages : int
        Sensor messages that left.
    began_ns : int
        When the first message was due, monotonic clock.
    live_s : float
        From the first message to the last.
    missing, unexpected : list of str
        ``gateway: id`` of windows without a label, and of labels without a window.
    n_left_open : int
        Windows that were still open when the last message had been sent, and had no label by the end.
    """

    book: LabelBook
    sent: SentLog
    n_messages: int
    began_ns: int
    live_s: float
    missing: list[str]
    unexpected: list[str]
    n_left_open: int


def wait_online(agents: Sequence[Agent], inbox: Subscriber, book: LabelBook) -> None:
    """Return once every agent said that it is online.

    Raises
    ------
    DemoError
        If one ended, or did not say so in time.
    """
    deadline = time.monotonic() + _ONLINE_S
    while True:
        book.take(inbox.take())
        waiting = [agent.gateway for agent in agents if book.states.get(agent.gateway) != "online"]
        if not waiting:
            return
        for agent in agents:
            agent.check()
        if time.monotonic() > deadline:
            raise DemoError(f"agents: online within {_ONLINE_S:.0f} s expected, still waiting for {', '.join(waiting)}")
        time.sleep(_TURN_S)


class _Sender(threading.Thread):
    """Publishes at the given pace; the main thread reads what has left and takes over its error."""

    def __init__(self, address: Address, messages: Iterable[Message], speed: float | None) -> None:
        super().__init__(name="sender", daemon=True)
        self._address = address
        self._messages = messages
        self._speed = speed
        self._stopping = threading.Event()
        self.left: deque[tuple[Message, int]] = deque()
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            with Publisher(self._address, "plant") as publisher:
                for message in paced(self._messages, self._speed):
                    if self._stopping.is_set():
                        return
                    self.left.append((message, time.monotonic_ns()))
                    publisher.publish(message.topic, message.payload)
                publisher.drain()
        except Exception as error:  # noqa: BLE001 - handed to the thread that can tell somebody
            self.error = error

    def stop(self) -> None:
        """Stop before the next message."""
        self._stopping.set()
        self.join()


def run_live(
    address: Address,
    agents: Sequence[Agent],
    messages: Iterable[Message],
    *,
    speed: float | None,
    view: View,
    expected: Callable[[], Mapping[str, Expected]],
    inbox: Subscriber,
    book: LabelBook,
) -> LiveRun:
    """Send every message, and wait until every expected label came.

    Parameters
    ----------
    address : Address
        The broker.
    agents : sequence of Agent
        Online; watched while the messages flow.
    messages : iterable of Message
        In order of time.
    speed : float or None
        Plant seconds in a second; None = as fast as PUBACKs come.
    view : View
        Who watches.
    expected : callable
        Gateway to the windows that it should label; asked once all has been sent.
    inbox : Subscriber
        Subscribed to the topics of the agents since before they started.
    book : LabelBook
        Where the labels are entered.

    Raises
    ------
    DemoError
        If the plant could not publish, or an agent ended.
    """
    sent = SentLog()
    n_sent, began, last_draw = 0, time.monotonic(), 0.0
    sender = _Sender(address, messages, speed)

    def turn() -> None:
        nonlocal n_sent, last_draw
        while sender.left:
            message, sent_ns = sender.left.popleft()
            if not message.is_truth:
                sent.note(message.device, message.newest_ns, sent_ns)
                n_sent += 1
            view.saw(message)
        book.take(inbox.take())
        now = time.monotonic()
        if now - last_draw >= _REFRESH_S:
            last_draw = now
            view.refresh(book, n_sent=n_sent, elapsed_s=now - began)
            for agent in agents:
                agent.check()
        time.sleep(_TURN_S)

    sender.start()
    try:
        while sender.is_alive():
            turn()
    finally:
        sender.stop()
    if sender.error is not None:
        raise DemoError(f"plant: {sender.error}") from sender.error
    live_s = time.monotonic() - began
    windows = expected()
    wanted = sum(len(each.due) for each in windows.values())
    n_before, quiet_since = -1, time.monotonic()
    while (n_now := sum(len(each.due & book.ids(gateway)) for gateway, each in windows.items())) < wanted:
        if n_now != n_before:
            n_before, quiet_since = n_now, time.monotonic()
        if time.monotonic() - quiet_since > _SILENCE_S:
            break
        turn()
    view.refresh(book, n_sent=n_sent, elapsed_s=time.monotonic() - began)
    missing, unexpected, n_left_open = [], [], 0
    for gateway, each in windows.items():
        labelled = book.ids(gateway)
        missing += [f"{gateway}: {one}" for one in sorted(each.due - labelled)]
        unexpected += [f"{gateway}: {one}" for one in sorted(labelled - each.due - each.left_open)]
        n_left_open += len(each.left_open - labelled)
    return LiveRun(book, sent, n_sent, round(began * 1e9), live_s, missing, unexpected, n_left_open)


def label_inbox(address: Address, agents: Sequence[Agent]) -> Subscriber:
    """A subscriber to everything that these agents say; open it before they start."""
    return Subscriber(address, filters_for(agent.gateway for agent in agents), "labels")
