"""From probabilities and novelty to what is said: one rule for agent, replay and trainer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import LabelEvent
from schemas.card import example_card
from schemas.topics import ID_PATTERN
from signals import ClosedWindow, device_id, label_event

CARD = example_card().model_copy(update={"unsure_below": 0.6})


def window(index: int = 6, present: float = 1.0) -> ClosedWindow:
    values = np.zeros((1, 4), dtype=np.float32)
    return ClosedWindow(index, values, n_samples=4, present=present, longest_gap_s=0.0, stuck=("acc_x",), clipped=())


def event(probabilities: list[float] | None, novelty: float | None, index: int = 6) -> LabelEvent:
    return label_event(
        CARD,
        "0" * 64,
        gateway="g",
        pipeline="p",
        device="d",
        window=window(index),
        probabilities=probabilities,
        novelty=novelty,
    )


@pytest.mark.parametrize(
    ("probabilities", "novelty", "state", "label"),
    [
        ([0.9, 0.1], 0.5, "ok", "idle"),
        ([0.45, 0.55], 0.5, "unsure", "pumping"),
        ([0.1, 0.9], 1.5, "novel", "pumping"),
        ([0.55, 0.45], 1.5, "novel", "idle"),
        ([0.1, 0.9], 1.0, "ok", "pumping"),
        (None, None, "incomplete", None),
    ],
)
def test_state_and_label(
    probabilities: list[float] | None, novelty: float | None, state: str, label: str | None
) -> None:
    said = event(probabilities, novelty)
    assert (said.state, said.label) == (state, label)


def test_the_event_says_which_window_and_survives_json() -> None:
    said = event([0.25, 0.75], 0.123456789)
    assert (said.id, said.ts) == ("d/pump@1/6", "1970-01-01T00:00:02.000000Z")
    assert (said.window.start, said.window.end) == ("1970-01-01T00:00:01.500000Z", "1970-01-01T00:00:02.000000Z")
    assert said.novelty == 0.123457
    assert said.window.quality.stuck == ["acc_x"]
    assert LabelEvent.model_validate_json(said.model_dump_json()) == said
    assert '"schema":"label/1"' in said.model_dump_json()


def test_windows_before_the_epoch_have_a_time_too() -> None:
    assert event([1.0, 0.0], 0.0, index=-1).window.start == "1969-12-31T23:59:59.750000Z"


@given(st.text(max_size=200))
def test_a_device_id_fits_topics_or_is_refused(name: str) -> None:
    try:
        identity = device_id(name)
    except ValueError:
        return
    assert ID_PATTERN.match(identity)
    assert device_id(identity) == identity
