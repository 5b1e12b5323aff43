"""From class weights to a weight for every row."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from trainer.learn.arrays import AnyArray, FloatArray, IntArray

ClassWeight = Mapping[Any, float] | str | None


def row_weights(
    class_weight: ClassWeight, classes: AnyArray, class_indices: IntArray, sample_weight: FloatArray | None = None
) -> FloatArray | None:
    """Return the weight of every row, or None where all weigh the same.

    Parameters
    ----------
    class_weight : mapping, "balanced" or None
        Label to weight (a label left out weighs 1), or ``n / (n_classes * n_of_class)`` with "balanced".
    classes : ndarray of shape (n_classes,)
        Labels, by class index.
    class_indices : ndarray of shape (n_windows,), int
    sample_weight : ndarray of shape (n_windows,), optional
        Further weights, multiplied in; "balanced" counts rows with them.

    Raises
    ------
    ValueError
        If a named label is not among the classes, a weight is negative or not finite, or no class has weight.

    Examples
    --------
    >>> row_weights("balanced", np.array([7, 8]), np.array([0, 0, 0, 1])).round(3).tolist()
    [0.667, 0.667, 0.667, 2.0]
    >>> row_weights({8: 5.0}, np.array([7, 8]), np.array([0, 1])).tolist()
    [1.0, 5.0]
    """
    if class_weight is None:
        return sample_weight
    if class_weight == "balanced":
        totals = np.bincount(class_indices, weights=sample_weight, minlength=len(classes)).astype(np.float64)
        # A class without weight has no row that counts; dividing by 1 there keeps the others right.
        per_class = totals.sum() / (len(classes) * np.where(totals > 0.0, totals, 1.0))
    elif isinstance(class_weight, str) or not hasattr(class_weight, "get"):
        msg = f"class_weight: expected a mapping, 'balanced' or None, got {class_weight!r}"
        raise ValueError(msg)
    else:
        labels = classes.tolist()
        unknown = [label for label in class_weight if label not in labels]
        if unknown:
            msg = f"class_weight: expected labels of {labels}, got {unknown}"
            raise ValueError(msg)
        per_class = np.array([float(class_weight.get(label, 1.0)) for label in labels])
        if not np.isfinite(per_class).all() or (per_class < 0.0).any() or not per_class.any():
            msg = f"class_weight: expected finite weights >= 0, at least one above, got {dict(class_weight)}"
            raise ValueError(msg)
    per_row: FloatArray = per_class[class_indices]
    return per_row if sample_weight is None else per_row * sample_weight
