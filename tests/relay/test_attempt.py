"""The attempts against a scripted client."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any, cast, get_args

import pytest

from dragoman.core.faults import Fault
from dragoman.providers.catalog import PROVIDERS
from dragoman.relay.attempt import ERROR_BODY_BYTES, Answer, Refusal, attempt_all
from dragoman.relay.lanes import Beginning
from dragoman.routing.plan import Call, Candidate
from dragoman.upstream.client import ErrorKind, Timeouts, UpstreamError
from tests.relay.scripted import (
    NOW,
    Headers,
    Scripted,
    ScriptedClient,
    ScriptedCredentials,
    call,
    candidate,
    gateway,
    limits,
)

BODY = b'{"model": "m","messages":[],  "x":1.0}'
THREE = (candidate(1), candidate(2), candidate(3))


def error(status: int, body: bytes = b'{"error":{"message":"no"}}', **fields: Any) -> Scripted:
    return Scripted(status, [body], **fields)


def run(
    *script: Scripted | BaseException,
    candidates: tuple[Candidate, ...] = THREE,
    body: bytes = BODY,
    asked: Call | None = None,
    **ports: Any,
) -> tuple[Answer | Refusal, ScriptedClient]:
    client = ScriptedClient(*script)
    result = asyncio.run(attempt_all(gateway(client, **ports), asked or call(), body, candidates))
    return result, client


def refused(*script: Scripted | BaseException, **fields: Any) -> Refusal:
    result, _ = run(*script, **fields)
    assert isinstance(result, Refusal)
    return result


def ended(result: Answer | Refusal) -> list[tuple[int, int, str]]:
    return [(a.channel_id, a.status, a.ended) for a in result.attempts]


# --- what is sent -----------------------------------------------------------------------------------------


def test_the_first_good_answer_is_handed_on_open_with_its_beginning() -> None:
    good = Scripted(200, [b'{"choices":[]}'], [(b"x-request-id", b"up-1")])
    result, client = run(good)
    assert isinstance(result, Answer)
    assert cast(Any, result.response) is good and result.candidate == THREE[0]
    assert good.closed == 0 and result.opening == Beginning(b'{"choices":[]}', stream=False)
    assert ended(result) == [(1, 200, "answered")]
    assert result.attempts[0].upstream_request_id == "up-1"
    assert len(client.sent) == 1


def test_the_request_is_made_of_the_call_and_the_candidate() -> None:
    mapped = candidate(
        1,
        credential=1,
        credentials=("first", "second"),
        model_map={"m": "vendor-m"},
        proxy="http://proxy:8080",
    )
    asked = call(query="beta=1", headers=[(b"x-client", b"kept")])
    wanted = Timeouts(connect_s=1.5)
    _, client = run(Scripted(), candidates=(mapped,), asked=asked, limits=limits(timeouts=wanted))
    sent = client.sent[0]
    assert (str(sent.origin), sent.origin.proxy) == ("https://acme.example", "http://proxy:8080")
    assert (sent.method, sent.target) == (b"POST", b"/v1/chat/completions?beta=1")
    assert sent.headers[b"authorization"] == b"Bearer second"
    assert sent.headers[b"x-client"] == b"kept"
    assert sent.body == BODY.replace(b'"m"', b'"vendor-m"')
    assert sent.timeouts == wanted


def test_a_channel_without_credentials_is_called_without_any() -> None:
    _, client = run(Scripted(), candidates=(candidate(1, credentials=()),))
    assert client.sent[0].headers.get(b"authorization", b"Bearer").strip() == b"Bearer"


@pytest.mark.parametrize("include_usage", [True, False])
def test_a_chat_stream_is_asked_for_usage_unless_the_client_did(include_usage: bool) -> None:
    asked = call(stream=True, include_usage=include_usage)
    _, client = run(Scripted(), body=b'{"model":"m","stream":true}', asked=asked)
    options = json.loads(client.sent[0].body).get("stream_options")
    assert options == (None if include_usage else {"include_usage": True})


def test_each_candidate_gets_its_own_credential_and_the_same_body() -> None:
    _, client = run(error(500), error(500), Scripted())
    assert [s.headers[b"authorization"] for s in client.sent] == [
        b"Bearer key1",
        b"Bearer key2",
        b"Bearer key3",
    ]
    assert {s.body for s in client.sent} == {BODY}


# --- moving on --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 402, 403, 429, 500, 502, 503, 504, 529])
def test_trouble_of_the_channel_moves_on(status: int) -> None:
    bad, good = error(status), Scripted()
    result, client = run(bad, good)
    assert isinstance(result, Answer) and result.candidate == THREE[1]
    assert ended(result) == [(1, status, f"status {status}"), (2, 200, "answered")]
    assert bad.closed == 1 and good.closed == 0
    assert len(client.sent) == 2


@pytest.mark.parametrize("kind", get_args(ErrorKind))
def test_a_broken_connection_moves_on(kind: ErrorKind) -> None:
    result, _ = run(UpstreamError(kind, "boom", sent=True), Scripted())
    assert isinstance(result, Answer)
    assert ended(result) == [(1, 0, kind), (2, 200, "answered")]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b'{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low"}}'),
        (404, b'{"error":{"message":"x","code":"insufficient_quota"}}'),
        (429, b'{"error":{"message":"You exceeded your current quota","type":"insufficient_quota"}}'),
    ],
)  # fmt: skip
def test_a_channel_without_money_moves_on_and_is_never_the_callers_fault(status: int, body: bytes) -> None:
    result, _ = run(error(status, body), Scripted())
    assert isinstance(result, Answer)
    last = refused(error(status, body), candidates=THREE[:1])
    assert (last.fault.status, last.fault.code, last.body) == (500, "get_channel_failed", b"")
    assert last.headers == ()


def test_a_credential_that_cannot_be_exchanged_moves_on_without_a_request() -> None:
    broken = Fault(500, "get_channel_failed", "token endpoint says no", owner="upstream")
    result, client = run(Scripted(), credentials=ScriptedCredentials(key1=broken))
    assert isinstance(result, Answer) and len(client.sent) == 1
    assert ended(result) == [(1, 0, "get_channel_failed"), (2, 200, "answered")]
    last = refused(candidates=THREE[:1], credentials=ScriptedCredentials(key1=broken))
    assert last.fault.code == "get_channel_failed"
    assert "token endpoint" not in last.fault.message


def test_a_misconfigured_channel_moves_on_without_a_request() -> None:
    bad = candidate(1, credentials=("line\nbreak",))
    result, client = run(Scripted(), candidates=(bad, THREE[1]))
    assert isinstance(result, Answer) and result.candidate == THREE[1]
    assert len(client.sent) == 1


# --- ending -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 404, 405, 408, 409, 413, 415, 422, 451])
def test_a_verdict_on_the_request_is_final(status: int) -> None:
    body = b'{"error":{"message":"bad","type":"some_type","code":"some_code"}}'
    bad = error(status, body)
    result, client = run(bad, Scripted())
    assert isinstance(result, Refusal)
    assert len(client.sent) == 1 and bad.closed == 1
    fault = result.fault
    assert (fault.status, fault.code, fault.type, fault.message, fault.owner) == (
        status, "some_code", "some_type", "bad", "client",
    )  # fmt: skip
    assert result.body == body
    assert ended(result) == [(1, status, f"status {status}")]


def test_attempts_are_limited() -> None:
    result, client = run(error(500), error(500), Scripted(), limits=limits(attempts=2))
    assert isinstance(result, Refusal)
    assert len(client.sent) == 2
    assert [a.channel_id for a in result.attempts] == [1, 2]


def test_without_candidates_nothing_is_sent() -> None:
    last = refused(candidates=())
    assert (last.fault.status, last.fault.code, last.attempts) == (500, "get_channel_failed", ())


@pytest.mark.parametrize(
    ("script", "status", "code", "owner"),
    [
        ([error(429), error(500)], 500, "upstream_error", "upstream"),
        ([error(500), error(429)], 429, "rate_limit_exceeded", "upstream"),
        ([error(429), error(401)], 500, "get_channel_failed", "upstream"),
        ([error(401), error(503)], 503, "upstream_error", "upstream"),
        ([error(500), UpstreamError("refused", "x")], 502, "upstream_unreachable", "upstream"),
        ([UpstreamError("refused", "x"), error(529)], 529, "upstream_error", "upstream"),
        ([error(503), error(422)], 422, "upstream_error", "client"),
        ([error(500), error(418)], 502, "upstream_error", "upstream"),
    ],
    ids=lambda v: "-".join(str(getattr(s, "status", s)) for s in v) if isinstance(v, list) else str(v),
)
def test_the_last_attempt_has_the_last_word(
    script: list[Scripted | BaseException], status: int, code: str, owner: str
) -> None:
    last = refused(*script, candidates=THREE[:2])
    assert (last.fault.status, last.fault.code, last.fault.owner) == (status, code, owner)
    assert [a.channel_id for a in last.attempts] == [1, 2]


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_verdict_on_our_credential_is_never_shown(status: int) -> None:
    last = refused(error(status, headers=[(b"x-account", b"ours")]), candidates=THREE[:1])
    assert (last.fault.status, last.fault.code, last.fault.owner) == (500, "get_channel_failed", "upstream")
    assert last.body == b"" and last.headers == ()


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("refused", 502, "upstream_unreachable"),
        ("dns", 502, "upstream_unreachable"),
        ("tls", 502, "upstream_unreachable"),
        ("closed", 502, "upstream_unreachable"),
        ("protocol", 502, "upstream_invalid_answer"),
        ("limit", 502, "upstream_invalid_answer"),
        ("connect_timeout", 504, "upstream_timeout"),
        ("first_byte_timeout", 504, "upstream_timeout"),
        ("idle_timeout", 504, "upstream_timeout"),
        ("total_timeout", 504, "upstream_timeout"),
    ],
)
def test_broken_connections_in_our_words(kind: ErrorKind, status: int, code: str) -> None:
    last = refused(UpstreamError(kind, "https://secret-host:443 went away"), candidates=THREE[:1])
    assert (last.fault.status, last.fault.code, last.fault.owner) == (status, code, "upstream")
    assert "secret-host" not in last.fault.message
    assert last.body == b""


# --- what of the vendor's error is shown ------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 429, 500])
def test_the_vendors_own_error_is_shown_byte_for_byte(status: int) -> None:
    body = b'{ "error":{"message":"slow down","extra":[1.0]}}\n'
    headers: Headers = [(b"content-type", b"application/json"), (b"x-ratelimit-reset", b"3")]
    last = refused(Scripted(status, [body[:9], body[9:]], headers), candidates=THREE[:1])
    assert last.body == body
    assert list(last.headers) == headers


@pytest.mark.parametrize(
    "body",
    [
        b'{"error":{"message":"Incorrect API key provided: sk-abcdefghijklmnop1234"}}',
        b'{"error":{"message":"no","debug":"Authorization: Bearer abcdef1234567890"}}',
        b"<html>Bad gateway</html>",
        b"upstream error",
        b'["not","an","object"]',
        b'"text"',
        b'{"error":{"message":"cut he',
        b"",
        b"\xff\xfe",
    ],
)
def test_what_is_no_object_or_holds_a_secret_is_not_shown(body: bytes) -> None:
    last = refused(error(400, body), candidates=THREE[:1])
    assert last.body == b""
    assert last.fault.status == 400 and last.fault.message
    assert "sk-abc" not in last.fault.message and "abcdef1234" not in last.fault.message


def test_an_error_body_beyond_the_limit_or_broken_is_not_shown() -> None:
    long = error(400, b'{"error":"' + b"x" * ERROR_BODY_BYTES + b'"}')
    broken = Scripted(400, [b'{"error":', UpstreamError("closed", "reset", sent=True)])
    for scripted in (long, broken):
        last = refused(scripted, candidates=THREE[:1])
        assert (last.fault.status, last.body) == (400, b"")
        assert scripted.closed == 1


def test_cancellation_while_an_error_is_read_closes_the_answer() -> None:
    scripted = Scripted(500, [asyncio.CancelledError()])
    with pytest.raises(asyncio.CancelledError):
        run(scripted)
    assert scripted.closed == 1


@pytest.mark.parametrize(
    ("status", "header", "expected"),
    [
        (429, b"7", 7.0), (429, b"0", 1.0), (429, b"Wed, 21 Oct 2026 07:28:00 GMT", 1.0), (429, None, 1.0),
        (503, b"20", 20.0), (503, None, 1.0),
    ],
)  # fmt: skip
def test_retry_after_is_the_vendors_where_it_is_a_number(
    status: int, header: bytes | None, expected: float | None
) -> None:
    headers = [(b"retry-after", header)] if header is not None else None
    last = refused(error(status, headers=headers), candidates=THREE[:1])
    assert last.fault.retry_after_s == expected


def test_a_request_is_signed_with_the_gateways_clock() -> None:
    signed = candidate(1, provider=PROVIDERS["bedrock"], credentials=("AKIAACCESS|secret",))
    _, client = run(Scripted(), candidates=(signed,), asked=call("messages"))
    when = datetime.fromtimestamp(NOW, UTC).strftime("%Y%m%dT%H%M%SZ").encode()
    assert client.sent[0].headers[b"x-amz-date"] == when


# --- errors under a 200 (E264) ----------------------------------------------------------------------------

SSE = [(b"content-type", b"text/event-stream")]
ASKED = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true}'
OVERLOADED = b'{"error":{"code":503,"message":"Provider returned error"}}'


@pytest.mark.parametrize(
    "bad",
    [
        Scripted(200, [OVERLOADED]),
        Scripted(200, [b"data: " + OVERLOADED + b"\n\n", b"data: [DONE]\n\n"], SSE),
        Scripted(200, [b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"}}\n\n'], SSE),
        Scripted(200, [], SSE),
        Scripted(200, [b"<html>"]),
    ],
    ids=["body", "first frame", "first event", "nothing", "garbage"],
)
def test_an_error_under_a_200_is_that_error_and_the_next_candidate_answers(bad: Scripted) -> None:
    good = Scripted(200, [b'data: {"choices":[]}\n\n'], SSE)
    result, client = run(bad, good, asked=call(stream=True), body=ASKED)
    assert isinstance(result, Answer) and result.candidate == THREE[1] and len(client.sent) == 2
    assert bad.closed == 1


def test_an_error_under_a_200_is_told_with_its_own_status_when_nobody_else_answers() -> None:
    last = refused(Scripted(200, [OVERLOADED]), candidates=THREE[:1])
    assert (last.fault.status, last.fault.message) == (503, "Provider returned error")


def test_a_stored_response_that_failed_is_an_answer() -> None:
    failed = b'{"id":"resp_1","object":"response","status":"failed","error":{"code":"x","message":"m"},"output":[]}'
    result, _ = run(Scripted(200, [failed]), asked=call("responses"))
    assert isinstance(result, Answer)
