"""What the machines of Telltale say to each other: messages, model card, mappings and topics.

One job: contracts. pydantic only; no numpy, no I/O, no logging, no MQTT client may enter this room.
Everything here is a frozen value. On the wire a stray field is ignored, in a configuration it is an error.

Modules of contracts do without ``from __future__ import annotations``: pydantic would compile each annotation from its
text again, at every start of an agent. A contract builds its validator when it is first used (``defer_build``).
"""

from schemas.card import (
    CARD_METADATA_KEY,
    CARD_SCHEMA,
    Channel,
    DataFacts,
    FeatureBlock,
    GoldenWindow,
    Grid,
    HeadFacts,
    Metric,
    ModelCard,
    NoveltyFacts,
    parse_card,
)
from schemas.contract import ConfigContract, WireContract
from schemas.errors import ConfigError, ContractError, EdgeError
from schemas.label import LabelEvent, LabelState, ModelRef, WindowFacts, WindowQuality, format_timestamp
from schemas.mapping import (
    BinaryField,
    BinaryMapping,
    BinaryTime,
    JsonMapping,
    JsonTime,
    Mapping,
    ScalarMapping,
)
from schemas.status import (
    STATUS_SOCKET,
    AgentHealth,
    AgentInfo,
    AgentMetrics,
    AgentStatus,
    Alarm,
    Alarms,
    Availability,
    Barrier,
    Capture,
    DeviceView,
    GapEvent,
    PipelineMetrics,
    StatusRequest,
    TopView,
)
from schemas.topics import ROUTES, Route, TopicTemplate, topic_for

__all__ = [
    "CARD_METADATA_KEY",
    "CARD_SCHEMA",
    "ROUTES",
    "STATUS_SOCKET",
    "AgentHealth",
    "AgentInfo",
    "AgentMetrics",
    "AgentStatus",
    "Alarm",
    "Alarms",
    "Availability",
    "Barrier",
    "BinaryField",
    "BinaryMapping",
    "BinaryTime",
    "Capture",
    "Channel",
    "ConfigContract",
    "ConfigError",
    "ContractError",
    "DataFacts",
    "DeviceView",
    "EdgeError",
    "FeatureBlock",
    "GapEvent",
    "GoldenWindow",
    "Grid",
    "HeadFacts",
    "JsonMapping",
    "JsonTime",
    "LabelEvent",
    "LabelState",
    "Mapping",
    "Metric",
    "ModelCard",
    "ModelRef",
    "NoveltyFacts",
    "PipelineMetrics",
    "Route",
    "ScalarMapping",
    "StatusRequest",
    "TopView",
    "TopicTemplate",
    "WindowFacts",
    "WindowQuality",
    "WireContract",
    "format_timestamp",
    "parse_card",
    "topic_for",
]
