"""Whole messages, read from an upstream and written for a client."""

from __future__ import annotations

import json

import anthropic
import pytest

from dragoman.core.conversation import (
    Answer,
    Base64,
    Choice,
    Citation,
    Conversation,
    Media,
    Opaque,
    Refusal,
    Signature,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Url,
)
from dragoman.core.faults import Fault
from dragoman.core.signatures import unseal
from dragoman.core.usage import Usage
from dragoman.dialects.anthropic.answer import read_answer, write_answer
from dragoman.dialects.base import Reply

REPLY = Reply(model="m", response_id="1", created=1, conversation=Conversation(origin="anthropic", turns=()))


def message(*content, stop_reason="end_turn", **more):
    whole = {
        "id": "msg_9",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": list(content),
        "stop_reason": stop_reason,
        "usage": {"input_tokens": 3, "cache_creation_input_tokens": 12304, "output_tokens": 550},
        **more,
    }
    return json.dumps(whole).encode()


def write(*blocks, finish="stop", usage=None, **more):
    answer = Answer(choices=(Choice(blocks=blocks, finish=finish, **more),), usage=usage)
    return json.loads(write_answer(answer, REPLY))


def test_reading():
    use = {"type": "tool_use", "id": "t", "name": "f", "input": {"n": 12345678901234567890}}
    search = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    answer = read_answer(
        message(
            {"type": "thinking", "thinking": "t", "signature": "S"},
            {"type": "redacted_thinking", "data": "D"},
            search,
            {"type": "text", "text": "x"},
            use,
            {"odd": 1},
            stop_reason="tool_use",
        )
    )
    assert (answer.model, answer.id) == ("claude-x", "msg_9")
    assert answer.usage == Usage(input=3, cache_write_5m=12304, output=550)
    (choice,) = answer.choices
    assert choice.finish == "tool_calls"
    assert choice.blocks == (
        Thinking(text="t", signature=Signature(origin="anthropic", value="S")),
        Thinking(signature=Signature(origin="anthropic", value="D"), redacted=True),
        Opaque(origin="anthropic", kind="server_tool_use", raw=search),
        Text(text="x"),
        ToolCall(id="t", name="f", arguments='{"n":12345678901234567890}'),
    )


def test_reading_refusals():
    def blocks(text, explanation):
        content = [{"type": "text", "text": text}] if text else []
        details = {"type": "refusal", "explanation": explanation}
        whole = message(*content, stop_reason="refusal", stop_details=details)
        return read_answer(whole).choices[0].blocks

    assert blocks("", "No.") == blocks("No.", "No.") == (Refusal(text="No."),)
    assert blocks("Well", None) == (Text(text="Well"),)
    assert blocks("Well", "No.") == (Text(text="Well"), Refusal(text="No."))


def test_a_call_outweighs_a_plain_stop():
    use = {"type": "tool_use", "id": "t", "name": "f", "input": None}
    (choice,) = read_answer(message(use, stop_reason="end_turn")).choices
    assert choice.finish == "tool_calls" and choice.blocks[0].arguments == "{}"
    (stopped,) = read_answer(message(stop_reason="stop_sequence", stop_sequence="END")).choices
    assert (stopped.finish, stopped.stop_sequence) == ("stop_sequence", "END")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"content":"x"}', b'{"type":"message"}'])
def test_what_is_no_message(body):
    with pytest.raises(Fault) as caught:
        read_answer(body)
    assert (caught.value.status, caught.value.owner) == (502, "upstream")


def test_an_error_in_a_200_e264():
    with pytest.raises(Fault, match="Provider returned error") as caught:
        read_answer(b'{"error":{"code":502,"message":"Provider returned error"}}')
    assert caught.value.status == 502
    with pytest.raises(Fault) as caught:
        read_answer(b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}')
    assert caught.value.status == 503


def test_writing():
    written = write(
        Thinking(text="t", signature=Signature(origin="anthropic", value="S")),
        Thinking(),
        Text(text="x"),
        Text(text=""),
        ToolCall(id="call_1", name="f", arguments='{"n":12345678901234567890}'),
        ToolCall(id="", name="g", arguments='{"a":'),
        ToolCall(id="c", name="h", arguments="free", custom=True),
        ToolResult(call_id="c"),
        finish="tool_calls",
        usage=Usage(input=25, cached_input=100, output=3),
    )
    assert written["content"] == [
        {"type": "thinking", "thinking": "t", "signature": "S"},
        {"type": "text", "text": "x"},
        {"type": "tool_use", "id": "call_1", "name": "f", "input": {"n": 12345678901234567890}},
        {"type": "tool_use", "id": "toolu_15", "name": "g", "input": {}},
        {"type": "tool_use", "id": "c", "name": "h", "input": {"input": "free"}},
    ]
    assert (written["id"], written["model"], written["role"]) == ("msg_1", "m", "assistant")
    assert (written["stop_reason"], written["stop_sequence"]) == ("tool_use", None)
    assert written["usage"] == {
        "input_tokens": 25,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 0,
        "output_tokens": 3,
    }
    parsed = anthropic.types.Message.model_validate(written)
    assert [block.type for block in parsed.content] == [
        "thinking",
        "text",
        "tool_use",
        "tool_use",
        "tool_use",
    ]


def test_refusals_e154_and_filters_e151():
    assert write(Refusal(text="No.")) | {"usage": None} == {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "No."}],
        "stop_reason": "refusal",
        "stop_sequence": None,
        "stop_details": {"type": "refusal", "explanation": "No.", "category": None},
        "usage": None,
    }
    blocked = write(Refusal(text="blocked: SAFETY"), finish="content_filter")
    assert (blocked["content"], blocked["stop_reason"]) == ([], "refusal")
    assert blocked["stop_details"]["explanation"] == "blocked: SAFETY"
    assert write(finish="content_filter")["stop_details"]["explanation"] is None


def test_stop_sequence():
    written = write(Text(text="x"), finish="stop_sequence", stop_sequence="END")
    assert (written["stop_reason"], written["stop_sequence"]) == ("stop_sequence", "END")
    assert write(Text(text="x"), finish="stop")["stop_sequence"] is None


def test_foreign_signatures_are_sealed():
    gemini = Signature(origin="gemini", value="c2ln")
    responses = Signature(origin="openai_responses", value="E", id="rs_1")
    content = write(
        Thinking(text="s", signature=responses),
        Thinking(signature=responses, redacted=True),
        ToolCall(id="c", name="f", signature=gemini),
        Text(text="", signature=gemini),
    )["content"]
    assert [block["type"] for block in content] == [
        "thinking",
        "redacted_thinking",
        "thinking",
        "tool_use",
        "thinking",
    ]
    assert unseal(content[0]["signature"], "anthropic").signature == responses
    assert unseal(content[1]["data"], "anthropic").redacted
    assert unseal(content[2]["signature"], "anthropic").call
    assert not unseal(content[4]["signature"], "anthropic").call


def test_citations():
    own = {"type": "char_location", "cited_text": "c"}
    text = Text(
        text="é Paris",
        citations=(
            Citation(url="https://x", title="X", start=2, end=7),
            Citation(cited="nowhere"),
            Citation(extra=own, origin="anthropic"),
        ),
    )
    assert write(text)["content"][0]["citations"] == [
        {
            "type": "web_search_result_location",
            "url": "https://x",
            "title": "X",
            "cited_text": "Paris",
            "encrypted_index": "",
        },
        own,
    ]


def test_what_has_no_block_here():
    image = Media(kind="image", source=Base64("AAAA"), media_type="image/png")
    linked = Media(kind="image", source=Url("https://x/y.png"))
    sound = Media(kind="audio", source=Base64("AAAA"), media_type="audio/wav")
    told = Opaque(origin="gemini", kind="executableCode", raw={}, text="print(1)")
    silent = Opaque(origin="gemini", kind="x", raw={})
    own = Opaque(origin="anthropic", kind="server_tool_use", raw={"type": "server_tool_use"})
    assert write(image, linked, sound, told, silent, own)["content"] == [
        {"type": "text", "text": "![image](data:image/png;base64,AAAA)"},
        {"type": "text", "text": "![image](https://x/y.png)"},
        {"type": "text", "text": "print(1)"},
        {"type": "server_tool_use"},
    ]


def test_an_answer_without_choices():
    written = json.loads(write_answer(Answer(choices=()), REPLY))
    assert (written["content"], written["stop_reason"]) == ([], "end_turn")
