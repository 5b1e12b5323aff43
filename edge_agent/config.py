"""The configuration of an agent: one frozen value, read once.

Precedence, weakest first: defaults written here, then the TOML file, then the environment, then ``--set`` of the
command line.

- environment: ``EDGE_AGENT_`` + path in capitals, levels joined by two underscores: ``EDGE_AGENT_MQTT__PORT=1884``;
- command line: ``--set mqtt.port=1884``;
- a value that starts with ``[`` or ``{`` is read as JSON, so that lists and tables can be given too.

An unknown key is an error at every level and in every source. Secrets are read from files, never written in the TOML.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, StringConstraints, model_validator

from schemas import ROUTES, ConfigContract, ConfigError, Mapping, TopicTemplate, topic_for
from schemas.topics import ID_PATTERN, TopicTemplateText

GatewayId = Annotated[str, StringConstraints(pattern=ID_PATTERN.pattern)]
PipelineName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]

_FOREIGN_DEVICE = "any-device"
_READABLE_SECRET_BYTES = 4096
_LEAST_SPOOL_BYTES = 8 * 1024 * 1024
_JOURNAL_PAYLOADS = 64
_MAX_CAPTURED_VALUES = 131_072
"""Half a MiB of float32: what every broker takes as one message, in base64."""


class GatewayConfig(ConfigContract):
    """Who this gateway is and where it keeps what must survive a restart."""

    id: GatewayId = Field(description="name of this gateway in topics: 1 to 64 of [a-z0-9-]")
    state_dir: Path = Field(
        default=Path("/var/lib/edge-agent"), description="folder of all that must survive a restart"
    )
    watch_dirs: list[Path] = Field(
        default=[], description="other folders whose disk must not fill up: a broker's store on the same machine"
    )
    workers: int = Field(
        default=1, ge=1, le=64, description="processes that share the devices; 1 = one process, without a supervisor"
    )
    worker: int | None = Field(
        default=None, ge=0, le=63, description="which of them this process is: set by the supervisor, not by hand"
    )


class MqttConfig(ConfigContract):
    """The broker, and how much may be on the way to and from it."""

    host: Annotated[str, StringConstraints(min_length=1)] = Field(
        default="127.0.0.1", description="name or address of the broker"
    )
    port: int = Field(default=1883, ge=1, le=65535, description="8883 is usual with TLS")
    protocol: Literal["auto", "5", "3.1.1"] = Field(
        default="auto", description="auto: 5, and 3.1.1 where the broker refuses 5 (no delivery guarantee then)"
    )
    client_id: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = Field(
        default=None, description="stable name of the session; none = edge-agent-{gateway.id}"
    )
    username: str | None = Field(default=None, description="name at the broker; none = anonymous")
    password_file: Path | None = Field(default=None, description="file that holds the password, one line")
    ca_file: Path | None = Field(
        default=None, description="PEM of the CA that signed the broker's certificate; turns TLS on"
    )
    cert_file: Path | None = Field(default=None, description="PEM of this gateway's certificate")
    key_file: Path | None = Field(default=None, description="PEM of this gateway's private key")
    keepalive_s: int = Field(default=30, ge=5, le=65535, description="longest silence before the broker is asked")
    session_expiry_s: int = Field(
        default=7 * 86_400, ge=60, le=0xFFFFFFFE, description="how long the broker keeps messages for us"
    )
    max_packet_bytes: int = Field(
        default=262_144, ge=1024, le=268_435_455, description="larger packets are not sent to us"
    )
    max_unacknowledged: int = Field(
        default=60_000,
        ge=1,
        le=65_000,
        description="sensor messages held back until labelled; older ones are acknowledged early",
    )
    watch_drops: bool = Field(
        default=False, description="read mosquitto's own count of dropped messages; some brokers refuse $SYS topics"
    )
    reconnect_max_s: float = Field(
        default=30.0, gt=0.0, le=3600.0, description="upper bound of the jittered reconnect delay"
    )

    shared_group_hashes_topics: bool = Field(
        default=False,
        description="with workers: the broker gives all messages of a topic to one member of a shared subscription",
    )

    @model_validator(mode="after")
    def _certificate_has_key_and_ca(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file: both or neither expected")
        if self.cert_file is not None and self.ca_file is None:
            raise ValueError("ca_file: expected beside cert_file")
        if self.password_file is not None and self.username is None:
            raise ValueError("username: expected beside password_file")
        return self

    def password(self) -> SecretStr | None:
        """The password out of its file; None without one.

        Raises
        ------
        ConfigError
            If the file cannot be read or is empty.
        """
        if self.password_file is None:
            return None
        where = "mqtt.password_file"
        try:
            text = self.password_file.read_bytes()[:_READABLE_SECRET_BYTES].decode().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(where, [f"readable text file expected, got {self.password_file}: {error}"]) from error
        if not text:
            raise ConfigError(where, [f"a password expected, got an empty file {self.password_file}"])
        return SecretStr(text)


class LimitsConfig(ConfigContract):
    """Bounds against what comes from outside."""

    payload_bytes: int = Field(
        default=65_536, ge=1, le=16_777_216, description="larger payloads are refused before decoding"
    )
    devices: int = Field(default=10_000, ge=1, le=1_000_000, description="least recently seen devices leave above this")
    outbox_labels: int = Field(
        default=2_000, ge=16, le=100_000, description="labels waiting for the broker before intake pauses"
    )


class DeliveryConfig(ConfigContract):
    """How hard the agent tries to bring a label to somebody."""

    retry_max_s: float = Field(
        default=30.0, gt=0.0, le=3600.0, description="upper bound of the delay between two tries"
    )
    attempts: int = Field(
        default=8, ge=1, le=100, description="tries of a label that the broker refuses, then it is dropped and counted"
    )
    consumer_patience_s: float = Field(
        default=60.0,
        ge=0.0,
        le=3600.0,
        description="how long labels of a device wait for somebody who subscribes to them",
    )
    mode: Literal["broker", "journal"] = Field(
        default="broker",
        description="broker: messages are acknowledged when labelled; journal: when on our own disk, for long windows",
    )
    spool_bytes: int = Field(
        default=33_554_432, ge=0, le=2**40, description="disk for labels that the broker does not accept; 0 = none"
    )
    journal_bytes: int = Field(
        default=268_435_456, ge=16_777_216, le=2**40, description="disk for messages not labelled yet, in journal mode"
    )
    state_interval_s: float = Field(
        default=1.0, gt=0.0, le=60.0, description="shortest time between two writes of the watermark"
    )

    @model_validator(mode="after")
    def _spool_is_off_or_workable(self) -> Self:
        if 0 < self.spool_bytes < _LEAST_SPOOL_BYTES:
            raise ValueError(f"spool_bytes: 0 or at least {_LEAST_SPOOL_BYTES} expected, got {self.spool_bytes}")
        return self


class StatusConfig(ConfigContract):
    """What the agent says of itself."""

    metrics_interval_s: float = Field(
        default=60.0, gt=0.0, le=86_400.0, description="how often the counters are published"
    )
    prometheus_port: int = Field(
        default=0, ge=0, le=65_535, description="port of the Prometheus endpoint, 9464 is usual; 0 = none"
    )
    prometheus_host: Annotated[str, StringConstraints(min_length=1)] = Field(
        default="127.0.0.1", description="address on which the Prometheus endpoint listens"
    )
    log_format: Literal["auto", "plain", "journal", "json"] = Field(
        default="auto",
        description="auto: journal where systemd reads standard error, else plain; json: one object a line",
    )


class ReloadConfig(ConfigContract):
    """When a running agent takes up a changed configuration or model; SIGHUP always does."""

    watch: bool = Field(
        default=False, description="look once a second whether the configuration, a model or a certificate changed"
    )


class WindowConfig(ConfigContract):
    """Windows to collect without a model: how the stream is cut and in which order its channels stand.

    A pipeline with this table labels nothing. It publishes every window on ``{device}/capture``, to be kept, labelled
    and fitted on.
    """

    channels: Annotated[list[Annotated[str, StringConstraints(min_length=1, max_length=128)]], Field(min_length=1)] = (
        Field(description="channels of the mapping, in the order of the window")
    )
    sampling_rate_hz: float = Field(gt=0.0, le=1_000_000.0, description="grid points a second")
    window_length: int = Field(ge=2, description="grid points of a window")
    hop_length: int = Field(ge=1, description="grid points from one window to the next")
    policy: Literal["nearest", "linear", "hold"] = Field(
        default="nearest", description="how samples come onto the grid; hold: report-on-change sensors"
    )
    max_age_s: float | None = Field(
        default=None,
        gt=0.0,
        description="hold: how long a value stands; linear: the longest gap bridged; none = the length of a window",
    )
    min_present: float = Field(
        default=0.9, ge=0.0, le=1.0, description="below this share of present values a window is incomplete"
    )

    @model_validator(mode="after")
    def _fits_a_message(self) -> Self:
        if len(set(self.channels)) != len(self.channels):
            raise ValueError(f"channels: names that differ expected, got {self.channels}")
        if self.hop_length > self.window_length:
            raise ValueError(
                f"hop_length: at most window_length ({self.window_length}) expected, got {self.hop_length}"
            )
        if (cells := len(self.channels) * self.window_length) > _MAX_CAPTURED_VALUES:
            expected = f"at most {_MAX_CAPTURED_VALUES} values a window expected"
            raise ValueError(f"window_length: {expected}, got {cells} ({len(self.channels)} channels)")
        return self


class PipelineConfig(ConfigContract):
    """Topics -> mapping -> model; or, to collect data, topics -> mapping -> windows."""

    name: PipelineName = Field(description="of this pipeline, in labels and logs")
    topics: Annotated[list[TopicTemplateText], Field(min_length=1)] = Field(
        description="templates with {device} and {channel}"
    )
    model: Path | None = Field(default=None, description="model file; relative to the configuration file")
    window: WindowConfig | None = Field(
        default=None, description="instead of a model: windows to collect, published on {device}/capture"
    )
    deadline_s: float = Field(
        default=2.0, gt=0.0, le=3600.0, description="how long a window waits for late samples after its end"
    )
    mapping: Mapping

    @model_validator(mode="after")
    def _model_or_window(self) -> Self:
        if (self.model is None) == (self.window is None):
            got = "neither" if self.model is None else "both"
            raise ValueError(
                f"model: a model file, or a table [pipelines.window] to collect windows, expected, got {got}"
            )
        return self


class AgentConfig(ConfigContract):
    """All that an agent is told, version 1.

    Examples
    --------
    >>> config = AgentConfig.model_validate(
    ...     {
    ...         "version": 1,
    ...         "gateway": {"id": "pi4"},
    ...         "pipelines": [
    ...             {
    ...                 "name": "pump",
    ...                 "topics": ["plant/{device}/vibration"],
    ...                 "model": "pump.onnx",
    ...                 "mapping": {"format": "json", "channels": {"x": "x"}},
    ...             }
    ...         ],
    ...     }
    ... )
    >>> config.mqtt.port, config.client_id, config.filters()
    (1883, 'edge-agent-pi4', ['plant/+/vibration'])
    """

    version: Literal[1] = Field(description="version of this contract")
    gateway: GatewayConfig
    mqtt: MqttConfig = MqttConfig()
    limits: LimitsConfig = LimitsConfig()
    delivery: DeliveryConfig = DeliveryConfig()
    status: StatusConfig = StatusConfig()
    reload: ReloadConfig = ReloadConfig()
    pipelines: Annotated[list[PipelineConfig], Field(min_length=1)]

    @property
    def client_id(self) -> str:
        """Stable name of the MQTT session."""
        return self.mqtt.client_id or f"edge-agent-{self.gateway.id}"

    def filters(self) -> list[str]:
        """Topic filters of all pipelines, each once, in the order of the file; shared where the broker divides them."""
        filters = dict.fromkeys(TopicTemplate(topic).filter for pipeline in self.pipelines for topic in pipeline.topics)
        if self.gateway.worker is None or not self.mqtt.shared_group_hashes_topics:
            return list(filters)
        return [f"$share/edge-agent-{self.gateway.id}/{text}" for text in filters]

    def digest_source(self) -> str:
        """The whole configuration as canonical JSON; it holds no secret, only the paths of their files."""
        return self.model_dump_json()

    def problems(self) -> list[str]:
        """What pydantic cannot see: names given twice, topics that would feed the agent its own words."""
        found = []
        if (
            self.delivery.mode == "journal"
            and self.delivery.journal_bytes < _JOURNAL_PAYLOADS * self.limits.payload_bytes
        ):
            found.append(
                f"delivery.journal_bytes: at least {_JOURNAL_PAYLOADS} times limits.payload_bytes "
                f"({_JOURNAL_PAYLOADS * self.limits.payload_bytes}) expected, got {self.delivery.journal_bytes}"
            )
        seen: dict[str, int] = {}
        for index, pipeline in enumerate(self.pipelines):
            if (first := seen.setdefault(pipeline.name, index)) != index:
                found.append(
                    f"pipelines[{index}].name: a name of its own expected, got {pipeline.name!r} as pipelines[{first}]"
                )
            for position, topic in enumerate(pipeline.topics):
                if (own := self._own_topic(topic)) is not None:
                    found.append(
                        f"pipelines[{index}].topics[{position}]: topics of sensors expected, got {topic!r}, "
                        f"which also matches what this agent publishes ({own})"
                    )
        return found

    def _own_topic(self, text: str) -> str | None:
        template = TopicTemplate(text)
        for name, route in ROUTES.items():
            device = _FOREIGN_DEVICE if "{device}" in route.template else None
            worker = 0 if "{worker}" in route.template else None
            topic = topic_for(name, gateway=self.gateway.id, device=device, worker=worker)
            if template.match(topic) is not None:
                return topic
        return None
