"""The page of refusals, drops and gaps, its reasons read out of the code's syntax trees.

A reason without a meaning stops the writer, and so does a meaning whose reason is no more in the code.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, get_args

from docs.writers.markdown import code, page, table
from edge_agent.engine import EngineCounters
from schemas import GapEvent, LabelState

_ROOT = Path(__file__).resolve().parent.parent.parent


class _Call(NamedTuple):
    """A call that carries a reason: the name of what is called, and the position of the reason."""

    name: str
    position: int


_REFUSALS = (_Call("DecodeError", 0), _Call("_reject", 2), _Call("bury", 0))
_LABELS_LOST = (_Call("give_up", 1),)

REFUSED = {
    "bad_device": "no name for the device in topic or payload, or none that leaves a letter or digit for its id",
    "bad_frame": "a binary frame of another magic or length than the mapping says",
    "bad_shape": "arrays of different lengths, an object where a number or an array was expected",
    "bad_time": "no time where the mapping names one, a text without zone, a time before 1970 or after 2262",
    "bad_topic": "a topic that is no UTF-8, or that no template of the pipeline matches",
    "device_collision": "two names of devices give the same id; rename one",
    "internal": "an unexpected error; the agent lives on, the line in its log is worth a bug report",
    "missing_field": "no channel of the model has a value in this message",
    "no_pipeline": "no pipeline has this topic",
    "not_a_number": "a text, or something else that is no number, at the path of a channel",
    "not_finite": "NaN, infinity, or a number too large for float32",
    "not_json": "the payload is no JSON in UTF-8",
    "not_text": "the payload of a one-number topic is no UTF-8",
    "too_large": "the payload is larger than `limits.payload_bytes`",
    "too_large_to_publish": "a message of the agent itself that is larger than the broker takes",
}
"""Keys of ``messages_rejected``."""

DROPPED = {
    "duplicate": "values for a place in time that has one already",
    "late": "values whose windows were closed before they came",
    "retained": "retained messages (counted as messages): last-known state is no sample",
}
"""Keys of ``samples_dropped``."""

LABELS_LOST = {
    "no_subscriber": "nobody subscribed to the labels of this device for `delivery.consumer_patience_s`",
    "outbox_full": "five times `limits.outbox_labels` waited for the broker; the oldest goes",
    "refused": "the broker refused it `delivery.attempts` times",
    "too_large": "larger than the broker takes",
}
"""Keys of ``labels_dropped``."""

GAPS = {
    "clock_step": "the device set its clock back and was anchored anew",
    "evicted": "more than `limits.devices` devices: the one that was silent longest was let go with its open windows",
    "internal": "an error inside the agent (counted as `internal`) left the device in an unknown state; it began anew",
    "no_samples": "no sample came for these windows",
    "not_published": "their labels were made and given up: see `labels_dropped` (not said of `no_subscriber`)",
    "restart": "the agent was away, and nothing of these windows was delivered to it afterwards",
}
"""Reasons of a GapEvent."""

STATES = {
    "ok": "believe it",
    "unsure": "the confidence is below the model card's bound",
    "novel": "unlike what the model was fitted on: novelty is above 1",
    "incomplete": "less of the window was there than the card's `min_present`; it carries no label",
    "failed": "the model did not answer with finite numbers; published as `incomplete`",
}
"""Keys of ``windows``."""


def write() -> str:
    """The page.

    Raises
    ------
    ValueError
        If code and meanings name different reasons.
    """
    refused = reasons_in_code(_REFUSALS)
    lost = reasons_in_code(_LABELS_LOST)
    _compare("refusals", set(refused), REFUSED)
    _compare("labels lost", set(lost), LABELS_LOST)
    _compare("dropped samples", set(EngineCounters().dropped), DROPPED)
    _compare("gaps", set(get_args(GapEvent.model_fields["reason"].annotation)), GAPS)
    _compare("states", {*get_args(LabelState), *_counted_states()}, STATES)
    return page(
        "Refusals, drops and gaps",
        "Nothing is lost silently: what cannot be used is counted by reason in the message on the topic `metrics`\n"
        "([topics.md](topics.md)), and windows that can have no label are declared on the topic `gap`.",
        "## Messages refused (`messages_rejected`)",
        _reasons(REFUSED, refused),
        "## Values not used (`samples_dropped`)",
        table(["reason", "meaning"], [[code(reason), meaning] for reason, meaning in DROPPED.items()]),
        "## Labels given up (`labels_dropped`)",
        _reasons(LABELS_LOST, lost),
        "## Windows that can have no label (topic `gap`, field `reason`)",
        table(["reason", "meaning"], [[code(reason), meaning] for reason, meaning in GAPS.items()]),
        "## States of a label (`state`; counted in `windows`)",
        table(["state", "meaning"], [[code(state), meaning] for state, meaning in STATES.items()]),
    )


def _reasons(meanings: dict[str, str], places: dict[str, list[str]]) -> str:
    rows = [
        [code(reason), meaning, ", ".join(f"[{Path(place).name}](../{place})" for place in places[reason])]
        for reason, meaning in meanings.items()
    ]
    return table(["reason", "meaning", "said by"], rows)


def _compare(what: str, found: set[str], meanings: dict[str, str]) -> None:
    if found != set(meanings):
        unsaid, gone = sorted(found - set(meanings)), sorted(set(meanings) - found)
        raise ValueError(
            f"docs/writers/rejections.py: {what}: without a meaning: {unsaid}; no more in the code: {gone}"
        )


def reasons_in_code(calls: tuple[_Call, ...]) -> dict[str, list[str]]:
    """Reason -> the files that give it, both sorted.

    Raises
    ------
    ValueError
        If a call carries a reason that is no text and no reason handed on: it could not be read here.
    """
    found: dict[str, set[str]] = {}
    for path in _sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            position = _reason_position(node, calls)
            if position is None or not isinstance(node, ast.Call):
                continue
            reason = node.args[position]
            if isinstance(reason, ast.Constant) and isinstance(reason.value, str):
                found.setdefault(reason.value, set()).add(path.relative_to(_ROOT).as_posix())
            elif not (isinstance(reason, ast.Attribute) and reason.attr == "reason"):
                raise ValueError(
                    f"{path.name}:{node.lineno}: a reason written as text expected, got {ast.unparse(reason)}"
                )
    return {reason: sorted(places) for reason, places in sorted(found.items())}


def _reason_position(node: ast.AST, calls: tuple[_Call, ...]) -> int | None:
    if not isinstance(node, ast.Call):
        return None
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
    return next((call.position for call in calls if call.name == name), None)


def _counted_states() -> Iterator[str]:
    """States that the writer of events counts by a name of its own: ``self.windows["failed"]``."""
    path = _ROOT / "edge_agent" / "shell" / "writer.py"
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if (
            isinstance(node, ast.Subscript)
            and ast.unparse(node.value) == "self.windows"
            and isinstance(node.slice, ast.Constant)
        ):
            yield str(node.slice.value)


def _sources() -> list[Path]:
    return sorted(path for room in ("signals", "edge_agent") for path in (_ROOT / room).rglob("*.py"))
