"""Everything a user can meet is documented: walked over the real objects, so that a new one cannot escape."""

import argparse
import json
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import typer

from demo import cli as demo_cli
from docs.writers.commands import PROGRAMS
from docs.writers.fields import Field, fields_of
from docs.writers.schemas import contracts
from edge_agent import cli as agent_cli
from edge_agent.config import AgentConfig
from edge_agent.shell.guard import ALLOWED_OPERATORS as GATEWAY_OPERATORS
from schemas import ROUTES, HeadFacts, Route
from tests.edge_agent.small_model import write_model
from tests.trainer.report.made import answers
from tests.trainer.report.test_facts import facts_of
from trainer.cli import app
from trainer.data.examples import example_windows
from trainer.export.guard import ALLOWED_OPERATORS as TRAINER_OPERATORS
from trainer.features import BLOCKS
from trainer.fit import AUTO, EDGE, HEADS
from trainer.report import render_page
from trainer.tune.space import candidate_blocks

DOCS = Path(__file__).resolve().parents[2] / "docs"
CONFIGURATION = (DOCS / "configuration.md").read_text(encoding="utf-8")
COMMANDS = (DOCS / "commands.md").read_text(encoding="utf-8")
TOPICS = (DOCS / "topics.md").read_text(encoding="utf-8")
EXAMPLE = DOCS / "examples" / "edge-agent.toml"
KEYS = fields_of(AgentConfig)


class _ParserFoundError(Exception):
    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser
        super().__init__()


def _section(title: str) -> str:
    """The help text below a heading of the page of commands."""
    found = re.search(rf"^\$ {re.escape(title)} --help\n(.*?)^```$", COMMANDS, re.MULTILINE | re.DOTALL)
    assert found is not None, title
    return found[1]


def _options(parser: argparse.ArgumentParser, title: str) -> Iterator[tuple[str, str]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield from _options(inner, f"{title} {name}")
        else:
            yield from ((title, option) for option in action.option_strings or [str(action.metavar or action.dest)])


def agent_options() -> list[tuple[str, str]]:
    return list(_options(agent_cli._parser(), "edge-agent"))


def demo_options() -> list[tuple[str, str]]:
    """Taken from the parsers that the demo builds, wherever it builds them."""
    found: list[tuple[str, str]] = []
    with pytest.MonkeyPatch.context() as patch:

        def stop(parser: argparse.ArgumentParser, *_words: object) -> None:
            raise _ParserFoundError(parser)

        patch.setattr(argparse.ArgumentParser, "parse_args", stop)
        patch.setattr(signal, "signal", lambda *_: None)
        for words in ([], *([command] for command in demo_cli.COMMANDS)):
            with pytest.raises(_ParserFoundError) as caught:
                demo_cli.main(words)
            found += _options(caught.value.parser, " ".join(["python -m demo", *words]))
    return found


def trainer_options() -> list[tuple[str, str]]:
    group: Any = typer.main.get_command(app)
    pairs = [("trainer", option) for parameter in group.params for option in parameter.opts]
    for name, command in group.commands.items():
        pairs += [
            (f"trainer {name}", option)
            for parameter in command.params
            for option in (parameter.opts if parameter.param_type_name == "option" else [parameter.metavar])
        ]
    return pairs


OPTIONS = [*agent_options(), *trainer_options(), *demo_options()]


@pytest.mark.parametrize(("title", "option"), OPTIONS, ids=[" ".join(pair) for pair in OPTIONS])
def test_every_option_of_every_command_is_documented(title: str, option: str) -> None:
    assert option in _section(title)


def test_every_command_of_every_program_has_its_section() -> None:
    real = {
        "edge-agent": {title.split()[1] for title, _ in agent_options() if " " in title},
        "trainer": set(typer.main.get_command(app).commands),  # type: ignore[attr-defined]  # Typer says Command, it is a group
        "python -m demo": set(demo_cli.COMMANDS),
    }
    assert {name: set(commands) for name, (_, commands) in PROGRAMS.items()} == real


@pytest.mark.parametrize("field", KEYS, ids=[field.path for field in KEYS])
def test_every_key_of_the_configuration_is_documented_in_its_table(field: Field) -> None:
    section, _, key = field.path.rpartition(".")
    if ")" in field.path:
        section, key = field.path.split(").", 1)[0] + ")", field.path.split(").", 1)[1]
    heading = f"### `{section}`" if section else "### Top level"
    table = CONFIGURATION.split(f"{heading}\n", 1)[1].split("\n### ", 1)[0].split("\n## ", 1)[0]
    assert f"| `{key}` |" in table


@pytest.mark.parametrize("field", KEYS, ids=[field.path for field in KEYS])
def test_every_key_stands_in_the_example(field: Field) -> None:
    key = re.split(r"[.\])]+", field.path)[-1]
    assert re.search(rf"(^|[{{, ])(# )?{re.escape(key)} = ", EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE), key


@pytest.mark.parametrize("section", ["gateway", "mqtt", "limits", "delivery", "status"])
def test_the_example_shows_the_true_defaults(section: str) -> None:
    given = tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))[section]
    defaults = {field.path.split(".")[1]: field.default for field in KEYS if field.path.startswith(f"{section}.")}
    for key, value in given.items():
        if defaults[key] != "required":
            assert json.loads(defaults[key]) == value, key


def test_edge_agent_check_accepts_the_whole_example(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "edge-agent.toml"
    config.write_bytes(EXAMPLE.read_bytes())
    write_model(tmp_path / "pump.onnx", channels=("acc_x", "acc_y", "acc_z"), sampling_rate_hz=200.0)
    write_model(tmp_path / "room.onnx", channels=("co2", "motion"))
    write_model(tmp_path / "motor.onnx", channels=("ax", "ay", "az"), sampling_rate_hz=400.0)
    assert agent_cli.main(["check", "--config", str(config)]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("route", ROUTES.values(), ids=list(ROUTES))
def test_every_topic_is_documented(route: Route) -> None:
    row = next(line for line in TOPICS.splitlines() if line.startswith(f"| `{route.name}` |"))
    assert f"`{route.template}`" in row
    assert route.contract is None or f"## {route.contract.__name__}\n" in TOPICS


MESSAGE_FIELDS = [
    (contract.__name__, field.path)
    for contract in contracts().values()
    if contract in {route.contract for route in ROUTES.values()}
    for field in fields_of(contract)
]


@pytest.mark.parametrize(("contract", "path"), MESSAGE_FIELDS, ids=[".".join(pair) for pair in MESSAGE_FIELDS])
def test_every_field_of_every_message_is_documented(contract: str, path: str) -> None:
    section = TOPICS.split(f"## {contract}\n", 1)[1].split("\n## ", 1)[0]
    assert f"| `{path}` |" in section


def test_captures_are_called_missing_as_long_as_no_agent_sends_them(repository: Path) -> None:
    sources = "".join(path.read_text() for path in (repository / "edge_agent").rglob("*.py"))
    is_sent = re.search(r"""["']capture["']|\bCapture\(""", sources) is not None
    assert is_sent != ("no agent sends them" in (repository / "README.md").read_text(encoding="utf-8"))


def test_every_operator_that_the_trainer_may_write_is_one_that_a_gateway_takes() -> None:
    assert TRAINER_OPERATORS <= GATEWAY_OPERATORS


def test_the_example_of_the_page_about_time_prints_what_is_shown(repository: Path) -> None:
    page = (DOCS / "time.md").read_text(encoding="utf-8")
    code, shown = re.search(r"```python\n(.*?)```\n\n```text\n(.*?)```", page, re.DOTALL).groups()  # type: ignore[union-attr]  # its absence fails the test
    ended = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
    assert ended.stdout == shown


def test_the_window_index_named_on_the_page_about_time_is_right() -> None:
    page = " ".join((DOCS / "time.md").read_text(encoding="utf-8").split())
    index, start = re.search(r"window ([0-9,]+) begins at ([0-9,.]+) s", page).groups()  # type: ignore[union-attr]  # its absence fails the test
    assert int(index.replace(",", "")) * 25 / 50 == float(start.replace(",", ""))


@pytest.mark.parametrize("kind", BLOCKS)
def test_every_kind_of_feature_block_has_its_paragraph(kind: str) -> None:
    paragraphs = (DOCS / "models.md").read_text(encoding="utf-8").split("\n\n")
    assert [text for text in paragraphs if re.match(rf"\*\*`{kind}(\[:n\])?`\*\*", text)], kind


@pytest.mark.parametrize("kind", get_args(HeadFacts.model_fields["kind"].annotation))
def test_every_kind_of_head_that_a_card_can_name_is_explained(kind: str) -> None:
    assert f"\n| `{kind}` | " in (DOCS / "models.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("choice", sorted({AUTO, EDGE, *HEADS}))
def test_every_choice_of_features_and_head_is_named_on_the_page_about_learning(choice: str) -> None:
    page = (DOCS / "learning.md").read_text(encoding="utf-8")
    assert re.search(rf"`(--head |--features )?{choice}`", page), choice


def report_sections() -> list[tuple[str, str]]:
    """Key and title of every section of a report, read from a page."""
    page = render_page(facts_of(answers([0, 1] * 20, [0, 1] * 20)))
    return re.findall(r'<section id="([a-z0-9-]+)".*?<h2[^>]*>(.*?)</h2>', page, re.DOTALL)


def test_every_section_of_a_report_is_explained_in_its_order() -> None:
    rows = re.findall(
        r"^\| ([^|`]+) \(`([a-z0-9-]+)`\) \| ", (DOCS / "report.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert [(key, title) for title, key in rows] == report_sections()
    assert len(rows) >= 10


def test_the_page_about_tuning_says_how_many_sets_of_blocks_there_are() -> None:
    stated = re.search(r"about (\d+)\s+sets\s+of\s+blocks", (DOCS / "tune.md").read_text(encoding="utf-8"))
    assert stated is not None
    assert int(stated[1]) == len(candidate_blocks(example_windows()))


def test_the_index_of_decisions_names_every_page_by_its_title() -> None:
    index = (DOCS / "adr" / "README.md").read_text(encoding="utf-8")
    pages = sorted((DOCS / "adr").glob("0*.md"))
    assert [page.name[:4] for page in pages] == [f"{number:04d}" for number in range(1, len(pages) + 1)]
    for page in pages:
        title = page.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")[5:]
        row = next(line for line in index.splitlines() if f"]({page.name})" in line)
        assert row.replace("`", "").split(" | ")[1].rstrip(" |") == title.replace("`", ""), page.name
