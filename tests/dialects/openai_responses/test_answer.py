"""A whole response object ⇄ Answer."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from openai.types.responses import Response

from dragoman.core.conversation import (
    Answer,
    Base64,
    Block,
    Choice,
    Citation,
    Conversation,
    Media,
    Opaque,
    Refusal,
    Signature,
    Text,
    Thinking,
    TokenLogprob,
    ToolCall,
)
from dragoman.core.faults import Fault
from dragoman.core.signatures import unseal
from dragoman.core.usage import Usage
from dragoman.dialects.base import Reply
from dragoman.dialects.openai_responses.answer import read_answer, write_answer
from dragoman.dialects.openai_responses.item_reader import ItemReader
from dragoman.dialects.openai_responses.tool_reader import declared

REPLY = Reply(
    model="alias", response_id="r", created=7, conversation=Conversation(origin="openai_responses", turns=())
)
USAGE = Usage(input=6, cached_input=4, output=5, reasoning=2)
MESSAGE = {"type": "message", "id": "msg_v", "content": [{"type": "output_text", "text": "Hello"}]}


def read(*output: Any, **more: Any) -> Answer:
    body = {"id": "resp_v", "model": "gpt", "created_at": 5, "status": "completed", "output": output, **more}
    return read_answer(json.dumps(body).encode())


def write(*blocks: Block, finish: Any = "stop", **more: Any) -> dict[str, Any]:
    choice = Choice(blocks=blocks, finish=finish, **more)
    return json.loads(write_answer(Answer(choices=(choice,), usage=USAGE), REPLY))


# -- reading -----------------------------------------------------------------------------------------------


def test_read() -> None:
    usage = {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2},
    }
    logprobs = [{"token": "Hello", "logprob": -0.5}]
    message = {"type": "message", "content": [{"type": "output_text", "text": "Hello", "logprobs": logprobs}]}
    assert read(message, usage=usage, service_tier="default") == Answer(
        choices=(
            Choice(blocks=(Text(text="Hello"),), logprobs=(TokenLogprob(token="Hello", logprob=-0.5),)),
        ),
        usage=USAGE,
        model="gpt",
        id="resp_v",
        created=5,
        service_tier="default",
    )
    assert read(MESSAGE).usage is None


def test_usage_of_zeros_is_usage() -> None:  # E169
    assert read(MESSAGE, usage={"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}).usage == Usage()


def test_calls_make_the_finish() -> None:  # E149
    call = {"type": "function_call", "id": "fc", "call_id": "c", "name": "f", "arguments": "{}"}
    assert read(call).choices[0].finish == "tool_calls"
    cut = read(call, status="incomplete", incomplete_details={"reason": "max_output_tokens"})
    assert cut.choices[0].finish == "length"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"<html>", 502),
        (b"[]", 502),
        (b"{}", 502),
        (b'{"output":[],"status":"in_progress"}', 502),
        (b'{"error":{"code":502,"message":"Provider returned error"}}', 502),
        (b'{"status":"failed","output":[],"error":{"code":"rate_limit_exceeded","message":"M"}}', 429),
        (b'{"status":"cancelled","output":[]}', 502),
    ],
)
def test_what_is_no_answer_is_the_upstreams_fault(body: bytes, status: int) -> None:  # E264
    with pytest.raises(Fault) as raised:
        read_answer(body)
    assert (raised.value.status, raised.value.owner) == (status, "upstream")


# -- writing -----------------------------------------------------------------------------------------------


def test_write_is_a_response_of_the_sdk() -> None:
    body = write(
        Thinking(text="hm", signature=Signature(origin="anthropic", value="U0lH")),
        Text(text="Hello", citations=(Citation(url="https://x/", title="X"),)),
        Refusal(text="No."),
        ToolCall(id="c1", name="f", arguments='{"a":1}', namespace="n"),
        ToolCall(id="", name="p", arguments="raw", custom=True),
        logprobs=(TokenLogprob(token="Hello", logprob=-0.5),),
    )
    response = Response.model_validate(body, strict=True)
    assert (response.id, response.model, response.created_at) == ("resp_r", "alias", 7)
    assert response.output_text == "Hello"
    assert [(item["type"], item["id"]) for item in body["output"]] == [
        ("reasoning", "rs_r0"),
        ("message", "msg_r1"),
        ("function_call", "fc_r2"),
        ("custom_tool_call", "ctc_r3"),
    ]
    assert [part["type"] for part in body["output"][1]["content"]] == ["output_text", "refusal"]
    assert body["output"][1]["content"][0]["annotations"][0]["end_index"] == 5
    assert body["output"][1]["content"][0]["logprobs"][0]["token"] == "Hello"
    assert body["output"][2] == {
        "type": "function_call",
        "id": "fc_r2",
        "call_id": "c1",
        "name": "f",
        "arguments": '{"a":1}',
        "status": "completed",
        "namespace": "n",
    }
    assert (body["output"][3]["call_id"], body["output"][3]["input"]) == ("call_r3", "raw")
    assert body["usage"] == {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 15,
    }


def test_refusal_is_a_part() -> None:  # E155
    assert write(Refusal(text="No."))["output"][0]["content"] == [{"type": "refusal", "refusal": "No."}]
    answer = read({"type": "message", "content": [{"type": "refusal", "refusal": "No."}]})
    assert answer.choices[0].blocks == (Refusal(text="No."),)


@pytest.mark.parametrize(
    ("finish", "status", "reason"),
    [
        ("stop", "completed", None),
        ("tool_calls", "completed", None),
        ("stop_sequence", "completed", None),
        ("length", "incomplete", "max_output_tokens"),
        ("content_filter", "incomplete", "content_filter"),
        ("refusal", "incomplete", "content_filter"),
    ],
)
def test_how_it_ended(finish: str, status: str, reason: str | None) -> None:  # E147
    body = write(Text(text="x"), finish=finish)
    assert (body["status"], body["output"][-1]["status"]) == (status, status)
    assert body["incomplete_details"] == ({"reason": reason} if reason else None)


def test_blocked_prompt() -> None:  # E151
    body = write(finish="content_filter")
    assert (body["status"], body["output"]) == ("incomplete", [])


def test_error_finish_is_no_success() -> None:
    assert write(Text(text="x"), finish="error")["status"] == "failed"


def test_answer_without_anything() -> None:
    body = json.loads(write_answer(Answer(choices=()), REPLY))
    assert (body["status"], body["output"], body["usage"]["total_tokens"]) == ("completed", [], 0)


def test_searches_of_other_vendors_are_not_shown() -> None:  # E215
    search = Opaque(origin="anthropic", kind="server_tool_use", raw={})
    body = write(Text(text="a"), search, Text(text="b"), Thinking(), Text(text=""))
    assert [[part["text"] for part in item["content"]] for item in body["output"]] == [["a", "b"]]


def test_image() -> None:
    item = write(Media(kind="image", source=Base64("iVBO"), media_type="image/png"))["output"][0]
    assert (item["type"], item["id"], item["result"]) == ("image_generation_call", "ig_r0", "iVBO")


def test_signatures_survive_the_client() -> None:
    """What a client sends back as input is what the vendor signed."""
    google = Signature(origin="gemini", value="R0dH")
    blocks: tuple[Block, ...] = (
        Thinking(text="hm", signature=Signature(origin="anthropic", value="U0lH")),
        Thinking(redacted=True, signature=Signature(origin="anthropic", value="RDD")),
        Thinking(text="own", signature=Signature(origin="openai_responses", value="gAAA", id="rs_v")),
        ToolCall(id="c1", name="f", signature=google),
        ToolCall(id="c2", name="f"),
    )
    reader = ItemReader(declared())
    reader.read(write(*blocks)["output"])
    seen = [msgspec.structs.replace(block, at=()) for turn in reader.turns for block in turn.blocks]
    assert seen == list(blocks)


def test_signature_of_a_text_follows_it() -> None:
    google = Signature(origin="gemini", value="R0dH")
    output = write(Text(text="a", signature=google), Text(text="", signature=google))["output"]
    assert [item["type"] for item in output] == ["message", "reasoning", "reasoning"]
    sealed = unseal(output[1]["encrypted_content"], "openai_responses")
    assert sealed is not None
    assert (sealed.signature, sealed.call) == (google, False)
