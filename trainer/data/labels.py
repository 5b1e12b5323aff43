"""Labels as people write them, to class indices: texts, numbers without names, missing ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.data.windowed import UNLABELLED
from trainer.errors import DatasetError

Arrays = Mapping[str, NDArray[Any]]

MISSING_TEXTS = ("", "nan", "null", "?")
"""Labels that say there is none, in any case."""

_MANY = 10


def with_class_indices(path: Path, arrays: Arrays) -> tuple[Arrays, tuple[str, ...]]:
    """The same arrays with ``y`` as whole numbers that count in ``classes``, and remarks on what was decided.

    Texts are taken by name, NaN and texts such as ``nan`` are unlabelled, and whole numbers without ``classes`` become
    classes of that name, -1 excepted. What is a class index already stays as it is.

    Parameters
    ----------
    path : Path
        For messages.
    arrays : mapping of str to ndarray

    Raises
    ------
    DatasetError
        If a text is not among the classes, or numbers without classes are no whole ones.

    Examples
    --------
    >>> found, _ = with_class_indices(Path("a.npz"), {"y": np.array(["on", "", "off"])})
    >>> found["y"].tolist(), found["classes"].tolist()
    ([1, -1, 0], ['off', 'on'])
    >>> found, _ = with_class_indices(Path("a.npz"), {"y": np.array([7.0, 3.0, np.nan])})
    >>> found["y"].tolist(), found["classes"].tolist()
    ([1, 0, -1], ['3', '7'])
    """
    labels = arrays.get("y")
    if labels is None or labels.ndim != 1 or labels.dtype.kind not in "USfiub":
        return arrays, ()
    if labels.dtype.kind in "US":
        return _of_texts(path, arrays, labels.astype(str))
    if labels.dtype.kind == "f":
        is_missing = np.isnan(labels)
        labels = np.where(is_missing, float(UNLABELLED), labels)
        arrays = {**arrays, "y": labels} if is_missing.any() else arrays
    if "classes" in arrays or not len(labels) or not np.array_equal(labels, np.floor(labels)):
        return arrays, ()
    whole = labels.astype(np.int64)
    names, positions = np.unique(whole[whole != UNLABELLED], return_inverse=True)
    y = np.full(len(whole), UNLABELLED, np.int64)
    y[whole != UNLABELLED] = positions.reshape(-1)
    classes = np.array([str(name) for name in names], str)
    return {**arrays, "y": y, "classes": classes}, (_remark(classes),)


def _of_texts(path: Path, arrays: Arrays, labels: NDArray[np.str_]) -> tuple[Arrays, tuple[str, ...]]:
    texts, positions = np.unique(np.char.strip(labels), return_inverse=True)
    is_label = ~np.isin(np.char.lower(texts), MISSING_TEXTS)
    remarks: tuple[str, ...] = ()
    if "classes" in arrays:
        classes = arrays["classes"].astype(str)
    else:
        classes = texts[is_label]
        remarks = (_remark(classes),)
    place = {str(name): index for index, name in enumerate(classes.tolist())}
    unknown = [str(text) for text in texts[is_label].tolist() if text not in place]
    if unknown:
        raise DatasetError(f"{path}: y: one of the classes ({_short(classes)}) expected, got {unknown[0]!r}")
    found = np.array([place.get(str(text), UNLABELLED) for text in texts.tolist()], np.int64)
    y = np.where(is_label, found, UNLABELLED)[positions.reshape(-1)]
    return {**arrays, "y": y, "classes": classes}, remarks


def _remark(classes: NDArray[np.str_]) -> str:
    return f"{len(classes)} classes by the names in y: {_short(classes)}"


def _short(classes: NDArray[np.str_]) -> str:
    names = [str(name) for name in classes[:_MANY].tolist()]
    return ", ".join(names) + (f" and {len(classes) - _MANY} more" if len(classes) > _MANY else "")
