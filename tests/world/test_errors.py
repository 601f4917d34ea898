"""Every bad input gets a clear message in the caller's dialect, the right status, and is never charged."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.world import answers
from tests.world.harness import KEY, Exchange, Gateway, Reply, Vendor, channel, gateway_for

SURFACES: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"model": "m", "messages": []}),
    "responses": ("/v1/responses", {"model": "m", "input": "x"}),
    "messages": ("/v1/messages", {"model": "m", "max_tokens": 5, "messages": []}),
    "gemini": ("/v1beta/models/m:generateContent", {"contents": []}),
}


@pytest.fixture(scope="module")
def vendor() -> Iterator[Vendor]:
    vendor = Vendor(lambda x: x.reply(200, answers.CHAT))
    yield vendor
    vendor.close()


@pytest.fixture(scope="module")
def gateway(vendor: Vendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
    channels = [
        channel(vendor, "openai", models=["m", "unpriced"]),
        channel(vendor, "anthropic"),
        channel(vendor, "gemini"),
        {"name": "dead", "provider": "openai", "base_url": nobody, "keys": ["k"], "models": ["dead"]},
        channel(vendor, "openai", name="elsewhere", models=["elsewhere"], groups=["other"]),
    ]
    groups = [{"name": "default"}, {"name": "other"}]
    prices = [{"model": m, "input": "1", "output": "10"} for m in ("m", "dead", "elsewhere")]
    server = {"body_bytes": 100_000, "first_byte_timeout_s": 20}
    yield from gateway_for(
        tmp_path_factory.mktemp("errors"), channels, groups=groups, prices=prices, server=server
    )


@pytest.fixture(autouse=True)
def nothing_is_charged(gateway: Gateway) -> Iterator[None]:
    before = gateway.rows("SELECT COALESCE(SUM(nanos), 0) AS n FROM call_logs")[0]["n"]
    yield
    assert gateway.rows("SELECT COALESCE(SUM(nanos), 0) AS n FROM call_logs")[0]["n"] == before


def told(surface: str, reply: Reply) -> tuple[str, str]:
    """(message, code or type) of an error in the surface's own shape; asserts the shape."""
    assert reply.headers["content-type"].startswith("application/json") and reply.headers[
        "x-request-id"
    ].startswith("req_")
    error = reply.json["error"]
    if surface == "messages":
        assert reply.json["type"] == "error" and reply.json["request_id"] == reply.headers["x-request-id"]
        return error["message"], error["type"]
    if surface == "gemini":
        assert error["code"] == reply.status
        return error["message"], error["status"]
    assert set(error) >= {"message", "type", "code"}
    return error["message"], error["code"]


BY_SURFACE = pytest.mark.parametrize("surface", SURFACES)


@BY_SURFACE
def test_unknown_key(gateway: Gateway, surface: str) -> None:
    path, body = SURFACES[surface]
    reply = gateway.post(path, body, key="sk-" + "z" * 48)
    message, code = told(surface, reply)
    assert reply.status == 401 and message.startswith("Invalid API key")
    assert code == {"messages": "authentication_error", "gemini": "UNAUTHENTICATED"}.get(
        surface, "invalid_api_key"
    )
    assert reply.headers["x-should-retry"] == "false"


@BY_SURFACE
def test_missing_key(gateway: Gateway, surface: str) -> None:
    path, body = SURFACES[surface]
    reply = gateway.post(path, body, key=None)
    assert reply.status == 401 and told(surface, reply)[0].startswith("Invalid API key: none was sent")


@BY_SURFACE
def test_invalid_json(gateway: Gateway, surface: str) -> None:
    path, _ = SURFACES[surface]
    for broken in (b'{"model": "m", ', b"[1]", b"", b"\xff\xfe{}"):
        reply = gateway.post(path, broken)
        assert reply.status == 400, broken
        assert "JSON" in told(surface, reply)[0]
        assert reply.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("surface", ["chat", "responses", "messages"])
def test_missing_or_odd_model(gateway: Gateway, surface: str) -> None:
    path, body = SURFACES[surface]
    for model in ({}, {"model": 7}, {"model": ""}, {"model": None}):
        reply = gateway.post(path, {k: v for k, v in body.items() if k != "model"} | model)
        assert reply.status == 400 and "model" in told(surface, reply)[0]


@BY_SURFACE
def test_oversized_body(gateway: Gateway, surface: str) -> None:
    path, body = SURFACES[surface]
    reply = gateway.post(path, {**body, "x": "y" * 100_001})
    message, code = told(surface, reply)
    assert reply.status == 413 and "100000" in message.replace(",", "").replace(" ", "")
    assert surface != "messages" or code == "request_too_large"


@BY_SURFACE
def test_wrong_method(gateway: Gateway, surface: str) -> None:
    reply = gateway.request("PUT", SURFACES[surface][0], b"{}")
    assert reply.status == 405 and "POST" in told(surface, reply)[0] and "POST" in reply.headers["allow"]


@pytest.mark.parametrize(
    "path", ["/v1/nothing", "/nothing", "/api/upload", "/api/token/models", "/v1beta/nothing"]
)
def test_unknown_path(gateway: Gateway, path: str) -> None:
    reply = gateway.post(path, {})
    assert reply.status == 404 and reply.headers["content-type"].startswith("application/json")
    assert path in reply.json["error"]["message"] and "/v1" in reply.json["error"]["message"]


@BY_SURFACE
def test_unknown_model(gateway: Gateway, surface: str) -> None:
    path, body = SURFACES[surface]
    reply = gateway.post(path.replace("/m:", "/never-heard-of:"), {**body, "model": "never-heard-of"})
    assert (
        reply.status == 404
        and "never-heard-of" in told(surface, reply)[0]
        and reply.headers["x-should-retry"] == "false"
    )


def test_a_known_model_without_a_channel_here_is_the_documented_503(gateway: Gateway) -> None:
    for path in ("/v1/chat/completions", "/v1/completions"):
        for model in ("elsewhere", "gpt-3.5-turbo-instruct", "deepseek-ocr"):
            reply = gateway.post(path, {"model": model, "messages": [], "prompt": "x"})
            assert reply.status == 503, model
            error = reply.json["error"]
            assert (error["code"], error["message"], error["type"]) == (
                "model_not_found",
                f"Model {model} is temporarily unavailable",
                "new_api_error",
            )
            assert reply.headers["x-should-retry"] == "false" and "retry-after" not in reply.headers


def test_no_price_is_told_before_anything_is_sent(gateway: Gateway, vendor: Vendor) -> None:
    before = len(vendor.received)
    reply = gateway.post("/v1/chat/completions", {"model": "unpriced", "messages": []})
    assert reply.json["error"]["code"] == "model_price_error" and "unpriced" in reply.json["error"]["message"]
    assert len(vendor.received) == before


@pytest.mark.parametrize("surface", ["chat", "responses"])
def test_upstream_unreachable(gateway: Gateway, surface: str) -> None:
    path, body = SURFACES[surface]
    reply = gateway.post(path, {**body, "model": "dead"})
    assert reply.status == 502 and told(surface, reply)[0] and "x-should-retry" not in reply.headers


@BY_SURFACE
@pytest.mark.parametrize(
    "garbage",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n<html",
        b"NONSENSE\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-le",
        b'HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"id":',
    ],
)
def test_upstream_garbage(gateway: Gateway, vendor: Vendor, surface: str, garbage: bytes) -> None:
    def play(exchange: Exchange) -> None:
        exchange.raw(garbage)
        exchange.sock.shutdown(socket.SHUT_RDWR)

    vendor.script = play
    path, body = SURFACES[surface]
    reply = gateway.post(path, body)
    assert reply.status == 502 and told(surface, reply)[0]


@BY_SURFACE
@pytest.mark.parametrize("status", [401, 402, 403])
def test_the_vendors_verdict_on_our_account_is_never_the_callers(
    gateway: Gateway, vendor: Vendor, surface: str, status: int
) -> None:
    vendor.script = lambda x: x.reply(
        status, {"error": {"message": "Incorrect API key provided: vendor-secret", "type": "x", "code": "y"}}
    )
    path, body = SURFACES[surface]
    reply = gateway.post(path, body)
    message, code = told(surface, reply)
    assert reply.status == 500 and message == "model m is temporarily unavailable, please try again later"
    assert b"vendor-secret" not in reply.body and (
        surface in ("messages", "gemini") or code == "get_channel_failed"
    )


def test_out_of_quota_upstream_is_our_trouble_too(gateway: Gateway, vendor: Vendor) -> None:
    vendor.script = lambda x: x.reply(
        429,
        {
            "error": {
                "message": "You exceeded your current quota",
                "type": "insufficient_quota",
                "code": "insufficient_quota",
            }
        },
    )
    reply = gateway.post("/v1/chat/completions", {"model": "m", "messages": []})
    assert reply.status == 500 and reply.json["error"]["code"] == "get_channel_failed"


@BY_SURFACE
def test_the_vendors_verdict_on_the_request_is_relayed_word_for_word(
    gateway: Gateway, vendor: Vendor, surface: str
) -> None:
    own = b'{ "error" : {"message":"max_tokens: too large","type":"invalid_request_error","param":"max_tokens","code":null}, "n": 1.50 }'
    vendor.script = lambda x: x.reply(400, own)
    path, body = SURFACES[surface]
    reply = gateway.post(path, body)
    assert (reply.status, reply.body, reply.headers["x-should-retry"]) == (400, own, "false")


def test_rate_limits_and_overload_may_be_retried(gateway: Gateway, vendor: Vendor) -> None:
    vendor.script = lambda x: x.reply(
        429,
        {"error": {"message": "slow down", "type": "rate_limit_error", "code": "rate_limit_exceeded"}},
        {"retry-after": "7"},
    )
    reply = gateway.post("/v1/chat/completions", {"model": "m", "messages": []})
    assert (reply.status, reply.headers["retry-after"]) == (
        429,
        "7",
    ) and "x-should-retry" not in reply.headers
    vendor.script = lambda x: x.reply(
        529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    )
    reply = gateway.post("/v1/messages", {"model": "m", "max_tokens": 5, "messages": []})
    assert (
        reply.status == 529
        and "x-should-retry" not in reply.headers
        and reply.json["error"]["type"] == "overloaded_error"
    )


@pytest.mark.parametrize(
    "junk",
    [
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\nhost: x\r\nbad header line\r\n\r\n",
    ],
)
def test_malformed_http_is_answered_in_json(gateway: Gateway, junk: bytes) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as sock:
        sock.sendall(junk)
        data = b""
        while chunk := sock.recv(65536):
            data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400") and b"x-request-id: req_" in head.lower()
    assert json.loads(body)["error"]["type"] == "invalid_request_error"


def test_a_model_outside_the_keys_list_and_a_vendor_nobody_knows(gateway: Gateway) -> None:
    reply = gateway.post("/v1/chat/completions", {"model": "m", "messages": []}, {"vendor": "nobody"})
    assert reply.status == 400 and "nobody" in reply.json["error"]["message"]
    reply = gateway.post("/v1/chat/completions", {"model": "m", "messages": []}, {"specific-channel-id": "1"})
    assert reply.status == 403


def test_the_key_is_checked_before_a_byte_of_the_body_is_read(gateway: Gateway) -> None:
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY[:-1]}x\r\ncontent-type: application/json\r\ncontent-length: 50000\r\nexpect: 100-continue\r\n\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as sock:
        sock.sendall(head.encode())
        assert sock.recv(65536).startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize("value", [1, 0, "true", "yes", {}])
def test_a_stream_that_is_neither_true_nor_false_is_refused(gateway: Gateway, value: object) -> None:
    reply = gateway.post("/v1/chat/completions", {"model": "m", "messages": [], "stream": value})
    assert reply.status == 400 and "stream must be true or false" in reply.json["error"]["message"]
