import io
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from demo import programs
from demo.broker import Broker
from demo.errors import StepFailedError
from demo.perform import FittedModel, LiveFile, Performance, Show, perform, rows_of, windows_of
from demo.plant.messages import Message
from demo.player import PLAYER_TOPIC, messages_of, player_mapping
from demo.record import Series, save_stream
from demo.screen import Screen
from demo.streams import Stream
from demo.truth import RecordedTruth
from demo.wire import Address
from edge_agent.shell.guard import inspect_model
from schemas import HeadFacts
from signals import IntArray, Recording, recordings_from_stream
from tests.edge_agent.small_model import CLASSES, build_model

RATE_HZ = 100.0
Tamper = Callable[[Show, list[Recording]], Show]
STREAM = Stream(
    "small",
    (PLAYER_TOPIC,),
    player_mapping(("x", "y"), "json"),
    ("x", "y"),
    tuple(CLASSES),
    RATE_HZ,
    accuracy_floor=0.9,
)


@pytest.fixture(scope="module")
def broker(mosquitto_program: str) -> Iterator[Broker]:
    with Broker.auto("mosquitto") as running:
        yield running


@pytest.fixture
def screen() -> Screen:
    return Screen(Console(file=io.StringIO(), width=200))


def said_on(screen: Screen) -> str:
    assert isinstance(screen.console.file, io.StringIO)
    return screen.console.file.getvalue()


def series(seed: int, n_samples: int = 600) -> Series:
    """Six seconds, low and high in turns of one second; the small model looks at the mean of the first channel."""
    rng = np.random.default_rng(seed)
    class_indices = (np.arange(n_samples) // 100) % 2
    values = rng.standard_normal((n_samples, 2)).astype(np.float32) * 0.2
    values[:, 0] += np.where(class_indices == 1, 1.0, -1.0)
    return Series(np.arange(n_samples) * 10_000_000 + 10**18, values, class_indices)


def show_of(folder: Path, *, tamper: Tamper | None = None, speed: float | None = None) -> Show:
    path = folder / "live.npz"
    save_stream(path, {"device-a": series(1), "device-b": series(2)}, STREAM)
    with np.load(path) as arrays:
        recordings = recordings_from_stream(dict(arrays), "live.npz")
    models = []
    for head in ("logistic", "mlp"):
        file = folder / f"small-{head}.onnx"
        file.write_bytes(build_model(("x", "y"), name=f"small-{head}", head=HeadFacts(kind=head)))
        models.append(FittedModel(STREAM, head, file, inspect_model(file.read_bytes(), file.name)))
    show = Show(
        models=models,
        messages=list(messages_of(recordings, batch_length=32)),
        truth=RecordedTruth(recordings, STREAM.classes),
        live_files=lambda: {"small": LiveFile(path, "all", recordings)},
        speed=speed,
        title="test",
        with_predict=False,
    )
    return tamper(show, recordings) if tamper else show


def run(broker: Broker, screen: Screen, folder: Path, show: Show) -> Performance:
    return perform(screen, Address(broker.host, broker.port), folder, show)


def test_every_step_holds_where_nothing_is_wrong(broker: Broker, screen: Screen, tmp_path: Path) -> None:
    show = show_of(tmp_path)
    done = run(broker, screen, tmp_path, show)
    assert [one.head for one in done.scores] == ["logistic", "mlp"]
    for one in done.scores:
        # Windows of 10 samples every 5: of 600 samples 121 are touched, 119 of them are whole.
        assert one.n_windows == 2 * 121
        assert one.accuracy == 1.0
        assert one.latency_p50_ms > 0.0
        assert one.states["incomplete"] == 4
    assert screen.steps == ["agents", "labels", "stop", "replay", "truth"]
    assert "484 windows, each labelled exactly once" in said_on(screen)


def labels_of(recording: Recording) -> IntArray:
    assert recording.class_indices is not None
    return recording.class_indices


def swapped(show: Show, recordings: list[Recording]) -> Show:
    flipped = [replace(one, class_indices=1 - labels_of(one)) for one in recordings]
    return show._replace(truth=RecordedTruth(flipped, STREAM.classes))


def without_a_message(show: Show, recordings: list[Recording]) -> Show:
    # It never leaves; who looks at the file knows that windows lie in it.
    return show._replace(messages=[message for index, message in enumerate(show.messages) if index != 25])


def another_file(show: Show, recordings: list[Recording]) -> Show:
    path = show.live_files()["small"].path
    other = series(1)
    other.values[300:400, 0] *= -1.0
    save_stream(path, {"device-a": other, "device-b": series(2)}, STREAM)
    return show


def too_many_windows(show: Show, recordings: list[Recording]) -> Show:
    longer = recordings[0]
    extra = replace(
        longer,
        t_ns=np.append(longer.t_ns, longer.t_ns[-1] + 10_000_000 * np.arange(50, 53)),
        values=np.hstack([longer.values, longer.values[:, :3]]),
        class_indices=np.append(labels_of(longer), [0, 0, 0]),
    )
    file = show.live_files()["small"]
    return show._replace(live_files=lambda: {"small": file._replace(recordings=[extra, recordings[1]])})


@pytest.mark.parametrize(
    ("tamper", "step", "words"),
    [
        (swapped, "truth", "balanced accuracy of at least 0.9 expected, got 0.000"),
        (without_a_message, "labels", "windows without a label"),
        (another_file, "replay", "labels differ from the live ones"),
    ],
)
def test_what_is_wrong_fails_the_step_that_looks_at_it(
    broker: Broker,
    screen: Screen,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tamper: Tamper,
    step: str,
    words: str,
) -> None:
    # Only where labels will be missing is it awaited: elsewhere an agent that is slow to begin must not look silent.
    monkeypatch.setattr("demo.live._SILENCE_S", 4.0 if step == "labels" else 60.0)
    with pytest.raises(StepFailedError, match=words) as caught:
        run(broker, screen, tmp_path, show_of(tmp_path, tamper=tamper))
    assert caught.value.step == step
    assert "✘" in said_on(screen)


def test_a_window_without_a_label_fails_and_is_named(
    broker: Broker, screen: Screen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("demo.live._SILENCE_S", 4.0)
    with pytest.raises(
        StepFailedError, match=r"windows without a label, for example gateway-logistic: device-a/small-log"
    ):
        run(broker, screen, tmp_path, show_of(tmp_path, tamper=too_many_windows))


def test_an_agent_that_dies_while_labelling_fails_the_demo_by_name(
    broker: Broker, screen: Screen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def noting(
        module: str, arguments: Sequence[str], *, stdout: int | None, stderr: int | None
    ) -> subprocess.Popen[bytes]:
        process = start(module, arguments, stdout=stdout, stderr=stderr)
        started.append(process)
        return process

    start = programs.start
    monkeypatch.setattr("demo.programs.start", noting)

    def deadly(show: Show, recordings: list[Recording]) -> Show:
        def messages() -> Iterator[Message]:
            for index, message in enumerate(show.messages):
                if index == 10:
                    os.kill(started[1].pid, signal.SIGKILL)
                yield message

        return show._replace(messages=messages())

    with pytest.raises(Exception, match="agent gateway-mlp: a running process expected, it ended with -9"):
        run(broker, screen, tmp_path, show_of(tmp_path, tamper=deadly, speed=2.0))
    assert all(process.poll() is not None for process in started)


def test_windows_that_wait_for_longer_than_somebody_watches_are_left_open(tmp_path: Path) -> None:
    card = show_of(tmp_path).models[0].card
    slow = card.model_copy(update={"sampling_rate_hz": 0.1})
    t_ns = np.arange(20) * 10_000_000_000
    found = windows_of(slow, [Recording("a", ("x", "y"), t_ns, np.zeros((2, 20), np.float32))])
    # Windows of 100 s every 50 s; the last sample is at 190 s, and what ends at 200 s would wait until 202 s.
    assert found.left_open == {"a/small-logistic@1/2", "a/small-logistic@1/3"}
    assert found.due == {"a/small-logistic@1/-1", "a/small-logistic@1/0", "a/small-logistic@1/1"}


def test_rows_of_a_windowed_file_leave_out_what_lies_across_the_ends(tmp_path: Path) -> None:
    card = show_of(tmp_path).models[0].card
    t_ns = np.arange(20) * 10_000_000
    plain = Recording("a", ("x", "y"), t_ns, np.zeros((2, 20), np.float32))
    chain = replace(plain, first_index=0, rows=np.array([7, 8, 9]))
    assert rows_of(card, [chain]) == {f"a/small-logistic@1/{index}" for index in (0, 1, 2)}
    assert rows_of(card, [plain]) == {f"a/small-logistic@1/{index}" for index in (-1, 0, 1, 2, 3)}
