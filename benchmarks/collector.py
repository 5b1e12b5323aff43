"""Keeps every label that comes, with the time of its arrival; what it says is looked at after the run."""

from __future__ import annotations

import json
import socket
import threading
import time
from typing import NamedTuple, Self

from benchmarks.packets import CONNACK_BYTES, connect, split, subscribe, topic_and_payload

_PUBLISH = 0x30
_TYPE = 0xF0
_INCOMPLETE = b'"state":"incomplete"'
_CHUNK_BYTES = 262_144


class Label(NamedTuple):
    """One answer of a rival."""

    device: str
    label: str


class Collector:
    """Subscribes to what an agent, or a script in its place, publishes as gateway ``bench``.

    It reads the events of changes too, which only an agent publishes, because an agent waits for somebody to hear them.
    """

    def __init__(self, port: int) -> None:
        self._connection = socket.create_connection(("127.0.0.1", port))
        self._connection.sendall(connect("collector"))
        if self._connection.recv(CONNACK_BYTES) != b"\x20\x02\x00\x00":
            raise ConnectionError("the broker refused the collector")
        root = "telltale/v1/bench"
        self._connection.sendall(subscribe(f"{root}/availability", f"{root}/+/label", f"{root}/+/event"))
        self._news = threading.Condition()
        self._online_s: float | None = None
        self._labels: list[tuple[float, bytes]] = []
        self._is_open = True
        self._thread = threading.Thread(target=self._read, name="collector", daemon=True)
        self._thread.start()

    def wait_online(self, timeout_s: float) -> float | None:
        """When the retained birth message came, on the monotonic clock; None if it did not in time."""
        with self._news:
            self._news.wait_for(lambda: self._online_s is not None or not self._is_open, timeout_s)
            return self._online_s

    def wait_labels(self, n_labels: int, timeout_s: float) -> list[tuple[float, bytes]]:
        """What came until there were so many labels of whole windows: arrival on the monotonic clock, and payload."""
        with self._news:
            self._news.wait_for(lambda: len(self._labels) >= n_labels or not self._is_open, timeout_s)
            return list(self._labels)

    def close(self) -> None:
        """End the connection and the thread."""
        self._connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _read(self) -> None:
        buffer = bytearray()
        try:
            while received := self._connection.recv(_CHUNK_BYTES):
                buffer += received
                self._keep(buffer)
        except OSError:  # the broker was stopped, which ends a run
            pass
        finally:
            with self._news:
                self._is_open = False
                self._news.notify_all()

    def _keep(self, buffer: bytearray) -> None:
        now_s = time.monotonic()
        with self._news:
            for kind, body in split(buffer):
                if kind & _TYPE != _PUBLISH:
                    continue
                topic, payload = topic_and_payload(body)
                if topic.endswith("/availability"):
                    if b"online" in payload and self._online_s is None:
                        self._online_s = now_s
                elif topic.endswith("/label") and _INCOMPLETE not in payload:
                    self._labels.append((now_s, payload))
            self._news.notify_all()


def parse_label(payload: bytes) -> Label:
    """Device and label of a payload of either rival."""
    message = json.loads(payload)
    return Label(message["device"], message["label"])
