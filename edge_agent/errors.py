"""What can go wrong on a gateway on purpose. A class exists only where a caller acts differently on it."""

from __future__ import annotations

from schemas.errors import EdgeError


class _FileError(EdgeError):
    """A file cannot be used: which one, and why in one line."""

    def __init__(self, where: str, problem: str) -> None:
        self.where = where
        self.problem = problem
        super().__init__(f"{where}: {problem}")


class ModelError(_FileError):
    """A model file cannot be trusted or does not answer as it promises.

    Parameters
    ----------
    where : str
        The file.
    problem : str
        One line: what was expected and what came instead.

    Examples
    --------
    >>> str(ModelError("pump.onnx", "at most 20971520 bytes expected, got 30000000"))
    'pump.onnx: at most 20971520 bytes expected, got 30000000'
    """


class RecordingError(_FileError):
    """A recording cannot be replayed: missing, truncated, of other channels or of another rate than the model.

    Parameters
    ----------
    where : str
        The file.
    problem : str
        One line: what was expected and what came instead.

    Examples
    --------
    >>> str(RecordingError("a.npz", "key 'X' expected, got ['y']"))
    "a.npz: key 'X' expected, got ['y']"
    """


class InitError(EdgeError):
    """``edge-agent init`` cannot write a configuration: no broker, nothing to read, or a file in the way.

    Examples
    --------
    >>> str(InitError("edge-agent.toml: a new file expected, got one that is there"))
    'edge-agent.toml: a new file expected, got one that is there'
    """


class StatusError(_FileError):
    """Nobody who could be an agent answers at a status socket.

    Parameters
    ----------
    where : str
        The socket.
    problem : str
        One line: what was expected and what came instead.

    Examples
    --------
    >>> str(StatusError("status.sock", "a running agent expected, nobody answers: Connection refused"))
    'status.sock: a running agent expected, nobody answers: Connection refused'
    """


class TopError(EdgeError):
    """``edge-agent top`` cannot draw: rich is missing, or a picture cannot be written.

    Examples
    --------
    >>> str(TopError("top draws with rich, which is not installed"))
    'top draws with rich, which is not installed'
    """
