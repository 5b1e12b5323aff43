"""Everything of one agent that lies on disk: the watermark, the spool, the journal; and the alarms about them."""

from __future__ import annotations

from time import monotonic

from edge_agent.config import AgentConfig
from edge_agent.shell import message_journal
from edge_agent.shell.alarms import AlarmBoard
from edge_agent.shell.disk_space import DiskSpace
from edge_agent.shell.disk_writer import DiskWriter
from edge_agent.shell.message_journal import MessageJournal
from edge_agent.shell.spool import Spool
from edge_agent.shell.state import StateFile

_DROPPING_S = 600.0
"""How long the alarm stays up after the broker last dropped something."""


class Durable:
    """The stores of an agent and the thread that writes them.

    Parameters
    ----------
    config : AgentConfig

    Attributes
    ----------
    state : StateFile
    spool : Spool or None
        None where ``delivery.spool_bytes`` is 0.
    journal : MessageJournal or None
        In journal mode; else only where an earlier run left one, until it is labelled.
    is_journalling : bool
        Whether new messages go into the journal.
    alarms : AlarmBoard
    space : DiskSpace
    broker_dropped : int or None
        What the broker said last; None = nothing yet.

    Raises
    ------
    OSError
        If the state folder cannot be made.
    """

    def __init__(self, config: AgentConfig) -> None:
        folder, delivery = config.gateway.state_dir, config.delivery
        self._writer = DiskWriter()
        self.is_journalling = delivery.mode == "journal"
        # A label counts as delivered again when it was accepted and the watermark does not say so yet: in journal mode
        # the disk is written every quarter of a second anyway.
        interval_s = min(delivery.state_interval_s, message_journal.COMMIT_S if self.is_journalling else 60.0)
        self.state = StateFile(folder, self._writer, interval_s)
        self.spool = Spool(folder, self._writer, max_bytes=delivery.spool_bytes) if delivery.spool_bytes else None
        self.journal: MessageJournal | None = None
        if self.is_journalling or (folder / message_journal.FILE_NAME).exists():
            self.journal = MessageJournal(folder, self._writer, max_bytes=delivery.journal_bytes)
        self.alarms = AlarmBoard(config.gateway.id)
        self.space = DiskSpace(folder, config.gateway.watch_dirs, self._writer, self.alarms)
        self.broker_dropped: int | None = None
        self._dropped_s = -_DROPPING_S
        self._n_dropped = 0
        self._n_spool_dropped = 0
        self._spool_dropped_s = -_DROPPING_S
        self._set_aside = [
            name
            for name, store in (("the spool", self.spool), ("the journal", self.journal))
            if store is not None and store.was_corrupt
        ]

    def turn(self, now_s: float) -> None:
        """Look after the stores and raise or clear what there is to say. Never waits for the disk."""
        alarms, spool, journal = self.alarms, self.spool, self.journal
        stores = [store for store in (spool, journal) if store is not None]
        is_full = journal is not None and journal.is_full
        problems = [
            store.problem for store in (self.state, *stores) if store.problem and not (store is journal and is_full)
        ]
        self.space.turn(now_s, sorted(set(problems)))
        alarms.set("journal_full", "no message is acknowledged until labels make room" if is_full else "")
        found = " and ".join(self._set_aside)
        alarms.set("store_corrupt", f"{found} of an earlier run could not be read and was set aside" if found else "")
        if spool is not None and spool.n_dropped > self._n_spool_dropped:
            self._n_spool_dropped, self._spool_dropped_s = spool.n_dropped, now_s
        is_dropping = now_s - self._spool_dropped_s < _DROPPING_S
        alarms.set("spool_dropping", f"{self._n_spool_dropped} labels made room for newer ones" if is_dropping else "")
        is_dropping = now_s - self._dropped_s < _DROPPING_S
        alarms.set("broker_dropping", f"the broker dropped {self._n_dropped} messages" if is_dropping else "")

    def heard_dropped(self, payload: bytes, now_s: float) -> None:
        """The broker's own count of messages that it dropped; anything but a number is passed over."""
        if not payload.isdigit() or len(payload) > 18:
            return
        count = int(payload)
        if self.broker_dropped is not None and count > self.broker_dropped:
            self._n_dropped += count - self.broker_dropped
            self._dropped_s = now_s
        self.broker_dropped = count

    def close_stores(self, longest_s: float) -> bool:
        """Bring down what waits in spool and journal; False when the disk did not take it in time."""
        is_down = True
        for store in (self.spool, self.journal):
            if store is not None:
                is_down = store.close(longest_s, monotonic()) and is_down
        return is_down

    def close(self, longest_s: float) -> bool:
        """End the thread; False when the disk did not answer in time."""
        return self._writer.close(longest_s)
