"""Tools and tool_choice of a Responses request."""

from __future__ import annotations

from typing import Any

import pytest

from dragoman.core.conversation import Function, Opaque, ToolChoice, WebSearch
from dragoman.core.faults import Fault
from dragoman.dialects.openai_responses.tool_reader import (
    Declared,
    declared,
    hosted_choice,
    read_choice,
    read_tools,
)


def read(*tools: Any) -> Declared:
    into = declared()
    read_tools(list(tools), ("tools",), into)
    return into


def test_function() -> None:  # E039
    schema = {"type": "object", "properties": {"b": {}, "a": {}}}
    tool = {"type": "function", "name": "f", "description": "d", "parameters": schema, "strict": False}
    function = read(tool).tools[0]
    assert function == Function(name="f", description="d", parameters=schema, strict=False, at=("tools", 0))
    bare = read({"type": "function", "name": "f", "parameters": None, "defer_loading": True}).tools[0]
    assert bare == Function(name="f", at=("tools", 0))


def test_free_text_tool() -> None:  # E040
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}
    tool = read({"type": "custom", "name": "apply_patch", "format": grammar}).tools[0]
    assert tool == Function(name="apply_patch", custom=True, format=grammar, at=("tools", 0))


def test_namespace_is_flattened() -> None:
    into = read(
        {
            "type": "namespace",
            "name": "crm",
            "description": "customers",
            "tools": [{"type": "function", "name": "find"}, {"type": "custom", "name": "note"}],
        }
    )
    assert into.tools == [
        Function(name="find", namespace="crm", at=("tools", 0, "tools", 0)),
        Function(name="note", namespace="crm", custom=True, at=("tools", 0, "tools", 1)),
    ]
    assert into.namespaces == {"crm": "customers"}


@pytest.mark.parametrize("kind", ["web_search", "web_search_preview", "web_search_2025_08_26"])
def test_web_search_is_optional(kind: str) -> None:
    into = read(
        {
            "type": kind,
            "external_web_access": True,
            "search_context_size": "low",
            "user_location": {"type": "approximate", "country": "FR", "city": "Paris"},
            "filters": {"allowed_domains": ["a.org"]},
        }
    )
    assert into.tools == [
        WebSearch(
            context_size="low",
            country="FR",
            city="Paris",
            allowed_domains=("a.org",),
            optional=True,
            at=("tools", 0),
        )
    ]
    assert into.bound == []


@pytest.mark.parametrize(
    "kind",
    [
        "file_search",
        "code_interpreter",
        "computer_use_preview",
        "mcp",
        "image_generation",
        "shell",
        "tomorrow",
    ],
)
def test_tools_of_the_vendor_are_bound(kind: str) -> None:
    raw = {"type": kind, "x": 1}
    into = read(raw)
    assert into.tools == [Opaque(origin="openai_responses", kind=kind, raw=raw, at=("tools", 0))]
    assert into.bound == [(("tools", 0, "type"), kind.replace("_", " "))]


@pytest.mark.parametrize(
    ("tool", "param"),
    [
        (1, "tools[0]"),
        ({}, "tools[0].type"),
        ({"type": 1}, "tools[0].type"),
        ({"type": "function"}, "tools[0].name"),
        ({"type": "function", "name": "f", "parameters": []}, "tools[0].parameters"),
        ({"type": "function", "name": "f", "strict": "yes"}, "tools[0].strict"),
        ({"type": "custom", "name": "f", "format": "x"}, "tools[0].format"),
        ({"type": "namespace", "name": "n", "tools": [{"type": "mcp"}]}, "tools[0].tools[0].type"),
        ({"type": "web_search", "filters": {"allowed_domains": [1]}}, "tools[0].filters.allowed_domains[0]"),
    ],
)
def test_bad_tools(tool: object, param: str) -> None:
    with pytest.raises(Fault) as raised:
        read(tool)
    assert (raised.value.status, raised.value.param) == (400, param)


@pytest.mark.parametrize(
    ("value", "choice"),
    [
        (None, None),
        ("auto", ToolChoice(mode="auto")),
        ("none", ToolChoice(mode="none")),
        ("required", ToolChoice(mode="required")),
        ({"type": "function", "name": "f"}, ToolChoice(mode="tool", name="f")),
        ({"type": "custom", "name": "f"}, ToolChoice(mode="tool", name="f")),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]},
            ToolChoice(mode="required", allowed=("f",)),
        ),
        ({"type": "allowed_tools", "tools": [{"type": "image_generation"}]}, ToolChoice(mode="auto")),
        ({"type": "file_search"}, None),
    ],
)
def test_choice(value: object, choice: ToolChoice | None) -> None:  # E029
    assert read_choice(value) == choice


@pytest.mark.parametrize(
    "value", ["any", 1, {}, {"type": "function"}, {"type": "allowed_tools", "mode": "x"}]
)
def test_bad_choice(value: object) -> None:
    with pytest.raises(Fault) as raised:
        read_choice(value)
    assert str(raised.value.param).startswith("tool_choice")


def test_hosted_choice() -> None:
    assert hosted_choice({"type": "file_search"}) == "file_search"
    assert [hosted_choice(value) for value in (None, "auto", {"type": "function", "name": "f"})] == [""] * 3
