import logging
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.shell.disk_writer import DiskWriter
from edge_agent.shell.row_file import Connect, Row, RowFile, connect
from tests.edge_agent.gateway import ROOT, wait_until
from tests.edge_agent.shell.small_disk import FailingDisk, fill, remount, small_disk

MEGABYTE = 2**20
KILLS = int(os.environ.get("TELLTALE_KILLS", "15"))


@pytest.fixture
def writer() -> Iterator[DiskWriter]:
    disk = DiskWriter()
    yield disk
    assert disk.close(20.0), "the disk writer did not end"


def row(number: int, size: int = 100) -> Row:
    return Row(number, 1_000 + number, number % 7, b"plant/a/v", number.to_bytes(8, "big") + bytes(size))


def opened(
    path: Path, writer: DiskWriter, *, max_bytes: int = 32 * MEGABYTE, is_ring: bool = True, connect: Connect = connect
) -> RowFile:
    return RowFile(path, writer, max_bytes=max_bytes, interval_s=0.25, is_ring=is_ring, connect=connect)


def is_whole(path: Path) -> bool:
    connection = sqlite3.connect(path)
    try:
        return bool(connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok")
    finally:
        connection.close()


def numbers(path: Path) -> list[int]:
    connection = sqlite3.connect(path)
    try:
        return [number for (number,) in connection.execute("SELECT number FROM rows ORDER BY number")]
    finally:
        connection.close()


def test_rows_come_back_in_order_after_a_restart(tmp_path: Path, writer: DiskWriter) -> None:
    rows = opened(tmp_path / "new" / "a.sqlite3", writer)
    for number in (3, 1, 2, 9):
        rows.append(row(number), 0.0)
    assert rows.flush(20.0, 0.0)
    assert rows.committed == [3, 1, 2, 9]
    rows.close()
    again = opened(tmp_path / "new" / "a.sqlite3", writer)
    assert (again.next_number, again.n_committed) == (10, 4)
    assert again.read(1, 2) == [row(2), row(3)]
    again.close()


def test_nothing_is_written_before_there_is_something_to_write(tmp_path: Path, writer: DiskWriter) -> None:
    rows = opened(tmp_path / "a.sqlite3", writer)
    rows.turn(100.0)
    assert rows.flush(20.0, 100.0)
    assert rows.read(-1, 5) == []
    assert list(tmp_path.iterdir()) == []


def test_rows_wait_for_company_and_share_one_transaction(tmp_path: Path, writer: DiskWriter) -> None:
    disk = FailingDisk(0, 0, 0)
    rows = opened(tmp_path / "a.sqlite3", writer, connect=disk)
    for number in range(300):
        rows.append(row(number), 0.0)
    rows.turn(0.1)
    assert writer.wait(20.0)
    assert disk.n_calls == 0, "handed over before the interval was over"
    rows.turn(0.3)
    assert writer.wait(20.0)
    rows.turn(0.3)
    assert len(rows.committed) == 300
    assert disk.n_calls < 30, "one transaction for all"


def test_a_large_group_does_not_wait_for_the_interval(tmp_path: Path, writer: DiskWriter) -> None:
    rows = opened(tmp_path / "a.sqlite3", writer)
    for number in range(2_500):
        rows.append(row(number), 0.0)
    while rows.n_waiting > 500:
        rows.turn(0.0)
        assert writer.wait(20.0)
    assert rows.committed == list(range(2_000))


def test_rows_are_removed_one_by_one_and_in_ranges(tmp_path: Path, writer: DiskWriter) -> None:
    rows = opened(tmp_path / "a.sqlite3", writer)
    for number in range(10):
        rows.append(row(number), 0.0)
    rows.remove(9, 0.0)  # on its way only: it never reaches the disk
    assert rows.flush(20.0, 0.0)
    rows.remove(4, 0.0)
    rows.remove_below(3, 0.0)
    assert [kept.number for kept in rows.read(-1, 100)] == [3, 5, 6, 7, 8], "at once, whatever the disk does"
    assert rows.flush(20.0, 1.0)
    assert numbers(tmp_path / "a.sqlite3") == [3, 5, 6, 7, 8]
    assert rows.n_committed == 5


def test_row_removed_while_it_is_being_written_is_gone_in_the_end(tmp_path: Path, writer: DiskWriter) -> None:
    rows = opened(tmp_path / "a.sqlite3", writer)
    rows.append(row(0), 0.0)
    rows.turn(1.0)
    rows.remove(0, 1.0)
    assert rows.flush(20.0, 1.0)
    assert numbers(tmp_path / "a.sqlite3") == []
    assert rows.committed == [], "what was taken back is not reported"


def test_full_ring_drops_the_oldest_and_names_them(tmp_path: Path, writer: DiskWriter) -> None:
    path = tmp_path / "a.sqlite3"
    rows = opened(path, writer, max_bytes=6 * MEGABYTE)
    for number in range(4_000):
        rows.append(row(number, 2_000), 0.0)
    assert rows.flush(20.0, 0.0)
    kept = numbers(path)
    assert [row.number for row in rows.dropped] == list(range(kept[0]))
    assert kept == list(range(kept[0], 4_000)), "the newest stay, without a hole"
    assert len(kept) > 500
    assert path.stat().st_size <= 2 * MEGABYTE
    assert path.with_name("a.sqlite3-wal").stat().st_size <= 6 * MEGABYTE
    assert rows.problem == ""
    assert rows.n_committed == len(kept)


def test_full_file_that_is_no_ring_says_so_and_goes_on_when_there_is_room(
    tmp_path: Path, writer: DiskWriter, caplog: pytest.LogCaptureFixture
) -> None:
    rows = opened(tmp_path / "a.sqlite3", writer, max_bytes=5 * MEGABYTE, is_ring=False)
    for number in range(1_000):
        rows.append(row(number, 2_000), 0.0)
    assert not rows.flush(20.0, 0.0)
    assert rows.is_full
    assert rows.problem
    assert rows.first_waiting == len(rows.committed) > 100
    rows.remove_below(400, 0.0)
    assert not rows.flush(20.0, 1.0), "there is room for a part"
    rows.remove_below(900, 0.0)
    assert rows.flush(20.0, 2.0)
    assert (rows.is_full, rows.problem) == (False, "")
    assert numbers(tmp_path / "a.sqlite3") == list(range(900, 1_000))
    assert [record.levelname for record in caplog.records].count("ERROR") <= 2


def test_space_is_given_back_when_an_outage_is_over(tmp_path: Path, writer: DiskWriter) -> None:
    path = tmp_path / "a.sqlite3"
    rows = opened(path, writer)
    for number in range(3_000):
        rows.append(row(number, 2_000), 0.0)
    assert rows.flush(20.0, 0.0)
    rows.remove_below(3_000, 0.0)
    assert rows.flush(20.0, 1.0)
    rows.close()
    assert path.stat().st_size < 100_000


@pytest.mark.parametrize("content", [b"", b"rubbish" * 1_000, b"SQLite format 3\0" + b"\xff" * 8_000])
def test_corrupt_file_is_set_aside_and_a_fresh_one_begun(
    tmp_path: Path, writer: DiskWriter, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.sqlite3"
    path.write_bytes(content)
    rows = opened(path, writer)
    rows.append(row(0), 0.0)
    assert rows.flush(20.0, 0.0)
    assert numbers(path) == [0]
    if content:
        assert (tmp_path / "a.sqlite3.corrupt").read_bytes() == content
        assert len(caplog.records) == 1
        assert rows.was_corrupt


def test_file_of_another_making_is_set_aside(tmp_path: Path, writer: DiskWriter) -> None:
    path = tmp_path / "a.sqlite3"
    foreign = sqlite3.connect(path)
    foreign.execute("CREATE TABLE rows (something TEXT)")
    foreign.commit()
    foreign.close()
    rows = opened(path, writer)
    rows.append(row(5), 0.0)
    assert rows.flush(20.0, 0.0)
    assert [kept.number for kept in rows.read(-1, 10)] == [5]
    assert (tmp_path / "a.sqlite3.corrupt").exists()


def test_page_torn_in_the_middle_is_noticed_at_the_next_start(tmp_path: Path, writer: DiskWriter) -> None:
    path = tmp_path / "a.sqlite3"
    rows = opened(path, writer)
    for number in range(500):
        rows.append(row(number, 500), 0.0)
    assert rows.flush(20.0, 0.0)
    rows.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * 4096)
    again = opened(path, writer)
    assert again.was_corrupt
    assert again.n_committed == 0
    assert again.problem == ""


WRITING = """
import sys
from pathlib import Path
from edge_agent.shell.disk_writer import DiskWriter
from edge_agent.shell.row_file import Row, RowFile
import os, time
path, told = Path(sys.argv[1]), os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
rows = RowFile(path, DiskWriter(), max_bytes=32 * 2**20, interval_s=0.002, is_ring=False)
number = rows.next_number
while True:
    for _ in range(20):
        rows.append(Row(number, 0, 0, b"t", number.to_bytes(8, "big") * 20), time.monotonic())
        number += 1
    rows.turn(time.monotonic())
    for done in rows.committed:
        os.write(told, done.to_bytes(8, "big"))
    rows.committed.clear()
    rows.remove_below(number - 2_000, time.monotonic())
    time.sleep(0.0005)
"""


@pytest.mark.fault
def test_killed_at_random_moments_keeps_every_row_that_was_reported(tmp_path: Path, writer: DiskWriter) -> None:
    chance = random.Random(11)
    path, told = tmp_path / "a.sqlite3", tmp_path / "told"
    written = 0
    for _ in range(KILLS):
        size = told.stat().st_size if told.exists() else 0
        process = subprocess.Popen([sys.executable, "-c", WRITING, str(path), str(told)], cwd=ROOT)
        wait_until(lambda size=size: told.exists() and told.stat().st_size > size, "the first commit")  # type: ignore[misc]
        pause = chance.uniform(0.0, 0.03)
        with subprocess.Popen([sys.executable, "-c", "pass"]) as clock:  # some milliseconds of another process
            clock.wait()
        if pause > 0.015:
            reached = told.stat().st_size
            wait_until(lambda reached=reached: told.stat().st_size > reached, "another commit")  # type: ignore[misc]
        process.send_signal(signal.SIGKILL)
        process.wait()
        reported = int.from_bytes(told.read_bytes()[-8:], "big") if told.stat().st_size % 8 == 0 else written
        copy = tmp_path / "copy.sqlite3"
        for suffix in ("", "-wal"):
            source = path.with_name(path.name + suffix)
            if source.exists():
                shutil.copy(source, copy.with_name(copy.name + suffix))
        assert is_whole(copy)
        kept = numbers(copy)
        assert kept[-1] >= reported, "a row that was reported as committed is gone"
        assert kept == list(range(kept[0], kept[-1] + 1)), "a hole"
        written = kept[-1]
        for part in tmp_path.glob("copy.sqlite3*"):
            part.unlink()
    assert written > 50 * 20


@pytest.mark.fault
def test_power_cut_that_loses_the_unsynced_end_of_the_log_keeps_a_prefix_in_order(
    tmp_path: Path, writer: DiskWriter
) -> None:
    """What a power cut may do to an append-only log: any end of it is missing, or holds old or random bytes."""
    chance = random.Random(5)
    path = tmp_path / "a.sqlite3"
    rows = opened(path, writer)
    sizes: list[tuple[int, int]] = []
    for first in range(0, 600, 20):
        for number in range(first, first + 20):
            rows.append(row(number), 0.0)
        assert rows.flush(20.0, 0.0)
        sizes.append((path.with_name("a.sqlite3-wal").stat().st_size, first + 20))
    log, copy = path.with_name("a.sqlite3-wal").read_bytes(), tmp_path / "copy.sqlite3"
    for _ in range(60):
        cut = chance.randrange(len(log))
        shutil.copy(path, copy)
        tail = chance.randbytes(min(len(log) - cut, chance.choice([0, 100, 5_000])))
        copy.with_name("copy.sqlite3-wal").write_bytes(log[:cut] + tail)
        synced = max((n for size, n in sizes if size <= cut), default=0)
        after = opened(copy, writer)
        assert after.problem == ""
        assert not after.was_corrupt
        kept = [kept.number for kept in after.read(-1, 1_000)]
        assert kept == list(range(len(kept))), "a prefix, in order"
        assert len(kept) >= synced, "a row whose commit was synced is gone"
        after.close()
        assert is_whole(copy)
        for part in tmp_path.glob("copy.sqlite3*"):
            part.unlink()
    rows.close()


@pytest.mark.parametrize("code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY])
@pytest.mark.parametrize("is_ring", [True, False])
def test_error_in_any_call_costs_nothing_that_was_reported_and_heals(
    tmp_path: Path, writer: DiskWriter, code: int, is_ring: bool
) -> None:
    first = 0
    while True:
        first += 1
        path = tmp_path / f"{first}.sqlite3"
        disk = FailingDisk(first, 3, code)
        rows = opened(path, writer, is_ring=is_ring, connect=disk)
        now_s = 0.0
        for number in range(30):
            rows.append(row(number), now_s)
            if number % 10 == 9:
                rows.turn(now_s)
                assert writer.wait(20.0)
                now_s += 1.0
            if number == 25:
                rows.remove(3, now_s)
        for _ in range(8):
            now_s += 40.0
            rows.flush(20.0, now_s)
        assert rows.n_waiting == 0
        assert rows.problem == ""
        assert sorted(rows.committed) in ([*range(30)], [n for n in range(30) if n != 3])
        assert rows.dropped == []
        rows.close()
        assert writer.wait(20.0)
        assert is_whole(path)
        assert numbers(path) == [n for n in range(30) if n != 3]
        assert not rows.was_corrupt
        if disk.n_failed == 0:
            break
    assert first > 15, "every call was struck once"


@pytest.mark.fault
def test_file_system_that_is_full_keeps_what_is_there_and_takes_up_again(tmp_path: Path, writer: DiskWriter) -> None:
    with small_disk(tmp_path / "disk", 8) as folder:
        path = folder / "a.sqlite3"
        rows = opened(path, writer)
        for number in range(500):
            rows.append(row(number, 1_000), 0.0)
        assert rows.flush(20.0, 0.0)
        filler = fill(folder)
        for number in range(500, 3_000):
            rows.append(row(number, 1_000), 1.0)
        assert not rows.flush(20.0, 1.0)
        assert rows.problem
        assert not rows.is_full, "it is the disk that is full, not our share of it"
        assert rows.dropped == [], "nothing that is on the disk is given away for the disk's sake"
        assert [kept.number for kept in rows.read(-1, 5_000)] == list(range(3_000)), "all is still there to be sent"
        filler.unlink()
        assert rows.flush(20.0, 100.0)
        assert rows.problem == ""
        assert numbers(path) == list(range(3_000))
        rows.close()
        assert is_whole(path)


@pytest.mark.fault
def test_read_only_file_system_is_trouble_and_heals(tmp_path: Path, writer: DiskWriter) -> None:
    with small_disk(tmp_path / "disk", 8) as folder:
        remount(folder, "ro")
        rows = opened(folder / "a.sqlite3", writer)
        rows.append(row(0), 0.0)
        assert not rows.flush(20.0, 0.0)
        assert rows.problem
        remount(folder, "rw")
        assert rows.flush(20.0, 100.0)
        assert numbers(folder / "a.sqlite3") == [0]
        rows.close()


def test_log_tells_a_trouble_once(tmp_path: Path, writer: DiskWriter, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.sqlite3").mkdir()
    with caplog.at_level(logging.INFO):
        rows = opened(tmp_path / "a.sqlite3", writer)
        rows.append(row(0), 0.0)
        for now_s in (1.0, 100.0, 200.0):
            assert not rows.flush(20.0, now_s)
        assert len(caplog.records) <= 2
        (tmp_path / "a.sqlite3").rmdir()
        assert rows.flush(20.0, 300.0)
    assert "can be written again" in caplog.records[-1].message
