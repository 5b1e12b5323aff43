"""Log lines as their readers want them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = """
import logging, sys
from edge_agent.shell.journal import RateLimit, start_log
start_log(log_format=sys.argv[1])
log = logging.getLogger("edge_agent.test")
log.info("two\\nlines of %s", "text")
limit = RateLimit()
for number in range(5):
    limit.say(log, logging.WARNING, "not_json", "refused %d", number)
limit._last_s["not_json"] -= 11
limit.say(log, logging.WARNING, "not_json", "refused 100 %% of %d", 5)
log.error("a lone surrogate: %s", "\\udcff")
"""


def lines(log_format: str, **environment: str) -> list[str]:
    env = {**{key: value for key, value in os.environ.items() if key != "JOURNAL_STREAM"}, **environment}
    command = [sys.executable, "-c", PROGRAM, log_format]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, check=True)
    return done.stderr.decode().splitlines()


def test_json_is_one_object_a_line_with_the_reason_and_what_was_held_back() -> None:
    first, refused, again, surrogate = map(json.loads, lines("json"))
    assert first.keys() == {"time", "level", "logger", "message", "reason"}
    assert (first["level"], first["message"], first["reason"]) == ("info", "two\nlines of text", None)
    assert first["time"].endswith("Z")
    assert (refused["level"], refused["message"], refused["reason"]) == ("warning", "refused 0", "not_json")
    assert "held_back" not in refused
    assert (again["held_back"], again["message"]) == (4, "refused 100 % of 5 (4 more of this kind)")
    assert surrogate["message"].startswith("a lone surrogate")


def test_journal_lines_carry_the_priority_and_no_time() -> None:
    found = lines("journal")
    assert found[:2] == ["<6>two lines of text", "<4>refused 0"]
    assert found[2] == "<4>refused 100 % of 5 (4 more of this kind)"


def test_plain_lines_stay_on_one_line() -> None:
    assert lines("plain")[0].endswith(" INFO    two lines of text")


@pytest.mark.parametrize("inherited", ["", "8:1", "rubbish"])
def test_auto_is_plain_where_the_journal_reads_another_stream(inherited: str) -> None:
    assert lines("auto", JOURNAL_STREAM=inherited)[0].endswith(" INFO    two lines of text")


def test_auto_is_journal_where_standard_error_leads_to_it(tmp_path: Path) -> None:
    stream = tmp_path / "stream"
    with stream.open("wb") as journal:
        found = os.fstat(journal.fileno())
        env = {**os.environ, "JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        subprocess.run([sys.executable, "-c", PROGRAM, "auto"], cwd=ROOT, env=env, stderr=journal, check=True)
    assert stream.read_text().startswith("<6>two lines of text\n")
