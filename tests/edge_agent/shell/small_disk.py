"""Disks that fail on purpose: a small file system of its own, and a database whose n-th statement fails."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A tmpfs of that size; the test is skipped, visibly, where this user may not mount one."""
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if mount is None or umount is None or os.geteuid() != 0:
        pytest.skip("a file system of its own is needed: run as root")
    folder.mkdir(parents=True)
    done = subprocess.run([mount, "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], check=False)
    if done.returncode:
        pytest.skip("a file system of its own is needed: this user may not mount one")
    try:
        yield folder
    finally:
        subprocess.run([umount, "--lazy", str(folder)], check=True)


def remount(folder: Path, how: str) -> None:
    """Make a small disk read-only (``ro``) or writable (``rw``)."""
    subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """A file that takes all the space that is left."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        size = 65_536
        while size:
            try:
                file.write(bytes(size))
            except OSError:
                size //= 2
    return path


class Failing:
    """A connection to a database each of whose calls is counted, and fails where it is told to."""

    def __init__(self, connection: sqlite3.Connection, strike: Callable[[str], None]) -> None:
        self._connection = connection
        self._strike = strike

    def execute(self, statement: str, *values: tuple[Any, ...]) -> sqlite3.Cursor:
        self._strike(statement)
        return self._connection.execute(statement, *values)

    def executemany(self, statement: str, values: Iterable[tuple[Any, ...]]) -> sqlite3.Cursor:
        self._strike(statement)
        return self._connection.executemany(statement, values)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the connection has
        return getattr(self._connection, name)


class FailingDisk:
    """Opens databases whose statements ``first`` to ``first + n - 1`` fail with a code of SQLite."""

    def __init__(self, first: int, n: int, code: int) -> None:
        self._failing = range(first, first + n)
        self._code = code
        self.n_calls = 0
        self.n_failed = 0

    def __call__(self, path: Path) -> sqlite3.Connection:
        self._strike("open")
        failing = Failing(sqlite3.connect(path, isolation_level=None, check_same_thread=False), self._strike)
        return cast("sqlite3.Connection", failing)

    def _strike(self, statement: str) -> None:
        self.n_calls += 1
        if self.n_calls in self._failing and statement != "ROLLBACK":
            self.n_failed += 1
            error = sqlite3.OperationalError(f"injected into call {self.n_calls}: {statement[:40]}")
            error.sqlite_errorcode = self._code
            raise error
