"""Schemas as Anthropic takes them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.dialects.anthropic.schema import cleaned, expressible, input_schema

REFS = st.sampled_from(["#", "#/$defs/a", "#/$defs/b", "#/properties/a", "http://x", "#a"])
VALUES = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["a", "object", "$ref"]) | REFS


def _schemas(inner):
    named = st.dictionaries(st.sampled_from(["a", "b", "$ref"]), inner, max_size=3) | VALUES
    listed = st.lists(inner, max_size=3) | VALUES
    members = {
        "$ref": REFS | VALUES,
        "type": st.sampled_from(["object", "array", "string"]) | listed,
        **dict.fromkeys(("properties", "$defs", "definitions"), named),
        **dict.fromkeys(("anyOf", "oneOf", "allOf", "enum", "required", "prefixItems"), listed),
        **dict.fromkeys(("items", "const", "additionalProperties", "description", "minItems", "not"), inner),
    }
    return st.fixed_dictionaries({}, optional=members)


def test_e105():
    schema = {
        "type": "object",
        "properties": {"a": {"type": "integer", "minimum": 1}},
        "required": ["a"],
        "additionalProperties": False,
    }
    before = json.dumps(schema)
    assert cleaned(schema) == {
        "type": "object",
        "properties": {"a": {"type": "integer", "description": "(minimum: 1)"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    assert json.dumps(schema) == before


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (
            {"type": "string", "description": "d", "minLength": 2, "pattern": "^a"},
            {"type": "string", "description": 'd (minLength: 2, pattern: "^a")'},
        ),
        ({"type": "string", "format": "date"}, {"type": "string", "format": "date"}),
        (
            {"type": "string", "format": "phone"},
            {"type": "string", "description": '(format: "phone")'},
        ),
        (
            {"type": "array", "items": {"type": "object"}, "minItems": 1, "maxItems": 3, "uniqueItems": True},
            {
                "type": "array",
                "items": {"type": "object", "additionalProperties": False},
                "minItems": 1,
                "description": "(maxItems: 3, uniqueItems: true)",
            },
        ),
        ({"type": "array", "minItems": 2}, {"type": "array", "description": "(minItems: 2)"}),
        (
            {"oneOf": [{"type": "object"}, {"type": "null"}]},
            {"anyOf": [{"type": "object", "additionalProperties": False}, {"type": "null"}]},
        ),
        (
            {"type": ["object", "null"], "properties": {}},
            {"type": ["object", "null"], "properties": {}, "additionalProperties": False},
        ),
        (
            {"type": "object", "additionalProperties": {"type": "string"}},
            {
                "type": "object",
                "additionalProperties": False,
                "description": '(additionalProperties: {"type":"string"})',
            },
        ),
        (
            {"$schema": "x", "enum": ["a"], "const": "a", "default": "a"},
            {"enum": ["a"], "const": "a", "default": "a"},
        ),
        ({"properties": {"minimum": True}}, {"properties": {"minimum": {}}, "additionalProperties": False}),
        ({"type": "string", "format": ["odd"]}, {"type": "string", "description": '(format: ["odd"])'}),
    ],
)
def test_keywords(schema, expected):
    assert cleaned(schema) == expected


def test_recursive_schemas():
    schema = {
        "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}},
        "$ref": "#/$defs/node",
    }
    assert cleaned(schema) == {
        "$defs": {
            "node": {
                "type": "object",
                "properties": {"next": {"$ref": "#/$defs/node"}},
                "additionalProperties": False,
            }
        },
        "$ref": "#/$defs/node",
    }


def test_order_is_kept():
    assert list(cleaned({"properties": {"b": {}, "a": {}}, "type": "object"})["properties"]) == ["b", "a"]


def test_input_schemas():
    given = {"type": "object", "properties": {"a": {"minimum": 1}}}
    assert input_schema(given) is given
    assert input_schema(None) == input_schema({}) == {"type": "object", "properties": {}}
    assert input_schema({"properties": {}}) == {"type": "object", "properties": {}}


def test_all_of_is_put_together():
    """``additionalProperties: false`` in every part would forbid what the others name; a reference is refused there."""
    schema = {
        "allOf": [
            {"$ref": "#/$defs/A"},
            {"type": "object", "properties": {"b": {"type": "integer", "minimum": 1}}, "required": ["b"]},
        ],
        "description": "both",
        "$defs": {"A": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}},
    }
    found = cleaned(schema)
    assert list(found["properties"]) == ["a", "b"] and found["required"] == ["a", "b"]
    assert found["properties"]["b"]["description"] == "(minimum: 1)"
    assert (found["type"], found["description"], found["additionalProperties"]) == ("object", "both", False)
    assert "allOf" not in found
    # Pydantic's way to say more about a reference.
    color = {"allOf": [{"$ref": "#/$defs/A"}], "default": "r", "description": "d"}
    assert cleaned(color) == {"$ref": "#/$defs/A", "default": "r", "description": "d"}
    assert cleaned({"allOf": [{"$ref": "#"}, {"type": "object"}]})["type"] == "object"


@pytest.mark.parametrize(
    ("schema", "can"),
    [
        ({"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"type": "string"}}}, True),
        ({"type": "object", "properties": {"a": {"$ref": "#"}}}, False),
        ({"$ref": "#/$defs/N", "$defs": {"N": {"properties": {"n": {"$ref": "#/$defs/N"}}}}}, False),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"items": {"$ref": "#/$defs/A"}}}}, False),
        ({"properties": {"a": {"$ref": "https://x/y.json"}}}, False),
        ({"properties": {"a": {"$ref": "#/$defs/none"}}}, False),
        ({"properties": {"a": {"$ref": "#/$defs/A"}, "b": {"$ref": "#/$defs/A"}}, "$defs": {"A": {}}}, True),
        (True, True),
    ],
)  # fmt: skip
def test_schemas_that_no_format_can_express(schema, can):
    assert expressible(schema) is can


@given(st.recursive(VALUES, _schemas, max_leaves=12))
def test_no_schema_whatever_raises(schema):
    before = repr(schema)
    assert cleaned(schema) == cleaned(schema) and repr(schema) == before
    expressible(schema)
