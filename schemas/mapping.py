"""How a message becomes samples, as data: JSON by paths, one number a topic, or binary frames.

A path is dotted: ``data.x``, ``values[0]``, ``["odd key"].x``; a leading ``$`` is allowed. A number or an array
may stand at its end: an array is a batch.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from schemas.contract import ConfigContract

Path = Annotated[str, StringConstraints(min_length=1, max_length=256)]
ChannelName = Annotated[str, StringConstraints(min_length=1, max_length=128)]
TimeUnit = Literal["iso8601", "s", "ms", "us", "ns"]


class JsonTime(ConfigContract):
    """Where the time of a message stands. Without it, samples are placed by receipt (or counted, with a rate).

    A time without an unambiguous zone is refused unless ``zone`` says which it is.
    """

    path: Path = Field(description="path to a number, a text, or (with of = each) an array of them")
    unit: TimeUnit = Field(default="iso8601", description="iso8601 for text, else the unit of the number")
    of: Literal["first", "last", "each"] = Field(
        default="first",
        description="which sample of a batch the time belongs to; each: one time a sample (path in it, or an array)",
    )
    zone: str | None = Field(
        default=None, description="IANA zone for ISO 8601 text without offset; none = refuse such text"
    )


class JsonMapping(ConfigContract):
    """JSON by paths.

    Three layouts, told apart by ``samples`` and by what stands at the channel paths:

    - one sample: ``{"ts": ..., "x": 1.0, "y": 2.0}`` with channels ``{x = "x", y = "y"}``
    - columns: ``{"ts": ..., "x": [..], "y": [..]}``: arrays at the channel paths, all of one length
    - rows: ``{"ts": ..., "values": [[1, 2], [3, 4]]}`` or ``[{"t":..,"x":..}, ..]`` with ``samples = "values"``
      (``"$"`` for the message itself) and channel paths inside a row: ``x = "[0]"`` or ``x = "x"``
    """

    format: Literal["json"] = "json"
    channels: Annotated[dict[ChannelName, Path], Field(min_length=1)] = Field(description="channel name -> path")
    samples: Path | None = Field(default=None, description="path to the array of rows; none = one sample or columns")
    device: Path | None = Field(default=None, description="path to the device name; none = {device} of the topic")
    time: JsonTime | None = None
    sampling_rate_hz: float | None = Field(
        default=None, gt=0.0, description="rate inside a batch; none = the model's rate"
    )


class ScalarMapping(ConfigContract):
    """One number a topic, as text. The channel is ``{channel}`` of the topic, renamed by ``channels``.

    Time is receipt time: such sensors report on change, so their model should use the grid policy ``hold``.
    """

    format: Literal["scalar"] = "scalar"
    channels: dict[ChannelName, str] = Field(
        default_factory=dict, description="channel name -> text of the {channel} level; empty = names are equal"
    )
    channel: ChannelName | None = Field(
        default=None, description="the one channel, where the topic has no {channel} level"
    )
    values: dict[str, float] = Field(default_factory=dict, description="texts that stand for numbers, such as ON = 1.0")


ScalarType = Literal[
    "int8", "uint8", "int16", "uint16", "int24", "int32", "uint32", "int64", "uint64", "float32", "float64"
]


class BinaryField(ConfigContract):
    """One field of a frame. Its value is ``raw * scale + offset``."""

    name: str = Field(description="channel name; or a name used by device or time; '_' or a leading '_' = skip")
    type: ScalarType = Field(description="how the raw value is stored")
    scale: float = Field(default=1.0, description="value = raw * scale + offset")
    offset: float = Field(default=0.0, description="value = raw * scale + offset")
    unit: str | None = Field(default=None, description="for people; values are not converted")
    not_available: int | None = Field(default=None, description="raw value that means: no value")


class BinaryTime(ConfigContract):
    """Time of a frame, from a header field (``of`` = first or last sample) or from a field of each sample."""

    field: str = Field(description="name of the field that holds the time")
    unit: Literal["s", "ms", "us", "ns"] = Field(default="ms", description="unit of the field, after scale and offset")
    of: Literal["first", "last", "each"] = Field(
        default="first", description="which sample the time belongs to; each: the field stands in every sample"
    )


class BinaryMapping(ConfigContract):
    """A declarative binary frame: a header, then ``repeat`` samples, packed without padding."""

    format: Literal["binary"] = "binary"
    endian: Literal["little", "big"] = Field(default="little", description="byte order of all fields")
    magic: Annotated[str, StringConstraints(pattern=r"^([0-9a-fA-F]{2})*$")] = Field(
        default="", description="hex, first bytes"
    )
    header: list[BinaryField] = Field(default_factory=list)
    fields: Annotated[list[BinaryField], Field(min_length=1)] = Field(description="one sample")
    layout: Literal["rows", "columns"] = Field(
        default="rows", description="rows: sample by sample; columns: channel by channel"
    )
    count: str | None = Field(
        default=None, description="header field with the number of samples; none = as many as fit"
    )
    device: str | None = Field(
        default=None, description="header field whose whole number names the device; none = {device} of the topic"
    )
    time: BinaryTime | None = None
    sampling_rate_hz: float | None = Field(
        default=None, gt=0.0, description="rate inside a frame; none = the model's rate"
    )

    @model_validator(mode="after")
    def _named_fields_exist(self) -> Self:
        header = {field.name for field in self.header}
        for role, name in (("count", self.count), ("device", self.device)):
            if name is not None and name not in header:
                message = f"{role}: one of the header fields {sorted(header)} expected, got {name!r}"
                raise ValueError(message)
        if self.time is not None:
            known = {field.name for field in self.fields} if self.time.of == "each" else header
            if self.time.field not in known:
                message = f"time.field: one of {sorted(known)} expected, got {self.time.field!r}"
                raise ValueError(message)
        if self.layout == "columns" and self.time is not None and self.time.of == "each":
            message = "time.of: 'first' or 'last' expected with layout 'columns', got 'each'"
            raise ValueError(message)
        return self


Mapping = Annotated[JsonMapping | ScalarMapping | BinaryMapping, Field(discriminator="format")]
"""How the messages of a pipeline become samples."""
