"""Names that a person gives to groups: ``3=idle`` on the command line, classes in the label file and the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from signals import IntArray
from trainer.data import UNLABELLED
from trainer.errors import DatasetError

_LONGEST_NAME = 128


def parse_names(texts: Sequence[str]) -> dict[int, str]:
    """Group to name out of texts such as ``3=idle``.

    Raises
    ------
    DatasetError
        If a text is no ``number=name``, or a group is named twice.

    Examples
    --------
    >>> parse_names(["3=idle", "0 = running", "4=idle"])
    {3: 'idle', 0: 'running', 4: 'idle'}
    >>> parse_names(["idle"])
    Traceback (most recent call last):
    trainer.errors.DatasetError: --name: GROUP=NAME such as 3=idle expected, got 'idle'
    """
    names: dict[int, str] = {}
    for text in texts:
        number, equals, name = (part.strip() for part in text.partition("="))
        if not (equals and name and number.isascii() and number.isdigit()):
            raise DatasetError(f"--name: GROUP=NAME such as 3=idle expected, got {text!r}")
        if len(name) > _LONGEST_NAME:
            raise DatasetError(f"--name: a name of at most {_LONGEST_NAME} characters expected, got {len(name)}")
        if int(number) in names:
            raise DatasetError(f"--name: one name a group expected, got two for group {int(number)}")
        names[int(number)] = name
    return names


@dataclass(frozen=True, slots=True)
class NamedGroups:
    """Groups as classes.

    Attributes
    ----------
    classes : tuple of str
        In the order of the first group that has the name.
    class_of_group : tuple of int
        Position in `classes` of every group; -1 = unnamed.
    """

    classes: tuple[str, ...]
    class_of_group: tuple[int, ...]

    def class_indices(self, labels: IntArray) -> IntArray:
        """The class of every window by its group, -1 where that has no name."""
        table = np.array(self.class_of_group, np.int64)
        indices: IntArray = table[labels]
        return indices


def check_names(names: Mapping[int, str], n_groups: int) -> None:
    """Refuse names of groups that are not there.

    Raises
    ------
    DatasetError
        Naming the group and the groups that there are.
    """
    for number in names:
        if number >= n_groups:
            raise DatasetError(f"--name {number}={names[number]}: a group from 0 to {n_groups - 1} expected")


def named_groups(names: Mapping[int, str], n_groups: int) -> NamedGroups:
    """Only the groups with a name as classes; groups that share a name are one class.

    Raises
    ------
    DatasetError
        If a name is of no group.

    Examples
    --------
    >>> named_groups({0: "idle", 2: "idle", 3: "on"}, 4)
    NamedGroups(classes=('idle', 'on'), class_of_group=(0, -1, 0, 1))
    """
    check_names(names, n_groups)
    classes = tuple(dict.fromkeys(names[number] for number in range(n_groups) if number in names))
    return NamedGroups(
        classes, tuple(classes.index(names[number]) if number in names else UNLABELLED for number in range(n_groups))
    )


def all_groups(names: Mapping[int, str], n_groups: int) -> NamedGroups:
    """Every group as a class, ``group 3`` where it has no name.

    Raises
    ------
    DatasetError
        If a name is of no group, or an unnamed group would be called as another one.

    Examples
    --------
    >>> all_groups({1: "idle"}, 3).classes
    ('group 0', 'idle', 'group 2')
    """
    check_names(names, n_groups)
    for number in range(n_groups):
        if number not in names and f"group {number}" in names.values():
            raise DatasetError(f"--name: 'group {number}' is what the unnamed group {number} is called, choose another")
    return named_groups({number: names.get(number, f"group {number}") for number in range(n_groups)}, n_groups)
