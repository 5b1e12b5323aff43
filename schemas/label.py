"""The label event: what the agent says about one window of one device."""

from datetime import UTC, datetime
from typing import Literal

from pydantic import Field

from schemas.contract import BY_ALIAS, WireContract

LabelState = Literal["ok", "unsure", "novel", "incomplete"]
"""ok: believe it · unsure: confidence below the card's bound · novel: unlike the training data · incomplete: holes."""


class WindowQuality(WireContract):
    """What of the window was there."""

    present: float = Field(ge=0.0, le=1.0, description="share of (channel, grid point) cells with a value")
    longest_gap_s: float = Field(ge=0.0, description="longest stretch without a value, over the channels")
    stuck: list[str] = Field(default_factory=list, description="channels whose value never changed")
    clipped: list[str] = Field(default_factory=list, description="channels that reached the end of their range")


class WindowFacts(WireContract):
    """Which window: grid points ``index * hop ... index * hop + length - 1``, times half-open ``[start, end)``."""

    index: int = Field(description="k of DESIGN section 3; (device, model, k) is the identity of a label")
    start: str = Field(description="ISO 8601 UTC")
    end: str = Field(description="ISO 8601 UTC")
    n_samples: int = Field(ge=0, description="grid points with a value in at least one channel")
    quality: WindowQuality


class ModelRef(WireContract):
    """Which model answered."""

    name: str
    version: str
    digest: str = Field(description="sha256 of the model file, hex")


class LabelEvent(WireContract):
    """One label for one window. Publishing it twice is harmless: ``id`` is the same.

    ``label``, ``confidence``, ``probabilities`` and ``novelty`` are null where the state is ``incomplete``.
    """

    schema_version: Literal["label/1"] = Field(default="label/1", alias="schema")
    id: str = Field(description="device/model@version/index")
    gateway: str
    device: str
    pipeline: str
    ts: str = Field(description="end of the window, ISO 8601 UTC")
    window: WindowFacts
    label: str | None
    confidence: float | None = Field(ge=0.0, le=1.0)
    probabilities: dict[str, float] | None
    novelty: float | None = Field(ge=0.0)
    state: LabelState
    model: ModelRef

    model_config = BY_ALIAS


def format_timestamp(t_ns: int) -> str:
    """ISO 8601 UTC with microseconds; a time outside years 1..9999 is given as ``<seconds>s``.

    Parameters
    ----------
    t_ns : int
        Nanoseconds since the Unix epoch.

    Examples
    --------
    >>> format_timestamp(1_500_000_000)
    '1970-01-01T00:00:01.500000Z'
    """
    seconds, rest = divmod(t_ns, 1_000_000_000)
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return f"{seconds}s"
    return f"{moment.isoformat()[:19]}.{rest // 1000:06d}Z"
