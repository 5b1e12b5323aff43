"""The file watch on real files."""

import os
from pathlib import Path

import pytest

from edge_agent.config import AgentConfig
from edge_agent.operation.watch import FileWatch, files_of, secrets_digest, stamp


def watch_of(*files: Path) -> FileWatch:
    return FileWatch({file: stamp(file) for file in files})


def test_file_that_is_still_growing_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(b"old")
    watch = watch_of(file)
    seen = []
    for second in range(1, 6):
        with file.open("ab") as growing:
            growing.write(b"more")
        seen.append(watch.has_changed(float(second)))
    assert seen == [False] * 5
    assert watch.has_changed(6.0)
    assert not watch.has_changed(7.0)


def test_files_are_looked_at_once_a_second(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    watch = watch_of(file)
    assert not watch.has_changed(0.0)
    file.write_text("version = 1")
    assert [watch.has_changed(now_s) for now_s in (0.2, 0.9, 1.0, 1.5, 2.0)] == [False, False, False, False, True]


def test_replacement_of_the_same_size_and_time_is_a_change(tmp_path: Path) -> None:
    file, beside = tmp_path / "model.onnx", tmp_path / "beside"
    file.write_bytes(b"a" * 100)
    watch = watch_of(file)
    beside.write_bytes(b"b" * 100)
    os.utime(beside, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    beside.replace(file)
    assert [watch.has_changed(1.0), watch.has_changed(2.0)] == [False, True]


def test_file_that_vanished_is_a_change_and_so_is_its_return(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(b"a")
    watch = watch_of(file)
    file.unlink()
    assert [watch.has_changed(1.0), watch.has_changed(2.0), watch.has_changed(3.0)] == [False, True, False]
    file.write_bytes(b"a")
    assert [watch.has_changed(4.0), watch.has_changed(5.0)] == [False, True]


def test_change_between_the_reading_and_the_watching_is_not_missed(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text("one")
    watch, as_read = watch_of(file), stamp(file)
    file.write_text("three")
    watch.follow({file: as_read}, [file])
    assert [watch.has_changed(1.0), watch.has_changed(2.0)] == [False, True]


def test_file_that_only_a_refused_candidate_names_is_followed(tmp_path: Path) -> None:
    file, absent = tmp_path / "agent.toml", tmp_path / "next.onnx"
    file.write_text("one")
    watch = watch_of(file)
    watch.follow({file: stamp(file), absent: None}, [file])
    absent.write_bytes(b"model")
    assert [watch.has_changed(1.0), watch.has_changed(2.0)] == [False, True]


@pytest.fixture
def config(tmp_path: Path) -> AgentConfig:
    for name in ("ca.pem", "password"):
        (tmp_path / name).write_text(name)
    mapping = {"format": "json", "channels": {"x": "x"}}
    pipeline = {"name": "p", "topics": ["plant/{device}"], "model": tmp_path / "m.onnx", "mapping": mapping}
    mqtt = {"ca_file": tmp_path / "ca.pem", "username": "gw", "password_file": tmp_path / "password"}
    return AgentConfig.model_validate(
        {"version": 1, "gateway": {"id": "gw"}, "mqtt": mqtt, "pipelines": [pipeline, {**pipeline, "name": "q"}]}
    )


def test_every_file_that_a_reload_reads_is_followed_once(config: AgentConfig, tmp_path: Path) -> None:
    names = [path.name for path in files_of(tmp_path / "agent.toml", config)]
    assert sorted(names) == ["agent.toml", "ca.pem", "m.onnx", "password"]


def test_renewed_certificate_changes_the_digest(config: AgentConfig, tmp_path: Path) -> None:
    before = secrets_digest(config)
    assert secrets_digest(config) == before
    (tmp_path / "ca.pem").write_text("renewed")
    assert secrets_digest(config) != before
