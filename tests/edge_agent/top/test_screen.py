"""What stands on the screen: fits any terminal, tells the truth of the view, and lets nobody else's bytes through."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from edge_agent.top.choices import ORDERS, Choices
from edge_agent.top.drawing import braille
from edge_agent.top.history import History
from edge_agent.top.screen import Size, frame
from schemas import TopView
from tests.edge_agent.top.views import make_device, make_view


def _draw(view: TopView, width: int = 120, height: int | None = 40, choices: Choices | None = None) -> str:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=False)
    console.print(frame(view, History(), choices or Choices(), Size(width, height)))
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("width", [40, 60, 72, 80, 100, 120, 250])
@pytest.mark.parametrize("height", [16, 24, 50])
def test_a_frame_fits_the_terminal(width: int, height: int) -> None:
    view = make_view([make_device(f"pump-{n}") for n in range(200)], problems=["the disk is full"])
    lines = _draw(view, width, height).rstrip("\n").split("\n")
    assert len(lines) <= height
    assert max(map(cell_len, lines)) <= width
    assert any("pump-" in line for line in lines)


def test_the_newest_window_of_a_device_is_told_in_words_too() -> None:
    devices = [
        make_device("a"),
        make_device("b", state="novel", novelty=1.7),
        make_device("c", label=None, confidence=None, novelty=None, state="unlabelled"),
        make_device("d", label=None, confidence=None, state="incomplete"),
        make_device("e", state=None, label=None, ts=None, confidence=None, latency_ms=None, signal=[]),
    ]
    said = _draw(make_view(devices))
    for expected in ("pumping", "75%", "novel", "1.70", "collecting", "incomplete", "no window yet", "3 s"):
        assert expected in said


def test_what_stands_in_the_way_comes_first() -> None:
    view = make_view([], state="degraded", connected=False, problems=["the broker is away"])
    said = _draw(view)
    assert "degraded" in said
    assert "no broker" in said
    assert said.index("! the broker is away") < said.index("rates")


def test_no_control_character_of_a_label_reaches_the_terminal() -> None:
    view = make_view([make_device("a", label="\x1b[2J[bold]x\n\x07", pipeline="p\x9b")], problems=["\x1b]0;title\x07"])
    said = _draw(view, 250)
    assert "[bold]x" in said  # no markup either
    assert not set(said) & {"\x1b", "\x07", "\x9b"}


def test_keys_sort_filter_pause_and_quit() -> None:
    devices = [
        make_device("a", rate_hz=1.0, confidence=0.9),
        make_device("b", rate_hz=2.0, confidence=0.1, label="idle"),
    ]
    choices = Choices()
    orders = []
    for _ in ORDERS:
        orders.append((choices.order, [view.device for view in choices.rows(devices)]))
        choices.press("s")
    assert dict(orders)["rate"] == ["b", "a"]
    assert dict(orders)["confidence"] == ["b", "a"]
    assert dict(orders)["device"] == ["a", "b"]
    assert choices.order == ORDERS[0]
    for key in ["/", "i", "D", "l", "x", "backspace", "enter"]:
        choices.press(key)
    assert [view.device for view in choices.rows(devices)] == ["b"]
    for key in ["/", "escape", "p"]:
        choices.press(key)
    assert len(choices.rows(devices)) == 2
    assert "PAUSED" in _draw(make_view(devices), choices=choices)
    choices.press("q")
    assert choices.is_over


def test_rates_follow_the_clock_of_the_agent_and_begin_anew_with_it() -> None:
    history = History()
    for uptime_s, messages in ((100.0, 1000), (100.0, 1000), (102.0, 1200)):
        history.add(make_view([], uptime_s=uptime_s, messages=messages))
    assert [(rates.messages, rates.answers) for rates in history.rates] == [(100.0, 10.0)]
    again = make_view([], uptime_s=1.0, messages=5)
    again = again.model_copy(update={"info": again.info.model_copy(update={"started": "2026-11-22T00:00:00.000000Z"})})
    history.add(again)
    assert history.newest is None


@given(
    values=st.lists(st.none() | st.floats(-1e30, 1e30), max_size=200),
    width=st.integers(1, 40),
    height=st.integers(1, 4),
)
def test_a_signal_of_any_values_is_a_picture_of_the_size_asked_for(
    values: list[float | None], width: int, height: int
) -> None:
    lines = braille(values, width, height)
    assert [len(line) for line in lines] == [width] * height
    has_dots = any(line.strip() for line in lines)
    assert has_dots == any(value is not None for value in values)
