"""JSON Schema → the OpenAPI subset that Gemini takes (``parameters``, ``responseSchema``).

Facts: https://ai.google.dev/api/caching#Schema and the live service's refusals. Types are single upper-case words, null
is ``nullable``, ``enum`` holds non-empty strings, ``format`` is one of ``_FORMATS``, an ARRAY has ``items``, an OBJECT has
no empty ``properties``, ``required`` names existing properties, there is no ``$ref``. What the subset lacks is left out;
a fixed set of numbers is restated in the description. ``SchemaTooLarge`` for schemas that explode or never end.
The way back (Gemini's schema → JSON Schema) is ``schema_reader``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeGuard
from urllib.parse import unquote

import msgspec

Node = dict[str, Any]
Refs = frozenset[str]

MAX_DEPTH: Final = 100
MAX_NODES: Final = 20_000
"""Nodes after all references are inlined: a few kilobytes of nested ``$ref`` can stand for billions."""

_TYPES: Final = frozenset({"string", "number", "integer", "boolean", "array", "object", "null"})
_FORMATS: Final[Mapping[str, frozenset[str]]] = {
    "string": frozenset({"enum", "date-time"}),
    "number": frozenset({"float", "double"}),
    "integer": frozenset({"int32", "int64"}),
}
_COUNTS: Final[Mapping[str, tuple[str, ...]]] = {
    "string": ("minLength", "maxLength"),
    "array": ("minItems", "maxItems"),
    "object": ("minProperties", "maxProperties"),
}
_OUTER: Final = ("title", "description", "default", "nullable")
"""Members that say something about a place, whatever may stand there."""
_STRUCTURE: Final = ("type", "properties", "items", "prefixItems", "enum", "const", "anyOf", "oneOf")
_HINTS: Final[Mapping[str, str]] = {
    "properties": "object",
    "required": "object",
    "additionalProperties": "object",
    "patternProperties": "object",
    "items": "array",
    "prefixItems": "array",
    "minItems": "array",
    "maxItems": "array",
    "pattern": "string",
    "minLength": "string",
    "maxLength": "string",
    "minimum": "number",
    "maximum": "number",
    "multipleOf": "number",
}
"""What a schema without ``type`` is about, by the first of these members that it has."""


class SchemaTooLarge(ValueError):
    """The schema is too deep, or too large once its references are inlined."""


def cleaned(schema: object, *, ordered: bool = False) -> Node:
    """The schema as Gemini takes it; {} if it says nothing. ordered: every OBJECT states ``propertyOrdering``, so that
    an answer has its members in the client's order."""
    return _Cleaner(schema, ordered).node(schema, frozenset(), 0)


def without_members(schema: Mapping[str, Any]) -> bool:
    """A cleaned schema that stands for "an object without members" or for nothing: not to be sent as parameters."""
    return not schema or (schema.get("type") == "OBJECT" and not schema.get("properties"))


class _Cleaner:
    def __init__(self, root: object, ordered: bool) -> None:
        self._root = root
        self._ordered = ordered
        self._nodes = 0

    def node(self, schema: object, refs: Refs, depth: int) -> Node:
        self._nodes += 1
        if self._nodes > MAX_NODES or depth > MAX_DEPTH:
            raise SchemaTooLarge("the schema is too deep or too large")
        if not isinstance(schema, dict):
            return {}  # true: anything
        flat, refs = self._flat(schema, refs, depth)
        branches = flat.get("anyOf") or flat.get("oneOf")
        if isinstance(branches, list) and branches:
            return self._union(flat, branches, refs, depth)
        return self._plain(flat, refs, depth)

    # -- references and allOf ------------------------------------------------------------------------------

    def _flat(self, schema: Node, refs: Refs, depth: int) -> tuple[Node, Refs]:
        """The schema without ``$ref`` and ``allOf`` at this level, and the references that are open inside it."""
        if depth > MAX_DEPTH:
            raise SchemaTooLarge("the schema is too deep")
        own = {
            name: value
            for name, value in schema.items()
            if name not in ("$ref", "allOf") and (value is not None or name == "const")
        }
        out: Node = {}
        ref = schema.get("$ref")
        if isinstance(ref, str):
            target = self._target(ref)
            if ref in refs:
                # It contains itself: the type is told, what is inside is left open.
                kind = target.get("type")
                known = {"type": kind if isinstance(kind, str) else "object"}
                if isinstance(text := target.get("description"), str):
                    known["description"] = text
                target = known
            refs |= {ref}
            out, refs = self._flat(target, refs, depth + 1)
        parts = schema.get("allOf")
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict):
                self._nodes += 1
                inner, refs = self._flat(part, refs, depth + 1)
                out = _merged(out, inner)
        return _merged(out, own), refs

    def _target(self, ref: str) -> Node:
        """What a local reference (``#/$defs/Name``) points at; {} where there is nothing."""
        place: object = self._root
        for step in ref.removeprefix("#").split("/")[1:] if ref.startswith("#") else ("",):
            name = unquote(step).replace("~1", "/").replace("~0", "~")
            if isinstance(place, list) and name.isdecimal() and int(name) < len(place):
                place = place[int(name)]
            elif isinstance(place, dict):
                place = place.get(name)
            else:
                return {}
        return place if isinstance(place, dict) else {}

    # -- unions ----------------------------------------------------------------------------------------------

    def _union(self, flat: Node, branches: list[Any], refs: Refs, depth: int) -> Node:
        outer: Node = {name: flat[name] for name in _OUTER if name in flat}
        base = {name: v for name, v in flat.items() if name not in (*_OUTER, "anyOf", "oneOf")}
        based = any(name in base for name in _STRUCTURE)
        flats = [self._flat(b, refs, depth + 1) for b in branches if isinstance(b, dict)]
        if based and not any(name in b for b, _ in flats for name in _STRUCTURE):
            # Branches such as {"required": ["a"]}: conditions on what is already described, beyond the subset.
            return self._plain(outer | base, refs, depth)
        nullable = outer.get("nullable") is True
        kept: list[tuple[Node, Refs]] = []
        for branch, inside in flats:
            if _is_null(branch):
                nullable = True
            else:
                kept.append((_merged(base, branch) if based else branch, inside))
        nodes = [self.node(branch, inside, depth + 1) for branch, inside in kept]
        nodes = list({msgspec.json.encode(node): node for node in nodes if node}.values())
        if not nodes:
            out: Node = {"type": "NULL"} if nullable and not kept else {}
        elif len(nodes) == 1:
            out = nodes[0]
        else:
            out = {"anyOf": nodes}
        return _with_outer(out, outer, nullable and out.get("type") != "NULL")

    # -- one schema ------------------------------------------------------------------------------------------

    def _plain(self, flat: Node, refs: Refs, depth: int) -> Node:
        types, nullable = _types_of(flat)
        outer: Node = {name: flat[name] for name in _OUTER if name in flat}
        nullable = nullable or outer.get("nullable") is True
        values = _values(flat)
        if any(value is None for value in values) and values != [None]:
            nullable = True
        notes = _fixed(values) if types != ["string"] else ""
        if not types:
            out: Node = {"type": "NULL"} if nullable and ("type" in flat or values == [None]) else {}
        elif len(types) == 1:
            out = self._typed(types[0], flat, refs, depth)
        else:
            out = {"anyOf": [self._typed(kind, flat, refs, depth) for kind in types]}
        if notes:
            told = outer.get("description")
            outer["description"] = f"{told} {notes}" if isinstance(told, str) and told else notes
        return _with_outer(out, outer, nullable and out.get("type") != "NULL")

    def _typed(self, kind: str, flat: Node, refs: Refs, depth: int) -> Node:
        out: Node = {"type": kind.upper()}
        if flat.get("format") in _FORMATS.get(kind, ()):
            out["format"] = flat["format"]
        if kind == "string":
            if words := [v for v in _values(flat) if isinstance(v, str) and v]:
                out["enum"] = list(dict.fromkeys(words))
            if isinstance(flat.get("pattern"), str):
                out["pattern"] = flat["pattern"]
        elif kind in ("number", "integer"):
            out |= _bounds(kind, flat)
        elif kind == "array":
            out |= self._items(flat, refs, depth)
        elif kind == "object":
            out |= self._members(flat, refs, depth)
        for name in _COUNTS.get(kind, ()):
            if type(flat.get(name)) is int:
                out[name] = flat[name]
        return out

    def _items(self, flat: Node, refs: Refs, depth: int) -> Node:
        items = flat.get("items")
        places = flat.get("prefixItems")
        if isinstance(items, list):  # the tuple form of older drafts
            places, items = items, flat.get("additionalItems")
        told: Node = {}
        if isinstance(places, list) and places:
            whole = [*places, items] if isinstance(items, dict) else places
            told = self.node({"anyOf": whole}, refs, depth + 1)
        elif isinstance(items, dict):
            told = self.node(items, refs, depth + 1)
        # An ARRAY without items is refused.
        return {"items": _said(told)}

    def _members(self, flat: Node, refs: Refs, depth: int) -> Node:
        given = flat.get("properties")
        told: Node = {}
        for name, schema in given.items() if isinstance(given, dict) else ():
            if schema is not False:
                told[name] = _said(self.node(schema, refs, depth + 1))
        if not told:
            return {}
        out: Node = {"properties": told}
        required = flat.get("required")
        names = (
            [n for n in required if isinstance(n, str) and n in told] if isinstance(required, list) else []
        )
        if names:
            out["required"] = list(dict.fromkeys(names))
        if self._ordered:
            out["propertyOrdering"] = list(told)
        return out


def _said(node: Node) -> Node:
    """A node with a type: Vertex refuses others. Text is what a model can always put there."""
    return node if "type" in node or "anyOf" in node else {"type": "STRING", **node}


def _merged(first: Node, second: Node) -> Node:
    """Both hold: members of both, properties and required united; where they say different things, ``second`` counts."""
    out = dict(first)
    for name, value in second.items():
        known = out.get(name)
        if name == "properties" and isinstance(known, dict) and isinstance(value, dict):
            both = {
                key: {"allOf": [known[key], value[key]]}
                if key in value and known[key] != value[key]
                else known[key]
                for key in known
            }
            out[name] = both | {key: inner for key, inner in value.items() if key not in known}
        elif name == "required" and isinstance(known, list) and isinstance(value, list):
            out[name] = known + [key for key in value if key not in known]
        else:
            out[name] = value
    return out


def _types_of(flat: Node) -> tuple[list[str], bool]:
    """(types without null, is null allowed), inferred where the schema does not say."""
    given = flat.get("type")
    words = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    types = [word.lower() for word in words if isinstance(word, str) and word.lower() in _TYPES]
    if not types:
        types = _kinds(_values(flat))
    if not types:
        types = [next((kind for name, kind in _HINTS.items() if name in flat), "")]
    return [kind for kind in dict.fromkeys(types) if kind not in ("null", "")], "null" in types


def _values(flat: Node) -> list[Any]:
    """The values that alone are allowed; [] if any are."""
    if "const" in flat:
        return [flat["const"]]
    given = flat.get("enum")
    return given if isinstance(given, list) else []


def _kinds(values: Iterable[Any]) -> list[str]:
    kinds: list[str] = []
    for value in values:
        kind = _KINDS.get(type(value), "")
        if kind and kind not in kinds:
            kinds.append(kind)
    if "number" in kinds and "integer" in kinds:
        kinds.remove("integer")
    return kinds


_KINDS: Final[Mapping[type, str]] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    list: "array",
    dict: "object",
    type(None): "null",
}


def _fixed(values: list[Any]) -> str:
    """Values that cannot be an enum, in words: "One of: 1, 2."."""
    if not any(not isinstance(value, str) and value is not None for value in values):
        return ""
    told = ", ".join(msgspec.json.encode(value).decode() for value in values)
    return f"Always {told}." if len(values) == 1 else f"One of: {told}."


def _is_null(flat: Node) -> bool:
    kind = flat.get("type")
    if kind in ("null", ["null"]) or (isinstance(kind, str) and kind.lower() == "null"):
        return True
    return "type" not in flat and _values(flat) == [None] and not any(n in flat for n in ("anyOf", "oneOf"))


def _bounds(kind: str, flat: Node) -> Node:
    """minimum and maximum. Exclusive bounds of whole numbers move by one, of others they become inclusive."""
    out: Node = {}
    for name, exclusive, step in (("minimum", "exclusiveMinimum", 1), ("maximum", "exclusiveMaximum", -1)):
        bound, edge = flat.get(name), flat.get(exclusive)
        if edge is True and _is_number(bound):  # draft 4: a flag on the bound
            edge, bound = bound, None
        if _is_number(edge):
            moved = edge + step if kind == "integer" and edge == int(edge) else edge
            if not _is_number(bound):
                bound = moved
            else:
                bound = max(bound, moved) if step > 0 else min(bound, moved)
        if _is_number(bound):
            out[name] = bound
    return out


def _is_number(value: Any) -> TypeGuard[int | float]:
    return type(value) in (int, float)


def _with_outer(node: Node, outer: Node, nullable: bool) -> Node:
    """The node with what is said about its place; the place's own words come before the branch's."""
    told: Node = {}
    for name in ("title", "description"):
        if isinstance(outer.get(name), str) and outer[name]:
            told[name] = outer[name]
    if nullable:
        told["nullable"] = True
    if "default" in outer:
        told["default"] = outer["default"]
    return node | told
