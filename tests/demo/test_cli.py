import json
from pathlib import Path

import pytest

from demo.cli import main


@pytest.mark.parametrize(
    "words",
    [
        ["--speed", "0"],
        ["--devices", "none"],
        ["--devices", "81"],
        ["--seconds", "-1"],
        ["--colour"],
        ["train"],
        ["plant"],
    ],
)
def test_bad_usage_ends_with_2_and_says_what_is_expected(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    assert "usage: python -m demo" in capsys.readouterr().err


def test_an_address_that_is_none_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plant", "--broker", "nowhere:port"]) == 1
    assert capsys.readouterr().err == "demo: --broker: HOST:PORT expected, got 'nowhere:port'\n"


def test_a_folder_for_the_picture_is_refused_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--picture", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"demo: --picture: a file to write expected, got the folder {tmp_path}\n"


def test_a_step_that_fails_gives_1_and_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--recording", str(tmp_path / "missing.npz"), "--json", "--broker-kind", "amqtt"]) == 1
    said = capsys.readouterr()
    result = json.loads(said.out)
    assert result["ok"] is False
    assert result["steps"] == ["broker"]
    assert result["failed"].startswith("split: ")
    assert "missing.npz" in said.err.splitlines()[-1]
    assert said.err.splitlines()[-1].startswith("demo: failed at split: ")
