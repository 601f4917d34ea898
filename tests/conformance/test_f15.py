"""F15: errors: shapes, statuses, types; what they never tell; how they are charged."""
# ruff: noqa: N802

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance import bodies, streams
from tests.conformance.bodies import ASK
from tests.conformance.equality import same
from tests.conformance.world import AM, CC, DIALECTS, GM, MODEL, RS, Stage, assert_error_shape
from tests.world import harness
from tests.world.harness import KEY, Exchange, Gateway, Reply, Vendor, channel

UNKNOWN = {CC: "/v1/nothing", RS: "/v1/nothing", AM: "/v1/messages/nothing", GM: "/v1beta/nothing"}
PAIRS = [(c, u) for c in DIALECTS for u in DIALECTS if c != u]


def post(gateway: Gateway, client: str, model: str, body: Any = None, **options: Any) -> Reply:
    """One call of this client; the body is its smallest one unless given."""
    path, whole = bodies.request_of(client, model, ASK[client])
    return gateway.post(path, whole if body is None else body, **options)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Vendor, Vendor]]:
    """A gateway with a small body limit, a poor user, and two channels for one model: Anthropic first, then chat."""
    first, second = (
        Vendor(lambda x: x.reply(500, {})),
        Vendor(lambda x: x.reply(200, bodies.completion("Hello"))),
    )
    channels = [
        channel(first, "anthropic", name="first", models=["m"], priority=10),
        channel(second, "openai-compatible", name="second", models=["m"], dialects=["openai_chat"]),
        channel(first, "openai-compatible", name="alone", models=["lone"], dialects=["openai_chat"]),
    ]
    users = [
        {"username": "alice", "credit": "100", "keys": [{"name": "k", "key": KEY}]},
        {"username": "poor", "credit": "0", "keys": [{"name": "k", "key": harness.OTHER_KEY}]},
    ]
    yield from (
        (gateway, first, second)
        for gateway in harness.gateway_for(
            tmp_path_factory.mktemp("errors"), channels, users=users, server={"body_bytes": 100_000},
            prices=[{**harness.PRICE, "model": "*"}],
        )
    )  # fmt: skip
    first.close()
    second.close()


@pytest.mark.parametrize("client", DIALECTS)
def test_E260_every_error_has_the_shape_of_its_surface(
    stage: Stage, small: tuple[Gateway, Vendor, Vendor], client: str
) -> None:
    gateway, upstream = small[0], next(u for u in DIALECTS if u != client)
    model = MODEL[upstream]
    path, _ = bodies.request_of(client, model, ASK[client])
    wrong: Any = {CC: {"messages": 7}, RS: {"input": 7}, AM: {"messages": 7}, GM: {"contents": 7}}[client]
    if client != GM:
        wrong |= {"model": model}
    stage.vendor.script = streams.replies({"error": {"message": "bad", "type": "invalid_request_error"}}, 400)
    replies = {
        401: [post(stage.gateway, client, model, key="sk-" + "z" * 48), post(stage.gateway, client, model, key=None)],
        403: [post(gateway, client, "m", key=harness.OTHER_KEY)],
        404: [post(stage.gateway, client, "never-heard-of"), stage.gateway.post(UNKNOWN[client], {})],
        405: [stage.gateway.request("PUT", path, b"{}")],
        413: [post(gateway, client, "m", {"model": "m", "x": "y" * 100_001})],
        400: [
            post(stage.gateway, client, model, b"{"), post(stage.gateway, client, model, b"[]"),
            post(stage.gateway, client, model, wrong), post(stage.gateway, client, model),
        ],
    }  # fmt: skip
    for status, several in replies.items():
        for reply in several:
            assert reply.status == status, f"{reply.status} {reply.body!r}"
            assert reply.headers["content-type"].startswith("application/json")
            assert_error_shape(client, reply)


STATUSES: list[Any] = [
    # what the upstream answers; what the client gets; its type in the words of chat, of Messages, of Gemini
    (400, 400, "invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT"),
    (404, 404, "not_found_error", "not_found_error", "NOT_FOUND"),
    (413, 413, "invalid_request_error", "request_too_large", "INVALID_ARGUMENT"),
    (422, 422, "invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT"),
    (429, 429, "rate_limit_error", "rate_limit_error", "RESOURCE_EXHAUSTED"),
    (500, 500, None, "api_error", "INTERNAL"),
    (502, 502, None, "api_error", "UNAVAILABLE"),
    (503, 503, None, "overloaded_error", "UNAVAILABLE"),
    (529, (503, 529), None, "overloaded_error", "UNAVAILABLE"),
    (401, 500, "new_api_error", "api_error", "INTERNAL"),
    (402, 500, "new_api_error", "api_error", "INTERNAL"),
    (403, 500, "new_api_error", "api_error", "INTERNAL"),
]
FAILURE = {
    CC: lambda status: {"error": {"message": "told you", "type": "x_error", "code": None, "param": None}},
    RS: lambda status: {"error": {"message": "told you", "type": "x_error", "code": None, "param": None}},
    AM: lambda status: {
        "type": "error",
        "error": {"type": "x_error", "message": "told you"},
        "request_id": "r",
    },
    GM: lambda status: {"error": {"code": status, "message": "told you", "status": "X"}},
}


@pytest.mark.parametrize("row", STATUSES, ids=[str(r[0]) for r in STATUSES])
@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_F15_statuses_and_types(stage: Stage, client: str, upstream: str, row: Any) -> None:
    said, status, openai_type, anthropic_type, google_status = row
    for streaming in (False, True):
        answer = (said, FAILURE[upstream](said))
        reply = stage.ask(client, upstream, ASK[client], answer=answer, stream=streaming).reply
        assert reply.status in (status if isinstance(status, tuple) else (status,)), reply.body
        assert_error_shape(client, reply)
        error = reply.json["error"]
        if client == AM:
            assert error["type"] == anthropic_type
        elif client == GM:
            assert error["status"] == google_status
        elif openai_type:
            assert error["type"] == openai_type
        if status != 500 or said == 500:
            assert "told you" in error["message"]
        else:
            assert "told you" not in error["message"], "our account's trouble is not the caller's"


def test_E262_an_openai_type_becomes_a_word_of_messages(stage: Stage) -> None:
    answer = (429, {"error": {"type": "insufficient_quota", "message": "M"}})
    reply = stage.ask(AM, CC, ASK[AM], answer=answer).reply
    assert_error_shape(AM, reply)
    same(reply.json["error"], {"type": "rate_limit_error", "message": "M", ...: ...})


WRAPPED = {"error": {"code": 502, "message": "Provider returned error"}}


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("client", [RS, AM, GM, CC])
def test_E264_an_error_under_status_200_is_that_error(stage: Stage, client: str, streaming: bool) -> None:
    heard = stage.ask(client, CC, ASK[client], answer=WRAPPED, stream=streaming)
    assert heard.reply.status >= 500, heard.reply.body
    assert "Provider returned error" in heard.reply.json["error"]["message"]
    if client != CC:  # the relay lane passes on what the vendor said
        assert_error_shape(client, heard.reply)
    row = stage.gateway.call_row(heard.reply.headers["x-request-id"])
    assert row["nanos"] == 0 and row["status"] >= 500 and row["kind"] == 5


@pytest.mark.parametrize("client", [CC, RS, GM])
def test_E264_and_the_next_channel_is_tried(small: tuple[Gateway, Vendor, Vendor], client: str) -> None:
    gateway, first, second = small
    first.script = streams.replies(
        {"type": "error", "error": {"type": "api_error", "message": "Provider returned error"}}
    )
    second.script = streams.replies(bodies.completion("Hello"))
    reply = post(gateway, client, "m")
    assert reply.status == 200 and bodies.text_of(client, reply.json) == "Hello"


LEAKS: dict[str, tuple[str, tuple[str, ...]]] = {
    "a key": ("Incorrect API key provided: sk-proj-abcdefghijklmnop1234.", ("abcdefghijklmnop1234",)),
    "a key of Google": ("API key not valid: AIzaSyA1234567890abcdefghijklmnopqrstu", ("AIzaSyA1234567890",)),
    "our own credential": ("the key vendor-secret is out of date", ("vendor-secret",)),
    "an account": (
        "Limit of organization org-AbCdEf123456 in project proj_Zyxw9876 reached",
        ("org-AbCdEf", "proj_Zyxw"),
    ),
    "a token": ("Bearer eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl is expired", ("eyJzdWIiOi",)),
    "a URL with a password": ("see https://user:passw0rd12@example.com/x", ("passw0rd12",)),
    "an internal host": (
        "connect to http://llm-7.prod.svc.cluster.local:8080/v1 (10.3.4.5:8080) failed",
        ("cluster.local", "10.3.4.5"),
    ),
    "a stack": (
        'Traceback (most recent call last):\n  File "/srv/app/main.py", line 3, in <module>\n    run()\nKeyError: 7',
        ("/srv/app/main.py", "line 3", "Traceback"),
    ),
}


@pytest.mark.parametrize("leak", LEAKS)
@pytest.mark.parametrize("shape", ["json", "text", "stream"])
@pytest.mark.parametrize(("client", "upstream"), [(AM, CC), (CC, AM), (RS, GM), (GM, RS), (CC, CC)])
def test_E265_no_secret_of_the_vendor_is_told(
    stage: Stage, client: str, upstream: str, shape: str, leak: str
) -> None:
    said, secrets = LEAKS[leak]
    told: Any = FAILURE[upstream](400)
    told["error"]["message"] = f"It failed. {said}"
    if shape == "json":
        reply = stage.ask(client, upstream, ASK[client], answer=(400, told)).reply
    elif shape == "text":
        answer = streams.replies(f"It failed. {said}".encode(), 400, content_type="text/plain")
        reply = stage.ask(client, upstream, ASK[client], answer=answer).reply
    else:
        if client == upstream:
            pytest.skip("frames of the same dialect are passed on as they are")
        begin = {CC: streams.ROLE + streams.chunk({"content": "x"}), GM: streams.gemini({"text": "x"})}
        begin[AM] = streams.message_start() + streams.text_block(0, "x")
        begin[RS] = (up := streams.Numbered()).created() + up.text("x")
        last = (
            streams.data(told)
            if upstream in (CC, GM)
            else streams.event({**told, "type": "error", "sequence_number": 99})
        )
        reply = stage.ask(
            client, upstream, ASK[client], answer=streams.plays(begin[upstream], last), stream=True
        ).reply
        assert streams.FOLD[client](reply.body).error is not None
    text = reply.body.decode()
    assert not [secret for secret in secrets if secret in text], text
    assert str(stage.vendor.port) not in text


def test_E267_the_gateways_own_401(stage: Stage) -> None:
    """Every way to send the key works and is refused alike; the key is never told."""
    ways: dict[str, list[tuple[str, dict[str, str]]]] = {
        AM: [("", {"x-api-key": "{}"}), ("", {"authorization": "Bearer {}"})],
        GM: [("", {"x-goog-api-key": "{}"}), ("?key={}", {})],
    }
    wrong = "sk-" + "Wrong1" * 8
    stage.vendor.script = streams.replies(bodies.completion("Hello"))
    for client, several in ways.items():
        for query, headers in several:
            for key, status in ((KEY, 200), (wrong, 401)):
                path, body = bodies.request_of(client, MODEL[CC], ASK[client])
                path += query.format(key)
                sent = {name: value.format(key) for name, value in headers.items()}
                reply = stage.gateway.post(path, body, sent, key=None)
                assert reply.status == status, reply.body
                assert key not in reply.body.decode()
                if status == 401:
                    assert_error_shape(client, reply)
    log = stage.gateway.log.read_text()
    assert wrong not in log and KEY not in log


# --- further cases of the family --------------------------------------------------------------------------


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_F15_retry_after_is_passed_on(stage: Stage, client: str, upstream: str) -> None:
    heard = stage.ask(
        client, upstream, ASK[client], answer=streams.replies(FAILURE[upstream](429), 429, retry_after="7")
    )
    assert heard.reply.status == 429 and heard.reply.headers["retry-after"] == "7"


def test_F15_gemini_says_in_its_details_when_to_come_back(stage: Stage) -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "12.5s"}]
    answer = (
        429,
        {"error": {"code": 429, "message": "M", "status": "RESOURCE_EXHAUSTED", "details": details}},
    )
    reply = stage.ask(AM, GM, ASK[AM], answer=answer).reply
    assert (reply.status, reply.json["error"]["type"]) == (429, "rate_limit_error") and int(
        reply.headers["retry-after"]
    ) >= 1


@pytest.mark.parametrize("client", DIALECTS)
@pytest.mark.parametrize("upstream", DIALECTS)
@pytest.mark.parametrize(
    "garbage", [b"", b"<html>502 Bad Gateway</html>", b"{", b"[]", b"null", b'"x"', b"{}"]
)
def test_F15_garbage_under_status_200_is_a_502(
    stage: Stage, client: str, upstream: str, garbage: bytes
) -> None:
    if client == upstream:
        pytest.skip("the relay lane passes a vendor's bytes on")
    heard = stage.ask(client, upstream, ASK[client], answer=lambda x: x.reply(200, garbage))
    if upstream == GM and garbage == b"{}":
        return  # an answer of Gemini without anything in it is an answer
    assert heard.reply.status == 502, f"{heard.reply.status} {heard.reply.body!r}"
    assert_error_shape(client, heard.reply)
    assert stage.gateway.call_row(heard.reply.headers["x-request-id"])["nanos"] == 0


@pytest.mark.parametrize("client", DIALECTS)
def test_F15_a_failed_call_costs_nothing(stage: Stage, client: str) -> None:
    upstream = next(u for u in DIALECTS if u != client)
    heard = stage.ask(client, upstream, ASK[client], answer=(500, FAILURE[upstream](500)))
    row = stage.gateway.call_row(heard.reply.headers["x-request-id"])
    assert (row["nanos"], row["quota"]) == (0, 0)


def test_F15_an_error_names_the_path_in_the_clients_notation(stage: Stage) -> None:
    wrong: list[tuple[str, Any, str]] = [
        (
            CC,
            {"messages": [{"role": "user", "content": [{"type": "text", "text": 7}]}]},
            "messages[0].content[0].text",
        ),
        (
            RS,
            {"input": [{"role": "user", "content": [{"type": "input_text", "text": 7}]}]},
            "input[0].content[0].text",
        ),
        (
            AM,
            {"messages": [{"role": "user", "content": [{"type": "text", "text": 7}]}]},
            "messages.0.content.0.text",
        ),
        (GM, {"contents": [{"role": "user", "parts": [{"text": 7}]}]}, "contents[0].parts[0].text"),
    ]
    for client, body, path in wrong:
        upstream = next(u for u in DIALECTS if u != client)
        reply = stage.ask(client, upstream, body).reply
        assert reply.status == 400 and path in reply.json["error"]["message"], reply.body


DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize("client", DIALECTS)
def test_F15_deep_and_broken_json_is_a_400(stage: Stage, client: str) -> None:
    upstream = next(u for u in DIALECTS if u != client)
    member = {CC: "messages", RS: "input", AM: "messages", GM: "contents"}[client]
    nested = '{"type":"object","properties":{"a":' * 5_000 + "{}" + "}}" * 5_000
    head = "" if client == GM else f'"model":"{MODEL[upstream]}","max_tokens":9,'
    for body in (
        f'{{{head}"{member}":{DEEP}}}'.encode(),
        f'{{{head}"{member}":"\xff"}}'.encode("latin-1"),
        f'{{{head}"tools":[{nested}],"{member}":[]}}'.encode(),
    ):
        reply = post(stage.gateway, client, MODEL[upstream], body)
        assert reply.status == 400, f"{reply.status} {reply.body[:300]!r}"
        assert_error_shape(client, reply)


@pytest.mark.parametrize("client", DIALECTS)
def test_F15_a_page_of_html_is_told_in_words(stage: Stage, client: str) -> None:
    upstream = next(u for u in DIALECTS if u != client)
    page = b"<html><head><title>502 Bad Gateway</title></head><body><h1>nginx/1.2</h1></body></html>"
    heard = stage.ask(
        client, upstream, ASK[client], answer=streams.replies(page, 502, content_type="text/html")
    )
    assert heard.reply.status == 502
    assert_error_shape(client, heard.reply)
    message = heard.reply.json["error"]["message"]
    assert "<" not in message and message


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("client", DIALECTS)
def test_F15_an_upstream_that_drops_the_connection(stage: Stage, client: str, streaming: bool) -> None:
    upstream = next(u for u in DIALECTS if u != client)
    heard = stage.ask(
        client, upstream, ASK[client], answer=lambda x: x.sock.shutdown(socket.SHUT_RDWR), stream=streaming
    )
    assert heard.reply.status == 502
    assert_error_shape(client, heard.reply)


@pytest.mark.parametrize("client", DIALECTS)
def test_F15_a_body_that_is_cut_is_no_answer(stage: Stage, client: str) -> None:
    upstream = next(u for u in DIALECTS if u != client)
    whole = json.dumps(bodies.hello(upstream)).encode()

    def play(exchange: Exchange) -> None:
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(whole)}\r\n\r\n"
        exchange.raw(head.encode() + whole[:-20])
        exchange.sock.shutdown(socket.SHUT_RDWR)

    heard = stage.ask(client, upstream, ASK[client], answer=play)
    assert heard.reply.status == 502
    assert_error_shape(client, heard.reply)
    assert stage.gateway.call_row(heard.reply.headers["x-request-id"])["nanos"] == 0


BEFORE: dict[str, Any] = {
    CC: lambda: [streams.ROLE, streams.data({"error": {"message": "too busy", "code": 503}})],
    RS: lambda: [
        (up := streams.Numbered()).created(),
        up.end("failed", error={"code": "server_is_overloaded", "message": "too busy"}, usage=None),
    ],
    AM: lambda: [
        streams.message_start(),
        streams.event({"type": "error", "error": {"type": "overloaded_error", "message": "too busy"}}),
    ],
    GM: lambda: [streams.data({"error": {"code": 503, "message": "too busy", "status": "UNAVAILABLE"}})],
}


@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_F15_a_stream_that_fails_before_it_says_anything_is_a_status(
    stage: Stage, client: str, upstream: str
) -> None:
    answer = streams.plays(*BEFORE[upstream](), whole=upstream != CC)
    heard = stage.ask(client, upstream, ASK[client], answer=answer, stream=True)
    assert heard.reply.status in (500, 502, 503, 529), heard.reply.body
    assert heard.reply.headers["content-type"].startswith("application/json")
    assert_error_shape(client, heard.reply)
    assert "too busy" in heard.reply.json["error"]["message"]
    if upstream != RS:
        assert heard.reply.status in (503, 529) and heard.reply.headers["retry-after"]
