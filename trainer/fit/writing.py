"""From a data file to a model file: read, cut, fit, write the card, export."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from schemas import Channel, DataFacts, Grid, ModelCard, NoveltyFacts
from schemas.card import describe_problems
from trainer.data import CutOptions, CutPlan, WindowedData, cut_source, plan_cut, read_source
from trainer.data.plan import DEFAULT_MIN_PRESENT
from trainer.errors import DatasetError
from trainer.evaluate import Evaluation
from trainer.export import export_model
from trainer.export.novelty import METHOD
from trainer.fit.cross_validation import Report
from trainer.fit.options import FitOptions
from trainer.fit.pipeline import FitResult, fit

_LIBRARIES = ("numpy", "scipy", "onnx", "onnxruntime")
_LEAST_MIN_PRESENT = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class WrittenModel:
    """A model file with its card, its out-of-fold evaluation and everything there was to say on the way."""

    path: Path
    digest: str
    n_bytes: int
    card: ModelCard
    evaluation: Evaluation
    remarks: tuple[str, ...]

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
            "cross_validated": self.evaluation.as_dict() | {"split": card.metrics[0].split},
            "remarks": list(self.remarks),
        }


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
    return WrittenModel(
        path=out,
        digest=loaded.digest,
        n_bytes=out.stat().st_size,
        card=loaded.card,
        evaluation=result.evaluation,
        remarks=(*source.remarks, *plan.remarks, *cut_remarks, *result.remarks, *card.notes),
    )


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
            channels=[Channel(name=name, unit=unit) for name, unit in zip(data.channels, data.units, strict=True)],
            sampling_rate_hz=data.sampling_rate_hz,
            window_length=data.window_length,
            hop_length=data.hop_length,
            grid=Grid(policy=plan.policy, max_age_s=plan.max_age_s or 0.0),
            min_present=_min_present(data, plan),
            features=result.model.extractor.card_blocks,
            head=result.head_facts,
            temperature=result.temperature,
            unsure_below=result.unsure_below,
            novelty=NoveltyFacts(method=METHOD, false_alarm_rate=result.model.novelty.false_alarm_rate),
            data=DataFacts(
                sha256=data.sha256(),
                rows_per_class=data.rows_per_class(),
                group_key=data.group_key,
                n_groups=len(np.unique(data.groups[data.groups >= 0])),
                seed=options.seed,
                libraries={name: version(name) for name in _LIBRARIES},
            ),
            metrics=result.metrics,
            notes=_notes(result),
        )
    except ValidationError as error:
        raise DatasetError(f"{data.name}: {'; '.join(describe_problems(error, prefix='model card: '))}") from error


def _min_present(data: WindowedData, plan: CutPlan) -> float:
    """What was asked for; else 90 %, or for ready-cut windows as little as the sparsest training window had."""
    if plan.min_present is not None:
        return plan.min_present
    if data.is_stream:
        return DEFAULT_MIN_PRESENT
    sparsest = np.floor(float(data.present.min()) * 1e4) / 1e4
    return float(max(_LEAST_MIN_PRESENT, min(DEFAULT_MIN_PRESENT, sparsest)))


def _notes(result: FitResult) -> list[str]:
    data, notes = result.data, []
    if data.sampling_rate_hz is None:
        notes.append("The sampling rate of the training data is unknown: this model classifies windows, not streams.")
    if data.group_key is None:
        notes.append(
            "No groups are known: figures are of windows like those in training, not of other people or devices."
        )
    missing = float(np.isnan(data.windows).mean())
    if missing >= 0.0005:
        notes.append(f"{missing:.1%} of the training values were missing or padding.")
    return [*notes, *(f"{remark[:1].upper()}{remark[1:]}." for remark in result.plan.remarks)]
