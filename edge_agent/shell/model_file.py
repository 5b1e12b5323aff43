"""The bytes of a model file: of a plain file only, of bounded size, read once; what is checked is what is loaded."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from edge_agent.errors import ModelError
from edge_agent.shell.guard import MAX_FILE_BYTES


def read_model_file(path: Path) -> bytes:
    """The content of a model file.

    A pipe would wait for ever and a device never end, so anything but a plain file is refused before a byte is read,
    and no more is read than a model may have, however the file grows meanwhile. A link is followed: a release is often
    switched by one, and what counts is what the bytes are.

    Parameters
    ----------
    path : Path
        The ``.onnx`` file.

    Raises
    ------
    ModelError
        If it is missing, cannot be read, is no plain file, or is larger than 20 MiB.
    """
    try:
        # O_NONBLOCK: opening a pipe that nobody writes to would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise ModelError(str(path), f"a plain file expected, got {_kind(found.st_mode)}")
            if found.st_size > MAX_FILE_BYTES:
                raise ModelError(path.name, f"at most {MAX_FILE_BYTES} bytes expected, got {found.st_size}")
            with open(descriptor, "rb", closefd=False) as file:
                content = file.read(MAX_FILE_BYTES + 1)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise ModelError(str(path), f"a readable model file expected, got {reason}") from error
    if len(content) > MAX_FILE_BYTES:
        raise ModelError(path.name, f"at most {MAX_FILE_BYTES} bytes expected, got a file that grows")
    return content


def _kind(mode: int) -> str:
    kinds = (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    )
    return next((name for test, name in kinds if test(mode)), "something else")
