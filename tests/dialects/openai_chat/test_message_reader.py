from __future__ import annotations

from typing import Any

import pytest

from dragoman.core.conversation import (
    Cache,
    Opaque,
    Refusal,
    Signature,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
)
from dragoman.core.faults import Fault
from dragoman.dialects.openai_chat.message_reader import read_turns
from dragoman.dialects.openai_chat.parts import Bound


def turns(*messages: Any) -> tuple[Turn, ...]:
    return read_turns({"messages": list(messages)}, [])


def call(arguments: Any = "{}", **more: Any) -> dict[str, Any]:
    return {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": arguments}, **more}


def assistant(**members: Any) -> Turn:
    return turns({"role": "assistant", **members})[0]


def test_roles_stay_what_and_where_they_are() -> None:
    read = turns(
        {"role": "system", "content": "A"},
        {"role": "developer", "content": "B"},
        {"role": "user", "name": "bob", "content": "U"},
    )
    assert [(turn.role, turn.name) for turn in read] == [("system", ""), ("developer", ""), ("user", "bob")]
    assert read[2].blocks == (Text(text="U", at=("messages", 2, "content")),)


def test_tool_calls() -> None:  # E045
    (block,) = assistant(content="", tool_calls=[call('{"city":"NY"}')]).blocks  # E010: no empty text
    assert block == ToolCall(
        id="call_1", name="f", arguments='{"city":"NY"}', at=("messages", 0, "tool_calls", 0)
    )


@pytest.mark.parametrize("arguments", ["", "null", " ", None])
def test_no_arguments_are_an_empty_object(arguments: str | None) -> None:
    (block,) = assistant(tool_calls=[call(arguments)]).blocks
    assert isinstance(block, ToolCall)
    assert block.arguments == "{}"


def test_empty_ids_are_those_of_a_vendor_that_gives_none() -> None:
    """Gemini behind its own chat layer; with_ids pairs such calls and results by their order."""
    answer, result = turns(
        {"role": "assistant", "tool_calls": [call(id="")]},
        {"role": "tool", "tool_call_id": "", "content": "r"},
    )
    assert [block.id for block in answer.blocks] == [""]  # type: ignore[union-attr]
    assert [block.call_id for block in result.blocks] == [""]  # type: ignore[union-attr]


def test_a_spoken_answer_with_its_words_binds_nobody() -> None:
    bound: Bound = []
    spoken = {"id": "a1", "data": "AAAA", "expires_at": 1, "transcript": "said"}
    (turn,) = read_turns({"messages": [{"role": "assistant", "content": None, "audio": spoken}]}, bound)
    assert [block.text for block in turn.blocks] == ["said"]  # type: ignore[union-attr]
    assert bound == []


def test_arguments_as_an_object_and_custom_calls() -> None:
    made, custom = assistant(
        tool_calls=[call({"a": 1}), {"id": "c", "type": "custom", "custom": {"name": "p", "input": "x"}}]
    ).blocks
    assert isinstance(made, ToolCall)
    assert made.arguments == '{"a":1}'
    assert custom == ToolCall(
        id="c", name="p", arguments="x", custom=True, at=("messages", 0, "tool_calls", 1)
    )


def test_everything_an_sdk_replays_is_taken() -> None:
    nulls = dict.fromkeys(
        ("tool_calls", "function_call", "refusal", "audio", "reasoning_content", "annotations")
    )
    assert assistant(content="a", **nulls).blocks == (Text(text="a", at=("messages", 0, "content")),)


def test_reasoning_stands_in_front_and_google_signs_calls() -> None:
    google = {"extra_content": {"google": {"thought_signature": "Zw=="}}}
    thought, text, signed = assistant(content="a", reasoning_content="t", tool_calls=[call(**google)]).blocks
    assert thought == Thinking(text="t", at=("messages", 0))
    assert isinstance(text, Text)
    assert isinstance(signed, ToolCall)
    assert signed.signature == Signature(origin="gemini", value="Zw==")


def test_reasoning_among_the_parts() -> None:
    parts = [{"type": "thinking", "thinking": "t", "signature": "S"}, {"type": "text", "text": "a"}]
    thought, text = assistant(content=parts).blocks
    assert isinstance(thought, Thinking)
    assert thought.signature == Signature(origin="anthropic", value="S")
    assert isinstance(text, Text)


def test_refusals_and_spoken_answers() -> None:
    assert assistant(content=None, refusal="No.").blocks == (
        Refusal(text="No.", at=("messages", 0, "refusal")),
    )
    bound: Bound = []
    (turn,) = read_turns({"messages": [{"role": "assistant", "audio": {"id": "audio_1"}}]}, bound)
    assert turn.blocks == (
        Opaque(origin="openai_chat", kind="audio", raw={"id": "audio_1"}, at=("messages", 0, "audio")),
    )
    assert bound == [(("messages", 0, "audio"), "audio of an earlier answer")]


def test_results() -> None:
    tool, parts, empty = turns(
        {"role": "tool", "tool_call_id": "c", "name": "f", "content": "r"},
        {"role": "tool", "tool_call_id": "d", "content": [{"type": "text", "text": "s"}]},
        {"role": "tool", "tool_call_id": "e", "content": None},
    )
    assert tool.role == "user"
    at = ("messages", 0)
    assert tool.blocks == (
        ToolResult(call_id="c", name="f", content=(Text(text="r", at=(*at, "content")),), at=at),
    )
    assert isinstance(parts.blocks[0], ToolResult)
    assert [block.text for block in parts.blocks[0].content if isinstance(block, Text)] == ["s"]
    assert empty.blocks == (ToolResult(call_id="e", at=("messages", 2)),)


def test_the_old_way_of_calling() -> None:  # E037
    made, result = turns(
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "r"},
    )
    assert made.blocks == (ToolCall(id="", name="f", at=("messages", 0, "function_call")),)
    assert isinstance(result.blocks[0], ToolResult)
    assert (result.blocks[0].call_id, result.blocks[0].name) == ("", "f")


def test_a_mark_on_a_message_is_one_on_its_last_part() -> None:
    (turn,) = turns({"role": "user", "content": ["a", "b"], "cache_control": {"type": "ephemeral"}})
    assert [block.cache for block in turn.blocks if isinstance(block, Text)] == [None, Cache()]


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (1, "messages[0]"),
        ({}, "messages[0].role"),
        ({"role": "robot"}, "messages[0].role"),
        ({"role": "user"}, "messages[0].content"),
        ({"role": "system", "content": 5}, "messages[0].content"),
        ({"role": "user", "content": "x", "name": 5}, "messages[0].name"),
        ({"role": "tool", "content": "x"}, "messages[0].tool_call_id"),
        ({"role": "function", "content": "x"}, "messages[0].name"),
        ({"role": "assistant", "tool_calls": {}}, "messages[0].tool_calls"),
        ({"role": "assistant", "tool_calls": [1]}, "messages[0].tool_calls[0]"),
        ({"role": "assistant", "tool_calls": [{"id": "c", "type": "x"}]}, "messages[0].tool_calls[0].type"),
        ({"role": "assistant", "tool_calls": [{"type": "function"}]}, "messages[0].tool_calls[0].id"),
        ({"role": "assistant", "tool_calls": [{"id": "c"}]}, "messages[0].tool_calls[0].function"),
        # E046
        (
            {"role": "assistant", "tool_calls": [call('{"city":')]},
            "messages[0].tool_calls[0].function.arguments",
        ),
        ({"role": "assistant", "tool_calls": [call("[1]")]}, "messages[0].tool_calls[0].function.arguments"),
        ({"role": "assistant", "tool_calls": [call(5)]}, "messages[0].tool_calls[0].function.arguments"),
        (
            {"role": "assistant", "function_call": {"name": "f", "arguments": "x"}},
            "messages[0].function_call.arguments",
        ),
    ],
)
def test_what_cannot_be_is_400_with_its_path(message: Any, path: str) -> None:
    with pytest.raises(Fault) as caught:
        turns(message)
    assert (caught.value.status, caught.value.param) == (400, path)


@pytest.mark.parametrize("messages", [None, [], {}, "x"])
def test_messages_are_needed(messages: Any) -> None:
    with pytest.raises(Fault) as caught:
        read_turns({"messages": messages}, [])
    assert caught.value.param == "messages"
