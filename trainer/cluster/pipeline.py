"""From a data file to groups, and from named groups to labels, a model or a page."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from schemas import Metric
from signals import IntArray
from trainer.cluster.agreement import adjusted_rand, normalised_mutual_information
from trainer.cluster.evidence import Report
from trainer.cluster.grouping import Grouping, group_windows
from trainer.cluster.label_files import check_labels_path, write_labels
from trainer.cluster.names import all_groups, check_names, named_groups
from trainer.cluster.options import ClusterOptions
from trainer.cluster.places import WindowPlaces, window_places
from trainer.data import (
    UNLABELLED,
    CutOptions,
    CutPlan,
    Source,
    WindowedData,
    cut_source,
    drop_empty,
    plan_cut,
    read_source,
)
from trainer.errors import DatasetError
from trainer.fit.threads import one_blas_thread


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far the groups are the labels that the data carries; nothing was decided by it."""

    adjusted_rand: float
    normalised_mutual_information: float
    n_windows: int
    counts: tuple[tuple[int, ...], ...]
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Files:
    """What to write; None = nothing."""

    labels: Path | None = None
    model: Path | None = None
    page: Path | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ClusterResult:
    """Groups with everything there is to say about them, and what was written.

    Attributes
    ----------
    grouping : Grouping
    places : WindowPlaces
        Device and time of the windows.
    options : ClusterOptions
    agreement : Agreement or None
        None where the data has no labels.
    remarks : tuple of str
    written : dict of str to str
        What was written where, one sentence each.
    """

    grouping: Grouping
    places: WindowPlaces
    options: ClusterOptions
    agreement: Agreement | None
    remarks: tuple[str, ...]
    written: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values, as ``trainer cluster --json`` prints them."""
        grouping, places = self.grouping, self.places
        share = 1.0 / len(grouping.data)
        return {
            "method": self.options.method,
            "features": self.options.features,
            "n_windows": len(grouping.data),
            "n_features": grouping.placement.extractor.n_features,
            "n_components": int(grouping.placement.places.shape[1]),
            "variance_kept": round(float(grouping.placement.components.explained.sum()), 4),
            "n_groups": grouping.model.n_groups,
            "reasons": list(grouping.choice.reasons),
            "evidence": [item.as_dict() for item in grouping.evidence],
            "groups": [
                {
                    "group": group.number,
                    "name": self.options.names.get(group.number),
                    "n_windows": group.n_windows,
                    "share": round(group.n_windows * share, 4),
                    f"n_{grouping.unit.replace(' ', '_')}s": group.units,
                    "medoid": {
                        "row": int(grouping.data.rows[group.medoid]),
                        "device": places.device(group.medoid),
                        "start": places.when(group.medoid),
                    },
                    "typical": list(group.typical),
                }
                for group in grouping.groups
            ],
            "outliers": [
                {
                    "row": int(grouping.data.rows[row]),
                    "device": places.device(row),
                    "start": places.when(row),
                    "group": int(grouping.labels[row]),
                }
                for row in grouping.outliers.tolist()
            ],
            "agreement": None
            if self.agreement is None
            else {
                "adjusted_rand": round(self.agreement.adjusted_rand, 4),
                "normalised_mutual_information": round(self.agreement.normalised_mutual_information, 4),
                "n_windows": self.agreement.n_windows,
                "classes": list(self.agreement.classes),
                "windows_per_group_and_class": [list(row) for row in self.agreement.counts],
            },
            "written": self.written,
            "remarks": list(self.remarks),
        }


def cluster_file(
    path: Path, cut_options: CutOptions, options: ClusterOptions, files: Files, report: Report
) -> ClusterResult:
    """Groups of the windows of a data file; labels, model and page are written where they were asked for.

    Parameters
    ----------
    path : Path
        Any file or folder that `trainer.data.read_source` reads.
    cut_options : CutOptions
    options : ClusterOptions
    files : Files
    report : callable
        Called with (what, done, of).

    Raises
    ------
    DatasetError
        If the data cannot be used, a name or a number of groups does not fit, or a file has no folder to be in.
    ContractError
        If a file cannot be written.
    """
    # Before minutes of work, not after them.
    _check_files(path, files)
    if options.n_groups is not None:
        check_names(options.names, options.n_groups)
    report("reading", 0, 1)
    source = read_source(path)
    bare = _without_labels(source)
    plan = plan_cut(bare, cut_options)
    report("cutting", 0, 1)
    data, remarks = _training_windows(source, bare, plan)
    result = cluster(
        data, window_places(bare, data), options, report, remarks=(*source.remarks, *plan.remarks, *remarks)
    )
    return _write(result, plan, files, report)


def cluster(
    data: WindowedData,
    places: WindowPlaces,
    options: ClusterOptions,
    report: Report,
    *,
    remarks: tuple[str, ...] = (),
) -> ClusterResult:
    """Groups of all these windows.

    Raises
    ------
    DatasetError
        If there are too few windows that differ, or a name is of no group.
    """
    # Groups do not look at labels; a label may stand beside them in the end.
    unlabelled = replace(data, class_indices=np.full(len(data), UNLABELLED, np.int64), classes=())
    with one_blas_thread():
        grouping = group_windows(unlabelled, options, report)
    check_names(options.names, grouping.model.n_groups)
    return ClusterResult(
        grouping=grouping,
        places=places,
        options=options,
        agreement=_agreement(data, grouping.labels, grouping.model.n_groups),
        remarks=remarks,
        written={},
    )


def metrics_of(result: ClusterResult) -> list[Metric]:
    """The figures for the card, each with what it was measured on."""
    grouping = result.grouping
    own = grouping.chosen_evidence
    n_windows = len(grouping.data)
    found = [
        ("silhouette", "training windows that share no samples", own.silhouette),
        ("stability", f"random halves that share no {grouping.unit}", own.stability),
    ]
    metrics = [
        Metric(name=name, split=split, value=round(value, 6), n_windows=n_windows)
        for name, split, value in found
        if np.isfinite(value)
    ]
    if result.agreement is not None:
        split = "labels of the data, not looked at while grouping"
        metrics += [
            Metric(name=name, split=split, value=round(value, 6), n_windows=result.agreement.n_windows)
            for name, value in (
                ("adjusted_rand", result.agreement.adjusted_rand),
                ("normalised_mutual_information", result.agreement.normalised_mutual_information),
            )
        ]
    return metrics


def _check_files(path: Path, files: Files) -> None:
    for option, out in (("--out", files.model), ("--report", files.page), ("--labels", files.labels)):
        if out is None:
            continue
        if not out.parent.is_dir() or out.is_dir():
            raise DatasetError(f"{option} {out}: a file in a folder that exists expected, got none")
        if out.exists() and path.exists() and out.samefile(path):
            raise DatasetError(f"{option} {out}: another file than the data expected")


def _without_labels(source: Source) -> Source:
    """The same recordings without labels, so that nothing (not even the length of a window) can depend on them."""
    return replace(source, arrays={key: array for key, array in source.arrays.items() if key not in ("y", "classes")})


def _training_windows(source: Source, bare: Source, plan: CutPlan) -> tuple[WindowedData, tuple[str, ...]]:
    """All windows that are not for testing, each with its label where it has one."""
    data, remarks = cut_source(bare, plan)
    if "y" in source.arrays:
        try:
            labelled, _ = cut_source(source, plan)
        except DatasetError:
            # Labelled samples that fill no window say nothing.
            labelled = data.take(np.zeros(len(data), bool))
        data = replace(data, classes=source.classes, class_indices=_labels_of(data, labelled))
    if data.has_split:
        n_all = len(data)
        data = data.take(data.split != 1)
        remarks = (*remarks, f"{n_all - len(data)} test windows were not looked at")
    data, empty = drop_empty(data)
    if not len(data):
        raise DatasetError(f"{data.name}: X: windows with values expected, got none")
    return data, (*remarks, *empty)


def _labels_of(data: WindowedData, labelled: WindowedData) -> IntArray:
    """The label of each window, by recording and place in it."""
    places = zip(labelled.recordings.tolist(), labelled.rows.tolist(), strict=True)
    known = dict(zip(places, labelled.class_indices.tolist(), strict=True))
    wanted = zip(data.recordings.tolist(), data.rows.tolist(), strict=True)
    return np.array([known.get(place, UNLABELLED) for place in wanted], np.int64)


def _agreement(data: WindowedData, labels: IntArray, n_groups: int) -> Agreement | None:
    rows = np.flatnonzero(data.class_indices >= 0)
    if not len(rows):
        return None
    counts = np.zeros((n_groups, len(data.classes)), np.int64)
    np.add.at(counts, (labels[rows], data.class_indices[rows]), 1)
    return Agreement(
        adjusted_rand=adjusted_rand(labels[rows], data.class_indices[rows]),
        normalised_mutual_information=normalised_mutual_information(labels[rows], data.class_indices[rows]),
        n_windows=len(rows),
        counts=tuple(tuple(int(count) for count in row) for row in counts),
        classes=data.classes,
    )


def _write(result: ClusterResult, plan: CutPlan, files: Files, report: Report) -> ClusterResult:
    """The same result with what was written; everything is checked before the first file."""
    grouping, names = result.grouping, result.options.names
    n_groups = grouping.model.n_groups
    every, named = all_groups(names, n_groups), named_groups(names, n_groups)
    if files.labels is not None:
        check_labels_path(files.labels, grouping.data, named)
    written: dict[str, str] = {}
    if files.model is not None:
        report("writing the model", 0, 1)
        from trainer.cluster.exporting import export_grouping

        with one_blas_thread():
            loaded = export_grouping(
                grouping, every, plan, files.model, name=result.options.name, metrics=metrics_of(result)
            )
        size = files.model.stat().st_size
        written["model"] = f"{files.model}: {len(every.classes)} classes, {size} bytes, sha256 {loaded.digest}"
    if files.labels is not None:
        count = write_labels(files.labels, grouping.data, result.places, grouping.labels, named)
        written["labels"] = f"{files.labels}: {count} of {len(grouping.data)} windows named {', '.join(named.classes)}"
    if files.page is not None:
        report("writing the page", 0, 1)
        from trainer.cluster.page import write_page

        write_page(result, files.page)
        written["page"] = f"{files.page}: {files.page.stat().st_size} bytes"
    return replace(result, written=written)
