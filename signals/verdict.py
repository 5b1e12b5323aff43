"""From probabilities and novelty to what is said of a window: one rule for agent, replay and trainer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from schemas.card import ModelCard
from schemas.label import LabelEvent, LabelState, ModelRef, WindowFacts, WindowQuality, format_timestamp
from signals.grid import point_time_ns
from signals.window import ClosedWindow

_NOT_ID = re.compile(r"[^a-z0-9]+")
_MAX_ID = 64


_MAX_NAME = 256


def device_id(name: str) -> str:
    """The name as an id of ``[a-z0-9-]``, 1 to 64 characters.

    Raises
    ------
    ValueError
        If no letter or digit is left, or the name is longer than 256 characters: names are kept in memory, and
        whoever may publish may choose them.

    Examples
    --------
    >>> device_id("Living room/Temp 1")
    'living-room-temp-1'
    """
    if len(name) > _MAX_NAME:
        message = f"device: a name of at most {_MAX_NAME} characters expected, got {len(name)}"
        raise ValueError(message)
    return _id_of(name)


@lru_cache(maxsize=1024)
def _id_of(name: str) -> str:
    text = _NOT_ID.sub("-", name.lower()).strip("-")[:_MAX_ID].rstrip("-")
    if not text:
        message = f"device: a name with letters a-z or digits expected, got {name!r}"
        raise ValueError(message)
    return text


def label_state(card: ModelCard, confidence: float, novelty: float) -> LabelState:
    """What a confidence and a novelty mean under the thresholds of the card: novel before unsure before ok.

    Examples
    --------
    >>> from schemas.card import example_card
    >>> label_state(example_card(), 0.9, 1.2), label_state(example_card(), 0.9, 0.2)
    ('novel', 'ok')
    """
    if novelty > 1.0:
        return "novel"
    return "unsure" if confidence < card.unsure_below else "ok"


def label_event(
    card: ModelCard,
    digest: str,
    *,
    gateway: str,
    pipeline: str,
    device: str,
    window: ClosedWindow,
    probabilities: Sequence[float] | None,
    novelty: float | None,
) -> LabelEvent:
    """The label event of one window.

    Parameters
    ----------
    card : ModelCard
    digest : str
        sha256 of the model file, hex.
    gateway, pipeline, device : str
    window : ClosedWindow
    probabilities : sequence of float of length n_classes, or None
        None: too little of the window was there; the state is ``incomplete``.
    novelty : float or None

    Raises
    ------
    ValueError
        If the card has no sampling rate.
    """
    rate = card.sampling_rate_hz
    if rate is None:
        message = f"{card.ref}: a model with a sampling rate expected"
        raise ValueError(message)
    first = window.index * card.hop_length
    end = format_timestamp(point_time_ns(first + card.window_length, rate))
    facts = WindowFacts(
        index=window.index,
        start=format_timestamp(point_time_ns(first, rate)),
        end=end,
        n_samples=window.n_samples,
        quality=WindowQuality(
            present=round(window.present, 4),
            longest_gap_s=round(window.longest_gap_s, 6),
            stuck=list(window.stuck),
            clipped=list(window.clipped),
        ),
    )
    state: LabelState = "incomplete"
    label: str | None = None
    confidence: float | None = None
    named: dict[str, float] | None = None
    if probabilities is not None and novelty is not None:
        index = max(range(len(probabilities)), key=probabilities.__getitem__)
        confidence = min(1.0, round(float(probabilities[index]), 6))
        label = card.classes[index]
        state = label_state(card, float(probabilities[index]), float(novelty))
        named = {name: round(float(value), 6) for name, value in zip(card.classes, probabilities, strict=True)}
        novelty = round(max(0.0, float(novelty)), 6)
    else:
        novelty = None
    return LabelEvent(
        id=f"{device}/{card.ref}/{window.index}",
        gateway=gateway,
        device=device,
        pipeline=pipeline,
        ts=end,
        window=facts,
        label=label,
        confidence=confidence,
        probabilities=named,
        novelty=novelty,
        state=state,
        model=ModelRef(name=card.name, version=card.version, digest=digest),
    )
