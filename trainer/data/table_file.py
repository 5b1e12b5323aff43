"""Long tables, CSV and Parquet: one row a sample, columns ``timestamp``, the channels, ``label``.

Optional columns are ``device``, ``group`` and ``split``.

DuckDB reads both, so quoting, compression and column types are its business; what the columns mean is decided here.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from trainer.data.labels import MISSING_TEXTS
from trainer.data.timestamps import infer_rate, seconds_of_numbers
from trainer.errors import DatasetError

TIME_COLUMN = "timestamp"
RESERVED = (TIME_COLUMN, "label", "device", "group", "split")
_SPLITS = {"train": 0, "test": 1, "0": 0, "1": 1, "": -1, "-1": -1}
_ZONE = r"(Z|z|[+-][0-9]{2}(:?[0-9]{2})?)$"


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Columns of one file; texts are "" where missing, numbers NaN."""

    path: Path
    channels: tuple[str, ...]
    t: NDArray[np.float64]
    values: NDArray[np.float32]
    texts: dict[str, NDArray[np.str_]]
    remarks: tuple[str, ...]


def read_csv(path: Path) -> Table:
    """One CSV file with a header; comma, semicolon or tab between the columns.

    Raises
    ------
    DatasetError
        Naming the column, the row and what was expected.
    """
    header, delimiter = _csv_header(path)
    columns = dict.fromkeys(header, "VARCHAR")
    relation = (
        "read_csv($path, header=true, auto_detect=false, delim=$delimiter, quote='\"', escape='\"', "
        "columns=$columns, strict_mode=true)"
    )
    return _read(path, relation, {"path": str(path), "delimiter": delimiter, "columns": columns})


def read_parquet(path: Path) -> Table:
    """One Parquet file with the same columns; a timestamp column may also be a timestamp with zone.

    Raises
    ------
    DatasetError
        Naming the column, the row and what was expected.
    """
    return _read(path, "read_parquet($path)", {"path": str(path)})


def stream_arrays(tables: list[Table]) -> tuple[dict[str, NDArray[Any]], str | None, tuple[str, ...]]:
    """The stream arrays of DESIGN section 4, what a group is called, and remarks.

    A run is one device in one group and split of one file; its samples are sorted by time. Channels are matched by
    name.
    """
    first = tables[0]
    for table in tables[1:]:
        if set(table.channels) != set(first.channels):
            difference = sorted(set(table.channels) ^ set(first.channels))
            raise DatasetError(
                f"{table.path}: the columns of {first.path.name} expected, got a difference in {difference}"
            )
    in_order = [[table.channels.index(name) for name in first.channels] for table in tables]
    t = np.concatenate([table.t for table in tables])
    values = np.concatenate([table.values[:, order] for table, order in zip(tables, in_order, strict=True)])
    labels, device, group, split = (
        np.concatenate([table.texts[key] for table in tables]) for key in ("label", "device", "group", "split")
    )
    run_keys = np.stack([device, group, split], axis=1)
    keys, runs = np.unique(run_keys, axis=0, return_inverse=True)
    runs = runs.reshape(-1).astype(np.int64)
    order = np.lexsort((np.arange(len(t)), t, runs))
    remarks = list(dict.fromkeys(remark for table in tables for remark in table.remarks))
    if not np.array_equal(order, np.arange(len(t))):
        remarks.append("rows were put in order of device and time")
    t, values, labels, runs = t[order], values[order], labels[order], runs[order]
    classes = sorted({str(label) for label in np.unique(labels)} - {""}, key=_natural)
    position = {name: index for index, name in enumerate(classes)} | {"": -1}
    arrays: dict[str, NDArray[Any]] = {
        "X": values,
        "t": t,
        "run": runs,
        "run_names": np.array([" ".join(part for part in key[:2] if part) or first.path.stem for key in keys], str),
        "channels": np.array(first.channels, str),
        "split": np.array([_SPLITS[str(key[2])] for key in keys], np.int8)[runs],
    }
    names, inverse = np.unique(labels, return_inverse=True)
    arrays["y"] = np.array([position[str(name)] for name in names], np.int64)[inverse.reshape(-1)]
    arrays["classes"] = np.array(classes, str)
    group_key = "group" if any(group) else "device" if len(set(device.tolist())) > 1 else None
    if group_key is not None:
        column = keys[:, 1] if group_key == "group" else keys[:, 0]
        arrays["run_group"] = np.unique(column, return_inverse=True)[1].reshape(-1).astype(np.int64)
    rate = infer_rate(t, runs)
    arrays["fs"] = np.asarray(np.nan if rate is None else rate, np.float64)
    if rate is not None:
        remarks.append(f"sampling rate read from the timestamps: {rate:.6g} Hz")
    return arrays, group_key, tuple(remarks)


def _natural(name: str) -> tuple[int, float, str]:
    """Numbers in order of size, then texts."""
    try:
        return 0, float(name), name
    except ValueError:
        return 1, 0.0, name


def _csv_header(path: Path) -> tuple[list[str], str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            line = file.readline()
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: text in UTF-8 expected, got other bytes at position {error.start}") from error
    if not line.strip():
        raise DatasetError(f"{path}: a header line with {TIME_COLUMN} and channels expected, got an empty file")
    delimiter = max(",;\t", key=line.count)
    header = [name.strip() for name in next(csv.reader([line], delimiter=delimiter))]
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice or not all(header):
        what = f"{', '.join(twice)} more than once" if twice else "a column without a name"
        raise DatasetError(f"{path}: header: unique column names expected, got {what}")
    return header, delimiter


def _read(path: Path, relation: str, parameters: dict[str, Any]) -> Table:
    connection = duckdb.connect(":memory:", config={"autoinstall_known_extensions": False})
    try:
        connection.execute("SET TimeZone='UTC'")
        connection.execute("SET threads=1")
        connection.execute(f"CREATE TABLE samples AS SELECT * FROM {relation}", parameters)  # noqa: S608 - our constant
        return _columns(path, connection)
    except duckdb.Error as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise DatasetError(f"{path}: a readable table expected, got {' '.join(lines[:2])[:200]}") from error
    finally:
        connection.close()


def _columns(path: Path, connection: duckdb.DuckDBPyConnection) -> Table:
    types = {str(row[0]): str(row[1]) for row in connection.execute("DESCRIBE samples").fetchall()}
    if TIME_COLUMN not in types:
        expected = f"columns {TIME_COLUMN}, the channels, and label (device, group, split if known) expected"
        raise DatasetError(f"{path}: {TIME_COLUMN}: {expected}, got {', '.join(types)}")
    channels = tuple(name for name in types if name not in RESERVED)
    if not channels:
        raise DatasetError(f"{path}: at least one channel beside {', '.join(RESERVED)} expected, got none")
    n_rows = int(connection.execute("SELECT count(*) FROM samples").fetchall()[0][0])
    if not n_rows:
        raise DatasetError(f"{path}: at least one row below the header expected, got none")
    t, remark = _times(path, connection, types[TIME_COLUMN])
    values = np.empty((n_rows, len(channels)), np.float32)
    for position, name in enumerate(channels):
        values[:, position] = _numbers(path, connection, name)
    texts = {name: _texts(connection, name, n_rows, known=name in types) for name in RESERVED[1:]}
    is_missing = np.isin(np.char.lower(texts["label"]), MISSING_TEXTS)
    texts["label"] = np.where(is_missing, "", texts["label"])
    wrong = sorted({str(value) for value in np.unique(texts["split"])} - set(_SPLITS))
    if wrong:
        raise DatasetError(f"{path}: split: train or test expected, got {wrong[0]!r}")
    return Table(path, channels, t, values, texts, (remark,))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _fetch(connection: duckdb.DuckDBPyConnection, expression: str) -> NDArray[Any]:
    column = connection.execute(f"SELECT {expression} AS v FROM samples").fetchnumpy()["v"]  # noqa: S608 - names are quoted
    return np.ma.getdata(column) if not np.ma.isMaskedArray(column) else column.filled(np.nan)


def _numbers(path: Path, connection: duckdb.DuckDBPyConnection, name: str) -> NDArray[np.float64]:
    column = _quoted(name)
    text = f"trim(CAST({column} AS VARCHAR))"
    number = f"TRY_CAST({text} AS DOUBLE)"
    # "", NaN, NA and null stand for a missing value in the exports of the usual tools.
    missing = f"{column} IS NULL OR lower({text}) IN ('', 'nan', 'na', 'null', 'none', '?')"
    bad = connection.execute(
        f"SELECT row + 1, v FROM (SELECT rowid AS row, {text} AS v FROM samples "  # noqa: S608 - names are quoted
        f"WHERE NOT ({missing}) AND {number} IS NULL ORDER BY rowid LIMIT 1)"
    ).fetchall()
    if bad:
        raise DatasetError(f"{path}: {name}: numbers expected, got {bad[0][1]!r} in data row {bad[0][0]}")
    return _fetch(connection, f"CASE WHEN {missing} THEN 'nan'::DOUBLE ELSE {number} END").astype(np.float64)


def _texts(connection: duckdb.DuckDBPyConnection, name: str, n_rows: int, *, known: bool) -> NDArray[np.str_]:
    if not known:
        return np.full(n_rows, "", dtype=str)
    return _fetch(connection, f"coalesce(trim(CAST({_quoted(name)} AS VARCHAR)), '')").astype(str)


def _times(path: Path, connection: duckdb.DuckDBPyConnection, kind: str) -> tuple[NDArray[np.float64], str]:
    if kind == "TIMESTAMP WITH TIME ZONE":
        return _fetch(connection, f"epoch_us({TIME_COLUMN})").astype(np.float64) * 1e-6, "timestamps carry their zone"
    text = f"trim(CAST({TIME_COLUMN} AS VARCHAR))"
    missing = connection.execute(
        f"SELECT rowid + 1 FROM samples WHERE {TIME_COLUMN} IS NULL OR {text} = '' ORDER BY rowid LIMIT 1"  # noqa: S608
    ).fetchall()
    if missing:
        raise DatasetError(f"{path}: {TIME_COLUMN}: a time in every row expected, got none in data row {missing[0][0]}")
    number = f"TRY_CAST({text} AS DOUBLE)"
    n_numbers = int(connection.execute(f"SELECT count({number}) FROM samples").fetchall()[0][0])  # noqa: S608
    if n_numbers:
        numbers = _fetch(connection, f"coalesce({number}, 'nan'::DOUBLE)").astype(np.float64)
        return seconds_of_numbers(numbers, path)
    moment = f"TRY_CAST({text} AS TIMESTAMPTZ)"
    bad = connection.execute(
        f"SELECT rowid + 1, {text} FROM samples WHERE {moment} IS NULL "  # noqa: S608 - our own constants
        f"OR NOT regexp_matches({text}, '{_ZONE}') OR NOT contains({text}, ':') ORDER BY rowid LIMIT 1"
    ).fetchall()
    if bad:
        expected = "ISO 8601 with a zone (2024-05-01T12:00:00Z or +02:00), or a number, expected"
        raise DatasetError(f"{path}: {TIME_COLUMN}: {expected}, got {bad[0][1]!r} in data row {bad[0][0]}")
    return _fetch(connection, f"epoch_us({moment})").astype(np.float64) * 1e-6, "timestamps are ISO 8601 with a zone"
