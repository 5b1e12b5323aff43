import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_agent.cli import main
from tests.edge_agent.gateway import ROOT, write_config
from tests.edge_agent.small_model import write_model


def test_check_of_a_good_configuration_says_what_will_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--config", str(write_config(tmp_path, 1883))]) == 0
    out = capsys.readouterr().out
    assert "pump: small@1, 100 Hz, plant/{device}/v -> low, high" in out


def test_check_names_every_problem_of_models_and_mappings_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path, 1883)
    write_model(tmp_path / "norate.onnx", sampling_rate_hz=None)
    (tmp_path / "broken.onnx").write_bytes(b"\x08")
    pipeline = config.read_text()[config.read_text().index("[[pipelines]]") :]
    text = config.read_text().replace('x = "x", y', 'q = "x", y')
    for name in ("norate", "broken", "absent"):
        text += pipeline.replace('"pump"', f'"{name}"').replace("small.onnx", f"{name}.onnx")
    config.write_text(text)
    assert main(["check", "--config", str(config)]) == 78
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4
    assert all(str(config) in line for line in lines)
    for part in ("pipelines[0].", "pipelines[1].model", "pipelines[2].model", "pipelines[3].model"):
        assert any(part in line for line in lines), part
    assert any("windows, not streams" in line for line in lines)
    assert any("absent.onnx" in line for line in lines)


def test_configuration_error_of_run_ends_with_78_and_no_traceback(tmp_path: Path) -> None:
    config = write_config(tmp_path, 1883, extra="colour = 3")
    done = subprocess.run(
        [sys.executable, "-m", "edge_agent", "run", "--config", config],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 78
    assert done.stderr.count("\n") == 1
    assert "colour: unknown key" in done.stderr


def test_state_folder_that_cannot_be_made_is_a_configuration_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "state").write_text("a file")
    assert main(["run", "--config", str(write_config(tmp_path, 1883))]) == 78
    assert "gateway.state_dir" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [[], ["fly"], ["run"], ["replay", "m.onnx"], ["replay", "a", "b", "--split", "odd"]]
)
def test_wrong_usage_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "usage: edge-agent" in capsys.readouterr().err


def test_version_and_help_need_no_runtime(tmp_path: Path) -> None:
    script = (
        "import sys; from edge_agent.cli import main; codes = main(['--version']), main(['--help']); "
        "heavy = {'onnxruntime', 'numpy', 'paho', 'edge_agent.shell'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy or any(codes) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "edge-agent 0.1.0" in done.stdout


def test_telemetry_of_the_runtime_is_off_before_it_is_imported() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    script = "import edge_agent, os; raise SystemExit(os.environ.get('ORT_DISABLE_TELEMETRY') != '1')"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, check=False).returncode == 0
