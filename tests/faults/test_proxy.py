"""The bad link does to bytes what it says, and nothing else."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.edge_agent.gateway import wait_until
from tests.faults.proxy import DELAY_S, Proxy


@pytest.fixture
def echo() -> Iterator[int]:
    """Port of a server that sends back what it gets."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection:
            try:
                while piece := connection.recv(65_536):
                    connection.sendall(piece)
            except OSError:
                return  # reset: that is one of the tests

    def accept() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield server.getsockname()[1]
    server.shutdown(socket.SHUT_RDWR)
    server.close()


@pytest.fixture
def proxy(echo: int) -> Iterator[Proxy]:
    proxy = Proxy(echo).start()
    yield proxy
    proxy.stop()


@pytest.fixture
def near(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as connection:
        yield connection


def exactly(connection: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size:
        piece = connection.recv(size - len(got))
        assert piece, "the connection ended early"
        got += piece
    return got


def test_all_bytes_pass_in_order(near: socket.socket) -> None:
    sent = bytes(range(256)) * 4_000
    threading.Thread(target=near.sendall, args=(sent,)).start()
    assert exactly(near, len(sent)) == sent


def test_through_a_hole_nothing_passes_until_it_is_closed_and_nothing_is_lost(
    proxy: Proxy, near: socket.socket
) -> None:
    proxy.turn("hole")
    near.sendall(b"abc")
    near.settimeout(0.3)
    with pytest.raises(TimeoutError):
        near.recv(3)
    near.settimeout(20)
    proxy.turn("pass")
    assert exactly(near, 3) == b"abc"


def test_a_delay_is_that_of_both_ways(proxy: Proxy, near: socket.socket) -> None:
    proxy.turn("delay")
    began_s = time.monotonic()
    near.sendall(b"abc")
    assert exactly(near, 3) == b"abc"
    assert time.monotonic() - began_s >= 2 * DELAY_S


def test_a_trickle_brings_all_of_it_later(proxy: Proxy, near: socket.socket) -> None:
    proxy.turn("trickle")
    began_s = time.monotonic()
    near.sendall(bytes(600))
    assert exactly(near, 600) == bytes(600)
    assert time.monotonic() - began_s >= 0.4


def test_a_reset_ends_every_connection_and_new_ones_pass(proxy: Proxy, near: socket.socket) -> None:
    near.sendall(b"a")
    assert exactly(near, 1) == b"a"
    proxy.reset()
    with pytest.raises(ConnectionResetError):
        near.recv(1)
    wait_until(lambda: proxy.n_connections == 0, "the proxy to forget the connection")
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as again:
        again.sendall(b"b")
        assert exactly(again, 1) == b"b"
