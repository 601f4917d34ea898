"""Tools of a client's request."""

from __future__ import annotations

import pytest

from dragoman.core.conversation import Cache, Function, Opaque, ToolChoice, WebSearch
from dragoman.core.faults import Fault
from dragoman.dialects.anthropic.members import Members
from dragoman.dialects.anthropic.tool_reader import read_choice, read_tools


def tools(*listed):
    bound = []
    return read_tools(Members({"tools": list(listed)}, ()), bound), bound


def test_functions():
    schema = {"type": "object", "properties": {"b": {}, "a": {}}}
    (found,), bound = tools(
        {
            "type": "custom",
            "name": "f",
            "description": "d",
            "input_schema": schema,
            "strict": True,
            "cache_control": {"type": "ephemeral"},
            "defer_loading": True,
        }
    )
    assert found == Function(
        name="f", description="d", parameters=schema, strict=True, cache=Cache(), at=("tools", 0)
    )
    assert bound == []


def test_web_search():
    (found,), bound = tools(
        {
            "type": "web_search_20260209",
            "name": "web_search",
            "max_uses": 3,
            "allowed_domains": ["x.org"],
            "user_location": {"type": "approximate", "city": "Rome", "timezone": "Europe/Rome"},
        }
    )
    assert found == WebSearch(
        max_uses=3, allowed_domains=("x.org",), city="Rome", timezone="Europe/Rome", at=("tools", 0)
    )
    assert not found.optional and bound == []


@pytest.mark.parametrize(
    "kind",
    [
        "code_execution_20250825",
        "bash_20250124",
        "web_fetch_20250910",
        "computer_toolset_20260801",
        "new_thing",
    ],
)
def test_tools_of_anthropics_are_bound(kind):
    raw = {"type": kind, "name": "x"}
    (found,), bound = tools(raw)
    assert found == Opaque(origin="anthropic", kind=kind, raw=raw, at=("tools", 0))
    assert bound[0][0] == ("tools", 0, "type")


@pytest.mark.parametrize(
    ("tool", "path"),
    [
        ("f", "tools.0"),
        ({"name": "f"}, "tools.0.input_schema"),
        ({"input_schema": {}}, "tools.0.name"),
        ({"name": "f", "input_schema": []}, "tools.0.input_schema"),
        ({"name": "f", "input_schema": {}, "strict": 1}, "tools.0.strict"),
        ({"type": "web_search_1", "allowed_domains": "x"}, "tools.0.allowed_domains"),
    ],
)
def test_what_is_wrong_is_named(tool, path):
    with pytest.raises(Fault) as caught:
        tools(tool)
    assert caught.value.param == path


@pytest.mark.parametrize(
    ("wire", "choice", "parallel"),
    [
        (None, None, None),
        ({"type": "auto"}, ToolChoice(mode="auto"), None),
        ({"type": "any", "disable_parallel_tool_use": True}, ToolChoice(mode="required"), False),
        ({"type": "any", "disable_parallel_tool_use": False}, ToolChoice(mode="required"), None),
        ({"type": "none"}, ToolChoice(mode="none"), None),
        ({"type": "tool", "name": "f"}, ToolChoice(mode="tool", name="f"), None),
    ],
)
def test_choices_e029(wire, choice, parallel):
    assert read_choice(Members({"tool_choice": wire}, ())) == (choice, parallel)


@pytest.mark.parametrize("wire", ["auto", {}, {"type": "required"}, {"type": "tool"}])
def test_wrong_choices(wire):
    with pytest.raises(Fault, match=r"tool_choice"):
        read_choice(Members({"tool_choice": wire}, ()))
