"""Which messages may be acknowledged, and how far each device is labelled for good.

Messages are known by their delivery number, which rises. A window is *owed* from the moment a message touches it
until the broker has accepted its label, or the gap that declares its loss. Since acknowledgements go out in order
(MQTT 5.0, MQTT-4.6.0-2), all that counts is the smallest number that touched a window that is still owed.
"""

from __future__ import annotations

from collections import deque

from signals.marks import Carry

_SETTLED = -1


class Debt:
    """One owed window, and the number of the first message that touched it; -1 = settled."""

    __slots__ = ("index", "number")

    def __init__(self, number: int, index: int) -> None:
        self.number = number
        self.index = index


class Account:
    """What is owed for one device, and how far it is labelled: windows up to ``closed_through`` are accepted.

    Attributes
    ----------
    closed_through : int or None
        From the first sample on: before its first label it is the window before those that the sample touched.
    carry : Carry or None
        The values that windows behind ``closed_through`` need (linear and hold).
    said_through : int or None
        The last window that was handed out, accepted or not.
    owed : list of Debt or None
        In the order in which the windows were touched; they are settled in about the same, so the first is the usual.
    doubt : Debt or None
        What is owed for late samples that may come from a clock that was set back.
    """

    __slots__ = ("_accepted", "_emitted", "_gaps", "carry", "closed_through", "doubt", "owed", "said_through")

    def __init__(self, closed_through: int | None = None, carry: Carry | None = None) -> None:
        self.closed_through = self.said_through = closed_through
        self.carry = carry
        self.doubt: Debt | None = None
        # Made when they are needed: most devices owe a window or two, and have none on the way.
        self.owed: list[Debt] | None = None
        self._emitted: dict[int, Carry | None] | None = None
        self._accepted: set[int] | None = None
        self._gaps: dict[int, int] | None = None

    def emitted(self, index: int, carry: Carry | None, first_index: int | None = None) -> None:
        """A window (or the last of a gap that begins at ``first_index``) was handed out.

        Indices rise, except after a clock step.
        """
        if self._emitted is None:
            self._emitted = {}
        elif self.said_through is not None and index < self.said_through:
            self._emitted.clear()
            self._accepted = None
        self._emitted[index] = carry
        self.said_through = index
        if first_index is not None:
            if self._gaps is None:
                self._gaps = {}
            self._gaps[index] = first_index

    def unsaid(self) -> list[int]:
        """The windows that are owed and were not handed out, in order."""
        emitted, gaps = self._emitted or {}, self._gaps or {}
        ranges = [(gaps.get(last, last), last) for last in emitted]
        owed = sorted(debt.index for debt in self.owed or ())
        return [index for index in owed if not any(first <= index <= last for first, last in ranges)]

    def accepted(self, index: int) -> bool:
        """The broker accepted its label; whether ``closed_through`` moved over everything accepted in order."""
        emitted = self._emitted
        if emitted is None or index not in emitted:
            return False
        if index != next(iter(emitted)):
            if self._accepted is None:
                self._accepted = set()
            self._accepted.add(index)
            return False
        while True:
            carry = emitted.pop(index)
            self.closed_through = index
            if carry is not None:
                self.carry = carry
            if not emitted:
                self._emitted = self._accepted = None
                return True
            index = next(iter(emitted))
            if self._accepted is None or index not in self._accepted:
                return True
            self._accepted.discard(index)

    def first_of_gap(self, last_index: int) -> int | None:
        """The first window of the gap that ends with this one and was just accepted; None = it is no gap."""
        if self._gaps is None:
            return None
        first = self._gaps.pop(last_index, None)
        if not self._gaps:
            self._gaps = None
        return first


class Ledger:
    """The windows that are owed, by the number of the first message that touched them.

    Examples
    --------
    >>> ledger, a, b = Ledger(), Account(), Account()
    >>> ledger.owe(5, a, 0)
    >>> ledger.owe(6, b, 0)
    >>> ledger.acknowledgeable(9)
    5
    >>> ledger.settle(a, 0)
    >>> ledger.acknowledgeable(9)
    6
    >>> ledger.settle(b, 0)
    >>> ledger.acknowledgeable(9)
    9
    """

    __slots__ = ("_n_owed", "_queue")

    def __init__(self) -> None:
        self._queue: deque[Debt] = deque()
        self._n_owed = 0

    def __len__(self) -> int:
        """Number of windows owed."""
        return self._n_owed

    def owe(self, number: int, account: Account, index: int) -> None:
        """Message ``number`` is the first that touched window ``index``."""
        owed = account.owed
        if owed is None:
            account.owed = [self._debt(number, index)]
        elif owed[-1].index < index or all(debt.index != index for debt in owed):
            owed.append(self._debt(number, index))

    def settle(self, account: Account, index: int) -> None:
        """The label of the window was accepted, or its loss was declared and accepted."""
        owed = account.owed
        if owed is None:
            return
        for position, debt in enumerate(owed):
            if debt.index == index:
                debt.number = _SETTLED
                self._n_owed -= 1
                if len(owed) == 1:
                    account.owed = None
                else:
                    del owed[position]
                return

    def settle_range(self, account: Account, first_index: int, last_index: int) -> None:
        """The loss of all these windows was declared and accepted."""
        for debt in list(account.owed or ()):
            if first_index <= debt.index <= last_index:
                self.settle(account, debt.index)

    def doubt(self, number: int, account: Account) -> None:
        """Message ``number`` is the first of late samples that may still have to be declared."""
        if account.doubt is None:
            account.doubt = self._debt(number, 0)

    def believe(self, account: Account, declared_by: int | None) -> None:
        """The doubt is over: the samples were late, or the gap that ends with window ``declared_by`` declares them."""
        debt, account.doubt = account.doubt, None
        if debt is None:
            return
        if declared_by is not None:
            debt.index = declared_by
            if account.owed is None:
                account.owed = [debt]
            else:
                account.owed.insert(0, debt)
            return
        debt.number = _SETTLED
        self._n_owed -= 1

    def acknowledgeable(self, next_number: int) -> int:
        """Every message with a smaller number than this may be acknowledged."""
        queue = self._queue
        while queue and queue[0].number == _SETTLED:
            queue.popleft()
        return min(next_number, queue[0].number) if queue else next_number

    def _debt(self, number: int, index: int) -> Debt:
        debt = Debt(number, index)
        self._queue.append(debt)
        self._n_owed += 1
        return debt
