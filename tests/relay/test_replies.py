import asyncio
import json
from typing import Any

import pytest

from dragoman.core import faults
from dragoman.core.faults import Fault
from dragoman.dialects import DIALECTS
from dragoman.relay import replies
from dragoman.relay.attempt import Refusal
from tests.relay.scripted import Wire, call

VENDOR = b'{ "error": {"message": "slow down", "extra": 1.0} }'


def sent(coroutine_of: Any, *args: Any, **fields: Any) -> Wire:
    wire = Wire()
    asyncio.run(coroutine_of(wire.send, *args, **fields))
    assert wire.whole()
    assert wire.value(b"content-length") == b"%d" % len(wire.body)
    return wire


def refusal(fault: Fault, body: bytes = VENDOR, headers: list[tuple[bytes, bytes]] | None = None) -> Wire:
    return sent(replies.send_refusal, call(), Refusal(fault, (), body, headers or []))


def test_every_answer_of_ours_carries_the_request_id_twice_and_may_be_read_anywhere() -> None:
    assert dict(replies.own_headers("req_9")) == {
        b"x-request-id": b"req_9",
        b"request-id": b"req_9",
        b"x-content-type-options": b"nosniff",
        b"access-control-allow-origin": b"*",
        b"access-control-expose-headers": b"*",
    }


def test_bytes_leave_as_one_answer_with_their_length() -> None:
    headers = [(b"content-type", b"text/plain")]
    wire = sent(replies.send_bytes, 418, b"abc", headers)
    assert (wire.status, wire.body, wire.value(b"content-type")) == (418, b"abc", b"text/plain")
    assert headers == [(b"content-type", b"text/plain")]


def test_json_answers() -> None:
    wire = sent(replies.send_json, 200, {"a": [1, "é"]}, "req_1", [(b"x-more", b"1")])
    assert wire.json() == {"a": [1, "é"]}
    assert (wire.value(b"content-type"), wire.value(b"x-more")) == (b"application/json", b"1")
    assert wire.value(b"x-request-id") == b"req_1"


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_a_fault_is_told_in_the_callers_dialect(dialect: str) -> None:
    fault = faults.invalid_request("bad thing", param="x")
    wire = sent(replies.send_fault, dialect, fault, "req_1", [(b"allow", b"POST")])
    assert wire.status == 400
    assert wire.body == DIALECTS[dialect].write_fault(fault, "req_1")
    assert wire.json()["error"]["message"] == "bad thing"
    assert wire.value(b"content-type") == b"application/json"
    assert (wire.value(b"x-should-retry"), wire.value(b"retry-after")) == (b"false", None)
    assert (wire.value(b"request-id"), wire.value(b"allow")) == (b"req_1", b"POST")


@pytest.mark.parametrize(
    ("fault", "retry", "after"),
    [
        (faults.model_unavailable("m"), b"false", None),
        (faults.channel_failed("m"), None, None),
        (faults.rate_limited(7), None, b"7"),
        (faults.overloaded(2.2), None, b"3"),
        (faults.insufficient_quota(), b"false", None),
    ],
)
def test_faults_carry_the_advice_of_their_status(
    fault: Fault, retry: bytes | None, after: bytes | None
) -> None:
    wire = sent(replies.send_fault, "openai_chat", fault, "req_1")
    assert (wire.value(b"x-should-retry"), wire.value(b"retry-after")) == (retry, after)


# --- a vendor's refusal -----------------------------------------------------------------------------------


def test_the_vendors_body_goes_out_as_it_came_under_the_faults_status() -> None:
    wire = refusal(
        Fault(422, "c", "m"), headers=[(b"content-type", b"application/problem+json"), (b"x-limit", b"3")]
    )
    assert (wire.status, wire.body) == (422, VENDOR)
    assert wire.value(b"content-type") == b"application/json"
    assert wire.value(b"x-limit") == b"3"
    assert wire.value(b"x-should-retry") == b"false"


def test_without_a_body_to_show_the_refusal_is_told_in_our_words() -> None:
    wire = refusal(Fault(400, "c", "our words"), body=b"", headers=[(b"x-limit", b"3")])
    assert wire.json()["error"]["message"] == "our words"
    assert wire.value(b"x-limit") is None
    assert wire.value(b"x-request-id") == b"req_1"


def test_the_vendors_identity_and_framing_stay_behind_and_its_request_id_is_renamed() -> None:
    wire = refusal(
        Fault(400, "c", "m"),
        headers=[(b"request-id", b"theirs"), (b"set-cookie", b"a=b"), (b"openai-organization", b"org"),
                 (b"content-length", b"99999"), (b"transfer-encoding", b"chunked"), (b"access-control-allow-origin", b"x")],
    )  # fmt: skip
    assert wire.value(b"request-id") == b"req_1" and wire.value(b"x-request-id") == b"req_1"
    assert wire.value(b"x-upstream-request-id") == b"theirs"
    assert wire.value(b"access-control-allow-origin") == b"*"
    for name in (b"set-cookie", b"openai-organization", b"transfer-encoding"):
        assert wire.value(name) is None


def test_the_vendors_retry_after_stands_and_its_should_retry_does_not() -> None:
    vendor = [(b"retry-after", b"30"), (b"x-should-retry", b"false")]
    wire = refusal(Fault(429, "c", "m", retry_after_s=1.0), headers=vendor)
    assert (wire.value(b"retry-after"), wire.value(b"x-should-retry")) == (b"30", None)
    wire = refusal(Fault(400, "c", "m"), headers=[(b"x-should-retry", b"true")])
    assert wire.value(b"x-should-retry") == b"false"


def test_a_429_without_a_vendors_delay_gets_ours() -> None:
    assert refusal(Fault(429, "c", "m", retry_after_s=1.0)).value(b"retry-after") == b"1"


def test_a_preflight_allows_what_the_sdks_send() -> None:
    allowed = dict(replies.PREFLIGHT)[b"access-control-allow-headers"].split(b", ")
    for name in (b"authorization", b"x-api-key", b"x-goog-api-key", b"anthropic-version",
                 b"anthropic-dangerous-direct-browser-access", b"x-stainless-retry-count", b"content-type"):  # fmt: skip
        assert name in allowed
    # "*" does not cover Authorization (Fetch standard), so both must be there
    assert b"*" in allowed
    methods = dict(replies.PREFLIGHT)[b"access-control-allow-methods"].split(b", ")
    assert {b"GET", b"POST", b"DELETE", b"OPTIONS"} <= set(methods)


def test_the_body_shown_is_the_vendors_own_json() -> None:
    assert json.loads(refusal(Fault(500, "c", "m")).body)["error"]["extra"] == 1.0
