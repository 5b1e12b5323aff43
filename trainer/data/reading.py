"""Any data file or folder as a `Source`: chosen by ending, checked once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from trainer.data.npz_file import read_npz
from trainer.data.source import Source, checked_source
from trainer.data.table_file import Table, read_csv, read_parquet, stream_arrays
from trainer.data.ts_file import read_ts
from trainer.errors import DatasetError

ENDINGS = (".npz", ".csv", ".parquet", ".ts")


def read_source(path: Path) -> Source:
    """The content of a data file, or of a folder ``<label>/*.csv``.

    Raises
    ------
    DatasetError
        One line: which file, which field, what was expected, what came.
    """
    if not path.exists():
        raise DatasetError(f"{path}: a data file or folder expected, got nothing at this path")
    try:
        return _read_folder(path) if path.is_dir() else _read_file(path)
    except OSError as error:
        raise DatasetError(f"{path}: a readable file expected, got {error.strerror or error}") from error


def _read_file(path: Path) -> Source:
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise DatasetError(
            f"{path}: one of {', '.join(ENDINGS)} or a folder <label>/*.csv expected, got {ending or 'no ending'}"
        )
    if not path.stat().st_size:
        raise DatasetError(f"{path}: a data file expected, got an empty one")
    if ending == ".npz":
        arrays = read_npz(path)
        return checked_source(path, arrays, group_key="run group" if "run_group" in arrays else None)
    if ending == ".ts":
        windows, remarks = read_ts(path)
        return checked_source(path, windows, remarks=remarks)
    table = read_csv(path) if ending == ".csv" else read_parquet(path)
    stream, group_key, table_remarks = stream_arrays([table])
    return checked_source(path, stream, group_key=group_key, remarks=table_remarks)


def _read_folder(path: Path) -> Source:
    """Each sub-folder is a label, each CSV in it a recording."""
    tables: list[Table] = []
    for file in sorted(path.glob("*/*.csv")):
        label = file.parent.name
        table = read_csv(file)
        if any(table.texts["label"]):
            raise DatasetError(
                f"{file}: label: the name of the folder ({label}) is the label, got a column label as well"
            )
        n_rows = len(table.t)
        texts = dict(table.texts, label=np.full(n_rows, label))
        if not any(table.texts["device"]):
            texts["device"] = np.full(n_rows, f"{label} {file.stem}")
        tables.append(replace(table, texts=texts))
    if not tables:
        raise DatasetError(f"{path}: a folder with <label>/*.csv expected, got none")
    arrays, group_key, remarks = stream_arrays(tables)
    # Without a device or group column a recording stands for itself, and there is nothing above it to group by.
    if (
        all(table.texts["device"][0].startswith(table.path.parent.name + " ") for table in tables)
        and group_key == "device"
    ):
        group_key = "recording"
    n_labels = len(arrays["classes"])
    return checked_source(
        path, arrays, group_key=group_key, remarks=(f"{len(tables)} recordings of {n_labels} labels", *remarks)
    )
