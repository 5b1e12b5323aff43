"""Which features the novelty output looks at, where a model has more than it may."""

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]

_VARIANCE_FLOOR = 0.02
# Two columns that are correlated by more say the same.
_TWIN = 0.95
# Candidates of a large model: those that differ most between classes, and as many evenly spread over all.
_MAX_CANDIDATES = 2048
_MAX_ROWS = 2000


def choose_columns(
    standardised: npt.NDArray[np.floating],
    members: npt.NDArray[np.integer],
    n_columns: int,
    share_between: float = 0.5,
) -> IntArray:
    """Return the columns to look at, sorted: all of them where they are no more than `n_columns`.

    Half of them are those in which classes differ most, in deviations within a class, each unlike the ones before;
    they tell known classes apart, and a new class often differs in the same. The other half are evenly spread over the
    features, whatever the classes make of them: what a new signal changes may be what no class ever did.

    Parameters
    ----------
    standardised : ndarray of shape (n_windows, n_features)
    members : ndarray of shape (n_windows,), int
        Class of each window, 0 .. n_classes - 1, each with a window.
    n_columns : int
        Most columns, >= 1.
    share_between : float
        Of the columns that are chosen by the classes, between 0 and 1.

    Examples
    --------
    >>> features = np.array([[0.0, 0.0, 5.0], [1.0, 0.0, 5.0], [0.0, 1.0, 5.0], [1.0, 1.0, 5.0]])
    >>> choose_columns(features, np.array([0, 0, 1, 1]), 1).tolist()
    [1]
    """
    n_features = standardised.shape[1]
    if n_features <= n_columns:
        return np.arange(n_features)
    wanted = max(1, round(n_columns * share_between))
    order = np.argsort(-_between_over_within(standardised, members), kind="stable")[:_MAX_CANDIDATES]
    rows = np.unique(np.linspace(0, len(standardised) - 1, _MAX_ROWS).astype(np.int64))
    chosen = order[_unlike(standardised[np.ix_(rows, order)].astype(np.float64), wanted)]
    others = np.setdiff1d(np.arange(n_features), chosen)
    n_others = n_columns - len(chosen)
    evenly = others[np.linspace(0, len(others) - 1, n_others).round().astype(np.int64)] if n_others else others[:0]
    return np.sort(np.concatenate([chosen, evenly])).astype(np.int64)


def _between_over_within(
    standardised: npt.NDArray[np.floating], members: npt.NDArray[np.integer]
) -> npt.NDArray[np.float64]:
    """Variance of the class means over the mean variance within a class, each class counting alike."""
    parts = [standardised[members == index] for index in range(int(members.max()) + 1)]
    means = np.stack([part.mean(axis=0, dtype=np.float64) for part in parts])
    within = np.mean([part.var(axis=0, dtype=np.float64) for part in parts], axis=0)
    ratio: npt.NDArray[np.float64] = means.var(axis=0) / (within + _VARIANCE_FLOOR)
    return ratio


def _unlike(features: npt.NDArray[np.float64], n_wanted: int) -> IntArray:
    """Positions of the first columns of which no two are twins."""
    deviation = features.std(axis=0)
    unit = (features - features.mean(axis=0)) / np.where(deviation > 0.0, deviation, 1.0) / np.sqrt(len(features))
    kept: list[int] = []
    for position in range(features.shape[1]):
        if len(kept) == n_wanted:
            break
        if not kept or float(np.abs(unit[:, position] @ unit[:, kept]).max()) <= _TWIN:
            kept.append(position)
    return np.array(kept, dtype=np.int64)
