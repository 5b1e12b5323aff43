"""Which devices the clock may have something to close for: a look at those that are due, never at all of them."""

from __future__ import annotations

import heapq

from edge_agent.engine.device import Device

_SLACK = 1024


class Deadlines:
    """Devices by the time before which the clock changes nothing for them.

    A device that received something is only marked (``stir``), at the price of a flag; its time is worked out at the
    next look at the clock. A time that has become later is found out when it is reached: so a device that sends on
    costs a look a window, not one a message.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Device]] = []
        self._stirred: list[Device] = []
        self._serial = 0
        self._n_watched = 0

    def stir(self, device: Device) -> None:
        """The device received something; its time may have changed."""
        device.is_stirred = True
        self._stirred.append(device)
        if len(self._stirred) > _SLACK + 2 * self._n_watched:  # nobody looks at the clock: forget those that have left
            self._settle()

    def watch(self, device: Device) -> None:
        """Take note of the time of a device, unless an earlier one is noted."""
        due_ns = device.due()
        if due_ns is None or (device.due_ns is not None and device.due_ns <= due_ns):
            return
        if device.due_ns is None:
            self._n_watched += 1
        device.due_ns = due_ns
        self._serial += 1
        heapq.heappush(self._heap, (due_ns, self._serial, device))
        if len(self._heap) > _SLACK + 4 * self._n_watched:
            self._heap = [entry for entry in self._heap if entry[2].due_ns == entry[0]]
            heapq.heapify(self._heap)

    def due(self, clock_ns: int) -> list[Device]:
        """The devices whose time has come; each is to be watched again by the caller."""
        self._settle()
        heap, found = self._heap, list[Device]()
        while heap and heap[0][0] <= clock_ns:
            due_ns, _, device = heapq.heappop(heap)
            if device.due_ns == due_ns:
                device.due_ns = None
                self._n_watched -= 1
                found.append(device)
        return found

    def leave(self, device: Device) -> None:
        """The device is let go."""
        if device.due_ns is not None:
            device.due_ns = None
            self._n_watched -= 1

    def _settle(self) -> None:
        stirred, self._stirred = self._stirred, []
        for device in stirred:
            device.is_stirred = False
            self.watch(device)
