"""JSON Schema → Gemini's subset (E022–E027)."""

from __future__ import annotations

from typing import Any

import pytest
from google.genai import types
from hypothesis import given
from hypothesis import strategies as st

from dragoman.dialects.gemini.schema import SchemaTooLarge, cleaned, without_members


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"type": "string", "description": "d"}, {"type": "STRING", "description": "d"}),
        (
            {"type": ["integer", "null"], "description": "d"},
            {"type": "INTEGER", "nullable": True, "description": "d"},
        ),
        (
            {"type": ["null", "integer"], "description": "d"},
            {"type": "INTEGER", "nullable": True, "description": "d"},
        ),
        ({"type": ["integer", "string"]}, {"anyOf": [{"type": "INTEGER"}, {"type": "STRING"}]}),
        (
            {"type": ["integer", "string", "null"], "description": "d", "minimum": 1, "maxLength": 2},
            {
                "anyOf": [{"type": "INTEGER", "minimum": 1}, {"type": "STRING", "maxLength": 2}],
                "nullable": True,
                "description": "d",
            },
        ),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": "STRING", "nullable": True}),
        (
            {"oneOf": [{"type": "string"}, {"type": "integer"}], "description": "d"},
            {"anyOf": [{"type": "STRING"}, {"type": "INTEGER"}], "description": "d"},
        ),
        ({"const": "a"}, {"type": "STRING", "enum": ["a"]}),
        ({"const": 3}, {"type": "INTEGER", "description": "Always 3."}),
        ({"type": "integer", "enum": [1, 2]}, {"type": "INTEGER", "description": "One of: 1, 2."}),
        ({"enum": ["a", "", None, "a"]}, {"type": "STRING", "enum": ["a"], "nullable": True}),
        ({"type": "null"}, {"type": "NULL"}),
        ({"enum": [None]}, {"type": "NULL"}),
        ({"type": "string", "format": "uuid"}, {"type": "STRING"}),
        ({"type": "string", "format": "date-time"}, {"type": "STRING", "format": "date-time"}),
        ({"type": "integer", "format": "int64"}, {"type": "INTEGER", "format": "int64"}),
        (
            {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 9},
            {"type": "INTEGER", "minimum": 1, "maximum": 8},
        ),
        ({"type": "number", "exclusiveMinimum": 0}, {"type": "NUMBER", "minimum": 0}),
        ({"type": "integer", "minimum": 3, "exclusiveMinimum": True}, {"type": "INTEGER", "minimum": 4}),
        ({"type": "array"}, {"type": "ARRAY", "items": {"type": "STRING"}}),
        (
            {
                "type": "array",
                "prefixItems": [{"type": "string"}, {"type": "integer"}],
                "minItems": 2,
                "uniqueItems": True,
            },
            {"type": "ARRAY", "items": {"anyOf": [{"type": "STRING"}, {"type": "INTEGER"}]}, "minItems": 2},
        ),
        ({"type": "object", "properties": {}}, {"type": "OBJECT"}),
        (True, {}),
    ],
)
def test_keywords(given, expected):
    assert cleaned(given) == expected


def test_what_gemini_does_not_know_is_left_out():
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "x",
        "$comment": "c",
        "type": "object",
        "additionalProperties": False,
        "patternProperties": {"^x": {}},
        "properties": {"b": {"type": "string", "examples": ["e"], "readOnly": True}, "a": {"type": "object"}},
        "required": ["b", "missing", "b"],
        "if": {},
        "not": {},
    }
    told = cleaned(schema)
    assert told == {
        "type": "OBJECT",
        "properties": {"b": {"type": "STRING"}, "a": {"type": "OBJECT"}},
        "required": ["b"],
    }
    assert list(told["properties"]) == ["b", "a"]
    assert cleaned(schema, ordered=True)["propertyOrdering"] == ["b", "a"]


def test_references_are_inlined_and_members_beside_them_count():
    schema = {
        "$defs": {"P": {"type": "object", "description": "a point", "properties": {"x": {"type": "number"}}}},
        "type": "object",
        "properties": {
            "p": {"$ref": "#/$defs/P", "description": "mine"},
            "q": {"$ref": "#/definitions/none"},
        },
    }
    assert cleaned(schema)["properties"] == {
        "p": {"type": "OBJECT", "description": "mine", "properties": {"x": {"type": "NUMBER"}}},
        "q": {"type": "STRING"},  # points at nothing
    }
    assert cleaned({"$ref": "#/$defs/a%20b", "$defs": {"a b": {"type": "integer"}}}) == {"type": "INTEGER"}


def test_every_place_has_a_type():
    """Vertex: "schema didn't specify the schema type field"."""
    properties = {"a": True, "b": {}, "c": {"description": "any"}, "d": {"const": None}, "e": {"not": {}}}
    assert cleaned({"type": "object", "properties": properties})["properties"] == {
        "a": {"type": "STRING"},
        "b": {"type": "STRING"},
        "c": {"type": "STRING", "description": "any"},
        "d": {"type": "NULL"},
        "e": {"type": "STRING"},
    }
    assert cleaned({}) == {}


def test_many_branches_take_no_time_to_compare():
    branches = [{"type": "object", "properties": {f"k{n}": {"type": "string"}}} for n in range(5000)]
    assert len(cleaned({"anyOf": branches + branches[:10]})["anyOf"]) == 5000


def test_a_schema_that_contains_itself_ends():
    schema = {
        "$defs": {
            "N": {"type": "object", "properties": {"v": {"type": "string"}, "next": {"$ref": "#/$defs/N"}}}
        },
        "$ref": "#/$defs/N",
    }
    assert cleaned(schema) == {
        "type": "OBJECT",
        "properties": {"v": {"type": "STRING"}, "next": {"type": "OBJECT"}},
    }
    assert cleaned({"$ref": "#"}) == {"type": "OBJECT"}
    assert cleaned(
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}
    ) == {"type": "OBJECT"}


def test_all_of_is_merged_in_order():
    schema = {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
            {"properties": {"b": {"type": "integer"}, "a": {"minLength": 1}}, "required": ["b"]},
        ],
        "properties": {"c": {"type": "boolean"}},
    }
    told = cleaned(schema)
    assert told == {
        "type": "OBJECT",
        "properties": {
            "a": {"type": "STRING", "minLength": 1},
            "b": {"type": "INTEGER"},
            "c": {"type": "BOOLEAN"},
        },
        "required": ["a", "b"],
    }
    assert list(told["properties"]) == ["a", "b", "c"]


def test_any_of_stands_alone():
    conditions = {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "anyOf": [{"required": ["a"]}, {"required": []}],
    }
    assert cleaned(conditions) == {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}
    both = {
        "type": "object",
        "properties": {"k": {"type": "string"}},
        "anyOf": [{"properties": {"a": {"type": "string"}}}, {"properties": {"b": {"type": "string"}}}],
    }
    told = cleaned(both)
    assert set(told) == {"anyOf"}
    assert [list(branch["properties"]) for branch in told["anyOf"]] == [["k", "a"], ["k", "b"]]


def test_the_given_schema_is_not_changed():
    schema = {"type": ["integer", "null"], "enum": [1], "allOf": [{"minimum": 1}]}
    before = repr(schema)
    cleaned(schema)
    assert repr(schema) == before


def test_a_schema_that_explodes_is_refused():
    levels = {
        f"l{n}": {"type": "object", "properties": {k: {"$ref": f"#/$defs/l{n + 1}"} for k in "abcdefgh"}}
        for n in range(8)
    }
    with pytest.raises(SchemaTooLarge):
        cleaned({"$defs": levels, "$ref": "#/$defs/l0"})
    deep: dict = {"type": "string"}
    for _ in range(150):
        deep = {"type": "array", "items": deep}
    with pytest.raises(SchemaTooLarge):
        cleaned(deep)


def test_without_members():
    assert without_members({})
    assert without_members({"type": "OBJECT"})
    assert not without_members({"type": "STRING"})
    assert not without_members({"type": "OBJECT", "properties": {"a": {}}})


WORDS = ["a", "b", "$ref", "type", "properties", "enum", "items"]
VALUES = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.just(1.5), st.sampled_from(WORDS))
TYPES = st.sampled_from(["object", "array", "string", "integer", "number", "boolean", "null", "odd"])


def _schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    named = st.dictionaries(st.sampled_from(WORDS), inner, max_size=3)
    listed = st.lists(inner, max_size=3)
    members = {
        "type": TYPES | st.lists(TYPES, max_size=3) | VALUES,
        "properties": named | VALUES,
        "required": st.lists(VALUES, max_size=2) | VALUES,
        "items": inner | listed,
        "prefixItems": listed,
        **dict.fromkeys(("anyOf", "oneOf", "allOf"), listed | VALUES),
        **dict.fromkeys(("$defs", "definitions", "patternProperties"), named | VALUES),
        "$ref": st.sampled_from(["#", "#/$defs/a", "#/$defs/b", "#/properties/a", "http://x", "#a"]) | VALUES,
        **dict.fromkeys(("enum", "examples"), st.lists(VALUES | inner, max_size=3) | VALUES),
        **dict.fromkeys(("const", "default", "not", "if", "additionalProperties"), VALUES | inner),
        **dict.fromkeys(("minimum", "exclusiveMinimum", "exclusiveMaximum", "maxLength", "minItems"), VALUES),
        **dict.fromkeys(("title", "description", "format", "pattern", "nullable"), VALUES),
    }
    return st.fixed_dictionaries({}, optional=members)


@given(st.recursive(VALUES, _schemas, max_leaves=12))
def test_no_schema_whatever_raises(schema: Any) -> None:
    before = repr(schema)
    try:
        told = cleaned(schema, ordered=True)
    except SchemaTooLarge:
        return
    assert told == cleaned(schema, ordered=True) and repr(schema) == before
    types.Schema.model_validate(told)
    _check(told, top=True)


def _check(node: dict[str, Any], *, top: bool = False) -> None:
    """What Google demands of every place."""
    assert top or "type" in node or "anyOf" in node, node
    assert not ("type" in node and "anyOf" in node)
    assert all(isinstance(word, str) and word for word in node.get("enum", ()))
    assert node.get("type") != "ARRAY" or node["items"]
    assert node.get("properties") != {}
    assert set(node.get("required", ())) <= set(node.get("properties", ()))
    for inner in (*node.get("properties", {}).values(), *node.get("anyOf", ())):
        _check(inner)
    if "items" in node:
        _check(node["items"])
