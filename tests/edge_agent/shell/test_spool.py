import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.shell.delivery import NO_SUBSCRIBER, SHELTER_AFTER_S, Outbox
from edge_agent.shell.disk_writer import DiskWriter
from edge_agent.shell.outgoing import Kind, Outgoing
from edge_agent.shell.spool import Spool
from tests.edge_agent.shell.small_disk import FailingDisk

TOPIC = "telltale/v1/gw/pump-1/label"
MEGABYTE = 2**20


@pytest.fixture
def writer() -> Iterator[DiskWriter]:
    disk = DiskWriter()
    yield disk
    assert disk.close(20.0), "the disk writer did not end"


def spool_in(folder: Path, writer: DiskWriter, *, max_bytes: int = 8 * MEGABYTE, **more: Any) -> Spool:
    return Spool(folder, writer, max_bytes=max_bytes, **more)


def outbox_on(spool: Spool | None, *, limit: int = 100) -> Outbox:
    return Outbox(limit=limit, attempts=3, retry_max_s=30.0, patience_s=60.0, spool=spool)


def label(index: int, device: str = "pump-1", kind: Kind = "label") -> Outgoing:
    topic = f"telltale/v1/gw/{device}/{kind}"
    return Outgoing(kind, topic, str(index).encode(), retain=kind == "label", key=("p", device, index))


def settle_on_disk(outbox: Outbox, writer: DiskWriter, now_s: float, **how: bool) -> float:
    """Time passes until the disk has taken what is due; the new time."""
    for _ in range(4):
        outbox.keep_safe(now_s, **how)
        assert writer.wait(20.0)
        now_s += 0.3
    outbox.keep_safe(now_s)
    return now_s


def deliver(outbox: Outbox, now_s: float, reason: int = 0) -> list[tuple[str, bool]]:
    """What the broker gets and answers with this reason: payload, and whether it may be retained."""
    taken = outbox.take(now_s, 1_000)
    told = [(message.payload.decode(), outbox.is_retained(message)) for message in taken]
    if reason:
        for message in taken:
            outbox.confirmed(message.mid, reason, now_s)
    else:
        outbox.accepted_all([message.mid for message in taken], now_s, lambda _since, _n: None)
    return told


def test_labels_stay_in_memory_while_the_broker_accepts(tmp_path: Path, writer: DiskWriter) -> None:
    outbox = outbox_on(spool_in(tmp_path, writer))
    now_s = 0.0
    for index in range(50):
        outbox.put(label(index))
        assert deliver(outbox, now_s) == [(str(index), True)]
        now_s = settle_on_disk(outbox, writer, now_s)
    assert list(tmp_path.iterdir()) == []


def test_labels_that_wait_reach_the_disk_and_settle_their_windows(tmp_path: Path, writer: DiskWriter) -> None:
    spool = spool_in(tmp_path, writer)
    outbox = outbox_on(spool)
    outbox.keep_safe(0.0)
    outbox.put_all([label(1), label(1, kind="event"), label(2)])
    outbox.put(Outgoing("status", "telltale/v1/gw/availability", b"online", retain=True))
    settle_on_disk(outbox, writer, SHELTER_AFTER_S - 1.5)
    assert spool.n_kept == 0, "a short wait is not worth a write"
    now_s = settle_on_disk(outbox, writer, SHELTER_AFTER_S)
    assert spool.n_kept == 3
    assert outbox.settled == [("p", "pump-1", 1), ("p", "pump-1", 2)], "once, when all parts are on the disk"
    outbox.connected(now_s)
    assert [payload for payload, _ in deliver(outbox, now_s)] == ["1", "1", "2", "online"]
    settle_on_disk(outbox, writer, now_s)
    assert spool.n_kept == 0
    assert outbox.settled == [("p", "pump-1", 1), ("p", "pump-1", 2)]


def test_broker_that_stood_still_gets_the_rest_without_a_new_connection(tmp_path: Path, writer: DiskWriter) -> None:
    spool = spool_in(tmp_path, writer)
    outbox = outbox_on(spool)
    outbox.keep_safe(0.0)
    outbox.put_all([label(index) for index in range(5)])
    first, _ = outbox.take(0.0, 2)
    now_s = settle_on_disk(outbox, writer, SHELTER_AFTER_S)
    assert [message.payload for message in outbox.take(now_s, 3)] == [b"2"], "the broker has room for one"
    now_s = settle_on_disk(outbox, writer, now_s + SHELTER_AFTER_S)
    outbox.accepted_all([first.mid], now_s, lambda _since, _n: None)
    assert [payload for payload, _ in deliver(outbox, now_s)] == ["3", "4"]


def test_labels_of_the_last_run_go_first_and_do_not_replace_newer_retained_ones(
    tmp_path: Path, writer: DiskWriter
) -> None:
    first = outbox_on(spool := spool_in(tmp_path, writer))
    first.put_all([label(1), label(2), label(1, "pump-2")])
    first.keep_safe(0.0, all_of_it=True)
    assert spool.close(20.0, 0.0)
    first.keep_safe(0.0)
    assert first.settled == [("p", "pump-1", 1), ("p", "pump-1", 2), ("p", "pump-2", 1)]

    second = outbox_on(spool_in(tmp_path, writer))
    second.put(label(3))
    second.connected(10.0)
    assert deliver(second, 10.0) == [("1", False), ("2", False), ("1", True), ("3", True)]
    second.keep_safe(10.0)
    settle_on_disk(second, writer, 11.0)
    assert spool_in(tmp_path, writer).n_kept == 0


def test_what_was_on_its_way_is_kept_too_and_leaves_the_disk_when_its_puback_comes(
    tmp_path: Path, writer: DiskWriter
) -> None:
    spool = spool_in(tmp_path, writer)
    outbox = outbox_on(spool)
    outbox.keep_safe(0.0)
    outbox.put(label(1))
    (sent,) = outbox.take(0.0, 10)
    now_s = settle_on_disk(outbox, writer, SHELTER_AFTER_S)
    assert spool.n_kept == 1
    assert outbox.settled == [("p", "pump-1", 1)]
    outbox.accepted_all([sent.mid], now_s, lambda _since, _n: None)
    assert outbox.take(now_s, 10) == [], "it is not sent twice"
    settle_on_disk(outbox, writer, now_s)
    assert spool.n_kept == 0
    assert outbox.settled == [("p", "pump-1", 1)], "and settled once"


def test_labels_beyond_memory_without_a_subscriber_wait_on_disk_until_one_comes(
    tmp_path: Path, writer: DiskWriter
) -> None:
    spool = spool_in(tmp_path, writer)
    outbox, now_s = outbox_on(spool, limit=16), 0.0
    for index in range(200):
        outbox.put(label(index))
        deliver(outbox, now_s, NO_SUBSCRIBER)
        now_s += 0.01
        outbox.keep_safe(now_s)
    now_s = settle_on_disk(outbox, writer, now_s)
    assert outbox.dropped == {}
    assert len(outbox.settled) == 200, "all are on the disk: their samples may be acknowledged"
    outbox.connected(now_s)
    told: list[str] = []
    for _ in range(200):
        told += [payload for payload, _ in deliver(outbox, now_s)]
        now_s += 0.5
        outbox.keep_safe(now_s)
        assert writer.wait(20.0)
    assert sorted(set(map(int, told))) == list(range(200))
    assert len(told) <= 200 + 100, "what was accepted is repeated once at most, from the ring"
    assert spool.n_kept == 0


def test_full_spool_drops_the_oldest_and_counts_them_once(tmp_path: Path, writer: DiskWriter) -> None:
    spool = spool_in(tmp_path, writer, max_bytes=4 * MEGABYTE + 256 * 1024)
    outbox = outbox_on(spool)
    for index in range(400):
        outbox.put(Outgoing("label", TOPIC, bytes([index % 256]) * 1_000, retain=True, key=("p", "pump-1", index)))
    for now_s in (3.0, 10.0, 20.0, 30.0, 40.0):
        settle_on_disk(outbox, writer, now_s, all_of_it=True)
    assert len(outbox.settled) == 400
    assert outbox.dropped["spool_full"] == 400 - spool.n_kept > 100
    n_kept = spool.n_kept
    outbox.connected(50.0)
    told = [message.payload[0] for message in outbox.take(50.0, 1_000)]
    assert told == [index % 256 for index in range(400 - n_kept, 400)], "the newest are there, in order"


def test_spool_that_is_off_keeps_nothing(tmp_path: Path) -> None:
    outbox = outbox_on(None)
    outbox.put(label(1))
    outbox.keep_safe(100.0, all_of_it=True)
    assert deliver(outbox, 100.0) == [("1", True)]
    assert list(tmp_path.iterdir()) == []


def test_disk_that_takes_nothing_keeps_labels_in_memory_and_unsettled(tmp_path: Path, writer: DiskWriter) -> None:
    disk = FailingDisk(1, 10**9, sqlite3.SQLITE_IOERR)
    spool = spool_in(tmp_path, writer, connect=disk)
    outbox = outbox_on(spool)
    outbox.keep_safe(0.0)
    outbox.put_all([label(index) for index in range(30)])
    now_s = settle_on_disk(outbox, writer, SHELTER_AFTER_S)
    assert spool.problem
    assert outbox.settled == []
    outbox.connected(now_s)
    assert [payload for payload, _ in deliver(outbox, now_s)] == [str(index) for index in range(30)]
    assert len(outbox.settled) == 30, "the broker has them"
    assert spool.n_kept == 0


@given(st.lists(st.sampled_from(["put", "refuse", "accept", "away", "back", "write", "restart"]), max_size=60))
def test_every_label_is_delivered_or_on_disk_or_counted_whatever_happens(steps: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        writer, now_s, index, delivered = DiskWriter(), 0.0, 0, set[str]()
        spool = spool_in(Path(name), writer)
        outbox = outbox_on(spool, limit=16)
        for step in steps:
            now_s += 1.0
            if step == "put":
                outbox.put_all([label(index + n, f"pump-{n % 3}") for n in range(7)])
                index += 7
            elif step == "refuse":
                deliver(outbox, now_s, NO_SUBSCRIBER)
            elif step == "accept":
                delivered |= {payload for payload, _ in deliver(outbox, now_s)}
            elif step == "away":
                now_s = settle_on_disk(outbox, writer, now_s + SHELTER_AFTER_S)
            elif step == "back":
                outbox.connection_replaced(keeps_session=index % 2 == 0)
                outbox.connected(now_s)
            elif step == "write":
                now_s = settle_on_disk(outbox, writer, now_s)
            else:
                outbox.keep_safe(now_s, all_of_it=True)
                assert spool.close(20.0, now_s)
                outbox.keep_safe(now_s)
                spool = spool_in(Path(name), writer)
                outbox = outbox_on(spool, limit=16)
                outbox.connected(now_s)
        for _ in range(40):
            now_s += 31.0
            outbox.keep_safe(now_s)
            delivered |= {payload for payload, _ in deliver(outbox, now_s)}
            assert writer.wait(20.0)
        assert delivered == {str(n) for n in range(index)} or outbox.dropped["no_subscriber"] > 0
        assert set(outbox.dropped) <= {"no_subscriber"}
        settle_on_disk(outbox, writer, now_s)
        assert spool.n_kept == 0
        spool.close(20.0, now_s)
        assert writer.close(20.0)
