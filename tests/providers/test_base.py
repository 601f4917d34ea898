"""Endpoints and ``prepare``: base URLs, headers, queries, bodies."""

from __future__ import annotations

from typing import Any

import pytest

from dragoman.core.faults import Fault
from dragoman.providers.auth import Secret
from dragoman.providers.base import Endpoint, WireRequest, prepare
from dragoman.providers.catalog import PROVIDERS

BODY = b'{"model":"asked" , "big": 12345678901234567890123,\n\t"price": 1.50}'


def build(provider: str, op: str, *, base_url: str = "", **changes: Any) -> WireRequest:
    fields = {
        name: changes.pop(name) for name in ("headers_own", "drop_params", "options") if name in changes
    }
    endpoint = Endpoint(
        provider=PROVIDERS[provider],
        base_url=base_url,
        headers=fields.get("headers_own", ()),
        drop_params=fields.get("drop_params", ()),
        options=fields.get("options", {}),
    )
    arguments: dict[str, Any] = {
        "model": "up",
        "public_model": "asked",
        "stream": False,
        "headers": [],
        "body": BODY,
        "secret": Secret("KEY"),
        "now": 0.0,
    }
    return prepare(endpoint, op, **(arguments | changes))


@pytest.mark.parametrize(
    ("provider", "op", "base_url", "url"),
    [
        ("openai", "chat", "https://proxy.example", "https://proxy.example/v1/chat/completions"),
        ("openai", "chat", "https://proxy.example/v1", "https://proxy.example/v1/chat/completions"),
        ("openai", "chat", "https://proxy.example/v1/", "https://proxy.example/v1/chat/completions"),
        ("openai", "chat", "https://proxy.example/a/b/v1", "https://proxy.example/a/b/v1/chat/completions"),
        ("openai", "chat", "https://proxy.example/a/b", "https://proxy.example/a/b/v1/chat/completions"),
        ("openai", "responses", "https://p.example/v1/chat/completions", "https://p.example/v1/responses"),
        ("openai", "chat", "https://proxy.example:443", "https://proxy.example/v1/chat/completions"),
        ("openai", "chat", "http://proxy.example:80", "http://proxy.example/v1/chat/completions"),
        ("openai", "chat", "http://127.0.0.1:8080/v1", "http://127.0.0.1:8080/v1/chat/completions"),
        ("openai", "chat", "http://[::1]:8080", "http://[::1]:8080/v1/chat/completions"),
        (
            "gemini",
            "gemini_generate",
            "https://p.example/v1beta",
            "https://p.example/v1beta/models/up:generateContent",
        ),
        (
            "gemini",
            "gemini_generate",
            "https://p.example/v1",
            "https://p.example/v1beta/models/up:generateContent",
        ),
        (
            "gemini",
            "gemini_generate",
            "https://p.example/x",
            "https://p.example/x/v1beta/models/up:generateContent",
        ),
        ("zhipu", "chat", "https://api.z.ai", "https://api.z.ai/api/paas/v4/chat/completions"),
        ("zhipu", "chat", "https://api.z.ai/api/paas/v4", "https://api.z.ai/api/paas/v4/chat/completions"),
        ("zhipu", "messages", "https://api.z.ai/api/paas/v4", "https://api.z.ai/api/anthropic/v1/messages"),
        ("zhipu", "chat", "https://api.z.ai/api/anthropic", "https://api.z.ai/api/paas/v4/chat/completions"),
        (
            "deepseek",
            "messages",
            "https://api.deepseek.com/v1",
            "https://api.deepseek.com/anthropic/v1/messages",
        ),
        (
            "deepseek",
            "chat",
            "https://api.deepseek.com/anthropic",
            "https://api.deepseek.com/chat/completions",
        ),
        ("groq", "chat", "https://api.groq.com/openai/v1", "https://api.groq.com/openai/v1/chat/completions"),
        (
            "groq",
            "chat",
            "https://mirror.example/openai",
            "https://mirror.example/openai/v1/chat/completions",
        ),
        ("perplexity", "chat", "https://api.perplexity.ai", "https://api.perplexity.ai/chat/completions"),
        ("perplexity", "responses", "https://api.perplexity.ai/v1", "https://api.perplexity.ai/v1/responses"),
        # A version that the generic provider cannot know stands for the path's own.
        (
            "openai-compatible",
            "chat",
            "https://x.example/api/v3",
            "https://x.example/api/v3/chat/completions",
        ),
        (
            "openai-compatible",
            "chat",
            "https://x.example/api/v3/v1",
            "https://x.example/api/v3/chat/completions",
        ),
        (
            "anthropic-compatible",
            "messages",
            "https://x.example/anthropic",
            "https://x.example/anthropic/v1/messages",
        ),
        (
            "anthropic-compatible",
            "messages",
            "https://x.example/anthropic/v1",
            "https://x.example/anthropic/v1/messages",
        ),
    ],
)
def test_base_urls_as_operators_paste_them(provider: str, op: str, base_url: str, url: str) -> None:
    body = b"{}" if op.startswith("gemini") else BODY
    wire = build(provider, op, base_url=base_url, body=body)
    assert wire.origin + wire.target == url
    assert dict(wire.headers)[b"host"].decode() == wire.origin.partition("://")[2]


@pytest.mark.parametrize(
    ("provider", "base_url", "options", "word"),
    [
        ("openai", "ftp://x", {}, "not an http"),
        ("openai", "api.openai.com", {}, "not an http"),
        ("openai", "https://", {}, "not an http"),
        ("openai", "https://a b", {}, "not an http"),
        ("openai", "https://x:99999", {}, "port"),
        ("openai", "https://user:secret@x", {}, "credentials belong into keys"),
        ("openai-compatible", "", {}, "needs one"),
        ("azure-openai", "", {}, "resource"),
        ("openai", "", {"auth": "telepathy"}, "options.auth"),
    ],
)
def test_endpoints_that_cannot_work_say_which_field(
    provider: str, base_url: str, options: dict[str, str], word: str
) -> None:
    with pytest.raises(ValueError, match=word) as caught:
        Endpoint(provider=PROVIDERS[provider], base_url=base_url, options=options)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "header",
    [
        ("x-a", "b\r\nx-evil: 1"),
        ("x-a", "b\nc"),
        ("x a", "b"),
        ("x\r\ny", "b"),
        ("", "b"),
        ("content-length", "3"),
        ("x", "b\x00"),
    ],
)
def test_operator_headers_that_would_break_the_request_are_refused(header: tuple[str, str]) -> None:
    with pytest.raises(ValueError):
        Endpoint(provider=PROVIDERS["openai"], headers=(header,))


def test_untouched_values_keep_their_bytes() -> None:
    wire = build("openai", "chat")
    assert wire.body == BODY.replace(b'"asked"', b'"up"')


def test_a_body_that_needs_no_edit_is_unchanged() -> None:
    assert build("openai", "chat", model="asked").body == BODY


def test_a_second_model_member_cannot_be_smuggled_past_the_gateway() -> None:
    for body in (b'{"model":"cheap","model":"dear"}', b'{"model":"cheap","mod\\u0065l":"dear"}'):
        sent = build("openai", "chat", model="cheap", body=body).body
        assert b"dear" not in sent
        assert sent.count(b'"cheap"') == 1


def test_drop_params_never_drops_the_model() -> None:
    wire = build("openai", "chat", drop_params=("big", "model", "absent"))
    assert wire.body == b'{"model":"up",\n\t"price": 1.50}'


def test_what_is_not_a_json_object_is_the_clients_fault() -> None:
    for body in (b"[]", b"{", b"nonsense"):
        with pytest.raises(Fault) as caught:
            build("openai", "chat", body=body)
        assert (caught.value.status, caught.value.owner) == (400, "client")


@pytest.mark.parametrize("model", ["", ".", "..", "..."])
def test_a_model_that_no_path_can_hold(model: str) -> None:
    with pytest.raises(Fault) as caught:
        build("gemini", "gemini_generate", model=model, body=b"{}")
    assert caught.value.status == 400


def test_path_fields_are_one_segment_each() -> None:
    wire = build("gemini", "gemini_generate", model="a/../b?c#d e", body=b"{}")
    assert wire.target == "/v1beta/models/a%2F..%2Fb%3Fc%23d%20e:generateContent"
    wire = build("openai", "responses_get", resource_id="resp/../../x", body=b"")
    assert wire.target == "/v1/responses/resp%2F..%2F..%2Fx"


def test_queries_pass_through() -> None:
    for query in ("alt=sse", "$alt=json;enum-encoding=int", "%24alt=json%3Benum-encoding%3Dint", "a=1&a=2"):
        wire = build("gemini", "gemini_stream", query=query, body=b"{}")
        assert wire.target.partition("?")[2] == query
    assert build("anthropic", "messages", query="beta=true").target == "/v1/messages?beta=true"


def test_the_operators_query_wins_over_the_clients() -> None:
    wire = build("openai", "chat", base_url="https://x.example/v1?tenant=7", query="tenant=8&z=1")
    assert wire.target == "/v1/chat/completions?tenant=7&z=1"


def test_a_query_cannot_break_the_request_line() -> None:
    wire = build("openai", "chat", query='a=b c\r\nx: y"#<é')
    assert wire.target == "/v1/chat/completions?a=b%20c%0D%0Ax:%20y%22%23<%C3%A9"


def test_client_headers_pass_but_for_those_that_are_ours() -> None:
    sent = [
        (b"User-Agent", b"sdk/1"),
        (b"anthropic-beta", b"a,b"),
        (b"x-stainless-lang", b"python"),
        (b"Host", b"gateway.example"),
        (b"Content-Length", b"9"),
        (b"Accept-Encoding", b"gzip"),
        (b"Authorization", b"Bearer sk-client"),
        (b"x-api-key", b"sk-client"),
        (b"X-Goog-Api-Key", b"sk-client"),
        (b"api-key", b"sk-client"),
        (b"Cookie", b"a=b"),
        (b"Content-Encoding", b"gzip"),
    ]
    wire = build("openai", "chat", headers=sent)
    assert wire.headers == [
        (b"host", b"api.openai.com"),
        (b"User-Agent", b"sdk/1"),
        (b"anthropic-beta", b"a,b"),
        (b"x-stainless-lang", b"python"),
        (b"content-type", b"application/json"),
        (b"accept-encoding", b"identity"),
        (b"content-length", str(len(wire.body)).encode()),
        (b"authorization", b"Bearer KEY"),
    ]
    assert sent[0] == (b"User-Agent", b"sdk/1"), (
        "the caller's list is not changed: another attempt will use it"
    )
    assert len(sent) == 12


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (b"application/json; charset=utf-8", b"application/json; charset=utf-8"),
        (b"application/vnd.api+json", b"application/vnd.api+json"),
        (b"application/x-www-form-urlencoded", b"application/json"),
        (b"text/plain", b"application/json"),
    ],
)
def test_content_type(given: bytes, sent: bytes) -> None:
    wire = build("openai", "chat", headers=[(b"Content-Type", given)])
    assert [value for name, value in wire.headers if name.lower() == b"content-type"] == [sent]


def test_the_clients_anthropic_version_passes() -> None:
    wire = build("anthropic", "messages", headers=[(b"anthropic-version", b"2026-10-21")])
    assert [value for name, value in wire.headers if name == b"anthropic-version"] == [b"2026-10-21"]


def test_operator_headers_override_all_others() -> None:
    wire = build(
        "openai",
        "chat",
        headers=[(b"User-Agent", b"sdk/1")],
        headers_own=(("User-Agent", "gateway"), ("Authorization", "Custom abc"), ("X-Title", "caf\u00e9")),
    )
    headers = dict(wire.headers)
    assert headers[b"user-agent"] == b"gateway"
    assert headers[b"authorization"] == b"Custom abc"
    assert headers[b"x-title"] == b"caf\xe9"
    assert b"User-Agent" not in headers


@pytest.mark.parametrize(
    ("choice", "header"),
    [("none", None), ("bearer", b"authorization"), ("x-api-key", b"x-api-key"), ("api-key", b"api-key")],
)
def test_the_operator_may_choose_how_the_credential_is_presented(choice: str, header: bytes | None) -> None:
    wire = build("anthropic-compatible", "messages", base_url="http://x", options={"auth": choice})
    assert [name for name, value in wire.headers if b"KEY" in value] == ([header] if header else [])


def test_no_credential_no_header() -> None:
    wire = build("ollama", "chat", secret=Secret(""))
    assert b"authorization" not in dict(wire.headers)


def test_a_credential_with_a_line_break_is_the_channels_fault_and_is_not_shown() -> None:
    with pytest.raises(Fault) as caught:
        build("openai", "chat", secret=Secret("sk-secret\r\nx-evil: 1"))
    assert (caught.value.code, caught.value.owner) == ("get_channel_failed", "gateway")
    assert "secret" not in caught.value.message


def test_stream_usage_is_asked_for_where_the_vendor_must_be_asked() -> None:
    ask = {"stream": True, "ask_stream_usage": True, "body": b'{"model":"asked"}'}
    assert b'"include_usage":true' in build("openai", "chat", **ask).body
    assert b'"include_usage":true' in build("vllm", "completions", **ask).body
    assert b"include_usage" not in build("mistral", "chat", **ask).body
    assert b"include_usage" not in build("openai", "chat", **(ask | {"stream": False})).body
    assert b"include_usage" not in build("openai", "responses", **ask).body


def test_reprs_hold_no_secret() -> None:
    endpoint = Endpoint(provider=PROVIDERS["openai"], headers=(("x-key", "TOPSECRET"),))
    wire = build("openai", "chat", secret=Secret("TOPSECRET"), query="key=TOPSECRET")
    assert "TOPSECRET" not in repr((endpoint, wire, Secret("TOPSECRET")))


def test_quirks_see_the_public_name_too() -> None:
    """An Azure deployment is called anything; the model that the client asked for tells the family."""
    wire = build(
        "azure-openai", "chat", base_url="https://r.openai.azure.com", model="prod-1", public_model="gpt-5.4",
        body=b'{"model":"gpt-5.4","max_tokens":7}',
    )  # fmt: skip
    assert wire.body == b'{"model":"prod-1","max_completion_tokens":7}'
