"""What clients and vendors of the OpenAI dialects really send, beyond the published cases."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance.equality import ABSENT, same
from tests.conformance.world import AM, CC, GM, RS, Stage

USER = {"role": "user", "content": "U"}
ASKED: dict[str, dict[str, Any]] = {
    CC: {"messages": [USER]},
    RS: {"input": "U"},
    AM: {"messages": [USER]},
    GM: {"contents": [{"role": "user", "parts": [{"text": "U"}]}]},
}
DONE = b"data: [DONE]\n\n"


def frame(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    """One chunk of a chat vendor; without the space behind the colon, as some write it."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish, **more}
    return f"data:{json.dumps({'id': 'x', 'model': 'v', 'created': 1, 'choices': [choice]})}\n\n".encode()


def piece(arguments: str, **more: Any) -> dict[str, Any]:
    """A delta with a piece of a call; ``name`` goes into the function."""
    name = {"name": more.pop("name")} if "name" in more else {}
    return {"tool_calls": [{"type": "function", "function": {**name, "arguments": arguments}, **more}]}


def calls_of(stage: Stage, *frames: bytes) -> list[tuple[str, str, Any]]:
    """(id, name, input) of the calls that a Messages client is told; every block is opened, filled and closed in order."""
    heard = stage.ask(AM, CC, {**ASKED[AM], "max_tokens": 99}, answer=list(frames), stream=True)
    found: list[tuple[str, str, str]] = []
    for _, event in heard.events:
        if event["type"] == "content_block_start" and event["content_block"]["type"] == "tool_use":
            assert event["index"] == len(found)
            found.append((event["content_block"]["id"], event["content_block"]["name"], ""))
        elif event["type"] == "content_block_delta":
            assert event["index"] == len(found) - 1
            call_id, name, text = found[-1]
            found[-1] = (call_id, name, text + event["delta"]["partial_json"])
    return [(call_id, name, json.loads(text or "{}")) for call_id, name, text in found]


@pytest.mark.parametrize(
    "frames",
    [
        [frame(piece('{"a":1}', name="f", id="c", index=0)), frame(piece('{"b":2}', name="g", id="c", index=1))],
        [frame(piece('{"a":1}', name="f", id="", index=0)), frame(piece('{"b":2}', name="g", id="", index=0))],
        [
            frame(piece('{"a"', name="f", id="1", index="0")),
            frame(piece(":1}", name="f", id="2", index="0")),
            frame(piece('{"b":2}', name="g", id="3", index="1")),
        ],
        [frame(piece('{"a":1}', name="f", id="c"), "stop"), frame(piece('{"b":2}', name="g", id="d"), "stop")],
    ],
    ids=["one id for both", "index 0 and no id", "another id in every piece", "a finish in every chunk"],
)  # fmt: skip
def test_no_call_is_lost_or_cut_in_two(stage: Stage, frames: list[bytes]) -> None:
    told = calls_of(stage, *frames, frame({}, "tool_calls"), DONE)
    assert [call[1:] for call in told] == [("f", {"a": 1}), ("g", {"b": 2})]
    assert len({call[0] for call in told}) == 2 and all(call[0] for call in told)


def test_a_vendor_that_repeats_the_whole_message_at_the_end(stage: Stage) -> None:  # MiniMax
    whole = {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
    last = f"data: {json.dumps({'object': 'chat.completion', 'choices': [whole]})}\n\n".encode()
    heard = stage.ask(
        GM, CC, ASKED[GM], answer=[frame({"content": "Hel"}), frame({"content": "lo"}), last], stream=True
    )
    parts = [
        part
        for data in heard.chunks
        for one in data["candidates"]
        for part in one["content"].get("parts", [])
    ]
    assert "".join(part.get("text", "") for part in parts) == "Hello"


@pytest.mark.parametrize(
    "bad",
    [
        frame({}, "error", error={"code": 502, "message": "the provider fell over"}),
        b'data: {"detail":"the provider fell over"}\n\n',
        b'data: {"code":"InternalError","message":"the provider fell over"}\n\n',
        b'data: {"choices":null,"base_resp":{"status_code":1013,"status_msg":"the provider fell over"}}\n\n',
    ],
    ids=["on the choice", "FastAPI", "DashScope", "MiniMax"],
)
def test_an_error_of_any_shape_is_never_a_stop(stage: Stage, bad: bytes) -> None:  # E199
    heard = stage.ask(AM, CC, ASKED[AM], answer=[frame({"content": "par"}), bad, DONE], stream=True)
    names = [name for name, _ in heard.events]
    assert names[-1] == "error" and "message_stop" not in names and "message_delta" not in names
    assert "the provider fell over" in heard.events[-1][1]["error"]["message"]


def test_reasoning_in_an_object(stage: Stage) -> None:
    answer = {"choices": [{"index": 0, "message": {"content": "x", "reasoning": {"content": "hm"}}}]}
    heard = stage.ask(AM, CC, ASKED[AM], answer=answer)
    assert [block.get("thinking") or block.get("text") for block in heard.answer["content"]] == ["hm", "x"]


def test_a_refusal_of_responses_is_a_stop_in_chat(stage: Stage) -> None:  # E155
    item = {
        "type": "message",
        "id": "m",
        "role": "assistant",
        "content": [{"type": "refusal", "refusal": "No."}],
    }
    answer = {"id": "r", "object": "response", "status": "completed", "model": "v", "output": [item]}
    choice = stage.ask(CC, RS, ASKED[CC], answer=answer).answer["choices"][0]
    assert (choice["message"]["refusal"], choice["message"]["content"], choice["finish_reason"]) == (
        "No.",
        None,
        "stop",
    )
    assert stage.ask(AM, RS, ASKED[AM], answer=answer).answer["stop_reason"] == "refusal"


@pytest.mark.parametrize(("client", "upstream"), [(AM, CC), (AM, RS), (CC, RS), (RS, CC)])
@pytest.mark.parametrize("schema", [{}, {"type": "object"}], ids=["empty", "bare"])
def test_openai_gets_the_properties_that_it_demands(
    stage: Stage, client: str, upstream: str, schema: dict[str, Any]
) -> None:
    tool = {
        CC: {"type": "function", "function": {"name": "f", "parameters": schema}},
        RS: {"type": "function", "name": "f", "parameters": schema},
        AM: {"name": "f", "input_schema": {"type": "object", **schema}},
    }[client]
    (sent,) = stage.sends(client, upstream, {**ASKED[client], "tools": [tool]})["tools"]
    same(sent.get("function", sent)["parameters"], {"type": "object", "properties": {}})


def test_the_cache_wishes_that_openais_dialects_share(stage: Stage) -> None:
    said = {"prompt_cache_key": "k", "prompt_cache_retention": "24h"}
    same(stage.sends(CC, RS, {**ASKED[CC], **said}), {**said, ...: 0})
    same(stage.sends(RS, CC, {**ASKED[RS], **said}), {**said, ...: 0})
    same(stage.sends(CC, AM, {**ASKED[CC], **said}), {"prompt_cache_retention": ABSENT, ...: 0})


def test_thinking_on_a_chat_request(stage: Stage) -> None:
    asked = {**ASKED[CC], "thinking": {"type": "enabled", "budget_tokens": 2000}}
    heard = stage.ask(CC, AM, asked)
    same(heard.upstream["thinking"], {"type": "enabled", "budget_tokens": 2000})
    assert "thinking" not in heard.dropped


def test_a_mix_of_dialects_in_one_chat_request(stage: Stage) -> None:
    """Cursor's flat tools, choices and parts of Responses, and a call whose id its vendor left empty."""
    call = {"id": "", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    picture = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}
    asked = {
        "messages": [
            {"role": "user", "content": [{"type": "input_text", "text": "U"}, picture]},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "", "content": "r"},
        ],
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}],
        "tool_choice": {"type": "function", "name": "f"},
    }
    sent = stage.sends(CC, AM, asked)
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    same(sent["messages"][0]["content"], [{"type": "text", "text": "U"}, image])
    use, result = sent["messages"][1]["content"][0], sent["messages"][2]["content"][0]
    assert use["type"] == "tool_use" and result["type"] == "tool_result"
    assert use["id"] and use["id"] == result["tool_use_id"]
    same(sent["tool_choice"], {"type": "tool", "name": "f"})


def test_json_for_gemini_clients_at_responses(stage: Stage) -> None:
    body = {**ASKED[GM], "generationConfig": {"responseMimeType": "application/json"}}
    sent = stage.sends(GM, RS, body)
    assert sent["text"]["format"] == {"type": "json_object"}
    assert "json" in json.dumps(sent["input"]).lower()


def test_a_limit_above_the_models_own_at_responses(stage: Stage) -> None:
    sent = stage.sends(CC, RS, {**ASKED[CC], "max_tokens": 100_000}, model="gpt-4.1")
    assert sent["max_output_tokens"] == 32_768
