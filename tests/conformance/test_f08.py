"""F08: prompt caching."""
# ruff: noqa: N802

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance.equality import same
from tests.conformance.world import (
    AM,
    CC,
    DIALECTS,
    GEMINI_3,
    GENERIC,
    GM,
    REASONER,
    ROUTED,
    RS,
    SHORT,
    Stage,
)
from tests.world import answers

HOUR = {"type": "ephemeral", "ttl": "1h"}
SCHEMA = {
    "type": "object",
    "properties": {n: {"type": "string", "description": n} for n in ("z", "a", "m", "b")},
    "required": ["z", "a"],
}


def text(value: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": value, **more}


MARKED = {
    "system": [text("A", cache_control=HOUR)],
    "tools": [{"name": "f", "description": "d", "input_schema": SCHEMA, "cache_control": HOUR}],
    "messages": [
        {"role": "user", "content": [text("U", cache_control={"type": "ephemeral"})]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {"z": "1"}, "cache_control": HOUR}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [text("r", cache_control=HOUR)], "cache_control": HOUR}]},
    ],
}  # fmt: skip


def marks(value: Any) -> int:
    return json.dumps(value).count('"cache_control"')


def test_E137_marks_pass_unchanged_between_messages_and_messages(stage: Stage) -> None:
    body = {**MARKED, "messages": MARKED["messages"][:1]}
    sent = stage.sends(AM, AM, body)
    assert {name: sent[name] for name in body} == body and marks(sent) == 3


@pytest.mark.parametrize("model", ["gpt-4o", GENERIC, "gpt-4.1", "gemini-2.5-flash", GEMINI_3])
def test_E139_marks_do_not_reach_who_does_not_know_them(stage: Stage, model: str) -> None:
    upstream = {"gpt-4.1": RS, "gemini-2.5-flash": GM, GEMINI_3: GM}.get(model, CC)
    heard = stage.ask(AM, upstream, MARKED, model=model)
    assert heard.reply.status == 200 and marks(heard.upstream) == 0


def conversation(client: str) -> dict[str, Any]:
    """A long conversation with tools, results, an image and a schema."""
    image = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    if client == CC:
        call = {
            "id": "functions.f:0",
            "type": "function",
            "function": {"name": "f", "arguments": '{"z":"1","a":"2"}'},
        }
        return {
            "messages": [
                {"role": "system", "content": "A"},
                {"role": "user", "content": [text("U"), {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}}]},
                {"role": "assistant", "content": "x", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "functions.f:0", "content": "r"},
            ],
            "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA}}],
            "temperature": 0.5,
            "reasoning_effort": "low",
            "max_tokens": 5000,
        }  # fmt: skip
    if client == RS:
        return {
            "instructions": "A",
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "U"}, {"type": "input_image", "image_url": f"data:image/png;base64,{image}"}]},
                {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": '{"z":"1","a":"2"}'},
                {"type": "function_call_output", "call_id": "c1", "output": "r"},
            ],
            "tools": [{"type": "function", "name": "f", "description": "d", "parameters": SCHEMA, "strict": False}],
        }  # fmt: skip
    if client == AM:
        return MARKED
    return {
        "systemInstruction": {"parts": [{"text": "A"}]},
        "contents": [
            {"role": "user", "parts": [{"text": "U"}, {"inlineData": {"mimeType": "image/png", "data": image}}]},
            {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"z": "1", "a": "2"}}}, {"functionCall": {"name": "f", "args": {}}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"r": 1}}}, {"functionResponse": {"name": "f", "response": {"r": 2}}}]},
        ],
        "tools": [{"functionDeclarations": [{"name": "f", "description": "d", "parameters": SCHEMA}]}],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("client", "upstream"),
    [pytest.param(c, u, id=f"{SHORT[c]}-{SHORT[u]}") for c in DIALECTS for u in DIALECTS],
)
def test_E140_the_same_request_twice_is_the_same_upstream_byte_for_byte(
    stage: Stage, client: str, upstream: str
) -> None:
    first, second = (
        stage.ask(client, upstream, conversation(client), model=REASONER[upstream]) for _ in range(2)
    )
    assert first.reply.status == second.reply.status == 200, first.reply
    assert first.sent[0].body == second.sent[0].body


@pytest.mark.parametrize(
    ("client", "upstream"),
    [pytest.param(c, u, id=f"{SHORT[c]}-{SHORT[u]}") for c in DIALECTS for u in DIALECTS if c != u],
)
def test_E140_a_schemas_properties_keep_the_clients_order(stage: Stage, client: str, upstream: str) -> None:
    sent = stage.sends(client, upstream, conversation(client), model=REASONER[upstream])
    tool = sent["tools"][0]
    declaration = tool["functionDeclarations"][0] if upstream == GM else tool.get("function", tool)
    schema = (
        declaration.get("parameters")
        or declaration.get("input_schema")
        or declaration["parametersJsonSchema"]
    )
    assert list(schema["properties"]) == ["z", "a", "m", "b"]
    assert list(schema["properties"]["z"]) in (["type", "description"], ["description", "type"])


def turns(said: str, number: int) -> list[dict[str, Any]]:
    """A conversation that begins with ``said`` and has ``number`` questions."""
    out = [{"role": "system", "content": "You are a careful assistant. " * 40}]
    for n in range(number):
        out += [{"role": "user", "content": f"{said} {n}"}, {"role": "assistant", "content": "Hello"}]
    return [*out, {"role": "user", "content": "and?"}]


def channel_of(stage: Stage, body: dict[str, Any], headers: dict[str, str] | None = None) -> str:
    """Which of the two channels of the model "pair" got the call."""
    heard = stage.ask(CC, CC, body, model="pair", headers=headers)
    assert heard.reply.status == 200
    return heard.sent[0].target.split("/")[1]


def test_E142_a_conversation_stays_with_its_channel(stage: Stage) -> None:
    for said in ("red", "green", "blue", "white"):
        used = {channel_of(stage, {"messages": turns(said, n)}) for n in range(1, 7)}
        assert len(used) == 1, f"{said} went to {used}"


def test_E142_different_conversations_are_spread(stage: Stage) -> None:
    used = [channel_of(stage, {"messages": turns(f"conversation {n}", 1)}) for n in range(40)]
    assert set(used) == {"left", "right"}


def test_E142_an_explicit_key_wins_over_the_messages(stage: Stage) -> None:
    for key in ("k1", "k2", "k3", "k4"):
        used = {
            channel_of(stage, {"messages": turns(f"talk {n}", 1), "prompt_cache_key": key}) for n in range(8)
        }
        assert len(used) == 1, f"{key} went to {used}"


# --- further cases of the same rules ---------------------------------------------------------------------------


def test_F08_openrouter_gets_the_marks(stage: Stage) -> None:
    sent = stage.sends(AM, CC, {**MARKED, "messages": MARKED["messages"][:1]}, model=ROUTED)
    same(sent["messages"][0]["content"], [text("A", cache_control=HOUR)])
    same(sent["messages"][1]["content"], [text("U", cache_control={"type": "ephemeral"})])


def test_F08_chat_clients_may_set_marks_for_anthropic(stage: Stage) -> None:
    messages = [{"role": "system", "content": [text("A", cache_control=HOUR)]}, {"role": "user", "content": [text("U", cache_control={"type": "ephemeral"})]}]  # fmt: skip
    sent = stage.sends(CC, AM, {"messages": messages})
    same(sent["system"], [text("A", cache_control=HOUR)])
    same(sent["messages"][0]["content"], [text("U", cache_control={"type": "ephemeral"})])


def test_F08_at_most_four_marks_go_to_anthropic(stage: Stage) -> None:
    parts = [text(str(n), cache_control={"type": "ephemeral"}) for n in range(7)]
    sent = stage.sends(CC, AM, {"messages": [{"role": "user", "content": parts}]})
    assert 0 < marks(sent) <= 4
    assert [p["text"] for p in sent["messages"][0]["content"]] == [str(n) for n in range(7)]


def test_F08_no_marks_are_added_unasked(stage: Stage) -> None:
    assert marks(stage.sends(CC, AM, conversation(CC))) == 0
    assert marks(stage.sends(RS, AM, conversation(RS))) == 0


def test_F08_the_cache_key_goes_between_openais_dialects(stage: Stage) -> None:
    assert (
        stage.sends(CC, RS, {"messages": [{"role": "user", "content": "U"}], "prompt_cache_key": "k"})[
            "prompt_cache_key"
        ]
        == "k"
    )
    assert stage.sends(RS, CC, {"input": "U", "prompt_cache_key": "k"})["prompt_cache_key"] == "k"
    heard = stage.ask(CC, AM, {"messages": [{"role": "user", "content": "U"}], "prompt_cache_key": "k"})
    assert "prompt_cache_key" not in heard.upstream and heard.reply.status == 200


@pytest.mark.parametrize(("client", "upstream"), [(CC, AM), (GM, AM), (RS, CC), (AM, CC), (CC, GM)])
def test_F08_a_longer_conversation_begins_like_the_shorter_one(
    stage: Stage, client: str, upstream: str
) -> None:
    """A prefix cache lives on equal beginnings."""
    body = conversation(client)
    more: dict[str, Any] = {
        CC: [{"role": "assistant", "content": "y"}, {"role": "user", "content": "V"}],
        AM: [{"role": "assistant", "content": "y"}, {"role": "user", "content": "V"}],
        RS: [{"role": "assistant", "content": "y"}, {"role": "user", "content": "V"}],
        GM: [{"role": "model", "parts": [{"text": "y"}]}, {"role": "user", "parts": [{"text": "V"}]}],
    }[client]
    name = {CC: "messages", AM: "messages", RS: "input", GM: "contents"}[client]
    target = "contents" if upstream == GM else "messages"
    short = stage.sends(client, upstream, body)
    long = stage.sends(client, upstream, {**body, name: [*body[name], *more]})
    assert long[target][: len(short[target])] == short[target]
    assert json.dumps(long.get("tools")) == json.dumps(short.get("tools"))


def test_F08_what_the_cache_saved_is_told(stage: Stage) -> None:
    usage = {
        "input_tokens": 5,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 20,
        "output_tokens": 3,
    }
    heard = stage.ask(
        CC, AM, {"messages": [{"role": "user", "content": "U"}]}, answer={**answers.MESSAGE, "usage": usage}
    )
    same(heard.answer["usage"], {"prompt_tokens": 125, "completion_tokens": 3, "total_tokens": 128, "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 20, ...: 0}, ...: 0})  # fmt: skip
