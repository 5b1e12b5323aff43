"""Which rows watch the fit and are not fitted on: a hold-out that no group and no class falls victim to."""

import numpy as np

from trainer.learn.arrays import AnyArray, IntArray


def hold_out(
    class_indices: IntArray, groups: AnyArray | None, fraction: float, generator: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Return the rows to fit on and the rows held out, each sorted, without overlap and together all.

    Parameters
    ----------
    class_indices : ndarray of shape (n_windows,), int
    groups : ndarray of shape (n_windows,), or None
        Rows with the same value (one person, one device) stay on one side. None: rows are drawn per class, which is
        right only if windows are independent of each other.
    fraction : float
        Share of rows to hold out, in (0, 1); met from below as nearly as whole groups allow, by one group at least.
    generator : numpy.random.Generator
        The only source of chance.

    Raises
    ------
    ValueError
        If nothing can be held out without taking the last rows of a class from the fit.

    Examples
    --------
    >>> y, groups = np.array([0, 1, 0, 1, 0, 1]), np.array([7, 7, 8, 8, 9, 9])
    >>> fitted, held_out = hold_out(y, groups, 0.3, np.random.default_rng(0))
    >>> len(fitted), len(set(groups[held_out])), set(groups[fitted]) & set(groups[held_out])
    (4, 1, set())
    """
    n_windows, n_classes = len(class_indices), int(class_indices.max()) + 1
    wanted = fraction * n_windows
    is_held_out = np.zeros(n_windows, dtype=bool)
    if groups is None:
        for class_index in range(n_classes):
            rows = generator.permutation(np.flatnonzero(class_indices == class_index))
            # One row of every class stays in the fit, and one is held out where there are two.
            n_held_out = min(max(round(fraction * len(rows)), 1), len(rows) - 1)
            is_held_out[rows[:n_held_out]] = True
        reason = "every class has a single row"
    else:
        names, members = np.unique(groups, return_inverse=True)
        counts = np.zeros((len(names), n_classes), dtype=np.int64)
        np.add.at(counts, (members, class_indices), 1)
        left = counts.sum(axis=0)
        for group in generator.permutation(len(names)):
            is_too_large = is_held_out.any() and is_held_out.sum() + counts[group].sum() > wanted
            if not is_too_large and (left > counts[group]).all():
                is_held_out |= members == group
                left = left - counts[group]
        reason = f"each of the {len(names)} group(s) has the only rows of some class"
    if not is_held_out.any():
        msg = f"early stopping: nothing can be held out, {reason}; give more rows or set early_stopping=False"
        raise ValueError(msg)
    return np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)
