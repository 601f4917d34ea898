"""JSON Schemas as ``output_config.format`` takes them.

Facts (platform.claude.com, structured outputs; the anthropic SDK's own transformation): every object needs
``additionalProperties: false``; bounds, lengths, patterns and most array constraints are refused, as are formats other
than those below; ``oneOf`` is not known, ``anyOf`` is; ``allOf`` goes with no ``$ref``; schemas that contain themselves or
that stand elsewhere are not taken at all. What has to go is restated in the description, where the model still reads it.
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
_MOST_MERGED: Final = 50
"""Parts of ``allOf`` put together at one place, so that a few references cannot stand for a million."""
_SILENT: Final = frozenset({"$schema", "$id", "$comment", "additionalProperties", "oneOf", "strict"})


def cleaned(schema: Json) -> Json:
    """The schema with what Anthropic refuses moved into descriptions. Member order is kept, ``$ref`` is followed in
    ``allOf`` only, so recursive schemas are safe. Depth is bounded by the readers."""
    return _cleaned(schema, schema)


def _cleaned(schema: Json, root: Json) -> Json:
    if type(schema) is not dict:
        return {} if type(schema) is bool else schema
    if type(schema.get("allOf")) is list:
        schema = _joined(schema, root, [])
    out: dict[str, Json] = {}
    told: list[str] = []
    for name, value in schema.items():
        if name in _KEPT:
            out[name] = value
        elif name in _NAMED and type(value) is dict:
            out[name] = {key: _cleaned(inner, root) for key, inner in value.items()}
        elif name == "anyOf" and type(value) is list:
            out[name] = [_cleaned(inner, root) for inner in value]
        elif name == "items" and type(value) is dict:
            out[name] = _cleaned(value, root)
        elif name == "oneOf" and type(value) is list and "anyOf" not in schema:
            out["anyOf"] = [_cleaned(inner, root) for inner in value]
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


def _joined(schema: Mapping[str, Json], root: Json, seen: list[str]) -> dict[str, Json]:
    """The schema with the members of its ``allOf`` in it; what it says itself counts more. A single reference stays
    one; ``additionalProperties: false`` in every part would forbid what the others name."""
    own = {name: value for name, value in schema.items() if name != "allOf"}
    parts = [part for part in schema["allOf"] if type(part) is dict]
    if len(parts) == 1 and "$ref" in parts[0] and "$ref" not in own:
        return {**parts[0], **own}
    out: dict[str, Json] = {}
    for part in parts:
        ref = part.get("$ref")
        if type(ref) is str:
            if ref in seen or len(seen) >= _MOST_MERGED:
                continue
            seen.append(ref)
            part = {**(_target(root, ref) or {}), **{n: v for n, v in part.items() if n != "$ref"}}
        if type(part.get("allOf")) is list:
            part = _joined(part, root, seen)
        out = _both(out, part)
    return _both(out, own)


def _both(first: dict[str, Json], second: Mapping[str, Json]) -> dict[str, Json]:
    out = {**first, **second}
    for name in ("properties", "$defs", "definitions"):
        if type(first.get(name)) is dict and type(second.get(name)) is dict:
            out[name] = {**first[name], **second[name]}
    known, more = first.get("required"), second.get("required")
    if type(known) is list and type(more) is list:
        out["required"] = known + [name for name in more if name not in known]
    return out


def _target(root: Json, ref: str) -> dict[str, Json] | None:
    """The object that a reference into the same document (``#/$defs/Name``) names."""
    place = root
    for step in ref.split("/")[1:] if ref.startswith("#/") or ref == "#" else ("",):
        name = step.replace("~1", "/").replace("~0", "~")
        place = place.get(name) if type(place) is dict else None
    return place if type(place) is dict else None


def expressible(schema: Json) -> bool:
    """Can the schema be an output format at all? Not if it contains itself or refers to what is not in it."""
    inside: dict[str, list[str]] = {"#": _references(schema)}
    todo = list(inside["#"])
    while todo:
        ref = todo.pop()
        if ref not in inside:
            target = _target(schema, ref)
            if target is None:
                return False
            inside[ref] = _references(target)
            todo.extend(inside[ref])
    # Take away what refers to nothing that is left, until nothing can go: what stays is a circle.
    left = {ref for ref in inside if ref != "#"} | ({"#"} & {ref for refs in inside.values() for ref in refs})
    while True:
        free = {ref for ref in left if not left.intersection(inside[ref])}
        if not free:
            return not left
        left -= free


def _references(schema: Json) -> list[str]:
    """Every ``$ref`` somewhere inside."""
    out: list[str] = []
    todo = [schema]
    while todo:
        node = todo.pop()
        if type(node) is dict:
            if type(node.get("$ref")) is str:
                out.append(node["$ref"])
            todo.extend(node.values())
        elif type(node) is list:
            todo.extend(node)
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
