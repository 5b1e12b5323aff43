"""The consumer of the oracle, as its own process: a session that the broker keeps, and a file of all that came.

    python -m tests.faults.consumer PORT FILE

A line a message: topic, tab, payload. A message is acknowledged only after it was written, so killing this process
loses nothing. On every connect the line ``connected`` goes to standard output. The order ``leave`` on standard input
makes it give up its subscriptions, keep what comes until the broker has confirmed that, and say ``left``.
"""

import select
import socket
import sys
import time
from io import FileIO
from pathlib import Path

from tests.faults import wire

FILTERS = (
    "telltale/v1/+/+/label",
    "telltale/v1/+/+/gap",
    "telltale/v1/+/metrics",
    "telltale/v1/+/info",
    "telltale/v1/+/availability",
    "telltale/v1/+/alarm",
)
DROPPED = "$SYS/broker/publish/messages/dropped"
"""What mosquitto counts as dropped since it started."""

_RETRY_S = 0.1
_ANSWER_S = 2.0
_READ_BYTES = 262_144


def follow(port: int, path: Path) -> None:
    """Take part in one connection until it ends.

    Raises
    ------
    OSError
        When the connection cannot be had or is lost.
    """
    buffer = bytearray()
    with socket.create_connection(("127.0.0.1", port), timeout=_ANSWER_S) as connection, path.open("ab", 0) as file:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(wire.connect("oracle-consumer") + wire.subscribe(*FILTERS, DROPPED))
        is_up = False
        file.write(b"\n")  # whatever a killed process left half-written ends here
        while True:
            # a broker that stands still sends nothing: only CONNACK has a deadline
            ready = select.select([connection, sys.stdin], [], [], None if is_up else _ANSWER_S)[0]
            if not ready:
                raise ConnectionError("no answer from the broker")
            if sys.stdin in ready:
                if not sys.stdin.readline():
                    sys.exit(0)  # who gives the orders has ended
                connection.sendall(wire.unsubscribe(*FILTERS, DROPPED))
            if connection in ready:
                piece = connection.recv(_READ_BYTES)
                if not piece:
                    raise ConnectionError("closed by the broker")
                buffer += piece
                is_up = _keep(buffer, connection, file) or is_up


def _keep(buffer: bytearray, connection: socket.socket, file: FileIO) -> bool:
    """Write down what came, then acknowledge it; whether the broker has confirmed the subscription."""
    is_up = False
    lines, acknowledgements = bytearray(), bytearray()
    for packet in wire.split(buffer):
        if packet.kind == wire.SUBACK:
            is_up = True
            sys.stdout.write("connected\n")
        elif packet.kind == wire.UNSUBACK:
            sys.stdout.write("left\n")
        elif packet.kind == wire.PUBLISH:
            message = wire.read_publish(packet)
            lines += message.topic.encode() + b"\t" + message.payload.replace(b"\n", b" ") + b"\n"
            if message.mid:
                acknowledgements += wire.puback(message.mid)
    if lines:
        file.write(lines)
    if acknowledgements:
        connection.sendall(acknowledgements)
    sys.stdout.flush()
    return is_up


def main(arguments: list[str]) -> int:
    """Run as a process until it is killed; see the head of this file."""
    while True:
        try:
            follow(int(arguments[0]), Path(arguments[1]))
        except OSError:
            time.sleep(_RETRY_S)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
