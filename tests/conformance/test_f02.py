"""F02: tool definitions and the choice of tools."""
# ruff: noqa: N802

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.conformance.equality import ABSENT, ANY, Like, OneOf, Where, same
from tests.conformance.world import AM, CC, DIALECTS, GENERIC, GM, RS, SHORT, Stage
from tests.world import answers

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
USER = {"role": "user", "content": "U"}


def declared(dialect: str, *names: str, schema: Mapping[str, Any] | None = SCHEMA) -> dict[str, Any]:
    """The ``tools`` member of each dialect that declares these functions."""
    params = {} if schema is None else {"parameters": schema}
    if dialect == CC:
        tools: list[Any] = [
            {"type": "function", "function": {"name": n, "description": "d", **params}} for n in names
        ]
    elif dialect == RS:
        tools = [
            {"type": "function", "name": n, "description": "d", "strict": False, **params} for n in names
        ]
    elif dialect == AM:
        tools = [{"name": n, "description": "d", "input_schema": schema or {"type": "object"}} for n in names]
    else:
        tools = [{"functionDeclarations": [{"name": n, "description": "d", **params} for n in names]}]
    return {"tools": tools}


def asked(dialect: str) -> dict[str, Any]:
    """A question in each dialect."""
    if dialect == GM:
        return {"contents": [{"role": "user", "parts": [{"text": "U"}]}]}
    return {"input": "U"} if dialect == RS else {"messages": [USER]}


def names_of(dialect: str, sent: Any) -> list[str]:
    """The functions that an upstream request declares."""
    tools = sent.get("tools") or []
    if dialect == CC:
        return [t["function"]["name"] for t in tools]
    if dialect == GM:
        return [d["name"] for t in tools for d in t.get("functionDeclarations", [])]
    return [t["name"] for t in tools]


def gemini_schema(stage: Stage, schema: Mapping[str, Any]) -> Any:
    """``parameters.properties.p`` that Gemini receives for this schema of a property ``p``."""
    body = {**asked(CC), **declared(CC, "f", schema={"type": "object", "properties": {"p": schema}})}
    (declaration,) = stage.sends(CC, GM, body)["tools"][0]["functionDeclarations"]
    assert declaration["parameters"]["type"] == "OBJECT"
    return declaration["parameters"]["properties"]["p"]


def members(value: Any) -> Iterator[tuple[str, Any]]:
    """Every member of every object inside a JSON value."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name, inner
            yield from members(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from members(inner)


def test_E020_a_function_becomes_an_anthropic_tool(stage: Stage) -> None:
    function = {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True}
    sent = stage.sends(CC, AM, {**asked(CC), "tools": [{"type": "function", "function": function}]})
    same(sent["tools"], [{"name": "f", "description": "d", "input_schema": SCHEMA, "strict": True}])


def test_E022_all_functions_stand_in_one_gemini_tool_and_empty_parameters_are_left_out(stage: Stage) -> None:
    tools = declared(CC, "f")["tools"] + [{"type": "function", "function": {"name": "g"}}]
    sent = stage.sends(CC, GM, {**asked(CC), "tools": tools})
    (tool,) = sent["tools"]
    same([d["name"] for d in tool["functionDeclarations"]], ["f", "g"])
    same(
        tool["functionDeclarations"][1],
        {"name": "g", "parameters": ABSENT, "parametersJsonSchema": ABSENT, ...: 0},
    )


@pytest.mark.parametrize("types", [["integer", "null"], ["null", "integer"]])
def test_E024_a_type_or_null_is_nullable(stage: Stage, types: list[str]) -> None:
    got = gemini_schema(stage, {"type": types, "description": "d"})
    same(got, {"type": "INTEGER", "nullable": True, "description": "d"})


def test_E025_several_types_are_any_of(stage: Stage) -> None:
    same(
        gemini_schema(stage, {"type": ["integer", "string"]}),
        {"anyOf": [{"type": "INTEGER"}, {"type": "STRING"}]},
    )


def test_E027_gemini_gets_no_numeric_enum(stage: Stage) -> None:
    got = gemini_schema(stage, {"type": "integer", "enum": [1, 2]})
    same(got, {"type": "INTEGER", "enum": ABSENT, ...: 0})
    assert set(got) <= {"type", "description", "format"}


CHOICES = {
    "auto": {CC: "auto", RS: "auto", AM: {"type": "auto"}, GM: {"mode": "AUTO"}},
    "none": {CC: "none", RS: "none", AM: {"type": "none"}, GM: {"mode": "NONE"}},
    "required": {CC: "required", RS: "required", AM: {"type": "any"}, GM: {"mode": "ANY"}},
    "one": {
        CC: {"type": "function", "function": {"name": "f"}},
        RS: {"type": "function", "name": "f"},
        AM: {"type": "tool", "name": "f"},
        GM: {"mode": "ANY", "allowedFunctionNames": ["f"]},
    },
}


def choice(dialect: str, value: Any) -> dict[str, Any]:
    return {"toolConfig": {"functionCallingConfig": value}} if dialect == GM else {"tool_choice": value}


@pytest.mark.parametrize("row", CHOICES)
@pytest.mark.parametrize(
    ("client", "upstream"),
    [pytest.param(c, u, id=f"{SHORT[c]}-{SHORT[u]}") for c in DIALECTS for u in DIALECTS if c != u],
)
def test_E029_tool_choice_in_every_pair(stage: Stage, client: str, upstream: str, row: str) -> None:
    body = {**asked(client), **declared(client, "f", "g"), **choice(client, CHOICES[row][client])}
    sent = stage.sends(client, upstream, body)
    got = sent["toolConfig"]["functionCallingConfig"] if upstream == GM else sent["tool_choice"]
    same(got, CHOICES[row][upstream])
    assert names_of(upstream, sent) in (["f", "g"], ["f"] if row == "one" else ["f", "g"])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        (
            {"parallel_tool_calls": False, "tool_choice": "required"},
            {"type": "any", "disable_parallel_tool_use": True},
        ),
        ({"parallel_tool_calls": False, "tool_choice": "none"}, {"type": "none"}),
        ({"parallel_tool_calls": True}, None),
    ],
    ids=["alone", "required", "none", "true"],
)
def test_E030_parallel_tool_calls(stage: Stage, given: dict[str, Any], expected: Any) -> None:
    for client in (CC, RS):
        sent = stage.sends(client, AM, {**asked(client), **declared(client, "f"), **given})
        same(sent.get("tool_choice"), expected)


def allowed(dialect: str, mode: str, *names: str) -> dict[str, Any]:
    if dialect == RS:
        return {
            "type": "allowed_tools",
            "mode": mode,
            "tools": [{"type": "function", "name": n} for n in names],
        }
    tools = [{"type": "function", "function": {"name": n}} for n in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


@pytest.mark.parametrize(("mode", "expected"), [("auto", "auto"), ("required", "any")])
@pytest.mark.parametrize("client", [CC, RS])
def test_E032_only_allowed_tools_are_declared(stage: Stage, client: str, mode: str, expected: str) -> None:
    body = {**asked(client), **declared(client, "a", "b"), "tool_choice": allowed(client, mode, "a")}
    sent = stage.sends(client, AM, body)
    assert names_of(AM, sent) == ["a"]
    same(sent["tool_choice"], {"type": expected})


def test_E032_allowed_names_that_match_nothing_leave_the_declarations_whole(stage: Stage) -> None:
    body = {**asked(CC), **declared(CC, "a", "b"), "tool_choice": allowed(CC, "auto", "z")}
    assert names_of(AM, stage.sends(CC, AM, body)) == ["a", "b"]


@pytest.mark.parametrize("tools", [{}, {"tools": []}], ids=["absent", "empty"])
@pytest.mark.parametrize(
    ("client", "upstream"), [(AM, CC), (AM, RS), (GM, CC), (GM, RS), (RS, CC), (CC, RS), (CC, AM), (CC, GM)]
)
def test_E034_no_tools_no_tool_choice(
    stage: Stage, client: str, upstream: str, tools: dict[str, Any]
) -> None:
    for row in ("auto", "required"):
        sent = stage.sends(
            client, upstream, {**asked(client), **tools, **choice(client, CHOICES[row][client])}
        )
        same(sent, {"tools": ABSENT, "tool_choice": ABSENT, "toolConfig": ABSENT, ...: 0})


def test_E034_a_habitual_web_search_that_is_left_out_takes_the_choice_with_it(stage: Stage) -> None:
    body = {"input": "U", "tools": [{"type": "web_search"}], "tool_choice": "auto"}
    heard = stage.ask(RS, CC, body, model=GENERIC)
    assert heard.reply.status == 200
    same(heard.upstream, {"tools": ABSENT, "tool_choice": ABSENT, "web_search_options": ABSENT, ...: 0})
    assert any("tools" in path for path in heard.dropped)


SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}


@pytest.mark.parametrize("model", ["gpt-4o", GENERIC])
def test_E035_anthropics_web_search_is_refused_where_chat_has_none(stage: Stage, model: str) -> None:
    body = {"messages": [USER], "tools": [SEARCH]}
    stage.rejects(AM, CC, body, "tools.0.type", model=model)


@pytest.mark.parametrize("upstream", [AM, GM])
def test_E037_legacy_functions_and_their_answer(stage: Stage, upstream: str) -> None:
    body = {**asked(CC), "functions": [{"name": "f", "description": "d", "parameters": SCHEMA}], "function_call": {"name": "f"}}  # fmt: skip
    use = {**answers.MESSAGE, "content": [{"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": "x"}}], "stop_reason": "tool_use"}  # fmt: skip
    call = {"candidates": [{"content": {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"a": "x"}}}]}, "finishReason": "STOP"}]}  # fmt: skip
    heard = stage.ask(CC, upstream, body, answer=use if upstream == AM else call)
    assert names_of(upstream, heard.upstream) == ["f"]
    sent = heard.upstream
    same(
        sent["tool_choice"] if upstream == AM else sent["toolConfig"]["functionCallingConfig"],
        CHOICES["one"][upstream],
    )
    (given,) = heard.answer["choices"]
    assert given["finish_reason"] == "function_call"
    same(given["message"], {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": '{"a":"x"}'}, "tool_calls": ABSENT, ...: 0})  # fmt: skip


def test_E039_responses_tools_are_flat_and_chats_nested(stage: Stage) -> None:
    flat = {"type": "function", "name": "f", "parameters": SCHEMA, "strict": False}
    sent = stage.sends(RS, CC, {"input": "U", "tools": [flat]})
    nested = {"type": "function", "function": {"name": "f", "parameters": SCHEMA, "strict": False}}
    same(sent["tools"], [nested])
    same(stage.sends(CC, RS, {**asked(CC), "tools": [nested]})["tools"], [flat])


PATCH = {"type": "custom", "name": "apply_patch", "description": "edits files", "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}}  # fmt: skip
FREE = Where("an object with one required string property input", lambda s: s["type"] == "object" and list(s["properties"]) == ["input"] and s["properties"]["input"]["type"] == "string" and s["required"] == ["input"])  # fmt: skip


def test_E040_a_free_text_tool_is_a_function_with_one_string_and_comes_back_free(stage: Stage) -> None:
    body = {"input": "U", "tools": [PATCH]}
    use = {"type": "tool_use", "id": "toolu_1", "name": "apply_patch", "input": {"input": "*** Begin\n"}}
    heard = stage.ask(RS, AM, body, answer={**answers.MESSAGE, "content": [use], "stop_reason": "tool_use"})
    same(heard.upstream["tools"], [{"name": "apply_patch", "description": ANY, "input_schema": FREE, ...: 0}])
    (item,) = heard.answer["output"]
    same(
        item,
        {
            "type": "custom_tool_call",
            "id": ANY,
            "call_id": "toolu_1",
            "name": "apply_patch",
            "input": "*** Begin\n",
            ...: 0,
        },
    )
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "apply_patch", "arguments": '{"input":"*** Begin\\n"}'},
    }
    chat = {**answers.CHAT, "choices": [{"index": 0, "message": {"role": "assistant", "content": None, "tool_calls": [call]}, "finish_reason": "tool_calls"}]}  # fmt: skip
    heard = stage.ask(RS, CC, body, answer=chat)
    function = heard.upstream["tools"][0]
    same(
        function,
        {
            "type": "function",
            "function": {"name": "apply_patch", "description": ANY, "parameters": FREE, ...: 0},
        },
    )
    (item,) = heard.answer["output"]
    same(
        item,
        {
            "type": "custom_tool_call",
            "call_id": "call_1",
            "name": "apply_patch",
            "input": "*** Begin\n",
            ...: 0,
        },
    )


# --- further cases of the same rules ---------------------------------------------------------------------------


def test_F02_free_text_calls_in_history_are_wrapped(stage: Stage) -> None:
    items = [
        USER,
        {"type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": 'a "b"\n'},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "done"},
    ]
    sent = stage.sends(RS, AM, {"input": items, "tools": [PATCH]})
    use = {"type": "tool_use", "id": "c1", "name": "apply_patch", "input": {"input": 'a "b"\n'}}
    same(sent["messages"][1]["content"], [use])
    same(sent["messages"][2]["content"], [{"type": "tool_result", "tool_use_id": "c1", "content": "done"}])
    sent = stage.sends(RS, CC, {"input": items, "tools": [PATCH]})
    same(
        sent["messages"][1]["tool_calls"][0]["function"],
        {"name": "apply_patch", "arguments": '{"input":"a \\"b\\"\\n"}'},
    )


def test_F02_a_function_without_parameters_still_has_an_input_schema(stage: Stage) -> None:
    sent = stage.sends(CC, AM, {**asked(CC), "tools": [{"type": "function", "function": {"name": "f"}}]})
    same(sent["tools"], [{"name": "f", "input_schema": {"type": "object", ...: 0}}])


@pytest.mark.parametrize(("client", "upstream"), [(AM, RS), (CC, RS), (GM, RS), (GM, CC), (AM, CC)])
def test_F02_definitions_keep_name_description_and_schema(stage: Stage, client: str, upstream: str) -> None:
    sent = stage.sends(client, upstream, {**asked(client), **declared(client, "f", "g")})
    assert names_of(upstream, sent) == ["f", "g"]
    first = sent["tools"][0] if upstream == RS else sent["tools"][0]["function"]
    same(first, {"name": "f", "description": "d", "parameters": SCHEMA, ...: 0})


def test_F02_a_chat_function_without_strict_does_not_become_strict_in_responses(stage: Stage) -> None:
    """The Responses API's own default is strict."""
    assert stage.sends(CC, RS, {**asked(CC), **declared(CC, "f")})["tools"][0]["strict"] is False


def test_F02_strict_goes_from_anthropic_to_chat(stage: Stage) -> None:
    tool = {
        "name": "f",
        "input_schema": {**SCHEMA, "required": ["a"], "additionalProperties": False},
        "strict": True,
    }
    sent = stage.sends(AM, CC, {"messages": [USER], "tools": [tool]})
    same(sent["tools"][0]["function"], {"name": "f", "parameters": tool["input_schema"], "strict": True})


FORBIDDEN = {"$schema", "$id", "$ref", "$defs", "definitions", "const", "oneOf", "allOf", "not", "if", "patternProperties", "exclusiveMinimum", "exclusiveMaximum", "uniqueItems", "multipleOf", "contentEncoding"}  # fmt: skip


def test_F02_gemini_gets_only_keywords_that_it_knows(stage: Stage) -> None:
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$defs": {"city": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}},
        "type": "object",
        "properties": {
            "where": {"$ref": "#/$defs/city"},
            "kind": {"const": "x"},
            "how": {"oneOf": [{"type": "string"}, {"type": "number", "exclusiveMinimum": 0}]},
            "both": {"allOf": [{"type": "object", "properties": {"q": {"type": "string"}}}]},
            "list": {"type": "array", "items": {"type": "string", "contentEncoding": "base64"}, "uniqueItems": True},
            "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        },
        "additionalProperties": False,
    }  # fmt: skip
    sent = stage.sends(CC, GM, {**asked(CC), **declared(CC, "f", schema=schema)})
    got = sent["tools"][0]["functionDeclarations"][0]["parameters"]
    assert {name for name, _ in members(got)} & FORBIDDEN == set()
    assert list(got["properties"]) == list(schema["properties"])
    same(
        got["properties"]["where"],
        {"type": "OBJECT", "properties": {"name": {"type": "STRING"}}, "required": ["name"], ...: 0},
    )
    same(got["properties"]["kind"], {"enum": ["x"], ...: 0})
    assert len(got["properties"]["how"]["anyOf"]) == 2
    assert got["properties"]["both"]["properties"]["q"]["type"] == "STRING"
    same(got["properties"]["maybe"], {"type": "STRING", "nullable": True})


def test_F02_a_schema_that_contains_itself_ends(stage: Stage) -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}, "value": {"type": "string"}}}
    schema = {"type": "object", "properties": {"root": {"$ref": "#/$defs/node"}}, "$defs": {"node": node}}
    sent = stage.sends(CC, GM, {**asked(CC), **declared(CC, "f", schema=schema)})
    assert "$ref" not in json.dumps(sent) and '"value"' in json.dumps(sent)


@pytest.mark.parametrize("kind", ["string", "number"])
def test_F02_a_nullable_enum_loses_its_null(stage: Stage, kind: str) -> None:
    values = ["a", "b", None] if kind == "string" else [1, 2, None]
    got = gemini_schema(stage, {"type": [kind, "null"], "enum": values})
    assert got["type"] == kind.upper() and got["nullable"] is True
    assert got.get("enum") == (["a", "b"] if kind == "string" else None)


def test_F02_an_object_with_empty_properties_is_no_parameters_for_gemini(stage: Stage) -> None:
    for schema in ({"type": "object", "properties": {}}, {"type": "object"}, {}):
        sent = stage.sends(CC, GM, {**asked(CC), **declared(CC, "f", schema=schema)})
        same(sent["tools"][0]["functionDeclarations"][0], {"name": "f", "description": "d"})


@pytest.mark.parametrize(
    "types", [("OBJECT", "STRING"), (6, 1), ("object", "string")], ids=["upper", "numbers", "lower"]
)
def test_F02_geminis_schema_becomes_json_schema(stage: Stage, types: tuple[Any, Any]) -> None:
    schema = {
        "type": types[0],
        "properties": {"a": {"type": types[1], "nullable": True}, "b": {"type": types[1]}},
    }
    sent = stage.sends(GM, CC, {**asked(GM), **declared(GM, "f", schema=schema)})
    got = sent["tools"][0]["function"]["parameters"]
    assert got["type"] == "object" and got["properties"]["b"] == {"type": "string"}
    same(
        got["properties"]["a"],
        OneOf({"type": ["string", "null"]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
    )


def test_F02_geminis_json_schema_passes_as_it_is(stage: Stage) -> None:
    declaration = {"name": "f", "description": "d", "parametersJsonSchema": SCHEMA}
    sent = stage.sends(GM, AM, {**asked(GM), "tools": [{"functionDeclarations": [declaration]}]})
    same(sent["tools"], [{"name": "f", "description": "d", "input_schema": SCHEMA}])


def test_F02_several_gemini_tools_are_all_declared(stage: Stage) -> None:
    tools = [declared(GM, "f")["tools"][0], declared(GM, "g")["tools"][0]]
    assert names_of(CC, stage.sends(GM, CC, {**asked(GM), "tools": tools})) == ["f", "g"]


@pytest.mark.parametrize(("upstream", "member"), [(CC, "parallel_tool_calls"), (RS, "parallel_tool_calls")])
def test_F02_disable_parallel_tool_use(stage: Stage, upstream: str, member: str) -> None:
    body = {
        "messages": [USER],
        **declared(AM, "f"),
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
    }
    sent = stage.sends(AM, upstream, body)
    assert sent[member] is False and sent["tool_choice"] == "required"
    same(stage.sends(AM, upstream, {"messages": [USER], **declared(AM, "f")}).get(member), None)


def test_F02_geminis_list_of_allowed_names_limits_the_declarations(stage: Stage) -> None:
    body = {
        **asked(GM),
        **declared(GM, "a", "b", "c"),
        **choice(GM, {"mode": "ANY", "allowedFunctionNames": ["a", "b"]}),
    }
    sent = stage.sends(GM, AM, body)
    assert names_of(AM, sent) == ["a", "b"]
    same(sent["tool_choice"], {"type": "any"})


@pytest.mark.parametrize("mode", ["auto", "required"])
def test_F02_allowed_tools_between_chat_and_responses(stage: Stage, mode: str) -> None:
    for client, upstream in ((CC, RS), (RS, CC)):
        body = {**asked(client), **declared(client, "a", "b"), "tool_choice": allowed(client, mode, "a")}
        sent = stage.sends(client, upstream, body)
        same(sent["tool_choice"], OneOf(allowed(upstream, mode, "a"), mode))
        assert names_of(upstream, sent) == (["a", "b"] if isinstance(sent["tool_choice"], dict) else ["a"])


def test_F02_allowed_tools_for_gemini(stage: Stage) -> None:
    sent = stage.sends(
        CC, GM, {**asked(CC), **declared(CC, "a", "b"), "tool_choice": allowed(CC, "required", "a")}
    )
    config = sent["toolConfig"]["functionCallingConfig"]
    assert config["mode"] == "ANY" and (
        config.get("allowedFunctionNames") == ["a"] or names_of(GM, sent) == ["a"]
    )


@pytest.mark.parametrize("upstream", [RS, GM])
def test_F02_anthropics_web_search_is_the_upstreams_own(stage: Stage, upstream: str) -> None:
    sent = stage.sends(AM, upstream, {"messages": [USER], "tools": [SEARCH]})
    expected = {"type": Like("web_search(_preview)?"), ...: 0} if upstream == RS else {"googleSearch": {}}
    same(sent["tools"], [expected])


def test_F02_chats_and_geminis_web_search_at_anthropic(stage: Stage) -> None:
    sent = stage.sends(
        CC, AM, {**asked(CC), "web_search_options": {"user_location": {"approximate": {"country": "DE"}}}}
    )
    same(sent["tools"], [{"type": Like("web_search_.*"), "name": "web_search", "user_location": {"type": "approximate", "country": "DE"}}])  # fmt: skip
    sent = stage.sends(GM, AM, {**asked(GM), "tools": [{"googleSearch": {}}]})
    same(sent["tools"], [{"type": Like("web_search_.*"), "name": "web_search"}])


BOUND = [
    (AM, {"type": "computer_20250124", "name": "computer", "display_width_px": 1, "display_height_px": 1}),
    (AM, {"type": "bash_20250124", "name": "bash"}),
    (AM, {"type": "code_execution_20250825", "name": "code_execution"}),
    (RS, {"type": "file_search", "vector_store_ids": []}),
    (RS, {"type": "code_interpreter", "container": {"type": "auto"}}),
    (GM, {"codeExecution": {}}),
    (GM, {"urlContext": {}}),
]


@pytest.mark.parametrize(("client", "tool"), BOUND)
def test_F02_tools_that_only_their_own_vendor_has_are_never_sent_as_functions(
    stage: Stage, client: str, tool: dict[str, Any]
) -> None:
    heard = stage.ask(client, CC, {**asked(client), "tools": [tool]})
    assert 400 <= heard.reply.status < 500, heard.reply
    assert "tools" in heard.reply.json["error"]["message"] and heard.sent == []


@pytest.mark.parametrize(
    "name", ["mcp__" + "x" * 80, "ns.tool", "with space", "über"], ids=["long", "dot", "space", "umlaut"]
)
def test_F02_names_that_an_upstream_refuses_are_renamed_and_come_back(stage: Stage, name: str) -> None:
    use = lambda x: {**answers.MESSAGE, "content": [{"type": "tool_use", "id": "toolu_1", "name": x.request.json["tools"][0]["name"], "input": {}}], "stop_reason": "tool_use"}  # fmt: skip
    heard = stage.ask(CC, AM, {**asked(CC), **declared(CC, name)}, answer=lambda x: x.reply(200, use(x)))
    (wire,) = names_of(AM, heard.upstream)
    same(wire, Like("[a-zA-Z0-9_-]{1,128}"))
    assert heard.answer["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == name


def test_F02_a_renamed_tool_has_its_wire_name_in_history_and_choice(stage: Stage) -> None:
    name = "ns." + "x" * 100
    call = {"type": "tool_use", "id": "t1", "name": name, "input": {}}
    messages = [USER, {"role": "assistant", "content": [call]}, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "r"}]}]  # fmt: skip
    body = {"messages": messages, **declared(AM, name), "tool_choice": {"type": "tool", "name": name}}
    sent = stage.sends(AM, CC, body)
    (wire,) = names_of(CC, sent)
    same(wire, Like("[a-zA-Z0-9_-]{1,64}"))
    assert sent["tool_choice"]["function"]["name"] == wire
    assert sent["messages"][1]["tool_calls"][0]["function"]["name"] == wire


@pytest.mark.parametrize("upstream", [AM, CC, GM])
def test_F02_a_namespace_is_flattened_and_comes_back(stage: Stage, upstream: str) -> None:
    tool = {
        "type": "namespace",
        "name": "files",
        "description": "d",
        "tools": [{"type": "function", "name": "read", "parameters": SCHEMA}],
    }

    def play(x: Any) -> None:
        (name,) = names_of(upstream, x.request.json)
        call = {"id": "call_1", "type": "function", "function": {"name": name, "arguments": '{"a":"x"}'}}
        x.reply(200, {
            AM: {**answers.MESSAGE, "content": [{"type": "tool_use", "id": "call_1", "name": name, "input": {"a": "x"}}], "stop_reason": "tool_use"},
            CC: {**answers.CHAT, "choices": [{"index": 0, "message": {"role": "assistant", "content": None, "tool_calls": [call]}, "finish_reason": "tool_calls"}]},
            GM: {"candidates": [{"content": {"role": "model", "parts": [{"functionCall": {"name": name, "args": {"a": "x"}}}]}, "finishReason": "STOP"}]},
        }[upstream])  # fmt: skip

    heard = stage.ask(RS, upstream, {"input": "U", "tools": [tool]}, answer=play)
    (item,) = heard.answer["output"]
    same(
        item,
        {
            "type": "function_call",
            "name": "read",
            "namespace": "files",
            "arguments": '{"a":"x"}',
            "call_id": ANY,
            ...: 0,
        },
    )


def test_F02_tools_are_made_from_the_history_where_anthropic_demands_them(stage: Stage) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        USER,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "r"},
    ]
    sent = stage.sends(CC, AM, {"messages": messages})
    assert names_of(AM, sent) == ["f"] and sent["tools"][0]["input_schema"]["type"] == "object"


def test_F02_legacy_history_is_paired(stage: Stage) -> None:
    messages = [
        USER,
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": '{"a":"x"}'}},
        {"role": "function", "name": "f", "content": "r"},
    ]
    sent = stage.sends(CC, AM, {"messages": messages, "functions": [{"name": "f", "parameters": SCHEMA}]})
    use = {"type": "tool_use", "id": Like("[a-zA-Z0-9_-]+", "call"), "name": "f", "input": {"a": "x"}}
    result = {"type": "tool_result", "tool_use_id": Like("[a-zA-Z0-9_-]+", "call"), "content": "r"}
    same(
        sent["messages"][1:], [{"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
    )


def test_F02_marks_that_only_anthropic_knows_are_left_out(stage: Stage) -> None:
    tool = {
        **declared(AM, "f")["tools"][0],
        "cache_control": {"type": "ephemeral"},
        "defer_loading": True,
        "eager_input_streaming": True,
    }
    sent = stage.sends(AM, CC, {"messages": [USER], "tools": [tool]})
    same(sent["tools"], declared(CC, "f")["tools"])


@pytest.mark.parametrize("upstream", [CC, AM, GM])
def test_F02_a_strict_codex_loses_nothing_by_its_habits(stage: Stage, upstream: str) -> None:
    """What the gateway itself remembers of a request is no loss."""
    namespace = {
        "type": "namespace",
        "name": "files",
        "description": "d",
        "tools": [{"type": "function", "name": "read", "description": "d", "parameters": SCHEMA}],
    }
    habits = {
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "truncation": "disabled",
        "background": False,
        "text": {"format": {"type": "text"}},
    }
    body = {"input": "U", "tools": [*declared(RS, "f")["tools"], namespace], **habits}
    heard = stage.ask(RS, upstream, body, headers={"x-dragoman-strict": "true"})
    assert heard.reply.status == 200 and heard.dropped == [], heard.reply


@pytest.mark.parametrize("odd", [["function"], {"a": 1}, 7, True, 1.5])
@pytest.mark.parametrize("client", [CC, RS, AM, GM])
def test_F02_a_type_that_is_no_word_is_a_400(stage: Stage, client: str, odd: Any) -> None:
    tool = {"type": odd, "name": "f", "function": odd, "input_schema": {}, "functionDeclarations": odd}
    heard = stage.ask(client, CC if client == AM else AM, {**asked(client), "tools": [tool]})
    assert heard.reply.status == 400 and "tools" in heard.reply.json["error"]["message"] and heard.sent == []


@pytest.mark.parametrize("upstream", [CC, RS, GM])
@pytest.mark.parametrize("member", ["required", "properties", "type", "enum", "items", "anyOf"])
def test_F02_a_schema_with_an_odd_member_is_no_crash(stage: Stage, upstream: str, member: str) -> None:
    for odd in (7, 1.5, True, "x", {}, [], [7]):
        tool = {"name": "f", "input_schema": {**SCHEMA, member: odd}}
        heard = stage.ask(AM, upstream, {"messages": [USER], "tools": [tool]})
        assert heard.reply.status in (200, 400), (odd, heard.reply)


@pytest.mark.parametrize(
    ("client", "upstream", "body", "path"),
    [
        (CC, AM, {"tools": [{"type": "function"}]}, "tools[0].function"),
        (CC, AM, {"tools": [{"type": "function", "function": {"name": 7}}]}, "tools[0].function.name"),
        (CC, GM, {"tools": [{"type": "function", "function": {"name": "f", "parameters": "x"}}]}, "tools[0].function.parameters"),
        (CC, AM, {"tools": {}}, "tools"),
        (CC, AM, {**declared(CC, "f"), "tool_choice": "sometimes"}, "tool_choice"),
        (AM, CC, {"tools": [{"input_schema": {}}]}, "tools.0.name"),
        (AM, CC, {**declared(AM, "f"), "tool_choice": {"type": "sometimes"}}, "tool_choice.type"),
        (RS, AM, {"tools": [{"type": "function", "parameters": {}}]}, "tools[0].name"),
        (GM, AM, {**declared(GM, "f"), **choice(GM, {"mode": "SOMETIMES"})}, "functionCallingConfig.mode"),
    ],
)  # fmt: skip
def test_F02_a_broken_definition_is_refused_by_name(
    stage: Stage, client: str, upstream: str, body: Any, path: str
) -> None:
    stage.rejects(client, upstream, {**asked(client), **body}, path)
