"""Gemini's schema objects → JSON Schema, as every other dialect has it.

Both spellings of members, upper- and lower-case types and protobuf's integer types are read (``transport=rest`` of
google-generativeai sends ``"type": 6``). Numbers of the enum: google/ai/generativelanguage/v1beta/content.proto, Type.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dragoman.core.conversation import Path, rejected
from dragoman.dialects.gemini.members import snake

_TYPES: Final = ("", "string", "number", "integer", "boolean", "array", "object", "null")
_PLAIN: Final = (
    "title",
    "description",
    "format",
    "pattern",
    "minimum",
    "maximum",
    "default",
    "enum",
)
_COUNTS: Final = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")


def json_schema(schema: Any, at: Path) -> dict[str, Any]:
    """The same schema as JSON Schema; members that Gemini's schema does not have are left out. Fault 400 naming the
    place for what is no schema. The caller has bounded the depth."""
    if not isinstance(schema, dict):
        raise rejected(at, "gemini", "a schema object is expected")
    out: dict[str, Any] = {}
    named = "type_" if "type_" in schema and "type" not in schema else "type"  # Python spells the keyword so
    kind = _type(schema.get(named), (*at, named))
    if kind:
        out["type"] = kind
    for name in _PLAIN:
        if schema.get(name) is not None:
            out[name] = schema[name]
    for name in _COUNTS:
        if (number := _count(_member(schema, name), (*at, name))) is not None:
            out[name] = number
    items = schema.get("items")
    if items is not None:
        out["items"] = json_schema(items, (*at, "items"))
    out |= _object_members(schema, at)
    branches = _member(schema, "anyOf")
    if branches is not None:
        if not isinstance(branches, list):
            raise rejected((*at, "anyOf"), "gemini", "a list of schemas is expected")
        out["anyOf"] = [json_schema(branch, (*at, "anyOf", n)) for n, branch in enumerate(branches)]
    out |= _references(schema, at)
    return _nullable(out) if schema.get("nullable") is True else out


def _type(value: Any, at: Path) -> str:
    if value is None:
        return ""
    if type(value) is int and 0 <= value < len(_TYPES):
        return _TYPES[value]
    if isinstance(value, str) and (value.lower() in _TYPES or value == "TYPE_UNSPECIFIED"):
        return value.lower() if value.lower() in _TYPES else ""
    raise rejected(at, "gemini", f"unknown type {value!r:.80}")


def _object_members(schema: Mapping[str, Any], at: Path) -> dict[str, Any]:
    out: dict[str, Any] = {}
    given = schema.get("properties")
    if given is not None:
        if not isinstance(given, dict):
            raise rejected((*at, "properties"), "gemini", "an object is expected")
        order = _member(schema, "propertyOrdering")
        names = [n for n in order if isinstance(n, str) and n in given] if isinstance(order, list) else []
        names = list(dict.fromkeys([*names, *given]))
        out["properties"] = {name: json_schema(given[name], (*at, "properties", name)) for name in names}
    if isinstance(required := schema.get("required"), list):
        out["required"] = [name for name in required if isinstance(name, str)]
    extra = _member(schema, "additionalProperties")
    if isinstance(extra, bool):
        out["additionalProperties"] = extra
    elif extra is not None:
        out["additionalProperties"] = json_schema(extra, (*at, "additionalProperties"))
    return out


def _references(schema: Mapping[str, Any], at: Path) -> dict[str, Any]:
    out: dict[str, Any] = {}
    ref = schema.get("$ref") or schema.get("ref")
    if isinstance(ref, str):
        out["$ref"] = ref
    name = "$defs" if "$defs" in schema else "defs"
    defs = schema.get(name)
    if isinstance(defs, dict):
        out["$defs"] = {key: json_schema(inner, (*at, name, key)) for key, inner in defs.items()}
    return out


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    kind = schema.get("type")
    if kind and kind != "null":
        schema["type"] = [kind, "null"]
        if isinstance(schema.get("enum"), list) and None not in schema["enum"]:
            schema["enum"] = [*schema["enum"], None]
    elif "anyOf" in schema:
        schema["anyOf"] = [*schema["anyOf"], {"type": "null"}]
    return schema


def _count(value: Any, at: Path) -> int | None:
    """protobuf's JSON writes an int64 as text."""
    if value is None or type(value) is int:
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        return int(value)
    if type(value) is float and value.is_integer():
        return int(value)
    raise rejected(at, "gemini", "a whole number is expected")


def _member(schema: Mapping[str, Any], name: str) -> Any:
    value = schema.get(name)
    return schema.get(snake(name)) if value is None else value
