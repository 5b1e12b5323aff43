"""The consumer of the oracle, as its own process: a session that the broker keeps, and a file of all that came.

    python -m tests.faults.consumer PORT FILE

A line a message: topic, tab, payload. A message is acknowledged only after it was written, so killing this process
loses nothing. On every connect the line ``connected`` goes to standard output.
"""

import select
import socket
import sys
import time
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
            if not select.select([connection], [], [], None if is_up else _ANSWER_S)[0]:
                raise ConnectionError("no answer from the broker")
            piece = connection.recv(_READ_BYTES)
            if not piece:
                raise ConnectionError("closed by the broker")
            buffer += piece
            lines, acknowledgements = bytearray(), bytearray()
            for packet in wire.split(buffer):
                if packet.kind == wire.SUBACK:
                    is_up = True
                    print("connected", flush=True)
                elif packet.kind == wire.PUBLISH:
                    message = wire.read_publish(packet)
                    lines += message.topic.encode() + b"\t" + message.payload.replace(b"\n", b" ") + b"\n"
                    if message.mid:
                        acknowledgements += wire.puback(message.mid)
            if lines:
                file.write(lines)
            if acknowledgements:
                connection.sendall(acknowledgements)


def main(arguments: list[str]) -> int:
    """Run as a process until it is killed; see the head of this file."""
    while True:
        try:
            follow(int(arguments[0]), Path(arguments[1]))
        except OSError:
            time.sleep(_RETRY_S)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
