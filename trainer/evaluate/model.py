"""The answers of a model file on a data file: channels by name, rate and length checked, classes matched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from schemas import ModelCard
from trainer.data import Source, WindowedData, cut_source, plan_of_card, with_classes
from trainer.errors import DatasetError
from trainer.evaluate.groups import GroupFacts, group_facts
from trainer.evaluate.metrics import Evaluation, evaluate_probabilities
from trainer.export import LoadedModel

SplitChoice = Literal["train", "test", "all"]

_RATE_TOLERANCE = 0.01
"""Relative; the bound of the agent: within it a stream is at the nominal rate."""


@dataclass(frozen=True, slots=True)
class JudgedSplit:
    """An evaluation, which rows it is of, and what there is to say about them."""

    evaluation: Evaluation
    split: str
    remarks: tuple[str, ...]
    groups: GroupFacts | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values, as ``trainer evaluate --json`` prints them; figures of groups where there are some."""
        groups = {} if self.groups is None else self.groups.as_dict()
        return {**self.evaluation.as_dict(), **groups, "split": self.split}


def windows_for_model(source: Source, card: ModelCard) -> tuple[WindowedData, tuple[str, ...]]:
    """The windows of a source as a model wants them, and remarks.

    Raises
    ------
    DatasetError
        If channels are missing, the rate or the length differs, or a stream meets a model without a rate.
    """
    remarks = check_fit(source, card)
    data, cut_remarks = cut_source(source, plan_of_card(card), card.channel_names)
    return data, (*remarks, *cut_remarks)


def check_fit(source: Source, card: ModelCard) -> tuple[str, ...]:
    """What is worth saying about a source that fits a model.

    Raises
    ------
    DatasetError
        If it does not fit.
    """
    remarks = []
    names = card.channel_names
    missing = [name for name in names if name not in source.channels]
    if missing:
        raise DatasetError(
            f"{source.path}: channels: {', '.join(missing)} expected by {card.ref}, got {', '.join(source.channels)}"
        )
    unused = [name for name in source.channels if name not in names]
    if unused:
        remarks.append(f"channels that {card.ref} does not use: {', '.join(unused)}")
    if [name for name in source.channels if name in names] != names:
        remarks.append("channels stand in another order in the file; matched by name")
    rate, wanted = source.sampling_rate_hz, card.sampling_rate_hz
    if source.kind == "stream":
        if wanted is None:
            raise DatasetError(
                f"{source.path}: {card.ref} was fitted at an unknown rate; it classifies windows, not streams"
            )
        if rate is not None and card.grid.policy == "nearest" and abs(rate / wanted - 1.0) > _RATE_TOLERANCE:
            expected = f"{wanted:g} Hz expected by {card.ref} (grid policy nearest)"
            raise DatasetError(f"{source.path}: fs: {expected}, got {rate:g} Hz")
        return tuple(remarks)
    length = int(source.arrays["X"].shape[2])
    if rate is not None and wanted is not None and abs(rate / wanted - 1.0) > _RATE_TOLERANCE:
        raise DatasetError(f"{source.path}: fs: {wanted:g} Hz expected by {card.ref}, got {rate:g} Hz")
    if (rate is None) != (wanted is None):
        known = "file" if wanted is None else "model"
        remarks.append(f"the sampling rate is known of the {known} only; taken to be the same")
    if length != card.window_length:
        raise DatasetError(
            f"{source.path}: X: windows of {card.window_length} samples expected by {card.ref}, got {length}"
        )
    return tuple(remarks)


def choose_split(data: WindowedData, split: SplitChoice) -> tuple[WindowedData, str, tuple[str, ...]]:
    """The rows of a split, what they are called, and a remark where the file has no split.

    Raises
    ------
    DatasetError
        If the file has a split but no such rows.
    """
    if split == "all":
        return data, "all", ()
    if not data.has_split:
        return data, "all", ("the file has no split: all rows are used",)
    chosen = data.take(data.split == ("train", "test").index(split))
    if not len(chosen):
        raise DatasetError(f"{data.name}: split: rows for {split!r} expected, got none; try --split all")
    return chosen, split, ()


def evaluate_model(model: LoadedModel, source: Source, split: SplitChoice) -> JudgedSplit:
    """How right a model is on the labelled windows of a source.

    Raises
    ------
    DatasetError
        If the source does not fit the model, has no labelled rows, or labels that the model does not know.
    """
    data, remarks = windows_for_model(source, model.card)
    chosen, name, split_remarks = choose_split(data, split)
    labelled = chosen.take(chosen.class_indices >= 0)
    if not len(labelled):
        raise DatasetError(f"{source.path}: y: labelled rows expected, got only unlabelled ones")
    n_left_out = len(chosen) - len(labelled)
    judged = with_classes(labelled, model.card.classes)
    answers = model.run(judged.windows)
    probabilities = np.asarray(answers.probabilities, np.float64)
    evaluation = evaluate_probabilities(
        probabilities,
        judged.class_indices,
        model.card.classes,
        groups=judged.groups if judged.group_key else None,
        seed=model.card.data.seed,
    )
    unlabelled = (f"{n_left_out} unlabelled windows left out",) if n_left_out else ()
    is_right = probabilities.argmax(axis=1) == judged.class_indices
    groups = group_facts(is_right, judged.groups, judged.group_key)
    return JudgedSplit(evaluation, name, (*remarks, *split_remarks, *unlabelled), groups)
