"""Whole requests of Anthropic clients."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.core.conversation import Cache, OutputFormat, Reasoning, Text
from dragoman.core.faults import Fault
from dragoman.dialects.anthropic.request_reader import read_request

PLAIN = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "x"}]}


def read(**members):
    return read_request(json.dumps({**PLAIN, **members}).encode())


def test_the_least():
    conversation = read()
    assert (conversation.origin, conversation.max_output) == ("anthropic", 100)
    (turn,) = conversation.turns
    assert (turn.role, turn.at) == ("user", ("messages", 0))
    assert turn.blocks == (Text(text="x", at=("messages", 0, "content")),)
    assert conversation.extras == {} and conversation.bound == ()


def test_what_claude_code_sends():
    """system as blocks, a system message among the turns, marks, and members that only Anthropic knows."""
    mark = {"type": "ephemeral"}
    conversation = read(
        stream=True,
        system=[
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2"},
            {"type": "text", "text": "You are Claude Code", "cache_control": mark},
        ],
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": mark}]},
            {"role": "system", "content": [{"type": "text", "text": "reminder"}]},
            {"role": "assistant", "content": "ok"},
            {"role": "system", "content": "again"},
        ],
        tools=[{"name": "Bash", "input_schema": {"type": "object"}, "defer_loading": True}],
        thinking={"type": "adaptive"},
        output_config={"effort": "high"},
        context_management={"edits": [{"type": "clear_thinking_20251015"}]},
        metadata={"user_id": '{"device_id":"d"}'},
        safeguards=[{"type": "dangerous_tool_use"}],
        temperature=1,
        service_tier="auto",
        speed=None,
    )
    assert [turn.role for turn in conversation.turns] == ["user", "system", "assistant", "system"]
    assert conversation.system[1].cache == Cache()
    assert conversation.reasoning == Reasoning(mode="adaptive", effort="high", visible=True)
    assert conversation.user == '{"device_id":"d"}' and conversation.metadata == {}
    assert set(conversation.extras) == {"context_management", "safeguards", "service_tier"}
    assert conversation.where("reasoning") == ("thinking",)
    assert conversation.where("user") == ("metadata", "user_id")
    assert conversation.where("max_output") == ("max_tokens",)


@pytest.mark.parametrize(
    ("members", "expected", "at"),
    [
        ({}, None, "reasoning"),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 50}},
            Reasoning(mode="on", budget=50, visible=True),
            "thinking",
        ),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 50, "display": "omitted"}},
            Reasoning(mode="on", budget=50),
            "thinking",
        ),
        ({"thinking": {"type": "disabled"}}, Reasoning(mode="off"), "thinking"),
        (
            {"thinking": {"type": "adaptive", "display": "omitted"}, "output_config": {"effort": "max"}},
            Reasoning(mode="adaptive", effort="max"),
            "thinking",
        ),
        ({"output_config": {"effort": "low"}}, Reasoning(mode="adaptive", effort="low"), "output_config"),
    ],
)
def test_reasoning(members, expected, at):
    conversation = read(**members)
    assert conversation.reasoning == expected
    assert conversation.where("reasoning")[0] == at


def test_output_formats():
    schema = {"type": "object", "properties": {}}
    wanted = {"type": "json_schema", "schema": schema}
    expected = OutputFormat(kind="json_schema", schema=schema)
    assert read(output_config={"format": wanted}).output_format == expected
    old = read(output_format=wanted)
    assert old.output_format == expected and old.where("output_format") == ("output_format",)
    rest = read(output_config={"format": wanted, "task_budget": {"total": 9}, "effort": None})
    assert rest.extras == {"output_config": {"task_budget": {"total": 9}}}


def test_what_only_anthropic_serves_is_bound():
    conversation = read(
        container="c1",
        mcp_servers=[{"name": "s"}],
        tools=[{"type": "code_execution_20250825", "name": "code_execution"}],
        max_tokens=0,
    )
    assert {at for at, _ in conversation.bound} == {
        ("container",),
        ("mcp_servers",),
        ("tools", 0, "type"),
        ("max_tokens",),
    }
    assert conversation.extras["container"] == "c1"


def test_counting_needs_no_limit():
    body = json.dumps({**PLAIN, "max_tokens": None, "thinking": {"type": "enabled", "budget_tokens": 9000}})
    assert read_request(body.encode(), counting=True).max_output is None
    with pytest.raises(Fault, match=r"max_tokens: is required"):
        read_request(body.encode())


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"max_tokens": "9"}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": {}}, "messages"),
        ({"messages": ["x"]}, "messages.0"),
        ({"messages": [{"content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"system": 1}, "system"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_k": 1.5}, "top_k"),
        ({"stop_sequences": "x"}, "stop_sequences"),
        ({"stop_sequences": [1]}, "stop_sequences.0"),
        ({"tools": {}}, "tools"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"thinking": "on"}, "thinking"),
        ({"thinking": {"type": "maybe"}}, "thinking.type"),
        ({"thinking": {}}, "thinking.type"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "enabled", "budget_tokens": 100}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "adaptive", "display": "all"}}, "thinking.display"),
        ({"output_config": []}, "output_config"),
        ({"output_config": {"effort": "much"}}, "output_config.effort"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
        ({"metadata": "u"}, "metadata"),
        ({"metadata": {"user_id": 1}}, "metadata.user_id"),
    ],
)
def test_what_is_wrong_is_named(members, path):
    with pytest.raises(Fault) as caught:
        read(**members)
    assert (caught.value.status, caught.value.param) == (400, path)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b"\xff",
        b'{"max_tokens":1e999}',
        b"[" * 100_000,
        b'{"max_tokens":1,"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":{"a":'
        + b"[" * 300
        + b"]" * 300
        + b"}}]}]}",
    ],
)
def test_what_is_no_request(body):
    with pytest.raises(Fault) as caught:
        read_request(body)
    assert caught.value.status == 400


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["text", "auto", "user", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "text", "content", "source", "role", "name", "input", "id", "data", "effort"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
blocks = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            [
                "text",
                "image",
                "document",
                "thinking",
                "redacted_thinking",
                "tool_use",
                "tool_result",
                "search_result",
            ]
        )
    },
    optional=dict.fromkeys(
        (
            "text",
            "source",
            "title",
            "thinking",
            "signature",
            "data",
            "id",
            "name",
            "input",
            "tool_use_id",
            "content",
            "is_error",
            "cache_control",
            "citations",
        ),
        json_values,
    ),
)


@given(
    st.dictionaries(
        st.sampled_from(["system", "tools", "tool_choice", "thinking", "output_config", "metadata", "odd"]),
        json_values,
        max_size=3,
    ),
    st.lists(
        st.fixed_dictionaries(
            {"role": json_values | st.just("user"), "content": st.lists(blocks) | json_values}
        )
    ),
)
def test_every_body_is_a_conversation_or_400(members, messages):
    body = {**PLAIN, **members, "messages": messages or PLAIN["messages"]}
    status = 200
    try:
        read_request(json.dumps(body).encode())
    except Fault as fault:
        status = fault.status
    assert status in (200, 400)
