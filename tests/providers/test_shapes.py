"""Azure, Vertex, Bedrock and Spark: the requests that a record alone cannot describe."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

import msgspec
import pytest

from dragoman.core.faults import Fault
from dragoman.core.framing import EventStreamDecoder, Message, sse_data, sse_event
from dragoman.providers.auth import Secret
from dragoman.providers.base import Endpoint, WireRequest, prepare
from dragoman.providers.catalog import PROVIDERS
from dragoman.providers.shapes import bedrock_frames

KEY = Secret("KEY")
ACCOUNT = '{"client_email":"a@b","private_key":"PRIVATE","project_id":"own-project"}'


def build(
    provider: str,
    op: str,
    *,
    base_url: str = "",
    options: dict[str, str] | None = None,
    secret: Secret = KEY,
    **changes: Any,
) -> WireRequest:
    endpoint = Endpoint(provider=PROVIDERS[provider], base_url=base_url, options=options or {})
    arguments: dict[str, Any] = {
        "model": "M",
        "public_model": "asked",
        "stream": False,
        "headers": [],
        "body": b'{"model":"asked","n": 1.50}',
        "secret": secret,
        "now": 1_440_938_160.0,
    }
    return prepare(endpoint, op, **(arguments | changes))


# --- Azure ---

AZURE = "https://r.openai.azure.com"
CHAT = "/openai/deployments/M/chat/completions"


@pytest.mark.parametrize(
    ("op", "base_url", "options", "query", "target"),
    [
        ("chat", AZURE, {}, "", CHAT + "?api-version=2024-10-21"),
        ("chat", AZURE + "/openai", {}, "", CHAT + "?api-version=2024-10-21"),
        ("chat", AZURE, {"api_version": "2025-04-01-preview"}, "", CHAT + "?api-version=2025-04-01-preview"),
        ("chat", AZURE, {}, "api-version=1999-01-01&a=b", CHAT + "?api-version=2024-10-21&a=b"),
        ("chat", AZURE + "?api-version=2025-01-01&t=1", {}, "x=2", CHAT + "?api-version=2025-01-01&t=1&x=2"),
        ("embeddings", AZURE, {}, "", "/openai/deployments/M/embeddings?api-version=2024-10-21"),
        ("chat", AZURE, {"api_version": "v1"}, "", "/openai/v1/chat/completions"),
        ("chat", AZURE, {"api_version": "v1"}, "api-version=2024-10-21", "/openai/v1/chat/completions"),
        ("chat", AZURE + "/openai/v1", {"api_version": "v1"}, "", "/openai/v1/chat/completions"),
        ("chat", AZURE, {"api_version": "preview"}, "", "/openai/v1/chat/completions?api-version=preview"),
        ("responses", AZURE, {}, "", "/openai/v1/responses"),
        ("responses", AZURE + "?api-version=2025-01-01", {}, "", "/openai/v1/responses"),
        ("responses", AZURE, {"api_version": "preview"}, "", "/openai/v1/responses?api-version=preview"),
        ("messages", "https://r.services.ai.azure.com", {}, "beta=true", "/anthropic/v1/messages?beta=true"),
        ("messages", "https://r.services.ai.azure.com/anthropic", {"api_version": "preview"}, "", "/anthropic/v1/messages"),
    ],
)  # fmt: skip
def test_azure_paths(op: str, base_url: str, options: dict[str, str], query: str, target: str) -> None:
    wire = build("azure-openai", op, base_url=base_url, options=options, query=query)
    assert wire.target == target
    assert wire.body == b'{"model":"M","n": 1.50}'


def test_azure_host_from_the_resource_and_token_of_entra() -> None:
    wire = build("azure-openai", "chat", options={"resource": "mine", "auth": "bearer"})
    assert wire.origin == "https://mine.openai.azure.com"
    assert dict(wire.headers)[b"authorization"] == b"Bearer KEY"
    assert b"api-key" not in dict(wire.headers)


# --- Vertex ---


@pytest.mark.parametrize(
    ("location", "origin"),
    [
        ("global", "https://aiplatform.googleapis.com"),
        ("us-central1", "https://us-central1-aiplatform.googleapis.com"),
        ("eu", "https://aiplatform.eu.rep.googleapis.com"),
        ("us", "https://aiplatform.us.rep.googleapis.com"),
    ],
)
def test_vertex_hosts(location: str, origin: str) -> None:
    wire = build(
        "vertex", "gemini_stream", options={"location": location}, secret=Secret(ACCOUNT, "TOKEN"),
        stream=True, query="alt=sse", body=b'{"contents":[]}',
    )  # fmt: skip
    path = f"/v1/projects/own-project/locations/{location}/publishers/google/models/M:streamGenerateContent"
    assert (wire.origin, wire.target) == (origin, path + "?alt=sse")
    assert dict(wire.headers)[b"authorization"] == b"Bearer TOKEN"
    assert wire.body == b'{"contents":[]}'


def test_vertex_project_option_wins_and_own_base_url_stays() -> None:
    wire = build(
        "vertex", "gemini_generate", base_url="https://proxy.example/vertex/v1",
        options={"project": "p2", "location": "us-east5"},
        secret=Secret(ACCOUNT, "TOKEN"), body=b"{}",
    )  # fmt: skip
    assert wire.origin == "https://proxy.example"
    assert (
        wire.target == "/vertex/v1/projects/p2/locations/us-east5/publishers/google/models/M:generateContent"
    )


def test_vertex_express_mode() -> None:
    wire = build(
        "vertex", "gemini_generate", options={"location": "us-east5"}, secret=Secret("AIza"), body=b"{}"
    )
    assert wire.origin + wire.target == (
        "https://aiplatform.googleapis.com/v1/publishers/google/models/M:generateContent"
    )
    assert dict(wire.headers)[b"x-goog-api-key"] == b"AIza"


def test_vertex_unexchanged_account_is_never_sent() -> None:
    with pytest.raises(Fault) as caught:
        build("vertex", "gemini_generate", secret=Secret(ACCOUNT), body=b"{}")
    assert caught.value.owner == "gateway"
    assert "PRIVATE" not in caught.value.message


def test_vertex_refuses_a_location_that_is_no_host_name() -> None:
    with pytest.raises(Fault, match="location"):
        build("vertex", "gemini_generate", options={"location": "evil.example/", "project": "p"}, body=b"{}")


@pytest.mark.parametrize(("stream", "verb"), [(False, "rawPredict"), (True, "streamRawPredict")])
def test_vertex_claude(stream: bool, verb: str) -> None:
    wire = build(
        "vertex", "messages", model="claude-opus-4-6@20260101", options={"location": "us-east5"},
        secret=Secret(ACCOUNT, "TOKEN"), stream=stream, query="beta=true",
        headers=[(b"anthropic-version", b"2026-10-21"), (b"anthropic-beta", b"x-1")],
        body=b'{"model":"asked","stream":true,"n": 1.50}',
    )  # fmt: skip
    assert wire.target == (
        f"/v1/projects/own-project/locations/us-east5/publishers/anthropic/models/claude-opus-4-6@20260101:{verb}"
    )
    assert wire.body == b'{"anthropic_version":"vertex-2023-10-16","stream":true,"n": 1.50}'
    assert dict(wire.headers)[b"anthropic-beta"] == b"x-1"
    assert b"anthropic-version" not in dict(wire.headers)


def test_vertex_claude_keeps_a_version_that_is_there_and_counts_with_the_model() -> None:
    body = b'{"anthropic_version":"v9","model":"asked"}'
    wire = build("vertex", "messages", options={"project": "p"}, body=body)
    assert wire.body == b'{"anthropic_version":"v9"}'
    wire = build("vertex", "count_tokens", options={"project": "p"}, body=body)
    assert wire.body == b'{"anthropic_version":"v9","model":"M"}'
    assert wire.target.endswith("/publishers/anthropic/models/count-tokens:rawPredict")


# --- Bedrock ---


def test_bedrock_invoke_with_a_signature() -> None:
    """The signature was computed with botocore 1.44 for the same request (ARN, session token)."""
    wire = build(
        "bedrock", "messages", model="arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-v2:0",
        options={"region": "eu-west-1"}, secret=Secret("AK|SK|SESS+/="), stream=True, query="beta=true",
        body=b'{"model":"c","stream":true}',
    )  # fmt: skip
    assert wire.origin == "https://bedrock-runtime.eu-west-1.amazonaws.com"
    assert wire.target == (
        "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Ainference-profile%2Feu.anthropic.claude-v2%3A0"
        "/invoke-with-response-stream"
    )
    assert wire.body == b'{"anthropic_version":"bedrock-2023-05-31"}'
    headers = dict(wire.headers)
    assert headers[b"x-amz-security-token"] == b"SESS+/="
    assert headers[b"accept"] == b"application/vnd.amazon.eventstream"
    assert headers[b"authorization"].endswith(b"2cd3c3a43ad6eb198e092de928b743")
    assert b"SignedHeaders=content-type;host;x-amz-date;x-amz-security-token," in headers[b"authorization"]


def test_bedrock_betas_move_into_the_body() -> None:
    wire = build(
        "bedrock", "messages", headers=[(b"anthropic-beta", b"a-1, b-2"), (b"Anthropic-Beta", b"c-3"), (b"accept", b"*/*")]
    )  # fmt: skip
    assert msgspec.json.decode(wire.body) == {
        "anthropic_version": "bedrock-2023-05-31",
        "anthropic_beta": ["a-1", "b-2", "c-3"],
        "n": 1.5,
    }
    assert b'"n": 1.50}' in wire.body
    assert not any(b"anthropic" in name.lower() for name, _ in wire.headers)
    assert dict(wire.headers)[b"accept"] == b"application/json"


def test_bedrock_keeps_what_the_body_says() -> None:
    body = b'{"anthropic_version":"v9","anthropic_beta":["z"],"model":"asked","stream":false}'
    wire = build("bedrock", "messages", headers=[(b"anthropic-beta", b"a")], body=body)
    assert wire.body == b'{"anthropic_version":"v9","anthropic_beta":["z"]}'


def test_bedrock_api_key_and_region_of_the_base_url() -> None:
    wire = build("bedrock", "messages", secret=Secret("ABSKkey"))
    assert dict(wire.headers)[b"authorization"] == b"Bearer ABSKkey"
    assert b"x-amz-date" not in dict(wire.headers)
    wire = build(
        "bedrock",
        "messages",
        base_url="https://bedrock-runtime.ap-south-1.amazonaws.com",
        secret=Secret("A|S"),
    )
    assert b"/ap-south-1/bedrock/aws4_request" in dict(wire.headers)[b"authorization"]


def chunk(payload: bytes) -> Message:
    body = msgspec.json.encode({"bytes": base64.b64encode(payload).decode(), "p": "abcdefgh"})
    return Message(
        {":message-type": "event", ":event-type": "chunk", ":content-type": "application/json"}, body
    )


def test_bedrock_chunks_become_sse_frames_with_the_payload_verbatim() -> None:
    payload = b'{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":9, "x": 1.50}}'
    assert bedrock_frames(chunk(payload)) == b"event: message_stop\ndata: " + payload + b"\n\n"


def test_bedrock_payload_with_line_breaks_stays_one_event() -> None:
    frame = bedrock_frames(chunk(b'{"type":"ping",\r\n"a":1}'))
    assert frame == b'event: ping\ndata: {"type":"ping",\ndata: "a":1}\n\n'
    assert sse_event(frame) == b"ping"
    assert msgspec.json.decode(sse_data(frame)) == {"type": "ping", "a": 1}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("throttlingException", "rate_limit_error"),
        ("validationException", "invalid_request_error"),
        ("modelStreamErrorException", "api_error"),
        ("serviceUnavailableException", "overloaded_error"),
    ],
)
def test_bedrock_exceptions_become_error_frames(name: str, kind: str) -> None:
    frame = bedrock_frames(
        Message({":message-type": "exception", ":exception-type": name}, b'{"message":"slow down"}')
    )
    assert sse_event(frame) == b"error"
    assert msgspec.json.decode(sse_data(frame)) == {
        "type": "error",
        "error": {"type": kind, "message": "slow down"},
    }


def test_bedrock_odd_messages() -> None:
    error = Message({":message-type": "error", ":error-code": "500", ":error-message": "broken"}, b"")
    assert b'"message":"broken"' in bedrock_frames(error)
    bare = Message({":message-type": "exception", ":exception-type": "internalServerException"}, b"not json")
    assert b"internalServerException" in bedrock_frames(bare)
    assert (
        bedrock_frames(Message({":message-type": "event", ":event-type": "initial-response"}, b"{}")) == b""
    )
    assert bedrock_frames(Message({":message-type": "event", ":event-type": "chunk"}, b"{}")) == b""
    for payload in (b"not json", b'{"bytes":"***"}', b'{"bytes":"bm90IGpzb24="}'):
        assert b"event: error" in bedrock_frames(
            Message({":message-type": "event", ":event-type": "chunk"}, payload)
        )


def encode(message: Message) -> bytes:
    """An event-stream message as AWS frames it: prelude, its CRC, string headers, payload, CRC."""
    headers = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        for name, value in message.headers.items()
    )
    prelude = struct.pack(">II", 16 + len(headers) + len(message.payload), len(headers))
    framed = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + message.payload
    return framed + struct.pack(">I", zlib.crc32(framed))


def test_bedrock_stream_end_to_end_at_any_cut() -> None:
    events = [
        b'{"type":"message_start","m":1}',
        b'{"type":"content_block_delta","d":"\xc3\xa9"}',
        b'{"type":"message_stop"}',
    ]
    wire = b"".join(encode(chunk(event)) for event in events)
    expected = b"".join(bedrock_frames(chunk(event)) for event in events)
    for size in (1, 7, len(wire)):
        decoder = EventStreamDecoder()
        out = b"".join(
            bedrock_frames(message)
            for start in range(0, len(wire), size)
            for message in decoder.feed(wire[start : start + size])
        )
        assert out == expected


# --- Spark ---


@pytest.mark.parametrize(
    ("model", "path"), [("x1", "/v2"), ("spark-x", "/v2"), ("4.0Ultra", "/v1"), ("lite", "/v1")]
)
def test_spark_versions(model: str, path: str) -> None:
    assert build("xunfei", "chat", model=model).target == f"{path}/chat/completions"
