"""Proves that the agent runs on what a gateway installs: the base dependencies of the lock and the wheel, nothing else.

A fresh virtual environment gets ``requirements/runtime.txt`` and the wheel of this checkout. There the agent must
start, and none of the training libraries may be present: what users install, CI installs.
"""

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOT_ON_A_GATEWAY = ("onnx", "scipy", "sklearn", "pandas", "duckdb", "typer", "rich", "amqtt")
PROBE = f"""
import importlib.util, sys
import edge_agent.cli, edge_agent.engine, edge_agent.shell
present = [name for name in {NOT_ON_A_GATEWAY!r} if importlib.util.find_spec(name)]
sys.exit(f"a gateway installs more than it should: {{present}}" if present else 0)
"""


def run(*command: str | Path, cwd: Path) -> None:
    """Run ``command`` in ``cwd``, and end this process with its exit code if it fails."""
    finished = subprocess.run([str(part) for part in command], cwd=cwd, check=False, env=_clean_environment())
    if finished.returncode:
        sys.exit(f"edge-clean: exit code {finished.returncode} from: {' '.join(str(part) for part in command)}")


def _clean_environment() -> dict[str, str]:
    # A PYTHONPATH of the caller would show the gateway packages that it does not have.
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def main() -> None:
    """Build the wheel, install it beside the runtime lock in a fresh environment, and start the agent there."""
    with tempfile.TemporaryDirectory(prefix="edge-clean-") as folder:
        clean = Path(folder)
        pip = ("-m", "pip", "--disable-pip-version-check")
        wheel_options = ("wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", clean)
        run(sys.executable, *pip, *wheel_options, ROOT, cwd=clean)
        venv.create(clean / "venv", with_pip=True)
        python = clean / "venv" / "bin" / "python"
        run(
            python,
            *pip,
            "install",
            "--quiet",
            "--require-hashes",
            "-r",
            ROOT / "requirements" / "runtime.txt",
            cwd=clean,
        )
        run(python, *pip, "install", "--quiet", "--no-deps", *clean.glob("*.whl"), cwd=clean)
        run(python, "-c", PROBE, cwd=clean)
        run(clean / "venv" / "bin" / "edge-agent", "--help", cwd=clean)
    sys.stdout.write("edge-clean: the agent starts on the runtime lock alone\n")


if __name__ == "__main__":
    main()
