"""The root of every error that Telltale raises on purpose, and the errors of contracts.

A class exists only where a caller acts differently on it. Numbers are attributes; the message says what was
expected and what came instead, in one line.
"""

from __future__ import annotations

from typing import Any, Self


class EdgeError(Exception):
    """Root of the family. Never raised itself: instantiating it is a TypeError.

    Examples
    --------
    >>> EdgeError("something")
    Traceback (most recent call last):
    TypeError: EdgeError is the root of a family; raise one of its members
    """

    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self:
        """Refuse to build the root itself."""
        if cls is EdgeError:
            message = "EdgeError is the root of a family; raise one of its members"
            raise TypeError(message)
        return super().__new__(cls)


class ContractError(EdgeError):
    """Bytes or a dict do not satisfy a contract.

    Parameters
    ----------
    where : str
        File, topic or field that was read.
    problems : list of str
        One line each: path, what was expected, what came.

    Examples
    --------
    >>> str(ContractError("card", ["classes: at least 2 expected, got 1"]))
    'card: classes: at least 2 expected, got 1'
    """

    def __init__(self, where: str, problems: list[str]) -> None:
        self.where = where
        self.problems = list(problems)
        super().__init__(f"{where}: {'; '.join(self.problems)}")


class ConfigError(ContractError):
    """A configuration cannot be used. The agent exits with 78 (EX_CONFIG of sysexits.h)."""
