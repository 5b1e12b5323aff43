"""Windows into groups: features, standardised, along principal components, grouped; and what each group is like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from signals import IntArray
from trainer.cluster.evidence import Choice, Evidence, Report, choose, doubts, gather_evidence
from trainer.cluster.models import GroupModel, GroupSetting, Places, covariance_type_for, fit_groups
from trainer.cluster.options import ClusterOptions
from trainer.cluster.typical import typical_features
from trainer.cluster.units import resampling_units
from trainer.data import WindowedData
from trainer.errors import DatasetError
from trainer.export import Standardiser, fit_standardiser
from trainer.features import FeatureExtractor, blocks_of
from trainer.learn.principal import PrincipalComponents, fit_principal_components
from trainer.learn.unsupervised import n_different_rows

SHARE_KEPT = 0.9
"""Share of the variance that the components must hold."""

MAX_COMPONENTS = 32

N_OUTLIERS = 5
"""Windows that are named as the least typical ones."""


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """Windows as places: how they got there, and where they are.

    Attributes
    ----------
    extractor : FeatureExtractor
    standardiser : Standardiser
    standardised : ndarray of shape (n_windows, n_features)
    components : PrincipalComponents
    places : ndarray of shape (n_windows, n_components)
    """

    extractor: FeatureExtractor
    standardiser: Standardiser
    standardised: NDArray[np.float64]
    components: PrincipalComponents
    places: Places


@dataclass(frozen=True, slots=True)
class Group:
    """One group in figures and words.

    Attributes
    ----------
    number : int
        Groups are numbered by size, the largest is 0.
    n_windows : int
    medoid : int
        Row of the window nearest to the middle of the group: the one to look at.
    units : int
        People, devices or recordings that have a window in it.
    typical : tuple of str
        Features that set it apart, e.g. ``acc_x.sd high``.
    """

    number: int
    n_windows: int
    medoid: int
    units: int
    typical: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Grouping:
    """Groups of windows with the evidence for their number.

    Attributes
    ----------
    data : WindowedData
    placement : Placement
    setting : GroupSetting
    model : GroupModel
        Its groups are numbered by size.
    labels : ndarray of shape (n_windows,), int
    groups : tuple of Group
    outliers : ndarray of int
        Rows of the least typical windows, the least typical first.
    evidence : tuple of Evidence
    choice : Choice
    unit : str
        What stayed whole while resampling.
    """

    data: WindowedData
    placement: Placement
    setting: GroupSetting
    model: GroupModel
    labels: IntArray
    groups: tuple[Group, ...]
    outliers: IntArray
    evidence: tuple[Evidence, ...]
    choice: Choice
    unit: str

    @property
    def chosen_evidence(self) -> Evidence:
        """The evidence for the number of groups that was taken."""
        return next(item for item in self.evidence if item.n_groups == self.model.n_groups)


def group_windows(data: WindowedData, options: ClusterOptions, report: Report) -> Grouping:
    """Groups of all these windows; labels are not looked at.

    Raises
    ------
    DatasetError
        If there are fewer different windows than groups, or a block of features does not do.
    """
    _check_numbers(data, options)
    report("features", 0, 1)
    placement = place_windows(data, options)
    places = placement.places
    units, unit = resampling_units(data)
    n_different = n_different_rows(places)
    wanted = options.n_groups if options.n_groups is not None else 2
    if n_different < wanted:
        raise DatasetError(
            f"{data.name}: X: at least {wanted} windows that differ in their features expected for {wanted} groups, "
            f"got {n_different}"
        )
    most = min(max(options.max_groups, wanted), n_different)
    setting = GroupSetting(options.method, covariance_type_for(len(data), places.shape[1], most), options.seed)
    evidence = gather_evidence(data, places, range(1, most + 1), setting, report)
    if options.n_groups is None:
        choice = choose(evidence, options.method, unit)
    else:
        own = evidence[options.n_groups - 1]
        choice = Choice(options.n_groups, (f"{options.n_groups} groups as asked", *doubts(own, evidence)))
    report("groups", 0, 1)
    fitted = fit_groups(places, choice.n_groups, setting)
    sizes = np.bincount(fitted.predict(places), minlength=fitted.n_groups)
    model = fitted.in_order(np.argsort(-sizes, kind="stable"))
    labels = model.predict(places)
    return Grouping(
        data=data,
        placement=placement,
        setting=setting,
        model=model,
        labels=labels,
        groups=_groups(placement, model, labels, units),
        outliers=_outliers(data, model, places, labels),
        evidence=evidence,
        choice=choice,
        unit=unit,
    )


def place_windows(data: WindowedData, options: ClusterOptions) -> Placement:
    """Each window as a place in few dimensions.

    Raises
    ------
    DatasetError
        If the windows are too short for a block, a block is unknown, or all windows are the same.
    """
    try:
        extractor = FeatureExtractor.fitted(
            blocks_of(options.features), data.windows, data.channels, data.sampling_rate_hz, seed=options.seed
        )
    except ValueError as error:
        raise DatasetError(
            f"{data.name}: --features {options.features} does not do for windows of {data.window_length} samples: "
            f"{error}"
        ) from error
    features = extractor.transform(data.windows)
    standardiser = fit_standardiser(features)
    standardised = standardiser.apply(features)
    # What hardly moves is rounding; standardised all the same, it would weigh as much as a signal.
    standardised[:, standardiser.is_constant] = 0.0
    try:
        components = fit_principal_components(standardised, share=SHARE_KEPT, max_components=MAX_COMPONENTS)
    except ValueError as error:
        raise DatasetError(
            f"{data.name}: X: windows that differ expected, got {len(data)} whose features are all the same"
        ) from error
    places = np.asarray(components.apply(standardised), np.float64)
    return Placement(extractor, standardiser, standardised, components, places)


def _check_numbers(data: WindowedData, options: ClusterOptions) -> None:
    if options.n_groups is not None and options.n_groups < 2:
        raise DatasetError(f"--groups: 2 or more expected, or auto, got {options.n_groups}")
    if options.max_groups < 2:
        raise DatasetError(f"--max-groups: 2 or more expected, got {options.max_groups}")
    wanted = options.n_groups if options.n_groups is not None else 2
    if len(data) < wanted:
        raise DatasetError(f"{data.name}: X: at least {wanted} windows expected for {wanted} groups, got {len(data)}")


def _groups(placement: Placement, model: GroupModel, labels: IntArray, units: IntArray) -> tuple[Group, ...]:
    names, constant = placement.extractor.names, placement.standardiser.is_constant
    logits = model.logits(placement.places)
    groups = []
    for number in range(model.n_groups):
        rows = np.flatnonzero(labels == number)
        distances = ((placement.places[rows] - model.centers[number]) ** 2).sum(axis=1)
        # Of a mixture the densest place is its middle; of k-means the place nearest to the mean.
        best = logits[rows, number].argmax() if model.mixture is not None else distances.argmin()
        groups.append(
            Group(
                number=number,
                n_windows=len(rows),
                medoid=int(rows[best]) if len(rows) else -1,
                units=len(np.unique(units[rows])),
                typical=typical_features(placement.standardised, rows, names, constant),
            )
        )
    return tuple(groups)


def _outliers(data: WindowedData, model: GroupModel, places: Places, labels: IntArray) -> IntArray:
    """The rows least typical of the groups they are in, no two that share samples: one event is one outlier."""
    chosen: list[int] = []
    for row in np.argsort(_typicality(model, places, labels), kind="stable").tolist():
        is_near = [
            data.recordings[other] == data.recordings[row]
            and abs(int(data.starts[other]) - int(data.starts[row])) < data.window_length
            for other in chosen
        ]
        if not any(is_near):
            chosen.append(row)
        if len(chosen) == N_OUTLIERS:
            break
    return np.array(chosen, np.int64)


def _typicality(model: GroupModel, places: Places, labels: IntArray) -> NDArray[np.float64]:
    """How well each window fits its group; of k-means by distance in units of the group's own spread."""
    if model.mixture is not None:
        return model.typicality(places)
    squared = ((places - model.centers[labels]) ** 2).sum(axis=1)
    sizes = np.bincount(labels, minlength=model.n_groups)
    spread = np.bincount(labels, weights=squared, minlength=model.n_groups) / np.maximum(sizes, 1)
    relative = squared / np.maximum(spread[labels], np.finfo(np.float64).tiny)
    return np.asarray(-relative, np.float64)
