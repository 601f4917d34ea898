"""Gemini's schemas → JSON Schema."""

from __future__ import annotations

import pytest

from dragoman.core.faults import Fault
from dragoman.dialects.gemini.schema import cleaned
from dragoman.dialects.gemini.schema_reader import json_schema


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"type": "STRING"}, {"type": "string"}),
        ({"type": "string"}, {"type": "string"}),
        (
            {"type": 6, "properties": {"a": {"type": 1}, "b": {"type": 5, "items": {"type": 3}}}},
            {
                "type": "object",
                "properties": {"a": {"type": "string"}, "b": {"type": "array", "items": {"type": "integer"}}},
            },
        ),
        ({"type": 4}, {"type": "boolean"}),
        ({"type_": "STRING"}, {"type": "string"}),
        ({"type": 2}, {"type": "number"}),
        ({"type": 7}, {"type": "null"}),
        ({"type": "TYPE_UNSPECIFIED", "description": "d"}, {"description": "d"}),
        ({"type": "INTEGER", "nullable": True}, {"type": ["integer", "null"]}),
        (
            {"type": "STRING", "nullable": True, "enum": ["a"]},
            {"type": ["string", "null"], "enum": ["a", None]},
        ),
        (
            {"any_of": [{"type": "STRING"}, {"type": "INTEGER"}], "nullable": True},
            {"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "null"}]},
        ),
        (
            {"type": "ARRAY", "min_items": "2", "maxItems": 3.0},
            {"type": "array", "minItems": 2, "maxItems": 3},
        ),
        (
            {"type": "OBJECT", "additionalProperties": False},
            {"type": "object", "additionalProperties": False},
        ),
        (
            {"defs": {"A": {"type": "STRING"}}, "ref": "#/$defs/A"},
            {"$ref": "#/$defs/A", "$defs": {"A": {"type": "string"}}},
        ),
        ({"type": "STRING", "unknown": 1, "format": None}, {"type": "string"}),
    ],
)
def test_members(given, expected):
    assert json_schema(given, ()) == expected


def test_the_stated_order_of_properties_is_kept():
    told = json_schema(
        {"type": "OBJECT", "properties": {"b": {}, "a": {}, "c": {}}, "propertyOrdering": ["c", "a"]}, ()
    )
    assert list(told["properties"]) == ["c", "a", "b"]


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"type": "OBJECT", "properties": {"a": {"type": "STRNG"}}}, "p.properties.a.type"),
        ({"type": 99}, "p.type"),
        ({"properties": []}, "p.properties"),
        ({"items": "x"}, "p.items"),
        ({"anyOf": {}}, "p.anyOf"),
        ({"minItems": "x"}, "p.minItems"),
        ("x", "p"),
    ],
)
def test_what_is_no_schema_is_refused_by_its_place(given, place):
    with pytest.raises(Fault) as caught:
        json_schema(given, ("p",))
    assert caught.value.status == 400
    assert caught.value.param == place


def test_there_and_back():
    schema = {
        "type": "OBJECT",
        "description": "d",
        "properties": {
            "a": {"type": "STRING", "nullable": True, "enum": ["x", "y"]},
            "b": {"type": "ARRAY", "items": {"type": "INTEGER", "minimum": 1}, "maxItems": 3},
            "c": {"anyOf": [{"type": "STRING"}, {"type": "NUMBER"}], "nullable": True},
        },
        "required": ["a"],
    }
    assert cleaned(json_schema(schema, ())) == schema
