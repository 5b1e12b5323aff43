from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.shell.alarms import AlarmBoard
from edge_agent.shell.disk_space import BALLAST_NAME, INTERVAL_S, DiskSpace, low_below
from edge_agent.shell.disk_writer import DiskWriter
from tests.edge_agent.shell.small_disk import fill, remount, small_disk

MEGABYTE = 2**20


@pytest.fixture
def writer() -> Iterator[DiskWriter]:
    disk = DiskWriter()
    yield disk
    assert disk.close(20.0), "the disk writer did not end"


class Clock:
    """Looks at a disk as often as the loop does."""

    def __init__(self, space: DiskSpace, writer: DiskWriter) -> None:
        self._space, self._writer, self._now_s = space, writer, 0.0

    def look(self, *problems: str) -> None:
        self._now_s += INTERVAL_S
        for _ in range(2):
            self._space.turn(self._now_s, problems)
            assert self._writer.wait(20.0)
        self._space.turn(self._now_s, problems)


def watched(folder: Path, writer: DiskWriter, *others: Path) -> tuple[AlarmBoard, Clock]:
    alarms = AlarmBoard("gw", wall_ns=lambda: 0)
    return alarms, Clock(DiskSpace(folder, others, writer, alarms), writer)


def test_disk_with_space_holds_the_ballast_and_no_alarm(tmp_path: Path, writer: DiskWriter) -> None:
    alarms, clock = watched(tmp_path, writer)
    clock.look()
    assert alarms.codes == []
    assert (tmp_path / BALLAST_NAME).stat().st_blocks * 512 >= 4 * MEGABYTE, "no hole: a hole holds nothing back"


@pytest.mark.fault
def test_ballast_is_let_go_when_the_disk_is_full_and_made_again(tmp_path: Path, writer: DiskWriter) -> None:
    with small_disk(tmp_path / "disk", 64) as folder:
        alarms, clock = watched(folder, writer)
        clock.look()
        assert alarms.codes == []
        filler = fill(folder)
        clock.look()
        assert alarms.codes == ["disk_full"]
        assert not (folder / BALLAST_NAME).exists()
        clock.look()
        assert alarms.codes == ["disk_full"], "what was let go is spent, not gained"
        (folder / "database").write_bytes(bytes(2 * MEGABYTE))
        filler.unlink()
        clock.look()
        assert alarms.codes == []
        assert (folder / BALLAST_NAME).stat().st_size == 4 * MEGABYTE


@pytest.mark.fault
def test_little_space_is_said_before_there_is_none(tmp_path: Path, writer: DiskWriter) -> None:
    with small_disk(tmp_path / "disk", 64) as folder:
        alarms, clock = watched(folder, writer)
        clock.look()
        (folder / "much").write_bytes(bytes(64 * MEGABYTE - 4 * MEGABYTE - low_below(64 * MEGABYTE) // 2))
        clock.look()
        assert alarms.codes == ["disk_low"]
        assert (folder / BALLAST_NAME).exists()


@pytest.mark.fault
def test_read_only_disk_is_said_without_writing_to_it(tmp_path: Path, writer: DiskWriter) -> None:
    with small_disk(tmp_path / "disk", 16) as folder:
        alarms, clock = watched(folder, writer)
        clock.look()
        remount(folder, "ro")
        clock.look()
        assert alarms.codes == ["disk_unwritable"]
        remount(folder, "rw")
        clock.look()
        assert alarms.codes == []


@pytest.mark.fault
def test_other_folders_are_watched_too(tmp_path: Path, writer: DiskWriter) -> None:
    """The store of a broker on the same machine."""
    with small_disk(tmp_path / "disk", 2) as store:
        alarms, clock = watched(tmp_path, writer, store)
        fill(store)
        clock.look()
        assert alarms.codes == ["disk_full"]
        assert str(store) in alarms.take().alarms[0].detail


def test_folder_that_is_not_there_is_said(tmp_path: Path, writer: DiskWriter) -> None:
    alarms, clock = watched(tmp_path, writer, tmp_path / "nowhere")
    clock.look()
    assert alarms.codes == ["disk_low"]


def test_problem_of_a_store_is_an_alarm_until_it_is_over(tmp_path: Path, writer: DiskWriter) -> None:
    alarms, clock = watched(tmp_path, writer)
    clock.look("disk I/O error")
    assert [(alarm.code, alarm.detail) for alarm in alarms.take().alarms] == [("disk_unwritable", "disk I/O error")]
    clock.look("disk I/O error")
    assert not alarms.is_changed, "said once"
    clock.look()
    assert alarms.take().alarms == []
