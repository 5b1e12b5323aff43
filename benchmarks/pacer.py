"""A publisher that keeps a pace, as its own process: packets made beforehand, one at a time, each with its time.

    python -m benchmarks.pacer PORT PACKETS.bin ENDS.npy RATE_HZ SENT.npy

It says ``ready`` on standard output, waits for a line on standard input, sends, writes the monotonic time of each
packet in nanoseconds, and says ``done`` when the last message is acknowledged. The clock is one for all processes of
the machine.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.packets import PUBACK_BYTES
from benchmarks.publisher import open_connection

_CHUNK_BYTES = 65_536


def send_paced(port: int, content: memoryview, ends: Sequence[int], rate_hz: float) -> NDArray[np.int64]:
    """When each packet was handed to the system, in monotonic nanoseconds; returns when all are acknowledged.

    A broker that is behind has not read the last packets yet: it would lose them with a connection that is closed here.

    Raises
    ------
    ConnectionError
        If the broker goes away.
    """
    sent_ns = np.zeros(len(ends), dtype=np.int64)
    at, step_ns, left_bytes = 0, round(1e9 / rate_hz), PUBACK_BYTES * len(ends)
    with open_connection(port, "pacer") as connection:
        print("ready", flush=True)
        sys.stdin.readline()
        began_ns = time.monotonic_ns()
        for number, end in enumerate(ends):
            due_ns = began_ns + number * step_ns
            while (left_ns := due_ns - time.monotonic_ns()) > 0:
                # Nothing comes but PUBACKs, which are read so that the broker is never held up.
                if select.select([connection], [], [], left_ns / 1e9)[0]:
                    left_bytes -= _read(connection)
            sent_ns[number] = time.monotonic_ns()
            connection.sendall(content[at:end])
            at = end
        while left_bytes > 0:
            left_bytes -= _read(connection)
    return sent_ns


def _read(connection: socket.socket) -> int:
    n_bytes = len(connection.recv(_CHUNK_BYTES))
    if not n_bytes:
        raise ConnectionError("the broker closed the connection of the pacer")
    return n_bytes


def main(arguments: Sequence[str]) -> int:
    """Run as a process; see the head of this file."""
    content, ends = Path(arguments[1]).read_bytes(), np.load(arguments[2]).tolist()
    np.save(arguments[4], send_paced(int(arguments[0]), memoryview(content), ends, float(arguments[3])))
    print("done", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
