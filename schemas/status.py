"""What the agent says of itself: availability, info, metrics, gaps, captures and the delivery barrier."""

from typing import Literal

from pydantic import Field

from schemas.contract import BY_ALIAS, WireContract


class Availability(WireContract):
    """Retained; the last will says ``offline``."""

    state: Literal["online", "offline"]


class PipelineInfo(WireContract):
    """One pipeline of the agent."""

    name: str
    topics: list[str]
    model: str = Field(description="name@version")
    digest: str
    classes: list[str]
    channels: list[str]
    sampling_rate_hz: float
    window_length: int
    hop_length: int


class AgentInfo(WireContract):
    """Retained: what runs on this gateway."""

    schema_version: Literal["info/1"] = Field(default="info/1", alias="schema")
    gateway: str
    agent_version: str
    protocol: str = Field(description="MQTT 5 or MQTT 3.1.1, and so what delivery can promise")
    started: str = Field(description="ISO 8601 UTC")
    config_sha256: str
    pipelines: list[PipelineInfo]
    libraries: dict[str, str]

    model_config = BY_ALIAS


class AgentMetrics(WireContract):
    """Counters since start, published once in a while. Every drop is counted by its reason."""

    schema_version: Literal["metrics/1"] = Field(default="metrics/1", alias="schema")
    gateway: str
    ts: str = Field(description="when these were counted, ISO 8601 UTC")
    uptime_s: float = Field(description="seconds since the agent started")
    messages_received: int = Field(description="sensor messages, also those that were refused")
    messages_rejected: dict[str, int] = Field(description="reason -> count of messages refused")
    samples: int = Field(description="values that found their place in a window")
    samples_dropped: dict[str, int] = Field(description="late, duplicate, retained, ... -> count")
    windows: dict[str, int] = Field(description="state -> count")
    labels_accepted: int = Field(description="labels that the broker acknowledged")
    labels_retried: int = Field(description="further tries of labels that were refused or that nobody subscribed to")
    labels_dropped: dict[str, int] = Field(description="reason -> count of labels given up")
    gaps: int = Field(description="gap events")
    devices: int = Field(description="devices with an open state")
    devices_evicted: int = Field(description="devices let go because there were too many")
    unacknowledged: int = Field(description="sensor messages received and not yet acknowledged")
    acknowledged_early: int = Field(
        default=0, description="sensor messages acknowledged before their windows were labelled: too many were open"
    )
    reconnects: int = Field(description="connections after the first")

    model_config = BY_ALIAS


class GapEvent(WireContract):
    """Windows that can have no label, declared as one range: nothing is lost silently."""

    schema_version: Literal["gap/1"] = Field(default="gap/1", alias="schema")
    gateway: str
    device: str
    pipeline: str
    model: str = Field(description="name@version")
    first_index: int
    last_index: int
    start: str = Field(description="start of the first window, ISO 8601 UTC")
    end: str = Field(description="end of the last window, ISO 8601 UTC")
    reason: Literal["no_samples", "restart", "clock_step", "evicted"]

    model_config = BY_ALIAS


class Capture(WireContract):
    """A window kept for a person to look at."""

    schema_version: Literal["capture/1"] = Field(default="capture/1", alias="schema")
    id: str
    gateway: str
    device: str
    window: str = Field(description="base64 of little-endian float32, shape (n_channels, window_length)")
    channels: list[str]
    state: str

    model_config = BY_ALIAS


class Barrier(WireContract):
    """The agent's own echo: a window closes by deadline only once a barrier later than the deadline came back."""

    run: str = Field(description="identity of this process; the echo of an earlier one is ignored")
    monotonic_ns: int
