"""Labels written as bytes: the very bytes of the contract, whatever the window, the answer and the names."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.engine import Pipeline
from edge_agent.shell.label_json import LabelJson
from edge_agent.shell.model import Answers
from schemas import LabelEvent, ModelCard
from schemas.card import example_card
from signals import ClosedWindow, WindowSpec, compile_decoder, label_event

CARD = example_card()
DIGEST = "0123456789abcdef" * 4


class Proven:
    """What the text of a label takes from a model."""

    def __init__(self, card: ModelCard) -> None:
        self.card, self.digest = card, DIGEST


def label_json(card: ModelCard = CARD, before: LabelJson | None = None, max_devices: int = 100) -> LabelJson:
    spec = WindowSpec.from_card(card)
    mapping: Any = _mapping(spec)
    pipeline = Pipeline("p-ü", ("a/{device}",), compile_decoder(mapping, ["a/{device}"], spec.channels, 1.0), spec)
    model: Any = Proven(card)
    return LabelJson("gw", pipeline, model, max_devices, before)


def _mapping(spec: WindowSpec) -> object:
    from pydantic import TypeAdapter

    from schemas.mapping import Mapping

    return TypeAdapter(Mapping).validate_python(
        {"format": "json", "channels": {name: f"c{index}" for index, name in enumerate(spec.channels)}}
    )


NAMES = st.from_regex(r"[a-z0-9-]{1,20}", fullmatch=True)
N_CLASSES = len(CARD.classes)
ROWS = st.lists(st.floats(0, 1, width=32), min_size=N_CLASSES, max_size=N_CLASSES)
NOVELTY = st.floats(-1, 10, width=32) | st.floats(0, 2.0**100, width=32)


@st.composite
def windows(draw: st.DrawFn) -> ClosedWindow:
    names = [channel.name for channel in CARD.channels]
    some = st.lists(st.sampled_from(names), unique=True).map(tuple)
    is_whole = draw(st.booleans())
    return ClosedWindow(
        index=draw(st.integers(-(10**6), 10**10)),
        values=np.zeros((len(names), CARD.window_length), np.float32),
        n_samples=CARD.window_length if is_whole else draw(st.integers(0, CARD.window_length)),
        present=1.0 if is_whole else draw(st.floats(0, 1)),
        longest_gap_s=0.0 if is_whole else draw(st.floats(0, 1e6)),
        stuck=() if is_whole else draw(some),
        clipped=() if is_whole else draw(some),
    )


@settings(max_examples=150, deadline=None)
@given(NAMES, st.lists(st.tuples(windows(), ROWS, NOVELTY), min_size=1, max_size=5))
def test_bytes_are_those_of_the_contract(device: str, cases: list[tuple[ClosedWindow, list[float], float]]) -> None:
    json = label_json()
    answers = Answers(
        np.array([row for _, row, _ in cases], np.float32), np.array([novelty for *_, novelty in cases], np.float32)
    )
    for (window, row, novelty), verdict in zip(cases, json.verdicts(answers), strict=True):
        assert verdict is not None
        expected = label_event(
            CARD,
            DIGEST,
            gateway="gw",
            pipeline="p-ü",
            device=device,
            window=window,
            probabilities=row,
            novelty=novelty,
        )
        payload = json.payload(json.device(device), window, verdict)
        assert LabelEvent.model_validate_json(payload) == expected
        assert payload == expected.model_dump_json(by_alias=True).encode() or novelty >= 1e6
        assert (verdict[0], verdict[1], verdict[3], verdict[4]) == (
            expected.label,
            expected.state,
            expected.confidence,
            expected.novelty,
        )


@given(NAMES, windows())
def test_window_without_an_answer_is_said_to_be_incomplete(device: str, window: ClosedWindow) -> None:
    json = label_json()
    expected = label_event(
        CARD,
        DIGEST,
        gateway="gw",
        pipeline="p-ü",
        device=device,
        window=window,
        probabilities=None,
        novelty=None,
    )
    payload = json.payload(json.device(device), window, json.incomplete)
    assert payload == expected.model_dump_json(by_alias=True).encode()


def test_answer_that_is_no_number_gives_no_verdict_and_leaves_the_others() -> None:
    rows = np.full((4, N_CLASSES), 1.0 / N_CLASSES, np.float32)
    novelty = np.zeros(4, np.float32)
    rows[1, 0], rows[2, 1], novelty[3] = math.nan, math.inf, math.nan
    verdicts = label_json().verdicts(Answers(rows, novelty))
    assert [verdict is None for verdict in verdicts] == [False, True, True, True]


def test_text_of_the_device_silent_longest_is_let_go_and_written_again() -> None:
    json = label_json(max_devices=2)
    first = json.device("a")
    json.device("b")
    assert json.device("a") is first
    json.device("c")
    assert json.device("a") is first, "b was silent longest"
    json.device("b")
    assert json.device("c") is not None
    assert json.device("a").said is None


def test_another_model_knows_what_was_said_last() -> None:
    json = label_json()
    json.device("a").said = ("x", "ok")
    other = label_json(CARD.model_copy(update={"version": "99"}), before=json)
    assert other.device("a").said == ("x", "ok")
    assert b"@99/" in other.device("a").head
