"""The fields of a contract as rows: path, type, default, range, meaning; read from its JSON Schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic import BaseModel

_BOUNDS = (("minimum", "≥ {}"), ("exclusiveMinimum", "> {}"), ("maximum", "≤ {}"), ("exclusiveMaximum", "< {}"))
_LENGTHS = (
    ("minLength", "≥ {} characters"),
    ("maxLength", "≤ {} characters"),
    ("minItems", "≥ {} entries"),
)

Schema = dict[str, Any]


class Field(NamedTuple):
    """One leaf, or a table of names, of a contract.

    ``path`` is dotted; ``[]`` stands for an element of an array, ``<name>`` for a name that the writer chooses.
    """

    path: str
    kind: str
    default: str
    bounds: str
    meaning: str


def fields_of(contract: type[BaseModel], prefix: str = "") -> list[Field]:
    """Every field of a contract, in the order of its definition, nested contracts opened."""
    schema = contract.model_json_schema(by_alias=True)
    return list(_walk(schema, schema.get("$defs", {}), prefix))


def _walk(schema: Schema, definitions: Schema, prefix: str) -> Iterator[Field]:
    required = set(schema.get("required", ()))
    for name, raw in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        inner, suffix = _opened(raw, definitions)
        if "oneOf" in inner:
            for option in inner["oneOf"]:
                opened = _resolved(option, definitions)
                tag = opened["properties"]["format"]["default"]
                yield from _walk(opened, definitions, f"{path}{suffix}({tag}).")
        elif "properties" in inner:
            yield from _walk(inner, definitions, f"{path}{suffix}.")
        else:
            yield Field(
                path, _kind(raw, definitions), _default(raw, is_required=name in required), _bounds(raw), _meaning(raw)
            )


def _opened(raw: Schema, definitions: Schema) -> tuple[Schema, str]:
    """What stands behind references, options and arrays; ``[]`` for an array."""
    schema = _present(_resolved(raw, definitions), definitions)
    if schema.get("type") == "array":
        inner = _present(_resolved(schema.get("items", {}), definitions), definitions)
        return inner, "[]"
    return schema, ""


def _resolved(schema: Schema, definitions: Schema) -> Schema:
    reference = schema.get("$ref")
    return schema if reference is None else definitions[reference.rsplit("/", 1)[-1]]


def _present(schema: Schema, definitions: Schema) -> Schema:
    """The one option of ``X or null`` that is not null."""
    options = [_resolved(option, definitions) for option in schema.get("anyOf", ())]
    options = [option for option in options if option.get("type") != "null"]
    return options[0] if len(options) == 1 else schema


def _kind(raw: Schema, definitions: Schema) -> str:
    schema = _resolved(raw, definitions)
    if "anyOf" in schema:
        kinds = [_kind(option, definitions) for option in schema["anyOf"] if option.get("type") != "null"]
        has_null = any(option.get("type") == "null" for option in schema["anyOf"])
        return " or ".join(kinds) + (", optional" if has_null else "")
    if "const" in schema:
        return f"always {json.dumps(schema['const'])}"
    if "enum" in schema:
        return "one of " + ", ".join(json.dumps(value) for value in schema["enum"])
    kind = str(schema.get("type", "any"))
    if kind == "array":
        return f"array of {_kind(schema.get('items', {}), definitions)}"
    if kind == "object":
        values = schema.get("additionalProperties")
        return f"table: name -> {_kind(values, definitions)}" if isinstance(values, dict) else "table"
    return f"{schema['format']} ({kind})" if "format" in schema else kind


def _default(raw: Schema, *, is_required: bool) -> str:
    if is_required:
        return "required"
    value = raw.get("default")
    return "none" if value is None else json.dumps(value, ensure_ascii=False)


def _bounds(raw: Schema) -> str:
    found = [text.format(part[key]) for part in _parts(raw) for key, text in (*_BOUNDS, *_LENGTHS) if key in part]
    found += [part["pattern"] for part in _parts(raw) if "pattern" in part]
    return ", ".join(found)


def _parts(raw: Schema) -> list[Schema]:
    return [raw, *raw.get("anyOf", ())]


def _meaning(raw: Schema) -> str:
    return str(raw.get("description", ""))
