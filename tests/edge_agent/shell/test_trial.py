import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, numpy_helper

from edge_agent.errors import ModelError
from edge_agent.shell import trial
from edge_agent.shell.guard import inspect_model
from edge_agent.shell.model_file import read_model_file
from edge_agent.shell.trial import FILE_NAME, MAX_PROOFS, Proofs, Trial, load_model
from schemas import ModelCard
from tests.edge_agent.gateway import ROOT
from tests.edge_agent.hostile_models import endless_loop
from tests.edge_agent.small_model import build_model, write_model

GOOD = build_model()
CARD = inspect_model(GOOD, "good.onnx")


def outcome(content: bytes, card: ModelCard = CARD, wall_s: float = trial.WALL_S) -> str:
    """What a trial ends with: ``proven``, or its one line."""
    with Trial(content, card, "m.onnx", wall_s) as child:
        child.wait()
        try:
            child.result()
        except ModelError as error:
            return str(error)
    return "proven"


def spoiled(change: Callable[[ModelProto], None]) -> bytes:
    return build_model(change=change)


def nan_weights(model: ModelProto) -> None:
    weights = np.full((2, 2), np.nan, dtype=np.float32)
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(weights, "weights"))


def test_model_that_answers_as_its_card_says_is_proven() -> None:
    assert outcome(GOOD) == "proven"


def test_model_of_other_answers_is_refused_in_the_child() -> None:
    golden = CARD.golden[0].model_copy(update={"label": 1 - CARD.golden[0].label})
    forged = CARD.model_copy(update={"golden": [golden, *CARD.golden[1:]]})
    assert "golden window 0" in outcome(GOOD, forged)


def test_weights_that_are_no_numbers_are_refused_in_the_child() -> None:
    assert "finite probabilities and novelty expected" in outcome(spoiled(nan_weights))


def test_endless_model_is_ended_by_its_processor_time() -> None:
    # On a busy machine five seconds of the processor can take longer than the wall allows: here only they may end it.
    assert "5 s of processor time" in outcome(spoiled(endless_loop), wall_s=600.0)


def test_endless_model_is_ended_by_the_clock_of_the_wall_at_the_latest() -> None:
    assert "an answer within 0.3 s expected, the model still runs" in outcome(spoiled(endless_loop), wall_s=0.3)


def test_asking_never_waits_and_closing_leaves_no_child_behind() -> None:
    child = Trial(spoiled(endless_loop), CARD, "m.onnx")
    assert not child.is_done
    with pytest.raises(RuntimeError, match="a trial that is over expected"):
        child.result()
    process = child._child
    child.close()
    assert process.returncode is not None
    assert not Path(f"/proc/{process.pid}").exists()


CHILD_FINDINGS = """
import json, os, resource, socket, sys
from edge_agent.shell import trial_child
trial_child._give_up_rights()
import edge_agent.shell.model
trial_child._seal()
def tried(action):
    try:
        action()
    except OSError as error:
        return error.errno
    return 0
limits = {name: resource.getrlimit(getattr(resource, name))[0] for name in
          ("RLIMIT_AS", "RLIMIT_FSIZE", "RLIMIT_NOFILE", "RLIMIT_CORE")}
status = dict(line.split(":", 1) for line in STATUS().splitlines() if ":" in line)
print(json.dumps({
    "open": tried(lambda: os.open("/etc/hostname", os.O_RDONLY)),
    "socket": tried(lambda: socket.socket()),
    "pipe": tried(lambda: os.pipe()),
    "limits": limits,
    "no_new_privileges": status["NoNewPrivs"].strip(),
    "cpu_s": resource.getrlimit(resource.RLIMIT_CPU),
}))
"""


def test_sealed_child_opens_no_file_no_socket_and_no_pipe() -> None:
    # The file is opened before the seal and read after it: behind the seal nothing opens.
    code = CHILD_FINDINGS.replace("import json", "FILE = open('/proc/self/status')\nimport json", 1)
    code = code.replace("STATUS()", "FILE.read()")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    found = json.loads(run.stdout)
    too_many = 24  # EMFILE
    assert (found["open"], found["socket"], found["pipe"]) == (too_many, too_many, too_many)
    assert found["limits"] == {
        "RLIMIT_AS": 2 * 1024**3,
        "RLIMIT_FSIZE": 1024**2,
        "RLIMIT_NOFILE": 0,
        "RLIMIT_CORE": 0,
    }
    assert found["no_new_privileges"] == "1"
    assert found["cpu_s"][0] <= 10
    assert found["cpu_s"][1] <= 20


def test_child_gets_no_environment_of_the_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_AGENT_SECRET", "do-not-pass-on")
    with Trial(GOOD, CARD, "m.onnx") as child:
        environment = Path(f"/proc/{child._child.pid}/environ").read_bytes()
        child.wait()
    assert b"do-not-pass-on" not in environment


def test_proven_model_costs_no_second_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_model(tmp_path / "small.onnx")
    load_model(path, Proofs(tmp_path / "state"))
    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "Popen", None)
        assert load_model(path, Proofs(tmp_path / "state")).card.ref == "small@1"
    write_model(path, version="2")
    monkeypatch.setattr(trial, "Trial", _asked)
    with pytest.raises(AssertionError, match="a trial was asked for"):
        load_model(path, Proofs(tmp_path / "state"))


def _asked(*_: object) -> None:
    raise AssertionError("a trial was asked for")


def test_proof_of_another_runtime_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Proofs(tmp_path).add("digest")
    assert Proofs(tmp_path).has("digest")
    monkeypatch.setattr(trial, "runtime_version", lambda: "1.99.0")
    assert not Proofs(tmp_path).has("digest")


def test_refused_model_leaves_no_proof(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(spoiled(nan_weights))
    with pytest.raises(ModelError, match="finite probabilities"):
        load_model(path, Proofs(tmp_path))
    assert not (tmp_path / FILE_NAME).exists()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"schema":"proven/1","proven":7}', b"\xff" * 100, b'{"a":' * 50_000]
)
def test_damaged_book_of_proofs_means_another_trial_and_nothing_worse(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    book = Proofs(tmp_path)
    assert not book.has("digest")
    book.add("digest")
    assert Proofs(tmp_path).has("digest")


def test_book_of_proofs_is_bounded_and_keeps_the_newest(tmp_path: Path) -> None:
    book = Proofs(tmp_path)
    for number in range(MAX_PROOFS + 5):
        book.add(str(number))
    assert [Proofs(tmp_path).has(str(number)) for number in (4, 5, MAX_PROOFS + 4)] == [False, True, True]


def test_folder_that_cannot_be_written_costs_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    book = Proofs(tmp_path / "file")
    with caplog.at_level(logging.WARNING):
        book.add("digest")
    assert [record.getMessage() for record in caplog.records if "cannot be kept" in record.getMessage()]
    assert book.has("digest")


# ---------------------------------------------------------------------- plain files only


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        read_model_file(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_model_file_must_be_a_plain_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    assert "a plain file expected, got a pipe" in refusal(tmp_path / "pipe")
    assert "a plain file expected, got a device" in refusal(tmp_path / "link")
    assert "a plain file expected, got a folder" in refusal(tmp_path)
    assert "No such file" in refusal(tmp_path / "missing")


def test_file_with_a_hole_of_ten_gigabytes_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    with path.open("wb") as file:
        file.truncate(10 * 1024**3)
    assert "at most 20971520 bytes expected, got 10737418240" in refusal(path)
