"""Which devices the clock may have something to close for: a look at those that are due, never at all of them."""

from __future__ import annotations

import heapq

from edge_agent.engine.device import Device

_SHIFT = 27
"""A slot is 2^27 ns long: 0.13 s, about as often as the clock is looked at."""

_SLACK = 1024


class Deadlines:
    """Devices by the time before which the clock changes nothing for them, in slots of time.

    A device that received something is only marked (``stir``), at the price of a flag; its time is worked out at the
    next look at the clock. A time that has become later is found out when it is reached: so a device that sends on
    costs a look a window, not one a message.
    """

    __slots__ = ("_in_order", "_n_noted", "_slots", "_stirred", "_sweep_at")

    def __init__(self) -> None:
        self._slots: dict[int, list[Device]] = {}
        self._in_order: list[int] = []  # heap of the slots that exist
        self._stirred: list[Device] = []
        self._n_noted, self._sweep_at = 0, _SLACK

    def stir(self, device: Device) -> None:
        """The device received something; its time may have changed."""
        device.is_stirred = True
        self._stirred.append(device)

    def watch(self, device: Device) -> None:
        """Take note of the time of a device, unless an earlier one is noted."""
        due_ns = device.due()
        if due_ns is None:
            return
        slot = due_ns >> _SHIFT
        if device.slot is not None and device.slot <= slot:
            return
        device.slot = slot
        devices = self._slots.get(slot)
        if devices is None:
            devices = self._slots[slot] = []
            heapq.heappush(self._in_order, slot)
        devices.append(device)
        self._n_noted += 1

    def due(self, clock_ns: int) -> list[Device]:
        """The devices whose time may have come; each is to be watched again by the caller."""
        self.settle()
        now, found = clock_ns >> _SHIFT, list[Device]()
        while self._in_order and self._in_order[0] <= now:
            slot = heapq.heappop(self._in_order)
            devices = self._slots.pop(slot)
            self._n_noted -= len(devices)
            for device in devices:
                if device.slot == slot:  # else it was noted for an earlier time since
                    device.slot = None
                    found.append(device)
        return found

    def settle(self, most: int = 0) -> None:
        """Work out the time of the devices that received something, if they are more than so many.

        To be called now and then where nobody looks at the clock, so that devices that have left are not kept.
        """
        if len(self._stirred) <= most:
            return
        stirred, self._stirred = self._stirred, []
        for device in stirred:
            device.is_stirred = False
            self.watch(device)
        if self._n_noted > self._sweep_at:
            self._sweep()

    def _sweep(self) -> None:
        """Forget devices that have left and times that were noted anew."""
        for slot, devices in self._slots.items():
            self._slots[slot] = [device for device in devices if device.slot == slot and device.windows is not None]
        self._n_noted = sum(map(len, self._slots.values()))
        self._sweep_at = _SLACK + 2 * self._n_noted
