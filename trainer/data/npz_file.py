"""Arrays of a ``.npz`` file, or one clear line why they cannot be had."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.errors import DatasetError


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of a ``.npz`` file. Pickled objects are never unpickled: they could run code.

    Raises
    ------
    DatasetError
        If the file is no zip archive, is truncated, or holds object arrays.
    """
    try:
        # Opened here: numpy leaves a file open that turns out to be no archive.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise DatasetError(f"{path}: an .npz archive of named arrays expected, got a single .npy array")
            arrays = {}
            for key in archive.files:
                arrays[key] = _member(path, archive, key)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DatasetError(
            f"{path}: a whole .npz archive expected, got a damaged or truncated file ({error})"
        ) from error
    except ValueError as error:
        # numpy takes a file that is neither zip nor .npy for a pickle, and refuses it.
        raise DatasetError(f"{path}: an .npz archive expected, got something else") from error
    if not arrays:
        raise DatasetError(f"{path}: an .npz archive with the key X expected, got an empty one")
    return arrays


def _member(path: Path, archive: np.lib.npyio.NpzFile, key: str) -> NDArray[Any]:
    try:
        array: NDArray[Any] = archive[key]
    except ValueError as error:
        expected = "an array of numbers or texts expected"
        raise DatasetError(f"{path}: {key}: {expected}, got pickled objects or a damaged array") from error
    return array
