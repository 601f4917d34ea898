"""What Anthropic and Gemini, and the clients that speak like them, really send and refuse, beyond the published cases."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance.bodies import ASK, text_of
from tests.conformance.equality import ABSENT, same
from tests.conformance.world import ADAPTIVE, AM, CC, GM, RS, Stage

USER = {"role": "user", "content": "U"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
USAGE = {"promptTokenCount": 9, "candidatesTokenCount": 2, "totalTokenCount": 11}
SEARCHED = {
    "groundingChunks": [{"web": {"uri": "https://x", "title": "X"}}],
    "groundingSupports": [{"segment": {"startIndex": 3, "endIndex": 8}, "groundingChunkIndices": [0]}],
}


def event(kind: str, **members: Any) -> bytes:
    """One frame of an Anthropic stream."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


def started() -> bytes:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "v", "content": []}
    return event("message_start", message={**message, "usage": {"input_tokens": 9, "output_tokens": 1}})


def block(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> list[bytes]:
    told = [event("content_block_delta", index=index, delta=delta) for delta in deltas]
    first = event("content_block_start", index=index, content_block=start)
    return [first, *told, event("content_block_stop", index=index)]


def ended(reason: str, **delta: Any) -> list[bytes]:
    last = event("message_delta", delta={"stop_reason": reason, **delta}, usage={"output_tokens": 2})
    return [last, event("message_stop")]


def chunk(*parts: Any, finish: str = "", **candidate: Any) -> bytes:
    """One frame of a Gemini stream."""
    told: dict[str, Any] = {"index": 0, **candidate}
    if parts:
        told["content"] = {"role": "model", "parts": list(parts)}
    if finish:
        told["finishReason"] = finish
    return f"data: {json.dumps({'candidates': [told], 'usageMetadata': USAGE})}\r\n\r\n".encode()


# --- what Claude models refuse ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "claude-opus-4-1", "claude-sonnet-4-6"])
def test_newer_claude_models_take_temperature_or_top_p(stage: Stage, model: str) -> None:
    """ "`temperature` and `top_p` cannot both be specified for this model." """
    heard = stage.ask(CC, AM, {"messages": [USER], "temperature": 0.2, "top_p": 0.9}, model=model)
    same(heard.upstream, {"temperature": 0.2, "top_p": ABSENT, ...: 0})
    assert heard.dropped == ["top_p"]
    sent = stage.sends(CC, AM, {"messages": [USER], "temperature": 1, "top_p": 0.9}, model=model)
    same(sent, {"temperature": ABSENT, "top_p": 0.9, ...: 0})


@pytest.mark.parametrize("model", ["claude-opus-5-5", "claude-sonnet-5-5", "claude-fable-5"])
@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "f"}}])
def test_no_tool_is_forced_on_a_model_that_refuses_it(stage: Stage, model: str, choice: Any) -> None:
    body = {"messages": [USER], "tools": [TOOL], "tool_choice": choice, "parallel_tool_calls": False}
    heard = stage.ask(CC, AM, body, model=model)
    same(heard.upstream["tool_choice"], {"type": "auto", "disable_parallel_tool_use": True})
    assert heard.dropped == ["tool_choice"]


@pytest.mark.parametrize("model", ["claude-opus-5", "claude-haiku-5-5"])
def test_great_effort_does_not_go_with_disabled_thinking(stage: Stage, model: str) -> None:
    body = {"messages": [USER], "tools": [TOOL], "tool_choice": "required", "reasoning_effort": "max"}
    sent = stage.sends(CC, AM, body, model=model)
    same(sent, {"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}, ...: 0})


def test_an_answer_that_is_begun_with_a_call_is_no_prefill_either(stage: Stage) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [USER, {"role": "assistant", "content": None, "tool_calls": [call]}]
    stage.rejects(CC, AM, {"messages": messages, "tools": [TOOL]}, "messages[1]", model=ADAPTIVE)


def test_a_schema_that_contains_itself_is_told_in_words(stage: Stage) -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "Node", "schema": node}}
    sent = stage.sends(CC, AM, {"messages": [USER], "response_format": wanted})
    assert "output_config" not in sent
    same(sent["tool_choice"], {"type": "tool", "name": "Node"})
    same(sent["tools"][0]["input_schema"], node)


# --- Anthropic streams -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", [CC, RS, GM])
def test_a_refusal_in_a_stream_is_said_once(stage: Stage, client: str) -> None:
    words = {"type": "text_delta", "text": "I will not."}
    details = {"type": "refusal", "explanation": "I will not.", "category": None}
    frames = [
        started(),
        *block(0, {"type": "text", "text": ""}, words),
        *ended("refusal", stop_details=details),
    ]
    heard = stage.ask(client, AM, ASK[client], answer=frames, stream=True)
    deltas = [
        json.dumps(data) for name, data in heard.events if "done" not in name and "response." not in name
    ]
    deltas += [data["delta"] for name, data in heard.events if name == "response.output_text.delta"]
    assert "".join(deltas).count("I will not.") == 1
    assert not any(name == "response.refusal.delta" for name, _ in heard.events)


def test_citations_that_come_before_their_text(stage: Stage) -> None:
    place = {"type": "web_search_result_location", "url": "https://x", "title": "X", "cited_text": "c"}
    cited = {"type": "citations_delta", "citation": {**place, "encrypted_index": "E"}}
    start = {"type": "text", "text": "", "citations": []}
    frames = [started(), *block(0, start, cited, {"type": "text_delta", "text": "Paris"}), *ended("end_turn")]
    heard = stage.ask(CC, AM, ASK[CC], answer=frames, stream=True)
    (told,) = [c["choices"][0]["delta"]["annotations"] for c in heard.chunks if "annotations" in str(c)]
    same(told[0]["url_citation"], {"start_index": 0, "end_index": 5, "url": "https://x", "title": "X"})


# --- Gemini streams --------------------------------------------------------------------------------------------------


def test_grounding_reaches_a_streaming_messages_client(stage: Stage) -> None:
    frames = [chunk({"text": "é Pa"}), chunk({"text": "ris"}, finish="STOP", groundingMetadata=SEARCHED)]
    heard = stage.ask(AM, GM, ASK[AM], answer=frames, stream=True)
    (cited,) = [d["delta"]["citation"] for _, d in heard.events if "citations_delta" in str(d)]
    same(cited, {"type": "web_search_result_location", "url": "https://x", "title": "X", ...: 0})
    kinds = [data["type"] for _, data in heard.events]
    assert kinds.index("content_block_stop") > max(
        number for number, (_, data) in enumerate(heard.events) if "citations_delta" in str(data)
    )


def test_a_finish_that_is_unspecified_is_no_end(stage: Stage) -> None:
    cut = [chunk({"text": "par"}, finish="FINISH_REASON_UNSPECIFIED")]
    heard = stage.ask(CC, GM, ASK[CC], answer=cut, stream=True)
    assert "error" in heard.chunks[-1] and heard.events[-1][1] != "[DONE]"
    whole = [*cut, chunk({"text": "t"}, finish="STOP")]
    chunks = stage.ask(CC, GM, ASK[CC], answer=whole, stream=True).chunks
    assert [c["choices"][0]["finish_reason"] for c in chunks if c["choices"]][-1] == "stop"


def test_calls_of_a_gemini_client_keep_their_order(stage: Stage) -> None:
    def piece(index: int, arguments: str, **more: Any) -> bytes:
        call = {"index": index, "function": {**more.pop("function", {}), "arguments": arguments}, **more}
        choice = {"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}
        return f"data: {json.dumps({'id': 'x', 'choices': [choice]})}\n\n".encode()

    frames = [
        piece(0, "{", id="c0", function={"name": "first"}),
        piece(1, "{}", id="c1", function={"name": "second"}),
        piece(0, "}"),
        b'data: {"id":"x","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}\n\n',
        b"data: [DONE]\n\n",
    ]
    heard = stage.ask(GM, CC, ASK[GM], answer=frames, stream=True)
    parts = [part for c in heard.chunks for part in c["candidates"][0]["content"]["parts"]]
    assert [part["functionCall"]["name"] for part in parts if "functionCall" in part] == ["first", "second"]


# --- what clients send -----------------------------------------------------------------------------------------------


def test_gemini_always_gets_a_content(stage: Stage) -> None:
    sent = stage.sends(CC, GM, {"messages": [{"role": "user", "content": ""}]})
    assert sent["contents"] and sent["contents"][0]["parts"]


@pytest.mark.parametrize("upstream", [AM, GM])
def test_two_tools_of_one_name_are_declared_once(stage: Stage, upstream: str) -> None:
    sent = stage.sends(CC, upstream, {"messages": [USER], "tools": [TOOL, TOOL]})
    declared = sent["tools"] if upstream == AM else sent["tools"][0]["functionDeclarations"]
    assert [tool["name"] for tool in declared] == ["f"]


def test_every_place_in_a_gemini_schema_has_a_type(stage: Stage) -> None:
    schema = {"type": "object", "properties": {"any": {}, "list": {"type": "array", "items": {}}, "b": True}}
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    sent = stage.sends(CC, GM, {"messages": [USER], "tools": [tool]})
    told = sent["tools"][0]["functionDeclarations"][0]["parameters"]["properties"]
    assert all("type" in place for place in (*told.values(), told["list"]["items"]))


def test_code_that_gemini_ran_stays_readable(stage: Stage) -> None:
    parts = [
        {"text": "Look:"},
        {"executableCode": {"language": "PYTHON", "code": "print(1)"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1\n"}},
        {"text": "Done."},
    ]
    answer = {"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}]}
    heard = stage.ask(CC, GM, ASK[CC], answer=answer)
    fences = [line for line in text_of(CC, heard.answer).splitlines() if line.startswith("```")]
    assert fences == ["```python", "```", "```", "```"]
