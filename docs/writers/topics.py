"""The page of topics: the one table of ``schemas.ROUTES``, and the fields of every message in it."""

from __future__ import annotations

import inspect

from docs.writers.fields import fields_of
from docs.writers.markdown import code, page, table
from docs.writers.schemas import contracts
from schemas import ROUTES

_DIRECTIONS = {"out": "agent → broker", "in": "broker → agent", "loop": "agent → broker → agent"}

_INTRODUCTION = """
Everything that an agent publishes stands below `telltale/v1/{gateway}/`. The topics of sensors are a separate tree:
they are named in the configuration of each pipeline ([configuration.md](configuration.md)), and an agent refuses one
that would match its own tree.

`{gateway}` and `{device}` are 1 to 64 of `[a-z0-9-]`. The name of a device is put into that form (`Living room/Temp 1`
becomes `living-room-temp-1`). Readers must ignore fields that they do not know: newer agents may add some. `capture`
comes from pipelines without a model, which collect windows.
"""


def write() -> str:
    """The page."""
    rows = [
        [
            code(route.name),
            code(route.template),
            code(route.contract.__name__) if route.contract is not None else "",
            _DIRECTIONS[route.direction],
            str(route.qos),
            "yes" if route.retain else "no",
            route.meaning,
        ]
        for route in ROUTES.values()
    ]
    parts = [_INTRODUCTION, table(["name", "topic", "message", "way", "QoS", "retained", "meaning"], rows)]
    messages = {route.contract for route in ROUTES.values()}
    for name, contract in contracts().items():
        if contract in messages:
            fields = [
                [code(field.path), field.kind.replace("|", "\\|"), field.bounds.replace("|", "\\|"), field.meaning]
                for field in fields_of(contract)
            ]
            parts += [
                f"## {contract.__name__}",
                f"{inspect.getdoc(contract)}",
                table(["field", "type", "range", "meaning"], fields),
                f"JSON Schema: [schemas/{name}.schema.json](schemas/{name}.schema.json).",
            ]
    return page("Topics and messages", *parts)
