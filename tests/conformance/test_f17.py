"""F17: state of Responses over upstreams that keep none."""
# ruff: noqa: N802

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.conformance import accumulators, bodies, streams
from tests.conformance.bodies import ASK
from tests.conformance.equality import ANY, OneOf, same
from tests.conformance.streams import ROLE, chunk, plays
from tests.conformance.world import AM, CC, GM, RS, Heard, Stage, assert_error_shape
from tests.world.harness import OTHER_KEY, Reply

OVER = [CC, AM, GM]
CALL = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": '{"a":1}'}


def ask(stage: Stage, upstream: str, said: Any, answer: Any = None, **fields: Any) -> Heard:
    body = {"input": said, **fields}
    return stage.ask(
        RS, upstream, body, answer=answer or bodies.hello(upstream), stream=fields.get("stream", False)
    )


def told(upstream: str, sent: Any) -> list[tuple[str, str]]:
    """(role, text) of what the upstream was told, without instructions."""
    if upstream == GM:
        return [(t["role"], "".join(p.get("text", "") for p in t["parts"])) for t in sent["contents"]]
    out = []
    for message in sent["messages"]:
        content = message["content"]
        text = content if isinstance(content, str) else "".join(p.get("text", "") for p in content)
        out.append((message["role"], text))
    return out


def assistant(upstream: str) -> str:
    return "model" if upstream == GM else "assistant"


def of(stage: Stage, response_id: str, rest: str = "", method: str = "GET", **options: Any) -> Reply:
    body = b"" if method == "POST" else None
    return stage.gateway.request(method, f"/v1/responses/{response_id}{rest}", body, **options)


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("upstream", OVER)
def test_E280_a_previous_response_is_told_again(stage: Stage, upstream: str, streaming: bool) -> None:
    steering = {"instructions": "Be brief", **bodies.tools(RS, "old")}
    if streaming:
        heard = stage.ask(RS, upstream, {"input": "one", **steering}, stream=True)
        first = streams.responses(heard.reply.body).value
    else:
        first = ask(stage, upstream, "one", **steering).answer
    heard = ask(stage, upstream, "two", previous_response_id=first["id"], **bodies.tools(RS, "new"))
    assert told(upstream, heard.upstream) == [
        ("user", "one"),
        (assistant(upstream), "Hello"),
        ("user", "two"),
    ]
    text = heard.sent[0].body.decode()
    assert "Be brief" not in text and "previous_response_id" not in text
    assert '"new"' in text and '"old"' not in text
    assert heard.answer["previous_response_id"] == first["id"] and heard.answer["id"] != first["id"]


def test_E282_what_is_not_stored_is_not_there(stage: Stage) -> None:
    before = len(stage.gateway.rows("SELECT name FROM sqlite_master"))
    assert before
    first = ask(stage, CC, "one", store=False).answer
    reply = of(stage, first["id"])
    assert reply.status == 404
    assert_error_shape(RS, reply)
    heard = ask(stage, CC, "two", previous_response_id=first["id"])
    assert heard.reply.status in (400, 404) and heard.sent == []
    assert first["id"] in heard.reply.json["error"]["message"]


def test_E282_encrypted_reasoning_instead(stage: Stage) -> None:
    thinking = {"type": "thinking", "thinking": "hmm", "signature": "U0lH"}
    answer = bodies.message(thinking, bodies.text("42"))
    asked = {"store": False, "include": ["reasoning.encrypted_content"], "reasoning": {"effort": "low"}}
    first = ask(stage, AM, "one", answer, **asked).answer
    assert first["output"][0]["type"] == "reasoning" and first["output"][0]["encrypted_content"]
    again = [{"role": "user", "content": "one"}, *first["output"], {"role": "user", "content": "two"}]
    sent = ask(stage, AM, again, **asked).upstream
    same(sent["messages"][1]["content"], [thinking, {"type": "text", "text": "42"}])


@pytest.mark.parametrize("upstream", OVER)
def test_E284_a_stored_response_is_served(stage: Stage, upstream: str) -> None:
    first = ask(
        stage, upstream, [{"role": "user", "content": "one"}, {"role": "user", "content": "more"}]
    ).answer
    got = of(stage, first["id"])
    assert got.status == 200
    same(
        got.json,
        {
            **{n: first[n] for n in ("id", "object", "status", "model", "output", "usage", "created_at")},
            ...: ...,
        },
    )
    items = of(stage, first["id"], "/input_items").json
    assert items["object"] == "list" and items["has_more"] is False
    texts = [p["text"] for item in items["data"] for p in item["content"]]
    assert sorted(texts) == ["more", "one"] and {i["role"] for i in items["data"]} == {"user"}
    assert items["first_id"] == items["data"][0]["id"] and items["last_id"] == items["data"][-1]["id"]
    cancelled = of(stage, first["id"], "/cancel", "POST")
    assert cancelled.status == 400, "only background responses can be cancelled"
    assert_error_shape(RS, cancelled)
    deleted = of(stage, first["id"], method="DELETE")
    same(deleted.json, {"id": first["id"], "object": OneOf("response", "response.deleted"), "deleted": True})
    for gone in (
        of(stage, first["id"]),
        of(stage, first["id"], method="DELETE"),
        of(stage, first["id"], "/input_items"),
    ):
        assert gone.status == 404
        assert_error_shape(RS, gone)


@pytest.mark.parametrize("upstream", OVER)
def test_E284_no_background_over_other_upstreams_yet(stage: Stage, upstream: str) -> None:
    stage.rejects(RS, upstream, {"input": "one", "background": True}, "background")


@pytest.mark.parametrize("upstream", OVER)
def test_E285_a_previous_response_and_a_conversation(stage: Stage, upstream: str) -> None:
    first = ask(stage, upstream, "one").answer
    both = {"input": "two", "previous_response_id": first["id"], "conversation": "conv_1"}
    stage.rejects(RS, upstream, both, "conversation")


# --- further cases of the family --------------------------------------------------------------------------


@pytest.mark.parametrize("upstream", OVER)
def test_F17_an_unknown_previous_response(stage: Stage, upstream: str) -> None:
    heard = ask(stage, upstream, "two", previous_response_id="resp_nobodyknows")
    assert heard.reply.status in (400, 404) and heard.sent == []
    assert_error_shape(RS, heard.reply)
    assert "resp_nobodyknows" in heard.reply.json["error"]["message"]


def test_F17_a_chain_of_three_over_three_upstreams(stage: Stage) -> None:
    first = ask(stage, CC, "one", bodies.hello(CC, "A")).answer
    second = ask(stage, AM, "two", bodies.hello(AM, "B"), previous_response_id=first["id"]).answer
    heard = ask(stage, GM, "three", previous_response_id=second["id"])
    assert told(GM, heard.upstream) == [
        ("user", "one"),
        ("model", "A"),
        ("user", "two"),
        ("model", "B"),
        ("user", "three"),
    ]


def test_F17_two_branches_of_one_response(stage: Stage) -> None:
    first = ask(stage, CC, "one").answer
    for said in ("left", "right"):
        heard = ask(stage, CC, said, previous_response_id=first["id"])
        assert told(CC, heard.upstream)[-1] == ("user", said) and len(heard.upstream["messages"]) == 3


@pytest.mark.parametrize("upstream", OVER)
def test_F17_a_result_finds_its_call_in_the_stored_answer(stage: Stage, upstream: str) -> None:
    answer = {
        CC: bodies.completion(calls=[("call_1", "f", '{"a":1}')], finish="tool_calls"),
        AM: bodies.message(bodies.tool_use("call_1", "f", {"a": 1}), stop_reason="tool_use"),
        GM: bodies.generation(bodies.function_call("f", {"a": 1})),
    }[upstream]
    first = ask(stage, upstream, "one", answer, **bodies.tools(RS, "f")).answer
    result = {"type": "function_call_output", "call_id": first["output"][0]["call_id"], "output": "r"}
    heard = ask(stage, upstream, [result], previous_response_id=first["id"], **bodies.tools(RS, "f"))
    sent = heard.upstream
    if upstream == CC:
        assert [m["role"] for m in sent["messages"]] == ["user", "assistant", "tool"]
        assert sent["messages"][1]["tool_calls"][0]["id"] == sent["messages"][2]["tool_call_id"] == "call_1"
    elif upstream == AM:
        assert sent["messages"][1]["content"][-1]["type"] == "tool_use"
        same(
            sent["messages"][2]["content"][0],
            {"type": "tool_result", "tool_use_id": "call_1", "content": "r"},
        )
    else:
        assert sent["contents"][1]["parts"][0]["functionCall"]["name"] == "f"
        assert sent["contents"][2]["parts"][0]["functionResponse"]["name"] == "f"


def test_F17_signed_reasoning_survives_in_the_store(stage: Stage) -> None:
    thinking = {"type": "thinking", "thinking": "hmm", "signature": "U0lH"}
    answer = bodies.message(thinking, bodies.tool_use("toolu_1", "f"), stop_reason="tool_use")
    steering = {"reasoning": {"effort": "low"}, **bodies.tools(RS, "f")}
    first = ask(stage, AM, "one", answer, **steering).answer
    result = {"type": "function_call_output", "call_id": "toolu_1", "output": "r"}
    sent = ask(stage, AM, [result], previous_response_id=first["id"], **steering).upstream
    same(sent["messages"][1]["content"], [thinking, bodies.tool_use("toolu_1", "f")])


def test_F17_another_users_response_is_not_there(stage: Stage) -> None:
    first = ask(stage, CC, "one").answer
    for method, rest in (("GET", ""), ("GET", "/input_items"), ("DELETE", ""), ("POST", "/cancel")):
        assert of(stage, first["id"], rest, method, key=OTHER_KEY).status == 404
    body = {"model": "gpt-4o", "input": "two", "previous_response_id": first["id"]}
    stage.vendor.received.clear()
    assert stage.gateway.post("/v1/responses", body, key=OTHER_KEY).status in (400, 404)
    assert stage.vendor.received == []
    assert of(stage, first["id"]).status == 200


def test_F17_a_deleted_response_is_no_previous_one(stage: Stage) -> None:
    first = ask(stage, CC, "one").answer
    assert of(stage, first["id"], method="DELETE").status == 200
    heard = ask(stage, CC, "two", previous_response_id=first["id"])
    assert heard.reply.status in (400, 404) and heard.sent == []


def test_F17_a_failed_answer_is_not_stored(stage: Stage) -> None:
    heard = stage.ask(
        RS, CC, {"input": "one"}, answer=plays(ROLE, chunk({"content": "par"}), whole=False), stream=True
    )
    failed = heard.chunks[-1]["response"]
    assert failed["status"] == "failed"
    reply = of(stage, failed["id"])
    assert reply.status == 404 or reply.json["status"] == "failed"


def test_F17_the_response_is_there_when_the_client_has_its_end(stage: Stage) -> None:
    """It is written before ``response.completed`` is sent."""
    for _ in range(5):
        heard = stage.ask(RS, CC, ASK[RS], stream=True)
        assert of(stage, heard.chunks[-1]["response"]["id"]).status == 200


def test_F17_a_conversation_is_bound_to_its_vendor(stage: Stage) -> None:
    for upstream in OVER:
        heard = stage.ask(RS, upstream, {"input": "one", "conversation": "conv_nobodyknows"})
        assert heard.reply.status in (400, 404) and heard.sent == []
        assert_error_shape(RS, heard.reply)


def test_F17_the_same_turn_is_told_the_same_way(stage: Stage) -> None:
    """The rebuilt history is byte-identical in every replay: prefix caches depend on it."""
    first = ask(stage, CC, "one").answer
    sent = [ask(stage, CC, "two", previous_response_id=first["id"]).sent[0].body for _ in range(2)]
    assert sent[0] == sent[1]


def test_F17_items_have_ids_in_the_list(stage: Stage) -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}
    first = ask(stage, CC, [{"role": "user", "content": [{"type": "input_text", "text": "t"}, image]}]).answer
    items = of(stage, first["id"], "/input_items").json["data"]
    same(
        items,
        [
            {
                "type": "message",
                "role": "user",
                "id": ANY,
                "content": [{"type": "input_text", "text": "t"}, {**image, ...: ...}],
                ...: ...,
            }
        ],
    )


def test_F17_the_list_of_items_has_pages(stage: Stage) -> None:
    texts = ["a", "b", "c"]
    first = ask(stage, CC, [{"role": "user", "content": t} for t in texts]).answer
    told = [i["id"] for i in of(stage, first["id"], "/input_items?order=asc").json["data"]]
    assert len(told) == 3
    assert [i["id"] for i in of(stage, first["id"], "/input_items").json["data"]] == told[::-1], (
        "the newest is first"
    )
    page = of(stage, first["id"], "/input_items?order=asc&limit=2").json
    assert (
        [i["id"] for i in page["data"]] == told[:2]
        and page["has_more"] is True
        and page["last_id"] == told[1]
    )
    rest = of(stage, first["id"], f"/input_items?order=asc&limit=2&after={told[1]}").json
    assert [i["id"] for i in rest["data"]] == told[2:] and rest["has_more"] is False
    assert of(stage, first["id"], "/input_items?limit=0").status == 400


def test_F17_the_openai_sdk_reads_what_is_stored(stage: Stage) -> None:
    first = ask(stage, CC, "one").answer
    with accumulators.openai_client(stage.gateway.url) as client:
        assert client.responses.retrieve(first["id"]).output_text == "Hello"
        (item,) = client.responses.input_items.list(first["id"])
        assert item.type == "message" and item.content[0].text == "one"  # type: ignore[union-attr]
        client.responses.delete(first["id"])
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(first["id"])
