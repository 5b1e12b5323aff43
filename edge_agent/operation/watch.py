"""Which files make an agent what it is, and whether one of them changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from edge_agent.config import AgentConfig

Stamp = tuple[int, int, int, int] | None
"""Device, inode, size and time of the last change; None = the file is not there."""

_SECRETS = ("password_file", "ca_file", "cert_file", "key_file")
_EVERY_S = 1.0
_MOST_SECRET_BYTES = 1024 * 1024


def secret_files(config: AgentConfig) -> list[Path]:
    """Password and certificates, which are read when the connection is set up."""
    found = (getattr(config.mqtt, name) for name in _SECRETS)
    return [path for path in found if path is not None]


def secrets_digest(config: AgentConfig) -> str:
    """One digest over password and certificates as they are on the disk now; never their content."""
    digest = hashlib.sha256()
    for path in secret_files(config):
        try:
            with path.open("rb") as file:
                content = file.read(_MOST_SECRET_BYTES)
        except OSError:
            content = b""
        digest.update(f"{path}:{len(content)}:".encode() + content)
    return digest.hexdigest()


def files_of(config_file: Path, config: AgentConfig) -> list[Path]:
    """Every file that a reload reads."""
    models = [pipeline.model for pipeline in config.pipelines if pipeline.model is not None]
    return list(dict.fromkeys([config_file, *models, *secret_files(config)]))


def stamp(path: Path) -> Stamp:
    """What tells one content of a file from the next, without reading it."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


class FileWatch:
    """Tells once for each change, when the files have been still for a second: somebody may be copying.

    Parameters
    ----------
    stamps : mapping of Path to Stamp
        The files to look at, as they are known.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "agent.toml"
    ...     watch = FileWatch({file: None})
    ...     _ = file.write_text("version = 1")
    ...     watch.has_changed(1.0), watch.has_changed(2.0), watch.has_changed(3.0)
    (False, True, False)
    """

    def __init__(self, stamps: Mapping[Path, Stamp]) -> None:
        self._known = dict(stamps)
        self._last = dict(stamps)
        self._next_s = float("-inf")

    def follow(self, stamps: Mapping[Path, Stamp], kept: Iterable[Path]) -> None:
        """Look from now on at the files of ``stamps``, known as they are there, and at those ``kept``."""
        self._known = {path: self._known[path] for path in kept if path in self._known} | dict(stamps)
        self._last = dict(self._known)

    def has_changed(self, now_s: float) -> bool:
        """Whether a change has come to rest since the last time this was true; looks at most once a second."""
        if now_s < self._next_s:
            return False
        self._next_s = now_s + _EVERY_S
        stamps = {path: stamp(path) for path in self._known}
        is_still, self._last = stamps == self._last, stamps
        if not is_still or stamps == self._known:
            return False
        self._known = stamps
        return True
