"""The smallest instance of a JSON schema: tool arguments and structured answers.

Understands JSON Schema as the vendors use it for tools and structured outputs (types, enum, const, required,
$ref into the same document, anyOf/oneOf/allOf, lengths, ranges) and Gemini's dialect of it (upper-case or
numbered types, `nullable`). `pattern` is not solved; formats are limited to those below.
"""

from __future__ import annotations

import math
from typing import Any

_FORMATS = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "email": "user@example.com",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "uri": "https://example.com/",
    "ipv4": "192.0.2.1",
    "hostname": "example.com",
    "duration": "PT1S",
}
# google.ai.generativelanguage Type, as sent by clients that write enums as numbers
_NUMBERED = {1: "string", 2: "number", 3: "integer", 4: "boolean", 5: "array", 6: "object", 7: "null"}
_DEEPEST = 24


def sample(schema: Any, name: str = "value", variant: int = 0) -> Any:
    """An instance of `schema`: `name` flavours strings, `variant` (0, 1, …) tells parallel calls apart."""
    return _sample(schema, schema, name, variant, 0)


def _sample(schema: Any, root: Any, name: str, variant: int, depth: int) -> Any:
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return None if schema is False or depth > _DEEPEST else {}
    if "$ref" in schema:
        return _sample(_resolve(schema["$ref"], root), root, name, variant, depth + 1)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][variant % len(schema["enum"])]
    for key in ("anyOf", "oneOf", "any_of"):
        if schema.get(key):
            return _sample(_simplest(schema[key], depth), root, name, variant, depth + 1)
    if schema.get("allOf"):
        merged: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
        for part in schema["allOf"]:
            _merge(merged, _resolve(part["$ref"], root) if "$ref" in part else part)
        return _sample(merged, root, name, variant, depth + 1)
    kind = _kind(schema)
    if kind == "object":
        return _object(schema, root, variant, depth)
    if kind == "array":
        count: int = schema.get("minItems") or (1 if depth < 3 else 0)
        item = schema.get("items", {"type": "string"})
        return [_sample(item, root, name, variant + i, depth + 1) for i in range(count)]
    if kind == "string":
        return _string(schema, name, variant)
    if kind in ("integer", "number"):
        return _number(schema, kind, variant)
    return {"boolean": True, "null": None}.get(kind, {})


def _kind(schema: dict[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((k for k in kind if k != "null"), "null")
    kind = _NUMBERED.get(kind, kind) if isinstance(kind, int) else kind
    if kind:
        return str(kind).lower()
    if "properties" in schema:
        return "object"
    return "array" if "items" in schema else ""


def _object(schema: dict[str, Any], root: Any, variant: int, depth: int) -> dict[str, Any]:
    properties = schema.get("properties") or {}
    wanted = schema.get("required")
    # A schema without `required` would be met by {}, which tells a reader nothing: fill it in at the top.
    names = list(wanted) if wanted else (list(properties) if depth == 0 else [])
    return {n: _sample(properties.get(n, {"type": "string"}), root, n, variant, depth + 1) for n in names}


def _string(schema: dict[str, Any], name: str, variant: int) -> str:
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    text = name if variant == 0 else f"{name} {variant + 1}"
    text = text.ljust(int(schema.get("minLength", 0)), "x")
    return text[: int(schema["maxLength"])] if "maxLength" in schema else text


def _number(schema: dict[str, Any], kind: str, variant: int) -> int | float:
    low = schema.get("minimum")
    above = schema.get("exclusiveMinimum")
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    value: float = low if low is not None else (above + 1 if above is not None else 1 + variant)
    if high is not None and value > high:
        value = high
    if high is not None and value == schema.get("exclusiveMaximum"):
        value = value - 1
    step = schema.get("multipleOf")
    if step:
        value = math.ceil(value / step) * step
    return int(value) if kind == "integer" or float(value).is_integer() else float(value)


def _simplest(options: list[Any], depth: int) -> Any:
    """The first option that is not null; deep down a null, so that recursive schemas end."""
    nulls = [o for o in options if isinstance(o, dict) and o.get("type") == "null"]
    if depth > 8 and nulls:
        return nulls[0]
    return next((o for o in options if o not in nulls), options[0])


def _merge(into: dict[str, Any], part: dict[str, Any]) -> None:
    for key, value in part.items():
        if key == "properties":
            into["properties"] = {**into.get("properties", {}), **value}
        elif key == "required":
            into["required"] = [*into.get("required", []), *value]
        else:
            into[key] = value


def _resolve(reference: str, root: Any) -> Any:
    node = root
    for step in reference.lstrip("#/").split("/"):
        if step:
            node = node.get(step.replace("~1", "/").replace("~0", "~"), {}) if isinstance(node, dict) else {}
    return node
