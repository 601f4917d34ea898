"""F18: same dialect, same bytes; counting; fallback from one dialect to another; losses and strictness; paths."""
# ruff: noqa: N802

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import pytest

from tests.conformance import bodies, streams
from tests.conformance.accumulators import understood
from tests.conformance.bodies import ASK, PATHS
from tests.conformance.equality import same
from tests.conformance.streams import DONE, ROLE, Numbered, chunk, data, event, gemini, plays
from tests.conformance.world import (
    AM,
    CC,
    DIALECTS,
    GM,
    MODEL,
    RS,
    SHORT,
    Stage,
    assert_error_shape,
    dialect_of,
)
from tests.world import harness
from tests.world.harness import KEY, Gateway, Reply, Script, Vendor, channel

STRICT_KEY = "sk-" + "Strict" * 8


# --- E290: the relay lane ---------------------------------------------------------------------------------


def odd_request(client: str, *, stream: bool) -> tuple[str, bytes]:
    """Path and body with members that nobody knows, odd numbers and odd white space."""
    odd = '"x_new" : {"b":1.50,\n"a":12345678901234567890123}, "note":"\\u0041\\/"'
    messages = '"messages":[ {"role":"user","content":[{"type":"text","text":"hi","x_part":1}]} ]'
    flag = ', "stream":true' if stream else ""
    if client == GM:
        verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
        body = f'{{ {odd},"contents":[{{"role":"user","parts":[{{"text":"hi"}}]}}]}}'
        return f"/v1beta/models/{MODEL[GM]}:{verb}", body.encode()
    if client == CC and stream:  # else the gateway asks for the usage by itself
        flag += ', "stream_options":{"include_usage":true}'
    ask = '"input": [{"role":"user","content":"hi"}]' if client == RS else messages
    return PATHS[
        client
    ], f'{{ {odd},"model":"{MODEL[client]}", {ask} ,"max_tokens": 9{flag} }}'.encode().replace(
        b'"max_tokens": 9', b'"max_output_tokens": 9' if client == RS else b'"max_tokens": 9'
    )


def odd_answer(client: str) -> bytes:
    """A whole answer with members that nobody knows."""
    body = json.dumps({**bodies.hello(client), "model": MODEL[client]}).encode()
    return b'{ "x_new":12345678901234567890123, "y":1.50,' + body[1:]


def odd_stream(client: str) -> list[bytes]:
    """A stream with events and members that nobody knows."""
    up = Numbered()
    tomorrow = b'event: tomorrow\ndata: {"type":"tomorrow","x":1.50}\n\n'
    if client == CC:
        head = [
            ROLE,
            chunk({"content": "Hello", "x_new": 1}),
            b": comment\n\n",
            chunk({}, "stop"),
            streams.chat_usage(9, 2),
            DONE,
        ]
        return [f.replace(b"vendor-model", MODEL[CC].encode()) for f in head]
    frames = {
        RS: [up.created(), tomorrow, up.text("Hello"), up.end()],
        AM: [streams.message_start(), tomorrow, streams.text_block(0, "Hello"), streams.message_end()],
        GM: [gemini({"text": "Hello"}, x_new=1), gemini(finish="STOP")],
    }[client]
    return [f.replace(b"vendor-model", MODEL[client].encode()) for f in frames]


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("client", DIALECTS)
def test_E290_same_dialect_same_bytes(stage: Stage, client: str, streaming: bool) -> None:
    path, body = odd_request(client, stream=streaming)
    frames = odd_stream(client)
    stage.vendor.script = (
        plays(*frames) if streaming else streams.replies(odd_answer(client), x_vendor_new="kept")
    )
    stage.vendor.received.clear()
    headers = {"anthropic-beta": "tomorrow-2027-01-01,context-1m", "x-unknown": "kept"}
    reply = stage.gateway.post(path, body, headers)
    (sent,) = stage.vendor.received
    wanted = body if client != CC else body.replace(b"max_tokens", b"max_completion_tokens")
    assert sent.body in (wanted, body)
    assert sent.header("anthropic-beta") == headers["anthropic-beta"] and sent.header("x-unknown") == "kept"
    assert reply.status == 200
    assert reply.body == (b"".join(frames) if streaming else odd_answer(client))
    assert streaming or reply.headers["x-vendor-new"] == "kept"


@pytest.mark.parametrize(
    ("client", "alias", "model"), [(CC, "fast", "gpt-4o"), (AM, "fast-claude", "claude-sonnet-4-5")]
)
def test_F18_an_alias_is_the_only_difference(stage: Stage, client: str, alias: str, model: str) -> None:
    """Byte-compare with the model's name masked: up as the vendor knows it, down as the client does."""
    for streaming in (False, True):
        path, body = odd_request(client, stream=streaming)
        frames = odd_stream(client)
        stage.vendor.script = plays(*frames) if streaming else streams.replies(odd_answer(client))
        stage.vendor.received.clear()
        asked = body.replace(json.dumps(model).encode(), json.dumps(alias).encode())
        assert asked != body
        reply = stage.gateway.post(path, asked)
        assert stage.vendor.received[0].body in (body, body.replace(b"max_tokens", b"max_completion_tokens"))
        wanted = b"".join(frames) if streaming else odd_answer(client)
        names = json.dumps(model).encode(), json.dumps(alias).encode()
        assert reply.body.replace(names[1], names[0]) == wanted and names[0] not in reply.body


# --- E292: counting ---------------------------------------------------------------------------------------

COUNTING = [(AM, u) for u in (CC, RS, GM)] + [(GM, u) for u in (CC, RS, AM)] + [(RS, u) for u in (CC, AM, GM)]


def count(gateway: Gateway, client: str, model: str, body: dict[str, Any]) -> Reply:
    if client == GM:
        return gateway.post(f"/v1beta/models/{model}:countTokens", body)
    path = "/v1/messages/count_tokens" if client == AM else "/v1/responses/input_tokens"
    return gateway.post(path, {"model": model, **body})


def counted(client: str, reply: Reply) -> int:
    """The number, of an answer in the client's shape."""
    assert reply.status == 200, reply.body
    if client == GM:
        number = reply.json["totalTokens"]
    else:
        number = reply.json["input_tokens"]
        assert client != RS or reply.json["object"] == "response.input_tokens"
    assert type(number) is int
    return number


@pytest.mark.parametrize(("client", "upstream"), COUNTING)
def test_E292_tokens_are_counted_for_nothing(stage: Stage, client: str, upstream: str) -> None:
    stage.vendor.script = streams.replies({"error": {"message": "no"}}, 500)
    before = stage._wallet()
    few = counted(client, count(stage.gateway, client, MODEL[upstream], ASK[client]))
    long = json.loads(json.dumps(ASK[client]).replace('"hi"', json.dumps("some more words " * 100)))
    many = counted(client, count(stage.gateway, client, MODEL[upstream], long))
    tooled = counted(
        client,
        count(stage.gateway, client, MODEL[upstream], {**ASK[client], **bodies.tools(client, "f", "g")}),
    )
    assert 0 < few < 50 and 250 < many < 400 and tooled > few
    assert stage._wallet() == before


def test_F18_images_are_not_counted_and_told(stage: Stage) -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
    body = {"messages": [{"role": "user", "content": [image, {"type": "text", "text": "hi"}]}]}
    reply = count(stage.gateway, AM, MODEL[CC], body)
    assert counted(AM, reply) > 0 and isinstance(reply.json["warning"], str)


# --- E294, E295: fallback ---------------------------------------------------------------------------------

PROVIDER = {CC: "openai-compatible", RS: "openai", AM: "anthropic", GM: "gemini"}


@dataclass
class Two:
    """A gateway with two vendors: model ``AM-CC`` is tried at an Anthropic upstream first, then at a chat upstream."""

    gateway: Gateway
    first: Vendor
    second: Vendor

    def post(
        self, client: str, model: str, body: dict[str, Any], *, stream: bool = False, **options: Any
    ) -> Reply:
        self.first.received.clear()
        self.second.received.clear()
        path, whole = bodies.request_of(client, model, body, stream=stream)
        return self.gateway.post(path, whole, **options)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    first, second = Vendor(lambda x: x.reply(500, {})), Vendor(lambda x: x.reply(500, {}))
    channels = []
    for dialect in DIALECTS:
        others = [d for d in DIALECTS if d != dialect]
        tried_first = [f"{SHORT[dialect]}-{SHORT[d]}" for d in others]
        tried_second = [f"{SHORT[d]}-{SHORT[dialect]}" for d in others] + [f"only-{SHORT[dialect]}"]
        common: dict[str, Any] = {"provider": PROVIDER[dialect], "dialects": [dialect]}
        channels.append(channel(first, **common, name=f"1 {dialect}", models=tried_first, priority=10))
        channels.append(channel(second, **common, name=f"2 {dialect}", models=tried_second, priority=1))
    users = [
        {
            "username": "alice",
            "credit": "100",
            "keys": [{"name": "k", "key": KEY}, {"name": "strict", "key": STRICT_KEY, "strict": True}],
        }
    ]
    prices = [{**harness.PRICE, "model": "*"}]
    for gateway in harness.gateway_for(tmp_path_factory.mktemp("two"), channels, users=users, prices=prices):
        yield Two(gateway, first, second)
    first.close()
    second.close()


ORDERS = [(c, a, b) for a, b in permutations(DIALECTS, 2) for c in DIALECTS if c not in (a, b)]
PLAYS: dict[str, Any] = {
    CC: lambda: plays(ROLE, chunk({"content": "Hello"}), chunk({}, "stop"), streams.chat_usage(9, 2), DONE),
    RS: lambda: plays((up := Numbered()).created(), up.text("Hello"), up.end()),
    AM: lambda: plays(
        streams.message_start(input_tokens=9),
        streams.text_block(0, "Hello"),
        streams.message_end("end_turn", 2),
    ),
    GM: lambda: plays(
        gemini({"text": "Hello"}),
        gemini(
            finish="STOP", usage={"promptTokenCount": 9, "candidatesTokenCount": 2, "totalTokenCount": 11}
        ),
    ),
}
BEGUN: dict[str, Any] = {
    CC: lambda: plays(ROLE, data({"error": {"message": "overloaded", "code": 503}})),
    RS: lambda: plays(
        (up := Numbered()).created(), up.end("failed", error={"code": "server_error", "message": "it broke"})
    ),
    AM: lambda: plays(
        streams.message_start(input_tokens=999),
        event({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
    ),
    GM: lambda: plays(data({"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}})),
}
"""Streams that begin and fail before they say anything."""


def rich(client: str) -> dict[str, Any]:
    """A body with an image, tools, a call and its result, so that much could be changed on the way."""
    made: dict[str, Any] = {
        CC: {
            "messages": [
                {"role": "system", "content": "Be brief"},
                {"role": "user", "content": [{"type": "text", "text": "t"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]},
                {"role": "assistant", "content": None, "tool_calls": [{"id": "call:1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}]},
                {"role": "tool", "tool_call_id": "call:1", "content": "r"},
            ]
        },
        RS: {
            "instructions": "Be brief",
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "t"}, {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}]},
                {"type": "function_call", "call_id": "call:1", "name": "f", "arguments": '{"a":1}'},
                {"type": "function_call_output", "call_id": "call:1", "output": "r"},
            ],
        },
        AM: {
            "system": "Be brief",
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "t"}, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}]},
                {"role": "assistant", "content": [{"type": "tool_use", "id": "call:1", "name": "f", "input": {"a": 1}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call:1", "content": "r"}]},
            ],
        },
        GM: {
            "systemInstruction": {"parts": [{"text": "Be brief"}]},
            "contents": [
                {"role": "user", "parts": [{"text": "t"}, {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}]},
                {"role": "model", "parts": [bodies.function_call("f", {"a": 1})]},
                {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"result": "r"}}}]},
            ],
        },
    }[client]  # fmt: skip
    return {**made, **bodies.tools(client, "f")}


@pytest.mark.parametrize(("client", "a", "b"), ORDERS)
def test_E294_a_second_dialect_starts_from_the_original(two: Two, client: str, a: str, b: str) -> None:
    two.first.script = streams.replies({"error": {"message": "it broke"}}, 500)
    two.second.script = streams.replies(bodies.hello(b))
    body = rich(client)
    reply = two.post(client, f"{SHORT[a]}-{SHORT[b]}", body)
    assert reply.status == 200, reply.body
    assert len(two.first.received) == 1, "the first upstream was tried"
    after_a_failure = two.second.received[-1].body
    assert two.post(client, f"only-{SHORT[b]}", body).status == 200
    at_once = two.second.received[-1].body
    names = (f"{SHORT[a]}-{SHORT[b]}".encode(), f"only-{SHORT[b]}".encode())
    assert after_a_failure.replace(names[0], b"M") == at_once.replace(names[1], b"M")


@pytest.mark.parametrize("failure", ["status", "begun"])
@pytest.mark.parametrize(("client", "a", "b"), ORDERS)
def test_E295_a_fallback_is_one_stream_for_the_client(
    two: Two, client: str, a: str, b: str, failure: str
) -> None:
    failing: Script = (
        streams.replies({"error": {"message": "it broke"}}, 500) if failure == "status" else BEGUN[a]()
    )
    two.first.script, two.second.script = failing, PLAYS[b]()
    model = f"{SHORT[a]}-{SHORT[b]}"
    asked = {**ASK[client], **({"stream_options": {"include_usage": True}} if client == CC else {})}
    reply = two.post(client, model, asked, stream=True)
    assert reply.status == 200, reply.body
    got = streams.FOLD[client](reply.body)  # one beginning, one end: see its assertions
    assert understood(client, got)[0] == "Hello"
    if client == GM:
        assert {c["modelVersion"] for c in got.events} == {model}
    elif client == CC:
        assert {c["model"] for c in got.events} == {model}
    else:
        assert got.value["model"] == model
    row = two.gateway.call_row(reply.headers["x-request-id"])
    assert (row["input_tokens"], row["output_tokens"], row["nanos"]) == (9, 2, 28_000 + 2_000)
    (detail,) = two.gateway.rows(
        "SELECT detail FROM call_details WHERE request_id = ?", reply.headers["x-request-id"]
    )
    attempts = json.loads(detail["detail"])["attempts"]
    assert len(attempts) == 2 and attempts[0]["channel_id"] != attempts[1]["channel_id"] == row["channel_id"]


def test_F18_no_fallback_once_the_client_has_something(two: Two) -> None:
    two.first.script = plays(streams.message_start(), streams.text_block(0, "par"), whole=False)
    two.second.script = PLAYS[GM]()
    reply = two.post(CC, "AM-GM", ASK[CC], stream=True)
    got = streams.chat(reply.body)
    assert streams.only_choice(got)["content"] == "par" and got.error is not None
    assert two.second.received == []


def test_F18_the_callers_mistake_is_not_tried_twice(two: Two) -> None:
    two.first.script = streams.replies({"error": {"message": "bad tool"}}, 400)
    two.second.script = streams.replies(bodies.hello(GM))
    reply = two.post(CC, "AM-GM", ASK[CC])
    assert reply.status == 400 and "bad tool" in reply.json["error"]["message"]
    assert two.second.received == []


def test_F18_the_same_dialect_is_preferred(two: Two) -> None:
    two.second.script = streams.replies(bodies.hello(CC))
    assert two.post(CC, "AM-CC", ASK[CC]).status == 200
    assert two.first.received == [] and len(two.second.received) == 1


# --- E296: losses -----------------------------------------------------------------------------------------

LOSSES: list[Any] = [
    (CC, AM, {"seed": 7}, "seed"),
    (CC, AM, {"frequency_penalty": 0.5}, "frequency_penalty"),
    (CC, AM, {"x_tomorrow": 1}, "x_tomorrow"),
    (AM, CC, {"top_k": 40}, "top_k"),
    (AM, GM, {"system": [{"type": "text", "text": "A", "cache_control": {"type": "ephemeral"}}]}, "system.0.cache_control"),
    (GM, AM, {"safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]}, "safetySettings"),
    (RS, AM, {"truncation": "auto"}, "truncation"),
]  # fmt: skip


@pytest.mark.parametrize(("client", "upstream", "extra", "path"), LOSSES)
def test_E296_what_is_dropped_is_told(
    stage: Stage, client: str, upstream: str, extra: dict[str, Any], path: str
) -> None:
    heard = stage.ask(client, upstream, {**ASK[client], **extra})
    assert heard.reply.status == 200 and path in heard.dropped, heard.reply.headers
    heard = stage.ask(client, upstream, {**ASK[client], **extra}, stream=True)
    assert heard.reply.status == 200 and path in heard.dropped
    assert stage.ask(client, upstream, ASK[client]).dropped == []


@pytest.mark.parametrize(("client", "upstream", "extra", "path"), LOSSES)
def test_E296_strict_calls_are_rejected_instead(
    stage: Stage, client: str, upstream: str, extra: dict[str, Any], path: str
) -> None:
    strict = {"x-dragoman-strict": "true"}
    stage.rejects(client, upstream, {**ASK[client], **extra}, path, headers=strict)
    assert stage.ask(client, upstream, ASK[client], headers=strict).reply.status == 200


def test_E296_a_strict_key(two: Two) -> None:
    two.second.script = streams.replies(bodies.hello(AM))
    assert two.post(CC, "only-AM", {**ASK[CC], "seed": 7}).status == 200
    reply = two.post(CC, "only-AM", {**ASK[CC], "seed": 7}, key=STRICT_KEY)
    assert reply.status == 400 and "seed" in reply.json["error"]["message"] and two.second.received == []
    assert_error_shape(CC, reply)
    assert two.post(CC, "only-AM", ASK[CC], key=STRICT_KEY).status == 200


def test_F18_a_strict_call_goes_where_nothing_is_lost(two: Two) -> None:
    """The first channel could not carry ``top_k``; the second can."""
    two.first.script, two.second.script = streams.replies(bodies.hello(CC)), streams.replies(bodies.hello(GM))
    reply = two.post(AM, "CC-GM", {**ASK[AM], "top_k": 40}, headers={"x-dragoman-strict": "true"})
    assert reply.status == 200 and two.first.received == []
    assert two.second.received[-1].json["generationConfig"]["topK"] == 40


def test_F18_only_the_losses_of_the_upstream_that_answered_are_told(two: Two) -> None:
    two.first.script, two.second.script = (
        streams.replies({"error": {"message": "it broke"}}, 500),
        streams.replies(bodies.hello(GM)),
    )
    reply = two.post(CC, "AM-GM", {**ASK[CC], "seed": 7, "logit_bias": {"1": 1}})
    assert reply.status == 200 and len(two.first.received) == 1
    assert [p.strip() for p in reply.headers["x-dragoman-dropped"].split(",")] == ["logit_bias"]


def test_F18_our_own_headers_stay_here(stage: Stage) -> None:
    heard = stage.ask(CC, AM, ASK[CC], headers={"x-dragoman-strict": "false", "x-unknown": "kept"})
    (sent,) = heard.sent
    assert sent.header("x-dragoman-strict") is None and sent.header("authorization") is None
    assert KEY not in json.dumps(sent.headers) and sent.header("x-api-key") == "vendor-secret"
    assert sent.header("anthropic-version") == "2023-06-01" and sent.header("accept-encoding") == "identity"


# --- E297: paths ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("upstream", [AM, GM])
@pytest.mark.parametrize(
    "path",
    ["/v1/chat/completions/", "/v1/v1/chat/completions", "/chat/completions", "//v1//chat/completions", "/v1/chat/completions/chat/completions"],
)  # fmt: skip
def test_E297_wrong_paths_of_chat_are_repaired(stage: Stage, upstream: str, path: str) -> None:
    stage.ask(CC, upstream, ASK[CC])
    reply = stage.gateway.post(path, {"model": MODEL[upstream], **ASK[CC]})
    assert reply.status == 200 and bodies.text_of(CC, reply.json) == "Hello"
    assert reply.headers["x-gateway-path-fixed"] == "/v1/chat/completions"


@pytest.mark.parametrize("path", ["/v1/v1/messages", "/v1/messages/", "/v1/messages/v1/messages"])
def test_E297_wrong_paths_of_messages_are_repaired(stage: Stage, path: str) -> None:
    stage.ask(AM, CC, ASK[AM])
    reply = stage.gateway.post(f"{path}?beta=true", {"model": MODEL[CC], "max_tokens": 9, **ASK[AM]})
    assert reply.status == 200 and bodies.text_of(AM, reply.json) == "Hello"


@pytest.mark.parametrize(
    ("path", "client"),
    [("/openai/v1/chat/completions", CC), ("/anthropic/v1/messages", AM), ("/v1/nothing", CC), ("/v1beta/nothing", GM), ("/v1/messages/nothing", AM)],
)  # fmt: skip
def test_E297_unknown_prefixes_are_told_in_the_right_dialect(stage: Stage, path: str, client: str) -> None:
    reply = stage.gateway.post(path, {"model": MODEL[CC], "max_tokens": 9, **ASK[AM]})
    assert reply.status == 404
    assert_error_shape(client, reply)
    assert path in reply.json["error"]["message"]


@pytest.mark.parametrize("client", DIALECTS)
def test_E297_head_and_options(stage: Stage, client: str) -> None:
    path = PATHS.get(client, f"/v1beta/models/{MODEL[CC]}:generateContent")
    options = stage.gateway.request("OPTIONS", path, key=None)
    assert options.status == 204 and options.headers["access-control-allow-origin"] == "*"
    assert stage.gateway.request("HEAD", "/", key=None).status == 200
    head = stage.gateway.request("HEAD", path)
    assert head.status == 405 and head.body == b""


# --- further cases of the family --------------------------------------------------------------------------


@pytest.mark.parametrize("upstream", [AM, GM])
def test_F18_completions_over_chat_capable_upstreams(stage: Stage, upstream: str) -> None:
    stage.ask(CC, upstream, ASK[CC])
    reply = stage.gateway.post("/v1/completions", {"model": MODEL[upstream], "prompt": "hi", "max_tokens": 9})
    assert reply.status == 200, reply.body
    choice = {"index": 0, "text": "Hello", "finish_reason": "stop", "logprobs": None, ...: ...}
    same(reply.json, {"object": "text_completion", "choices": [choice], ...: ...})
    assert reply.json["id"].startswith("cmpl-") and reply.json["model"] == MODEL[upstream]
    assert dialect_of(MODEL[upstream]) == upstream


def test_F18_completions_as_a_stream(stage: Stage) -> None:
    stage.ask(CC, AM, ASK[CC])
    reply = stage.gateway.post("/v1/completions", {"model": MODEL[AM], "prompt": "hi", "stream": True})
    values = [value for _, value in streams.frames(reply.body)]
    assert values[-1] == "[DONE]" and {v["object"] for v in values[:-1]} == {"text_completion"}
    assert "".join(v["choices"][0]["text"] for v in values[:-1] if v["choices"]) == "Hello"


def test_F18_the_list_says_what_is_translated(stage: Stage) -> None:
    listed = {m["id"]: m for m in stage.gateway.get("/v1/models").json["data"]}
    claude = listed[MODEL[AM]]
    assert "openai-response" not in claude["supported_endpoint_types"]
    assert {"openai-response", "gemini"} <= set(claude["translated_endpoint_types"])
