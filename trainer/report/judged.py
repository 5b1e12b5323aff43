"""Windows with the answers a model gave, and which windows these are: what every fact of a report is computed from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from signals import IntArray
from trainer.data import Source, WindowedData, with_classes
from trainer.errors import DatasetError
from trainer.evaluate.model import SplitChoice, choose_split, windows_for_model
from trainer.export import LoadedModel

Probabilities = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Labelled windows and the answers to them.

    Attributes
    ----------
    data : WindowedData
        Labelled windows only; class indices are those of the model.
    probabilities : ndarray of shape (n_windows, n_classes), float64
    novelty : ndarray of shape (n_windows,), float64
    split : str
        What the windows are, for example ``test`` or ``grouped 5-fold cross-validation``.
    was_fitted_on : bool or None
        Whether the answering model has seen these windows in its fit; None = nobody can tell.
    has_new_groups : bool or None
        Whether no group of these windows was among the fitted ones; None = nobody can tell.
    remarks : tuple of str
    """

    data: WindowedData
    probabilities: Probabilities
    novelty: NDArray[np.float64]
    split: str
    was_fitted_on: bool | None
    has_new_groups: bool | None
    remarks: tuple[str, ...] = ()

    @property
    def predicted(self) -> IntArray:
        """Answered class indices, shape ``(n_windows,)``."""
        answers: IntArray = self.probabilities.argmax(axis=1)
        return answers

    @property
    def confidence(self) -> NDArray[np.float64]:
        """Probability of the answer, shape ``(n_windows,)``."""
        highest: NDArray[np.float64] = self.probabilities.max(axis=1)
        return highest

    @property
    def is_right(self) -> NDArray[np.bool_]:
        """Whether the answer is the label, shape ``(n_windows,)``."""
        right: NDArray[np.bool_] = self.predicted == self.data.class_indices
        return right

    @property
    def groups(self) -> IntArray | None:
        """Group of each window, None where no groups are known."""
        return self.data.groups if self.data.group_key is not None else None


def judge(
    model: LoadedModel,
    data: WindowedData,
    *,
    split: str,
    was_fitted_on: bool | None,
    has_new_groups: bool | None,
    probabilities: Probabilities | None = None,
    remarks: Sequence[str] = (),
) -> Judged:
    """The windows with the answers of a model, or with the out-of-fold probabilities that a fit has at hand.

    Parameters
    ----------
    model : LoadedModel
        Gives the novelty, and the probabilities where none are passed.
    data : WindowedData
        Labelled windows, classes in the order of the card.
    split : str
    was_fitted_on, has_new_groups : bool or None
        See `Judged`.
    probabilities : ndarray of shape (n_windows, n_classes), optional
    remarks : sequence of str

    Raises
    ------
    ValueError
        If the probabilities are not of these windows and classes.
    """
    answers = model.run(data.windows)
    own = np.asarray(answers.probabilities, np.float64) if probabilities is None else probabilities
    if own.shape != answers.probabilities.shape:
        message = f"probabilities: shape {answers.probabilities.shape} expected, got {own.shape}"
        raise ValueError(message)
    novelty = np.asarray(answers.novelty, np.float64)
    return Judged(data, own, novelty, split, was_fitted_on, has_new_groups, tuple(remarks))


def judge_file(model: LoadedModel, source: Source, split: SplitChoice) -> tuple[Judged, WindowedData]:
    """The labelled windows of a split of a source with the answers of a model, and all windows of the source.

    Raises
    ------
    DatasetError
        If the source does not fit the model, has no labelled rows, or labels that the model does not know.
    """
    every, remarks = windows_for_model(source, model.card)
    chosen, name, split_remarks = choose_split(every, split)
    labelled = chosen.take(chosen.class_indices >= 0)
    if not len(labelled):
        raise DatasetError(f"{source.path}: y: labelled rows expected, got only unlabelled ones")
    n_left_out = len(chosen) - len(labelled)
    unlabelled = (f"{n_left_out} unlabelled windows left out",) if n_left_out else ()
    data = with_classes(labelled, model.card.classes)
    judged = judge(
        model,
        data,
        split=name,
        was_fitted_on=_was_fitted_on(data, every, name, model),
        has_new_groups=_has_new_groups(labelled, every, name),
        remarks=(*source.remarks, *remarks, *split_remarks, *unlabelled),
    )
    return judged, every


def _was_fitted_on(data: WindowedData, every: WindowedData, split: str, model: LoadedModel) -> bool | None:
    """By the digest of the card where it is that of these rows; else by the split of the file."""
    if data.sha256() == model.card.data.sha256:
        return True
    if not every.has_split:
        return None
    return split != "test"


def _has_new_groups(chosen: WindowedData, every: WindowedData, split: str) -> bool | None:
    if chosen.group_key is None or split != "test":
        return None
    fitted = every.groups[every.split == 0]
    return not bool(np.isin(chosen.groups, fitted).any())
