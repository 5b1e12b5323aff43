"""Writes the pages of docs/ that say what the code says; ``--check`` only looks whether they are still true.

    python docs/generate.py            write what changed
    python docs/generate.py --check    exit code 1, naming every file that is stale

The pages: ``schemas/*.schema.json``, ``topics.md``, ``configuration.md``, ``commands.md``, ``rejections.md``. Written
twice from the same code they are the same bytes. One writer a page stands in ``docs/writers/``.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
SCHEMAS = "schemas"

# The repository root comes first: an installed package may be called ``docs`` too.
sys.path.insert(0, str(FOLDER.parent))

from docs.writers import commands, configuration, rejections, schemas, topics  # noqa: E402 - the line above must stand first


def pages() -> dict[str, str]:
    """Every generated page: path below ``docs/`` -> content."""
    written = {f"{SCHEMAS}/{name}": text for name, text in schemas.write().items()}
    written["topics.md"] = topics.write()
    written["configuration.md"] = configuration.write()
    written["commands.md"] = commands.write()
    written["rejections.md"] = rejections.write()
    return written


def stale(folder: Path, wanted: dict[str, str]) -> list[str]:
    """Paths below ``folder`` that are missing, differ, or are schemas of a message that is no more."""
    found = [name for name, text in wanted.items() if _read(folder / name) != text]
    leftover = [f"{SCHEMAS}/{path.name}" for path in (folder / SCHEMAS).glob("*.schema.json")]
    return sorted([*found, *(name for name in leftover if name not in wanted)])


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _bring_up_to_date(folder: Path, names: Sequence[str], wanted: dict[str, str]) -> None:
    for name in names:
        path = folder / name
        if name not in wanted:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f"{path.name}.tmp")
        beside.write_text(wanted[name], encoding="utf-8")
        os.replace(beside, path)  # noqa: PTH105 - the house rule in one word: write beside, replace


def main(argv: Sequence[str] | None = None) -> int:
    """0 = all pages are true (now); 1 = ``--check`` found stale ones."""
    parser = argparse.ArgumentParser(prog="docs/generate.py", description="Write the generated pages of docs/.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a page is stale")
    arguments = parser.parse_args(argv)
    wanted = pages()
    names = stale(FOLDER, wanted)
    if arguments.check:
        for name in names:
            print(f"docs/{name}: stale; run: make docs", file=sys.stderr)
        return 1 if names else 0
    _bring_up_to_date(FOLDER, names, wanted)
    for name in names:
        print(f"docs/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
