import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from demo.errors import DemoError, StepFailedError
from demo.labels import LabelBook
from demo.live_view import LiveView
from demo.look import sparkline
from demo.plant.messages import Message
from demo.score import ClassRow, Score
from demo.screen import Screen, score_tables
from tests.demo.test_labels import label
from tests.demo.test_ribbon import parsed
from tests.demo.test_score import event

SCORE = Score(
    pipeline="pump",
    head="logistic",
    n_windows=1234,
    n_scored=1200,
    states={"ok": 1234},
    accuracy=0.991,
    balanced_accuracy=0.987,
    per_class=(ClassRow("idle", 1.0, 0.99, 600), ClassRow("pumping", 0.98, 1.0, 600)),
    windows_per_s=60.2,
    latency_p50_ms=8.1,
    latency_p99_ms=17.4,
    model_bytes=61_234,
)


def make(width: int = 112, *, terminal: bool = False) -> Screen:
    return Screen(Console(file=io.StringIO(), width=width, force_terminal=terminal, color_system=None))


def text_of(screen: Screen) -> str:
    assert isinstance(screen.console.file, io.StringIO)
    return screen.console.file.getvalue()


def view_on(screen: Screen) -> LiveView:
    return LiveView(
        screen,
        columns={"gw": "logistic"},
        classes={"pump": ["idle", "pumping"]},
        truth_of_label=lambda one: "idle" if one.window.index < 5 else None,
        state_now=lambda _device, _t_ns: "pumping",
        title="live",
    )


def test_a_step_that_held_says_what_came_of_it() -> None:
    screen = make()
    with screen.step("record") as step:
        step.note("12 messages")
    assert re.search(r"✔ record +12 messages +\d+\.\d s", text_of(screen))
    assert screen.steps == ["record"]


def test_a_step_that_failed_is_named_and_not_counted_as_held() -> None:
    screen = make()
    with pytest.raises(StepFailedError, match="fit: no data") as caught, screen.step("fit"):
        raise DemoError("no data")
    assert caught.value.step == "fit"
    assert re.search(r"✘ fit +no data", text_of(screen))
    assert screen.steps == []


def test_the_inner_step_keeps_its_name() -> None:
    with pytest.raises(StepFailedError, match=r"^inner: why$"), make().step("outer"):
        raise StepFailedError("inner", "why")


def test_the_table_shows_every_figure() -> None:
    screen = make()
    screen.show(score_tables([SCORE], speed_text="plant ×10"))
    shown = text_of(screen)
    for figure in ("99.1%", "98.7%", "1\u202f234", "60.2", "8.1", "17.4", "61.2 kB", "1.000", "0.990", "×10"):
        assert figure in shown, figure


@pytest.mark.parametrize("terminal", [True, False])
def test_the_live_view_shows_truth_label_and_signal(terminal: bool) -> None:
    screen = make(terminal=terminal)
    book = LabelBook()
    book.take([label(event(index, 0.98)) for index in range(3)] + [label(event(9, 0.98))])
    with view_on(screen) as view:
        for index in range(40):
            view.saw(Message(0.0, "t", b"", "pump-01", index, level=float(index)))
        view.saw(Message(0.0, "t", b"", "truth", 0, is_truth=True))
        view.refresh(book, n_sent=41, elapsed_s=6.0)
    canvas = make()
    canvas.show(screen._shown[-1])
    frame = text_of(canvas)
    for part in ("pump-01", "pumping", "idle", "0.98", sparkline(list(range(40)), 22), "41 messages", "100.0% right"):
        assert part in frame, part
    assert "truth" not in frame
    if not terminal:
        assert "4 labels in" in text_of(screen)
        assert "\x1b" not in text_of(screen)


def test_a_wrong_label_is_seen_as_wrong() -> None:
    screen = make()
    book = LabelBook()
    book.take([label(event(0, 0.2))])
    with view_on(screen) as view:
        view.saw(Message(0.0, "t", b"", "pump-01", 0, level=1.0))
        view.refresh(book, n_sent=1, elapsed_s=6.0)
    canvas = make()
    canvas.show(screen._shown[-1])
    assert "✗ pumping" in text_of(canvas)
    assert "0.0% right" in text_of(canvas)


def test_the_picture_is_svg_that_links_to_nothing(tmp_path: Path) -> None:
    screen = make()
    screen.title("sensor messages in, labels out", "python -m demo")
    screen.show(score_tables([SCORE], speed_text="plant ×10"))
    target = tmp_path / "img" / "demo.svg"
    screen.picture(target, "python -m demo")
    text = target.read_text()
    assert parsed(text).tag.endswith("svg")
    assert "logistic" in text
    assert re.findall(r"(?:url\(|href=|src=)\"?'?https?:", text) == []
    assert [path.name for path in target.parent.iterdir()] == ["demo.svg"]
