import logging
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from edge_agent.shell.disk_writer import DiskWriter
from edge_agent.shell.state import FILE_NAME, LOG_NAME, StateFile
from tests.edge_agent.gateway import ROOT, wait_until
from tests.edge_agent.shell.small_disk import fill, small_disk

Change = tuple[str, dict[str, Any]]
KILLS = int(os.environ.get("TELLTALE_KILLS", "15"))


@pytest.fixture
def writer() -> Iterator[DiskWriter]:
    disk = DiskWriter()
    yield disk
    assert disk.close(20.0), "the disk writer did not end"


class Progress:
    """The state of an engine with one pipeline, and what changed in it."""

    def __init__(self) -> None:
        self.devices: dict[str, dict[str, Any]] = {}

    def moved(self, device: str, index: int, carry: list[Any] | None = None) -> Change:
        self.devices[device] = {"closed_through": index, "carry": carry}
        return device, dict(self.devices[device])

    def whole(self) -> dict[str, Any]:
        return {"p": {"grid": "g", "devices": {name: dict(entry) for name, entry in self.devices.items()}}}


def changed(moved: list[Change]) -> dict[str, Any]:
    return {"p": {"grid": "g", "devices": dict(moved)}} if moved else {}


def put(state: StateFile, writer: DiskWriter, changes: list[Change], progress: Progress, now_s: float) -> None:
    """One write, done."""
    assert state.is_due(now_s)
    state.put(changed(changes), progress.whole, int(now_s), now_s)
    assert writer.wait(20.0)


def test_whole_state_and_what_changed_since_are_read_back_by_the_next_start(tmp_path: Path, writer: DiskWriter) -> None:
    progress = Progress()
    state = StateFile(tmp_path / "new" / "folder", writer)
    put(state, writer, [progress.moved("a", 4), progress.moved("b", 7, [[5, 1.5, 2.5], None])], progress, 1.0)
    put(state, writer, [progress.moved("a", 5)], progress, 2.0)
    put(state, writer, [progress.moved("b", 8, [[9, 0.5, 0.25], None]), progress.moved("c", -1)], progress, 3.0)
    assert state.is_due(9.0)
    assert state.durable_mark == 3
    assert orjson.loads((tmp_path / "new/folder" / FILE_NAME).read_bytes())["pipelines"]["p"]["devices"].keys() == {
        "a",
        "b",
    }
    assert StateFile(tmp_path / "new" / "folder", writer).read() == progress.whole()


def test_many_devices_are_compressed_and_read_back(tmp_path: Path, writer: DiskWriter) -> None:
    progress = Progress()
    state = StateFile(tmp_path, writer)
    for now_s in range(1, 40):
        put(state, writer, [progress.moved(f"pump-{n}", now_s * 1_000 + n) for n in range(3_000)], progress, now_s)
    assert StateFile(tmp_path, writer).read() == progress.whole()
    assert state.bytes_written < 40 * 3_000 * 15


def test_full_log_begins_the_next_generation(tmp_path: Path, writer: DiskWriter) -> None:
    progress, chance = Progress(), random.Random(3)
    state = StateFile(tmp_path, writer, interval_s=0.3)
    generations, n_full = set(), 0
    for now_s in range(1, 600):
        moved = [progress.moved(f"pump-{chance.randrange(10**9)}", now_s) for _ in range(8)]
        moved += [progress.moved(f"pump-{n}", chance.randrange(10**12)) for n in range(200)]
        if len(progress.devices) > 500:
            progress.devices = dict(list(progress.devices.items())[-300:])
        put(state, writer, moved, progress, now_s)
        is_at_once = state.is_due(now_s + 0.1)
        assert is_at_once == (state.durable_mark != now_s)
        if is_at_once:  # the log was full: not durable before the whole state is written
            n_full += 1
            put(state, writer, [], progress, now_s + 0.5)
            assert not state.is_due(now_s + 0.5)
            assert state.durable_mark == now_s
        generations.add(orjson.loads((tmp_path / FILE_NAME).read_bytes())["generation"])
        if now_s % 60 == 0:
            read = StateFile(tmp_path, writer).read()["p"]["devices"]
            assert {name: read[name] for name in progress.devices} == progress.devices
    assert len(generations) == n_full + 1 >= 3
    assert (tmp_path / LOG_NAME).stat().st_size < 2**20


def test_grid_of_another_run_is_not_mixed_with_the_changes_of_this_one(tmp_path: Path, writer: DiskWriter) -> None:
    first = Progress()
    state = StateFile(tmp_path, writer)
    put(state, writer, [first.moved("a", 1_000_000)], first, 1.0)
    second = StateFile(tmp_path, writer)
    second.read()
    other = Progress()
    put(second, writer, [other.moved("a", 5)], other, 1.0)
    assert StateFile(tmp_path, writer).read() == other.whole()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'{"schema":"watermark/9","pipelines":{}}',
        b'{"schema":"watermark/2"}',
        b'{"schema":"watermark/2","generation":"x","pipelines":{}}',
        b"\xff\xfe",
    ],
)
def test_corrupt_watermark_starts_clean_with_one_line(
    tmp_path: Path, writer: DiskWriter, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with caplog.at_level(logging.INFO):
        assert StateFile(tmp_path, writer).read() == {}
    assert len(caplog.records) == 1


def test_watermark_of_the_earlier_version_is_read(tmp_path: Path, writer: DiskWriter) -> None:
    devices = {"a": {"closed_through": 4, "carry": None}}
    kept = {"schema": "watermark/1", "pipelines": {"p": {"grid": "g", "devices": devices}}}
    (tmp_path / FILE_NAME).write_bytes(orjson.dumps(kept))
    assert StateFile(tmp_path, writer).read() == kept["pipelines"]


def test_absent_watermark_starts_clean_with_one_line(
    tmp_path: Path, writer: DiskWriter, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert StateFile(tmp_path, writer).read() == {}
    assert len(caplog.records) == 1


def test_file_left_beside_by_a_kill_is_removed_and_the_old_one_counts(tmp_path: Path, writer: DiskWriter) -> None:
    progress = Progress()
    put(StateFile(tmp_path, writer), writer, [progress.moved("a", 1)], progress, 1.0)
    (tmp_path / f"{FILE_NAME}.tmp").write_bytes(b"half")
    state = StateFile(tmp_path, writer)
    assert not (tmp_path / f"{FILE_NAME}.tmp").exists()
    assert state.read() == progress.whole()


def test_unchanged_state_is_durable_at_once_and_not_written_again(tmp_path: Path, writer: DiskWriter) -> None:
    progress = Progress()
    state = StateFile(tmp_path, writer)
    put(state, writer, [progress.moved("a", 1)], progress, 1.0)
    assert state.is_due(2.0)
    written = state.bytes_written
    state.put({}, progress.whole, 77, 2.0)
    assert state.durable_mark == 77
    assert writer.wait(20.0)
    assert state.bytes_written == written


def test_writes_keep_their_distance(tmp_path: Path, writer: DiskWriter) -> None:
    progress = Progress()
    state = StateFile(tmp_path, writer, interval_s=1.0)
    put(state, writer, [progress.moved("a", 1)], progress, 10.0)
    assert not state.is_due(10.9)
    assert state.is_due(11.0)


def test_close_leaves_the_whole_state(tmp_path: Path, writer: DiskWriter) -> None:
    progress = Progress()
    state = StateFile(tmp_path, writer)
    put(state, writer, [progress.moved("a", 1)], progress, 1.0)
    state.put(changed([progress.moved("a", 2)]), progress.whole, 2, 1.5)
    progress.moved("a", 3)
    assert state.close(progress.whole, 3, 20.0)
    assert orjson.loads((tmp_path / FILE_NAME).read_bytes())["pipelines"] == progress.whole()
    assert StateFile(tmp_path, writer).read() == progress.whole()


def test_any_end_of_the_log_may_be_missing_or_rubbish(tmp_path: Path, writer: DiskWriter) -> None:
    """A kill or a power cut in the middle of a write: the watermark is late at worst, never early and never wrong."""
    chance, progress = random.Random(9), Progress()
    state = StateFile(tmp_path / "state", writer)
    for index in range(30):
        put(state, writer, [progress.moved("a", index), progress.moved("b" * 200, 2 * index)], progress, index + 1.0)
    log = (tmp_path / "state" / LOG_NAME).read_bytes()
    seen = set()
    for turn in range(200):
        folder = tmp_path / str(turn)
        shutil.copytree(tmp_path / "state", folder)
        cut = chance.randrange(12_000)
        tail = chance.choice([b"", bytes(len(log) - cut), chance.randbytes(3_000), log[: len(log) - cut]])
        (folder / LOG_NAME).write_bytes(log[:cut] + tail)
        devices = StateFile(folder, writer).read()["p"]["devices"]
        index = devices["a"]["closed_through"]
        assert 0 <= index < 30
        assert devices["b" * 200] == {"closed_through": 2 * index, "carry": None}
        seen.add(index)
    assert len(seen) > 10


def test_disk_that_cannot_be_written_is_said_once_and_tried_again(
    tmp_path: Path, writer: DiskWriter, caplog: pytest.LogCaptureFixture
) -> None:
    progress = Progress()
    state = StateFile(tmp_path, writer)
    (tmp_path / f"{FILE_NAME}.tmp").mkdir()  # stands where the file beside would be written
    put(state, writer, [progress.moved("a", 1)], progress, 1.0)
    assert not state.is_due(1.1)
    assert state.problem
    assert state.durable_mark == 0
    put(state, writer, [progress.moved("b", 1)], progress, 10.0)
    assert not state.is_due(10.1)
    assert len(caplog.records) == 1
    (tmp_path / f"{FILE_NAME}.tmp").rmdir()
    put(state, writer, [], progress, 20.0)
    assert state.is_due(30.0)
    assert (state.problem, state.durable_mark) == ("", 20)
    assert StateFile(tmp_path, writer).read() == progress.whole()


@pytest.mark.fault
def test_full_disk_does_not_stop_the_watermark_while_its_log_has_room(tmp_path: Path, writer: DiskWriter) -> None:
    with small_disk(tmp_path / "disk", 4) as folder:
        progress = Progress()
        state = StateFile(folder, writer)
        put(state, writer, [progress.moved("a", 1)], progress, 1.0)
        fill(folder)
        for index in range(2, 200):
            put(state, writer, [progress.moved("a", index)], progress, index)
        assert state.is_due(1_000.0)
        assert (state.problem, state.durable_mark) == ("", 199)
        assert StateFile(folder, writer).read() == progress.whole()


WRITING = """
import sys, os, time
from pathlib import Path
from edge_agent.shell.disk_writer import DiskWriter
from edge_agent.shell.state import StateFile
folder, told = Path(sys.argv[1]), os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
state = StateFile(folder, DiskWriter(), interval_s=0.0)
kept = state.read().get("p", {}).get("devices", {})
index = max((entry["closed_through"] for entry in kept.values()), default=0)
devices = lambda: {f"{n}" * 30: {"closed_through": index, "carry": None} for n in range(99)}
whole = lambda: {"p": {"grid": "g", "devices": devices()}}
while True:
    if state.is_due(time.monotonic()):
        os.write(told, state.durable_mark.to_bytes(8, "big"))
        index += 1
        state.put(whole(), whole, index, time.monotonic())
    time.sleep(0.0002)
"""


@pytest.mark.fault
def test_killed_at_random_moments_leaves_what_was_durable_or_newer(tmp_path: Path, writer: DiskWriter) -> None:
    told = tmp_path / "told"
    highest = 0
    for turn in range(KILLS):
        size = told.stat().st_size if told.exists() else 0
        process = subprocess.Popen([sys.executable, "-c", WRITING, str(tmp_path / "s"), str(told)], cwd=ROOT)
        reach = size + 8 * (3 + turn * 7 % 40)
        wait_until(lambda reach=reach: told.exists() and told.stat().st_size > reach, "some writes")  # type: ignore[misc]
        process.send_signal(signal.SIGKILL)
        process.wait()
        content = told.read_bytes()
        durable = int.from_bytes(content[len(content) // 8 * 8 - 8 :][:8], "big")
        devices = StateFile(tmp_path / "s", writer).read()["p"]["devices"]
        indices = {entry["closed_through"] for entry in devices.values()}
        assert len(devices) == 99
        assert len(indices) == 1, "a record counts whole or not at all"
        assert indices.pop() >= durable
        highest = max(highest, durable)
    assert highest > KILLS * 3
