"""How bytes become samples and samples become windows: one implementation, live on the gateway and on recordings.

One job: the stream, from payload bytes to closed windows and their verdict. numpy and schemas only; pure: no
socket, no clock, no thread, no file, no log may enter this room. Time that matters comes in as an argument.
"""

from signals.block import Block, DecodeError, FloatArray, IntArray
from signals.codecs import Decoder, compile_decoder
from signals.recording import (
    Recording,
    cut,
    find_overlap_hop,
    recordings_from_stream,
    recordings_from_windows,
)
from signals.verdict import device_id, label_event
from signals.window import ClosedWindow, SkippedWindows, WindowSpec
from signals.windower import DeviceWindows

__all__ = [
    "Block",
    "ClosedWindow",
    "DecodeError",
    "Decoder",
    "DeviceWindows",
    "FloatArray",
    "IntArray",
    "Recording",
    "SkippedWindows",
    "WindowSpec",
    "compile_decoder",
    "cut",
    "device_id",
    "find_overlap_hop",
    "label_event",
    "recordings_from_stream",
    "recordings_from_windows",
]
