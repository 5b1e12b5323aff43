"""What a reload takes, and what it refuses."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_agent.operation.reload import Candidate, Reloader, Source, compare, prove, read
from edge_agent.operation.watch import Stamp
from edge_agent.shell.service import Reloads
from schemas import ConfigError
from tests.edge_agent.gateway import wait_until, write_config
from tests.edge_agent.small_model import write_model

Change = Callable[[Path], object]


def candidate(source: Source) -> Candidate:
    stamps: dict[Path, Stamp] = {}
    return prove(source, read(source, stamps), stamps)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(write_config(tmp_path, 1883), (), {})


def rewrite(old: str, new: str) -> Change:
    def change(folder: Path) -> None:
        file = folder / "agent.toml"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    return change


def model(**facts: object) -> Change:
    return lambda folder: write_model(folder / "small.onnx", **facts)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (model(), "unchanged"),
        (model(version="2"), "swapped"),
        (model(version="2", min_present=0.5), "swapped"),
        (model(version="2", unsure_below=0.7), "swapped"),
        (rewrite("metrics_interval_s = 0.5", "metrics_interval_s = 5.0"), "swapped"),
        (rewrite("[status]", '[status]\nlog_format = "json"'), "swapped"),
        (model(hop_length=2), "replaced"),
        (model(sampling_rate_hz=50.0), "replaced"),
        (model(grid={"policy": "hold", "max_age_s": 1.0}), "replaced"),
        (rewrite("deadline_s = 3.0", "deadline_s = 2.0"), "replaced"),
        (rewrite("plant/{device}/v", "plant/{device}/w"), "replaced"),
        (rewrite('unit = "ms"', 'unit = "s"'), "replaced"),
        (rewrite("reconnect_max_s = 0.5", "reconnect_max_s = 1.5"), "replaced"),
        (rewrite('name = "pump"', 'name = "motor"'), "replaced"),
    ],
)
def test_models_are_swapped_in_place_only_where_the_windows_stay_what_they_are(
    source: Source, change: Change, kind: str
) -> None:
    before = candidate(source)
    change(source.file.parent)
    assert compare(before, candidate(source)) == kind


def test_renewed_password_takes_a_new_connection(source: Source) -> None:
    password = source.file.parent / "password"
    password.write_text("first")
    rewrite("[mqtt]", '[mqtt]\nusername = "gw"\npassword_file = "password"')(source.file.parent)
    before = candidate(source)
    password.write_text("second")
    assert compare(before, candidate(source)) == "replaced"


def test_certificate_that_is_none_is_refused_before_the_agent_ends(source: Source) -> None:
    (source.file.parent / "ca.pem").write_text("rubbish")
    rewrite("[mqtt]", '[mqtt]\nca_file = "ca.pem"')(source.file.parent)
    with pytest.raises(ConfigError, match="PEM files expected"):
        candidate(source)


def test_file_that_changes_while_it_is_read_is_refused(source: Source) -> None:
    stamps: dict[Path, Stamp] = {}
    config = read(source, stamps)
    write_model(source.file.parent / "small.onnx", version="2")
    with pytest.raises(ConfigError, match=r"small\.onnx changed while it was read"):
        prove(source, config, stamps)


def ended(reloader: Reloader) -> object:
    found: list[object] = []

    def has_ended() -> bool:
        if (end := reloader.ends()) is not None:
            found.append(end)
        return bool(found)

    wait_until(has_ended, "the end of the reload")
    return found[0]


def test_wish_that_comes_during_a_reload_is_kept(source: Source) -> None:
    reloader = Reloader(source, candidate(source), Reloads(), {})
    reloader.ask()
    assert reloader.begins(time.monotonic())
    reloader.ask()
    assert not reloader.begins(time.monotonic())
    assert isinstance(ended(reloader), tuple)
    assert reloader.begins(time.monotonic())


def test_refusal_is_counted_and_forgotten_when_the_files_are_what_runs(
    source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    reloads = Reloads()
    reloader = Reloader(source, candidate(source), reloads, {})
    good = source.file.read_text()
    source.file.write_text(f"{good}\nrubbish = = 1")
    reloader.ask()
    reloader.begins(0.0)
    assert ended(reloader) == "refused"
    assert (reloads.refused, len(caplog.records)) == (1, 1)
    assert "TOML expected" in reloader.refusal
    source.file.write_text(good)
    reloader.ask()
    reloader.begins(1.0)
    assert isinstance(ended(reloader), tuple)
    assert reloader.refusal == ""


def test_nothing_is_looked_at_where_the_watch_is_off(source: Source) -> None:
    reloader = Reloader(source, candidate(source), Reloads(), {source.file: None})
    assert [reloader.begins(now_s) for now_s in (1.0, 2.0, 3.0)] == [False] * 3
