"""From a data file to a model file: read, cut, fit, write the card, export."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from schemas import Grid, ModelCard, NoveltyFacts
from schemas.card import describe_problems
from trainer.data import CutOptions, CutPlan, cut_source, plan_cut, read_source
from trainer.data.facts import card_channels, data_facts
from trainer.data.plan import min_present_for
from trainer.errors import DatasetError, TrainerError
from trainer.evaluate import Evaluation, GroupFacts
from trainer.export import LoadedModel, export_model, load_model
from trainer.export.novelty import METHOD
from trainer.fit.cross_validation import Report
from trainer.fit.notes import card_notes
from trainer.fit.options import FitOptions, Weights
from trainer.fit.pipeline import fit
from trainer.fit.result import FitResult

_COMPARED_WINDOWS = 2000
"""That rounded weights are compared with the others on."""


@dataclass(frozen=True, slots=True, eq=False)
class WrittenModel:
    """A model file with its card, the fit it came from and everything there was to say on the way."""

    path: Path
    digest: str
    n_bytes: int
    card: ModelCard
    result: FitResult
    remarks: tuple[str, ...]

    @property
    def evaluation(self) -> Evaluation:
        """Of the windows that were held out."""
        return self.result.evaluation

    @property
    def groups(self) -> GroupFacts | None:
        """How right the held-out answers are on each group; None where no groups are known."""
        return self.result.groups

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values, as ``trainer fit --json`` prints them."""
        card = self.card
        return {
            "out": str(self.path),
            "digest": self.digest,
            "bytes": self.n_bytes,
            "card": {
                "name": card.name,
                "version": card.version,
                "classes": card.classes,
                "channels": card.channel_names,
                "sampling_rate_hz": card.sampling_rate_hz,
                "window_length": card.window_length,
                "hop_length": card.hop_length,
                "window_s": card.window_s,
                "grid": card.grid.model_dump(),
                "min_present": card.min_present,
                "features": [{"kind": block.kind, "n_features": block.n_features} for block in card.features],
                "head": card.head.model_dump(),
                "temperature": card.temperature,
                "unsure_below": card.unsure_below,
                "false_alarm_rate": card.novelty.false_alarm_rate,
                "rows_per_class": card.data.rows_per_class,
                "group_key": card.data.group_key,
                "n_groups": card.data.n_groups,
                "seed": card.data.seed,
                "notes": card.notes,
            },
            "cross_validated": self._cross_validated(),
            "remarks": list(self.remarks),
        }

    def _cross_validated(self) -> dict[str, Any]:
        groups = {} if self.groups is None else self.groups.as_dict()
        flattery = self.result.flattery
        at_random = {} if flattery is None else {"random_split": flattery.as_dict()}
        return {**self.evaluation.as_dict(), "split": self.result.plan.name, **groups, **at_random}


def fit_file(path: Path, out: Path, cut_options: CutOptions, options: FitOptions, report: Report) -> WrittenModel:
    """A model fitted on the training rows of a data file, written to ``out``.

    Parameters
    ----------
    path : Path
        Any file or folder that `trainer.data.read_source` reads.
    out : Path
        Appears whole or not at all.
    cut_options : CutOptions
    options : FitOptions
    report : callable
        Called with (what, done, of).

    Raises
    ------
    DatasetError
        If the data cannot be used, or ``out`` has no folder to be in.
    ContractError
        If the file cannot be written.
    """
    # Before minutes of work, not after them.
    if not out.parent.is_dir() or out.is_dir():
        raise DatasetError(f"{out}: a file in a folder that exists expected, got none")
    if out.exists() and path.exists() and out.samefile(path):
        raise DatasetError(f"{out}: another file than the data expected")
    report("reading", 0, 1)
    source = read_source(path)
    plan = plan_cut(source, cut_options)
    report("cutting", 0, 1)
    data, cut_remarks = cut_source(source, plan)
    result = fit(data, options, report)
    card = model_card(result, plan)
    report("writing", 0, 1)
    loaded = export_model(result.model, card, out, result.data.windows, result.data.class_indices)
    remarks = (*source.remarks, *plan.remarks, *cut_remarks, *result.remarks, *card.notes)
    if options.weights != "float32":
        loaded, more = _with_smaller_weights(loaded, out, result, options.weights)
        remarks += more
    return WrittenModel(
        path=out,
        digest=loaded.digest,
        n_bytes=out.stat().st_size,
        card=loaded.card,
        result=result,
        remarks=remarks,
    )


def _with_smaller_weights(
    loaded: LoadedModel, out: Path, result: FitResult, weights: Weights
) -> tuple[LoadedModel, tuple[str, ...]]:
    """The file with its weights rounded; as it was, and a remark, where there is nothing to be gained."""
    from trainer.export.quantise import quantise_file

    try:
        quantise_file(out, out, result.data.windows[:_COMPARED_WINDOWS], weights=weights)
    except TrainerError as error:
        return loaded, (f"weights stay float32: {error}",)
    smaller = load_model(out)
    return smaller, tuple(note for note in smaller.card.notes if note not in loaded.card.notes)


def model_card(result: FitResult, plan: CutPlan) -> ModelCard:
    """The card of a fit; what only the export knows (golden windows, feature blocks) is filled in there.

    Raises
    ------
    DatasetError
        If a name of the file or an option is none that a card can hold.
    """
    data, options = result.data, result.options
    try:
        return ModelCard(
            name=options.name,
            version=options.version,
            classes=list(data.classes),
            channels=card_channels(data),
            sampling_rate_hz=data.sampling_rate_hz,
            window_length=data.window_length,
            hop_length=data.hop_length,
            grid=Grid(policy=plan.policy, max_age_s=plan.max_age_s or 0.0),
            min_present=min_present_for(data, plan),
            features=result.model.extractor.card_blocks,
            head=result.head_facts,
            temperature=result.temperature,
            unsure_below=result.unsure_below,
            novelty=NoveltyFacts(method=METHOD, false_alarm_rate=result.model.novelty.false_alarm_rate),
            data=data_facts(data, data.rows_per_class(), options.seed),
            metrics=result.metrics,
            notes=card_notes(result),
        )
    except ValidationError as error:
        raise DatasetError(f"{data.name}: {'; '.join(describe_problems(error, prefix='model card: '))}") from error
