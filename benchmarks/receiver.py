"""A subscriber that only notes when bytes came, as its own process; what they say is read after the run.

    python -m benchmarks.receiver PORT OUT.npz N_LABELS FILTER ...

It says ``ready`` when the broker has answered its subscription. When standard input is closed it waits for what is
missing of so many labels, at most as long as a starved machine may need, and writes the stream and the arrival of each
piece of it (position of its end, monotonic nanoseconds).
"""

from __future__ import annotations

import select
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.packets import split, subscribe, topic_and_payload
from benchmarks.publisher import open_connection

_CHUNK_BYTES = 262_144
_PUBLISH = 0x30
_TYPE = 0xF0
_QUIET_S = 0.5
_LONGEST_QUIET_S = 20.0
_LABEL = b"/label"


def main(arguments: Sequence[str]) -> int:
    """Run as a process; see the head of this file."""
    pieces, ends, times = list[bytes](), list[int](), list[int]()
    with open_connection(int(arguments[0]), "receiver") as connection:
        connection.sendall(subscribe(*arguments[3:]))
        size, is_asked, n_missing = 0, False, int(arguments[2])
        while True:
            quiet_s = _LONGEST_QUIET_S if n_missing > 0 else _QUIET_S
            watched = [connection] if is_asked else [connection, sys.stdin]
            readable = select.select(watched, [], [], quiet_s if is_asked else None)[0]
            if connection in readable:
                piece = connection.recv(_CHUNK_BYTES)
                times.append(time.monotonic_ns())
                # Confirmed at once, or the broker's own joining of packets would be measured, at this end of its line.
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
                size += len(piece)
                n_missing -= piece.count(_LABEL)
                pieces.append(piece)
                ends.append(size)
                if len(pieces) == 1:
                    print("ready", flush=True)  # the first packet is the SUBACK
                if not piece:
                    break
            elif is_asked:
                break
            if sys.stdin in readable:
                is_asked = True
    stream = np.frombuffer(b"".join(pieces), dtype=np.uint8)
    np.savez(arguments[1], stream=stream, ends=np.array(ends), times_ns=np.array(times, dtype=np.int64))
    return 0


def arrivals(path: Path) -> Iterator[tuple[str, bytes, int]]:
    """Topic, payload and arrival in monotonic nanoseconds of every PUBLISH that the receiver kept."""
    with np.load(path) as kept:
        stream, ends, times_ns = kept["stream"].tobytes(), kept["ends"].tolist(), kept["times_ns"].tolist()
    buffer, at = bytearray(), 0
    for end, time_ns in zip(ends, times_ns, strict=True):
        buffer += stream[at:end]
        at = end
        for kind, body in split(buffer):
            if kind & _TYPE == _PUBLISH:
                topic, payload = topic_and_payload(body)
                yield topic, payload, time_ns


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
