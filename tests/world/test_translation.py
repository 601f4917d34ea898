"""What a hostile reader of the translate lane tried: money, fallback, state and other people's secrets."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.world import answers
from tests.world.harness import KEY, OTHER_KEY, Exchange, Vendor, channel, gateway_for
from tests.world.translating import (
    ANSWER,
    CLIENTS,
    FRAMES,
    OF_MODEL,
    SECRET,
    Client,
    World,
    cut,
    dialect,
    events,
    fresh,
    open_world,
    play,
    request,
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    yield from open_world(tmp_path_factory.mktemp("translation"))


@pytest.fixture(autouse=True)
def each(world: World) -> Iterator[None]:
    yield from fresh(world)


# --- money ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", OF_MODEL)
@pytest.mark.parametrize("client", CLIENTS)
def test_every_pair_is_charged_what_the_vendor_reported(
    world: World, client: str, model: str, stream: bool
) -> None:
    row = world.row(reply := world.ask(client, model, stream=stream))
    assert reply.status == 200, reply.body
    assert (row["quota"], row["estimated"], row["cached_tokens"]) == (answers.QUOTA, 0, 4)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("model", OF_MODEL)
def test_a_client_that_leaves_in_the_middle_pays_for_what_came(world: World, client: str, model: str) -> None:
    name, before = OF_MODEL[model], world.rows()
    if name == client:
        pytest.skip("relay lane")
    half = {"chat": 2, "claude": 3, "gem": 1, "resp": 2}[name]
    closed = threading.Event()

    def script(x: Exchange) -> None:
        x.start_stream()
        for frame in FRAMES[name][:half]:
            x.chunk(frame)
        if x.closed_by_peer():
            closed.set()

    world.vendors[name].script = script
    path, body = request(client, model, stream=True)
    leaver = Client(world.gateway, path, body)
    leaver.until(b"Hel")
    leaver.leave()
    assert closed.wait(10), "the upstream connection was left open"
    row = world.last_row(before)
    detail = world.detail(row)
    assert row["estimated"] == 1 and row["output_tokens"] >= 1 and row["quota"] > 0
    assert (detail["result"], detail["translated_to"]) == ("client_gone", dialect(name))
    assert [a["ended"] for a in detail["attempts"]] == ["answered"]


@pytest.mark.parametrize("model", OF_MODEL)
def test_a_client_that_leaves_before_content_pays_nothing(world: World, model: str) -> None:
    name, before = OF_MODEL[model], world.rows()
    client = "claude" if name != "claude" else "chat"
    asked, closed = threading.Event(), threading.Event()

    def script(x: Exchange) -> None:
        x.start_stream()
        x.chunk(b": keep-alive\n\n")
        asked.set()
        if x.closed_by_peer():
            closed.set()

    world.vendors[name].script = script
    leaver = Client(world.gateway, *request(client, model, stream=True))
    assert asked.wait(10)
    time.sleep(0.05)
    leaver.leave()
    assert closed.wait(10)
    row = world.last_row(before)
    assert (row["quota"], row["status"]) == (0, 499)


@pytest.mark.parametrize("model", OF_MODEL)
def test_a_cut_before_content_is_free_and_after_it_is_estimated(world: World, model: str) -> None:
    name = OF_MODEL[model]
    client = "claude" if name != "claude" else "chat"
    world.vendors[name].script = cut(FRAMES[name][:0])
    early = world.ask(client, model, stream=True)
    assert early.status in (500, 502) and world.row(early)["quota"] == 0
    half = {"chat": 2, "claude": 3, "gem": 1, "resp": 2}[name]
    world.vendors[name].script = cut(FRAMES[name][:half])
    late = world.ask(client, model, stream=True)
    row = world.row(late)
    assert late.status == 200 and b"error" in late.body and row["estimated"] == 1 and row["quota"] > 0
    assert world.detail(row)["result"] == "cut"


ZERO = {
    "chat": {**answers.CHAT, "choices": [{"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "stop"}],
             "usage": {"prompt_tokens": 10, "completion_tokens": 0, "total_tokens": 10}},
    "claude": {**answers.MESSAGE, "content": [], "usage": {"input_tokens": 10, "output_tokens": 0}},
    "gem": {"candidates": [{"content": {"parts": [], "role": "model"}, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 10, "totalTokenCount": 10}},
    "resp": {**answers.RESPONSE, "output": [], "usage": {"input_tokens": 10, "output_tokens": 0, "total_tokens": 10}},
}  # fmt: skip


@pytest.mark.parametrize("usage", [True, False])
@pytest.mark.parametrize("model", OF_MODEL)
def test_an_answer_without_output_is_free(world: World, model: str, usage: bool) -> None:
    name = OF_MODEL[model]
    value = dict(ZERO[name])
    if not usage:
        value.pop("usage", None), value.pop("usageMetadata", None)
    world.vendors[name].script = lambda x: x.reply(200, value)
    reply = world.ask("claude" if name != "claude" else "chat", model)
    assert world.row(reply)["quota"] == 0


def test_usage_that_never_came_is_estimated_the_same_for_client_and_log(world: World) -> None:
    world.vendors["chat"].script = play([*answers.CHAT_FRAMES, answers.DONE])
    reply = world.ask("claude", "c", stream=True)
    row = world.row(reply)
    delta = next(e for e in events(reply) if e["type"] == "message_delta")
    assert row["estimated"] == 1 and row["output_tokens"] == delta["usage"]["output_tokens"] == 2


def test_what_a_strict_call_refuses_is_void_and_was_never_sent(world: World) -> None:
    path, body = request("chat", "a", logit_bias={"1": 1})
    reply = world.gateway.post(path, body, {"x-dragoman-strict": "true"})
    assert reply.status == 400 and "logit_bias" in reply.json["error"]["message"]
    assert world.vendors["claude"].received == [] and world.row(reply)["quota"] == 0


# --- fallback ------------------------------------------------------------------------------------------------


def test_native_then_two_dialects_one_message_one_charge(world: World) -> None:
    """chat → its own dialect fails with an error under 200, Anthropic dies after message_start, Gemini answers."""
    world.vendors["chat"].script = lambda x: x.reply(200, {"error": {"message": "busy", "code": 503}})
    world.vendors["claude"].script = cut(answers.MESSAGE_FRAMES[:1])
    reply = world.ask("chat", "all", stream=True, logit_bias={"1": 1})
    assert reply.status == 200
    roles = [c for e in events(reply) for c in e["choices"] if c["delta"].get("role")]
    assert len(roles) == 1 and reply.headers["x-dragoman-dropped"].split(", ") == ["logit_bias"]
    row = world.row(reply)
    detail = world.detail(row)
    assert (row["quota"], row["estimated"], detail["translated_to"]) == (answers.QUOTA, 0, "gemini")
    assert [a["ended"] for a in detail["attempts"]][2] == "answered" and len(detail["attempts"]) == 3


TROUBLE = [
    {"error": {"message": f"Incorrect API key provided: {SECRET}", "code": 401, "type": "authentication_error"}},
    {"error": {"message": f"Incorrect API key provided: {SECRET}", "code": 401}},
    {"error": {"message": "You exceeded your current quota, please check your plan", "code": "insufficient_quota", "type": "insufficient_quota"}},
    {"error": {"message": "Your credit balance is too low", "type": "billing_error", "code": 402}},
]  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("trouble", TROUBLE)
@pytest.mark.parametrize("model", OF_MODEL)
def test_the_channels_own_trouble_under_200_is_not_told(
    world: World, model: str, trouble: dict[str, Any], stream: bool
) -> None:
    name = OF_MODEL[model]
    value = {"type": "error", **trouble} if name == "claude" else trouble
    frame = b"event: error\n" + answers.data(value) if name in ("claude", "resp") else answers.data(value)
    world.vendors[name].script = play([frame]) if stream else lambda x: x.reply(200, value)
    for client in CLIENTS:
        reply = world.ask(client, model, stream=stream)
        assert reply.status == 500, (client, reply.status, reply.body)
        assert (
            SECRET.encode() not in reply.body and b"quota" not in reply.body and b"balance" not in reply.body
        )
        assert world.row(reply)["quota"] == 0


def test_a_failed_response_object_that_tells_of_the_channels_credit(world: World) -> None:
    error = {"code": "insufficient_quota", "message": "You exceeded your current quota"}
    failed = {**answers.RESPONSE, "status": "failed", "output": [], "error": error}
    event = answers.event({"type": "response.failed", "sequence_number": 1, "response": failed})
    for stream in (False, True):
        world.vendors["resp"].script = (
            play([answers.RESPONSE_FRAMES[0], event]) if stream else lambda x: x.reply(200, failed)
        )
        reply = world.ask("chat", "r", stream=stream)
        assert (reply.status, reply.json["error"]["code"]) == (500, "get_channel_failed")


@pytest.mark.parametrize("model", OF_MODEL)
def test_no_secret_of_the_channel_in_a_whole_error_under_200(world: World, model: str) -> None:
    name = OF_MODEL[model]
    value = {"type": "error", "error": {"message": f"odd {SECRET} failure", "code": 500, "type": "api_error"}}
    world.vendors[name].script = lambda x: x.reply(200, value)
    for client in CLIENTS:
        reply = world.ask(client, model)
        assert reply.status >= 500 and SECRET.encode() not in reply.body
        assert SECRET not in json.dumps(world.detail(world.row(reply)))


def test_an_error_first_in_a_growing_array_is_no_answer(world: World) -> None:
    error = json.dumps([{"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}]).encode()

    def script(x: Exchange) -> None:
        x.start_stream(content_type="application/json")
        x.chunk(error)
        x.end_stream()

    world.vendors["gem"].script = script
    path = "/v1beta/models/g:streamGenerateContent"
    reply = world.gateway.post(path, request("gem", "g")[1])
    assert reply.status == 503 and world.row(reply)["quota"] == 0


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("client", CLIENTS)
def test_an_empty_body_under_200_is_no_answer(world: World, client: str, stream: bool) -> None:
    for model, name in OF_MODEL.items():
        world.vendors[name].script = lambda x: x.reply(200, b"")
        reply = world.ask(client, model, stream=stream)
        assert reply.status == 502, (client, model, reply.body)
        assert world.row(reply)["quota"] == 0


# --- connections -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", OF_MODEL)
def test_a_translated_stream_gives_its_connection_back(world: World, model: str) -> None:
    name = OF_MODEL[model]
    client = "claude" if name != "claude" else "chat"

    def script(x: Exchange) -> None:
        x.start_stream()
        for frame in FRAMES[name]:
            x.chunk(frame)
        time.sleep(0.02)  # a vendor's last chunk comes in a packet of its own
        x.end_stream()

    world.vendors[name].script = script
    world.ask(client, model, stream=True)
    before = world.vendors[name].connections
    for _ in range(5):
        assert world.ask(client, model, stream=True).status == 200
    assert world.vendors[name].connections == before


def test_a_vendor_that_does_not_end_after_its_end_is_not_waited_for(world: World) -> None:
    closed = threading.Event()

    def script(x: Exchange) -> None:
        x.start_stream()
        for frame in FRAMES["chat"]:
            x.chunk(frame)
        if x.closed_by_peer():
            closed.set()

    world.vendors["chat"].script = script
    started = time.monotonic()
    reply = world.ask("claude", "c", stream=True)
    assert reply.status == 200 and world.row(reply)["quota"] == answers.QUOTA and closed.wait(10)
    assert time.monotonic() - started < 5


# --- state --------------------------------------------------------------------------------------------------


def test_a_grown_chain_counts_against_the_budget_of_bodies(world: World) -> None:
    big = "x" * 3_000_000
    previous: dict[str, Any] = {}
    for _ in range(5):
        said = world.ask("resp", "c", text=big, **previous)
        assert said.status == 200, said.body
        previous = {"previous_response_id": said.json["id"]}
    together, waiting = threading.Barrier(4), threading.Event()

    def script(x: Exchange) -> None:
        waiting.wait(3)
        x.reply(200, answers.CHAT)

    del together
    world.vendors["chat"].script = script
    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda _: world.ask("resp", "c", text="go on", **previous).status, range(4)))
    # each is 15 MB once the chain is in it; 20 MB is what all bodies may take together
    assert replies.count(200) >= 1 and 503 in replies, replies


@pytest.mark.parametrize("stream", [False, True])
def test_a_turn_too_large_to_keep_is_still_answered(world: World, stream: bool) -> None:
    reply = world.ask("resp", "c", text="x" * 4_100_000, stream=stream)
    assert reply.status == 200
    last = events(reply)[-1]["response"] if stream else reply.json
    assert world.gateway.get(f"/v1/responses/{last['id']}").status == 404


def test_tokens_of_a_continued_response_are_counted(world: World) -> None:
    first = world.ask("resp", "c", text="one two three").json
    asked = {"model": "c", "input": "four", "previous_response_id": first["id"]}
    counted = world.gateway.post("/v1/responses/input_tokens", asked)
    alone = world.gateway.post("/v1/responses/input_tokens", {"model": "c", "input": "four"})
    assert counted.status == 200, counted.body
    assert counted.json["input_tokens"] > alone.json["input_tokens"]
    assert world.gateway.post("/v1/responses/input_tokens", asked, key=OTHER_KEY).status == 404


@pytest.mark.parametrize("verb", ["GET", "DELETE", "input_items", "cancel", "previous"])
def test_another_users_turn_is_not_there(world: World, verb: str) -> None:
    mine = world.ask("resp", "c").json["id"]
    path = f"/v1/responses/{mine}"
    if verb == "previous":
        reply = world.ask("resp", "c", previous_response_id=mine, key=OTHER_KEY)
    elif verb in ("GET", "DELETE"):
        reply = world.gateway.request(verb, path, key=OTHER_KEY)
    elif verb == "cancel":
        reply = world.gateway.request("POST", f"{path}/cancel", b"", key=OTHER_KEY)
    else:
        reply = world.gateway.get(f"{path}/input_items", key=OTHER_KEY)
    assert reply.status == 404
    assert world.gateway.get(path).status == 200


def test_turns_at_once_from_one_parent(world: World) -> None:
    parent = world.ask("resp", "c").json["id"]
    with ThreadPoolExecutor(8) as pool:
        replies = list(
            pool.map(lambda n: world.ask("resp", "c", text=str(n), previous_response_id=parent), range(16))
        )
    ids = {reply.json["id"] for reply in replies}
    assert len(ids) == 16 and all(world.gateway.get(f"/v1/responses/{i}").status == 200 for i in ids)


# --- headers -----------------------------------------------------------------------------------------------


def test_nothing_of_the_clients_dialect_or_identity_goes_up(world: World) -> None:
    headers = {
        "x-goog-api-key": "client-key", "cookie": "c=1", "anthropic-version": "2023-06-01", "anthropic-beta": "b", "x-stainless-lang": "js",
        "openai-beta": "x", "x-goog-api-client": "x", "accept": "text/weird", "x-dragoman-strict": "false", "vendor": "auto",
        "x-forwarded-for": "1.2.3.4", "x-trace": "kept",
    }  # fmt: skip
    assert world.ask("claude", "c", headers=headers).status == 200
    sent = world.vendors["chat"].received[0]
    names = {name.lower() for name, _ in sent.headers}
    assert not names & (set(headers) - {"x-trace", "accept"}) and sent.header("x-trace") == "kept"
    assert sent.header("authorization") == f"Bearer {SECRET}" and KEY not in str(sent.headers)
    assert sent.header("content-type") == "application/json"
    assert [n.lower() for n, _ in sent.headers].count("content-type") == 1


def test_a_long_path_of_a_loss_makes_neither_a_long_header_nor_a_long_row(world: World) -> None:
    fields = {f"odd{n}" + "y\r\nx-evil: 1" * 2000: 1 for n in range(50)}
    reply = world.ask("chat", "a", **fields)
    assert reply.status == 200, reply.body[:500]
    assert len(reply.headers.get("x-dragoman-dropped", "")) < 3000 and "x-evil" not in reply.headers
    assert len(json.dumps(world.detail(world.row(reply)))) < 100_000


def test_a_model_name_of_the_upstream_makes_no_long_header(world: World) -> None:
    world.vendors["chat"].script = lambda x: x.reply(200, {**answers.CHAT, "model": "m" * 200_000})
    reply = world.ask("claude", "c")
    assert reply.status == 200 and len(reply.headers.get("x-upstream-model", "")) <= 300


# --- relay lane ----------------------------------------------------------------------------------------------


def test_a_relayed_stream_is_the_vendors_bytes_and_its_first_frame_does_not_wait(world: World) -> None:
    for name, client in (("chat", "chat"), ("claude", "claude"), ("gem", "gem"), ("resp", "resp")):
        model = next(m for m, n in OF_MODEL.items() if n == name)
        second = threading.Event()

        def script(x: Exchange, name: str = name, second: threading.Event = second) -> None:
            x.start_stream()
            x.chunk(FRAMES[name][0])
            assert second.wait(10)
            for frame in FRAMES[name][1:]:
                x.chunk(frame)
            x.end_stream()

        world.vendors[name].script = script
        path, body = request(
            client,
            model,
            stream=True,
            **({"stream_options": {"include_usage": True}} if client == "chat" else {}),
        )
        connection = http.client.HTTPConnection("127.0.0.1", world.gateway.port, timeout=20)
        connection.request("POST", path, json.dumps(body), {"authorization": f"Bearer {KEY}"})
        answer = connection.getresponse()
        first = answer.read1(65536)
        assert first == FRAMES[name][0]
        second.set()
        assert first + answer.read() == b"".join(FRAMES[name])
        connection.close()


def test_a_client_that_leaves_after_the_last_frame_pays_what_was_reported(world: World) -> None:
    before, release = world.rows(), threading.Event()

    def script(x: Exchange) -> None:
        x.start_stream()
        for frame in FRAMES["chat"]:
            x.chunk(frame)
        release.wait(5)
        x.end_stream()

    world.vendors["chat"].script = script
    for client in ("claude", "chat"):
        leaver = Client(world.gateway, *request(client, "c", stream=True))
        leaver.until(b"message_stop" if client == "claude" else b"[DONE]")
        leaver.leave()
        row = world.last_row(before)
        assert (row["quota"], row["estimated"]) == (answers.QUOTA, 0)
        before = world.rows()
    release.set()


@pytest.mark.parametrize("stream", [False, True])
def test_openais_own_words_for_a_wrong_key_under_200(world: World, stream: bool) -> None:
    error = {
        "message": "Incorrect API key provided: sk-*abc.",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_api_key",
    }
    frame = answers.data({"error": error})
    for name, model in (("chat", "c"), ("resp", "r")):
        world.vendors[name].script = play([frame]) if stream else lambda x: x.reply(200, {"error": error})
        for client in CLIENTS:
            reply = world.ask(client, model, stream=stream)
            assert reply.status == 500 and b"API key" not in reply.body, (client, model, reply.body)


def test_the_vendors_name_of_the_model_is_told(world: World) -> None:
    world.vendors["chat"].script = lambda x: x.reply(200, {**answers.CHAT, "model": "m-2026"})
    reply = world.ask("claude", "c")
    assert (reply.headers["x-upstream-model"], reply.json["model"]) == ("m-2026", "c")


def test_one_conversation_and_one_vendor_are_compatible(world: World) -> None:
    for _ in range(6):
        reply = world.ask("claude", "all", headers={"vendor": "google"}, text="same")
        assert world.detail(world.row(reply))["translated_to"] == "gemini"
    pinned = world.ask("claude", "all", headers={"vendor": "nobody"})
    assert pinned.status == 400


@pytest.mark.parametrize("client", CLIENTS)
def test_a_relayed_answer_in_the_other_form_costs_the_same(world: World, client: str) -> None:
    model = next(m for m, n in OF_MODEL.items() if n == client)
    vendor = world.vendors[client]
    vendor.script = play(FRAMES[client])
    folded = world.ask(client, model)
    vendor.script = lambda x: x.reply(200, ANSWER[client])
    streamed = world.ask(client, model, stream=True)
    for reply in (folded, streamed):
        row = world.row(reply)
        assert reply.status == 200 and b"Hel" in reply.body, reply.body
        assert (row["quota"], row["estimated"]) == (answers.QUOTA, 0)
    if client == "resp":
        for reply, found in ((folded, folded.json), (streamed, events(streamed)[-1]["response"])):
            assert world.gateway.get(f"/v1/responses/{found['id']}").status == 200, reply.body


def test_the_list_of_models_says_how_each_can_be_reached(world: World) -> None:
    data = {entry["id"]: entry for entry in world.gateway.get("/v1/models").json["data"]}
    for model in OF_MODEL:
        entry = data[model]
        native, reached = set(entry["supported_endpoint_types"]), set(entry["translated_endpoint_types"])
        assert not native & reached


@pytest.mark.parametrize("client", CLIENTS)
def test_googles_400_for_a_wrong_key_is_the_channels_trouble(world: World, client: str) -> None:
    detail = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "API_KEY_INVALID",
        "domain": "googleapis.com",
    }
    error = {
        "code": 400,
        "message": "API key not valid. Please pass a valid API key.",
        "status": "INVALID_ARGUMENT",
        "details": [detail],
    }
    world.vendors["gem"].script = lambda x: x.reply(400, {"error": error})
    reply = world.ask(client, "g")
    assert reply.status == 500 and b"API key" not in reply.body
    for name in ("chat", "claude"):
        world.vendors[name].script = lambda x: x.reply(503, {})
    assert world.ask("gem", "all").status == 200, "the next channel is not tried"


def test_where_translation_is_off_nothing_is_translated(tmp_path: Path) -> None:
    vendor = Vendor(lambda x: x.reply(200, answers.MESSAGE))
    channels = [
        channel(vendor, "anthropic", models=["off"], translate=False),
        channel(vendor, "anthropic", name="shut", models=["shut"], groups=["shut"]),
    ]
    people = [
        {"username": "alice", "credit": "1", "keys": [{"name": "a", "key": KEY}]},
        {"username": "bob", "credit": "1", "group": "shut", "keys": [{"name": "b", "key": OTHER_KEY}]},
    ]
    groups = [{"name": "default"}, {"name": "shut", "translate": False}]
    prices = [{"model": "*", "input": "1", "output": "10"}]
    try:
        for gateway in gateway_for(tmp_path, channels, groups=groups, prices=prices, users=people):
            for key, model in ((KEY, "off"), (OTHER_KEY, "shut")):
                listed = gateway.get("/v1/models", key=key).json["data"]
                assert [entry["translated_endpoint_types"] for entry in listed] == [[]]
                refused = gateway.post(*request("chat", model), key=key)
                assert refused.status == 404 and "/v1/messages" in refused.json["error"]["message"]
                assert gateway.post(*request("claude", model), key=key).status == 200
    finally:
        vendor.close()
