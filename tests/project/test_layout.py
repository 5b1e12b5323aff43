"""The house looks as DESIGN section 1 says: rooms that say what they are for, files of a size that can be read."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOMS = ("schemas", "signals", "edge_agent", "trainer", "demo")
LIMIT_LINES = 500
CATCH_ALLS = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}


def sources(repository: Path, *folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((repository / folder).rglob("*.py"))


def test_every_room_is_there(repository: Path) -> None:
    assert [room for room in ROOMS if not (repository / room / "__init__.py").is_file()] == []


def test_no_module_is_a_catch_all(repository: Path) -> None:
    found = [
        path
        for path in sources(repository, *ROOMS, "tests", "benchmarks")
        if CATCH_ALLS & {path.stem, *path.relative_to(repository).parts, *path.stem.split("_")}
    ]
    assert found == []


def test_no_file_is_longer_than_can_be_read(repository: Path) -> None:
    long = {
        str(path.relative_to(repository)): n_lines
        for path in sources(repository, *ROOMS, "tests", "benchmarks", "docs")
        if (n_lines := len(path.read_text().splitlines())) > LIMIT_LINES
    }
    assert long == {}


def test_every_folder_of_a_room_is_a_package_that_says_its_job(repository: Path) -> None:
    silent = []
    for folder in sorted({path.parent for path in sources(repository, *ROOMS)}):
        opening = folder / "__init__.py"
        if not opening.is_file() or not ast.get_docstring(ast.parse(opening.read_text())):
            silent.append(str(folder.relative_to(repository)))
    assert silent == []


def test_nothing_is_left_for_later(repository: Path) -> None:
    # Put together here, so that this file does not find itself.
    marks = ["TO" + "DO", "FIX" + "ME", "XX" + "X", "Not" + "ImplementedError"]
    found = [
        (str(path.relative_to(repository)), mark)
        for path in sources(repository, *ROOMS, "tests", "benchmarks", "docs")
        for mark in marks
        if mark in path.read_text()
    ]
    assert found == []
