"""Schemas as Anthropic takes them."""

from __future__ import annotations

import json

import pytest

from dragoman.dialects.anthropic.schema import cleaned, input_schema


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
