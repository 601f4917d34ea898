"""Same dialect, same bytes: what nobody asked to change is never re-encoded, and no frame waits for the next."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator

import msgspec
import pytest

from tests.world import answers
from tests.world.harness import KEY, Exchange, Gateway, Vendor, channel, gateway_for


@pytest.fixture(scope="module")
def vendor() -> Iterator[Vendor]:
    vendor = Vendor(lambda x: x.reply(200, answers.CHAT))
    yield vendor
    vendor.close()


@pytest.fixture(scope="module")
def gateway(vendor: Vendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    channels = [
        channel(vendor, "openai", models=["m", "mapped"], model_map={"mapped": "vendor-name"}),
        channel(vendor, "anthropic", models=["m"]),
        channel(vendor, "gemini", models=["m"]),
    ]
    prices = [{"model": m, "input": "1", "cached_input": "0.1", "output": "10"} for m in ("m", "mapped")]
    yield from gateway_for(tmp_path_factory.mktemp("fidelity"), channels, prices=prices)


def odd_body(model: str) -> bytes:
    """77 KB with odd white space, a 23-digit integer, 1.50, escapes and unknown members."""
    turns = [
        {
            "role": "user" if i % 2 == 0 else "assistant",
            "content": "h\u00e9llo \u4e16\u754c " * 60 + "x" * 450,
        }
        for i in range(40)
    ]
    body = (
        '{ "temperature": 1.50 ,\n\t"seed":12345678901234567890123, "top_p" : 0.30000000000000004,"x_vendor" : {"b":1,\r\n"a":[1e3, 1.50, -0.0]},'
        f'"model" :  {json.dumps(model)} ,\n "messages": {json.dumps(turns, indent=1)}, "note":"\\u0041\\/\\ud83d\\ude00" }}'
    ).encode()
    assert len(body) > 77_000
    return body


@pytest.mark.parametrize("model", ["m", "mapped"])
def test_every_untouched_value_of_a_77_kb_body_arrives_byte_identical(
    gateway: Gateway, vendor: Vendor, model: str
) -> None:
    vendor.script = lambda x: x.reply(200, answers.CHAT)
    body = odd_body(model)
    assert gateway.post("/v1/chat/completions", body).status == 200
    arrived = vendor.received[-1].body
    expected = body if model == "m" else body.replace(b'"mapped"', b'"vendor-name"')
    assert arrived == expected
    decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
    before, after = decoder.decode(body), decoder.decode(arrived)
    assert {k: bytes(v) for k, v in before.items() if k != "model"} == {
        k: bytes(v) for k, v in after.items() if k != "model"
    }


def test_an_answer_comes_back_byte_identical(gateway: Gateway, vendor: Vendor) -> None:
    odd = b'{ "id":"x",\n "big":12345678901234567890123, "f":1.50,' + json.dumps(answers.CHAT)[1:].encode()
    vendor.script = lambda x: x.reply(
        200,
        odd,
        {
            "x-vendor-header": "kept",
            "set-cookie": "a=1",
            "openai-organization": "org",
            "x-request-id": "up-1",
        },
    )
    reply = gateway.post("/v1/chat/completions", {"model": "m", "messages": []})
    assert reply.body == odd
    assert reply.headers["x-vendor-header"] == "kept" and reply.headers["x-upstream-request-id"] == "up-1"
    assert "set-cookie" not in reply.headers and "openai-organization" not in reply.headers
    assert reply.headers["x-content-type-options"] == "nosniff" and reply.headers["x-request-id"].startswith(
        "req_"
    )


STREAMS = [
    ("/v1/chat/completions", {"model": "m", "messages": [], "stream": True, "stream_options": {"include_usage": True}}, [*answers.CHAT_FRAMES, answers.CHAT_USAGE, answers.DONE], "text/event-stream"),
    ("/v1/responses", {"model": "m", "input": "x", "stream": True}, answers.RESPONSE_FRAMES, "text/event-stream"),
    ("/v1/messages", {"model": "m", "max_tokens": 9, "messages": [], "stream": True}, answers.MESSAGE_FRAMES, "text/event-stream"),
    ("/v1beta/models/m:streamGenerateContent?alt=sse", {"contents": []}, answers.GEMINI_FRAMES, "text/event-stream"),
    ("/v1beta/models/m:streamGenerateContent", {"contents": []}, answers.GEMINI_ARRAY, "application/json"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "body", "frames", "content_type"),
    STREAMS,
    ids=["chat", "responses", "messages", "gemini-sse", "gemini-array"],
)
def test_a_stream_arrives_frame_by_frame_and_no_frame_waits_for_the_next(
    gateway: Gateway,
    vendor: Vendor,
    path: str,
    body: dict[str, object],
    frames: list[bytes],
    content_type: str,
) -> None:
    """The vendor sends frame n+1 only after the client has all of frame n in its hands."""
    arrived = threading.Semaphore(0)

    def play(exchange: Exchange) -> None:
        exchange.start_stream(content_type=content_type)
        for frame in frames:
            exchange.chunk(frame)
            assert arrived.acquire(timeout=20), "the client never got the frame"
        exchange.end_stream()

    vendor.script = play
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
    connection.request(
        "POST", path, json.dumps(body), {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    )
    answer = connection.getresponse()
    assert answer.status == 200
    for frame in frames:
        got = b""
        while len(got) < len(frame):
            got += answer.read1(len(frame) - len(got))
        assert got == frame
        arrived.release()
    assert answer.read() == b""
    connection.close()
    row = gateway.call_row(answer.headers["x-request-id"])
    assert (row["status"], row["quota"], row["nanos"], row["output_tokens"]) == (
        200,
        answers.QUOTA,
        answers.NANOS,
        5,
    )


@pytest.mark.parametrize("cut", [1, 7, 50])
def test_bytes_are_identical_however_the_vendor_cuts_them(gateway: Gateway, vendor: Vendor, cut: int) -> None:
    stream = b": comment\n\n" + b"".join([*answers.CHAT_FRAMES, answers.CHAT_USAGE, answers.DONE])

    def play(exchange: Exchange) -> None:
        exchange.start_stream()
        for i in range(0, len(stream), cut):
            exchange.chunk(stream[i : i + cut])
        exchange.end_stream()

    vendor.script = play
    body = {"model": "m", "messages": [], "stream": True, "stream_options": {"include_usage": True}}
    assert gateway.post("/v1/chat/completions", body).body == stream


def test_usage_is_always_asked_for_and_the_frame_left_out_when_the_client_did_not_ask(
    gateway: Gateway, vendor: Vendor
) -> None:
    def play(exchange: Exchange) -> None:
        exchange.start_stream()
        asked = (exchange.request.json.get("stream_options") or {}).get("include_usage")
        for frame in [*answers.CHAT_FRAMES, *([answers.CHAT_USAGE] if asked else []), answers.DONE]:
            exchange.chunk(frame)
        exchange.end_stream()

    vendor.script = play
    reply = gateway.post("/v1/chat/completions", {"model": "m", "messages": [], "stream": True})
    assert reply.body == b"".join([*answers.CHAT_FRAMES, answers.DONE])
    row = gateway.call_row(reply.headers["x-request-id"])
    assert (row["quota"], row["estimated"]) == (answers.QUOTA, 0)


def test_credentials_stay_and_unknown_members_and_headers_go_up(gateway: Gateway, vendor: Vendor) -> None:
    vendor.script = lambda x: x.reply(200, answers.MESSAGE)
    headers = {
        "x-api-key": KEY,
        "cookie": "c=1",
        "anthropic-beta": "prompt-caching-2024-07-31,unknown-1",
        "x-unknown": "kept",
        "x-forwarded-for": "1.2.3.4",
        "vendor": "anthropic",
    }
    body = {
        "model": "m",
        "max_tokens": 9,
        "messages": [
            {
                "role": "user",
                "content": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}],
            }
        ],
        "x_new": {"a": 1},
    }
    assert gateway.post("/v1/messages?beta=true&key=" + KEY, body, headers).status == 200
    got = vendor.received[-1]
    assert got.target == "/v1/messages?beta=true" and got.json == body
    assert (
        got.header("x-api-key") == "vendor-secret"
        and got.header("anthropic-beta") == headers["anthropic-beta"]
    )
    assert got.header("x-unknown") == "kept" and got.header("anthropic-version") == "2023-06-01"
    assert got.header("accept-encoding") == "identity"
    sent = json.dumps([got.headers, got.target]) + got.body.decode()
    assert KEY not in sent and "c=1" not in sent and "1.2.3.4" not in sent and got.header("vendor") is None


def test_a_mapped_model_is_named_in_the_answer_as_the_client_knows_it(
    gateway: Gateway, vendor: Vendor
) -> None:
    vendor.script = lambda x: x.reply(200, {**answers.CHAT, "model": "vendor-name"})
    reply = gateway.post("/v1/chat/completions", {"model": "mapped", "messages": []})
    assert vendor.received[-1].json["model"] == "vendor-name" and reply.json["model"] == "mapped"
