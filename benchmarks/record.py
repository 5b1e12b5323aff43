"""What is kept of a run: results/<name>.json with facts of the machine, and the tables of README.md made from them."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.measure import Effort
from benchmarks.table import Table

FOLDER = Path(__file__).resolve().parent
RESULTS = FOLDER / "results"
README = FOLDER / "README.md"

BEGIN = "<!-- results: written by python -m benchmarks -->"
END = "<!-- end of results -->"
_LIBRARIES = ("numpy", "onnxruntime", "paho-mqtt", "pydantic", "orjson", "onnx", "scipy", "scikit-learn")


def machine_facts() -> dict[str, Any]:
    """What a reader needs to judge the figures: no names, no paths."""
    return {
        "cores": os.cpu_count(),
        "cpu": _cpu_model(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in _LIBRARIES},
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.lower().startswith(("model name", "hardware"))]
    return names[0] if names else platform.processor() or "unknown"


def write_result(
    folder: Path, name: str, tables: Sequence[Table], effort: Effort, load_before: Sequence[float]
) -> Path:
    """The path of the JSON file with these tables; the whole file or none is written."""
    facts = machine_facts()
    facts["load_average_before"] = [round(load, 2) for load in load_before]
    content = {
        "benchmark": name,
        "measured": datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"),
        "effort": effort._asdict(),
        "machine": facts,
        "tables": [table.as_json() for table in tables if table.is_kept],
    }
    folder.mkdir(parents=True, exist_ok=True)
    return _replace(folder / f"{name}.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def write_readme(readme: Path, folder: Path, names: Sequence[str]) -> None:
    """Put the tables of the results into the page, between its two markers.

    Raises
    ------
    ValueError
        If the page has lost its markers.
    """
    text = readme.read_text()
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{readme.name}: the lines {BEGIN!r} and {END!r} expected")
    found = [json.loads((folder / f"{name}.json").read_text()) for name in names if (folder / f"{name}.json").exists()]
    lines = [line for result in found for line in _section(result)]
    _replace(readme, "\n".join([head + begin, "", *lines, end + tail]))


def _section(result: dict[str, Any]) -> list[str]:
    machine = result["machine"]
    libraries = ", ".join(f"{name} {number}" for name, number in machine["libraries"].items())
    before, after = machine["load_average_before"][0], machine["load_average"][0]
    lines = [
        f"### {result['benchmark']}",
        "",
        f"{result['measured']}, {machine['cores']} cores, {machine['cpu']},",
        f"{machine['system']}, Python {machine['python']}, {libraries}; load average {before:g} to {after:g}.",
        "",
    ]
    for table in map(Table.from_json, result["tables"]):
        lines += [f"**{table.title}**", "", *table.lines(), ""]
        notes = [*table.notes, *([f"{table.n_rounds} rounds"] if table.n_rounds else [])]
        lines += [f"- {note}" for note in notes]
        lines += [""] if notes else []
    return lines


def _replace(path: Path, text: str) -> Path:
    beside = path.with_name(f".{path.name}.new")
    with beside.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    return path
