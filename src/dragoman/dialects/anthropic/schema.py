"""JSON Schemas as ``output_config.format`` takes them.

Facts (platform.claude.com, structured outputs; the anthropic SDK's own transformation): every object needs
``additionalProperties: false``; bounds, lengths, patterns and most array constraints are refused, as are formats other
than those below; ``oneOf`` is not known, ``anyOf`` is. What has to go is restated in the description, where the model
still reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from dragoman.core.conversation import Json

_FORMATS: Final = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)
_KEPT: Final = frozenset({"$ref", "type", "title", "description", "enum", "const", "default", "required"})
_NAMED: Final = frozenset({"properties", "$defs", "definitions"})  # name → schema
_LISTS: Final = frozenset({"anyOf", "allOf"})
_SILENT: Final = frozenset({"$schema", "$id", "$comment", "additionalProperties", "oneOf", "strict"})


def cleaned(schema: Json) -> Json:
    """The schema with what Anthropic refuses moved into descriptions. Member order is kept, ``$ref`` is not followed,
    so recursive schemas are safe. Depth is bounded by the readers."""
    if type(schema) is not dict:
        return {} if type(schema) is bool else schema
    out: dict[str, Json] = {}
    told: list[str] = []
    for name, value in schema.items():
        if name in _KEPT:
            out[name] = value
        elif name in _NAMED and type(value) is dict:
            out[name] = {key: cleaned(inner) for key, inner in value.items()}
        elif name in _LISTS and type(value) is list:
            out[name] = [cleaned(inner) for inner in value]
        elif name == "items" and type(value) is dict:
            out[name] = cleaned(value)
        elif name == "oneOf" and type(value) is list and "anyOf" not in schema:
            out["anyOf"] = [cleaned(inner) for inner in value]
        elif _fits(name, value):
            out[name] = value
        elif name not in _SILENT or (name == "additionalProperties" and type(value) is dict):
            told.append(f"{name}: {msgspec.json.encode(value).decode()}")
    if _is_object(schema):
        out["additionalProperties"] = False
    if told:
        said = out.get("description")
        note = f"({', '.join(told)})"
        out["description"] = f"{said} {note}" if type(said) is str and said else note
    return out


def _fits(name: str, value: Json) -> bool:
    """Constraints that are taken with some values only."""
    return (name == "minItems" and value in (0, 1)) or (
        name == "format" and type(value) is str and value in _FORMATS
    )


def _is_object(schema: Mapping[str, Json]) -> bool:
    kind = schema.get("type")
    return kind == "object" or (type(kind) is list and "object" in kind) or "properties" in schema


def input_schema(parameters: Mapping[str, Json] | None) -> Mapping[str, Json]:
    """A tool's schema; Anthropic wants one, of type object, even where the tool takes nothing."""
    if not parameters:
        return {"type": "object", "properties": {}}
    return parameters if "type" in parameters else {"type": "object", **parameters}
