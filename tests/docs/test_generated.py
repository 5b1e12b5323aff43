"""The generated pages are what the code says now, and a page that is not would be noticed."""

import doctest
import json
from pathlib import Path
from typing import Any

import pytest

from docs import generate
from docs.writers import markdown, rejections, schemas
from schemas import BinaryMapping


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return generate.pages()


def test_every_generated_page_is_up_to_date(pages: dict[str, str]) -> None:
    assert generate.stale(generate.FOLDER, pages) == []


def test_two_runs_write_the_same_bytes(pages: dict[str, str]) -> None:
    assert generate.pages() == pages


def test_a_changed_a_missing_and_a_left_over_page_are_stale(tmp_path: Path, pages: dict[str, str]) -> None:
    for name, text in pages.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert generate.stale(tmp_path, pages) == []
    (tmp_path / "topics.md").write_text(pages["topics.md"] + "x", encoding="utf-8")
    (tmp_path / "commands.md").unlink()
    (tmp_path / "schemas" / "gone.schema.json").write_text("{}", encoding="utf-8")
    assert generate.stale(tmp_path, pages) == ["commands.md", "schemas/gone.schema.json", "topics.md"]


def test_check_names_stale_pages_and_ends_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate, "FOLDER", tmp_path)
    monkeypatch.setattr(generate, "pages", lambda: {"topics.md": "a\n"})
    assert generate.main(["--check"]) == 1
    assert "topics.md" in capsys.readouterr().err
    assert not (tmp_path / "topics.md").exists()
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
    assert (tmp_path / "topics.md").read_text() == "a\n"


@pytest.mark.parametrize("name", schemas.contracts())
def test_every_schema_is_of_draft_2020_12_and_describes_an_object(name: str, pages: dict[str, str]) -> None:
    schema: dict[str, Any] = json.loads(pages[f"schemas/{name}.schema.json"])
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["type"] == "object"
    assert schema["properties"]


def test_a_reason_of_the_code_that_no_page_explains_stops_the_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(rejections.REFUSED, "not_json")
    with pytest.raises(ValueError, match="not_json"):
        rejections.write()


def test_a_reason_that_is_no_more_in_the_code_stops_the_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(rejections.REFUSED, "too_blue", "never said")
    with pytest.raises(ValueError, match="too_blue"):
        rejections.write()


def test_pages_hold_no_colour_codes_and_no_line_of_trailing_spaces(pages: dict[str, str]) -> None:
    for name, text in pages.items():
        assert "\x1b" not in text, name
        assert [line for line in text.splitlines() if line != line.rstrip()] == [], name


def test_a_field_that_is_added_to_a_contract_shows_in_its_rows() -> None:
    from docs.writers.fields import fields_of

    paths = {field.path for field in fields_of(BinaryMapping)}
    assert {"format", "fields[].name", "header[].not_available", "time.field", "sampling_rate_hz"} <= paths


def test_the_examples_in_the_writers_run() -> None:
    outcome = doctest.testmod(markdown)
    assert outcome.attempted > 0
    assert outcome.failed == 0
