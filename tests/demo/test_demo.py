"""The system as a user runs it: one command, a real broker, real fits, real agents."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from demo.programs import environment


def run_demo(*words: str) -> tuple[int, dict[str, object], str]:
    done = subprocess.run(
        [sys.executable, "-m", "demo", "--json", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env=environment(),
    )
    return done.returncode, json.loads(done.stdout), done.stderr


@pytest.mark.slow
def test_the_demo_holds_every_step_and_leaves_what_was_asked_for(mosquitto_program: str, tmp_path: Path) -> None:
    small = ["--seconds", "45", "--training-devices", "3", "--devices", "1", "--speed", "12"]
    code, result, said = run_demo(*small, "--keep", str(tmp_path / "kept"), "--picture", str(tmp_path / "demo.svg"))
    assert (code, result["failed"]) == (0, None), said
    steps = ["broker", "plant", "record", "fit", "fit", "export", "agents", "labels", "stop", "replay", "truth"]
    assert result["steps"] == steps
    scores = result["scores"]
    assert isinstance(scores, list)
    assert [(one["pipeline"], one["head"]) for one in scores] == [
        ("pump", "logistic"),
        ("pump", "mlp"),
        ("room", "logistic"),
        ("room", "mlp"),
    ]
    assert all(one["accuracy"] >= 0.75 and one["latency_ms"]["p50"] > 0 for one in scores)
    assert said.count("✔") == len(steps)
    kept = {path.name for path in (tmp_path / "kept").iterdir()}
    assert {"pump-logistic.onnx", "room-mlp.onnx", "pump-live.npz", "gateway-mlp.toml", "gateway-mlp.log"} <= kept
    picture = (tmp_path / "demo.svg").read_text()
    assert str(tmp_path) not in picture
    assert "bearing-fault" in (tmp_path / "signals.svg").read_text()


@pytest.mark.slow
@pytest.mark.real_data
def test_real_recordings_are_labelled_alike_by_agent_replay_and_trainer(datasets: Path, mosquitto_program: str) -> None:
    code, result, said = run_demo("--recording", str(datasets / "occupancy_stream.npz"), "--features", "statistics")
    assert code == 0, said
    assert "labels of edge-agent replay and trainer predict" in said
    assert isinstance(result["scores"], list)
    assert len(result["scores"]) == 2


def test_recordings_of_unknown_rate_are_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "short.npz"
    rng = np.random.default_rng(0)
    np.savez(
        file,
        X=rng.standard_normal((20, 1, 8)).astype(np.float32),
        y=np.tile([0, 1], 10),
        split=np.repeat([0, 1], 10).astype(np.int8),
        classes=np.array(["a", "b"]),
        channels=np.array(["x"]),
        fs=np.array(np.nan),
    )
    code, result, said = run_demo("--recording", str(file), "--broker-kind", "amqtt")
    assert code == 1
    assert result["failed"] == "split: short.npz: fs: a known sampling rate expected to play a recording, got none"
    assert "Traceback" not in said
