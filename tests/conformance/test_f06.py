"""F06: structured outputs."""
# ruff: noqa: N802

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance.equality import ABSENT, ANY, Like, OneOf, Where, same
from tests.conformance.world import ADAPTIVE, AM, CC, GEMINI_3, GENERIC, GM, RS, Stage
from tests.world import answers

USER = {"role": "user", "content": "U"}
OLD = "claude-3-7-sonnet-20250219"
"""It thinks and has no structured output."""
OLDEST = "claude-3-haiku-20240307"
S = {
    "type": "object",
    "properties": {"a": {"type": "integer"}},
    "required": ["a"],
    "additionalProperties": False,
}


def asked(client: str) -> dict[str, Any]:
    """A question in each dialect."""
    if client == GM:
        return {"contents": [{"role": "user", "parts": [{"text": "U"}]}]}
    return {"input": "U"} if client == RS else {"messages": [USER]}


def chat_format(schema: Any, **more: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "R", "schema": schema, **more}}


def told(client: str, schema: Any) -> dict[str, Any]:
    """A request that wants this schema, in each dialect."""
    wish: dict[str, Any] = {
        CC: {"response_format": chat_format(schema, strict=True)},
        RS: {"text": {"format": {"type": "json_schema", "name": "R", "schema": schema, "strict": True}}},
        AM: {"output_config": {"format": {"type": "json_schema", "schema": schema}}},
        GM: {"generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": schema}},
    }[client]
    return {**asked(client), **wish}


def objects(schema: Any) -> list[Any]:
    """Every object schema inside a schema."""
    found = []
    if isinstance(schema, dict):
        if schema.get("type") == "object" or "properties" in schema:
            found.append(schema)
        found += [o for inner in schema.values() for o in objects(inner)]
    if isinstance(schema, list):
        found += [o for inner in schema for o in objects(inner)]
    return found


def test_E105_a_schema_for_anthropic(stage: Stage) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}, "required": ["a"], "additionalProperties": False}  # fmt: skip
    sent = stage.sends(CC, AM, {"messages": [USER], "response_format": chat_format(schema, strict=True)})
    number = {
        "type": "integer",
        "minimum": ABSENT,
        "description": Where("a text that says 1", lambda d: "1" in d),
    }
    same(
        sent["output_config"],
        {"format": {"type": "json_schema", "schema": {**schema, "properties": {"a": number}}}},
    )
    assert "tools" not in sent


def test_E105_an_effort_is_kept_beside_the_schema(stage: Stage) -> None:
    body = {"messages": [USER], "response_format": chat_format(S, strict=True), "reasoning_effort": "low"}
    sent = stage.sends(CC, AM, body, model=ADAPTIVE)
    same(sent["output_config"], {"effort": "low", "format": {"type": "json_schema", "schema": S}})


@pytest.mark.parametrize("effort", ["low", "high"])
def test_E107_thinking_and_a_forced_tool_never_go_together(stage: Stage, effort: str) -> None:
    body = {
        "messages": [USER],
        "response_format": chat_format(S, strict=True),
        "reasoning_effort": effort,
        "max_tokens": 32_000,
    }
    sent = stage.sends(CC, AM, body, model=OLD)
    thinks = sent.get("thinking", {}).get("type") in ("enabled", "adaptive")
    assert not (thinks and sent.get("tool_choice", {}).get("type") in ("any", "tool"))
    assert '"a"' in json.dumps(sent) or '\\"a\\"' in json.dumps(sent)  # the schema is told somewhere
    assert "output_config" not in sent


@pytest.mark.parametrize(
    ("choice", "kind"),
    [("required", "any"), ({"type": "function", "function": {"name": "f"}}, "tool")],
    ids=["any", "one"],
)
def test_E107_a_forced_tool_switches_thinking_off(stage: Stage, choice: Any, kind: str) -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": S}}]
    body = {
        "messages": [USER],
        "tools": tools,
        "tool_choice": choice,
        "reasoning_effort": "low",
        "max_tokens": 8000,
    }
    sent = stage.sends(CC, AM, body)
    thinks = sent.get("thinking", {}).get("type") in ("enabled", "adaptive")
    assert not (thinks and sent["tool_choice"]["type"] in ("any", "tool"))


@pytest.mark.parametrize("strict", [True, False])
def test_E109_chats_schema_is_nested_and_responses_flat(stage: Stage, strict: bool) -> None:
    nested, flat = (
        chat_format(S, strict=strict),
        {"type": "json_schema", "name": "R", "schema": S, "strict": strict},
    )
    same(stage.sends(CC, RS, {"messages": [USER], "response_format": nested})["text"]["format"], flat)
    same(stage.sends(RS, CC, {"input": "U", "text": {"format": flat}})["response_format"], nested)


LOOSE = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}, "required": ["a"], "additionalProperties": False}  # fmt: skip
DEEP = {
    **S,
    "properties": {"a": {"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]}},
}


@pytest.mark.parametrize(
    ("schema", "strict"),
    [(S, True), (LOOSE, False), (DEEP, False), ({**S, "additionalProperties": True}, False)],
)
def test_E110_anthropics_schema_gets_a_name_and_is_strict_if_it_can_be(
    stage: Stage, schema: Any, strict: bool
) -> None:
    sent = stage.sends(AM, CC, told(AM, schema))
    expected = {
        "type": "json_schema",
        "json_schema": {"name": "response", "schema": schema, "strict": strict},
    }
    same(sent["response_format"], expected)


@pytest.mark.parametrize("model", ["claude-sonnet-4-5", OLDEST])
def test_E112_any_json_is_an_instruction(stage: Stage, model: str) -> None:
    messages = [{"role": "system", "content": "A"}, USER]
    sent = stage.sends(
        CC, AM, {"messages": messages, "response_format": {"type": "json_object"}}, model=model
    )
    whole = json.dumps(sent["system"])
    assert '"A"' in whole and "JSON" in whole
    same(sent, {"tools": ABSENT, "tool_choice": ABSENT, "output_config": ABSENT, ...: 0})


# --- further cases of the same rules ---------------------------------------------------------------------------


@pytest.mark.parametrize("client", [CC, RS, GM])
def test_F06_a_model_without_structured_output_is_told_the_schema(stage: Stage, client: str) -> None:
    sent = stage.sends(client, AM, told(client, S), model=OLDEST)
    assert "output_config" not in sent and "integer" in json.dumps([sent.get("system"), sent.get("tools")])


@pytest.mark.parametrize("client", [CC, RS, GM])
def test_F06_every_client_gets_anthropics_schema(stage: Stage, client: str) -> None:
    sent = stage.sends(client, AM, told(client, S))
    same(sent["output_config"]["format"], {"type": "json_schema", "schema": S})


def test_F06_every_object_is_closed_for_anthropic(stage: Stage) -> None:
    schema = {
        "type": "object",
        "properties": {
            "list": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "string"}}}, "minItems": 3},
            "name": {"type": "string", "minLength": 2, "maxLength": 9},
            "one": {"anyOf": [{"type": "object", "properties": {"y": {"type": "number", "exclusiveMinimum": 0}}}, {"type": "null"}]},
            "ref": {"$ref": "#/$defs/d"},
        },
        "$defs": {"d": {"type": "object", "properties": {"z": {"type": "number", "multipleOf": 2}}}},
    }  # fmt: skip
    sent = stage.sends(CC, AM, {"messages": [USER], "response_format": chat_format(schema)})
    got = sent["output_config"]["format"]["schema"]
    assert len(objects(got)) >= 4 and all(o["additionalProperties"] is False for o in objects(got))
    whole = json.dumps(got)
    assert not any(
        f'"{word}"' in whole for word in ("minLength", "maxLength", "exclusiveMinimum", "multipleOf")
    )
    assert list(got["properties"]) == ["list", "name", "one", "ref"]


def test_F06_a_property_named_like_a_keyword_is_a_property(stage: Stage) -> None:
    schema = {"type": "object", "properties": {"minimum": {"type": "integer"}, "format": {"type": "string"}, "title": {"type": "string"}}, "required": ["minimum"]}  # fmt: skip
    sent = stage.sends(CC, AM, {"messages": [USER], "response_format": chat_format(schema)})
    assert list(sent["output_config"]["format"]["schema"]["properties"]) == ["minimum", "format", "title"]
    sent = stage.sends(CC, GM, {"messages": [USER], "response_format": chat_format(schema)})
    config = sent["generationConfig"]
    got = config.get("responseSchema") or config["responseJsonSchema"]
    assert list(got["properties"]) == ["minimum", "format", "title"]


@pytest.mark.parametrize("client", [CC, RS, AM])
def test_F06_every_client_gets_geminis_schema(stage: Stage, client: str) -> None:
    config = stage.sends(client, GM, told(client, S))["generationConfig"]
    assert config["responseMimeType"] == "application/json"
    assert ("responseSchema" in config) != ("responseJsonSchema" in config)
    if "responseSchema" in config:
        same(
            config["responseSchema"],
            {"type": "OBJECT", "properties": {"a": {"type": "INTEGER"}}, "required": ["a"], ...: 0},
        )
    else:
        same(config["responseJsonSchema"], S)


def test_F06_any_json_for_gemini_and_responses(stage: Stage) -> None:
    body = {"messages": [USER], "response_format": {"type": "json_object"}}
    config = stage.sends(CC, GM, body)["generationConfig"]
    same(
        config,
        {
            "responseMimeType": "application/json",
            "responseSchema": ABSENT,
            "responseJsonSchema": ABSENT,
            ...: 0,
        },
    )
    same(stage.sends(CC, RS, body)["text"]["format"], {"type": "json_object"})
    sent = stage.sends(RS, CC, {"input": "U", "text": {"format": {"type": "json_object"}}})
    same(sent["response_format"], {"type": "json_object"})
    sent = stage.sends(GM, CC, {**asked(GM), "generationConfig": {"responseMimeType": "application/json"}})
    same(sent["response_format"], {"type": "json_object"})


@pytest.mark.parametrize("client", [CC, RS, GM])
@pytest.mark.parametrize("upstream", [CC, RS, AM, GM])
def test_F06_plain_text_is_no_format(stage: Stage, client: str, upstream: str) -> None:
    wish: dict[str, Any] = {
        CC: {"response_format": {"type": "text"}},
        RS: {"text": {"format": {"type": "text"}}},
        GM: {"generationConfig": {"responseMimeType": "text/plain"}},
    }[client]
    if client == upstream:
        return
    heard = stage.ask(client, upstream, {**asked(client), **wish})
    whole = json.dumps(heard.upstream)
    assert "json" not in whole.lower() and "system" not in whole and "tools" not in heard.upstream
    assert heard.reply.status == 200 and heard.dropped == []


@pytest.mark.parametrize("member", ["responseSchema", "response_schema", "responseJsonSchema"])
def test_F06_geminis_schema_for_chat(stage: Stage, member: str) -> None:
    types = ("object", "integer") if member == "responseJsonSchema" else ("OBJECT", "INTEGER")
    schema = {"type": types[0], "properties": {"a": {"type": types[1]}}, "required": ["a"]}
    body = {**asked(GM), "generationConfig": {"responseMimeType": "application/json", member: schema}}
    sent = stage.sends(GM, CC, body)["response_format"]
    same(sent["json_schema"], {"name": Like("[a-zA-Z0-9_-]{1,64}"), "schema": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}, "strict": OneOf(False, ABSENT)})  # fmt: skip


def test_F06_anthropics_schema_for_responses(stage: Stage) -> None:
    sent = stage.sends(AM, RS, told(AM, S))
    same(
        sent["text"]["format"],
        {"type": "json_schema", "name": Like("[a-zA-Z0-9_-]{1,64}"), "schema": S, "strict": True},
    )
    sent = stage.sends(AM, RS, told(AM, LOOSE))
    assert sent["text"]["format"]["strict"] is False


def test_F06_the_old_place_of_anthropics_format_is_read(stage: Stage) -> None:
    body = {"messages": [USER], "output_format": {"type": "json_schema", "schema": S}}
    heard = stage.ask(AM, CC, body)
    assert heard.upstream.get("response_format") is not None or heard.dropped == ["output_format"]


@pytest.mark.parametrize("client", [CC, RS])
def test_F06_the_order_of_properties_is_the_clients(stage: Stage, client: str) -> None:
    names = ["z", "a", "m", "b"]
    schema = {
        "type": "object",
        "properties": {n: {"type": "string"} for n in names},
        "required": names,
        "additionalProperties": False,
    }
    sent = stage.sends(client, AM, told(client, schema))
    assert list(sent["output_config"]["format"]["schema"]["properties"]) == names
    config = stage.sends(client, GM, told(client, schema))["generationConfig"]
    got = config.get("responseSchema") or config["responseJsonSchema"]
    assert list(got["properties"]) == names


def test_F06_a_schema_beside_tools(stage: Stage) -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": S}}]
    sent = stage.sends(CC, AM, {"messages": [USER], "tools": tools, "response_format": chat_format(S)})
    assert [t["name"] for t in sent["tools"]] == ["f"] and sent["output_config"]["format"][
        "type"
    ] == "json_schema"
    sent = stage.sends(
        CC, GM, {"messages": [USER], "tools": tools, "response_format": chat_format(S)}, model=GEMINI_3
    )
    assert sent["tools"] and sent["generationConfig"]["responseMimeType"] == "application/json"


@pytest.mark.parametrize("model", ["gpt-4o", GENERIC])
def test_F06_the_answer_is_the_json_as_text(stage: Stage, model: str) -> None:
    chat = {
        **answers.CHAT,
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": '{"a":1}'}, "finish_reason": "stop"}
        ],
    }
    heard = stage.ask(AM, CC, told(AM, S), model=model, answer=chat)
    same(heard.answer["content"], [{"type": "text", "text": '{"a":1}'}])
    message = {**answers.MESSAGE, "content": [{"type": "text", "text": '{"a":1}'}]}
    heard = stage.ask(CC, AM, told(CC, S), answer=message)
    assert heard.answer["choices"][0]["message"]["content"] == '{"a":1}'


@pytest.mark.parametrize("model", [OLD, OLDEST])
def test_F06_the_answer_of_an_old_model_is_text_too(stage: Stage, model: str) -> None:
    def play(exchange: Any) -> None:
        tools = exchange.request.json.get("tools")
        block = (
            {"type": "tool_use", "id": "t1", "name": tools[0]["name"], "input": {"a": 1}}
            if tools
            else {"type": "text", "text": '{"a":1}'}
        )
        exchange.reply(
            200, {**answers.MESSAGE, "content": [block], "stop_reason": "tool_use" if tools else "end_turn"}
        )

    (choice,) = stage.ask(CC, AM, told(CC, S), model=model, answer=play).answer["choices"]
    assert json.loads(choice["message"]["content"]) == {"a": 1} and choice["finish_reason"] == "stop"
    assert not choice["message"].get("tool_calls")


@pytest.mark.parametrize(
    ("client", "body", "path"),
    [
        (CC, {"response_format": {"type": "xml"}}, "response_format.type"),
        (CC, {"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        (CC, {"response_format": "json"}, "response_format"),
        (RS, {"text": {"format": {"type": "xml"}}}, "text.format.type"),
        (AM, {"output_config": {"format": {"type": "xml"}}}, "output_config.format.type"),
        (GM, {"generationConfig": {"responseMimeType": "application/json", "responseSchema": "x"}}, "generationConfig.responseSchema"),
    ],
)  # fmt: skip
def test_F06_a_broken_format_is_refused_by_name(stage: Stage, client: str, body: Any, path: str) -> None:
    stage.rejects(client, AM if client != AM else CC, {**asked(client), **body}, path)


def test_F06_a_name_is_always_there_for_chat(stage: Stage) -> None:
    for client in (AM, GM):
        sent = stage.sends(client, CC, told(client, S))
        same(
            sent["response_format"],
            {"type": "json_schema", "json_schema": {"name": ANY, "schema": S, ...: 0}},
        )


@pytest.mark.parametrize(("client", "upstream"), [(AM, CC), (AM, RS), (AM, GM), (CC, AM), (RS, GM), (GM, AM)])
@pytest.mark.parametrize(
    "member", ["required", "properties", "type", "enum", "items", "anyOf", "$ref", "$defs"]
)
def test_F06_a_schema_with_an_odd_member_is_no_crash(
    stage: Stage, client: str, upstream: str, member: str
) -> None:
    for odd in (7, 1.5, True, "x", {}, [], [7], None):
        heard = stage.ask(client, upstream, told(client, {**S, member: odd}))
        assert heard.reply.status in (200, 400), (odd, heard.reply)
