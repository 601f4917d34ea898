from typing import Any

import pytest

from dragoman.simulator.schema import sample


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string"}, "value"),
        ({"type": "string", "minLength": 7}, "valuexx"),
        ({"type": "string", "maxLength": 2}, "va"),
        ({"type": "string", "format": "date"}, "2026-01-01"),
        ({"type": "integer"}, 1),
        ({"type": "integer", "minimum": 18}, 18),
        ({"type": "integer", "exclusiveMinimum": 4, "multipleOf": 3}, 6),
        ({"type": "number", "maximum": 0.5}, 0.5),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": ["null", "integer"]}, 1),
        ({"enum": ["a", "b"]}, "a"),
        ({"const": 7}, 7),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [1, 2]),
        ({"anyOf": [{"type": "null"}, {"type": "boolean"}]}, True),
        (
            {"allOf": [{"type": "object", "properties": {"a": {"type": "integer"}}}, {"required": ["a"]}]},
            {"a": 1},
        ),
        ({"type": "OBJECT", "properties": {"n": {"type": "NUMBER"}}, "required": ["n"]}, {"n": 1}),
        ({"type": 6, "properties": {"s": {"type": 1}}}, {"s": "s"}),
        ({"type": "object", "properties": {"a": {"type": "string"}, "b": {}}, "required": ["a"]}, {"a": "a"}),
        ({}, {}),
        (True, {}),
    ],
)
def test_smallest_instances(schema: Any, expected: Any) -> None:
    assert sample(schema) == expected


def test_references_into_the_document() -> None:
    schema = {
        "$defs": {"p": {"type": "object", "properties": {"x": {"type": "integer"}}}},
        "$ref": "#/$defs/p",
    }
    assert sample(schema) == {}
    schema = {"$defs": {"p": {"type": "integer"}}, "properties": {"x": {"$ref": "#/$defs/p"}}}
    assert sample(schema) == {"x": 1}


def test_recursive_schemas_end() -> None:
    node = {
        "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
        "required": ["next"],
        "type": "object",
    }
    text = str(sample(node))
    assert text.count("next") < 20


def test_variants_differ() -> None:
    schema = {
        "properties": {"city": {"type": "string"}, "unit": {"enum": ["c", "f"]}},
        "required": ["city", "unit"],
    }
    assert sample(schema, variant=0) == {"city": "city", "unit": "c"}
    assert sample(schema, variant=1) == {"city": "city 2", "unit": "f"}
