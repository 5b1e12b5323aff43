"""What an operator should know now: raised, told on a retained topic, and cleared when it is over."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from schemas import format_timestamp
from schemas.status import Alarm, AlarmCode, Alarms

log = logging.getLogger(__name__)

_DETAIL_CHARACTERS = 300


class AlarmBoard:
    """The alarms that are on.

    Parameters
    ----------
    gateway : str
    wall_ns : callable
        Time since the Unix epoch.

    Examples
    --------
    >>> board = AlarmBoard("pi4", wall_ns=lambda: 0)
    >>> board.set("disk_low", "5 MB left"), board.set("disk_low", "4 MB left"), board.is_changed
    (None, None, True)
    >>> [(alarm.code, alarm.since, alarm.detail) for alarm in board.take().alarms], board.is_changed
    ([('disk_low', '1970-01-01T00:00:00.000Z', '4 MB left')], False)
    >>> board.set("disk_low", "")
    >>> board.take().alarms
    []
    """

    def __init__(self, gateway: str, wall_ns: Callable[[], int] = time.time_ns) -> None:
        self._gateway = gateway
        self._wall_ns = wall_ns
        self._on: dict[AlarmCode, Alarm] = {}
        self.is_changed = False

    @property
    def codes(self) -> list[str]:
        """The codes of the alarms that are on."""
        return list(self._on)

    def set(self, code: AlarmCode, detail: str) -> None:
        """Raise an alarm, or keep it up; an empty ``detail`` clears it. Logged when it comes and when it goes."""
        before = self._on.get(code)
        if not detail:
            if before is not None:
                del self._on[code]
                self.is_changed = True
                log.info("alarm over: %s", code)
            return
        detail = " ".join(detail.split())[:_DETAIL_CHARACTERS]
        if before is None:
            self._on[code] = Alarm(code=code, since=format_timestamp(self._wall_ns()), detail=detail)
            log.error("alarm: %s: %s", code, detail)
        elif before.detail != detail:
            # The newest words are told with the next change; each of them would be a message of its own.
            self._on[code] = before.model_copy(update={"detail": detail})
            return
        else:
            return
        self.is_changed = True

    def take(self) -> Alarms:
        """All that are on, to be published; ``is_changed`` is False until the next change."""
        self.is_changed = False
        return Alarms(gateway=self._gateway, ts=format_timestamp(self._wall_ns()), alarms=list(self._on.values()))
