"""A Responses request → Conversation."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.core.conversation import (
    Conversation,
    Function,
    OutputFormat,
    Reasoning,
    Text,
    ToolChoice,
    WebSearch,
)
from dragoman.core.faults import Fault
from dragoman.dialects.openai_responses.request_reader import read_request


def read(**members: Any) -> Conversation:
    return read_request(json.dumps({"model": "m", "input": "hi", **members}).encode())


# The shape of a real request of Codex 0.169 (names and texts shortened).
CODEX: dict[str, Any] = {
    "model": "gpt-5.4",
    "stream": True,
    "input": [
        {"type": "message", "id": "msg_1", "role": "developer", "content": [{"type": "input_text", "text": "rules"}]},
        {"type": "message", "id": "msg_2", "role": "developer", "content": [{"type": "input_text", "text": "more"}]},
        {"type": "message", "id": "msg_3", "role": "user", "content": [{"type": "input_text", "text": "env"}]},
        {"type": "message", "id": "msg_4", "role": "user", "content": [{"type": "input_text", "text": "task"}]},
    ],
    "tools": [
        {"type": "function", "name": "exec", "description": "d", "strict": False, "parameters": {"type": "object"}},
        {"type": "namespace", "name": "web", "description": "w", "tools": [{"type": "function", "name": "open"}]},
        {"type": "web_search", "external_web_access": True},
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "reasoning": {"summary": "auto"},
    "store": False,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "0199",
    "client_metadata": {"x": "y"},
}  # fmt: skip


def test_codex() -> None:
    asked = read_request(json.dumps(CODEX).encode())
    assert [(turn.role, turn.id) for turn in asked.turns] == [
        ("developer", "msg_1"),
        ("developer", "msg_2"),
        ("user", "msg_3"),
        ("user", "msg_4"),
    ]
    assert [type(tool) for tool in asked.tools] == [Function, Function, WebSearch]
    assert asked.tool_choice == ToolChoice(mode="auto")
    assert (asked.parallel_tools, asked.store, asked.cache_key) == (True, False, "0199")
    assert asked.reasoning == Reasoning(mode="adaptive", summary="auto", visible=True)
    assert asked.bound == ()
    assert {name for name in asked.extras if not name.startswith("$")} == {"client_metadata"}
    assert asked.extras["$echo"]["tools"] == CODEX["tools"]
    assert asked.extras["$namespaces"] == {"web": "w"}


def test_fields() -> None:
    asked = read(
        instructions="Be brief",
        max_output_tokens=50,
        temperature=0,
        top_p=0.9,
        top_logprobs=3,
        include=["message.output_text.logprobs", "web_search_call.action.sources"],
        metadata={"k": "v"},
        safety_identifier="u",
        service_tier="flex",
        text={"verbosity": "low", "format": {"type": "json_object"}},
        truncation="auto",
        previous_response_id="resp_1",
    )
    assert asked.system == (Text(text="Be brief", at=("instructions",)),)
    assert (asked.max_output, asked.temperature, asked.top_p) == (50, 0.0, 0.9)
    assert (asked.logprobs, asked.top_logprobs) == (True, 3)
    assert (asked.metadata, asked.user, asked.service_tier) == ({"k": "v"}, "u", "flex")
    assert (asked.verbosity, asked.output_format) == ("low", OutputFormat(kind="json_object"))
    assert asked.previous_id == "resp_1"
    assert asked.extras["include"] == ["web_search_call.action.sources"]
    assert asked.extras["truncation"] == "auto"
    assert asked.where("max_output") == ("max_output_tokens",)
    assert asked.where("output_format") == ("text", "format")
    assert asked.bound == ()


def test_what_says_the_rule_is_not_said() -> None:
    asked = read(
        truncation="disabled",
        background=False,
        service_tier="auto",
        text={"format": {"type": "text"}},
        reasoning={"effort": None},
        stream_options={"include_obfuscation": False},
        instructions=None,
        conversation=None,
    )
    assert {name for name in asked.extras if not name.startswith("$")} == set()
    assert (asked.service_tier, asked.output_format, asked.reasoning) == ("", None, None)


def test_schema() -> None:  # E109
    shape = {
        "type": "json_schema",
        "name": "R",
        "schema": {"type": "object"},
        "strict": True,
        "description": "d",
    }
    assert read(text={"format": shape}).output_format == OutputFormat(
        kind="json_schema", name="R", schema={"type": "object"}, strict=True, description="d"
    )


@pytest.mark.parametrize(
    ("asked", "reasoning"),
    [
        ({"effort": "high"}, Reasoning(effort="high")),
        ({"effort": "low", "summary": "detailed"}, Reasoning(effort="low", summary="detailed", visible=True)),
        ({"effort": "none"}, Reasoning(mode="off")),
        ({"generate_summary": "auto"}, Reasoning(mode="adaptive", summary="auto", visible=True)),
        ({}, None),
    ],
)
def test_reasoning(asked: dict[str, Any], reasoning: Reasoning | None) -> None:
    assert read(reasoning=asked).reasoning == reasoning


def test_user_has_two_names() -> None:
    old = read(user="u")
    assert (old.user, old.where("user"), "user" in old.extras) == ("u", ("user",), False)
    both = read(user="old", safety_identifier="new")
    assert (both.user, both.where("user"), both.extras["user"]) == ("new", ("safety_identifier",), "old")


def test_state_of_two_kinds_is_refused() -> None:  # E285
    with pytest.raises(Fault) as raised:
        read(previous_response_id="resp_1", conversation="conv_1")
    assert raised.value.status == 400
    assert raised.value.param == "previous_response_id"


@pytest.mark.parametrize(
    ("member", "value"),
    [("conversation", {"id": "conv_1"}), ("prompt", {"id": "pmpt_1"}), ("background", True)],
)
def test_what_the_vendor_keeps_is_bound(member: str, value: object) -> None:
    asked = read(**{member: value})
    assert [at for at, _ in asked.bound] == [(member,)]
    assert asked.extras[member] == value


def test_forced_tool_of_the_vendor_is_bound() -> None:
    asked = read(tool_choice={"type": "file_search"})
    assert asked.tool_choice is None
    assert asked.bound == ((("tool_choice", "type"), "forced file search"),)


def test_input_may_be_missing_if_something_stands_for_it() -> None:
    assert read(input=None, previous_response_id="resp_1").turns == ()
    with pytest.raises(Fault) as raised:
        read(input=None)
    assert raised.value.param == "input"


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"input": 1}, "input"),
        ({"instructions": ["x"]}, "instructions"),
        ({"tools": {}}, "tools"),
        ({"parallel_tool_calls": "no"}, "parallel_tool_calls"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"include": "x"}, "include"),
        ({"include": [1]}, "include[0]"),
        ({"metadata": []}, "metadata"),
        ({"background": "yes"}, "background"),
        ({"store": 1}, "store"),
        ({"text": "x"}, "text"),
        ({"text": {"format": {}}}, None),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"format": {"schema": {}}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "schema": {}}}}, "text.format.name"),
        ({"text": {"format": {"type": "json_schema", "name": "R"}}}, "text.format.schema"),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
        ({"reasoning": {"summary": "long"}}, "reasoning.summary"),
        ({"user": 1}, "user"),
    ],
)
def test_bad_members(members: dict[str, Any], param: str | None) -> None:
    if param is None:
        read(**members)
        return
    with pytest.raises(Fault) as raised:
        read(**members)
    assert (raised.value.status, raised.value.param) == (400, param)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"x"', b"\xff", b'{"input":' + b"[" * 5000 + b"]" * 5000 + b"}"]
)
def test_what_is_no_request(body: bytes) -> None:
    with pytest.raises(Fault) as raised:
        read_request(body)
    assert raised.value.status == 400


def test_depth_has_a_limit() -> None:
    schema: dict[str, Any] = {}
    for _ in range(250):
        schema = {"items": schema}
    with pytest.raises(Fault, match="too deeply"):
        read(tools=[{"type": "function", "name": "f", "parameters": schema}])


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["type", "role", "content", "text", "name", "call_id", "output", "summary", "id", "tools", "format"]
        ),
        inner | st.sampled_from(["message", "function_call", "reasoning", "input_text", "function", "namespace"]),
        max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip


@given(
    st.dictionaries(
        st.sampled_from(
            ["input", "tools", "tool_choice", "text", "reasoning", "include", "metadata", "user"]
        ),
        _JSON,
        max_size=5,
    )
)
def test_hostile_requests_are_conversations_or_faults(members: dict[str, Any]) -> None:
    assert outcome(json.dumps(members).encode()) in (200, 400)


def outcome(body: bytes) -> int:
    try:
        read_request(body)
    except Fault as fault:
        return fault.status
    return 200
