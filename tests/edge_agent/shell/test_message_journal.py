import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_agent.shell.disk_writer import DiskWriter
from edge_agent.shell.message_journal import COMMIT_S, MEMORY_S, MessageJournal
from edge_agent.shell.publish_packets import Packet
from tests.edge_agent.shell.small_disk import FailingDisk, fill, small_disk

MEGABYTE = 2**20


@pytest.fixture
def writer() -> Iterator[DiskWriter]:
    disk = DiskWriter()
    yield disk
    assert disk.close(20.0), "the disk writer did not end"


def journal_in(folder: Path, writer: DiskWriter, *, max_bytes: int = 16 * MEGABYTE, **more: Any) -> MessageJournal:
    return MessageJournal(folder, writer, max_bytes=max_bytes, **more)


def packets(first: int, n: int, *, first_mid: int | None = None, size: int = 0) -> list[Packet]:
    mid = first + 1 if first_mid is None else first_mid
    return [(b"plant/a/v", b"%d" % (first + i) + bytes(size), mid + i, False) for i in range(n)]


def commit(journal: MessageJournal, writer: DiskWriter, now_s: float) -> None:
    journal.turn(now_s)
    assert writer.wait(20.0)
    journal.turn(now_s)


def test_nothing_may_be_acknowledged_before_it_is_committed(tmp_path: Path, writer: DiskWriter) -> None:
    journal = journal_in(tmp_path, writer)
    journal.received_all(0, packets(0, 5), wall_ns=7, now_s=0.0)
    assert journal.committed_below(5) == 0
    journal.turn(COMMIT_S / 2)
    assert writer.wait(20.0)
    journal.turn(COMMIT_S / 2)
    assert journal.committed_below(5) == 0
    commit(journal, writer, COMMIT_S)
    assert journal.committed_below(5) == 5


def test_messages_of_the_last_run_come_back_in_order_with_number_and_time(tmp_path: Path, writer: DiskWriter) -> None:
    journal = journal_in(tmp_path, writer)
    journal.received_all(0, [*packets(0, 3), (b"plant/a/v", b"old", 9, True)], wall_ns=7, now_s=0.0)
    journal.received_all(4, packets(4, 2), wall_ns=8, now_s=0.0)
    assert journal.close(20.0, 0.0)
    again = journal_in(tmp_path, writer)
    assert again.next_number == 6
    assert again.is_replaying
    rows = again.replay(4) + again.replay(4)
    assert [(row.number, row.payload, row.wall_ns) for row in rows] == [
        (0, b"0", 7),
        (1, b"1", 7),
        (2, b"2", 7),
        (4, b"4", 8),
        (5, b"5", 8),
    ], "a retained message is no sample"
    assert not again.is_replaying


def test_rows_go_when_they_are_labelled_and_their_acknowledgement_has_arrived(
    tmp_path: Path, writer: DiskWriter
) -> None:
    journal = journal_in(tmp_path, writer)
    journal.received_all(0, packets(0, 10), wall_ns=7, now_s=0.0)
    commit(journal, writer, 1.0)
    journal.acknowledged(10, 1.0)
    journal.remove_below(6, 1.1)
    commit(journal, writer, 1.5)
    assert journal.n_kept == 10, "the acknowledgements may still be lost"
    journal.acknowledged(10, 1.0 + MEMORY_S)
    journal.remove_below(6, 1.0 + MEMORY_S)
    commit(journal, writer, 3.0)
    assert journal.n_kept == 4


def test_replay_is_not_overtaken_by_the_deletion(tmp_path: Path, writer: DiskWriter) -> None:
    journal = journal_in(tmp_path, writer)
    journal.received_all(0, packets(0, 10), wall_ns=7, now_s=0.0)
    assert journal.close(20.0, 0.0)
    again = journal_in(tmp_path, writer)
    assert len(again.replay(3)) == 3
    again.acknowledged(10, 0.0)
    again.acknowledged(10, 100.0)
    again.remove_below(10, 100.0)
    assert [row.number for row in again.replay(100)] == [3, 4, 5, 6, 7, 8, 9]


def test_what_the_broker_delivers_again_is_recognised_over_a_restart(tmp_path: Path, writer: DiskWriter) -> None:
    journal = journal_in(tmp_path, writer)
    journal.received_all(0, packets(0, 10, first_mid=65_530 - 5), wall_ns=7, now_s=0.0)
    assert journal.close(20.0, 0.0)
    again = journal_in(tmp_path, writer)
    again.connected(is_session_kept=True)
    delivered = packets(4, 6, first_mid=65_530 - 1) + packets(10, 3, first_mid=65_535)
    assert again.n_known(delivered) == 6
    assert again.n_again == 6
    assert again.n_known(packets(9, 1, first_mid=65_534)) == 0, "redeliveries come first; behind them all is new"


def test_same_value_under_a_new_identifier_is_a_new_message(tmp_path: Path, writer: DiskWriter) -> None:
    journal = journal_in(tmp_path, writer)
    constant: list[Packet] = [(b"t", b"21.5", mid, False) for mid in range(1, 6)]
    journal.received_all(0, constant, wall_ns=7, now_s=0.0)
    journal.connected(is_session_kept=True)
    redelivered: list[Packet] = [(b"t", b"21.5", mid, False) for mid in range(4, 9)]
    assert journal.n_known(redelivered) == 2, "4 and 5 are known, 6 to 8 never came here"


def test_session_that_is_gone_delivers_nothing_again(tmp_path: Path, writer: DiskWriter) -> None:
    journal = journal_in(tmp_path, writer)
    journal.received_all(0, packets(0, 5), wall_ns=7, now_s=0.0)
    journal.connected(is_session_kept=False)
    assert journal.n_known(packets(0, 5)) == 0
    journal.connected(is_session_kept=True)
    assert journal.n_known(packets(0, 5)) == 0, "those identifiers meant other messages"


def test_full_journal_withholds_and_goes_on_when_labels_make_room(tmp_path: Path, writer: DiskWriter) -> None:
    journal = journal_in(tmp_path, writer, max_bytes=5 * MEGABYTE)
    journal.received_all(0, packets(0, 2_000, size=1_000), wall_ns=7, now_s=0.0)
    now_s = 0.0
    for _ in range(40):
        now_s += 2.0
        commit(journal, writer, now_s)
    first = journal.committed_below(2_000)
    assert 300 < first < 1_500
    assert journal.is_full
    journal.acknowledged(first, now_s)
    journal.acknowledged(first, now_s + MEMORY_S)
    journal.remove_below(first, now_s + MEMORY_S)
    for _ in range(40):
        now_s += 2.0
        commit(journal, writer, now_s)
    assert journal.committed_below(2_000) > first + 300


def test_message_that_no_memory_is_left_for_is_counted(tmp_path: Path, writer: DiskWriter) -> None:
    journal = journal_in(tmp_path, writer, connect=FailingDisk(1, 10**9, sqlite3.SQLITE_IOERR))
    journal.received_all(0, packets(0, 60_000, first_mid=1), wall_ns=7, now_s=0.0)
    journal.received_all(60_000, packets(0, 20_000, first_mid=1), wall_ns=7, now_s=0.0)
    commit(journal, writer, 1.0)
    assert journal.problem
    assert journal.committed_below(80_000) == 0
    assert journal.n_skipped == 10_000


@pytest.mark.fault
def test_disk_that_fills_up_withholds_acknowledgements_until_there_is_space(tmp_path: Path, writer: DiskWriter) -> None:
    with small_disk(tmp_path / "disk", 8) as folder:
        journal = journal_in(folder, writer)
        journal.received_all(0, packets(0, 100), wall_ns=7, now_s=0.0)
        commit(journal, writer, 1.0)
        filler = fill(folder)
        journal.received_all(100, packets(100, 2_000, size=500), wall_ns=7, now_s=2.0)
        for now_s in (3.0, 10.0, 20.0, 40.0):
            commit(journal, writer, now_s)
        assert journal.committed_below(2_100) == 100
        assert journal.problem
        filler.unlink()
        for now_s in (100.0, 101.0, 102.0, 103.0):
            commit(journal, writer, now_s)
        assert journal.committed_below(2_100) == 2_100
        assert journal.close(20.0, 200.0)
        assert journal_in(folder, writer).next_number == 2_100
