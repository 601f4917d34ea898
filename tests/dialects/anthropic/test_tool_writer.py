"""Tools and tool_choice for Anthropic."""

from __future__ import annotations

import pytest

from dragoman.core.conversation import (
    Cache,
    Conversation,
    Function,
    Opaque,
    ToolCall,
    ToolChoice,
    Turn,
    WebSearch,
)
from dragoman.core.faults import Fault
from dragoman.core.tools import CUSTOM_PARAMETERS, WireNames
from dragoman.dialects.anthropic.marks import Marks
from dragoman.dialects.anthropic.tool_writer import chosen, remembered_tools, write_choice, write_tools

A, B = Function(name="a"), Function(name="b")
EMPTY = {"type": "object", "properties": {}}


def conversation(*tools, origin="openai_chat", **more):
    return Conversation(origin=origin, turns=(), tools=tools, **more)


def tools(*listed, **more):
    asked, losses = conversation(*listed, **more), []
    return write_tools(asked, WireNames(asked.tools), Marks(), losses), losses


def choice(mode, *, parallel=None, listed=(A, B), **more):
    asked = conversation(
        *listed, tool_choice=ToolChoice(mode=mode, **more) if mode else None, parallel_tools=parallel
    )
    return write_choice(asked, WireNames(asked.tools))


def test_functions_e020():
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    function = Function(name="f", description="d", parameters=schema, strict=True, cache=Cache())
    assert tools(function, B) == (
        [
            {
                "name": "f",
                "description": "d",
                "input_schema": schema,
                "strict": True,
                "cache_control": {"type": "ephemeral"},
            },
            {"name": "b", "input_schema": EMPTY},
        ],
        [],
    )


def test_free_text_tools_e040():
    ((written,), _) = tools(Function(name="apply_patch", custom=True, format={"type": "grammar"}))
    assert written == {"name": "apply_patch", "input_schema": CUSTOM_PARAMETERS}


def test_names_that_anthropic_does_not_take():
    ((first, second), _) = tools(Function(name="a.b"), Function(name="read", namespace="fs"))
    assert first["name"].startswith("a_b_") and second["name"] == "fs__read"


def test_web_search():
    search = WebSearch(
        max_uses=2, allowed_domains=("x.org",), blocked_domains=("y",), city="Rome", country="IT"
    )
    assert tools(search)[0] == [
        {
            "type": "web_search_20250305",
            "name": "web_search",
            "max_uses": 2,
            "allowed_domains": ("x.org",),
            "user_location": {"type": "approximate", "city": "Rome", "country": "IT"},
        }
    ]
    assert tools(WebSearch(blocked_domains=("y",)))[0][0]["blocked_domains"] == ("y",)
    written, losses = tools(Function(name="web_search"), WebSearch(optional=True, at=("tools", 1)))
    assert len(written) == 1 and losses[0].at == ("tools", 1)


@pytest.mark.parametrize(
    ("origin", "kind", "path"),
    [
        ("openai_responses", "file_search", "tools[0].type"),
        ("gemini", "codeExecution", "tools[0].codeExecution"),
    ],
)
def test_tools_of_other_vendors_are_400(origin, kind, path):
    tool = Opaque(origin=origin, kind=kind, raw={}, at=("tools", 0))
    with pytest.raises(Fault) as caught:
        tools(tool, origin=origin)
    assert caught.value.param == path


def test_own_tools_go_as_they_came():
    raw = {"type": "bash_20250124", "name": "bash"}
    assert tools(Opaque(origin="anthropic", kind="bash_20250124", raw=raw), origin="anthropic")[0] == [raw]


@pytest.mark.parametrize(
    ("mode", "written"),
    [
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        (None, None),
    ],
)
def test_choices_e029(mode, written):
    assert choice(mode) == choice(mode, parallel=True) == written
    assert choice("tool", name="a") == {"type": "tool", "name": "a"}


def test_no_parallel_calls_e030():
    assert choice(None, parallel=False) == {"type": "auto", "disable_parallel_tool_use": True}
    assert choice("required", parallel=False) == {"type": "any", "disable_parallel_tool_use": True}
    assert choice("none", parallel=False) == {"type": "none"}


def test_a_chosen_tool_has_its_wire_name():
    space = Function(name="read", namespace="fs")
    assert choice("tool", name="read", listed=(space,))["name"] == "fs__read"


def test_allowed_tools_e032():
    def names(*allowed):
        asked = conversation(A, B, WebSearch(), tool_choice=ToolChoice(mode="auto", allowed=allowed))
        return chosen(asked)

    assert names("a") == (A,)
    assert names("nobody") == names() == (A, B, WebSearch())
    assert names("web_search") == (WebSearch(),)
    assert choice("required", allowed=("a",)) == {"type": "any"}


def test_tools_of_the_history():
    calls = tuple(ToolCall(id=str(n), name=name) for n, name in enumerate(("f", "g", "f", "h.h")))
    turns = [Turn(role="assistant", blocks=calls)]
    assert [tool["name"] for tool in remembered_tools(turns, WireNames(()))][:2] == ["f", "g"]
    assert len(remembered_tools(turns, WireNames(()))) == 3
    assert remembered_tools(turns, WireNames(()))[0]["input_schema"] == EMPTY
    assert remembered_tools([], WireNames(())) == []
