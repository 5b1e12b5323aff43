"""The simulated plant: pumps that vibrate and rooms that people come into, as the messages their sensors send.

One job: physics in, messages out. Everything is drawn from a seed and the device's name, so one seed gives one plant to
the last bit; time is plant time, never the clock of the computer. No MQTT client, no file, no thread, no sleep may
enter this room.
"""

from demo.plant.messages import Message
from demo.plant.pump import PUMP_CHANNELS, PUMP_RATE_HZ, PUMP_STATES, Pump
from demo.plant.room import ROOM_CHANNELS, ROOM_STATES, Room
from demo.plant.site import Site, pump_names, room_names

__all__ = [
    "PUMP_CHANNELS",
    "PUMP_RATE_HZ",
    "PUMP_STATES",
    "ROOM_CHANNELS",
    "ROOM_STATES",
    "Message",
    "Pump",
    "Room",
    "Site",
    "pump_names",
    "room_names",
]
