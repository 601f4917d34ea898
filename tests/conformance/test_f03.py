"""F03: tool calls and their results in the history."""
# ruff: noqa: N802

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conformance.equality import ABSENT, ANY, Like, OneOf, same
from tests.conformance.world import AM, CC, GEMINI_3, GM, RS, Stage
from tests.world import answers

USER = {"role": "user", "content": "U"}
ID = "[a-zA-Z0-9_-]+"


def text(value: str) -> dict[str, str]:
    return {"type": "text", "text": value}


def call(call_id: str, name: str = "f", arguments: str = "{}") -> dict[str, Any]:
    """A tool call of Chat."""
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def calls(*made: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": list(made)}


def told(call_id: str, content: Any) -> dict[str, Any]:
    """A tool message of Chat."""
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def use(call_id: str, name: str = "f", **given: Any) -> dict[str, Any]:
    """A tool_use block of Messages."""
    return {"type": "tool_use", "id": call_id, "name": name, "input": given}


def result(call_id: str, content: Any, **more: Any) -> dict[str, Any]:
    """A tool_result block of Messages."""
    return {"type": "tool_result", "tool_use_id": call_id, "content": content, **more}


def messages(*blocks: dict[str, Any], made: tuple[dict[str, Any], ...] = (use("t1"),)) -> dict[str, Any]:
    """A Messages body: a question, the calls, and a user turn of these blocks."""
    return {
        "messages": [
            USER,
            {"role": "assistant", "content": list(made)},
            {"role": "user", "content": list(blocks)},
        ]
    }


def item(call_id: str, name: str = "f", arguments: str = "{}") -> dict[str, Any]:
    """A function_call item of Responses."""
    return {
        "type": "function_call",
        "id": f"fc_{call_id}",
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
    }


def output(call_id: str, value: Any) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": value}


def fcall(name: str, **args: Any) -> dict[str, Any]:
    return {"functionCall": {"name": name, "args": args}}


def fresponse(name: str, **response: Any) -> dict[str, Any]:
    return {"functionResponse": {"name": name, "response": response}}


@pytest.mark.parametrize(("arguments", "value"), [('{"city":"NY"}', {"city": "NY"}), ("", {}), ("null", {})])
def test_E045_tool_calls_become_tool_use(stage: Stage, arguments: str, value: Any) -> None:
    sent = stage.sends(
        CC, AM, {"messages": [USER, calls(call("call_1", "f", arguments)), told("call_1", "r")]}
    )
    same(sent["messages"][1], {"role": "assistant", "content": [use("call_1", "f", **value)]})


@pytest.mark.parametrize("arguments", ['{"city":', "[1]"], ids=["cut", "array"])
@pytest.mark.parametrize("upstream", [AM, GM])
def test_E046_arguments_that_are_no_object_are_refused(stage: Stage, upstream: str, arguments: str) -> None:
    body = {
        "messages": [USER, calls(call("c0"), call("c1", "f", arguments)), told("c0", "r"), told("c1", "r")]
    }
    stage.rejects(CC, upstream, body, "messages[1].tool_calls[1].function.arguments")


EXACT = '{"n":12345678901234567890,"s":"\\u00e9","z":1.0}'


def test_E047_input_reaches_chat_exactly(stage: Stage) -> None:
    body = messages(result("t1", "r"))
    raw = (
        json.dumps({"model": "gpt-4o", "max_tokens": 9, **body})
        .replace('"input": {}', f'"input": {EXACT}')
        .encode()
    )
    sent = stage.sends(AM, CC, raw)
    arguments = sent["messages"][1]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(arguments) == {"n": 12345678901234567890, "s": "é", "z": 1.0}
    assert "12345678901234567890" in arguments and isinstance(json.loads(arguments)["n"], int)


def test_E049_results_stand_before_the_text_of_their_turn(stage: Stage) -> None:
    sent = stage.sends(AM, CC, messages(text("note"), result("t1", "r")))
    same(sent["messages"][2:], [told("t1", "r"), {"role": "user", "content": "note"}])


def test_E050_gemini_gets_all_results_in_one_turn(stage: Stage) -> None:
    body = {"messages": [USER, calls(call("c1", "f"), call("c2", "g")), told("c1", "1"), told("c2", "2")]}
    sent = stage.sends(CC, GM, body)
    assert [c["role"] for c in sent["contents"]] == ["user", "model", "user"]
    same([p["functionCall"]["name"] for p in sent["contents"][1]["parts"]], ["f", "g"])
    parts = sent["contents"][2]["parts"]
    same(parts, [{"functionResponse": {"name": name, "response": ANY, ...: 0}} for name in ("f", "g")])
    assert all(isinstance(p["functionResponse"]["response"], dict) for p in parts)


def test_E052_an_error_is_marked_for_chat(stage: Stage) -> None:
    sent = stage.sends(AM, CC, messages(result("t1", "boom", is_error=True)))
    same(sent["messages"][2], told("t1", "Error: boom"))


SHOT = [
    text("shot"),
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
]
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def test_E054_an_image_in_a_result_follows_the_last_tool_message(stage: Stage) -> None:
    body = messages(result("t1", SHOT), result("t2", "r"), made=(use("t1"), use("t2")))
    sent = stage.sends(AM, CC, body)
    same(sent["messages"][2:], [told("t1", "shot"), told("t2", "r"), {"role": "user", "content": [IMAGE]}])


def test_E055_responses_hold_the_image_in_place(stage: Stage) -> None:
    sent = stage.sends(AM, RS, messages(result("t1", SHOT)))
    parts = [
        {"type": "input_text", "text": "shot"},
        {"type": "input_image", "image_url": "data:image/png;base64,AAAA", ...: 0},
    ]
    same(sent["input"][2], {"type": "function_call_output", "call_id": "t1", "output": parts, ...: 0})


@pytest.mark.parametrize(
    ("source", "member"),
    [
        ({"type": "url", "url": "https://x/r.pdf"}, {"file_url": "https://x/r.pdf"}),
        (
            {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
            {"file_data": "data:application/pdf;base64,JVBERi0="},
        ),
    ],
    ids=["url", "base64"],
)
def test_E057_a_document_in_a_result_is_an_input_file(stage: Stage, source: Any, member: Any) -> None:
    document = {"type": "document", "title": "report.pdf", "source": source}
    sent = stage.sends(AM, RS, messages(result("t1", [document])))
    same(sent["input"][2]["output"], [{"type": "input_file", "filename": "report.pdf", **member}])


def test_E059_gemini_calls_without_ids_get_stable_ones(stage: Stage) -> None:
    body = {
        "contents": [
            {"role": "user", "parts": [{"text": "U"}]},
            {"role": "model", "parts": [fcall("f", a=1), fcall("f", a=2)]},
            {"role": "user", "parts": [fresponse("f", r=1), fresponse("f", r=2)]},
        ]
    }
    sent = stage.sends(GM, CC, body)
    _, made, first, second = sent["messages"]
    same(
        [*made["tool_calls"], first, second],
        [
            call(Like(ID, "one"), "f", '{"a":1}'),  # type: ignore[arg-type]
            call(Like(ID, "two"), "f", '{"a":2}'),  # type: ignore[arg-type]
            {"role": "tool", "tool_call_id": Like(ID, "one"), "content": ANY},
            {"role": "tool", "tool_call_id": Like(ID, "two"), "content": ANY},
        ],
    )
    assert first["tool_call_id"] != second["tool_call_id"] and len(first["tool_call_id"]) <= 40
    assert json.loads(first["content"]) == {"r": 1} and json.loads(second["content"]) == {"r": 2}
    longer = {
        "contents": [
            *body["contents"],
            {"role": "model", "parts": [{"text": "done"}]},
            {"role": "user", "parts": [{"text": "V"}]},
        ]
    }
    assert stage.sends(GM, CC, body)["messages"] == sent["messages"]
    assert stage.sends(GM, CC, longer)["messages"][: len(sent["messages"])] == sent["messages"]


def test_E060_parallel_items_are_one_assistant_message(stage: Stage) -> None:
    sent = stage.sends(
        RS, CC, {"input": [USER, item("c1"), item("c2", "g"), output("c1", "1"), output("c2", "2")]}
    )
    same(
        sent["messages"][1:],
        [
            {**calls(call("c1"), call("c2", "g")), "content": OneOf(None, "")},
            told("c1", "1"),
            told("c2", "2"),
        ],
    )


def test_E062_an_output_moves_behind_its_call(stage: Stage) -> None:
    warning = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "warning"}]}
    items = [USER, item("c1"), warning, output("c1", "r"), {"role": "user", "content": "V"}]
    sent = stage.sends(RS, CC, {"input": items})
    roles = [(m["role"], m.get("tool_call_id")) for m in sent["messages"]]
    assert roles[:4] == [("user", None), ("assistant", None), ("tool", "c1"), ("user", None)]
    rest = json.dumps(sent["messages"][3:])
    assert rest.index("warning") < rest.index('"V"')
    sent = stage.sends(RS, AM, {"input": items})
    assert [m["role"] for m in sent["messages"]] == ["user", "assistant", "user"]
    same(sent["messages"][2]["content"], [result("c1", "r"), text("warning"), text("V")])


def test_E063_an_output_without_its_call_is_told_as_text(stage: Stage) -> None:
    sent = stage.sends(RS, AM, {"input": [USER, output("c9", "r")]})
    same(sent["messages"], [{"role": "user", "content": [text("U"), text("Tool result: r")]}])
    sent = stage.sends(RS, AM, {"input": [USER, output("c9", "")]})
    same(sent["messages"], [USER])


ODD = "functions.get_weather:0"


@pytest.mark.parametrize("client", [CC, RS])
def test_E064_an_id_that_anthropic_refuses_is_replaced_everywhere(stage: Stage, client: str) -> None:
    body = {
        CC: {"messages": [USER, calls(call(ODD)), told(ODD, "r")]},
        RS: {"input": [USER, item(ODD), output(ODD, "r")]},
    }[client]
    sent = stage.sends(client, AM, body)
    made, answered = sent["messages"][1]["content"][0], sent["messages"][2]["content"][0]
    same([made["id"], answered["tool_use_id"]], [Like(ID, "id"), Like(ID, "id")])


@pytest.mark.parametrize("client", [AM, RS])
def test_E065_chat_gets_ids_of_at_most_forty_characters(stage: Stage, client: str) -> None:
    long = ["toolu_" + "x" * 60 + end for end in ("a", "b")]
    body = {
        AM: messages(*(result(i, "r") for i in long), made=tuple(use(i) for i in long)),
        RS: {"input": [USER, *(item(i) for i in long), *(output(i, "r") for i in long)]},
    }[client]
    sent = stage.sends(client, CC, body)
    made = [c["id"] for c in sent["messages"][1]["tool_calls"]]
    assert made == [m["tool_call_id"] for m in sent["messages"][2:4]]
    assert all(0 < len(i) <= 40 for i in made) and len(set(made)) == 2


CHAT_CALL = {
    **answers.CHAT,
    "choices": [
        {"index": 0, "message": calls(call("call_x", "f", '{"a":1}')), "finish_reason": "tool_calls"}
    ],
}


def test_E067_the_call_id_is_what_both_sides_refer_to(stage: Stage) -> None:
    sent = stage.sends(RS, CC, {"input": [USER, {**item("c1"), "id": "fc_other"}, output("c1", "r")]})
    assert sent["messages"][1]["tool_calls"][0]["id"] == "c1"
    heard = stage.ask(
        RS,
        CC,
        {"input": "U", "tools": [{"type": "function", "name": "f", "parameters": {}}]},
        answer=CHAT_CALL,
    )
    (made,) = heard.answer["output"]
    same(made, {"type": "function_call", "id": Like("fc_[a-zA-Z0-9_]+"), "call_id": "call_x", "name": "f", "arguments": '{"a":1}', "status": "completed"})  # fmt: skip
    sent = stage.sends(CC, RS, {"messages": [USER, calls(call("call_x")), told("call_x", "r")]})
    same(sent["input"][1], {"type": "function_call", "call_id": "call_x", "name": "f", "arguments": "{}", "id": OneOf(ABSENT, Like("fc_.+")), ...: 0})  # fmt: skip
    same(sent["input"][2], output("call_x", "r"))


# --- further cases of the same rules ---------------------------------------------------------------------------


def test_F03_results_and_the_text_after_them_are_one_user_turn(stage: Stage) -> None:
    body = {
        "messages": [
            USER,
            calls(call("c1", "f"), call("c2", "g")),
            told("c1", "1"),
            told("c2", "2"),
            {"role": "user", "content": "V"},
        ]
    }
    sent = stage.sends(CC, AM, body)
    same(sent["messages"][1:], [
        {"role": "assistant", "content": [use("c1", "f"), use("c2", "g")]},
        {"role": "user", "content": [result("c1", "1"), result("c2", "2"), text("V")]},
    ])  # fmt: skip


def test_F03_results_come_in_the_order_of_their_calls(stage: Stage) -> None:
    body = {"messages": [USER, calls(call("c1", "f"), call("c2", "g")), told("c2", "2"), told("c1", "1")]}
    same(stage.sends(CC, AM, body)["messages"][2]["content"], [result("c1", "1"), result("c2", "2")])
    names = [p["functionResponse"]["name"] for p in stage.sends(CC, GM, body)["contents"][2]["parts"]]
    assert names == ["f", "g"]


def test_F03_text_and_calls_of_one_assistant_turn_stay_together(stage: Stage) -> None:
    said = {**calls(call("c1", "f", '{"a":1}')), "content": "let me see"}
    body = {"messages": [USER, said, told("c1", "r")]}
    same(stage.sends(CC, AM, body)["messages"][1]["content"], [text("let me see"), use("c1", "f", a=1)])
    parts = stage.sends(CC, GM, body)["contents"][1]["parts"]
    same(parts, [{"text": "let me see"}, {"functionCall": {"name": "f", "args": {"a": 1}, ...: 0}}])
    back = stage.sends(AM, CC, messages(result("c1", "r"), made=(text("let me see"), use("c1", "f", a=1))))
    same(back["messages"][1], said)
    items = stage.sends(AM, RS, messages(result("c1", "r"), made=(text("let me see"), use("c1", "f", a=1))))[
        "input"
    ]
    assert [i.get("type", "message") for i in items] == [
        "message",
        "message",
        "function_call",
        "function_call_output",
    ]


@pytest.mark.parametrize("content", ["r", [text("r")]], ids=["string", "parts"])
def test_F03_a_tool_message_may_hold_parts(stage: Stage, content: Any) -> None:
    sent = stage.sends(CC, AM, {"messages": [USER, calls(call("c1")), told("c1", content)]})
    same(sent["messages"][2]["content"], [result("c1", "r")])


def test_F03_several_texts_in_a_result_stay_in_order(stage: Stage) -> None:
    sent = stage.sends(AM, CC, messages(result("t1", [text("a"), text("b")])))
    same(sent["messages"][2], told("t1", OneOf([text("a"), text("b")], "a\nb", "ab", "a\n\nb")))


@pytest.mark.parametrize("upstream", [CC, RS, GM])
@pytest.mark.parametrize("content", ["", [], None], ids=["empty", "none", "null"])
def test_F03_an_empty_result_still_answers_its_call(stage: Stage, upstream: str, content: Any) -> None:
    block = {"type": "tool_result", "tool_use_id": "t1", **({} if content is None else {"content": content})}
    sent = stage.sends(AM, upstream, messages(block))
    if upstream == CC:
        same(sent["messages"][2], {"role": "tool", "tool_call_id": "t1", "content": ANY})
    elif upstream == RS:
        same(sent["input"][2], {"type": "function_call_output", "call_id": "t1", "output": ANY, ...: 0})
    else:
        same(sent["contents"][2]["parts"], [{"functionResponse": {"name": "f", "response": ANY, ...: 0}}])


def test_F03_a_result_that_is_only_an_image_still_has_its_tool_message(stage: Stage) -> None:
    sent = stage.sends(AM, CC, messages(result("t1", [SHOT[1]]), text("note")))
    assert sent["messages"][2]["role"] == "tool" and sent["messages"][2]["tool_call_id"] == "t1"
    assert isinstance(sent["messages"][2]["content"], str)
    rest = sent["messages"][3:]
    assert all(m["role"] == "user" for m in rest) and IMAGE in [p for m in rest for p in m["content"]]


@pytest.mark.parametrize("upstream", [RS, GM])
def test_F03_an_error_is_marked_for_the_others_too(stage: Stage, upstream: str) -> None:
    whole = json.dumps(stage.sends(AM, upstream, messages(result("t1", "boom", is_error=True))))
    assert "boom" in whole and "error" in whole.lower()


def test_F03_an_error_with_blocks_keeps_its_image(stage: Stage) -> None:
    sent = stage.sends(AM, CC, messages(result("t1", SHOT, is_error=True)))
    same(sent["messages"][2], told("t1", "Error: shot"))
    same(sent["messages"][3]["content"], [IMAGE])


def test_F03_geminis_images_in_results(stage: Stage) -> None:
    sent = stage.sends(AM, GM, messages(result("t1", SHOT)))
    whole = json.dumps(sent["contents"][2])
    assert "shot" in whole and '"AAAA"' in whole and whole.count("functionResponse") == 1


def test_F03_responses_parts_of_an_output_reach_anthropic(stage: Stage) -> None:
    parts = [
        {"type": "input_text", "text": "shot"},
        {"type": "input_image", "image_url": "data:image/png;base64,AAAA"},
    ]
    sent = stage.sends(RS, AM, {"input": [USER, item("c1"), output("c1", parts)]})
    same(sent["messages"][2]["content"], [result("c1", SHOT)])


def test_F03_a_json_result_is_geminis_response_object(stage: Stage) -> None:
    body = {"messages": [USER, calls(call("c1")), told("c1", '{"temp": 21}')]}
    (part,) = stage.sends(CC, GM, body)["contents"][2]["parts"]
    assert "21" in json.dumps(part["functionResponse"]["response"])
    body = {"messages": [USER, calls(call("c1")), told("c1", "sunny")]}
    (part,) = stage.sends(CC, GM, body)["contents"][2]["parts"]
    assert list(part["functionResponse"]["response"].values()) == ["sunny"]


@pytest.mark.parametrize("upstream", [AM, CC, RS])
def test_F03_geminis_response_object_is_told_as_json(stage: Stage, upstream: str) -> None:
    contents = [{"role": "user", "parts": [{"text": "U"}]}, {"role": "model", "parts": [fcall("f")]}, {"role": "user", "parts": [fresponse("f", temp=21, sky="é")]}]  # fmt: skip
    sent = stage.sends(GM, upstream, {"contents": contents})
    if upstream == AM:
        content = sent["messages"][2]["content"][0]["content"]
        got = content if isinstance(content, str) else content[0]["text"]
    else:
        got = sent["messages"][2]["content"] if upstream == CC else sent["input"][2]["output"]
    assert json.loads(got) == {"temp": 21, "sky": "é"}


@pytest.mark.parametrize("upstream", [AM, RS])
def test_F03_gemini_calls_get_consistent_ids_everywhere(stage: Stage, upstream: str) -> None:
    contents = [
        {"role": "user", "parts": [{"text": "U"}]},
        {"role": "model", "parts": [fcall("f", a=1), fcall("g"), fcall("f", a=2)]},
        {"role": "user", "parts": [fresponse("f", r=1), fresponse("g", r=0), fresponse("f", r=2)]},
        {"role": "model", "parts": [fcall("f", a=3)]},
        {"role": "user", "parts": [fresponse("f", r=3)]},
    ]
    sent = stage.sends(GM, upstream, {"contents": contents})
    if upstream == AM:
        made = [b["id"] for m in sent["messages"] if m["role"] == "assistant" for b in m["content"]]
        answered = [
            b["tool_use_id"] for m in sent["messages"][1:] if m["role"] == "user" for b in m["content"]
        ]
    else:
        made = [i["call_id"] for i in sent["input"] if i.get("type") == "function_call"]
        answered = [i["call_id"] for i in sent["input"] if i.get("type") == "function_call_output"]
    assert made == answered and len(set(made)) == 4
    same(made, [Like("[a-zA-Z0-9_-]{1,64}")] * 4)


def test_F03_geminis_own_ids_pair_results_that_come_in_another_order(stage: Stage) -> None:
    model = [
        {"functionCall": {"id": "x1", "name": "f", "args": {"a": 1}}},
        {"functionCall": {"id": "x2", "name": "f", "args": {"a": 2}}},
    ]
    user = [{"functionResponse": {"id": "x2", "name": "f", "response": {"r": 2}}}, {"functionResponse": {"id": "x1", "name": "f", "response": {"r": 1}}}]  # fmt: skip
    sent = stage.sends(
        GM,
        CC,
        {
            "contents": [
                {"role": "user", "parts": [{"text": "U"}]},
                {"role": "model", "parts": model},
                {"role": "user", "parts": user},
            ]
        },
    )
    assert [c["id"] for c in sent["messages"][1]["tool_calls"]] == ["x1", "x2"]
    answered = {m["tool_call_id"]: json.loads(m["content"]) for m in sent["messages"][2:]}
    assert answered == {"x1": {"r": 1}, "x2": {"r": 2}}


def test_F03_gemini_3_gets_ids_and_2_5_none(stage: Stage) -> None:
    body = {"messages": [USER, calls(call("c1")), told("c1", "r")]}
    sent = stage.sends(CC, GM, body)
    assert "id" not in sent["contents"][1]["parts"][0]["functionCall"]
    sent = stage.sends(CC, GM, body, model=GEMINI_3)
    made, answered = (
        sent["contents"][1]["parts"][0]["functionCall"],
        sent["contents"][2]["parts"][0]["functionResponse"],
    )
    assert made.get("id") == answered.get("id")


def test_F03_text_between_items_keeps_its_place(stage: Stage) -> None:
    said = {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "first", "annotations": []}],
    }
    sent = stage.sends(RS, CC, {"input": [USER, said, item("c1"), output("c1", "r"), {**said, "content": "then"}, item("c2"), output("c2", "s")]})  # fmt: skip
    assert [m["role"] for m in sent["messages"]] == ["user", "assistant", "tool", "assistant", "tool"]
    same(sent["messages"][1], {**calls(call("c1")), "content": "first"})
    same(sent["messages"][3], {**calls(call("c2")), "content": "then"})


def test_F03_chat_messages_between_calls_and_results_are_moved_behind(stage: Stage) -> None:
    body = {"messages": [USER, calls(call("c1")), {"role": "user", "content": "warning"}, told("c1", "r")]}
    sent = stage.sends(CC, AM, body)
    same(sent["messages"][2]["content"], [result("c1", "r"), text("warning")])


@pytest.mark.parametrize("client", [CC, AM])
def test_F03_lone_results_of_every_client_are_told_as_text(stage: Stage, client: str) -> None:
    upstream = AM if client == CC else CC
    body = {
        CC: {"messages": [USER, told("c9", "r")]},
        AM: {"messages": [{"role": "user", "content": [result("c9", "r"), text("U")]}]},
    }[client]
    sent = stage.sends(client, upstream, body)
    assert "Tool result: r" in json.dumps(sent) and "tool_result" not in json.dumps(sent)
    assert all(m["role"] == "user" for m in sent["messages"])


@pytest.mark.parametrize("client", [CC, RS])
def test_F03_numbers_keep_their_digits_in_both_directions(stage: Stage, client: str) -> None:
    number = "12345678901234567890"
    arguments = f'{{"n":{number},"d":0.1}}'
    body = {
        CC: {"messages": [USER, calls(call("c1", "f", arguments)), told("c1", "r")]},
        RS: {"input": [USER, item("c1", "f", arguments), output("c1", "r")]},
    }[client]
    heard = stage.ask(client, AM, body)
    assert number.encode() in heard.sent[0].body
    same(heard.upstream["messages"][1]["content"][0]["input"], {"n": int(number), "d": 0.1})
    raw = json.dumps({**answers.MESSAGE, "content": [use("t1", "f", n=1)], "stop_reason": "tool_use"}).replace('"n": 1', f'"n": {number}').encode()  # fmt: skip
    heard = stage.ask(client, AM, body, answer=lambda x: x.reply(200, raw))
    assert number.encode() in heard.reply.body


def test_F03_the_order_of_arguments_is_kept(stage: Stage) -> None:
    body = {"messages": [USER, calls(call("c1", "f", '{"z":1,"a":2,"m":3}')), told("c1", "r")]}
    assert list(stage.sends(CC, AM, body)["messages"][1]["content"][0]["input"]) == ["z", "a", "m"]
    assert list(stage.sends(CC, GM, body)["contents"][1]["parts"][0]["functionCall"]["args"]) == [
        "z",
        "a",
        "m",
    ]


def test_F03_calls_in_answers_keep_the_upstreams_ids(stage: Stage) -> None:
    message = {
        **answers.MESSAGE,
        "content": [use("toolu_1", "f", a=1), use("toolu_2", "g")],
        "stop_reason": "tool_use",
    }
    got = stage.ask(CC, AM, {"messages": [USER]}, answer=message).answer["choices"][0]
    same(got["message"]["tool_calls"], [call("toolu_1", "f", '{"a":1}'), call("toolu_2", "g")])
    assert got["finish_reason"] == "tool_calls"
    got = stage.ask(AM, CC, {"messages": [USER]}, answer=CHAT_CALL).answer
    same(got["content"], [use("call_x", "f", a=1)])
    assert got["stop_reason"] == "tool_use"


@pytest.mark.parametrize(("client", "pattern"), [(CC, "call_.+"), (AM, "toolu_.+"), (RS, "call_.+")])
def test_F03_gemini_calls_without_ids_get_ids_in_answers(stage: Stage, client: str, pattern: str) -> None:
    answer = {
        "candidates": [
            {
                "content": {"role": "model", "parts": [fcall("f", a=1), fcall("f", a=2)]},
                "finishReason": "STOP",
            }
        ]
    }
    body = {"input": "U"} if client == RS else {"messages": [USER]}
    got = stage.ask(client, GM, body, answer=answer).answer
    ids = {
        CC: lambda: [c["id"] for c in got["choices"][0]["message"]["tool_calls"]],
        AM: lambda: [b["id"] for b in got["content"]],
        RS: lambda: [i["call_id"] for i in got["output"]],
    }[client]()
    same(ids, [Like(pattern), Like(pattern)])
    assert len(set(ids)) == 2


@pytest.mark.parametrize(
    ("client", "upstream"), [(CC, AM), (CC, RS), (CC, GM), (AM, CC), (AM, RS), (RS, AM), (RS, CC)]
)
def test_F03_a_call_that_was_never_answered_gets_an_answer(stage: Stage, client: str, upstream: str) -> None:
    """Every vendor answers 400 to a call in the history without its result (a user who interrupts an agent leaves one)."""
    body: dict[str, Any] = {
        CC: {
            "messages": [
                USER,
                calls(call("c1"), call("c2", "g")),
                told("c1", "r"),
                {"role": "user", "content": "V"},
            ]
        },
        AM: messages(result("c1", "r"), text("V"), made=(use("c1"), use("c2", "g"))),
        RS: {
            "input": [USER, item("c1"), item("c2", "g"), output("c1", "r"), {"role": "user", "content": "V"}]
        },
    }[client]
    sent = stage.sends(client, upstream, body)
    answered = {
        AM: lambda: [b["tool_use_id"] for b in sent["messages"][2]["content"] if b["type"] == "tool_result"],
        CC: lambda: [m["tool_call_id"] for m in sent["messages"] if m["role"] == "tool"],
        RS: lambda: [i["call_id"] for i in sent["input"] if i.get("type") == "function_call_output"],
        GM: lambda: [{"f": "c1", "g": "c2"}[p["functionResponse"]["name"]] for p in sent["contents"][2]["parts"] if "functionResponse" in p],
    }[upstream]()  # fmt: skip
    assert answered == ["c1", "c2"]


@pytest.mark.parametrize(
    ("client", "body", "path"),
    [
        (CC, {"messages": [USER, {"role": "assistant", "tool_calls": [{"id": "c"}]}]}, "messages[1].tool_calls[0].function"),
        (CC, {"messages": [USER, {"role": "tool", "content": "r"}]}, "messages[1].tool_call_id"),
        (AM, {"messages": [USER, {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": "x"}]}]}, "messages.1.content.0.input"),
        (AM, {"messages": [{"role": "user", "content": [{"type": "tool_result", "content": "x"}]}]}, "messages.0.content.0.tool_use_id"),
        (RS, {"input": [{"type": "function_call", "name": "f", "arguments": "{}"}]}, "input[0].call_id"),
        (GM, {"contents": [{"role": "model", "parts": [{"functionCall": {"args": {}}}]}]}, "contents[0].parts[0].functionCall.name"),
    ],
    ids=["chat call", "chat result", "messages call", "messages result", "responses call", "gemini call"],
)  # fmt: skip
def test_F03_a_broken_call_is_refused_by_name(stage: Stage, client: str, body: Any, path: str) -> None:
    stage.rejects(client, CC if client == AM else AM, body, path)


@pytest.mark.parametrize("odd", [["text"], {"a": 1}, 7, None])
def test_F03_a_part_of_a_result_whose_type_is_no_word_is_a_400(stage: Stage, odd: Any) -> None:
    stage.rejects(
        AM, CC, messages(result("t1", [{"type": odd, "text": "x"}])), "messages.2.content.0.content.0"
    )
