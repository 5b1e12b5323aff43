from collections.abc import Mapping
from pathlib import Path

import pytest

from edge_agent.config import AgentConfig
from edge_agent.config_sources import load_config
from schemas import ConfigError

GOOD = """
version = 1
[gateway]
id = "pi4"
[[pipelines]]
name = "pump"
topics = ["plant/{device}/vibration"]
model = "models/pump.onnx"
[pipelines.mapping]
format = "json"
channels = { x = "x" }
"""


def load(
    tmp_path: Path, text: str = GOOD, environment: Mapping[str, str] | None = None, overrides: tuple[str, ...] = ()
) -> AgentConfig:
    path = tmp_path / "agent.toml"
    path.write_text(text)
    return load_config(path, environment or {}, overrides)


def problems(tmp_path: Path, text: str = GOOD, **sources: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, **sources)  # type: ignore[arg-type] # the same keywords as load
    return caught.value.problems


def test_command_line_wins_over_environment_over_file_over_default(tmp_path: Path) -> None:
    text = GOOD.replace("[gateway]", "[mqtt]\nport = 1884\nhost = 'file'\nkeepalive_s = 11\n[gateway]")
    environment = {"EDGE_AGENT_MQTT__PORT": "1885", "EDGE_AGENT_MQTT__HOST": "environment", "PATH": "/bin"}
    config = load(tmp_path, text, environment, ("mqtt.port=1886",))
    assert (config.mqtt.port, config.mqtt.host, config.mqtt.keepalive_s) == (1886, "environment", 11)
    assert config.mqtt.protocol == "auto"


def test_lists_and_items_of_lists_can_be_overridden(tmp_path: Path) -> None:
    config = load(tmp_path, overrides=('pipelines.0.topics=["a/{device}", "b/{device}"]', "pipelines.0.name=other"))
    assert config.pipelines[0].topics == ["a/{device}", "b/{device}"]
    assert config.pipelines[0].name == "other"


def test_files_are_found_beside_the_configuration(tmp_path: Path) -> None:
    config = load(tmp_path, GOOD.replace("[gateway]", "[mqtt]\nusername = 'u'\npassword_file = 'secret'\n[gateway]"))
    assert config.pipelines[0].model == tmp_path / "models" / "pump.onnx"
    assert config.mqtt.password_file == tmp_path / "secret"
    (tmp_path / "secret").write_text("hush\n")
    password = config.mqtt.password()
    assert password is not None
    assert password.get_secret_value() == "hush"
    assert "hush" not in config.digest_source()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("[mqtt]\nprot = 1", "mqtt.prot: unknown key, did you mean 'mqtt.port'?"),
        ("port = 1", "port: unknown key, did you mean 'mqtt.port'?"),
        ("[limit]\ndevices = 1", "limit: unknown key, did you mean 'limits'?"),
        ("[mqtt]\nzzzzzz = 1", "mqtt.zzzzzz: unknown key; known here: "),
    ],
)
def test_unknown_key_is_refused_with_the_nearest_known_one(tmp_path: Path, line: str, expected: str) -> None:
    (problem,) = problems(tmp_path, GOOD.replace("[gateway]", f"{line}\n[gateway]", 1))
    assert problem.startswith(expected)


def test_unknown_key_inside_a_mapping_names_its_path_without_the_tag(tmp_path: Path) -> None:
    found = problems(tmp_path, GOOD.replace("channels = {", "chanels = { y = 'y' }\nchannels = {"))
    assert found == ["pipelines[0].mapping.chanels: unknown key, did you mean 'pipelines[0].mapping.channels'?"]


def test_unknown_key_of_the_environment_is_refused_too(tmp_path: Path) -> None:
    found = problems(tmp_path, environment={"EDGE_AGENT_MQTT__PROT": "1"})
    assert found == ["mqtt.prot: unknown key, did you mean 'mqtt.port'?"]


def test_every_problem_is_named_at_once(tmp_path: Path) -> None:
    text = (
        GOOD.replace('id = "pi4"', 'id = "Pi 4"')
        .replace("plant/{device}/vibration", "plant/{thing}/x")
        .replace("version = 1", "version = 2")
    )
    found = problems(tmp_path, text + "[mqtt]\nport = 0\n")
    assert len(found) == 4
    for path in ("version: ", "gateway.id: ", "mqtt.port: ", "pipelines[0].topics[0]: "):
        assert any(problem.startswith(path) for problem in found), path


def test_missing_keys_are_named(tmp_path: Path) -> None:
    assert problems(tmp_path, "version = 1\n") == ["gateway: this key is missing", "pipelines: this key is missing"]


@pytest.mark.parametrize("topic", ["#", "telltale/v1/pi4/{device}/label", "telltale/#", "+/+/+/barrier"])
def test_agent_that_would_read_its_own_words_is_refused(tmp_path: Path, topic: str) -> None:
    (problem,) = problems(tmp_path, GOOD.replace("plant/{device}/vibration", topic))
    assert problem.startswith("pipelines[0].topics[0]: topics of sensors expected")


def test_pipelines_of_one_name_are_refused(tmp_path: Path) -> None:
    second = GOOD[GOOD.index("[[pipelines]]") :]
    assert problems(tmp_path, GOOD + second) == [
        "pipelines[1].name: a name of its own expected, got 'pump' as pipelines[0]"
    ]


@pytest.mark.parametrize("override", ["mqtt.port", "pipelines.name=x", "pipelines.5.name=x"])
def test_override_without_a_place_is_refused(tmp_path: Path, override: str) -> None:
    assert any("--set" in problem for problem in problems(tmp_path, overrides=(override,)))


def test_file_that_is_no_toml_gives_one_line(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "version = = 1")
    assert problem.startswith("TOML expected, got ")


def test_certificate_without_its_key_is_refused(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, GOOD.replace("[gateway]", "[mqtt]\nca_file='a'\ncert_file = 'c'\n[gateway]"))
    assert problem == "mqtt: cert_file and key_file: both or neither expected"


def test_configuration_is_a_frozen_value(tmp_path: Path) -> None:
    config = load(tmp_path)
    with pytest.raises(ValueError, match="frozen"):
        config.mqtt.port = 1  # type: ignore[misc] # that is the point
