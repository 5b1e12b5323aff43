"""Where a window comes from, in the words of a person: which device, which time, which row of the file."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.label import format_timestamp
from signals.grid import point_time_ns
from trainer.data import Source, WindowedData, stream_recordings


@dataclass(frozen=True, slots=True, eq=False)
class WindowPlaces:
    """Device and time of the windows of a source.

    Attributes
    ----------
    data : WindowedData
    devices : tuple of str
        Of each recording; empty where the windows came ready-cut.
    """

    data: WindowedData
    devices: tuple[str, ...]

    def device(self, row: int) -> str:
        """The device that published this window; where nobody knows, its group or none."""
        if self.devices:
            return self.devices[int(self.data.recordings[row])]
        group = int(self.data.groups[row])
        return f"{self.data.group_key or 'group'} {group}" if group >= 0 else ""

    def when(self, row: int) -> str:
        """Start of this window in UTC; of ready-cut windows their row in the file."""
        if not self.data.is_stream:
            return f"row {int(self.data.rows[row])}"
        return format_timestamp(self.sample_ns(int(self.data.starts[row])))

    def text(self, row: int) -> str:
        """Device and time in one."""
        return ", ".join(part for part in (self.device(row), self.when(row)) if part)

    def sample_ns(self, point: int) -> int:
        """Time of a grid point of a stream, nanoseconds since 1970."""
        # A stream cannot be cut without a rate.
        rate = self.data.sampling_rate_hz
        assert rate is not None  # noqa: S101
        return point_time_ns(point, rate)


def window_places(source: Source, data: WindowedData) -> WindowPlaces:
    """Device and time of the windows that were cut from this source."""
    devices = tuple(recording.device for recording in stream_recordings(source)) if data.is_stream else ()
    return WindowPlaces(data, devices)
