"""The two kinds of contract: on the wire a stray field is ignored, in a configuration it is an error."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class WireContract(BaseModel):
    """A message or file between machines: frozen; unknown fields are ignored, so old readers survive new writers."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", allow_inf_nan=False, ser_json_inf_nan="null", defer_build=True
    )


class ConfigContract(BaseModel):
    """A part of a configuration: frozen; an unknown key is an error at every level."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)


BY_ALIAS = ConfigDict(populate_by_name=True, serialize_by_alias=True)
"""For contracts with a field whose JSON name is no Python name of ours (``schema``)."""
