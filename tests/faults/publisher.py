"""The publisher of the oracle, as its own process: it holds the PUBACK of every sample it writes down.

    python -m tests.faults.publisher ORDERS.json

Each sample for which a PUBACK 0x00 came is appended to the file ``accepted`` (a record of device and sequence number),
so that nothing it says is lost when it ends. After a lost connection it sends what is unacknowledged again, marked DUP,
before anything new. Orders come on standard input, a line each: ``mute DEVICE``, ``stop``.
"""

import json
import os
import random
import select
import socket
import sys
import time
from collections import OrderedDict, deque
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.faults import wire
from tests.faults.plant import Plant

ACCEPTED = np.dtype([("device", "<u2"), ("seq", "<u4")])
"""A record of the file of accepted samples."""

_IN_FLIGHT = 2_000
_BURST = 500
_TURN_S = 0.004
_RETRY_S = 0.1
_ANSWER_S = 2.0
_READ_BYTES = 65_536
_MOST_BUFFERED_BYTES = 262_144


@dataclass(frozen=True)
class Manners:
    """How badly this publisher behaves (R13): shares of messages sent twice, sent again with DUP, and sent late."""

    twice: float = 0.0
    dup: float = 0.0
    late: float = 0.0
    late_by: int = 400


@dataclass
class Account:
    """What it did; printed as JSON at the end. ``next``: where another one may go on."""

    accepted: int = 0
    sent: int = 0
    resent: int = 0
    refused: int = 0
    no_subscriber: int = 0
    reconnects: int = 0
    unacknowledged: int = 0
    seconds: float = 0.0
    next: int = 0


@dataclass
class Publisher:
    """The state of the process."""

    plant: Plant
    port: int
    accepted: Path
    manners: Manners
    first: int = 0
    account: Account = field(default_factory=Account)
    muted: set[int] = field(default_factory=set)
    is_stopping: bool = False

    def __post_init__(self) -> None:
        """Nothing is connected yet."""
        self._pending: OrderedDict[int, tuple[int, int]] = OrderedDict()
        self._late: deque[tuple[int, int, int]] = deque()
        self._written: list[tuple[int, int]] = []
        self._out = bytearray()
        self._in = bytearray()
        self._mid = 0
        self._next = self.first
        self._chance = random.Random(11)
        self._socket: socket.socket | None = None
        self._topics = [self.plant.topic(device) for device in range(self.plant.n_devices)]
        self._file = self.accepted.open("ab", buffering=0)

    def run(self, give_up_s: float) -> Account:
        """Publish at the pace of the plant until ``stop``, then until all is acknowledged or the time is up."""
        began_s = time.monotonic()
        until_s = float("inf")
        while time.monotonic() < until_s:
            if self._socket is None:
                self._connect()
                if self._socket is None:
                    self._orders(_RETRY_S)
                    continue
            try:
                self._turn(began_s)
            except OSError:
                self._lose()
            self._write_down()
            self._orders(0.0)
            if self.is_stopping:
                if until_s == float("inf"):
                    self.account.seconds = time.monotonic() - began_s
                    until_s = time.monotonic() + give_up_s
                if not self._pending and not self._late:
                    break
        self.account.unacknowledged, self.account.next = len(self._pending), self._next
        return self.account

    # ------------------------------------------------------------------ one turn

    def _turn(self, began_s: float) -> None:
        connection = self._socket
        assert connection is not None
        if not self.is_stopping:
            self._produce(self.first + int((time.monotonic() - began_s) * self.plant.rate_hz))
        while self._late and (self._late[0][0] <= self._next or self.is_stopping):
            _, device, seq = self._late.popleft()
            self._send(device, seq)
        readable, writable, _ = select.select([connection], [connection] if self._out else [], [], _TURN_S)
        if readable:
            piece = connection.recv(_READ_BYTES)
            if not piece:
                raise ConnectionError("closed by the broker")
            self._in += piece
            for packet in wire.split(self._in):
                if packet.kind == wire.PUBACK:
                    self._heard(*wire.read_puback(packet.body))
        if writable:
            del self._out[: connection.send(memoryview(bytes(self._out[:_READ_BYTES])))]

    def _produce(self, due: int) -> None:
        plant, manners = self.plant, self.manners
        until = min(due, self._next + _BURST)
        while self._next < until and len(self._pending) < _IN_FLIGHT and len(self._out) < _MOST_BUFFERED_BYTES:
            seq, device = divmod(self._next, plant.n_devices)
            self._next += 1
            if device in self.muted:
                continue
            if manners.late and self._chance.random() < manners.late:
                self._late.append((self._next + self._chance.randrange(1, manners.late_by), device, seq))
                continue
            self._send(device, seq)
            if manners.twice and self._chance.random() < manners.twice:
                self._send(device, seq)
            if manners.dup and self._chance.random() < manners.dup:
                self._again(next(reversed(self._pending)))

    def _send(self, device: int, seq: int) -> None:
        mid = self._mid % 65_535 + 1
        while mid in self._pending:
            mid = mid % 65_535 + 1
        self._mid = mid
        self._pending[mid] = (device, seq)
        self._out += wire.publish(self._topics[device], self.plant.payload(device, seq), mid)
        self.account.sent += 1

    def _again(self, mid: int) -> None:
        device, seq = self._pending[mid]
        self._out += wire.publish(self._topics[device], self.plant.payload(device, seq), mid, is_repeat=True)
        self.account.resent += 1

    def _heard(self, mid: int, reason: int) -> None:
        sample = self._pending.pop(mid, None)
        if sample is None:
            return
        if reason == 0:
            self._written.append(sample)
            self.account.accepted += 1
        elif reason < 0x80:
            self.account.no_subscriber += 1
        else:
            self.account.refused += 1

    def _write_down(self) -> None:
        if self._written:
            self._file.write(np.array(self._written, dtype=ACCEPTED).tobytes())
            self._written.clear()

    def _orders(self, wait_s: float) -> None:
        if not select.select([sys.stdin], [], [], wait_s)[0]:
            return
        for line in os.read(sys.stdin.fileno(), 4096).decode().splitlines() or ["stop"]:  # or the giver of orders ended
            order, *words = line.split()
            if order == "mute":
                self.muted.add(int(words[0]))
            else:
                self.is_stopping = True

    # ------------------------------------------------------------------ the connection

    def _connect(self) -> None:
        try:
            connection = socket.create_connection(("127.0.0.1", self.port), timeout=_ANSWER_S)
        except OSError:
            return
        buffer = bytearray()
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(wire.connect("oracle-publisher"))
            packets: list[wire.Packet] = []
            while not packets:
                piece = connection.recv(_READ_BYTES)
                if not piece:
                    raise ConnectionError("closed by the broker")
                buffer += piece
                packets = list(wire.split(buffer))
            if packets[0].kind != wire.CONNACK or packets[0].body[1] != 0:
                raise ConnectionError("refused by the broker")
        except OSError:
            connection.close()
            return
        connection.setblocking(False)
        self._socket, self._in = connection, buffer
        self._out = bytearray()
        for mid in self._pending:
            self._again(mid)

    def _lose(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self.account.reconnects += 1


def main(arguments: list[str]) -> int:
    """Run as a process; see the head of this file."""
    orders: dict[str, Any] = json.loads(Path(arguments[0]).read_text())
    publisher = Publisher(
        Plant(**orders["plant"]),
        orders["port"],
        Path(orders["accepted"]),
        Manners(**orders["manners"]),
        orders["first"],
    )
    account = publisher.run(orders["give_up_s"])
    sys.stdout.write(f"{json.dumps(asdict(account))}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
