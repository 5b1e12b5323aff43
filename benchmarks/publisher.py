"""A publisher as its own process: packets made beforehand, sent as fast as the broker acknowledges them.

    python -m benchmarks.publisher PORT PACKETS.bin ENDS.npy

It says ``ready`` on standard output, waits for a line on standard input, sends, and says ``done`` when the last message
is acknowledged.
"""

from __future__ import annotations

import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.packets import CONNACK_BYTES, PUBACK_BYTES, connect, publish

IN_FLIGHT = 2_000
"""Messages on the way to the broker that it has not acknowledged yet."""

_CHUNK_BYTES = 65_536


def write_packets(folder: Path, name: str, messages: Sequence[tuple[str, bytes]]) -> tuple[Path, Path]:
    """Two files: all packets in a row, and where each of them ends."""
    packets = [publish(number, topic, payload) for number, (topic, payload) in enumerate(messages)]
    content, ends = folder / f"{name}.bin", folder / f"{name}.npy"
    content.write_bytes(b"".join(packets))
    np.save(ends, np.cumsum([len(packet) for packet in packets], dtype=np.int64))
    return content, ends


def send(connection: socket.socket, content: memoryview, ends: Sequence[int]) -> None:
    """Send all packets, never more than `IN_FLIGHT` ahead of the broker, and return when the last is acknowledged.

    Raises
    ------
    ConnectionError
        If the broker goes away.
    """
    sent, acknowledged_bytes = 0, 0
    connection.settimeout(0.0)
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ | selectors.EVENT_WRITE)
        while acknowledged_bytes < PUBACK_BYTES * len(ends):
            allowed = ends[min(len(ends), acknowledged_bytes // PUBACK_BYTES + IN_FLIGHT) - 1]
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if sent < allowed else 0)
            selector.modify(connection, wanted)
            for _, ready in selector.select():
                if ready & selectors.EVENT_READ:
                    # A publisher of QoS 1 receives nothing but PUBACKs, four bytes each.
                    received = connection.recv(_CHUNK_BYTES)
                    if not received:
                        raise ConnectionError("the broker closed the connection of the publisher")
                    acknowledged_bytes += len(received)
                if ready & selectors.EVENT_WRITE:
                    sent += connection.send(content[sent : min(allowed, sent + _CHUNK_BYTES)])


def open_connection(port: int, client_id: str) -> socket.socket:
    """A connection that the broker has accepted, without delay for small packets.

    Raises
    ------
    ConnectionError
        If the broker refuses it.
    """
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(connect(client_id))
    if connection.recv(CONNACK_BYTES) != b"\x20\x02\x00\x00":
        raise ConnectionError(f"the broker refused {client_id}")
    return connection


def send_packets(port: int, packets: tuple[Path, Path]) -> None:
    """Send what `write_packets` wrote from this process, and return when the last message is acknowledged."""
    with open_connection(port, "publisher") as connection:
        send(connection, memoryview(packets[0].read_bytes()), np.load(packets[1]).tolist())


def publish_apart(port: int, packets: tuple[Path, Path]) -> float:
    """When sending began, on the monotonic clock; returns when the broker has acknowledged the last message."""
    command = [sys.executable, "-m", "benchmarks.publisher", str(port), *map(str, packets)]
    root = Path(__file__).resolve().parents[1]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as publisher:
        assert publisher.stdin is not None
        assert publisher.stdout is not None
        if publisher.stdout.readline() != "ready\n":
            raise RuntimeError("the publisher did not come up")
        begun_s = time.monotonic()
        publisher.stdin.write("go\n")
        publisher.stdin.flush()
        if publisher.stdout.readline() != "done\n":
            raise RuntimeError("the publisher did not come to its end")
    return begun_s


def main(arguments: Sequence[str]) -> int:
    """Run as a process; see the head of this file."""
    port, content, ends = int(arguments[0]), Path(arguments[1]).read_bytes(), np.load(arguments[2]).tolist()
    with open_connection(port, "publisher") as connection:
        print("ready", flush=True)
        sys.stdin.readline()
        send(connection, memoryview(content), ends)
        print("done", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
