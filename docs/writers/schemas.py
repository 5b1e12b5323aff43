"""JSON Schema (draft 2020-12) of every message between machines, of the model card and of the agent configuration."""

from __future__ import annotations

import json
import re

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from edge_agent.config import AgentConfig
from schemas import ROUTES, AgentStatus, ModelCard, TopView

DIALECT = GenerateJsonSchema.schema_dialect
"""https://json-schema.org/draft/2020-12/schema"""


def contracts() -> dict[str, type[BaseModel]]:
    """What gets a schema: file name without ending -> contract. The topics name the messages."""
    messages = {route.contract for route in ROUTES.values() if route.contract is not None}
    found: set[type[BaseModel]] = {*messages, AgentStatus, TopView, ModelCard, AgentConfig}
    return {
        _file_name(contract.__name__): contract for contract in sorted(found, key=lambda contract: contract.__name__)
    }


def _file_name(name: str) -> str:
    """``LabelEvent`` -> ``label_event``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def write() -> dict[str, str]:
    """File name -> JSON Schema, keys sorted, so that the bytes depend on the contract alone."""
    return {
        f"{name}.schema.json": json.dumps(
            {"$schema": DIALECT, **contract.model_json_schema(by_alias=True, mode="validation")},
            indent=2,
            sort_keys=True,
            ensure_ascii=False,
        )
        + "\n"
        for name, contract in contracts().items()
    }
