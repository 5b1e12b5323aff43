import logging
from pathlib import Path
from typing import Any

import pytest

from edge_agent.shell.state import FILE_NAME, StateFile

STATE: dict[str, Any] = {"p": {"grid": "g", "devices": {"a": {"closed_through": 4, "carry": None}}}}


def test_what_was_written_is_read_back_by_the_next_start(tmp_path: Path) -> None:
    assert StateFile(tmp_path / "new" / "folder").write(STATE, 0.0)
    assert StateFile(tmp_path / "new" / "folder").read() == STATE


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"null", b"[]", b'{"schema":"watermark/9","pipelines":{}}', b'{"schema":"watermark/1"}', b"\xff\xfe"],
)
def test_corrupt_watermark_starts_clean_with_one_line(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with caplog.at_level(logging.INFO):
        assert StateFile(tmp_path).read() == {}
    assert len(caplog.records) == 1


def test_absent_watermark_starts_clean_with_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert StateFile(tmp_path).read() == {}
    assert len(caplog.records) == 1


def test_file_left_beside_by_a_kill_is_removed_and_the_old_one_counts(tmp_path: Path) -> None:
    StateFile(tmp_path).write(STATE, 0.0)
    (tmp_path / f"{FILE_NAME}.tmp").write_bytes(b"half")
    state = StateFile(tmp_path)
    assert not (tmp_path / f"{FILE_NAME}.tmp").exists()
    assert state.read() == STATE


def test_unchanged_state_is_not_written_again(tmp_path: Path) -> None:
    state = StateFile(tmp_path)
    state.write(STATE, 0.0)
    (tmp_path / FILE_NAME).unlink()
    assert state.write(STATE, 2.0)
    assert not (tmp_path / FILE_NAME).exists()


def test_writes_keep_their_distance(tmp_path: Path) -> None:
    state = StateFile(tmp_path, interval_s=1.0)
    state.write(STATE, 10.0)
    assert not state.is_due(10.9)
    assert state.is_due(11.0)


def test_disk_that_cannot_be_written_is_said_once_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = StateFile(tmp_path)
    (tmp_path / f"{FILE_NAME}.tmp").mkdir()  # stands where the file beside would be written
    assert not state.write(STATE, 0.0)
    assert not state.write(STATE, 1.0)
    assert len(caplog.records) == 1
    (tmp_path / f"{FILE_NAME}.tmp").rmdir()
    assert state.write(STATE, 2.0)
    assert StateFile(tmp_path).read() == STATE
