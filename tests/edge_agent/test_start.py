"""What a start touches: nothing is imported that a gateway does not need, nothing is written outside the state."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.edge_agent.gateway import DEADLINE_S, ROOT, Consumer, Publisher, wait_until, write_config
from tests.mosquitto import Mosquitto

_T0_MS = 1_700_000_000_000
_NEVER_ON_A_GATEWAY = {"onnx", "scipy", "sklearn", "pandas", "rich", "numpy.random", "unittest", "asyncio", "difflib"}

_WATCHED_IMPORT = """
import os, sys
from importlib.abc import MetaPathFinder
class Watch(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "onnxruntime":
            print("telemetry off before the import:", os.environ.get("ORT_DISABLE_TELEMETRY"))
        return None
sys.meta_path.insert(0, Watch())
import {module}
print("onnxruntime" in sys.modules)
"""

_AUDITED_RUN = """
import os, sys
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {"os." + name for name in "mkdir rename remove rmdir link symlink truncate chmod utime".split()}
def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes, os.PathLike)):
        mode, flags = arguments[1] or "", arguments[2] or 0
        if set(mode) & set("wax+") or flags & WRITING:
            os.write(seen, (os.path.abspath(os.fsdecode(arguments[0])) + chr(10)).encode())
    elif event in CHANGES and not isinstance(arguments[0], int):
        os.write(seen, (os.path.abspath(os.fsdecode(arguments[0])) + chr(10)).encode())
seen = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
sys.addaudithook(watch)
from edge_agent.cli import main
sys.exit(main(sys.argv[2:]))
"""


def run_python(code: str, *arguments: str, **environment: str | None) -> str:
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    for name, value in environment.items():
        variables.pop(name, None)
        if value is not None:
            variables[name] = value
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=variables).stdout


@pytest.mark.parametrize("module", ["edge_agent.shell.loop", "edge_agent.shell.model", "edge_agent.shell.replay"])
def test_the_runtime_is_told_to_report_nothing_before_it_is_imported(module: str) -> None:
    said = run_python(_WATCHED_IMPORT.format(module=module), ORT_DISABLE_TELEMETRY=None).splitlines()
    assert said == ["telemetry off before the import: 1", "True"]


def test_a_run_imports_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    config = write_config(tmp_path, 1)
    code = (
        "import sys; from pathlib import Path; from edge_agent.cli import prepare; "
        "from edge_agent.config_sources import load_config; path = Path(sys.argv[1]); "
        "prepare(load_config(path, {}), path); print(*sys.modules)"
    )
    loaded = set(run_python(code, str(config)).split())
    assert {"numpy", "onnxruntime", "edge_agent.shell.loop"} <= loaded
    assert loaded & _NEVER_ON_A_GATEWAY == set()
    # Found by asking every installed package, at every start, whether it wants to hook into the contracts.
    assert "pydantic.plugin._schema_validator" in loaded
    plugins = "import edge_agent; from pydantic.plugin._loader import get_plugins; print(list(get_plugins()))"
    assert run_python(plugins).strip() == "[]"


def test_a_run_writes_nothing_outside_its_state_folder(broker: Mosquitto, tmp_path: Path) -> None:
    places = {name: tmp_path / name for name in ("home", "temporary", "cwd")}
    for place in places.values():
        place.mkdir()
    config = write_config(tmp_path, broker.port)
    seen = tmp_path / "seen.txt"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("XDG_")},
        "HOME": str(places["home"]),
        "TMPDIR": str(places["temporary"]),
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-c", _AUDITED_RUN, str(seen), "run", "--config", str(config)]
    with (
        Consumer(broker.port) as consumer,
        Publisher(broker.port) as publisher,
        subprocess.Popen(command, cwd=places["cwd"], env=environment, stderr=subprocess.PIPE) as agent,
    ):
        wait_until(lambda: consumer.of("/availability"), "the birth message")
        for n in range(30):
            publisher.sample("a", _T0_MS + 10 * n, 0.1)
        wait_until(lambda: len(consumer.labels()) >= 4, "labels")
        wait_until((tmp_path / "state" / "watermark.json").exists, "the watermark")
        agent.terminate()
        _, errors = agent.communicate(timeout=DEADLINE_S)
    assert agent.returncode == 0, errors
    written = {Path(line) for line in seen.read_text().splitlines()}
    state = tmp_path / "state"
    assert state / "watermark.json.tmp" in written, "the hook saw the watermark"
    assert {path for path in written if state not in (path, *path.parents)} - {Path("/dev/null")} == set()
    # What native code writes is no audit event; it would be here.
    assert {name: list(place.rglob("*")) for name, place in places.items()} == {name: [] for name in places}
    assert json.loads((state / "watermark.json").read_text())["schema"]


def test_byte_code_is_shipped() -> None:
    texts = [path.read_text() for path in (ROOT / "deploy").rglob("*") if path.is_file()]
    assert texts
    assert not any("PYTHONDONTWRITEBYTECODE" in text or "--no-compile" in text for text in texts)
