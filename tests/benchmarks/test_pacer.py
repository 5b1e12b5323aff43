"""The pacer, beside a broker that is behind: what it closes on before it is read would be lost with the connection."""

import io
import socket
import threading

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.pacer import send_paced
from benchmarks.packets import CONNACK_BYTES, publish

_CONNACK = b"\x20\x02\x00\x00"
_N_MESSAGES = 50
_QUIET_S = 0.5


def _puback(number: int) -> bytes:
    return b"\x40\x02" + (number + 1).to_bytes(2, "big")


def test_the_connection_stays_until_the_last_message_is_acknowledged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("go\n"))
    packets = [publish(number, "a", b"x") for number in range(_N_MESSAGES)]
    content, ends = b"".join(packets), np.cumsum([len(packet) for packet in packets]).tolist()
    sent: list[NDArray[np.int64]] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        pacer = threading.Thread(
            target=lambda: sent.append(send_paced(port, memoryview(content), ends, 1e6)), daemon=True
        )
        pacer.start()
        broker, _ = server.accept()
        with broker:
            broker.settimeout(20.0)
            assert broker.recv(1024)[:1] == b"\x10"
            assert broker.send(_CONNACK) == CONNACK_BYTES
            received = b""
            while len(received) < len(content):
                received += broker.recv(65_536)
            broker.sendall(b"".join(_puback(number) for number in range(_N_MESSAGES - 1)))
            broker.settimeout(_QUIET_S)
            with pytest.raises(TimeoutError):  # no end of the connection
                broker.recv(1)
            assert not sent
            broker.sendall(_puback(_N_MESSAGES - 1))
            pacer.join(20.0)
    assert received == content
    assert len(sent[0]) == _N_MESSAGES
