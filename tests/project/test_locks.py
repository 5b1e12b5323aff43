"""The locks name packages, versions and hashes, fit the requirements, and carry no address of an index."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.version import Version

LOCKS = {"runtime": [], "demo": ["trainer", "demo"], "dev": ["trainer", "demo", "dev"]}
PIN = re.compile(r"^(?P<name>[a-z0-9-]+)==(?P<version>[^ ;\\]+)(?: ; (?P<marker>[^\\]+?))? \\$")
# reference/platform.md section 8: addresses and local paths that a resolver may write into its output.
LEAKS = re.compile(r"(https?|file)://|-{2}(extra-)?index-url|-{2}find-links|-{2}trusted-host|via -r /")

OPTION = "-" * 2


def project(repository: Path) -> dict[str, Any]:
    with (repository / "pyproject.toml").open("rb") as file:
        settings: dict[str, Any] = tomllib.load(file)
    return settings


def pins(lock: Path) -> list[tuple[str, Version, Marker | None]]:
    """Every pinned package of a lock; a package may be pinned once per Python version."""
    found = [match for line in lock.read_text().splitlines() if (match := PIN.match(line))]
    return [
        (match["name"], Version(match["version"]), Marker(match["marker"]) if match["marker"] else None)
        for match in found
    ]


@pytest.mark.parametrize("pattern", ["requirements/*", "pyproject.toml", "Makefile", ".ci/*", "deploy/**/*", "*.yml"])
def test_no_file_that_installs_names_an_index(repository: Path, pattern: str) -> None:
    files = [path for path in repository.glob(pattern) if path.is_file()]
    leaks = [
        f"{path.relative_to(repository)}:{number}: {line}"
        for path in files
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if LEAKS.search(line)
    ]
    assert files
    assert leaks == []


@pytest.mark.parametrize(
    "line",
    [
        OPTION + "index-url=somewhere",
        OPTION + "extra-index-url somewhere",
        "numpy @ file:///wheels/numpy.whl",
        "numpy @ https://somewhere/numpy.whl",
        "    # via -r /home/me/requirements.in",
        OPTION + "find-links somewhere",
        OPTION + "trusted-host somewhere",
    ],
)
def test_leak_would_be_found(line: str) -> None:
    assert LEAKS.search(line)


def test_no_lock_of_a_kind_that_holds_addresses(repository: Path) -> None:
    assert [name for name in ("uv.lock", "pylock.toml", "poetry.lock") if (repository / name).exists()] == []


@pytest.mark.parametrize("name", [*LOCKS, "build"])
def test_every_pin_carries_a_hash(repository: Path, name: str) -> None:
    lines = (repository / "requirements" / f"{name}.txt").read_text().splitlines()
    unhashed = [
        line
        for line, following in zip(lines, [*lines[1:], ""], strict=True)
        if not line.startswith("    --hash=sha256:") and not following.startswith("    --hash=sha256:")
    ]
    assert lines
    assert unhashed == []


@pytest.mark.parametrize("name", LOCKS)
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_lock_satisfies_every_requirement_of_its_set(repository: Path, name: str, python: str) -> None:
    declared = project(repository)["project"]
    requirements = [Requirement(line) for line in declared["dependencies"]]
    for extra in LOCKS[name]:
        requirements += [Requirement(line) for line in declared["optional-dependencies"][extra]]
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    locked = {
        package: version
        for package, version, marker in pins(repository / "requirements" / f"{name}.txt")
        if marker is None or marker.evaluate(environment)
    }

    unmet = [
        f"{requirement} (locked: {locked.get(requirement.name)})"
        for requirement in requirements
        if requirement.name != declared["name"]
        and (requirement.name not in locked or locked[requirement.name] not in requirement.specifier)
    ]
    assert unmet == []


def test_sets_agree_on_every_version(repository: Path) -> None:
    everything = {(name, version) for name, version, _ in pins(repository / "requirements" / "dev.txt")}
    for lock in ("runtime", "demo", "build"):
        ours = {(name, version) for name, version, _ in pins(repository / "requirements" / f"{lock}.txt")}
        assert ours
        assert ours <= everything


def test_gateway_lock_holds_no_training_library(repository: Path) -> None:
    installed = {name for name, *_ in pins(repository / "requirements" / "runtime.txt")}
    assert "onnxruntime" in installed
    assert installed.isdisjoint({"onnx", "scipy", "scikit-learn", "pandas", "duckdb", "typer", "rich", "amqtt"})


def test_build_lock_is_made_from_what_the_build_requires(repository: Path) -> None:
    lines = (repository / "requirements" / "build.in").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == project(repository)["build-system"]["requires"]
