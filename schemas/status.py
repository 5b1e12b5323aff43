"""What the agent says of itself: availability, info, metrics, gaps, captures and the delivery barrier."""

from typing import Literal

from pydantic import Field

from schemas.contract import BY_ALIAS, WireContract
from schemas.label import LabelState


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


class Histogram(WireContract):
    """How often a duration fell between two bounds."""

    bounds: list[float] = Field(description="upper bounds in seconds, rising")
    counts: list[int] = Field(description="one for each bound and one for what is above; not cumulative")
    sum: float = Field(description="of all durations, in seconds")


class PipelineMetrics(WireContract):
    """Counters of one pipeline since start."""

    devices: int = Field(default=0, description="devices with an open state")
    messages: int = Field(default=0, description="messages on the topics of this pipeline")
    rejected: dict[str, int] = Field(default_factory=dict, description="reason -> count of messages refused")
    labels: dict[str, int] = Field(default_factory=dict, description="label -> count; windows without one do not count")
    gaps: int = Field(default=0, description="gap events")


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
    captures_accepted: int = Field(
        default=0, description="windows of pipelines without a model that the broker acknowledged"
    )
    gaps: int = Field(description="gap events")
    devices: int = Field(description="devices with an open state")
    devices_evicted: int = Field(description="devices let go because there were too many")
    unacknowledged: int = Field(description="sensor messages received and not yet acknowledged")
    acknowledged_early: int = Field(
        default=0, description="sensor messages acknowledged before their windows were labelled: too many were open"
    )
    messages_of_others: int = Field(default=0, description="sensor messages left to the worker whose device it is")
    reconnects: int = Field(description="connections after the first")
    connected: bool = Field(default=True, description="whether the broker is there")
    outbox: int = Field(default=0, description="messages waiting for the broker's word, sent or not")
    outbox_bytes: int = Field(default=0, description="payload bytes of these messages")
    last_window_ts: float | None = Field(
        default=None, description="end of the newest window that was answered, seconds since 1970; null: none yet"
    )
    inference_seconds: Histogram | None = Field(
        default=None, description="one forward pass over the windows of a burst"
    )
    latency_seconds: Histogram | None = Field(
        default=None, description="from the message that closed a window to its answer handed to the broker"
    )
    confirmed_seconds: Histogram | None = Field(
        default=None, description="from the message that closed a window to the PUBACK of its label"
    )
    pipelines: dict[str, PipelineMetrics] = Field(default_factory=dict, description="name -> its counters")
    reloads: dict[str, int] = Field(
        default_factory=dict, description="swapped (models in place) or replaced (a new agent) -> count"
    )
    self_test: Literal["waiting", "passed", "failed"] = Field(
        default="waiting", description="whether what it publishes is taken and comes back: failed = access control"
    )
    reloads_refused: int = Field(default=0, description="reloads refused: the agent went on as it was")
    state_free_bytes: int | None = Field(
        default=None, description="free space where the state folder is; null: not known"
    )
    spool_labels: int = Field(default=0, description="labels on disk that the broker has not accepted")
    journal_messages: int = Field(default=0, description="sensor messages in the journal; 0 without journal mode")
    journal_again: int = Field(
        default=0, description="sensor messages delivered again that were in the journal: used once, counted here"
    )
    journal_skipped: int = Field(
        default=0, description="sensor messages that could not be journalled: the disk took nothing for too long"
    )
    broker_dropped: int | None = Field(
        default=None, description="messages that the broker says it dropped, for any client; null: it does not say"
    )
    alarms: list[str] = Field(default_factory=list, description="codes of the alarms that are on")

    model_config = BY_ALIAS


AlarmCode = Literal[
    "disk_low", "disk_full", "disk_unwritable", "journal_full", "spool_dropping", "store_corrupt", "broker_dropping"
]


class Alarm(WireContract):
    """Something that a person should see to."""

    code: AlarmCode
    since: str = Field(description="when it was raised, ISO 8601 UTC")
    detail: str = Field(description="one line: where, and what")


class Alarms(WireContract):
    """Retained: the alarms that are on; an empty list when all is well again."""

    schema_version: Literal["alarms/1"] = Field(default="alarms/1", alias="schema")
    gateway: str
    ts: str = Field(description="when the list changed, ISO 8601 UTC")
    alarms: list[Alarm]

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
    reason: Literal["no_samples", "restart", "clock_step", "evicted", "internal", "not_published"]

    model_config = BY_ALIAS


class Capture(WireContract):
    """A window kept for a person to look at, and to fit on. Publishing it twice is harmless: ``id`` is the same."""

    schema_version: Literal["capture/1"] = Field(default="capture/1", alias="schema")
    id: str = Field(description="device/pipeline/index")
    gateway: str
    device: str
    pipeline: str
    index: int = Field(description="k of the window grid, as in a label")
    start: str = Field(description="ISO 8601 UTC; the window is half-open")
    end: str = Field(description="ISO 8601 UTC")
    sampling_rate_hz: float
    channels: list[str] = Field(description="the rows of the window")
    n_samples: int = Field(ge=0, description="grid points with a value in at least one channel")
    present: float = Field(ge=0.0, le=1.0, description="share of (channel, grid point) cells with a value")
    window: str = Field(description="base64 of little-endian float32, shape (n_channels, window_length); NaN = missing")
    state: Literal["unlabelled", "incomplete"] = Field(
        description="incomplete: less of it is there than its pipeline asks for"
    )

    model_config = BY_ALIAS


class Barrier(WireContract):
    """The agent's own echo: a window closes by deadline only once a barrier later than the deadline came back."""

    run: str = Field(description="identity of this process; the echo of an earlier one is ignored")
    monotonic_ns: int


class StatusRequest(WireContract):
    """One line to the status socket of an agent: what is asked."""

    ask: Literal["status", "top"] = Field(description="status: the agent; top: also its devices and their signals")


class AgentHealth(WireContract):
    """Whether the agent does its work, and what stands in its way."""

    state: Literal["starting", "ok", "degraded", "stopping"] = Field(
        description="degraded: it runs, and a person should look at the problems"
    )
    connected: bool = Field(description="whether the broker is there")
    broker: str = Field(description="host:port")
    problems: list[str] = Field(default_factory=list, description="one line each, empty where all is well")
    outbox: int = Field(default=0, ge=0, description="messages waiting for the broker's word, sent or not")
    outbox_limit: int = Field(default=0, ge=0, description="where the intake pauses; 0 = not told")
    unacknowledged_limit: int = Field(
        default=0, ge=0, description="sensor messages held back at most; 0 = not told, or nothing is held back"
    )


class AgentStatus(WireContract):
    """Answer to ``{"ask": "status"}``: one line of JSON."""

    schema_version: Literal["status/1"] = Field(default="status/1", alias="schema")
    info: AgentInfo
    metrics: AgentMetrics
    health: AgentHealth
    errors: list[str] = Field(default_factory=list, description="last warnings and errors of the log, newest last")
    messages_hz: float = Field(default=0.0, ge=0.0, description="sensor messages a second, over the last seconds")
    pipelines_hz: dict[str, float] = Field(default_factory=dict, description="pipeline -> its messages a second")

    model_config = BY_ALIAS


class DeviceView(WireContract):
    """One device as ``edge-agent top`` shows it: its newest window."""

    pipeline: str
    device: str
    channels: list[str] = Field(default_factory=list, description="names, in the order of the signal")
    label: str | None = Field(default=None, description="null where the window has none")
    confidence: float | None = Field(default=None, ge=0.0, le=1.0)
    novelty: float | None = Field(default=None, ge=0.0, description="1 = at the threshold of the model")
    state: LabelState | Literal["unlabelled"] | None = Field(
        default=None, description="unlabelled: the pipeline has no model; null: no window yet"
    )
    ts: str | None = Field(default=None, description="end of the newest window, ISO 8601 UTC; null: no window yet")
    rate_hz: float = Field(default=0.0, ge=0.0, description="samples a second, over the last seconds")
    latency_ms: float | None = Field(
        default=None, ge=0.0, description="from the message that closed the window to its answer handed to the broker"
    )
    signal: list[list[float | None]] = Field(
        default_factory=list, description="per channel the last samples, at most 64; null = missing"
    )


class TopView(AgentStatus):
    """Answer to ``{"ask": "top"}``: the status, and the devices seen last, at most 200 of them."""

    devices: list[DeviceView] = Field(default_factory=list, description="most recent first")
    latencies_ms: list[float] = Field(
        default_factory=list, description="of the last windows of all devices, at most 512, oldest first"
    )


STATUS_SOCKET = "status.sock"
"""Name of the Unix socket in ``gateway.state_dir``; a JSON line in, a JSON line out."""
