"""F01: system messages, roles, the order of turns."""
# ruff: noqa: N802

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance.equality import ABSENT, ANY, Like, OneOf, Where, same
from tests.conformance.world import ADAPTIVE, AM, CC, GENERIC, GM, ROUTED, RS, Stage

USER = {"role": "user", "content": "U"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
MARKED = [
    {"type": "text", "text": "A", "cache_control": {"type": "ephemeral"}},
    {"type": "text", "text": "B"},
]


def text(value: str) -> dict[str, str]:
    return {"type": "text", "text": value}


def turn(role: str, *texts: str) -> dict[str, Any]:
    return {"role": role, "content": [text(t) for t in texts]}


def contents(role: str, *texts: str) -> dict[str, Any]:
    return {"role": role, "parts": [{"text": t} for t in texts]}


def test_E002_system_and_developer_messages_become_one_system_block_each(stage: Stage) -> None:
    messages = [{"role": "system", "content": "A"}, {"role": "developer", "content": "B"}, USER]
    sent = stage.sends(CC, AM, {"messages": messages})
    same(sent["system"], [text("A"), text("B")])
    same(sent["messages"], [turn("user", "U")])


@pytest.mark.parametrize("model", ["gpt-4o", GENERIC])
def test_E004_system_blocks_become_the_first_message_without_cache_marks(stage: Stage, model: str) -> None:
    sent = stage.sends(AM, CC, {"system": MARKED, "messages": [USER]}, model=model)
    assert sent["messages"][0]["role"] in ("system", "developer")
    same(sent["messages"][0]["content"], OneOf([text("A"), text("B")], [text("A\n\nB")], "A\n\nB"))
    same(sent["messages"][1:], [USER])
    assert "cache_control" not in json.dumps(sent)


MID = [
    {"role": "user", "content": "1"},
    {"role": "assistant", "content": "2"},
    {"role": "system", "content": "Be brief"},
    {"role": "user", "content": "3"},
]


def test_E005_a_system_message_in_the_middle_goes_to_the_front_of_the_next_user_turn(stage: Stage) -> None:
    sent = stage.sends(CC, AM, {"messages": MID})
    same(sent.get("system"), None)
    same(sent["messages"][:2], MID[:2])
    (last,) = sent["messages"][2:]
    same(last, {"role": "user", "content": [{"type": "text", "text": Where("the instruction", lambda t: "Be brief" in t)}, text("3")]})  # fmt: skip


@pytest.mark.parametrize("model", ["claude-opus-4-8", "claude-opus-5-5"])
def test_E005_a_model_that_knows_system_messages_gets_it_in_its_place(stage: Stage, model: str) -> None:
    sent = stage.sends(CC, AM, {"messages": MID}, model=model)
    same(sent.get("system"), None)
    same(sent["messages"], MID)


def test_E007_neighbouring_user_messages_become_one(stage: Stage) -> None:
    sent = stage.sends(CC, AM, {"messages": [turn("user", "A"), {"role": "user", "content": "B"}]})
    same(sent["messages"], [turn("user", "A", "B")])


def test_E009_a_prefill_loses_its_trailing_white_space(stage: Stage) -> None:
    messages = [USER, {"role": "assistant", "content": "Answer: "}]
    same(stage.sends(CC, AM, {"messages": messages})["messages"], [USER, turn("assistant", "Answer:")])


@pytest.mark.parametrize("model", [ADAPTIVE, "claude-sonnet-4-6"])
def test_E009_a_prefill_for_a_model_without_it_is_refused(stage: Stage, model: str) -> None:
    messages = [USER, {"role": "assistant", "content": "Answer: "}]
    stage.rejects(CC, AM, {"messages": messages}, "messages[1]", model=model)


def test_E010_an_empty_assistant_text_beside_tool_calls_is_left_out(stage: Stage) -> None:
    messages = [USER, {"role": "assistant", "content": "", "tool_calls": [CALL]}, {"role": "tool", "tool_call_id": "call_1", "content": "r"}]  # fmt: skip
    sent = stage.sends(CC, AM, {"messages": messages})
    same(
        sent["messages"][1]["content"], [{"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1}}]
    )


@pytest.mark.parametrize("upstream", [AM, GM])
def test_E012_a_participants_name_has_no_place(stage: Stage, upstream: str) -> None:
    sent = stage.sends(CC, upstream, {"messages": [{"role": "user", "name": "bob", "content": "hi"}]})
    assert "bob" not in json.dumps(sent) and '"name"' not in json.dumps(sent)


def test_E014_responses_parts_become_chat_parts(stage: Stage) -> None:
    parts = [{"type": "input_text", "text": "t"}, {"type": "input_image", "image_url": "https://x/y.png", "detail": "low"}]  # fmt: skip
    sent = stage.sends(RS, CC, {"input": [{"role": "user", "content": parts}]})
    image = {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}}
    same(sent["messages"], [{"role": "user", "content": [text("t"), image]}])


def test_E015_assistant_history_is_output_text_in_responses(stage: Stage) -> None:
    messages = [USER, {"role": "assistant", "content": "a"}, {"role": "user", "content": "V"}]
    sent = stage.sends(CC, RS, {"messages": messages})
    said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a", "annotations": OneOf([], ABSENT), ...: 0}], ...: 0}  # fmt: skip
    same(sent["input"][1], said)
    assert "annotations" in sent["input"][1]["content"][0]


GEMINI_TOOLS = [
    contents("user", "go"),
    {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"a": 1}}}]},
]
RESULT = {"functionResponse": {"name": "f", "response": {"result": "r"}}}


@pytest.mark.parametrize("role", ["function", "user"])
def test_E017_geminis_roles_become_user_assistant_user(stage: Stage, role: str) -> None:
    sent = stage.sends(GM, AM, {"contents": [*GEMINI_TOOLS, {"role": role, "parts": [RESULT]}]})
    assert [m["role"] for m in sent["messages"]] == ["user", "assistant", "user"]
    use, result = sent["messages"][1]["content"][0], sent["messages"][2]["content"][0]
    same(use, {"type": "tool_use", "id": ANY, "name": "f", "input": {"a": 1}})
    same(result, {"type": "tool_result", "tool_use_id": use["id"], ...: 0})
    assert "r" in json.dumps(result["content"])


# --- further cases of the same rules ---------------------------------------------------------------------------


def test_F01_one_system_message_becomes_system(stage: Stage) -> None:
    sent = stage.sends(CC, AM, {"messages": [{"role": "system", "content": "A"}, USER]})
    same(sent, {"system": "A", "messages": [USER], ...: 0})


def test_F01_without_system_messages_there_is_no_system(stage: Stage) -> None:
    assert "system" not in stage.sends(CC, AM, {"messages": [USER]})
    assert "systemInstruction" not in stage.sends(CC, GM, {"messages": [USER]})
    assert "instructions" not in stage.sends(CC, RS, {"messages": [USER]})


@pytest.mark.parametrize(
    ("client", "body"),
    [
        (CC, {"messages": [{"role": "system", "content": "A"}, {"role": "developer", "content": "B"}, USER]}),
        (AM, {"system": [text("A"), text("B")], "messages": [USER]}),
        (RS, {"instructions": "A", "input": [{"role": "developer", "content": "B"}, USER]}),
    ],
    ids=["CC", "AM", "RS"],
)
def test_F01_instructions_become_geminis_system_instruction(stage: Stage, client: str, body: Any) -> None:
    sent = stage.sends(client, GM, body)
    same(sent["systemInstruction"]["parts"], [{"text": "A"}, {"text": "B"}])
    same(sent["contents"], [contents("user", "U")])


@pytest.mark.parametrize("upstream", [AM, CC])
def test_F01_geminis_system_instruction_goes_to_the_front(stage: Stage, upstream: str) -> None:
    body = {"systemInstruction": {"role": "user", "parts": [{"text": "A"}, {"text": "B"}]}, "contents": [contents("user", "U")]}  # fmt: skip
    sent = stage.sends(GM, upstream, body)
    if upstream == AM:
        same(sent["system"], OneOf([text("A"), text("B")], [text("A\n\nB")]))
    else:
        assert sent["messages"][0]["role"] in ("system", "developer")
        same(sent["messages"][0]["content"], OneOf([text("A"), text("B")], [text("A\n\nB")], "A\n\nB"))
    same(sent["messages"][-1], USER)


@pytest.mark.parametrize("name", ["system_instruction", "systemInstruction"])
def test_F01_geminis_members_may_be_in_snake_case_and_roles_may_be_missing(stage: Stage, name: str) -> None:
    sent = stage.sends(GM, AM, {name: {"parts": [{"text": "A"}]}, "contents": [{"parts": [{"text": "U"}]}]})
    same(sent, {"system": "A", "messages": [USER], ...: 0})


def test_F01_responses_instructions_stand_before_the_input_of_chat(stage: Stage) -> None:
    sent = stage.sends(RS, CC, {"instructions": "A", "input": "U"})
    assert sent["messages"][0]["role"] in ("system", "developer")
    same(
        [m["content"] for m in sent["messages"]],
        OneOf(["A", "U"], [[text("A")], [text("U")]], ["A", [text("U")]]),
    )


def test_F01_responses_instructions_and_developer_items_become_system_in_order(stage: Stage) -> None:
    items = [{"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "B"}]}, USER]
    sent = stage.sends(RS, AM, {"instructions": "A", "input": items})
    same(sent["system"], [text("A"), text("B")])
    same(sent["messages"], [USER])


def test_F01_system_goes_to_responses_before_the_user(stage: Stage) -> None:
    sent = stage.sends(CC, RS, {"messages": [{"role": "system", "content": "A"}, USER]})
    whole = json.dumps([sent.get("instructions"), sent["input"]])
    assert 0 < whole.index('"A"') < whole.index('"U"')
    assert sent.get("instructions") == "A" or sent["input"][0]["role"] in ("system", "developer")


@pytest.mark.parametrize("content", ["Be brief", [text("Be brief")]], ids=["string", "blocks"])
@pytest.mark.parametrize("model", ["gpt-4o", GENERIC])
def test_F01_claude_codes_system_message_in_the_middle_stays_in_its_place(
    stage: Stage, content: Any, model: str
) -> None:
    messages = [*MID[:2], {"role": "system", "content": content}, MID[3]]
    sent = stage.sends(AM, CC, {"messages": messages}, model=model)
    assert sent["messages"][2]["role"] in (("system", "developer") if model == "gpt-4o" else ("system",))
    same([m["content"] for m in sent["messages"][2:]], OneOf(["Be brief", "3"], [[text("Be brief")], [text("3")]], ["Be brief", [text("3")]], [[text("Be brief")], "3"]))  # fmt: skip


@pytest.mark.parametrize("client", [CC, AM])
def test_F01_a_system_message_in_the_middle_is_not_hoisted_in_gemini_either(
    stage: Stage, client: str
) -> None:
    sent = stage.sends(client, GM, {"messages": MID})
    assert "systemInstruction" not in sent
    assert [c["role"] for c in sent["contents"]] == ["user", "model", "user"]
    assert ["Be brief" in p["text"] or p["text"] == "3" for p in sent["contents"][2]["parts"]] == [True, True]


def test_F01_a_system_message_at_the_very_end_still_reaches_the_model(stage: Stage) -> None:
    sent = stage.sends(CC, AM, {"messages": [USER, {"role": "system", "content": "Be brief"}]})
    assert "Be brief" in json.dumps(sent) and sent["messages"][-1]["role"] == "user"


def test_F01_only_a_system_message_never_makes_an_empty_conversation(stage: Stage) -> None:
    heard = stage.ask(CC, AM, {"messages": [{"role": "system", "content": "A"}]})
    if heard.reply.status == 200:
        assert heard.upstream["messages"] and "A" in json.dumps(heard.upstream)
    else:
        assert heard.reply.status == 400 and heard.sent == []


@pytest.mark.parametrize("upstream", [CC, GM, RS])
def test_F01_claude_codes_billing_header_stays_with_anthropic(stage: Stage, upstream: str) -> None:
    billing = text("x-anthropic-billing-header: cc_version=2.1; cch=00000;")
    heard = stage.ask(AM, upstream, {"system": [billing, text("A")], "messages": [USER]})
    assert heard.reply.status == 200
    whole = json.dumps(heard.upstream)
    assert "billing-header" not in whole and '"A"' in whole and heard.dropped == []


@pytest.mark.parametrize("upstream", [CC, GM, RS])
def test_F01_safeguards_stay_with_anthropic(stage: Stage, upstream: str) -> None:
    guards = [{"type": "dangerous_tool_use", "classifier_context": {"cwd": "/home/secret"}}]
    heard = stage.ask(AM, upstream, {"safeguards": guards, "messages": [USER]})
    assert heard.reply.status == 200 and b"secret" not in heard.sent[0].body and heard.dropped == []


@pytest.mark.parametrize("client", [CC, AM])
def test_F01_neighbouring_turns_of_one_role_become_one_in_gemini(stage: Stage, client: str) -> None:
    messages = [
        turn("user", "A"),
        turn("user", "B"),
        turn("assistant", "C"),
        turn("assistant", "D"),
        turn("user", "E"),
    ]
    sent = stage.sends(client, GM, {"messages": messages})
    same(sent["contents"], [contents("user", "A", "B"), contents("model", "C", "D"), contents("user", "E")])


def test_F01_neighbouring_assistant_messages_become_one(stage: Stage) -> None:
    messages = [
        USER,
        {"role": "assistant", "content": "A"},
        {"role": "assistant", "content": "B"},
        {"role": "user", "content": "C"},
    ]
    sent = stage.sends(CC, AM, {"messages": messages})
    same(sent["messages"], [USER, turn("assistant", "A", "B"), turn("user", "C")])


def test_F01_neighbouring_gemini_contents_become_one(stage: Stage) -> None:
    sent = stage.sends(GM, AM, {"contents": [contents("user", "A"), contents("user", "B")]})
    same(sent["messages"], [turn("user", "A", "B")])


def test_F01_a_conversation_that_begins_with_the_assistant_begins_with_a_user_turn_at_anthropic(
    stage: Stage,
) -> None:
    sent = stage.sends(CC, AM, {"messages": [{"role": "assistant", "content": "hello"}, USER]})
    assert sent["messages"][0]["role"] == "user"
    same(sent["messages"][-2:], [turn("assistant", "hello"), USER])


@pytest.mark.parametrize("client", [RS, GM])
def test_F01_a_prefill_is_cut_and_refused_for_every_client(stage: Stage, client: str) -> None:
    body = {
        RS: {"input": [USER, {"role": "assistant", "content": "Answer:\n "}]},
        GM: {"contents": [contents("user", "U"), contents("model", "Answer:\n ")]},
    }[client]
    same(stage.sends(client, AM, body)["messages"], [USER, turn("assistant", "Answer:")])
    stage.rejects(client, AM, body, {RS: "input[1]", GM: "contents[1]"}[client], model=ADAPTIVE)


@pytest.mark.parametrize("content", ["", "  \n", [text("")]], ids=["empty", "white", "empty part"])
def test_F01_no_empty_text_block_is_sent_to_anthropic(stage: Stage, content: Any) -> None:
    messages = [USER, {"role": "assistant", "content": content}, {"role": "user", "content": "V"}]
    sent = stage.sends(CC, AM, {"messages": messages})
    same(sent["messages"], [turn("user", "U", "V")])


def test_F01_an_empty_part_between_others_is_left_out(stage: Stage) -> None:
    sent = stage.sends(CC, AM, {"messages": [turn("user", "a", "", "b")]})
    same(sent["messages"], [turn("user", "a", "b")])
    sent = stage.sends(CC, AM, {"messages": [{"role": "system", "content": ""}, USER]})
    same(sent.get("system"), OneOf(None, []))


def test_F01_an_empty_assistant_text_beside_tool_calls_is_left_out_of_gemini(stage: Stage) -> None:
    messages = [USER, {"role": "assistant", "content": "", "tool_calls": [CALL]}, {"role": "tool", "tool_call_id": "call_1", "content": "r"}]  # fmt: skip
    sent = stage.sends(CC, GM, {"messages": messages})
    same(
        sent["contents"][1],
        {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"a": 1}, ...: 0}, ...: 0}]},
    )


@pytest.mark.parametrize("upstream", [AM, GM, RS])
def test_F01_null_members_that_sdks_replay_are_harmless(stage: Stage, upstream: str) -> None:
    said = {"role": "assistant", "content": "a", "tool_calls": None, "function_call": None, "audio": None, "refusal": None, "reasoning_content": None, "annotations": []}  # fmt: skip
    sent = stage.sends(
        CC,
        upstream,
        {"messages": [USER, said, {"role": "user", "content": "V"}], "tools": None, "stop": None},
    )
    assert "null" not in json.dumps(sent)


def test_F01_assistant_history_of_responses_becomes_chat(stage: Stage) -> None:
    said = {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [{"type": "output_text", "text": "a", "annotations": []}]}  # fmt: skip
    sent = stage.sends(RS, CC, {"input": [USER, said, {"role": "user", "content": "V"}]})
    same(sent["messages"], [USER, {"role": "assistant", "content": "a"}, {"role": "user", "content": "V"}])


@pytest.mark.parametrize(("client", "upstream"), [(AM, RS), (GM, RS), (GM, CC), (AM, CC)])
def test_F01_a_plain_conversation_keeps_its_roles_and_texts(stage: Stage, client: str, upstream: str) -> None:
    body = {
        AM: {"messages": [turn("user", "1"), turn("assistant", "2"), turn("user", "3")]},
        GM: {"contents": [contents("user", "1"), contents("model", "2"), contents("user", "3")]},
    }[client]
    sent = stage.sends(client, upstream, body)
    told = sent["messages"] if upstream == CC else sent["input"]
    assert [t["role"] for t in told] == ["user", "assistant", "user"]
    whole = json.dumps([t["content"] for t in told])
    assert whole.index('"1"') < whole.index('"2"') < whole.index('"3"')


@pytest.mark.parametrize(
    ("client", "body", "path"),
    [
        (CC, {"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
        (CC, {"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        (CC, {"messages": "x"}, "messages"),
        (AM, {"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        (AM, {"messages": [USER], "system": 7}, "system"),
        (RS, {"input": 7}, "input"),
        (RS, {"input": [{"role": "wizard", "content": "x"}]}, "input[0].role"),
        (GM, {"contents": [{"role": "wizard", "parts": [{"text": "x"}]}]}, "contents[0].role"),
        (GM, {"contents": 7}, "contents"),
    ],
)
def test_F01_what_cannot_be_a_conversation_is_refused_by_name(
    stage: Stage, client: str, body: Any, path: str
) -> None:
    stage.rejects(client, AM if client != AM else CC, body, path)


@pytest.mark.parametrize("odd", [["text"], {"a": 1}, 7, None, True])
@pytest.mark.parametrize("client", [CC, RS, AM])
def test_F01_a_part_whose_type_is_no_word_is_a_400(stage: Stage, client: str, odd: Any) -> None:
    name = "input" if client == RS else "messages"
    body = {name: [{"role": "user", "content": [{"type": odd, "text": "x"}]}]}
    heard = stage.ask(client, CC if client == AM else AM, body)
    assert heard.reply.status == 400 and name in heard.reply.json["error"]["message"] and heard.sent == []


def test_F01_openrouter_keeps_cache_marks(stage: Stage) -> None:
    sent = stage.sends(AM, CC, {"system": MARKED, "messages": [USER]}, model=ROUTED)
    same(sent["messages"][0], {"role": Like("system|developer"), "content": MARKED})
